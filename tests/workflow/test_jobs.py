"""What a script says when it ends, and where."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, warnings
from types import SimpleNamespace
from neural_recon.core.errors import InputError
from neural_recon.workflow.jobs import start

job = SimpleNamespace(log=["job.log"], rule="responses", wildcards={{"subject": "subj01"}})
job.input, job.output, job.params, job.config = {{}}, [], {{}}, {{}}
logger = start(job)
{body}
"""


@pytest.fixture
def job(tmp_path):
    def run(body: str) -> tuple[subprocess.CompletedProcess, str]:
        program = PROGRAM.format(body=body)
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done, (tmp_path / "job.log").read_text()

    return run


def test_job_that_succeeds_logs_and_keeps_quiet(job):
    done, log = job(
        'logger.info("3 voxels"); logging.getLogger("neural_recon.datasets.nsd.nsd_tree").info("read it")'
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = log.splitlines()
    assert lines[0].endswith("responses INFO: started: subject=subj01")
    assert lines[1].endswith("responses INFO: 3 voxels")
    assert lines[2].endswith("neural_recon.datasets.nsd.nsd_tree INFO: read it")
    assert "ended after" in lines[3]


def test_mistake_of_the_user_is_one_sentence(job):
    done, log = job('raise InputError("a.txt: expected ids, found none.")')
    assert done.returncode == 1
    assert done.stderr == "error in responses: a.txt: expected ids, found none.\n"
    assert done.stdout == ""
    assert "responses ERROR: a.txt: expected ids, found none." in log
    assert "Traceback" not in log


def test_mistake_with_a_cause_is_one_sentence_too(job):
    done, log = job(
        "try:\n    open('/nowhere')\nexcept OSError as error:\n    raise InputError('no file') from error"
    )
    assert (done.returncode, done.stderr) == (1, "error in responses: no file\n")
    assert "Traceback" not in log


def test_other_error_leaves_its_traceback_in_the_log(job):
    done, log = job("def inner():\n    return 1 / 0\ninner()")
    assert done.returncode == 1
    assert done.stderr == "error in responses: ZeroDivisionError: division by zero (traceback in job.log)\n"
    assert "Traceback (most recent call last)" in log
    assert "in inner" in log


def test_warnings_of_libraries_go_to_the_log(job):
    done, log = job('warnings.warn("old function")')
    assert done.stderr == ""
    assert "old function" in log


def test_second_run_starts_a_new_log(job):
    job('logger.info("first")')
    _, log = job('logger.info("second")')
    assert "second" in log
    assert "first" not in log


def test_job_ends_with_the_snakemake_that_started_it(tmp_path):
    """Killed at once, with the shell between them left alive, as Snakemake starts scripts."""
    body = "from neural_recon.core.files import atomic\nwith atomic('a.txt') as part:\n    part.touch()\n"
    body += "    print('writing', flush=True)\n    import time\n    time.sleep(60)"
    (tmp_path / "job.py").write_text(PROGRAM.format(body=body))
    (tmp_path / "snakemake").write_text(
        "import shlex, subprocess, sys\n"
        "subprocess.run(['bash', '-c', f'set -e; {shlex.quote(sys.executable)} job.py; true'], check=False)\n"
    )
    with subprocess.Popen(
        [sys.executable, "snakemake"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "writing\n"
        parent.kill()
        parent.stdout.read()  # until the last one that could write has ended
    assert "Snakemake has died" in (tmp_path / "job.log").read_text()
    assert not list(tmp_path.glob("*a.txt"))
    assert not list(tmp_path.glob(".part-*"))


def test_helpers_of_a_job_end_by_sigterm_at_once(job):
    body = "import multiprocessing, signal\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n"
    body += "    print(pool.apply(signal.getsignal, (signal.SIGTERM,)) == signal.SIG_DFL)\n"
    body += "print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
    done, _ = job(body)
    assert done.stdout.split() == ["True", "False"]
