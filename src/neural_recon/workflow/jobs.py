"""What every script of the workflow begins with: its log, one sentence for a user's mistake, its records."""

import atexit
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import of_system
from neural_recon.workflow import recording

WATCH = 0.5  # seconds between looks at whether Snakemake still runs


def start(job: Any) -> logging.Logger:
    """Send logging and uncaught errors of a Snakemake script to its log file, and record what it makes.

    A user's mistake (`InputError`) is one sentence there and on the terminal, anything else a traceback in
    the log and its last line on the terminal; both end the script with exit status 1. A script that ends
    without error leaves the records of its outputs (`provenance`).
    """
    path = job.log[0]
    logging.raiseExceptions = False  # a log that cannot be written (a full disk) hides no error
    logging.basicConfig(
        filename=path,
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s: %(message)s",
        force=True,
    )
    logging.captureWarnings(True)
    for noisy in ("botocore", "httpx", "urllib3", "matplotlib", "fontTools", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logger = logging.getLogger(job.rule)
    started, process = time.monotonic(), os.getpid()
    failed = False

    def fail(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        nonlocal failed
        failed = True
        if isinstance(error, OSError):
            error = of_system(error) or error
        if isinstance(error, InputError):
            logger.error("%s", error)
            print(f"error in {job.rule}: {error}", file=sys.stderr)
        else:
            logger.error("%s", "".join(traceback.format_exception(kind, error, trace)))
            print(f"error in {job.rule}: {kind.__name__}: {error} (traceback in {path})", file=sys.stderr)

    def cancel(*_: Any) -> None:
        nonlocal failed
        failed = True
        sys.exit(143)  # as by an error, so that temporary files go

    def end() -> None:
        if failed or os.getpid() != process:  # a helper that was forked
            return
        try:
            recording.finish(begun)
        except BaseException as error:  # what is raised this late changes no exit status by itself
            if not failed:
                fail(type(error), error, error.__traceback__)
            logging.shutdown()
            sys.stderr.flush()
            os._exit(143 if isinstance(error, SystemExit) else 1)
        logger.info("ended after %.1f s", time.monotonic() - started)

    sys.excepthook = fail
    signal.signal(signal.SIGTERM, cancel)
    os.register_at_fork(after_in_child=_end_at_once)
    logger.info("started: %s", ", ".join(f"{k}={v}" for k, v in job.wildcards.items()) or "no wildcards")
    end_with_snakemake()
    begun = recording.begin(job)
    atexit.register(end)
    return logger


def _end_at_once() -> None:
    """Helpers that a job forks end by SIGTERM, by which a pool ends them, and without the job's handler.

    Python would run that handler later: a signal that comes just before a helper waits for a lock would wait
    for that lock, too, and the job for its helper for ever.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_with_snakemake() -> None:
    """Cancel this job when the Snakemake that started it has died.

    A job that continued alone would compute alongside the next run, for nothing, and write what that run
    plans to write. A script that no Snakemake started is left alone.
    """
    parents = psutil.Process().parents()
    which = [k for k, parent in enumerate(parents) if _is_snakemake(parent)]
    if not which:
        return
    # a dead parent's children get another one at once
    family = parents[: which[0] + 1]

    def watch() -> None:
        while psutil.Process().parents()[: len(family)] == family:
            time.sleep(WATCH)
        logging.getLogger(__name__).error("Snakemake has died, so this job ends")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        os.kill(os.getpid(), signal.SIGKILL)  # it computes without a look at signals

    threading.Thread(target=watch, daemon=True).start()


def _is_snakemake(process: psutil.Process) -> bool:
    """Whether a command line is `snakemake ...` or `python -m snakemake ...`."""
    try:
        return any(Path(word).name == "snakemake" for word in process.cmdline()[:3])
    except psutil.Error:  # another user's, or gone
        return False
