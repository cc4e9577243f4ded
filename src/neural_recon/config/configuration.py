"""The whole configuration, and how it is read.

The sections `spaces`, `decoder` and `generator` come from a recipe (`config/recipes/NAME.yaml`, a
published decoder); what the configuration itself says of them wins.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from neural_recon.config import cross_checks
from neural_recon.config.known_keys import kinds_of, nearest
from neural_recon.config.recipe_files import known_to, read_recipe
from neural_recon.config.sections import (
    Bottleneck,
    Captioner,
    DataAmount,
    Demo,
    Evaluation,
    Features,
    Figure,
    Generalisation,
    Regions,
    Responses,
    SpaceName,
    Split,
)
from neural_recon.core.errors import InputError, mistakes, quoted
from neural_recon.core.kinds import Section
from neural_recon.core.refusals import is_there
from neural_recon.core.texts import read_yaml
from neural_recon.datasets import of_settings
from neural_recon.datasets.dataset import DATA_SETS, NAME, SUBJECTS, DataSet, Terms
from neural_recon.decoding.decoder import DECODERS, Decoder
from neural_recon.evaluation.registry import HEADLINE, measured
from neural_recon.features.space import SPACES, Space, base_space
from neural_recon.generation.generator import GENERATORS, Generator

SIMULATED = Terms("the demo's simulated subjects", "MIT", responses=True)
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


class Config(Section):
    """Everything a run depends on, but for threads, memory and cluster (profiles have those)."""

    seed: int = Field(0, ge=0, description="Seeds folds, draws and the noise of every picture.")
    recipe: str = Field(description="A published decoder: NAME of config/recipes/NAME.yaml, or a path.")
    recipes: list[str] = Field(
        [], description="Recipes that the target `compare` puts side by side, named like `recipe`."
    )
    dataset: Annotated[DataSet.Settings, DATA_SETS]
    subjects: dict[Name, Annotated[DataSet.Subject, SUBJECTS]] = Field(
        min_length=1, description="Whose data are used, by name."
    )
    split: Split = Split()
    responses: Responses = Responses()
    captioner: Captioner | None = None
    spaces: dict[SpaceName, Annotated[Space.Settings, SPACES]] = Field(
        min_length=1, description="The feature spaces that the decoder predicts, by a name of your choice."
    )
    features: Features = Features()
    decoder: Annotated[Decoder.Settings, DECODERS]
    generator: Annotated[Generator.Settings, GENERATORS]
    evaluation: Evaluation = Evaluation()
    data_amount: DataAmount | None = None
    bottleneck: Bottleneck | None = None
    regions: Regions = Regions()
    generalisation: dict[SpaceName, Generalisation] = Field(
        {},
        description="Other sessions of the same people to test decoders on, by a name of your choice.",
    )
    figure: Figure = Figure()
    demo: Demo | None = None
    pathvars: dict[Literal["results", "logs", "benchmarks", "shared"], str] = Field(
        {},
        description="Snakemake's path variables: results, logs, benchmarks. In a comparison the workflow "
        "sets shared of each recipe: the results that all share.",
    )

    @model_validator(mode="after")
    def _agrees(self, info: ValidationInfo) -> "Config":
        cross_checks.check(self, info.context)
        return self

    @property
    def decoded(self) -> list[str]:
        """The subjects whose pictures are decoded."""
        return [name for name, subject in self.subjects.items() if subject.decoded]

    def other(self, name: str) -> DataSet:
        """The data set of other sessions (`generalisation`)."""
        if name not in self._others:
            settings = self.generalisation[name].dataset
            self._others[name] = DATA_SETS.load(settings.kind)(settings, {})
        return self._others[name]

    @functools.cached_property
    def _others(self) -> dict[str, DataSet]:
        return {}

    def people(self, name: str) -> dict[str, str]:
        """Who of the subjects is in a data set of other sessions, and what it calls them."""
        given, there = self.generalisation[name].subjects, self.other(name).subjects
        return given or {subject: subject for subject in self.decoded if subject in there}

    @property
    def painted_components(self) -> list[int]:
        """The numbers of components of the responses that pictures are made from."""
        offered = "bottleneck" in DECODERS.load(self.decoder.kind).offers
        asked = self.bottleneck if offered else None
        return sorted(set(asked.components)) if asked and asked.pictures else []

    @property
    def caption_encoder(self) -> Space.Settings | None:
        """What captions as answers are compared by, where it is not the recipe's own text space."""
        named = self.evaluation.caption_encoder
        return SPACES.settings(named) if named else None

    @property
    def computed_spaces(self) -> dict[str, Space.Settings]:
        """All spaces that features are computed in, by the key that describes them."""
        further = {
            "evaluation.encoding": self.evaluation.encoding,
            "evaluation.caption_encoder": self.caption_encoder,
        }
        return {
            **{f"spaces.{name}": settings for name, settings in self.spaces.items()},
            **{key: settings for key, settings in further.items() if settings},
        }

    @property
    def owners(self) -> dict[str, str]:
        """With which spaces each shares what it is predicted from (`Decoder.Settings.owners`)."""
        return self.decoder.owners(list(self.spaces), self.responses.average)

    @property
    def kept_files(self) -> dict[str, tuple[str, str]]:
        """What is kept of each space for new scans (`Decoder.Settings.kept_files`)."""
        return self.decoder.kept_files(list(self.spaces), self.responses.average)

    @property
    def named_regions(self) -> dict[str, Sequence[str]]:
        """All regions that are asked for, by the key that lists them."""
        decoded = {space: self.decoder.regions_of(space) for space in self.spaces}
        return {
            **{f"regions.sets.{name}": members for name, members in self.regions.sets.items()},
            **{f"decoder.regions.{space}": members for space, members in decoded.items() if members},
        }

    @property
    def base(self) -> str | None:
        """The space whose pictures are the base images: the generator's, else the first that decodes."""
        return self.generator.base or base_space(self.spaces)

    @property
    def metrics(self) -> list[str]:
        """The metrics of pictures that this configuration measures."""
        chosen = self.evaluation
        return measured(chosen.preset, chosen.networks, chosen.classifier is not None)

    @property
    def figure_score(self) -> str:
        """The metric that the figure for papers goes by."""
        return self.figure.score or (HEADLINE if HEADLINE in self.metrics else self.metrics[0])

    @property
    def results(self) -> Path:
        """The folder of this configuration's results."""
        return Path(self.pathvars.get("results", "results"))

    @property
    def shared(self) -> Path:
        """The folder of what recipes in a comparison share; in any other run that of the results."""
        return Path(self.pathvars.get("shared", self.results))

    @functools.cached_property
    def data(self) -> DataSet:
        """The data set."""
        return of_settings(self.dataset, self.subjects, self.shared if self.captioner else None)

    @property
    def terms(self) -> Terms:
        """The terms of the data; those of simulated ones are the project's."""
        return SIMULATED if self.demo else self.data.terms

    def sessions_there(self, name: str) -> list[int]:
        """All sessions of a subject, used or not."""
        return self.data.sessions(name) if self.demo is None else list(range(1, self.demo.sessions + 1))

    def sessions(self, name: str) -> list[int]:
        """The 1-based sessions of a subject that are used, ascending."""
        sessions = self.subjects[name].sessions
        if isinstance(sessions, list):
            return sorted(set(sessions))
        if sessions == "all":
            there, published = self.sessions_there(name), self.data.published
            return there[: published.sessions] if self.split.name == "published" and published else there
        return list(range(1, sessions + 1))


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `override` laid over it, mapping by mapping."""
    merged = dict(base)
    for key, value in override.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def resolve(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Lay a raw configuration over its recipe, check it, and fill in defaults: plain values again.

    Raises:
        InputError: one sentence on the first thing that is wrong.
    """
    merged = _with_recipe(raw, folder)
    try:
        return Config.model_validate(merged, context=folder).model_dump(mode="json")
    except ValidationError as error:
        raise InputError(_sentences(error, merged)[0]) from error


