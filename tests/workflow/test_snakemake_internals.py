"""What is changed of Snakemake's private parts is still needed, and still works."""

import subprocess
import sys
from pathlib import Path

import pytest

SNAKEFILE = """
import sys, threading
from neural_recon.workflow import snakemake_internals

onstart:
    {change}
onsuccess:
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    print(len(timers), "timers", file=sys.stderr)
rule all:
    input: expand("{{n}}.txt", n=range(4))
rule one:
    output: "{{n}}.txt"
    shell: "touch {{output}}"
"""


@pytest.mark.parametrize(
    ("change", "options", "timers"),
    [
        ("pass", [], True),
        ("snakemake_internals.without_timers(workflow.scheduler)", [], False),
        (
            "snakemake_internals.without_timers(workflow.scheduler)",
            ["--max-jobs-per-timespan", "90/2s"],
            True,
        ),
    ],
    ids=["Snakemake's fault", "without", "a user's limit"],
)
def test_ended_jobs_leave_no_timers(tmp_path, change, options, timers):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(change=change))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("\n0 timers" not in done.stderr) == timers, done.stderr


CHAIN = """
from neural_recon.workflow import snakemake_internals
{change}
rule last:
    input: "middle.txt"
    output: "last.txt"
    shell: "cp {{input}} {{output}}"
rule middle:
    input: "first.txt"
    output: "middle.txt"
    params: word="{word}"
    shell: "(cat {{input}}; echo {{params.word}}) > {{output}}; {then}"
"""


def run_chain(folder: Path, change: str, word: str, then: str = "true") -> int:
    """Run two jobs, one after the other; gives the exit status."""
    (folder / "Snakefile").write_text(CHAIN.format(change=change, word=word, then=then))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "1",
        "--rerun-triggers",
        "mtime",
        "params",
        "input",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


@pytest.mark.parametrize("changed", ["a parameter", "an input"])
@pytest.mark.parametrize(
    ("change", "noticed"),
    [("", False), ("snakemake_internals.keep_records_of_failed_jobs()", True)],
    ids=["Snakemake's fault", "without"],
)
def test_after_a_job_that_failed_what_was_stale_is_still_stale(tmp_path, change, noticed, changed):
    first, word = tmp_path / "first.txt", "old"
    first.write_text("old\n")
    assert run_chain(tmp_path, change, word) == 0
    if changed == "an input":
        first.write_text("new\n")
    else:
        word = "new"
    assert run_chain(tmp_path, change, word, then="exit 1") == 1
    assert not (tmp_path / "middle.txt").exists()
    assert run_chain(tmp_path, change, word) == 0
    assert ("new" in (tmp_path / "last.txt").read_text()) == noticed
