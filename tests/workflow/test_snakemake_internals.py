"""What is changed of Snakemake's private parts is still needed, and still works."""

import subprocess
import sys

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
