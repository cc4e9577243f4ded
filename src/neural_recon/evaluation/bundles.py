"""A result to hand in: one file with all that a comparison needs of one subject's final images, no pictures.

`neural-recon submit` writes it, `neural-recon board` reads many. Only per-image scores are in it: means and
intervals are computed where it is read, the same way for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, ValidationError, model_validator

from neural_recon.core.errors import InputError, first_mistake, quoted
from neural_recon.core.files import write_text
from neural_recon.core.kinds import Section
from neural_recon.core.texts import read_json
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation import recipe_scores, statistics
from neural_recon.evaluation.folder_scores import PresetName
from neural_recon.evaluation.leak_statement import LeakStatement
from neural_recon.evaluation.registry import METRICS, better

VERSION: Final = 1
SEED = 0  # of intervals and tests
AT_A_TIME = 50  # pictures read for their hash

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of printable characters")
    return text


Line = Annotated[str, Field(max_length=500), AfterValidator(_line)]
Words = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_line)]


class Recipe(Section):
    """How the pictures were decoded, in short, and the hash of the recipe's file."""

    name: Words
    sha256: Sha256
    spaces: dict[Words, Line]  # name -> kind
    decoder: Line
    generator: Line


class Scored(Section):
    """One metric of all images.

    Attributes:
        values: in the order of the images; None where one has no number.
        chance: the mean of the same pictures re-paired at random; None where nobody measured it.
    """

    values: list[float | None]
    chance: float | None


class Bundle(Section):
    """The final images of one subject, scored.

    Attributes:
        kind: a run of this workflow, or pictures of any method that `neural-recon evaluate` scored. What of
            these nobody can know from the pictures is what was stated, or None.
        name: what it is called in tables.
        dataset: the data set's name.
        preset: under which scores were computed.
        sessions: how many were used.
        image_ids: of the pictures seen, ascending.
        pictures_sha256: of the pictures seen themselves (`digest_of`).
        repetitions: of each test image, or the same of all; None where not known.
        questioned: what was doubted of the pictures' names.
        hashes: sha256 of what scores were computed from, by what it is.
    """

    format: Literal["neural-recon result"] = "neural-recon result"
    version: Literal[1] = VERSION
    kind: Literal["run", "pictures"]
    name: Words
    subject: Words
    dataset: Words
    simulated: bool
    preset: PresetName
    sessions: Annotated[int, Field(ge=1)] | None
    training_images: Annotated[int, Field(ge=1)] | None
    image_ids: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2)]
    pictures_sha256: Sha256
    repetitions: list[Annotated[int, Field(ge=1)]] | Annotated[float, Field(ge=1)] | None
    scores: Annotated[dict[str, Scored], Field(min_length=1)]
    leaks: LeakStatement
    recipe: Recipe | None
    questioned: Line = ""
    versions: dict[Words, Line]
    hashes: dict[Line, Sha256]

    @model_validator(mode="after")
    def _fits(self) -> Bundle:
        if sorted(set(self.image_ids)) != self.image_ids:
            raise ValueError("image_ids: expected ascending numbers, each once")
        n = len(self.image_ids)
        if isinstance(self.repetitions, list) and len(self.repetitions) != n:
            raise ValueError(f"repetitions: expected {n}, one per image, found {len(self.repetitions)}")
        for metric, scored in self.scores.items():
            if metric not in METRICS:
                raise ValueError(f"scores: unknown metric {quoted(metric)}; known are {', '.join(METRICS)}")
            if len(scored.values) != n:
                raise ValueError(f"scores.{metric}: expected {n} values, found {len(scored.values)}")
        return self

    @property
    def comparable(self) -> Comparable:
        """What must be the same of two results for their scores to compare."""
        repetitions: float | tuple[int, ...] | None
        if isinstance(self.repetitions, list):
            same = len(set(self.repetitions)) == 1
            repetitions = float(self.repetitions[0]) if same else tuple(self.repetitions)
        else:
            repetitions = self.repetitions
        ids = tuple(self.image_ids)
        return Comparable(self.preset, ids, self.pictures_sha256, repetitions, self.simulated)


class Comparable(NamedTuple):
    """A key of results that compare: the same preset, images and repetitions."""

    preset: str
    image_ids: tuple[int, ...]
    pictures_sha256: str
    repetitions: float | tuple[int, ...] | None
    simulated: bool

    @property
    def repeated(self) -> str:
        """How often images were shown, in words."""
        if self.repetitions is None:
            return "unknown"
        if isinstance(self.repetitions, tuple):
            return f"{np.mean(self.repetitions):.2f} on average"
        return f"{self.repetitions:g}"


