"""What all test workers share is made once, whole, and anew by every run of pytest."""

import multiprocessing
import os
from pathlib import Path

import pytest
from helpers import made_once


def slow(folder: Path) -> None:
    """Says who made it, in two steps."""
    folder.mkdir()
    with (folder.parent / "asked").open("a") as asked:
        asked.write("once\n")
    (folder / "first").write_text(str(os.getpid()))
    (folder / "second").symlink_to("first")


def broken(folder: Path) -> None:
    folder.mkdir()
    with (folder.parent / "asked").open("a") as asked:
        asked.write("once\n")
    raise ValueError("no such thing")


class Worker:
    """pytest's temporary folder, as a worker of pytest-xdist has it."""

    def __init__(self, base: Path, name: str):
        self.base = base / name
        self.base.mkdir(exist_ok=True)

    def getbasetemp(self) -> Path:
        return self.base


def copy(base: Path, name: str) -> None:
    worker = Worker(base, name)
    made_once.copied(worker, slow, worker.getbasetemp() / "a copy")


def test_workers_that_come_at_once_copy_one_folder(tmp_path):
    names = [f"popen-gw{k}" for k in range(3)]
    started = [
        multiprocessing.get_context("fork").Process(target=copy, args=(tmp_path, name)) for name in names
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0, 0]
    assert (tmp_path / "made once/asked").read_text() == "once\n"
    copies = [tmp_path / name / "a copy" for name in names]
    assert len({(folder / "first").read_text() for folder in copies}) == 1
    assert all((folder / "second").is_symlink() for folder in copies)
    # a worker that changes its copy changes nobody else's, and one that comes late finds none changed
    (copies[0] / "first").write_text("mine")
    late = made_once.copied(Worker(tmp_path, "popen-gw9"), slow, tmp_path / "late")
    assert (late / "first").read_text() == (copies[1] / "first").read_text() != "mine"


def test_half_of_a_folder_is_not_taken(tmp_path):
    """What a worker left that was killed while it made it."""
    worker = Worker(tmp_path, "popen-gw0")
    half = tmp_path / f"made once/{__name__}.slow"
    half.mkdir(parents=True)
    (half / "first").write_text("half")
    made = made_once.made(worker, slow)
    assert made == half
    assert (made / "second").read_text() == str(os.getpid())


def test_what_failed_is_not_tried_by_every_worker(tmp_path):
    with pytest.raises(ValueError, match="no such thing"):
        made_once.made(Worker(tmp_path, "popen-gw0"), broken)
    with pytest.raises(pytest.fail.Exception, match=r"broken failed:\nno such thing"):
        made_once.made(Worker(tmp_path, "popen-gw1"), broken)
    assert (tmp_path / "made once/asked").read_text() == "once\n"


def test_without_workers_it_lies_in_the_run_s_own_folder(tmp_path):
    assert made_once.made(Worker(tmp_path, "pytest-7"), slow).is_relative_to(tmp_path / "pytest-7")
