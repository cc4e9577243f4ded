"""Steps of a benchmark in processes of their own: each has its own start, and its own peak of memory."""

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from table import NoFigure


@dataclass(frozen=True)
class Ran:
    """What a step gave and took."""

    result: Any
    seconds: float  # wall time; the start of the process is in it
    busy: float  # of the processors; the same
    megabytes: float  # the most resident memory of the process


def apart(function: Callable[..., Any], *arguments: Any, loaded: Sequence[str] = ()) -> Ran:
    """Run a function of the script in a new process.

    Args:
        loaded: modules that are imported once, for all steps that name them, in a process from which the new
            one is forked. The wall time is then no measure of a start.

    Raises:
        NoFigure: the function raised, or its process ended.
    """
    context = multiprocessing.get_context("forkserver" if loaded else "spawn")
    if loaded:
        context.set_forkserver_preload(list(loaded))  # type: ignore[attr-defined]
    began = time.perf_counter()
    what = f"{function.__name__}({', '.join(map(_short, arguments))})"
    with ProcessPoolExecutor(1, context) as pool:
        try:
            result, busy, megabytes = pool.submit(_measured, function, arguments).result()
        except BrokenProcessPool:
            raise NoFigure(f"{what}: expected a result, found its process ended (by a signal?).") from None
        except Exception as error:
            raise NoFigure(f"{what} did not run ({type(error).__name__}: {error})") from error
        return Ran(result, time.perf_counter() - began, busy, megabytes)


def command(words: Sequence[str | Path], folder: Path) -> tuple[str, float, float]:
    """Run a program in a folder: its standard output, wall seconds and those of the processors.

    Raises:
        NoFigure: it ended with another exit status than 0; what it said goes to standard error.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NoFigure(
            f"{' '.join(map(_short, words))} did not run (exit status {done.returncode}): {' '.join(last)}"
        )
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, seconds, busy


def _measured(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, float, float]:
    result = function(*arguments)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return result, used.ru_utime + used.ru_stime, peak()


def peak() -> float:
    """The most resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # not getrusage, whose peak a process takes over from the one that starts it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _short(argument: Any) -> str:
    text = os.fspath(argument) if isinstance(argument, Path) else str(argument)
    return text if len(text) <= 60 else f"{text[:57]}..."
