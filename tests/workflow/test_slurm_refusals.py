"""What SLURM does not take ends a run in a sentence: with stand-ins for its commands, without a cluster."""

import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from helpers import loaded_snakemake
from helpers.places import ROOT
from helpers.workflow import SMALL, make_project, snakemake

from neural_recon.core.errors import InputError
from neural_recon.workflow import slurm

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"
# two jobs that the profile groups, one for the cluster alone, one for the login node
WORKFLOW = """
from neural_recon.workflow import slurm, snakemake_internals
snakemake_internals.quote_interpreter()
if workflow.is_main_process:
    slurm.guard()
localrules: here
rule all:
    input: "features.txt", "alone.txt"
rule here:
    output: "here.txt"
    shell: "touch {output}"
rule features:
    input: "here.txt"
    output: "features.txt"
    resources: gpu=1, runtime=10, mem_mb=500
    shell: "touch {output}"
rule alone:
    output: "alone.txt"
    resources: runtime=10, mem_mb=500
    shell: "touch {output}"
"""
# They write down how they were called; sbatch runs at once what it takes.
STAND_IN = """#!/bin/bash
echo "$(basename $0) $*" >> {calls}
{answer}
"""
ANSWERS = {
    "sacctmgr": 'echo "sacctmgr: error: Access/permission denied" >&2; exit 1',
    "sshare": 'echo "sshare: error: Slurm accounting storage is disabled" >&2; exit 1',
    "sbatch": """case "$*" in *--test-only*) exit 0;; esac
wrapped="${!#}"
SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=1 bash -c "${wrapped#--wrap=}" > out.txt 2>&1
echo $((RANDOM + 1)) | tee -a ids""",
    "squeue": 'sed "s/$/|COMPLETED/" ids 2> /dev/null; exit 0',
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"',
    "scontrol": 'echo "MinJobAge = 300 sec"',
    **dict.fromkeys(("scancel", "sinfo", "sacct"), "exit 0"),
}
TESTED = 'case "$*" in *--test-only*) exit 0;; esac; '
ACCOUNT = "Invalid account or account/partition combination specified"


def refused(reason: str) -> str:
    """What sbatch answers to a job that it does not take."""
    return f'echo "sbatch: error: Batch job submission failed: {reason}" >&2; exit 1'


def stand_ins(folder: Path, **answers: str) -> Path:
    """A folder of commands that answer like SLURM's."""
    (folder / "bin").mkdir(exist_ok=True)
    for name, answer in (ANSWERS | answers).items():
        path = folder / "bin" / name
        path.write_text(STAND_IN.format(calls=folder / "calls", answer=answer), encoding="utf-8")
        path.chmod(0o755)
    return folder / "bin"


def run(folder: Path, *arguments: str, **answers: str) -> tuple[subprocess.CompletedProcess, float]:
    """A run through the profile, and how many seconds it took."""
    path = f"{stand_ins(folder, **answers)}:/usr/bin:/bin"
    (folder / "Snakefile").write_text(WORKFLOW, encoding="utf-8")
    (folder / "profile").mkdir(exist_ok=True)
    profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    quick = {"slurm-init-seconds-before-status-checks": 1, "latency-wait": 5}
    (folder / "profile/config.yaml").write_text(yaml.safe_dump(profile | quick), encoding="utf-8")
    begun = time.monotonic()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", path)
        done = loaded_snakemake.run([*arguments, "--workflow-profile", "profile", "--quiet", "host"], folder)
    return done, time.monotonic() - begun


def calls(folder: Path, name: str) -> list[str]:
    """How one of the commands was called."""
    lines = (folder / "calls").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(f"{name} ")]


@pytest.mark.slow
def test_who_may_list_no_accounts_is_let_through(tmp_path):
    """Whether the account is right is sbatch's to say."""
    done, _ = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "features.txt").is_file()
    submitted = [call for call in calls(tmp_path, "sbatch") if "--test-only" not in call]
    assert len(submitted) == 2
    assert all(" -A neural-recon " in call for call in submitted)
    assert any("--gpus=a100:1" in call for call in submitted)


