"""What every script of the workflow begins with: its log, one sentence for a user's mistake, its records."""

import atexit
import logging
import os
import signal
import sys
import time
import traceback
from types import TracebackType
from typing import Any

from neural_recon import recording
from neural_recon.errors import InputError


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
    logger.info("started: %s", ", ".join(f"{k}={v}" for k, v in job.wildcards.items()) or "no wildcards")
    begun = recording.begin(job)
    atexit.register(end)
    return logger
