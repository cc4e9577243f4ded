"""Which of the package's code each stage of the workflow runs: a change of it marks the stage stale.

A script depends on the modules it imports, on theirs, and so on (types that are only named do not count), and
on the templates and tables these name. `code` is a digest of all of it without comments, docstrings and
layout. Every rule has it as a parameter, and Snakemake reruns what was made with another one.
"""

import ast
import contextlib
import functools
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from neural_recon.core.files import write_text

PACKAGE = Path(__file__).parents[1]
TICK = 2_000_000_000  # ns: the coarsest clock of a file system
_DIGEST = re.compile("[0-9a-f]{16}")
# Modules that change no result, whatever changes in them, as paths within the package.
LEFT_OUT = {
    "core/errors": "the words of a mistake",
    "workflow/jobs": "a script's log and its exit status",
    "config/configuration": "a job gets its values as parameters of the rule, which are compared",
    "config/sections": "the same",
    "core/refusals": "whether a file is there, and the words where the system does not give it",
    "core/file_kinds": "the words for a file of another kind than was expected",
    "datasets/nsd/bucket": "fetches files, whose content is compared",
    "datasets/nsd/tree_checks": "the words of mistakes, before a run",
    "datasets/table/look": "writes a configuration, whose values are compared",
}
# (module or data file, name within it or all), of what a module uses
Found = set[tuple[Path, str | None]]
_DATA = re.compile(r"[\w-]+\.(?:html|css|tsv)")
# as ast.dump writes them
_FROM = re.compile(rf"ImportFrom\(module='({PACKAGE.name}[\w.]*)', names=\[(.*?)\]")
_IMPORT = re.compile(r"Import\(names=\[(.*?)\]")
_ALIAS = re.compile(r"alias\(name='([\w.]+)'")
_NAME = re.compile(r"Name\(id='(\w+)'")


class _Read(NamedTuple):
    """What counts of a file: its text, what each of its functions imports, what the rest of it imports and
    all of it names, and which names it reads: functions that other parts call are used whoever imports it.
    """

    text: str
    functions: dict[str, Found]
    everywhere: Found
    names: set[str]


class Kept:
    """Digests that are remembered between starts, so that planning need not parse the package anew.

    They hold while every file of the package and the script are the same by name, size, times and inode; no
    tool sets the time of an inode's last change. Where nothing can be read or written, each start computes
    its own, as it does of what changed within a clock's tick of the start.

    Args:
        file: where they are remembered.
    """

    def __init__(self, file: Path):
        self.file = file

    def code(self, script: Path) -> str:
        """As `code` of this module."""
        key, changed = _state(script)
        if key not in self.digests:
            self.digests[key] = code(script)
            if max(changed, self._package[1]) < time.time_ns() - TICK:
                with contextlib.suppress(OSError):
                    self.file.parent.mkdir(parents=True, exist_ok=True)
                    write_text(self.file, json.dumps({"package": self._package[0], "digests": self.digests}))
        return self.digests[key]

    @functools.cached_property
    def _package(self) -> tuple[str, int]:
        paths = [path for path in sorted(PACKAGE.rglob("*")) if path.suffix != ".pyc" and path.is_file()]
        known = [_state(path) for path in paths]
        text = "\n".join([sys.version, *(line for line, _ in known)])
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(), max(t for _, t in known)

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """What an earlier start remembered of the package as it is now."""
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            if kept["package"] == self._package[0] and all(map(_DIGEST.fullmatch, kept["digests"].values())):
                return dict(kept["digests"])
        return {}


def _state(path: Path) -> tuple[str, int]:
    """What is known of a file without reading it, and when it last changed, in ns."""
    found = path.stat()
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}", found.st_ctime_ns


@functools.cache
def code(script: Path, source: Path = PACKAGE) -> str:
    """Digest of a script or module and of all code of the package (in the folder `source`) that it runs."""
    digest = hashlib.sha256(_read(script, source).text.encode())
    for path in files(script, source):
        digest.update(f"{path.relative_to(source).as_posix()}\n{_read(path, source).text}\n".encode())
    return digest.hexdigest()[:16]


def files(script: Path, source: Path = PACKAGE) -> list[Path]:
    """The modules and templates of the package that a script depends on, sorted.

    What is imported inside a function counts for those who import that function, or all of its module: the
    loader of one model brings no other model's code.
    """
    absent = {source / "__init__.py", *(source / f"{name}.py" for name in LEFT_OUT)}
    seen: Found = set()
    new: Found = {(script, None)}
    while new:
        seen |= new
        used = {found for path, name in new for found in _used(_read(path, source), name)}
        new = {found for found in used - seen if found[0] not in absent}
    return sorted({path for path, _ in seen} - {script})


def _used(read: _Read, name: str | None) -> Iterator[tuple[Path, str | None]]:
    """What a module's `name` (None: all of it) uses at once."""
    yield from read.everywhere
    for function, found in read.functions.items():
        if name in (None, function) or function in read.names:
            yield from found


@functools.cache
def _read(path: Path, source: Path) -> _Read:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return _Read(text, {}, _beside(path, text), set())
    tree = ast.parse(text)
    _strip(tree)
    parts = [ast.dump(part) for part in tree.body]
    read = _Read(f"Module(body=[{', '.join(parts)}], type_ignores=[])", {}, set(), set())
    for part, written in zip(tree.body, parts, strict=True):
        own = read.everywhere
        if isinstance(part, ast.FunctionDef):
            own = read.functions.setdefault(part.name, set())
        for module, aliases in _FROM.findall(written):
            for name in _ALIAS.findall(aliases):
                # a module of that name, else what holds the name
                if found := _module(f"{module}.{name}", source):
                    own.add((found, None))
                elif found := _module(module, source):
                    own.add((found, name))
        for aliases in _IMPORT.findall(written):
            own |= {(found, None) for name in _ALIAS.findall(aliases) if (found := _module(name, source))}
        read.everywhere.update(_beside(path, written))
        read.names.update(_NAME.findall(written))
    return read


def _strip(node: ast.AST) -> None:
    """Take docstrings and imports for type checkers out of the statements that a node holds."""
    body: list[ast.stmt] = getattr(node, "body", [])
    first = getattr(body[0], "value", None) if body and isinstance(body[0], ast.Expr) else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        body[:] = body[1:] or [ast.Pass()]
    body[:] = [
        part
        for part in body
        if not (
            isinstance(part, ast.If) and isinstance(part.test, ast.Name) and part.test.id == "TYPE_CHECKING"
        )
    ]
    for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
        for part in getattr(node, inner, []):
            _strip(part)


def _module(name: str, source: Path) -> Path | None:
    package, *parts = name.split(".")
    if package != PACKAGE.name:
        return None
    place = source.joinpath(*parts)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _beside(path: Path, text: str) -> Found:
    """The templates, style sheets and tables alongside `path` that a text names."""
    if not any(suffix in text for suffix in (".html", ".css", ".tsv")):  # far quicker than the names
        return set()
    return {(beside, None) for name in _DATA.findall(text) if (beside := path.with_name(name)).is_file()}
