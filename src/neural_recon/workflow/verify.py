"""Check a results' folder against its records: are the files those that were made, and from what?

Records may come from anywhere, so they are taken as data: outputs are looked for below the results' folder
only, only regular files are opened, and nothing is written.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from neural_recon.core.errors import InputError
from neural_recon.workflow import provenance
from neural_recon.workflow.provenance import CONFIGURATIONS, FOLDER, HASHES, Content, Input, Record, sha256_of

Progress = Callable[[int], None]  # is told the bytes that were read


@dataclass
class Verdict:
    """What a check found.

    Attributes:
        wrong: (state, sentence) of all that is not as recorded; states are "changed", "missing",
            "unreadable" (the system does not give it), "no record", "bad record", "outdated" (made from other
            inputs than those that are there).
        unchecked: inputs that are not there (results that were moved), a sentence each.
        files, size: outputs that are as recorded, and their bytes.
        by_time: large inputs that have no hash, so that size and time had to do.
        cached: links to the cache that folders share, whose records are where they were made.
    """

    wrong: list[tuple[str, str]] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    by_time: int = 0
    cached: int = 0

    def summary(self) -> str:
        """One sentence."""
        states = [state for state, _ in self.wrong]
        counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        found = f"{self.files} results ({self.size / 1e9:.2f} GB) are as recorded"
        notes = []
        if self.by_time:
            notes.append(f"{self.by_time} large inputs are known by size and time only")
        if self.unchecked:
            notes.append(f"{len(self.unchecked)} inputs are not here and could not be checked")
        if self.cached:
            notes.append(f"{self.cached} files are links to a cache and have no records here")
        return f"{'; '.join([', '.join([found, *counts]), *notes])}."


def verify(results: Path, thorough: bool = False, progress: Progress | None = None) -> Verdict:
    """Hash every recorded output again, and compare its inputs with what is there.

    Args:
        results: the results' folder, wherever it lies now.
        thorough: hash inputs too whose size and time are as recorded; weights are hashed in any case.

    Raises:
        InputError: there are no records.
    """
    results = results.absolute()
    if not (results / FOLDER).is_dir():
        raise InputError(
            f"{results}: expected a results' folder with records in {FOLDER}/, found none; "
            "name the folder that the workflow wrote."
        )
    check = _Check(results, thorough, progress or (lambda _: None))
    for output in sorted(check.records):
        try:
            check.output(record := provenance.read(results, output))
            check.inputs(record)
        except InputError as error:  # changed since it was first read
            check.verdict.wrong.append(("bad record", str(error)))
    check.unrecorded()
    return check.verdict


class _Check:
    def __init__(self, results: Path, thorough: bool, progress: Progress) -> None:
        self.results, self.thorough, self.progress = results, thorough, progress
        self.verdict = Verdict()
        self.seen: dict[tuple[Path, int, str | None, int], str] = {}  # inputs and what was found of them
        self.configurations: set[str] = set()
        self.folders: set[str] = set()
        self.known_missing: set[str] = set()
        self.records = dict(self._read())  # hashes by output: few bytes each, however long the records are

    def _read(self) -> Iterator[tuple[str, str]]:
        top = self.results / FOLDER
        for place in _walk(top):
            below = place.relative_to(top)
            if below.parts[0] in (CONFIGURATIONS, HASHES) or below.suffix != ".json":
                continue
            try:
                record = provenance.read(self.results, below.as_posix().removesuffix(".json"))
            except InputError as error:
                self.verdict.wrong.append(("bad record", str(error)))
                continue
            if record.output.files is not None:
                self.folders.add(record.output.path)
            yield record.output.path, record.output.sha256

    def output(self, record: Record) -> None:
        """Compare a file, or all files of a folder."""
        output, sentences = record.output, []
        if output.files is None:
            sentences = [self._compare(output.path, output)]
        elif output.sha256 != provenance.of_folder(output.files):
            sentences = [("bad record", f"{output.path}: expected hashes that agree, found others.")]
        else:
            sentences = [self._compare(f"{output.path}/{name}", f) for name, f in output.files.items()]
            folder = self.results / output.path
            more = set(provenance.files_below(folder)) - set(output.files) if folder.is_dir() else ()
            sentences += [
                ("changed", f"{output.path}/{name}: not among the recorded files.") for name in more
            ]
        wrong = [sentence for sentence in sentences if sentence]
        self.verdict.wrong += wrong
        if not wrong:
            self.verdict.files += 1
            self.verdict.size += output.size

    def _compare(self, path: str, expected: Content) -> tuple[str, str] | None:
        found = self._found(self.results / path, expected.size, expected.sha256)
        return (found.split(":")[0], f"{path}: {found.split(': ')[1]}.") if found else None

    def _found(self, path: Path, size: int, sha256: str) -> str:
        """What is wrong with a file: nothing, or STATE: REASON."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return "changed: expected a file, found something else"
            if status.st_size != size:
                return f"changed: expected {size} bytes, found {status.st_size}"
            same = sha256_of(path, self.progress) == sha256
        except FileNotFoundError:
            return "missing: recorded, but not there"
        except OSError as error:
            return f"unreadable: it cannot be read ({error.strerror})"
        return "" if same else "changed: expected other bytes of the same number"

    def inputs(self, record: Record) -> None:
        """Compare what a result was made from with what is there."""
        output, making = record.output.path, record.made_by
        if making.configuration not in self.configurations:
            self.configurations.add(making.configuration)
            try:
                provenance.read_configuration(self.results, making.configuration)
            except InputError as error:
                self.verdict.wrong.append(("bad record", str(error)))
        for one, time in zip(making.inputs, record.run.input_times, strict=True):
            # a link to the cache that folders share: the hash that this record has of it is the only one here
            cached = one.path not in self.records and os.path.islink(self.results / one.path)  # noqa: PTH114
            if one.of == "result" and not cached:
                now = self.records.get(one.path)
                # a file without a record is said once, below
                if now is None and not os.path.exists(self.results / one.path):  # noqa: PTH110  (names too long)
                    self._unchecked(f"{one.path}: what {output} was made from is not there.", one.path)
                elif now is not None and now != one.sha256:
                    self.verdict.wrong.append(
                        ("outdated", f"{output}: made from another {one.path} than the one that is there.")
                    )
                continue
            self._outside(record, one, time)

    def _outside(self, record: Record, one: Input, time: int) -> None:
        """An input without a record: once for all results made from it."""
        folder = self.results if one.of == "result" else self.results.resolve() / record.run.folder
        path = folder / one.path
        key = (path, one.size, one.sha256, time)
        if key not in self.seen:
            self.seen[key] = self._look(path, one, time)
            self.verdict.by_time += one.sha256 is None
        found = self.seen[key]
        if found == "missing":
            self._unchecked(f"{one.path}: not there.", str(path))
        elif found.startswith("unreadable: "):
            self._unchecked(f"{one.path}: {found.removeprefix('unreadable: ')}.", str(path))
        elif found:
            self.verdict.wrong.append(("outdated", f"{record.output.path}: made from {one.path}; {found}."))

    def _look(self, path: Path, one: Input, time: int) -> str:
        try:
            status = path.stat()
        except OSError as error:
            absent = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
            return "missing" if absent else f"unreadable: it cannot be read ({error.strerror})"
        known = status.st_mtime_ns == time
        if one.sha256 is None:
            if (status.st_size, known) == (one.size, True):
                return ""
            return "that file is of another size or time now"
        if known and status.st_size == one.size and not self.thorough and one.of in ("data", "file"):
            return ""
        found = self._found(path, one.size, one.sha256)
        return found if found.startswith("unreadable") else found.partition(": ")[2]

    def _unchecked(self, sentence: str, path: str) -> None:
        if path not in self.known_missing:
            self.known_missing.add(path)
            self.verdict.unchecked.append(sentence)

    def unrecorded(self) -> None:
        """Find files that no record tells of."""
        for path in _walk(self.results):
            below = path.relative_to(self.results)
            parents = {parent.as_posix() for parent in below.parents}
            hidden = any(part.startswith(".") for part in below.parts)
            if below.parts[0] == FOLDER or hidden or parents & self.folders:
                continue
            # the project's own lines on what will lie here
            if below.as_posix() in self.records or below.as_posix() == "README.md":
                continue
            elif path.is_symlink():
                self.verdict.cached += 1
            else:
                self.verdict.wrong.append(("no record", f"{below}: nothing tells what made it."))


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order; links to folders are not followed, and folders with records of
    their own belong to another configuration's results."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not Path(parent, name, FOLDER).is_dir())
        yield from (Path(parent) / name for name in sorted(names))
