"""What a user reads on the terminal: short, and at the end where the result is."""

import logging
import re
from types import SimpleNamespace

import pytest
from helpers import made_once, tiny_run
from helpers.workflow import snakemake
from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from neural_recon.workflow import terminal

FILES = [f"results/features/vision/shared_{k:03d}.h5" for k in range(300)]
INFO = {
    "event": LogEvent.JOB_INFO, "jobid": 3, "rule_msg": None, "rule_name": "report", "local": False,
    "is_checkpoint": False, "input": FILES, "output": FILES, "log": ["logs/report/all.log"],
    "benchmark": "benchmarks/report/all.tsv", "wildcards": {"who": "all"}, "priority": 10, "threads": 4,
    "reason": f"Missing output files: {', '.join(FILES)}", "resources": {"mem_mb": 2000}, "indent": False,
}  # fmt: skip


def printed(message: dict, quiet: set | None = None) -> str:
    """A message in the short form."""
    record = logging.makeLogRecord({"msg": "said", "levelno": logging.INFO, **message})
    return terminal.Short(quiet or set()).format(record)


def test_a_job_of_hundreds_of_files_is_three_short_lines():
    lines = printed(INFO).splitlines()
    assert len(lines) == 3  # the time, the job, the reason
    assert lines[1].startswith("Job 3: report (who=all) -> results/features/vision/shared_000.h5, ")
    assert lines[1].endswith(" (log: logs/report/all.log)")
    assert max(map(len, lines)) < 300
    plain = DefaultFormatter(set()).format(logging.makeLogRecord({"msg": "", **INFO}))
    assert len(plain) > 10_000  # what it would be


def test_an_error_names_rule_and_log_and_no_inputs():
    error = {key: INFO[key] for key in ("jobid", "rule_name", "rule_msg", "input", "output", "log", "indent")}
    error |= {"conda_env": None, "shellcmd": None, "aux": {}}
    text = printed({**error, "event": LogEvent.JOB_ERROR})
    assert "Error in rule report:" in text
    assert "log: logs/report/all.log (check log file(s) for error details)" in text
    assert "message" not in text
    assert len(text) < 500
    told = printed({**error, "rule_msg": "SLURM said no", "event": LogEvent.JOB_ERROR})
    assert "    message: SLURM said no" in told
    group = {"event": LogEvent.GROUP_ERROR, "groupid": "g", "aux_logs": [], "job_error_info": [error] * 2}
    assert len(printed(group)) < 900


def test_changed_parameters_are_shown_where_they_differ():
    """Of a section of kilobytes, too."""
    change = (
        "Params have changed since last execution: Union of exclusive params before and now across all "
        "output: before: {} now: {} "
    )
    long = ", ".join(f"'key{k}': {k}" for k in range(500))
    said = terminal.why(
        change.format(f"{{{long}, 'strength': 0.75, {long}}}", f"{{{long}, 'strength': 0.6, {long}}}")
    )
    assert "'strength': 0.75" in said
    assert "'strength': 0.6" in said
    assert len(said) < 400
    assert terminal.why(change.format("'a'", "<nothing exclusive>")).endswith(
        "before: 'a' now: <nothing exclusive>"
    )
    assert terminal.why("Forced execution") == "Forced execution"


def test_quiet_hides_no_error_that_ends_a_run():
    plain = DefaultFilter({Quietness.ALL}, False, False, False, False)
    loud = terminal.Loud(plain)
    fatal = logging.makeLogRecord({"msg": "a mistake", "levelno": logging.ERROR, "event": LogEvent.ERROR})
    assert not plain.filter(fatal)
    assert loud.filter(fatal)
    assert not loud.filter(logging.makeLogRecord({"msg": "", **INFO}))


def job(rule: str, output=(), log=(), inputs=(), **wildcards) -> SimpleNamespace:
    """A job as far as the last line looks at it."""
    return SimpleNamespace(
        rule=SimpleNamespace(name=rule), output=list(output), input=list(inputs), log=list(log),
        wildcards_dict=wildcards, is_group=lambda: False,
    )  # fmt: skip


def workflow(targets=(), failed=(), running=(), remaining=(), **more) -> SimpleNamespace:
    """A run that has ended."""
    scheduler = SimpleNamespace(failed=set(), running=set(running), remaining_jobs=list(remaining))
    scheduler.failed = list(failed)
    dag = SimpleNamespace(targetjobs=list(targets))
    return SimpleNamespace(**{"scheduler": scheduler, "dag": dag, "dryrun": False, "touch": False, **more})


