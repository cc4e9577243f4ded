"""All that reaches into Snakemake's private parts (9.27), each with its reason.

What it prints is shortened in `terminal`, its plugin for SLURM extended in `slurm`.
"""

import shlex
import sys
from typing import Any

from snakemake.io import _IOFile
from snakemake.jobs import Job
from snakemake.persistence import PersistenceBase

from neural_recon.workflow import fingerprints

SEPARATOR = "__"  # in the names of a module's rules


def quote_interpreter() -> None:
    """Have scripts start where the interpreter's folder has a space in its name.

    Snakemake puts the interpreter's path into its shell commands unquoted.
    """
    if not sys.executable.startswith("'"):
        sys.executable = shlex.quote(sys.executable)


def keep_records_of_failed_jobs() -> None:
    """Have a job that fails leave the record of the last one that did not.

    Snakemake records a failed job, too, with its parameters and the checksums of its inputs, and then removes
    its output. Where what was made from an earlier output is still there, the next run finds that job as it
    was recorded, needs no output of it, and takes results for current that are not. With the old record it
    sees what has changed since.
    """
    if hasattr(Job, "whole_postprocess"):  # a workflow may be read more than once in a process
        return
    Job.whole_postprocess, Job.postprocess = Job.postprocess, _postprocess
    PersistenceBase.record, PersistenceBase.finished = PersistenceBase.finished, _finished


async def _postprocess(job: Any, *arguments: Any, error: bool = False, **options: Any) -> None:
    job.failed = error
    await job.whole_postprocess(*arguments, error=error, **options)


async def _finished(persistence: Any, job: Any) -> None:
    if not getattr(job, "failed", False):
        await persistence.record(job)
        return
    for file in job.output:
        persistence._unmark_incomplete(persistence._get_key(file))


def without_timers(scheduler: Any) -> None:
    """Have a scheduler look for jobs when one ends, and not ever more often.

    For its limit of 100 starts per second it sets a timer whenever it has looked for jobs, and looks again a
    second later. So each job that ends adds a timer that never ceases: after 100 jobs it looks 100 times a
    second, and it waits for all of them before it exits. A limit that a user sets stays.
    """
    limit = scheduler.job_rate_limiter
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        scheduler.job_rate_limiter = None


def extend_settings(workflow: Any, module: str) -> None:
    """Have what a profile or the command line says of rules hold for the same rules of a module, too: their
    groups, threads and resources.

    Snakemake finds these by a rule's name, which in a module has the module's name before it.

    Args:
        workflow: Snakemake's.
        module: what its rules' names begin with; ends with `SEPARATOR`.
    """
    sections = (
        (workflow.group_settings, "overwrite_groups"),
        (workflow.resource_settings, "overwrite_threads"),
        (workflow.resource_settings, "overwrite_resources"),
    )
    for settings, name in sections:
        said = dict(getattr(settings, name))
        own = {rule: value for rule, value in said.items() if SEPARATOR not in rule}
        setattr(settings, name, {**{f"{module}{rule}": value for rule, value in own.items()}, **said})
        vars(settings).pop(f"_parsed_{name}", None)  # it keeps what it was read as


def name_sources_by_digest() -> None:
    """Have the cache that folders share know files of this machine by their digest.

    A key of that cache holds a hash of each input that no job of the run makes. Snakemake hashes these in
    full, again in every job: for a chunk of features the 39 GB of stimuli. Here the digest of `fingerprints`
    takes the place of that hash, as in the parameter `content` of the rules; other checksums stay.
    """
    if hasattr(_IOFile, "in_full"):  # a workflow may be read more than once in a process
        return
    _IOFile.in_full = _IOFile.checksum
    _IOFile.checksum = _checksum


async def _checksum(file: _IOFile, *arguments: object, force: bool = False, **options: object) -> str | None:
    # only the cache, which knows no way around a file's content, forces a checksum
    if force and not file.is_storage:
        return f"digest:{fingerprints.digest(file.file)}"
    return await file.in_full(*arguments, force=force, **options)
