"""Snakemake's command, run in a process that has Snakemake and the package loaded already.

Starting Snakemake costs seconds of imports, and the tests start it often. `multiprocessing`'s fork server
imports once per test worker and forks for every call; each call is a process of its own, as from a shell.
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# What the command and the Snakefile import. Nothing of torch: its threads would not survive a fork.
PRELOADED = [
    "snakemake.cli",
    "snakemake.executors.local",
    "snakemake.scheduling.milp",
    "pulp",
    "neural_recon.coco",
    "neural_recon.plan",
    "neural_recon.demo.design",
    "neural_recon.output_cache",
    "neural_recon.stages",
    "neural_recon.weights",
]


def run(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 1200,
) -> subprocess.CompletedProcess[str]:
    """`snakemake ARGUMENTS` in a folder, as of `subprocess.run` with captured text.

    Raises:
        TimeoutError: it took longer than `timeout` seconds, and was killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        given = dict(os.environ if environment is None else environment)
        process = context.Process(target=_snakemake, args=(list(arguments), folder, given, out, err))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"snakemake {' '.join(arguments)}: not done after {timeout} s")
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
    return subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode, *texts)


def _snakemake(
    arguments: list[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path
) -> None:
    """In the forked process: what the command's own start would do."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [str(Path(sys.executable).with_name("snakemake")), *arguments]
    from snakemake.cli import main

    try:
        main(arguments)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
