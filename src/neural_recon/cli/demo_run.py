"""The demo's run: the workflow with its own configuration, sized for the machine it runs on."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from neural_recon.core.errors import InputError
from neural_recon.workflow import terminal

MOST_CORES = 4  # more only wait for each other in the demo


def default_cores() -> int:
    """As many as there are for this process, four at most."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(ours, MOST_CORES)


def command(cores: int, subject: str | None, dry_run: bool) -> list[str]:
    """The command that runs it, by this very interpreter.

    Without a GPU, GPU jobs run on the CPU, one per core: the demo is too small for several cores per job.
    """
    gpu_jobs = 1 if shutil.which("nvidia-smi") else cores
    return [
        *(sys.executable, "-m", "snakemake", "--cores", str(cores), "--resources", f"gpu={gpu_jobs}"),
        *("--quiet", "rules", "host", "--max-threads", "1"),
        *(["--dry-run"] if dry_run else []),
        *(["--", subject] if subject else []),
    ]


def check_folder(folder: Path) -> None:
    """Raise an InputError unless the folder is the project's."""
    if not ((folder / "Snakefile").is_file() and (folder / "config/demo.yaml").is_file()):
        raise InputError(
            f"{folder}: expected the project's folder, found no Snakefile and config/demo.yaml; go there."
        )


def run(folder: Path, cores: int, subject: str | None, dry_run: bool) -> int:
    """Run it in the project's folder.

    Returns:
        0 done, 130 interrupted, 1 failed, of which Snakemake has said more.
    """
    # libraries look nothing up by themselves: the demo needs no network
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", terminal.SAYS_ITSELF: "1"}
    process = subprocess.Popen(command(cores, subject, dry_run), cwd=folder, env=environment)
    interrupted = []
    # Snakemake ends its jobs in its own time. Ctrl-C reaches it from the terminal, `kill` is passed on.
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number)),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
    }
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 130 if interrupted else int(status != 0)
