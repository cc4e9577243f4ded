"""What all benchmarks share: `--small`, and the table that they print, in the form of benchmarks/README.md.

A table knows its rows before they are measured. What is missing in the end (a row, a figure, a number that is
none) stops the benchmark with a sentence, and so does a step that fails (`steps`): no table has a gap that
nobody noticed. Rows go to standard error as they come, and the whole to standard output once all are there.
"""

import argparse
import datetime
import importlib.metadata
import math
import numbers
import os
import platform
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NONE = "–"  # where a column says nothing of a row
SMALL = "The smallest size: it shows that every step runs, and its figures mean nothing."


class NoFigure(Exception):
    """A figure that cannot be given: a sentence says which, and why."""


class Table:
    """Figures by rows and columns.

    Args:
        columns: by title, how their figures are written (".1f", ",d", or "s" for words).
        rows: what is measured, in the order of the table.
    """

    def __init__(self, columns: Mapping[str, str], rows: Iterable[str]):
        self.columns = dict(columns)
        self.rows: dict[str, list[str] | None] = dict.fromkeys(rows)

    def add(self, row: str, *figures: object) -> None:
        """A row's figures, one a column; `NONE` where a column says nothing of it.

        Raises:
            NoFigure: a figure that is none, or another number of them than of columns; an unknown row.
        """
        if len(figures) != len(self.columns):
            raise NoFigure(
                f"{row!r}: expected {len(self.columns)} figures ({', '.join(self.columns)}), "
                f"found {len(figures)}."
            )
        if all(found == NONE for found in figures):
            raise NoFigure(f"{row!r}: expected a figure, found none in any column.")
        pairs = zip(self.columns.items(), figures, strict=True)
        self._set(row, [figure(found, spec, f"{title!r} of {row!r}") for (title, spec), found in pairs])

    def absent(self, row: str, why: str) -> None:
        """Say in a row why it is not measured."""
        self._set(row, [f"not measured: {why}", *[NONE] * (len(self.columns) - 1)])

    def _set(self, row: str, cells: list[str]) -> None:
        if row not in self.rows or self.rows[row] is not None:
            raise NoFigure(f"{row!r}: expected one of the table's rows, each once.")
        self.rows[row] = cells
        print(f"{row}: {', '.join(cells)}", file=sys.stderr, flush=True)

    def markdown(self) -> str:
        """The table; raises a NoFigure where a row was not measured."""
        missing = [repr(row) for row, cells in self.rows.items() if cells is None]
        if missing or not self.rows:
            raise NoFigure(f"{', '.join(missing) or 'the table'}: expected figures, found none.")
        lines = [["measured", *self.columns], *([row, *(cells or ())] for row, cells in self.rows.items())]
        head, *rest = (f"| {' | '.join(line)} |" for line in lines)
        return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])


def figure(found: object, spec: str, what: str) -> str:
    """A number (with "s" a word) as it is written.

    Raises:
        NoFigure: NaN, infinity, nothing, or of another type.
    """
    if found == NONE:
        return NONE
    word = isinstance(found, str) and bool(found.strip()) and spec == "s"
    number = isinstance(found, numbers.Real) and math.isfinite(found) and spec != "s"
    if not (word or number):
        raise NoFigure(f"{what}: expected {'a word' if spec == 's' else 'a number'}, found {found!r}.")
    return format(found, spec)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--small", action="store_true", help="the smallest size at which every step runs, in seconds"
    )
    return made


def run(
    options: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], tuple[str, Table]],
    small: Mapping[str, object],
) -> None:
    """Measure and print, or end with a sentence and exit status 1.

    Args:
        options: of `parser`.
        measure: returns what was measured, in sentences, and the table.
        small: with `--small`, the options' defaults.
    """
    if options.parse_known_args()[0].small:
        options.set_defaults(**small)
    arguments, script = options.parse_args(), Path(sys.argv[0]).name
    load = os.getloadavg()[0]
    try:
        said, table = measure(arguments)
        text = table.markdown()
        if no_number := re.search(r"\b(nan|inf|None)\b", said):
            raise NoFigure(f"expected numbers, found {no_number[0]} in: {said}")
    except NoFigure as error:
        if error.__cause__:
            traceback.print_exception(error.__cause__)
        sys.exit(f"benchmarks/{script}: {error}")
    except Exception as error:
        traceback.print_exception(error)
        sys.exit(f"benchmarks/{script}: no figures, as it stopped ({type(error).__name__}: {error}).")
    loads = f"load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    print(f"{_command(script)}, {datetime.date.today()}, {_version()}, {_machine()}, {loads}. {said}")
    if arguments.small:
        print(SMALL)
    print(f"\n{text}")


def _command(script: str) -> str:
    threads = os.environ.get("OMP_NUM_THREADS")
    words = [*([f"OMP_NUM_THREADS={threads}"] if threads else []), "python", f"benchmarks/{script}"]
    return f"`{shlex.join([*words, *sys.argv[1:]])}`"


def _version() -> str:
    """The commit measured, and whether files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return f"commit {done.stdout.strip()}"
    except (OSError, subprocess.CalledProcessError):
        return f"version {importlib.metadata.version('neural-recon')}"


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores ({name})"
