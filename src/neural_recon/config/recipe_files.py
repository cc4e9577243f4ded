"""Recipes as they lie on disk: which sections of a configuration each fills."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.kinds import Kinds
from neural_recon.core.refusals import is_there
from neural_recon.core.texts import read_yaml
from neural_recon.features.space import space_kinds

RECIPE = ("spaces", "decoder", "generator")  # the sections of a recipe


def recipe_file(name: str, folder: Path) -> Path:
    """Where the recipe `name` lies: in `folder`/config/recipes, or it is a path of its own."""
    return Path(name) if name.endswith((".yaml", ".yml")) else folder / "config/recipes" / f"{name}.yaml"


def read_recipe(name: str, folder: Path) -> dict[str, Any]:
    """The recipe `name`."""
    path = recipe_file(name, folder)
    if not is_there(path, "a recipe"):
        known = ", ".join(sorted(p.stem for p in (folder / "config/recipes").glob("*.yaml")))
        along = f"recipes that come along are {known}" if known else "run this in the project's folder"
        raise InputError(f"recipe: expected the file {path}, found none; {along}.")
    content = read_yaml(path, "a recipe")
    sections = ", ".join(RECIPE)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected the sections {sections}, found {quoted(content)}.")
    unknown = sorted(str(name) for name in set(content) - set(RECIPE))
    if unknown:
        raise InputError(f"{path}: expected the sections {sections}, found {', '.join(unknown)}.")
    return content if folder.resolve() == Path.cwd() else _anchored(content, folder)


def recipes_without_text(folder: Path) -> list[str]:
    """Those in `folder`/config/recipes that predict nothing from captions."""
    found = []
    for path in sorted((folder / "config/recipes").glob("*.yaml")):
        with contextlib.suppress(
            InputError, ValueError, KeyError
        ):  # of a recipe that is wrong, its user is told
            kinds = space_kinds(read_recipe(path.stem, folder)["spaces"]).values()
            found += [] if any(kind.reads == "captions" for kind in kinds) else [path.stem]
    return found


def recipe_name(entry: str) -> str:
    """What a recipe is called: its name, or that of its file.

    Raises:
        InputError: it cannot be part of names of files and rules.
    """
    name = Path(entry).stem if entry.endswith((".yaml", ".yml")) else entry
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise InputError(
            "recipes: expected names of letters, digits and _ that begin with a letter, as folders and rules "
            f"are called by them, found {quoted(name)}; rename that file."
        )
    return name


def known_to(kinds: Kinds, kind: Any, section: Any) -> Any:
    """What a recipe says of another kind, without the keys that this kind lacks or wants null."""
    if not isinstance(section, Mapping) or kind == section.get("kind"):
        return section
    try:
        fields = kinds.load(str(kind)).Settings.model_fields.items()
    except InputError:
        return section  # refused where the section is checked
    known = {key for key, field in fields if field.annotation is not type(None)}
    return {key: value for key, value in section.items() if key in known}


def _anchored(content: Any, folder: Path) -> Any:
    """A recipe whose paths work from another folder: those of files that come along lie in `folder`."""
    if isinstance(content, dict):
        return {key: _anchored(value, folder) for key, value in content.items()}
    comes_along = False
    if isinstance(content, str) and "/" in content:
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            comes_along = (folder / content).exists()
    return str(folder / content) if comes_along else content
