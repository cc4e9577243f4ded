"""Which of the package's code each stage of the workflow runs: a change of it marks the stage stale.

A script depends on the modules it imports, on theirs, and so on (types that are only named do not count), and
on the templates and tables these name. `code` is a digest of all of it without comments, docstrings and
layout. Every rule has it as a parameter, and Snakemake reruns what was made with another one.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "neural_recon"
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
}
# (module or data file, name within it or all), of what a module uses
Found = set[tuple[Path, str | None]]
_DATA = re.compile(r"[\w-]+\.(?:html|css|tsv)")


def code(script: str | Path, source: str | Path = Path(__file__).parents[1]) -> str:
    """Digest of a script and of all code of the package (in the folder `source`) that it runs."""
    source = Path(source)
    digest = hashlib.sha256(_plain(Path(script)).encode())
    for path in files(script, source):
        text = _plain(path) if path.suffix == ".py" else path.read_text(encoding="utf-8")
        digest.update(f"{path.relative_to(source).as_posix()}\n{text}\n".encode())
    return digest.hexdigest()[:16]


def files(script: str | Path, source: str | Path = Path(__file__).parents[1]) -> list[Path]:
    """The modules and templates of the package that a script depends on, sorted.

    What is imported inside a function counts for those who import that function, or all of its module: the
    loader of one model brings no other model's code.
    """
    source = Path(source)
    seen: Found = set()
    new: Found = {(Path(script), None)}
    while new:
        seen |= new
        new = {found for path, name in new for found in _used(path, name, source)} - seen
    return sorted({path for path, _ in seen} - {Path(script)})


def _used(path: Path, name: str | None, source: Path) -> Iterator[tuple[Path, str | None]]:
    """The (module or data file, name within it) that a module's `name` (None: all of it) uses at once."""
    if path.suffix != ".py":
        yield from ((beside, None) for beside in _named(path, path.read_text(encoding="utf-8")))
        return
    functions, everywhere = _imports(path, source)
    yield from everywhere
    for function, found in functions.items():
        if name is None or name == function or function in _mentioned(path):
            yield from found


@functools.cache
def _imports(path: Path, source: Path) -> tuple[dict[str, Found], Found]:
    """What the functions of a module import each, and what the rest of it imports and names."""
    functions: dict[str, Found] = {}
    everywhere: Found = set()
    for part in _tree(path).body:
        own = functions.setdefault(part.name, set()) if isinstance(part, ast.FunctionDef) else everywhere
        for node in ast.walk(part):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    # a module of that name, else what holds the name
                    if module := _module(f"{node.module}.{alias.name}", source):
                        own.add((module, None))
                    elif holder := _module(node.module, source):
                        own.add((holder, alias.name))
            elif isinstance(node, ast.Import):
                names = (_module(alias.name, source) for alias in node.names)
                own |= {(module, None) for module in names if module}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                everywhere |= {(beside, None) for beside in _named(path, node.value)}
    absent = {source / "__init__.py", *(source / f"{name}.py" for name in LEFT_OUT)}
    functions = {name: {item for item in own if item[0] not in absent} for name, own in functions.items()}
    return functions, {item for item in everywhere if item[0] not in absent}


@functools.cache
def _mentioned(path: Path) -> set[str]:
    """The names that a module reads: functions that its other parts call are used whoever imports it."""
    return {node.id for node in ast.walk(_tree(path)) if isinstance(node, ast.Name)}


def _module(name: str, source: Path) -> Path | None:
    package, *parts = name.split(".")
    if package != PACKAGE:
        return None
    place = source.joinpath(*parts)
    candidates = (place.with_suffix(".py"), place / "__init__.py") if parts else (place / "__init__.py",)
    return next((path for path in candidates if path.is_file()), None)


def _named(path: Path, text: str) -> set[Path]:
    """The templates, style sheets and tables beside `path` that a text names."""
    return {beside for name in _DATA.findall(text) if (beside := path.with_name(name)).is_file()}


@functools.cache
def _tree(path: Path) -> ast.Module:
    """A module without its docstrings and without imports for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        if _is_text(body[0] if body else None):
            body[:] = body[1:] or [ast.Pass()]
        body[:] = [part for part in body if not _for_types(part)]
    return tree


@functools.cache
def _plain(path: Path) -> str:
    return ast.dump(_tree(path))


def _is_text(node: ast.AST | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