def test_the_last_line_is_where_the_result_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"fetch": "data in nsd"}
    page = tmp_path / "results/report/all.html"
    every = job("all", inputs=["a.png", "results/report/subj01.html", "results/report/all.html"])
    assert terminal.end(workflow([every]), places) == f"Done: open the report in a browser: {page}"
    assert terminal.end(workflow([job("fetch", inputs=["nsd/x"])]), places) == "Done: data in nsd"
    made = [job("voxels", ["b.parquet"]), job("trials", ["a.parquet", "c.parquet"])]
    assert terminal.end(workflow(made), places) == f"Done: the result is {tmp_path}/a.parquet and 2 more"
    assert terminal.end(workflow([job("clean")]), places) == "Done."


def test_the_last_line_of_a_failure_is_what_failed_and_its_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    failed = job("betas", ["none.h5"], ["logs/betas/01.log"], subject="subj01", session="01")
    said = "betas (subject=subj01, session=01), log: logs/betas/01.log"
    again = "The same command resumes from here."
    assert terminal.end(workflow(failed=[failed]), {}) == f"Failed: {said}. {again}"
    group = SimpleNamespace(is_group=lambda: True, jobs=[job("betas", ["there"], ["x.log"]), failed])
    assert terminal.end(workflow(failed=[group]), {}) == f"Failed: {said}. {again}"
    many = [job(f"rule{k}", ["none"]) for k in range(5)]
    assert terminal.end(workflow(failed=many), {}) == f"Failed: rule0; rule1; rule2; and 2 more. {again}"
    cut = f"The run was cut short. {again}"
    assert terminal.end(workflow(running=["job"]), {}) == cut
    assert terminal.end(workflow(remaining=["job"]), {}) == cut


def test_nothing_is_said_where_nothing_ran(monkeypatch):
    targets = [job("all", inputs=["all.html"])]
    for more in ({"dryrun": True}, {"touch": True}, {"scheduler": None}):
        assert terminal.end(workflow(targets, **more), {}) == ""
    monkeypatch.setenv(terminal.SAYS_ITSELF, "1")
    assert terminal.end(workflow(targets), {}) == ""
    assert terminal.end(workflow(failed=[job("a")]), {}) != ""


# of one job: that it started and when, what it is, why; that it ended and when, how many are done; a blank
LINES_PER_JOB = 9
LONGEST = 400


@pytest.mark.slow
def test_a_run_is_short_and_ends_with_its_result(tmp_path, tmp_path_factory):
    """The first time, with nothing to be done, quietly, and where it fails."""
    folder = made_once.copied(tmp_path_factory, tiny_run.make, tmp_path / "my project")
    target = "results/quality/subj01.html"
    done = snakemake(folder, target)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert max(map(len, lines)) < LONGEST
    began = next(k for k, line in enumerate(lines) if line.startswith("Select jobs"))
    count = len(re.findall("^Finished jobid", done.stderr, flags=re.M))
    assert count == 5  # trials, voxels, betas, quality and its page
    assert len(lines) - began < LINES_PER_JOB * count + 10
    last = f"Done: open the report in a browser: {folder / target}"
    assert lines[-1] == last
    # all of it is in the log
    (log,) = (folder / ".snakemake/log").glob("*.log")
    assert "    resources: " in log.read_text(encoding="utf-8")

    for options in ([], ["--quiet", "all"]):
        again = snakemake(folder, target, *options)
        assert again.stderr.splitlines()[-1] == last
    planned = snakemake(folder, target, "--dry-run", "--forceall")
    assert planned.returncode == 0
    assert "Done" not in planned.stdout + planned.stderr
    assert (
        max(len(line) for line in planned.stdout.splitlines() if not line.startswith("If you are")) < LONGEST
    )

    betas = next((folder / "nsd").rglob("betas_session01.hdf5"))
    betas.write_bytes(b"no betas")
    failed = snakemake(folder, "results/betas/subj01/session01.h5", "--forcerun", "betas", "--quiet", "all")
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert re.match(
        r"Failed: betas \(subject=subj01, session=01\), log: logs/betas/subj01_01\.log\. The same", last
    )
    wrong = snakemake(folder, "--quiet", "all", config={**tiny_run.CONFIG, "subject": {}})
    assert "unknown key subject" in wrong.stderr
