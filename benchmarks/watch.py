"""A program looked at while it runs, with all processes below it: its times and memory, and its steps."""

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import Pattern

import psutil
from table import NoFigure

EVERY = 0.2  # seconds between looks
MEMORY_EVERY = 1  # the same of memory, which costs more to ask for
MEMORY = "PSS" if psutil.LINUX else "RSS"  # shared pages shared out among the processes; counted by each
PATIENCE = 10  # seconds for what outlives the program
PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h


@dataclass
class Step:
    """A process whose command the pattern matches, with all below it."""

    name: str
    seconds: float = 0  # wall time, to one look
    busy: float = 0  # of the processors, until it was last seen
    megabytes: float = 0  # the most resident memory, what its processes share counted by each
    read: float = 0  # bytes it asked for until it was last seen, whether from the disk or from memory
    written: float = 0


@dataclass
class Watched:
    """What a program said and took."""

    began: float = field(default_factory=time.time)
    said: str = ""
    seconds: float = 0
    busy: float = 0  # of the processors, of all processes
    megabytes: float = 0  # the most at one time, of all processes
    steps: dict[psutil.Process, Step] = field(default_factory=dict)


def run(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    step: Pattern[str] | None = None,
    watched: Watched | None = None,
) -> Watched:
    """Run a program in a folder and look at it.

    Processes that lose their parents, as a fork server does, count as well (on Linux); what still runs 10
    seconds after the program is ended. For a script that has no other children, as it waits for all.

    Args:
        step: finds the outermost command of a step; its name is what the groups matched.
        watched: what is filled, for who wants what was seen of a program that failed.

    Raises:
        NoFigure: it ended with another exit status than 0; the end of what it said goes to standard error.
    """
    if psutil.LINUX:  # orphans become ours, so that their times are among those of our children
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    watched, steps, status = watched or Watched(), {}, None
    before, began = _busy(), time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            looked, asked = began, began - MEMORY_EVERY
            while (status := _reaped().get(process.pid)) is None:
                now = time.perf_counter()
                memory = now - asked >= MEMORY_EVERY
                _look(watched, steps, step, now - looked, memory)
                looked, asked = now, now if memory else asked
                time.sleep(EVERY)
            watched.seconds = time.perf_counter() - began
        finally:
            _end_the_rest()
        process.returncode = status
        said.seek(0)
        watched.said = said.read()
    if status:
        sys.stderr.write(watched.said[-10_000:])
        last = "".join(watched.said.strip().splitlines()[-1:])
        raise NoFigure(f"{' '.join(words)} did not run (exit status {status}): {last}")
    watched.busy = _busy() - before
    return watched


def _look(
    watched: Watched,
    known: dict[psutil.Process, psutil.Process],
    step: Pattern[str] | None,
    gap: float,
    memory: bool,
) -> None:
    """Add what is to be seen now.

    Args:
        known: of each process within a step that was seen, the outermost one.
        gap: seconds since the last look.
        memory: whether to ask for it.
    """
    busy: Counter[psutil.Process] = Counter()
    resident: Counter[psutil.Process] = Counter()
    read: Counter[psutil.Process] = Counter()
    written: Counter[psutil.Process] = Counter()
    outermost: dict[int, psutil.Process] = {}
    bytes_now = 0
    for process in psutil.Process().children(recursive=True):  # parents before their children
        with contextlib.suppress(psutil.Error), process.oneshot():  # it may have ended
            root = known.get(process) or outermost.get(process.ppid())
            if not root and step and (found := step.search(" ".join(process.cmdline()))):
                root = process
                watched.steps[root] = Step("".join(filter(None, found.groups())))
            if root:
                known[process] = outermost[process.pid] = root
                # its own, and those of its children that it has waited for
                busy[root] += sum(process.cpu_times()[:4])
                resident[root] += process.memory_info().rss
                if psutil.LINUX:
                    moved = process.io_counters()
                    read[root] += moved.read_chars
                    written[root] += moved.write_chars
            if memory:
                bytes_now += getattr(process.memory_full_info(), MEMORY.lower())
    for root, seconds in busy.items():
        watched.steps[root].seconds += gap
        step_of = watched.steps[root]
        step_of.busy = max(step_of.busy, seconds)
        step_of.megabytes = max(step_of.megabytes, resident[root] / 1e6)
        step_of.read, step_of.written = max(step_of.read, read[root]), max(step_of.written, written[root])
    watched.megabytes = max(watched.megabytes, bytes_now / 1e6)


def _busy() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reaped() -> dict[int, int]:
    """The children that have ended, and their exit status."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended


def _end_the_rest() -> None:
    until = time.monotonic() + PATIENCE
    while psutil.Process().children():
        _reaped()
        if time.monotonic() > until:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        time.sleep(EVERY / 4)