REFUSALS = {
    "account of others": (
        {"sacctmgr": "echo '  other_lab  '"},
        r"slurm_account: expected an account that you may use \(other_lab\), found neural-recon; correct it",
    ),
    "account, by the test submission": (
        {"sbatch": refused(ACCOUNT)},
        r"alone: expected SLURM to take a job with --account=neural-recon .*Invalid account",
    ),
    "whatever it says at last, of a group": (
        {"sbatch": TESTED + refused("no way")},
        r"features: expected SLURM to take .*no way",
    ),
    "an answer that is no number": (
        {"sbatch": "echo hello"},
        r"features: expected SLURM to take .*No valid SLURM job ID",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_said_and_ends_the_run(tmp_path, case):
    answers, expected = REFUSALS[case]
    done, seconds = run(tmp_path, "features.txt" if "features" in expected else "all", **answers)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert re.search(expected, said), said
    assert "Traceback" not in said
    assert "--wrap" not in said  # the call has kilobytes
    assert seconds < 60
    assert not (tmp_path / "features.txt").exists()


@pytest.mark.slow
def test_the_workflow_ends_so_through_its_own_profile(tmp_path, monkeypatch):
    """Before it makes anything."""
    folder = make_project(tmp_path / "my project")
    monkeypatch.setenv("PATH", f"{stand_ins(tmp_path, sacctmgr='echo mine')}:/usr/bin:/bin")
    profile = ("--workflow-profile", "workflow/profiles/slurm")
    done = snakemake(folder, *profile, config=SMALL)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "slurm_account: expected an account that you may use (mine), found neural-recon" in said
    assert "Traceback" not in said
    assert not (folder / "results").exists()


@pytest.mark.slow
def test_an_error_of_the_plugin_itself_is_not_lost_for_a_group(tmp_path, monkeypatch):
    """Whatever raises in its thread."""
    (tmp_path / "sitecustomize.py").write_text(
        "import snakemake_executor_plugin_slurm as plugin\n"
        "def broken(job):\n"
        "    raise ValueError('lost in a thread')\n"
        "plugin.set_gres_string = broken\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done, seconds = run(tmp_path, "features.txt")
    assert done.returncode == 1
    assert "found: lost in a thread; where account" in done.stdout + done.stderr
    assert seconds < 60


def test_commands_that_never_answer(tmp_path, monkeypatch):
    """Neither the lists of accounts nor the test submission are waited for longer than was said."""
    monkeypatch.setattr(slurm, "QUESTION", 0.3)
    monkeypatch.setattr(slurm, "TEST", 0.5)
    for name in ("sacctmgr", "sshare", "sbatch"):
        folder = stand_ins(tmp_path, **{name: "sleep 1000"})
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    jobs = [job(slurm_account="mine")]
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"sbatch: expected an answer within 0\.5 s, found none"):
        slurm.check(jobs)
    assert slurm.listed_accounts() == set()
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_a_submission_that_never_ends_is_ended(tmp_path):
    """Its first one, where the test submission passed."""
    (tmp_path / "sitecustomize.py").write_text(
        "import neural_recon.workflow.slurm\nneural_recon.workflow.slurm.FIRST = 2\n", encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path))
        done, seconds = run(tmp_path, "features.txt", sbatch=TESTED + "sleep 1000")
    assert done.returncode == 1
    assert "found: no answer from sbatch within 2 s; where account" in done.stdout + done.stderr
    assert seconds < 60


def job(rule: str = "scores", **resources) -> SimpleNamespace:
    """A job of one rule, as far as the check looks at it."""
    return SimpleNamespace(rule=SimpleNamespace(name=rule), resources=resources, is_group=lambda: False)


def test_only_what_no_waiting_changes_holds_up_a_run(tmp_path, monkeypatch):
    """Nodes that are busy or down now are no mistake of the user's."""
    for said in (
        "allocation failure: Requested nodes are busy",
        # also where all nodes are down
        "allocation failure: Requested node configuration is not available",
        "allocation failure: Required node not available (down, drained or reserved)",
        "error: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    ):
        folder = stand_ins(tmp_path, sbatch=f'echo "{said}" >&2; exit 1')
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        slurm.check([job(slurm_account="mine")])
    for said in (
        "allocation failure: Invalid partition name specified",
        "allocation failure: Invalid qos specification",
        "allocation failure: Invalid generic resource (gres) specification",
        "allocation failure: Requested time limit is invalid (missing or exceeds some limit)",
        "allocation failure: User's group not permitted to use this partition",
        "allocation failure: Unable to contact slurm controller (connect failure)",
    ):
        stand_ins(tmp_path, sbatch=f'echo "sbatch: error: {said}" >&2; exit 1')
        with pytest.raises(InputError, match=re.escape(said)):
            slurm.check([job(slurm_account="mine")])


def test_without_slurm_and_without_jobs_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="sbatch: expected SLURM's commands on the PATH, found none"):
        slurm.check([job(slurm_account="mine")])
    slurm.check([])  # downloads run alongside Snakemake


def test_sbatch_that_does_not_start(tmp_path, monkeypatch):
    """A wrapper for another machine."""
    (tmp_path / "sbatch").write_text("#!/no/such/shell\n", encoding="utf-8")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"sbatch: expected .* found one that does not start \("):
        slurm.check([job(slurm_account="mine")])


