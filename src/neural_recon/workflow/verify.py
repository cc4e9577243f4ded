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
from neural_recon.workflow.provenance import CONFIGURATIONS, FOLDER, HASHES, Content, Record

Progress = Callable[[int], None]  # is told the bytes of each file that was read
Wrong = tuple[str, str]  # state, sentence
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


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

    wrong: list[Wrong] = field(default_factory=list)
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
    for record in check.records.values():
        check.output(record)
        check.inputs(record)
    for sha256 in sorted({record.made_by.configuration for record in check.records.values()}):
        try:
            provenance.read_configuration(results, sha256)
        except InputError as error:
            check.verdict.wrong.append(("bad record", str(error)))
    check.unrecorded()
    return check.verdict


class _Check:
    def __init__(self, results: Path, thorough: bool, progress: Progress) -> None:
        self.results, self.thorough, self.progress = results, thorough, progress
        self.verdict = Verdict()
        self.seen: dict[tuple[Path, int, str | None, int], Wrong | None] = {}  # inputs without a record
        self.records: dict[str, Record] = {}  # by output
        top = results / FOLDER
        for place in sorted(_walk(top)):
            below = place.relative_to(top)
            if below.parts[0] in (CONFIGURATIONS, HASHES) or below.suffix != ".json":
                continue
            output = below.as_posix().removesuffix(".json")
            try:
                self.records[output] = provenance.read(results, output)
            except InputError as error:
                self.verdict.wrong.append(("bad record", str(error)))

    def output(self, record: Record) -> None:
        """Compare a file, or all files of a folder."""
        output, wrong = record.output, self.verdict.wrong
        before = len(wrong)
        files: dict[str, Content] = {output.path: output}
        if output.files is not None:
            files = {f"{output.path}/{name}": content for name, content in output.files.items()}
            if output.sha256 != provenance.of_folder(output.files):
                wrong.append(("bad record", f"{output.path}: expected hashes that agree, found others."))
                return
            there = provenance.files_below(self.results / output.path)
            more = sorted(set(there) - set(output.files))
            wrong += [("changed", f"{output.path}/{name}: not among the recorded files.") for name in more]
        for path, content in files.items():
            if found := self._differs(self.results / path, content.size, content.sha256):
                state, reason = found
                wrong.append(
                    (state, f"{path}: {'recorded, but not there' if state == 'missing' else reason}.")
                )
        if len(wrong) == before:
            self.verdict.files += 1
            self.verdict.size += output.size

    def _differs(
        self, path: Path, size: int, sha256: str | None, time: int | None = None, trusting: bool = False
    ) -> Wrong | None:
        """What is wrong with a file, without its name: state and reason.

        Args:
            sha256: without one size and time must do.
            time: that of the file when it was read.
            trusting: whether they do in any case where they are the same.
        """
        try:
            status = path.stat()
            known = (status.st_size, status.st_mtime_ns) == (size, time)
            if known and (trusting or sha256 is None):
                return None
            if sha256 is None:
                return "changed", "that file is of another size or time now"
            if not stat.S_ISREG(status.st_mode):
                return "changed", "expected a file, found something else"
            if status.st_size != size:
                return "changed", f"expected {size} bytes, found {status.st_size}"
            same = provenance.sha256_of(path) == sha256
        except OSError as error:
            if error.errno in _ABSENT:
                return "missing", "not there"
            return "unreadable", f"it cannot be read ({error.strerror})"
        self.progress(size)
        return None if same else ("changed", "expected other bytes of the same number")

    def inputs(self, record: Record) -> None:
        """Compare what a result was made from with what is there."""
        output, verdict = record.output.path, self.verdict
        for one, time in zip(record.made_by.inputs, record.run.input_times, strict=True):
            if one.of == "result" and one.path in self.records:
                if self.records[one.path].output.sha256 != one.sha256:
                    sentence = f"{output}: made from another {one.path} than the one that is there."
                    verdict.wrong.append(("outdated", sentence))
                continue
            path = self.results / one.path
            if one.of != "result":
                path = self.results.resolve() / record.run.folder / one.path
            # a link leads to the cache that folders share: the hash in this record is the only one of it
            elif os.path.exists(path) and not os.path.islink(path):  # noqa: PTH110, PTH114  (names too long)
                continue  # a file without a record is said once, below
            key = (path, one.size, one.sha256, time)
            if key not in self.seen:  # once for all results made from it
                trusting = not self.thorough and one.of in ("data", "file")
                self.seen[key] = self._differs(path, one.size, one.sha256, time, trusting)
                verdict.by_time += one.sha256 is None
            state, reason = self.seen[key] or ("", "")
            if state == "changed":
                verdict.wrong.append(("outdated", f"{output}: made from {one.path}; {reason}."))
            elif state and (sentence := f"{one.path}: {reason}.") not in verdict.unchecked:
                verdict.unchecked.append(sentence)

    def unrecorded(self) -> None:
        """Find files that no record tells of."""
        folders = {path for path, record in self.records.items() if record.output.files is not None}
        for path in _walk(self.results):
            below = path.relative_to(self.results)
            parents = {parent.as_posix() for parent in below.parents}
            hidden = any(part.startswith(".") for part in below.parts)
            if below.parts[0] == FOLDER or hidden or parents & folders:
                continue
            # the project's own lines on what will lie here
            if below.as_posix() in self.records or below.as_posix() == "README.md":
                continue
            if path.is_symlink():
                self.verdict.cached += 1
            else:
                self.verdict.wrong.append(("no record", f"{below}: nothing tells what made it."))


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order; links to folders are not followed, and folders with records of
    their own belong to another configuration's results."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not Path(parent, name, FOLDER).is_dir())
        yield from (Path(parent) / name for name in sorted(names))
