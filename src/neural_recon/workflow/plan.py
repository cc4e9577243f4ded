"""Which files a target needs: chunks of features, chunks of reconstructions, test images.

Features belong to stimuli, not to subjects: a data set has them in lists, such as the images that all
subjects see and those of one subject alone. A list is cut into chunks, so that another session or subject
leaves the chunks that are there untouched.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there
from neural_recon.datasets.dataset import DataSet, Part
from neural_recon.datasets.splits import DRAWN, with_split
from neural_recon.datasets.trials import read_lists
from neural_recon.evaluation import network_weights
from neural_recon.features import picture_captions
from neural_recon.features.space import SPACES, Space, space_kinds
from neural_recon.models import weights
from neural_recon.workflow import memory_estimate
from neural_recon.workflow.painting import Painting

OTHER_PARTS: tuple[Part, ...] = ("trials", "pictures", "captions", "grid", "voxels")  # and betas


@dataclass(frozen=True)
class Chunk:
    """Chunk `index` of the data set's list `stimuli`."""

    stimuli: str
    index: int

    @property
    def name(self) -> str:
        """As in file names."""
        return f"{self.stimuli}_{self.index:03d}"


class Plan:
    """What a configuration asks for; reads the data set's tables once."""

    def __init__(self, config: Config):
        self.config = config

    @functools.cached_property
    def data(self) -> DataSet:
        """The data set; of the demo, which the workflow itself will write, what it will be."""
        if self.config.demo is None:
            return self.config.data
        from neural_recon.demo.design import Simulated

        return Simulated(self.config)

    @functools.cache  # noqa: B019 - one plan lives as long as the program
    def trials(self, subject: str) -> pd.DataFrame:
        """One row per trial of the subject's sessions, with its split.

        Raises:
            InputError: lists that contradict each other or the data set, or fewer than three test images
                (every score compares each with the others, and over two nothing correlates).
        """
        split, design = self.config.split, self.data.trials(subject, self.config.sessions(subject))
        files = self.split_files(subject)
        listed = read_lists(**files)
        try:
            table = with_split(
                design, self.data.n_images, listed, self.drawn_split, subject in self.config.decoded
            )
        except InputError as error:
            lists = ", ".join(str(path) for path in files.values() if path)
            raise InputError(f"{lists or subject}: {error}") from error
        ids = table.loc[table["split"] == "test", "image_id"].unique()
        if split.name == "published":
            self._check_published(subject, table)
        if len(ids) < 3 and subject in self.config.decoded:
            more = f"raise split.share ({split.share:g})" if split.name == "share" else "choose more (split)"
            raise InputError(
                f"{subject}: expected at least 3 test images, as scores compare them and correlate over "
                f"them, found {len(ids)} in these sessions; add sessions, or {more}."
            )
        return table

    @property
    def drawn_split(self) -> dict[str, Any]:
        """What chooses test images where the split's name does, as arguments of `splits.test_images`."""
        if self.config.split.name not in DRAWN:
            return {}
        return {
            **self.config.split.model_dump(include={"name", "repetitions", "share", "category", "held_out"}),
            "seed": self.config.seed,
        }

    def split_files(self, subject: str) -> dict[str, str | Path | None]:
        """What the split is read from, as arguments of `trials.read_lists`."""
        split = self.config.split
        clusters = self.config.shared / f"clusters/{subject}.tsv" if split.name == "clusters" else None
        return {"train": split.train, "test": split.test, "clusters": clusters}

    def _check_published(self, subject: str, table: pd.DataFrame) -> None:
        found, published = table.groupby("split")["image_id"].nunique().to_dict(), self.data.published
        if published is not None and found != published.images:
            path, *_ = self.data.files("trials", subject)
            raise InputError(
                f"{path}: expected the published split of {subject}, {published.images}, found {found}; "
                "is it the data set's own design?"
            )

    def check(self) -> None:
        """Raise an InputError on the first missing file, or mistake in trials and splits."""
        self.check_files()
        for subject in self.config.subjects:
            self.trials(subject)

    def check_files(self) -> None:
        """Raise an InputError on the first file of the data set that is missing and will not be fetched.

        The demo's are written by the workflow itself, so they may come later.
        """
        if self.config.demo is not None:
            return
        for path, what in self.data_files().items():
            if not (is_there(path, what) or self.data.fetches(path)):
                scenes = what == "the scenes"
                hint = "is evaluation.scenes right?" if scenes else self.data.hint(path)
                raise InputError(f"{path}: expected {what}, found no such file; {hint}")

    def missing(self) -> list[Path]:
        """The files that a run fetches, each once; what is there is never fetched again."""
        if self.config.demo is not None:
            return []
        return [path for path in self.data_files() if self.data.fetches(path) and _absent(path)]

    def data_files(self) -> dict[Path, str]:
        """All that is read of the data set, and what it is: what all subjects share, then each subject's."""
        files = self.shared_files()
        for name in self.config.subjects:
            files |= self.subject_files(name)
        for name in self.config.generalisation:
            for subject in self.config.people(name):
                files |= self.other_files(name, subject)
        return files

    def other_files(self, name: str, subject: str) -> dict[Path, str]:
        """What is read of other sessions of a subject (`generalisation`), and what it is."""
        data, person = self.config.other(name), self.config.people(name)[subject]
        files: dict[Path, str] = {}
        for part in OTHER_PARTS:
            files |= data.files(part, "" if part in ("pictures", "captions") else person)
        for session in data.sessions(person):
            files |= data.files("betas", person, session)
        return {path: f"{what} (generalisation.{name})" for path, what in files.items()}

    def shared_files(self) -> dict[Path, str]:
        """What all subjects share, and what it is."""
        data, scenes = self.data, self.config.evaluation.scenes
        content = {Path(scenes): "the scenes"} if scenes else data.files("content")
        captions = data.files("captions") if self.config.captioner is None else {}  # else the run writes them
        return {**data.files("lists"), **data.files("pictures"), **captions, **content}

    def subject_files(self, name: str) -> dict[Path, str]:
        """What a subject has alone, and what it is."""
        config, data = self.config, self.data
        files = {**data.files("trials", name), **data.files("grid", name), **data.files("voxels", name)}
        if config.responses.noise_ceiling == "ncsnr":
            files |= data.files("noise_ceilings", name)
        files |= data.region_files(name, self.regions)
        for session in config.sessions(name):
            files |= data.files("betas", name, session)
        return {path: what for path, what in files.items() if path not in self.shared_files()}

    def read_for(self, parts: Iterable[Part | Literal["regions"]], names: Mapping[str, str]) -> list[Path]:
        """The files of the data set that some answers are read from.

        Args:
            parts: those of `DataSet.files`, and regions: those of all sets.
            names: of the job: subject, or who, a subject or "all"; without either the answers are of all.
                And session, if one has to; of features stimuli, the list that they are of.
        """
        who = names.get("stimuli") or names.get("subject") or names.get("who", "all")
        session = int(names.get("session", 0))
        files: dict[Path, str] = {}
        for subject in self.config.subjects if who == "all" else [who]:
            for part in parts:
                if part == "regions":
                    files |= self.data.region_files(subject, self.regions)
                else:
                    files |= self.data.files(part, subject, session)
        return list(files)

    @property
    def knows_content(self) -> bool:
        """Whether it is known what the pictures show."""
        return self.config.evaluation.scenes is not None or "content" in self.data.offers

    @property
    def regions(self) -> list[str]:
        """The regions of all sets, and those that spaces are predicted from."""
        return [region for members in self.config.named_regions.values() for region in members]

    def files(self, table: weights.Table) -> Iterator[tuple[str, Path]]:
        """Everything that a run takes and does not write itself, weights to be fetched included:
        (description, path). A test holds it together with what the rules name.

        Raises:
            InputError: weights that are neither an entry of the `table` nor there.
        """
        config = self.config
        if config.demo is None:
            yield from ((what, path) for path, what in self.data_files().items())
        for name in ("train", "test"):
            if path := getattr(config.split, name):
                yield f"the list split.{name}", Path(path)
        for key, kind in space_kinds(config.computed_spaces).items():
            kind.locate(key, config.computed_spaces[key], table)
            for place in kind.files(config.computed_spaces[key], table):
                yield f"a file of {key}", Path(place)
        if captioner := config.captioner:
            weights.locate("captioner.weights", captioner.weights, table, "folder")
            yield from (
                ("a file of captioner.weights", Path(p))
                for p in picture_captions.model_files(captioner.weights, table)
            )
        painting = Painting(config.generator, table)
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

    @functools.cache  # noqa: B019 - every job of a subject asks
    def test_ids(self, subject: str) -> np.ndarray:
        """image ids of the subject's test images, ascending; not to be written to.

        Raises:
            InputError: the subject is not decoded.
        """
        if subject not in self.config.decoded:
            others = ", ".join(self.config.decoded)
            raise InputError(
                f"{subject}: expected a subject whose pictures are decoded ({others}), "
                f"found one that only trains networks of others; set subjects.{subject}.decoded true."
            )
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
            sizes[name] = kind.sizes(kind.locate(f"spaces.{name}", spaces[name], table)) or (0, 0)
        base = self.config.base
        return sum(values for values, _ in sizes.values()), sizes[base][1] if base else 0

    def encoding_megabytes(self, subject: str, space: Space.Settings) -> int:
        """Main memory in MB to fit encoding models in a located space: float32 features of all pictures, as
        they are and z-scored, over what kernel and responses take."""
        width, _ = SPACES.load(space.kind).sizes(space) or (0, 0)
        pictures = self.trials(subject)["image_id"].nunique() + 5 * len(self.test_ids(subject))
        return 8000 + 8 * width * pictures // 10**6

    @functools.cache  # noqa: B019
    def kernel_megabytes(self, subject: str, single: bool) -> int:
        """Main memory in MB of a subject's regression, by single trials or by averages."""
        trials = self.trials(subject)
        training = trials.loc[trials["split"] == "train", "image_id"]
        rows = len(training) if single else training.nunique()
        tests = len(self.test_ids(subject))
        return memory_estimate.kernel_megabytes(rows, tests, self.data.n_voxels(subject))

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
        trials, size = self.trials(subject), self.config.features.chunk
        used = trials.loc[trials["split"] != "unused", "image_id"].unique()
        places = {
            name: np.flatnonzero(np.isin(self.data.list_ids(name), used)) for name in self.data.lists(subject)
        }
        return tuple(Chunk(name, int(k)) for name, where in places.items() for k in np.unique(where // size))


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