def digest_of(pictures: Pictures, image_ids: Sequence[int]) -> str:
    """The sha256 of pictures, uint8 (n, H, W, 3) with their shape, in the order of the ids."""
    digest = hashlib.sha256()
    for start in range(0, len(image_ids), AT_A_TIME):
        some = pictures(image_ids[start : start + AT_A_TIME])
        digest.update(f"{some.shape[1:]}".encode())
        digest.update(np.ascontiguousarray(some).data)
    return digest.hexdigest()


def scored(images: pd.DataFrame, chance: dict[str, float], image_ids: Sequence[int]) -> dict[str, Scored]:
    """The scores of a bundle.

    Args:
        images: one row per metric and image, with the columns metric, image_id and value.
        chance: metric -> mean of re-paired pictures.
    """
    wide = images.pivot_table(index="image_id", columns="metric", values="value").reindex(image_ids)
    return {
        metric: Scored(values=_numbers(wide[metric]), chance=_numbers([chance.get(metric, np.nan)])[0])
        for metric in METRICS
        if metric in wide
    }


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Rounded to nine digits, so that a file is the same wherever it was written; None for what is none."""
    return [float(f"{value:.9g}") if np.isfinite(value) else None for value in values]


def write(path: Path, bundle: Bundle) -> None:
    """Write a bundle as JSON."""
    write_text(path, bundle.model_dump_json(indent=1) + "\n")


def read(path: Path) -> Bundle:
    """A bundle of a file.

    Raises:
        InputError: it is missing, or no bundle of this version.
    """
    content = read_json(path, "a result to hand in")
    said = content.get("version") if isinstance(content, dict) else None
    if isinstance(said, int) and said > VERSION:
        raise InputError(
            f"{path}: expected a result of version {VERSION}, found version {said}; update neural-recon."
        )
    try:
        return Bundle.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{path}: expected a result of neural-recon submit, found another content "
            f"({first_mistake(error)}); write it again, or take it out of the folder."
        ) from error


class Group(NamedTuple):
    """Results that compare, and their tables (of `recipe_scores`, where `recipe` is the result's name)."""

    key: Comparable
    bundles: list[Bundle]
    scores: pd.DataFrame
    tests: pd.DataFrame


def groups(bundles: dict[Path, Bundle]) -> list[Group]:
    """Results grouped by what must be the same, the largest group first.

    Raises:
        InputError: two results of a group have one name and subject.
    """
    found: dict[Comparable, dict[Path, Bundle]] = {}
    for path, bundle in bundles.items():
        found.setdefault(bundle.comparable, {})[path] = bundle
    made = [_group(key, ones) for key, ones in found.items()]
    return sorted(made, key=lambda group: (-len(group.bundles), group.bundles[0].name))


def _group(key: Comparable, ones: dict[Path, Bundle]) -> Group:
    seen: dict[tuple[str, str], Path] = {}
    for path, bundle in ones.items():
        who = (bundle.name, bundle.subject)
        if who in seen:
            raise InputError(
                f"{path}: expected another name or subject than in {seen[who]}, found {bundle.name}, "
                f"{bundle.subject} in both; write one of them again with --name."
            )
        seen[who] = path
    summaries = {(one.name, one.subject): _summary(one) for one in ones.values()}
    images = recipe_scores.images({(one.name, one.subject): _images(one) for one in ones.values()})
    scores = recipe_scores.scores(summaries)
    # a mean over subjects compares only between results that have all of them
    subjects = {one.subject for one in ones.values()}
    whole = [name for name in scores["recipe"].unique() if {s for n, s in seen if n == name} == subjects]
    scores = scores[(scores["subject"] != recipe_scores.MEAN) | scores["recipe"].isin(whole)]
    return Group(key, list(ones.values()), scores, recipe_scores.tests(images, SEED))


def _images(bundle: Bundle) -> pd.DataFrame:
    rows = [
        {"metric": metric, "image_id": i, "value": np.nan if value is None else value}
        for metric, one in bundle.scores.items()
        for i, value in zip(bundle.image_ids, one.values, strict=True)
    ]
    return pd.DataFrame(rows).assign(variant="decoded", picture="final")


def _summary(bundle: Bundle) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for metric, one in bundle.scores.items():
        values = np.array([value for value in one.values if value is not None])
        low, high = statistics.bootstrap_interval(values, SEED) if len(values) else (np.nan, np.nan)
        mean = values.mean() if len(values) else np.nan
        rows.append(
            {"variant": "decoded", "picture": "final", "metric": metric, "mean": mean, "ci_low": low,
             "ci_high": high, "n": len(values), "shuffled": np.nan if one.chance is None else one.chance,
             "better": better(metric), "not_measured": "" if len(values) else "no number for any image"}
        )  # fmt: skip
    return pd.DataFrame(rows)
