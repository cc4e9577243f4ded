"""Snakemake's scheduler, woken when a job ends and by nothing else."""

from typing import Any


def wait_for_jobs(workflow: Any) -> None:
    """Take the limit on starts per second from a run on this machine.

    For that limit Snakemake (9.27) sets a timer of a second whenever it has looked for jobs, and looks again
    when it has run out: after 100 jobs it looks 100 times a second, for a third of a core. On one machine
    cores limit the starts; a queue of a cluster keeps its limit.

    Args:
        workflow: Snakemake's.
    """
    # a check of the rules has none
    if workflow.scheduling_settings and workflow.local_exec:
        workflow.scheduling_settings.max_jobs_per_timespan = None
