"""Digests of code kept between starts are those that would be computed, whatever happened between."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.places import ROOT

import neural_recon
from neural_recon.workflow import code_digests, kept_digests
from neural_recon.workflow.kept_digests import KeptDigests

PACKAGE = Path(neural_recon.__file__).parent
NAMES = ("betas", "ridge_kernel")


class Starts:
    """Starts of the program, one after the other, on a copy of package and scripts."""

    def __init__(self, folder: Path):
        self.package, self.scripts, self.folder = folder / "src", folder / "scripts", folder / ".snakemake"
        self.kept = self.folder / kept_digests.NAME
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__", "training"))
        shutil.copytree(ROOT / "workflow/scripts", self.scripts)

    def codes(self, *names: str) -> dict[str, str]:
        """What a new process finds."""
        for function in (
            code_digests._imports,
            code_digests._mentioned,
            code_digests._tree,
            code_digests._plain,
        ):
            function.cache_clear()
        digests = KeptDigests(self.folder, self.scripts, self.package)
        return {name: digests.code(name) for name in names or NAMES}

    def anew(self) -> dict[str, str]:
        """The same without what was kept."""
        self.kept.unlink(missing_ok=True)
        return self.codes()


@pytest.fixture
def starts(tmp_path, monkeypatch):
    """Its files are old enough to be kept."""
    monkeypatch.setattr(kept_digests, "STARTED", time.time() + 60)
    return Starts(tmp_path)


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """The scripts whose digests were computed, by something that is quick."""
    found = []

    def compute(script: Path, _source: Path) -> str:
        found.append(script.stem)
        return f"{len(script.stem):016x}"

    monkeypatch.setattr(code_digests, "code", compute)
    return found


def test_second_start_computes_nothing(starts, computed):
    first = starts.codes()
    assert computed == [*NAMES]
    assert starts.codes() == first
    # another script is added to those that are there
    starts.codes("scores")
    assert computed == [*NAMES, "scores"]
    assert starts.codes(*NAMES, "scores") == {**first, "scores": f"{len('scores'):016x}"}
    assert computed == [*NAMES, "scores"]


def test_kept_digests_are_those_of_the_stages(starts):
    first = starts.codes()
    assert first == {name: code_digests.code(starts.scripts / f"{name}.py", starts.package) for name in NAMES}
    assert starts.codes() == first
    assert set(json.loads(starts.kept.read_text(encoding="utf-8"))["codes"]) == {*NAMES}


def in_place(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def renamed(path: Path, text: str) -> None:
    other = path.with_name("other")
    other.write_text(text, encoding="utf-8")
    other.replace(path)


@pytest.mark.parametrize("write", [in_place, renamed])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("src/decoding/kernel.py", "ROWS = 1024", "ROWS = 2048"),
        ("scripts/ridge_kernel.py", '"test"', '"tent"'),
    ],
)
def test_change_that_keeps_size_and_time_is_seen(starts, write, name, old, new):
    """As a checkout or a copy may leave it."""
    path = starts.folder.parent / name
    before, status, text = starts.codes(), path.stat(), path.read_text(encoding="utf-8")
    assert old in text
    write(path, text.replace(old, new))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    after = starts.codes()
    assert after["ridge_kernel"] != before["ridge_kernel"]
    assert after["betas"] == before["betas"]
    assert after == starts.anew()


def test_file_that_appears_or_goes_is_seen(starts, computed):
    """What a name means depends on which files there are: a module, a folder, a template."""
    starts.codes()
    for change in (
        lambda: (starts.package / "datasets/nsd/volumes").mkdir(),
        lambda: (starts.package / "datasets/nsd/volumes/__init__.py").touch(),
        lambda: (starts.package / "report/style.css").unlink(),
        lambda: (starts.scripts / "table.tsv").touch(),
        lambda: (starts.package / "decoding/ridge.py").rename(starts.package / "decoding/ridges.py"),
    ):
        count = len(computed)
        change()
        starts.codes()
        # an empty folder is no module
        assert len(computed) - count == (
            0 if not any((starts.package / "datasets/nsd/volumes").iterdir()) else len(NAMES)
        )


def test_change_while_it_was_read_is_not_kept(starts, monkeypatch):
    """What was computed may be of either state."""
    compute = code_digests.code

    def disturbed(*arguments):
        found = compute(*arguments)
        (starts.package / "datasets/nsd/nsd_tree.py").touch()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(code_digests, "code", disturbed)
        starts.codes("betas")
    assert not starts.kept.exists()


def test_what_changed_just_before_the_start_is_not_kept(starts, computed, monkeypatch):
    """A second change within the clock's tick could not be told from it."""
    monkeypatch.setattr(kept_digests, "STARTED", time.time() - 1)
    starts.codes()
    assert not starts.kept.exists()
    starts.codes()
    assert computed == [*NAMES, *NAMES]