def test_extra_options_that_no_shell_could_read(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{stand_ins(tmp_path)}:/usr/bin:/bin")
    with pytest.raises(InputError, match=r"slurm_extra: expected options .* in pairs, found .*exclusive"):
        slurm.check([job(slurm_extra="'--exclusive")])


def test_a_command_whose_children_go_while_it_is_ended(monkeypatch):
    """Killing what is gone is no error."""

    def gone(process):
        raise psutil.NoSuchProcess(process.pid)

    monkeypatch.setattr(psutil.Process, "children", lambda process, **_: gone(process))
    with pytest.raises(subprocess.TimeoutExpired):
        slurm._ask(["sleep", "5"], 0.2)


@pytest.mark.parametrize("name", ["it's", "$HOME", "a`b`", "a\\b", "100%"])
def test_paths_that_the_plugin_does_not_quote(name):
    slurm.check_paths(Path("/my project (2) & größe"))
    with pytest.raises(InputError, match=r"expected a path without .*; rename that folder"):
        slurm.check_paths(Path("/here"), Path("/there") / name)


def test_accounts_of_one_line_each_in_any_letters(tmp_path, monkeypatch):
    folder = stand_ins(tmp_path, sacctmgr="exit 0", sshare="printf '  Root \\n   My_Lab\\n'")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    assert slurm.listed_accounts() == {"root", "my_lab"}
    slurm.check([job(slurm_account="MY_lab")])
    with pytest.raises(InputError, match=r"\(my_lab, root\), found theirs; correct it"):
        slurm.check([job(slurm_account="theirs")])
    slurm.check([job()])  # none given: the cluster's default


def test_what_is_asked_for_is_what_the_plugin_asks_for():
    resources = {"slurm_account": "a b", "slurm_partition": "gpu", "runtime": 20, "mem_mb": 4000, "gpu": 1}
    assert slurm.request(
        resources | {"_cores": 8, "gpu_model": "a100", "slurm_extra": "--exclusive '-w n 1'"}
    ) == [
        *("--account=a", "--partition=gpu", "--time=20", "--mem=4000", "--cpus-per-task=8"),
        *("--gpus=a100:1", "--exclusive", "-w n 1"),
    ]
    assert slurm.request({"gpu": 2}) == ["--gpus=2"]
