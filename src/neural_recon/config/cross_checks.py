"""Checks of a configuration as a whole: what its sections say of each other and of the data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from neural_recon.config import snakemake_paths
from neural_recon.config.recipe_files import recipes_without_text
from neural_recon.config.sections import TAKEN
from neural_recon.datasets import of_settings
from neural_recon.features.space import SPACES, share_a_model, space_kinds

if TYPE_CHECKING:
    from neural_recon.config.configuration import Config

FILLED_IN = r"\{subject\}|\{session(:0\d)?\}"  # in paths of a data set


def check(config: Config, folder: Path | None) -> None:
    """All checks.

    Args:
        folder: the project's, where recipes lie; None: sentences name none.

    Raises:
        ValueError: the first mistake.
    """
    _plain_paths(config)
    _known_subjects(config)
    _spaces_are_decoded(config)
    _subjects_are_of_use(config)
    _what_the_data_set_has(config, folder)
    _encoding_is_independent(config)
    _generator_has_its_spaces(config)
    _other_sessions_are_the_same_peoples(config)
    _bottleneck_has_base_images(config)
    _figure_has_its_score(config)


def _plain_paths(config: Config) -> None:
    """Paths and names are such that Snakemake and shells take them."""
    for key, text in snakemake_paths.texts(config.model_dump()):
        # subject and session in paths are filled in here, path variables in each other by Snakemake
        filled_in = ("dataset", "decoder", "generalisation", "regions")
        known = {**dict.fromkeys(filled_in, FILLED_IN), "pathvars": "<"}
        plain = [re.sub(signs, "", text) for place, signs in known.items() if key.startswith(place)]
        if wrong := snakemake_paths.fault(plain[0] if plain else text):
            raise ValueError(f"{key}: {wrong} folder or file, or name a link to it")


def _known_subjects(config: Config) -> None:
    """Subjects and their sessions are there."""
    if config.demo is not None and config.dataset.kind != "nsd":
        raise ValueError("demo: it is written in NSD's formats; set dataset.kind to nsd")
    published, known = config.data.published, config.data.subjects
    if config.split.name == "published" and published is None:
        raise ValueError('split.name "published": this data set has no published split')
    for name in config.subjects:
        if name not in known:
            raise ValueError(f"unknown subject {name!r}; known are {', '.join(known)}")
        there = config.sessions_there(name)
        if config.split.name == "published" and published:
            wanted = f'split.name "published" takes the first {published.sessions} sessions'
            if len(there) < published.sessions:
                raise ValueError(f'{wanted}, and {name} came for {len(there)}; use split.name "all"')
            if config.sessions(name) != there[: published.sessions]:
                raise ValueError(f"{wanted}: leave subjects.{name}.sessions out")
        for session in config.sessions(name):
            if session not in there:
                raise ValueError(f"{name} has the sessions {there[0]} to {there[-1]}, not {session}")
    absent = sorted(set(config.subjects) - set(config.demo.subjects if config.demo else config.subjects))
    if absent:
        raise ValueError(f"{absent[0]} is not simulated: add it to demo.subjects")


def _spaces_are_decoded(config: Config) -> None:
    """The decoder takes these spaces and subjects."""
    if taken := [space for space in config.spaces if space in TAKEN]:
        raise ValueError(f"spaces.{taken[0]}: expected another name, as something else is called so")
    try:
        config.decoder.check_spaces(list(config.spaces))
        config.decoder.check_subjects(list(config.subjects))
    except ValueError as error:
        raise ValueError(f"decoder.{error}") from error


def _subjects_are_of_use(config: Config) -> None:
    """Every subject is decoded, or trains a decoder."""
    if not config.decoded:
        raise ValueError("subjects: expected one at least that is decoded, found decoded false of all")
    used = {one for name in config.decoded for one in config.decoder.others(name, list(config.subjects))}
    if idle := [name for name in config.subjects if name not in {*used, *config.decoded}]:
        raise ValueError(
            f"subjects.{idle[0]}.decoded: expected a subject that trains the decoders of others, found a "
            "decoder that learns nothing from it; take the subject out, or name it in "
            "decoder.pretrain.subjects of a decoder that has this key"
        )


def _what_the_data_set_has(config: Config, folder: Path | None) -> None:
    """What is asked of the data set it has."""
    reading = [name for name, kind in space_kinds(config.spaces).items() if kind.reads == "captions"]
    if reading and "captions" not in config.data.offers:
        without = ", ".join(recipes_without_text(folder)) if folder else ""
        take = f"; recipes without text are {without}" if without else ""
        raise ValueError(
            f"the space {reading[0]} reads captions, and this data set has none{take}; with "
            "captioner: {} BLIP writes captions of the pictures"
        )
    if config.captioner and "captions" in of_settings(config.dataset, config.subjects).offers:
        raise ValueError("captioner: this data set has captions of its own; leave the section out")
    if config.responses.noise_ceiling == "ncsnr" and "noise_ceilings" not in config.data.offers:
        raise ValueError(
            "responses.noise_ceiling: this data set has no signal-to-noise ratios of its own; use repetitions"
        )
    for key, members in config.named_regions.items():
        try:
            config.data.check_regions(members)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error


def _encoding_is_independent(config: Config) -> None:
    """Encoding models are of a space that the decoder has no part in."""
    space = config.evaluation.encoding
    if space is None:
        return
    if SPACES.load(space.kind).reads != "pictures":
        raise ValueError(
            "evaluation.encoding: expected a kind that is computed from pictures, as reconstructions "
            f"have no captions, found {space.kind}"
        )
    for name, decoded in config.spaces.items():
        if share_a_model(space, decoded):
            raise ValueError(
                "evaluation.encoding: expected a space that the decoder does not predict, as that would "
                f"grade its own work, found the model of spaces.{name}; name another kind or model"
            )


def _generator_has_its_spaces(config: Config) -> None:
    """The generator's spaces are the recipe's."""
    decoded = [name for name, kind in space_kinds(config.spaces).items() if kind.decodes]
    named = {"base": (config.generator.base, decoded)} if config.generator.base else {}
    named |= {role: (space, list(config.spaces)) for role, space in config.generator.guides.items()}
    for key, (space, known) in named.items():
        if space not in known:
            what = "whose features decode to pictures: " if key == "base" else ""
            there = " or ".join(known) or "the recipe has none"
            raise ValueError(
                f"generator.{key}: expected a feature space of the recipe, {what}{there}, found {space!r}"
            )


def _other_sessions_are_the_same_peoples(config: Config) -> None:
    """Other sessions are of people whose decoders are kept."""
    if config.generalisation and not getattr(config.decoder, "keep", None):
        raise ValueError(
            "generalisation: other sessions are decoded by decoders that are kept; set decoder.keep "
            "(kernel for ridge, true for a network)"
        )
    for name, other in config.generalisation.items():
        there = config.other(name).subjects
        for here, person in other.subjects.items():
            key = f"generalisation.{name}.subjects.{here}"
            if here not in config.decoded:
                raise ValueError(f"{key}: unknown subject; known are {', '.join(config.decoded)}")
            if person not in there:
                raise ValueError(f"{key}: expected one of {', '.join(there)}, found {person!r}")
            if person != here and person in config.subjects:
                raise ValueError(
                    f"{key}: expected the same person, found {person}, another subject of this "
                    "configuration; a decoder is applied to its own subject's voxels"
                )
        if not config.people(name):
            raise ValueError(
                f"generalisation.{name}: expected sessions of {' or '.join(config.subjects)}, found those "
                f"of {', '.join(there)}; say who is who in generalisation.{name}.subjects"
            )


def _bottleneck_has_base_images(config: Config) -> None:
    """There are base images where some are to be painted."""
    if config.bottleneck and config.bottleneck.pictures == "base" and not config.base:
        raise ValueError(
            "bottleneck.pictures: expected a recipe with base images, found one without; use final, or "
            "leave it out"
        )


def _figure_has_its_score(config: Config) -> None:
    """The figure's score is measured."""
    if config.figure_score not in config.metrics:
        raise ValueError(
            "figure.score: expected a metric of pictures that is measured here "
            f"({', '.join(config.metrics)}), found {config.figure.score!r}; name another, or its weights in "
            "evaluation.networks"
        )