def test_code_of_the_digests_counts(starts, computed, monkeypatch, tmp_path):
    """Digests of another version of the module that makes them, or of another Python, are not taken."""
    starts.codes()
    shutil.copy(code_digests.__file__, tmp_path / "code_digests.py")
    monkeypatch.setattr(code_digests, "__file__", str(tmp_path / "code_digests.py"))
    starts.codes()
    assert computed == [*NAMES, *NAMES]
    monkeypatch.setattr(sys, "version", "4.0")
    starts.codes()
    assert computed == [*NAMES, *NAMES, *NAMES]


@pytest.mark.usefixtures("computed")
def test_linked_folder_is_not_vouched_for(starts, tmp_path):
    (starts.package / "report").rename(tmp_path / "elsewhere")
    (starts.package / "report").symlink_to(tmp_path / "elsewhere")
    starts.codes()
    assert not starts.kept.exists()


def test_folder_that_cannot_be_looked_into_is_not_vouched_for(starts, monkeypatch):
    expected, scan = starts.codes(), os.scandir

    def refused(folder):
        if os.fspath(folder).endswith("report"):
            raise PermissionError(13, "Permission denied", os.fspath(folder))
        return scan(folder)

    starts.kept.unlink()
    monkeypatch.setattr(os, "scandir", refused)
    assert starts.codes() == expected
    assert not starts.kept.exists()


def test_link_that_leads_nowhere_stops_nothing(starts, computed):
    """As some editors leave beside a file."""
    (starts.package / ".#nsd.py").symlink_to("me@host.1234")
    starts.codes()
    starts.codes()
    assert computed == [*NAMES]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"state": 1}', '{"codes": {}}', "\x00", "[" * 100_000, "another state", "short",
     "no text", "no mapping", b"\xff\xfe"],
)  # fmt: skip
def test_odd_file_is_computed_anew(starts, computed, text):
    first = starts.codes()
    kept = json.loads(starts.kept.read_text(encoding="utf-8"))
    text = {
        "another state": json.dumps({"state": "0" * 64, "codes": dict.fromkeys(NAMES, "0" * 16)}),
        "short": json.dumps({**kept, "codes": dict.fromkeys(NAMES, "0" * 15)}),
        "no text": json.dumps({**kept, "codes": dict.fromkeys(NAMES, 7)}),
        "no mapping": json.dumps({**kept, "codes": [*NAMES]}),
    }.get(text, text)
    starts.kept.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert starts.codes() == first
    assert len(computed) == 2 * len(NAMES)
    assert starts.codes() == first  # and kept again
    assert len(computed) == 2 * len(NAMES)


@pytest.mark.usefixtures("computed")
def test_folder_that_takes_no_file_stops_nothing(starts, monkeypatch):
    starts.folder.write_text("a file where the folder should be", encoding="utf-8")
    first = starts.codes()
    starts.folder.unlink()

    def refused(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    for name in ("write_text", "unlink"):  # as on a file system that is only read
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", refused)
            patch.setattr(Path, name, refused)
            assert starts.codes() == first
        assert list(starts.folder.iterdir()) == []


def test_two_starts_at_once_leave_a_whole_file(tmp_path):
    program = (
        "import sys, time; from neural_recon.workflow import kept_digests as k; k.STARTED = time.time() + "
        "60\n"
        "made = k.KeptDigests(sys.argv[1], sys.argv[2])\n"
        "print(*[made.code(name) for name in sys.argv[3:]])"
    )
    command = [sys.executable, "-c", program, tmp_path / ".snakemake", ROOT / "workflow/scripts"]
    sides = NAMES, NAMES[::-1]
    both = [subprocess.Popen([*command, *names], stdout=subprocess.PIPE, text=True) for names in sides]
    (one, _), (other, _) = (process.communicate() for process in both)
    expected = [code_digests.code(ROOT / f"workflow/scripts/{name}.py") for name in NAMES]
    assert one.split() == other.split()[::-1] == expected
    (left,) = (tmp_path / ".snakemake").iterdir()
    assert set(json.loads(left.read_text(encoding="utf-8"))) == {"state", "codes"}
