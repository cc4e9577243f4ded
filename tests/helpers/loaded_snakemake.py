"""Snakemake's command, run in a process that has Snakemake and the package loaded already.

Starting Snakemake costs seconds of imports, and the tests start it often. `multiprocessing`'s fork server
imports once per test worker and forks for every call; each call is a process of its own, as from a shell.
"""

import atexit
import multiprocessing
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import loaded_jobs

# What the command and the Snakefile import. Nothing of torch: its threads would not survive a fork.
PRELOADED = [
    "snakemake.cli",
    "snakemake.profiles",
    "snakemake.report.html_reporter",
    "snakemake.scheduling.milp",
    "snakemake.storage",
    "pulp",
    "smart_open",
    "neural_recon.datasets.nsd.coco",
    "neural_recon.demo.design",
    "neural_recon.workflow.code_digests",
    "neural_recon.workflow.plan",
    "neural_recon.workflow.rule_defaults",
    "neural_recon.workflow.slurm",
    "neural_recon.workflow.snakemake_internals",
    "neural_recon.workflow.terminal",
]


def run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """`snakemake ARGUMENTS` in a folder: as `subprocess.run`, with its output captured as text."""
    if os.environ.get("PYTHONPATH"):  # a test's own copy of the package, or of what a start runs
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place) / name for name in ("stdout", "stderr")]
        jobs = loaded_jobs.server() if loaded_jobs.read_at_import() == loaded_jobs.AT_START else ""
        process = context.Process(
            target=_snakemake,
            args=(list(arguments), folder, dict(os.environ), jobs, *outputs),
        )
        process.start()
        process.join()
        said = [path.read_text(encoding="utf-8", errors="replace") for path in outputs]
    return subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode or 0, *said)


def _snakemake(
    arguments: list[str], folder: Path, environment: dict[str, str], jobs: str, stdout: Path, stderr: Path
) -> None:
    """In the forked process: what the command's own start and end would do."""
    for path, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [str(Path(sys.executable).with_name("snakemake")), *arguments]
    from snakemake.cli import main
    from snakemake.script import PythonScript

    def execute_script(script: Any, name: str, edit: bool = False) -> None:  # noqa: ARG001
        words = shlex.join([sys.executable.strip("'"), "-E", "-S", str(loaded_jobs.CLIENT), jobs])
        script._execute_cmd("{words} {name:q}", words=words, name=name, is_python_script=True)

    if jobs:
        PythonScript.execute_script = execute_script
    try:
        main(arguments)
    finally:
        atexit._run_exitfuncs()  # processes of multiprocessing leave these out
        sys.stdout.flush()
        sys.stderr.flush()
