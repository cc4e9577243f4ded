"""Digests of code that are kept between starts, so that planning need not parse the whole package anew.

They hold as long as every file of the package and every script is the same by name, size, times, inode and
the Python that parsed it. The time of the last change of an inode (ctime) is among them: no tool can set it,
so neither a checkout nor a copy that keeps sizes and times passes. What changed just before the program
started is not kept, as two changes within a clock's tick look alike. Where nothing can be read or written,
each start computes its own.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from neural_recon.core.files import part_of
from neural_recon.workflow import code_digests

logger = logging.getLogger(__name__)

NAME = "neural_recon_code.json"
FORMAT = 1  # of that file
TICK = 2  # seconds: the coarsest clock of a file system
STARTED = time.time()
DIGEST = re.compile("[0-9a-f]{16}")


class KeptDigests:
    """`code_digests.code` of the scripts in one folder, remembered in a file of another.

    Args:
        folder: where to remember them; need not be there, nor be writable.
        scripts: the folder of the scripts.
        source: that of the package.
    """

    def __init__(
        self,
        folder: str | Path,
        scripts: str | Path,
        source: str | Path = Path(code_digests.__file__).parents[1],
    ):
        self.path, self.scripts, self.source = Path(folder) / NAME, Path(scripts), Path(source)
        self._state: str | None = None
        self._codes: dict[str, str] = {}

    def code(self, script: str) -> str:
        """The digest of a script, by its name without a suffix."""
        return self._digest(script, self.scripts / f"{script}.py")

    def module(self, path: Path) -> str:
        """The digest of a module that a script loads by name: a kind of some seam."""
        if not path.is_relative_to(self.source):  # somebody's own: no state here tells when it changes
            return code_digests.code(path, self.source)
        return self._digest(path.relative_to(self.source).as_posix(), path)

    def _digest(self, name: str, path: Path) -> str:
        if self._state is None:
            self._state, _ = self._look()
            self._codes = self._read(self._state)
        if name not in self._codes:
            self._codes[name] = code_digests.code(path, self.source)
            self._keep()
        return self._codes[name]

    def _look(self) -> tuple[str, float]:
        """All that a digest may depend on, as a hash, and when any of it last changed."""
        found = [*_files(self.source), *_files(self.scripts), _known(Path(code_digests.__file__))]
        lines = [f"{FORMAT} {sys.version}", *(line for line, _ in found)]
        newest = max(changed for _, changed in found)
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest(), newest

    def _read(self, state: str) -> dict[str, str]:
        """What an earlier start kept for this state; nothing where there is no such file, or it is odd."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            codes = kept["codes"] if kept["state"] == state else {}
            whole = all(DIGEST.fullmatch(code) for code in codes.values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}
        return dict(codes) if whole else {}

    def _keep(self) -> None:
        state, newest = self._look()
        if state != self._state or newest > STARTED - TICK:
            return
        part = part_of(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"state": state, "codes": self._codes}), encoding="utf-8")
            part.replace(self.path)  # of two runs at once the later one's stays, and is whole
        except OSError as error:
            logger.debug("digests of code are not kept: %s", error)
            with contextlib.suppress(OSError):
                part.unlink()


def _files(folder: Path | str) -> Iterator[tuple[str, float]]:
    """What is known of all files in a folder and below it, without reading them."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield f"{os.fspath(folder)} cannot be looked into", math.inf
        return
    for entry in found:
        if not entry.is_dir():
            yield _known(entry)
        elif entry.is_symlink():  # may lead in circles; so it is not looked into, and nothing is kept
            yield f"{entry.path} is a linked folder", math.inf
        elif entry.name != "__pycache__":
            yield from _files(entry.path)


def _known(file: Path | os.DirEntry[str]) -> tuple[str, float]:
    """Of a file, or what a link leads to: a line, and when it last changed."""
    path = os.fspath(file)
    try:
        status = file.stat()
    except OSError:
        return f"{path} cannot be looked at", 0
    times = status.st_mtime_ns, status.st_ctime_ns
    return f"{path} {status.st_size} {times} {status.st_ino}", max(times) / 1e9
