"""What a user reads on the terminal of a run: short, and at the end where the result is.

Snakemake prints all inputs, outputs and resources of every job, and every parameter that changed: for a
report of NSD kilobytes. All of that stays in its log (.snakemake/log) and comes back with `--verbose`.
"""

import atexit
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from snakemake.logging import DefaultFormatter, logger
from snakemake_interface_logger_plugins.common import LogEvent

WIDEST = 160  # characters of a list or of a reason
# set by a command that starts a run and says itself where the result is
SAYS_ITSELF = "NEURAL_RECON_SAYS_THE_END"


class Loud(logging.Filter):
    """What Snakemake's filter lets through, and errors that end a run: `--quiet all` would hide them."""

    def __init__(self, plain: Any):
        super().__init__()
        self.plain = plain

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is printed."""
        return getattr(record, "event", None) == LogEvent.ERROR or bool(self.plain.filter(record))


class Short(DefaultFormatter):  # type: ignore[misc]  # Snakemake has no types
    """Snakemake's messages about jobs, one line each and one for the reason."""

    def format_job_info(self, msg: Mapping[str, Any]) -> str:
        """Which job, what it makes, and where its log is."""
        made = f" -> {shortened(', '.join(msg['output']))}" if msg["output"] else ""
        log = f" (log: {shortened(', '.join(msg['log']))})" if msg["log"] else ""
        text = f"{_named(msg['rule_name'], msg['wildcards'])}{made}{log}"
        return super().format_job_info(
            {**msg, "rule_msg": msg["rule_msg"] or text, "reason": why(str(msg["reason"]))}
        )

    def format_job_error(self, msg: Mapping[str, Any]) -> str:
        """What is needed to look further: the rule, its log, and what it would have made."""
        # Snakemake takes a message to be there always, and prints None
        return super().format_job_error({**_cut(msg), "msg": msg["rule_msg"]})

    def format_group_error(self, msg: Mapping[str, Any]) -> str:
        """The same of the jobs of a group."""
        return super().format_group_error({**msg, "job_error_info": list(map(_cut, msg["job_error_info"]))})


def shorten(workflow: Any) -> None:
    """Print messages about jobs in the short form, unless the user asked for all there is.

    Args:
        workflow: Snakemake's.
    """
    if workflow.output_settings.verbose:
        return
    for handler in logger.handlers:
        # not the log file's
        if handler.name == "DefaultStreamHandler":
            plain = handler.formatter
            handler.setFormatter(Short(plain.quiet, plain.show_failed_logs))
            handler.filters = [Loud(plain) for plain in handler.filters]


def say_the_end(workflow: Any, places: Mapping[str, str]) -> None:
    """Say at the very end of a run, however quiet, where its result is, or where to look why there is none.

    Args:
        workflow: Snakemake's.
        places: where the result of a target is that names no files, by the target's name.
    """

    def say() -> None:
        if sentence := end(workflow, places):
            print(sentence, file=sys.stderr)

    atexit.register(say)


def end(workflow: Any, places: Mapping[str, str]) -> str:
    """The last line of a run, empty where there was none (a dry run, a mistake in the configuration)."""
    run = workflow.scheduler
    if run is None or workflow.dryrun or workflow.touch:
        return ""
    if run.failed:
        return _failure(run.failed)
    if run.running or run.remaining_jobs:
        return "The run was cut short. The same command resumes from here."
    return "" if SAYS_ITSELF in os.environ else _result(workflow.dag.targetjobs, places)


def shortened(text: str) -> str:
    """A text cut in its middle where it is long."""
    if len(text) <= WIDEST:
        return text
    return f"{text[: WIDEST // 2]} [...] {text[-WIDEST // 3 :]}"


def why(reason: str) -> str:
    """Snakemake's reason of a job, short: of parameters that changed, the place where they differ."""
    text, found, change = reason.partition("Union of exclusive params before and now across all output: ")
    if not found:
        return shortened(reason)
    before, _, now = change.removeprefix("before: ").strip().partition(" now: ")
    same = _same(before, now)
    end = _same(before[same:][::-1], now[same:][::-1])
    begin = max(same - 40, 0)
    shown = [
        f"{'...' if begin else ''}{shortened(side[begin : len(side) - end])}{'...' if end else ''}"
        for side in (before, now)
    ]
    return f"{shortened(text)}before: {shown[0]} now: {shown[1]}"


def _same(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    unlike = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(unlike, min(len(one), len(other)))


def _failure(jobs: Iterable[Any]) -> str:
    """Which jobs failed, and their logs; of a group those whose outputs are missing."""
    single = [one for job in jobs for one in (job.jobs if job.is_group() else [job])]
    failed = [job for job in single if not all(Path(path).exists() for path in job.output)] or single
    lines = sorted(
        _named(job.rule.name, job.wildcards_dict) + "".join(f", log: {path}" for path in job.log)
        for job in failed
    )
    more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
    return f"Failed: {'; '.join(lines[:3])}{more}. The same command resumes from here."


def _result(targets: Iterable[Any], places: Mapping[str, str]) -> str:
    """Where the result of the targets is: the pages among their files first."""
    targets = list(targets)
    said = [places[job.rule.name] for job in targets if job.rule.name in places]
    files = [str(path) for job in targets if job.rule.name not in places for path in job.output or job.input]
    pages = [path for path in files if path.endswith(".html")]
    if pages:
        page = sorted(pages, key=lambda path: Path(path).stem != "all")[0]
        said.append(f"open the report in a browser: {Path(page).absolute()}")
    elif files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        said.append(f"the result is {Path(sorted(files)[0]).absolute()}{more}")
    return f"Done: {'; '.join(said)}" if said else "Done."


def _named(rule: str, wildcards: Mapping[str, str]) -> str:
    values = ", ".join(f"{name}={value}" for name, value in wildcards.items())
    return f"{rule} ({values})" if values else rule


def _cut(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message about a failed job without its inputs, its outputs cut."""
    output = [shortened(", ".join(message["output"]))] if message["output"] else []
    return {**message, "input": [], "output": output}
