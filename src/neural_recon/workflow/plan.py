"""Which files a target needs: chunks of features, chunks of reconstructions, test images.

Features belong to stimuli, not to subjects: the images that all subjects see form the list "shared", the
others one list a subject. A list is cut into chunks by position, so that another session or subject leaves
the chunks that are there untouched.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neural_recon.config.configuration import Config
from neural_recon.config.sections import TERMS
from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.datasets.trials import read_lists, trial_table
from neural_recon.evaluation import network_weights
from neural_recon.features.space import space_kinds
from neural_recon.models import weights
from neural_recon.workflow.painting import Painting

if TYPE_CHECKING:
    from neural_recon.demo.design import Design


@dataclass(frozen=True)
class Chunk:
    """Chunk `index` of the stimulus list `stimuli` ("shared" or a subject)."""

    stimuli: str
    index: int

    @property
    def name(self) -> str:
        """As in file names."""
        return f"{self.stimuli}_{self.index:03d}"


class Plan:
    """What a configuration asks for; reads the experiment design once."""

    def __init__(self, config: Config):
        self.config = config

    @functools.cached_property
    def _demo_design(self) -> "Design | None":
        if self.config.demo is None:
            return None
        # the demo's design is known before its file is written, so that the whole DAG can be planned
        from neural_recon.demo import design

        return design.of(self.config.demo)

    def design(self, subject: str, sessions: list[int]) -> pd.DataFrame:
        """One row a trial, as `nsd_tree.read_design`."""
        if self._demo_design is not None:
            return self._demo_design.trials(subject, sessions)
        return nsd_tree.design_table(*self._experiment, subject, sessions)

    @functools.cached_property
    def _experiment(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return nsd_tree.read_experiment(self.config.tree.expdesign)

    @functools.cache  # noqa: B019 - one plan lives as long as the program
    def trials(self, subject: str) -> pd.DataFrame:
        """One row a trial of the subject's sessions, with its split.

        Raises:
            InputError: lists that contradict each other or NSD, or fewer than two test images (every score
                compares each with the others).
        """
        split, design = self.config.split, self.design(subject, self.config.sessions(subject))
        files = self.split_files(subject)
        train, test = read_lists(**files)
        try:
            table = trial_table(design, train, test)
        except InputError as error:
            lists = ", ".join(str(path) for path in files.values() if path)
            raise InputError(f"{lists or subject}: {error}") from error
        ids = table.loc[table["split"] == "test", "image_id"].unique()
        if split.name == "published":
            self._check_published(subject, table)
        if len(ids) < 2:
            raise InputError(
                f"{subject}: expected at least 2 test images, as scores compare them, "
                f"found {len(ids)} in these sessions; add sessions or change the ids."
            )
        return table

    def split_files(self, subject: str) -> dict[str, str | Path | None]:
        """What the split is read from, as arguments of `trials.read_lists`."""
        split = self.config.split
        clusters = self.config.clusters(subject) if split.name == "clusters" else None
        return {"train": split.train, "test": split.test, "clusters": clusters}

    def _check_published(self, subject: str, table: pd.DataFrame) -> None:
        found = table.groupby("split")["image_id"].nunique().to_dict()
        if found != nsd_tree.PUBLISHED_IMAGES:
            raise InputError(
                f"{self.config.tree.expdesign}: expected the published split of {subject}, "
                f"{nsd_tree.PUBLISHED_IMAGES}, found {found}; is it NSD's own design?"
            )

    def check(self) -> None:
        """Raise an InputError on the first missing file of the tree, or mistake in design and splits."""
        self.check_files()
        for subject in self.config.subjects:
            self.trials(subject)

    def check_files(self) -> None:
        """Raise an InputError on the first file of the tree that is missing and will not be fetched.

        The demo's tree is written by the workflow itself, so its files may come later.
        """
        if self.config.demo is not None:
            return
        for what, path in self.tree_files():
            if is_there(path, what) or self.fetches(path):
                continue
            offer = f" Or to fetch it, read the terms at {TERMS} and set nsd.accept_terms: true."
            key = "nsd.instances or nsd.coco" if what.endswith("of COCO") else "nsd.root"
            key = "evaluation.scenes" if what == "the scenes" else key
            raise InputError(
                f"{path}: expected {what}, found no such file; is {key} right?"
                + (offer if self.obtainable(path) else "")
            )

    def obtainable(self, path: Path) -> bool:
        """Whether a file is one that the workflow could fetch: one of NSD's bucket, or the captions."""
        tree = self.config.tree
        return tree.key(path) is not None or path == tree.captions

    def fetches(self, path: Path) -> bool:
        """Whether a run fetches this file where it is missing."""
        return self.config.nsd.accept_terms and self.obtainable(path)

    def missing(self) -> list[Path]:
        """The files that a run fetches, each once; what is there is never fetched again."""
        if self.config.demo is not None:
            return []
        paths = dict.fromkeys(path for _, path in self.tree_files())
        return [path for path in paths if self.fetches(path) and _absent(path)]

    def missing_objects(self) -> dict[str, Path]:
        """Those of them that come from NSD's bucket, by their keys there."""
        keys = {self.config.tree.key(path): path for path in self.missing()}
        return {key: path for key, path in keys.items() if key is not None}

    def fetch_design(self) -> None:
        """Fetch the experiment design where a run would: without this small file nothing can be planned."""
        expdesign = self.config.tree.expdesign
        key = self.config.tree.key(expdesign)
        if key is not None and expdesign in self.missing():
            from neural_recon.datasets.nsd import (
                bucket,  # boto3 takes long to import, and most runs have no use for it
            )

            bucket.fetch_object(key, expdesign)

    def tree_files(self) -> Iterator[tuple[str, Path]]:
        """What the configuration reads of the NSD tree, and beside it: (description, path)."""
        descriptions = {"design": "NSD's experiment design", "stimuli": "NSD's pictures"}
        for what, path in self.shared_files().items():
            yield descriptions.get(what, f"the {what}"), path
        for name in self.config.subjects:
            for what, path in self.subject_files(name):
                yield f"{what} of {name}", path

    def shared_files(self) -> dict[str, Path]:
        """What all subjects share, by name."""
        tree = self.config.tree
        files = {"design": tree.expdesign, "stimuli": tree.stimuli}
        return {**files, **self.config.caption_files, **self.config.content_files}

    def subject_files(self, name: str) -> Iterator[tuple[str, Path]]:
        """What a subject has alone: (description, path)."""
        tree, subject = self.config.tree, self.config.subjects[name]
        yield "the mask", tree.mask(name)
        for atlas in self.config.nsd.atlases:
            yield "an atlas", tree.roi(name, atlas)
        if self.config.responses.noise_ceiling == "ncsnr":
            yield "the noise ceilings", tree.ncsnr(name)
        for mask in self.region_files(name):
            yield "a region's mask", Path(mask)
        for session in self.config.sessions(name):
            yield f"session {session}", tree.betas(name, session, subject.format)

    def files(self, table: weights.Table) -> Iterator[tuple[str, Path]]:
        """Everything that a run takes and does not write itself, weights to be fetched included:
        (description, path). A test holds it together with what the rules name.

        Raises:
            InputError: weights that are neither an entry of the `table` nor there.
        """
        config = self.config
        if config.demo is None:
            yield from self.tree_files()
        for name in ("train", "test"):
            if path := getattr(config.split, name):
                yield f"the list split.{name}", Path(path)
        for name, kind in space_kinds(config.spaces).items():
            kind.locate(name, config.spaces[name], table)
            for place in kind.files(config.spaces[name], table):
                yield f"a file of spaces.{name}", Path(place)
        painting = Painting(config, table)
        for place in (*painting.files, *painting.encoders):
            yield "a part of generator.weights", Path(place)
        named = config.evaluation.networks
        located = network_weights.locate(named, config.evaluation.preset, table)
        for place in network_weights.files_read(named, located, table):
            yield "the weights of a network in evaluation.networks", Path(place)
        if config.evaluation.classifier:
            yield "evaluation.classifier", Path(config.evaluation.classifier)
        for path in self.other_scores():
            yield "scores of another method", path

    def missing_weights(self, table: weights.Table) -> dict[str, weights.File]:
        """The weights still to be fetched, by their place below resources/models."""
        return weights.missing((path for _, path in self.files(table)), table)

    def other_scores(self) -> list[Path]:
        """The tables of `neural-recon evaluate` that join the comparison."""
        return sorted((self.config.results / "others").glob("*.tsv"))

    def region_files(self, subject: str) -> list[str]:
        """The mask files among the regions."""
        sets = [self.config.nsd.regions, *self.config.regions.sets.values()]
        return sorted({path for names in sets for path in nsd_tree.mask_files(names, subject).values()})

    @functools.cache  # noqa: B019 - every job of a subject asks
    def test_ids(self, subject: str) -> np.ndarray:
        """image ids of the subject's test images, ascending; not to be written to."""
        trials = self.trials(subject)
        return _fixed(np.unique(trials.loc[trials["split"] == "test", "image_id"]))

    @functools.cache  # noqa: B019
    def control_ids(self, subject: str) -> np.ndarray:
        """The test images that the painted controls are made for: evenly spread over the test images."""
        ids = self.test_ids(subject)
        count = min(self.config.evaluation.control_images, len(ids))
        return _fixed(ids[np.linspace(0, len(ids) - 1, count).round().astype(int)])

    def feature_sizes(self, table: weights.Table) -> tuple[int, int]:
        """Features of one image in all spaces, and the side of base images in pixels; 0: not known."""
        spaces, sizes = self.config.spaces, {}
        for name, kind in space_kinds(spaces).items():
            sizes[name] = kind.sizes(kind.locate(name, spaces[name], table)) or (0, 0)
        base = self.config.base
        return sum(values for values, _ in sizes.values()), sizes[base][1] if base else 0

    def picture_ids(self, subject: str, chunk: int) -> list[int]:
        """The test images of one chunk of reconstructions."""
        size = self.config.generator.chunk
        return self.test_ids(subject)[chunk * size : (chunk + 1) * size].tolist()

    def picture_chunks(self, subject: str) -> list[int]:
        """The chunks of a subject's reconstructions."""
        return list(range(-(-len(self.test_ids(subject)) // self.config.generator.chunk)))

    @functools.cache  # noqa: B019
    def feature_chunks(self, subject: str) -> tuple[Chunk, ...]:
        """The chunks with the features of the subject's training and test images."""
        trials = self.trials(subject)
        positions = np.unique(trials.loc[trials["split"] != "unused", "position"]) - 1
        size = self.config.features.chunk
        shared = np.unique(positions[positions < nsd_tree.N_SHARED] // size)
        own = np.unique((positions[positions >= nsd_tree.N_SHARED] - nsd_tree.N_SHARED) // size)
        return (*(Chunk(nsd_tree.SHARED, int(k)) for k in shared), *(Chunk(subject, int(k)) for k in own))


def _fixed(ids: np.ndarray) -> np.ndarray:
    """The same array, which refuses to be written to: all who ask for it share it."""
    ids.setflags(write=False)
    return ids


def _absent(path: Path) -> bool:
    """Whether a file is not there; what is there and cannot be reached is not to be fetched again."""
    try:
        return not is_there(path)
    except InputError:
        return False
