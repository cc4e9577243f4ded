"""Snakemake's scheduler, woken when a job ends and once a second, not ever more often.

Whenever Snakemake (9.27) has looked for jobs it sets a timer of a second, after which it looks again and sets
another one, for its limit on starts per second. So each job that ends adds a timer that never ceases: after
100 jobs it looks 100 times a second, and it waits for all of them before it exits.
"""

import threading
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler

METHOD = "_schedule_reevalutation"  # as it is spelt there


def one_timer() -> None:
    """Have at most one such timer wait at a time, and none at the end; no effect where Snakemake has none."""
    if hasattr(JobScheduler, METHOD):
        setattr(JobScheduler, METHOD, _look_again)


def _look_again(scheduler: Any, delay: float) -> None:
    """Have a scheduler look for jobs after `delay` seconds, unless it is about to do so anyway."""
    if getattr(scheduler, "neural_recon_waits", False):
        return
    scheduler.neural_recon_waits = True

    def look() -> None:
        scheduler.neural_recon_waits = False  # first, so that the look it wakes can set the next
        scheduler._open_jobs.release()

    timer = threading.Timer(delay, look)
    timer.daemon = True
    timer.start()
