"""What every script of the workflow begins with: its log, and one sentence for a user's mistake."""

import atexit
import logging
import signal
import sys
import time
import traceback
from types import TracebackType
from typing import Any

from neural_recon.errors import InputError


def start(job: Any) -> logging.Logger:
    """Send logging and uncaught errors of a Snakemake script to its log file.

    A user's mistake (`InputError`) is one sentence there and on the terminal, anything else a traceback in
    the log and its last line on the terminal; both end the script with exit status 1.
    """
    path = job.log[0]
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
    started = time.monotonic()

    def fail(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, InputError):
            logger.error("%s", error)
            print(f"error in {job.rule}: {error}", file=sys.stderr)
        else:
            logger.error("%s", "".join(traceback.format_exception(kind, error, trace)))
            print(f"error in {job.rule}: {kind.__name__}: {error} (traceback in {path})", file=sys.stderr)
        logging.shutdown()

    sys.excepthook = fail
    # a cancelled job ends as by an error, so that its temporary files go
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logger.info("started: %s", ", ".join(f"{k}={v}" for k, v in job.wildcards.items()) or "no wildcards")
    atexit.register(lambda: logger.info("ended after %.1f s", time.monotonic() - started))
    return logger
