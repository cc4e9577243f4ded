"""The recipes of a comparison: where each one's results lie, and what it shares with the others.

The configuration's own recipe has the results' folder, as in any run. Every other one is this workflow again,
as a module with a folder of its own below it, `compare/RECIPE`, which takes data, responses and features from
elsewhere.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neural_recon.config.configuration import Config, resolve
from neural_recon.config.known_keys import kinds_of
from neural_recon.config.recipe_files import RECIPE, known_to, read_recipe, recipe_name
from neural_recon.core.errors import InputError

FOLDER = "compare"  # below the results
# What no recipe changes, below the results: made once, by the rules of the configuration's own run.
SHARED = ("betas/", "clusters/", "content.parquet", "quality/", "responses/", "session_trials/",
          "single_trials/", "trials/", "voxels/")  # fmt: skip


@dataclass(frozen=True)
class Shared:
    """What the module of a recipe is told, under the key `shared` of its configuration.

    Attributes:
        features: the folder of the chunks of each space.
        makes: the digests of the spaces that this module makes the features of (`digest`).
    """

    features: dict[str, str]
    makes: list[str]


@dataclass(frozen=True)
class Recipe:
    """A recipe of a comparison.

    Attributes:
        name: of its folder and, before two underscores, of its rules.
        config: its configuration.
        shared: what its module is told; None of the configuration's own recipe, which is no module.
    """

    name: str
    config: Config
    shared: Shared | None = None

    @property
    def module(self) -> dict[str, Any]:
        """The configuration of its module, plain values."""
        return {**self.config.model_dump(mode="json"), "shared": asdict(self.shared) if self.shared else None}

    @property
    def moved(self) -> dict[str, str]:
        """What of its folder lies elsewhere: beginnings of paths, as rules write them, and as Snakemake has
        filled them in where a function gives them."""
        places = self.config.pathvars
        return {
            f"{own}/{path}": f"{shared}/{path}"
            for own, shared in (("<results>", "<shared>"), (places["results"], places["shared"]))
            for path in SHARED
        }

    @property
    def about(self) -> str:
        """What it is, in a few words."""
        config = self.config
        return (
            f"spaces {', '.join(config.spaces)}; decoder {config.decoder.kind}; "
            f"generator {config.generator.kind}; results in {config.results}"
        )


def recipes(raw: Mapping[str, Any], config: Config, folder: Path) -> list[Recipe]:
    """The recipes that a configuration compares.

    Args:
        raw: the configuration before its recipe was filled in.
        config: the same, resolved, path variables included.
        folder: the project's.

    Raises:
        InputError: a recipe that is not there, named twice, or that does not fit the configuration or the
            data set.
    """
    names = [recipe_name(entry) for entry in config.recipes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"recipes: expected each name once, as results lie in folders of these names, found {twice[0]} "
            "twice; give one of the files another name."
        )
    results = config.pathvars["results"]
    places = {digest(name, config): f"{results}/features/{name}" for name in config.spaces}
    found = []
    for name, entry in zip(names, config.recipes, strict=True):
        if entry == config.recipe:
            found.append(Recipe(name, config))
            continue
        paths = {kind: f"{path}/{FOLDER}/{name}" for kind, path in config.pathvars.items()}
        given = _for_recipe(raw, entry, folder, config) | {"pathvars": {**paths, "shared": results}}
        try:
            run = Config.model_validate(resolve({**given, "recipes": []}, folder))
        except InputError as error:
            raise InputError(f"recipes: {name}: {error}") from error
        digests = {space: digest(space, run) for space in run.spaces}
        makes = sorted(set(digests.values()) - set(places))
        for space, key in digests.items():
            places.setdefault(key, f"{results}/features/{key}/{space}")
        shared = Shared({space: places[key] for space, key in digests.items()}, makes)
        found.append(Recipe(name, run, shared))
    return found


def _for_recipe(raw: Mapping[str, Any], entry: str, folder: Path, config: Config) -> dict[str, Any]:
    """A raw configuration with another recipe, less what it says of spaces, and of keys of kinds, that this
    recipe lacks.

    Args:
        config: the same configuration with its own recipe, resolved.
    """
    recipe, given = read_recipe(entry, folder), {**raw, "recipe": entry}
    given.pop("generalisation", None)  # a matter of the run's own recipe, whose decoders are kept
    lacking = set(config.spaces) - set(recipe.get("spaces") or {})
    for name in set(RECIPE) & set(raw):
        kinds, section = kinds_of(Config.model_fields[name]), raw[name]
        if not isinstance(section, Mapping):
            continue
        kind = section.get("kind") or (recipe.get(name) or {}).get("kind")
        if name != "spaces" and kinds is not None:
            section = known_to(kinds, kind, section)
        given[name] = _without(section, lacking)
    return given


def _without(section: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """A section less some names, here and in the mappings right below."""
    return {
        key: {k: v for k, v in value.items() if k not in names} if isinstance(value, Mapping) else value
        for key, value in section.items()
        if key not in names
    }


def digest(space: str, config: Config) -> str:
    """What the features of a space are known by among recipes: its name and settings."""
    settings = config.spaces[space].model_dump(mode="json")
    text = json.dumps([space, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def modules(found: Sequence[Recipe]) -> list[Recipe]:
    """Those that run as modules."""
    return [recipe for recipe in found if recipe.shared is not None]


def check(found: Sequence[Recipe]) -> None:
    """Raise an InputError where there is nothing to compare."""
    if not found:
        raise InputError(
            "recipes: expected recipes to compare, found none; name some in the configuration, or by "
            "--config recipes='[brain_diffuser, guides_only]'."
        )