def checked(raw: Mapping[str, Any], folder: Path) -> tuple[Config | None, list[str]]:
    """The configuration that a raw one makes, or everything that is wrong with it, a sentence each."""
    try:
        merged = _with_recipe(raw, folder)
        return Config.model_validate(merged, context=folder), []
    except InputError as error:
        return None, [str(error)]
    except ValidationError as error:
        return None, _sentences(error, merged)


def _with_recipe(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if "recipe" not in raw:
        raise InputError("configuration: expected the key recipe, found none; name a published decoder.")
    recipe = read_recipe(str(raw["recipe"]), folder)
    for name in recipe:
        kinds, given = kinds_of(Config.model_fields[name]), raw.get(name)
        if kinds and isinstance(given, Mapping) and "kind" in given:
            recipe[name] = known_to(kinds, given["kind"], recipe[name])
    return merge(recipe, raw)


def _sentences(error: ValidationError, merged: Mapping[str, Any]) -> list[str]:
    sentences = []
    for place, mistake in mistakes(error, merged).items():
        if mistake.startswith("unknown key"):
            near = nearest(place, Config)
            advice = f"did you mean {near}?" if near else "config/README.md lists the keys there are."
            if near == ".".join(map(str, place)):
                advice = "other kinds have it; take it out, or choose one of these."
            mistake += f"; {advice}"
        else:
            mistake += "."
        sentences.append(f"configuration: {mistake}")
    return sentences


def read_raw(path: Path) -> dict[str, Any]:
    """What a file of configuration says, unchecked.

    Raises:
        InputError: it is missing, or no mapping of YAML.
    """
    if not is_there(path, "a configuration"):
        raise InputError(
            f"{path}: expected a configuration, found no such file; run this in the project's folder, "
            "or correct the path."
        )
    raw = read_yaml(path, "a configuration")
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a configuration, found {quoted(raw)}.")
    return raw


def read_config(path: Path, folder: Path) -> Config:
    """The configuration of a file.

    Raises:
        InputError: it is missing or wrong.
    """
    return Config.model_validate(resolve(read_raw(path), folder))
