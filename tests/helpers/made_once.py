"""Folders that take long to make, made once for all test workers: a finished run, and what it starts from.

Nobody works in them: each user takes a copy, and Snakemake finds it up to date, as a copy keeps the times.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def copied(factory: pytest.TempPathFactory, make: Callable[[Path], object], place: Path) -> Path:
    """A copy, at `place`, of the folder that `make` fills when its first user comes."""
    shutil.copytree(made(factory, make), place, symlinks=True)
    return place


def made(factory: pytest.TempPathFactory, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills: of this run of pytest, and only to be read."""
    place = _of_all_workers(factory) / "made once" / f"{make.__module__}.{make.__name__}"
    whole, failed, lock = (place.with_name(f"{place.name}.{state}") for state in ("whole", "failed", "lock"))
    place.parent.mkdir(exist_ok=True)
    with FileLock(lock):  # of a worker that is killed it is free again
        if failed.exists():  # minutes for the same error
            pytest.fail(failed.read_text(encoding="utf-8"))
        if not whole.exists():
            shutil.rmtree(place, ignore_errors=True)
            try:
                make(place)
            except Exception as error:
                failed.write_text(f"{place.name} failed:\n{error}", encoding="utf-8")
                raise
            whole.touch()
    return place


def _of_all_workers(factory: pytest.TempPathFactory) -> Path:
    """pytest's temporary folder; pytest-xdist gives each worker one inside it."""
    folder = factory.getbasetemp()
    return folder.parent if folder.name.startswith("popen-") else folder
