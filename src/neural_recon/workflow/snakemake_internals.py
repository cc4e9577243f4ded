"""All that reaches into Snakemake's private parts (9.27), each with its reason.

What it prints is shortened in `terminal`, its plugin for SLURM extended in `slurm`.
"""

import shlex
import sys
import threading
from typing import Any

from snakemake.io import _IOFile
from snakemake.scheduling.job_scheduler import JobScheduler

from neural_recon.workflow import fingerprints

SEPARATOR = "__"  # in the names of a module's rules
METHOD = "_schedule_reevalutation"  # as it is spelt there


def quote_interpreter() -> None:
    """Have scripts start where the interpreter's folder has a space in its name.

    Snakemake puts the interpreter's path into its shell commands unquoted.
    """
    if not sys.executable.startswith("'"):
        sys.executable = shlex.quote(sys.executable)


def one_timer() -> None:
    """Have the scheduler woken when a job ends and once a second, not ever more often.

    Whenever Snakemake has looked for jobs it sets a timer of a second, after which it looks again and sets
    another one, for its limit on starts per second. So each job that ends adds a timer that never ceases:
    after 100 jobs it looks 100 times a second, and it waits for all of them before it exits. Here one such
    timer waits at a time, and none at the end; no effect where Snakemake has none.
    """
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
