"""A data set: who saw which pictures when, and how responses, pictures and captions are read.

A kind derives from `DataSet`. What it must have is abstract; what it may lack answers None or nothing, and
where that is needed a sentence says so. Images are known by `image_id`, which counts its pictures from 0.
"""

# ruff: noqa: ARG002, B027 - what a data set may lack is the same whatever is asked

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field

from neural_recon.core.errors import InputError
from neural_recon.core.kinds import Kinds, KindSettings, Section
from neural_recon.datasets.subject_kinds import SubjectKinds

if TYPE_CHECKING:
    import pandas as pd

    from neural_recon.datasets.grids import Grid

Session = Annotated[int, Field(strict=True, ge=1)]
# image ids -> uint8 (n, H, W, 3)
Pictures: TypeAlias = "Callable[[Sequence[int] | np.ndarray], np.ndarray]"
# what is read from files of its own
Part = Literal[
    "trials",
    "voxels",
    "betas",
    "grid",
    "cortex",
    "noise_ceilings",
    "pictures",
    "captions",
    "content",
    "lists",
]
AXES = ["x", "y", "z"]  # columns of a table of voxels that lie in a volume
ROW = 1000  # voxels, of those that lie in none
NAME = "[A-Za-z0-9][A-Za-z0-9_-]*"  # of a subject: part of names of files


class Betas(NamedTuple):
    """The responses of one session."""

    values: np.ndarray  # float32 (n_trials, n_voxels), in the data set's unit, in the order of the trials
    parameters: dict[str, Any]  # what is worth noting of where they come from


class PublishedSplit(NamedTuple):
    """The split of the published decoders."""

    sessions: int  # the first so many
    images: dict[str, int]  # "train", "test": how many images each must have


class Size(NamedTuple):
    """About how much one subject has."""

    trials: int
    test: int  # images
    lists: dict[str, int]  # images of each list of stimuli


class Terms(NamedTuple):
    """Under which terms data, and what is made from them, may be passed on."""

    name: str  # of the data set, with its paper
    licence: str = "unknown"  # of the data, in a few words
    address: str = ""  # where the terms are read
    responses: bool = False  # whether responses may be passed on


class Found(NamedTuple):
    """What a look at a folder found: a first configuration."""

    settings: dict[str, Any]  # of the section dataset
    subjects: list[str]
    split: dict[str, Any]  # of the section split
    notes: dict[str, str]  # by key such as "dataset.units": what was concluded and is to be checked
    others: Mapping[str, Any] = MappingProxyType({})  # other sections


class DataSet(ABC):
    """One data set, as a configuration describes it.

    Attributes:
        settings: the configuration's section `dataset`.
        of: what it says of single subjects, by name.
    """

    class Settings(KindSettings):
        """Which data set, where it lies, and what is used of it."""

    class Subject(Section):
        """One person's data."""

        sessions: Literal["all"] | Session | list[Session] = Field(
            "all",
            description="How many sessions from the first, or a list of them; all: that there are, or as "
            "split.name says.",
        )
        decoded: bool = Field(
            True,
            description="Whether its pictures are decoded; false: it only trains networks of others "
            "(decoder.pretrain), and needs no test images.",
        )

    published: ClassVar[PublishedSplit | None] = None

    def __init__(self, settings: Any, subjects: Mapping[str, Any] | None = None):
        self.settings, self.of = settings, subjects or {}
        # gets what there is to say of headers, which is logged otherwise
        self.notes: list[str] | None = None

    @classmethod
    def found_in(cls, folder: Path) -> Found:
        """What reads a folder, by a look at what lies there.

        Raises:
            InputError: such data sets are configured by hand, or what lies there is none.
        """
        raise InputError(
            f"{folder}: expected a kind of data set that is found by looking, found one that is not; begin "
            "with neural-recon config write FILE.yaml."
        )

    # --- who saw what

    @property
    @abstractmethod
    def subjects(self) -> Sequence[str]:
        """The names of all subjects there are; letters, digits, - and _."""

    @abstractmethod
    def sessions(self, subject: str) -> list[int]:
        """The sessions there are of a subject, from 1 on, ascending."""

    @abstractmethod
    def trials(self, subject: str, sessions: Sequence[int]) -> pd.DataFrame:
        """One row per trial of some sessions, in the order of their betas.

        Returns:
            At least the columns session and trial (both from 1), image_id (from 0) and shared (bool: whether
            the image tests, unless the configuration says otherwise).

        Raises:
            InputError: a file is missing or wrong, or there is no such subject or session.
        """

    @property
    def terms(self) -> Terms:
        """The terms of the data; where a data set does not say them, responses may not be passed on."""
        return Terms(self.settings.kind)

    # --- pictures and what belongs to them

    @property
    @abstractmethod
    def n_images(self) -> int:
        """The number of pictures: image ids are below it."""

    @abstractmethod
    def pictures(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> np.ndarray:
        """The pictures of ids, in any order and with repetitions: uint8 (n, H, W, 3).

        With `empty_ok` a picture that is not there is all zero.

        Raises:
            InputError: a file is missing or wrong, or a picture is not there.
        """

    def image_names(self, image_ids: Sequence[int] | np.ndarray | pd.Series) -> list[str] | None:
        """What people call images; None: by their numbers."""
        return None

    @property
    def offers(self) -> frozenset[str]:
        """Which of captions, content and noise_ceilings there are."""
        return frozenset()

    def captions(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> list[list[str]]:
        """The captions of images; with `empty_ok` none for some of them.

        Raises:
            InputError: a file is missing or wrong, an image has no caption, or the data set has none at all.
        """
        raise InputError("dataset: expected captions, found a data set that has none; take another recipe.")

    def content(self) -> pd.DataFrame | None:
        """What the pictures show, one row per image: image_id, n_objects, main_category ("" without any),
        categories (a list as text) and crowd (bool)."""
        return None

    # --- lists of stimuli: features are computed per list and chunk of it, whoever saw the images

    def lists(self, subject: str) -> tuple[str, ...]:
        """The names of the lists that a subject's images are in."""
        return ("images",)

    def list_ids(self, name: str) -> np.ndarray:
        """The images of a list, int64 (n,), in an order that does not change."""
        return np.arange(self.n_images)

    def chunk_ids(self, name: str, chunk: int, size: int) -> np.ndarray:
        """The images of chunk `chunk` (from 0) of a list; the last one may be shorter than `size`."""
        return self.list_ids(name)[chunk * size : (chunk + 1) * size]

    # --- responses

    @abstractmethod
    def voxels(self, subject: str) -> pd.DataFrame:
        """One row per voxel that is decoded from, in the order of the betas' columns.

        Returns:
            x, y, z (0-based) where voxels lie in a volume (x alone where they are places in a list, as
            vertices of a surface may be), and one column per atlas with the name of the voxel's region, ""
            where it has none.

        Raises:
            InputError: a file is missing or wrong.
        """

    @abstractmethod
    def betas(self, subject: str, session: int, table: pd.DataFrame) -> Betas:
        """The responses of one session at the voxels of a table of `voxels`.

        Raises:
            InputError: a file is missing or wrong.
        """

    def ncsnr(self, subject: str, table: pd.DataFrame) -> np.ndarray | None:
        """The data set's own noise-ceiling signal-to-noise ratios, float64 (n_voxels,)."""
        return None

    def grid(self, subject: str) -> Grid | None:
        """The volume that the voxels lie in; None: they lie in none."""
        return None

    def places(self, subject: str, table: pd.DataFrame) -> tuple[np.ndarray, Grid]:
        """Where the voxels of a table lie, (n_voxels, 3) in C order, and in which grid.

        Without a volume they lie in rows of 1,000: new scans are then taken in the voxels' order.
        """
        from neural_recon.datasets.grids import Grid

        grid, n = self.grid(subject), len(table)
        if grid is not None:
            return table[AXES].to_numpy(), grid
        shape = (-(-n // ROW), ROW, 1)
        return np.stack(np.unravel_index(np.arange(n), shape), axis=1), Grid("", shape)

    def cortex(self, subject: str) -> np.ndarray | None:
        """What maps of voxels are drawn on: a volume of the grid's shape, -1 outside cortex."""
        return None

    @property
    def unit(self) -> str:
        """What betas are measured in, for axes of plots and heads of tables."""
        return "% signal change"

    @property
    def tuned(self) -> str:
        """The name of betas that were tuned on repeated trials, those of test images included, by who made
        them; "" where they were not."""
        return ""

    @property
    def atlases(self) -> Mapping[str, Collection[str]]:
        """The regions of atlases in the order to show them in; of others it is by name."""
        return {}

    def in_regions(self, subject: str, table: pd.DataFrame, regions: Iterable[str]) -> np.ndarray:
        """Which voxels lie in any of some regions, bool (n_voxels,).

        Args:
            regions: of an atlas of the table: "ATLAS", "ATLAS/REGION", or "REGION" alone.

        Raises:
            InputError: no voxel is in a region of that name.
        """
        inside = np.zeros(len(table), bool)
        labels = table.drop(columns=AXES, errors="ignore")
        for name in regions:
            atlas, _, region = name.rpartition("/")
            if name in labels:
                members = labels[name] != ""
            else:
                members = labels[[one for one in labels if atlas in ("", one)]].eq(region).any(axis=1)
            if not members.any():
                known = sorted({f"{one}/{label}" for one in labels for label in labels[one] if label})
                raise InputError(f"regions: expected one of {', '.join(known)}, found {name!r}.")
            inside |= members.to_numpy()
        return inside

    def check_regions(self, regions: Sequence[str]) -> None:
        """Raise a ValueError on a name that can be no region's; no file is read."""

    def region_files(self, subject: str, regions: Iterable[str]) -> dict[Path, str]:
        """The files that regions are read from besides those of voxels and grid, as `files`."""
        return {}

    # --- files

    @abstractmethod
    def files(self, part: Part, subject: str = "", session: int = 0) -> dict[Path, str]:
        """The files that an answer is read from, and what each is in words ("the mask of subj01"; of a folder
        "the folder of ...").

        The jobs that need the answer have them as inputs, and run again when they hold something else. Of the
        part "lists", pictures and captions `subject` is the name of a list of stimuli, or empty: of all.
        """

    def decisive(self, part: Part) -> dict[str, Any]:
        """The settings that an answer depends on, given its files: of another value jobs run again."""
        return self.settings.model_dump(mode="json", exclude={"kind"})

    @property
    def folder(self) -> Path | None:
        """Where files that are fetched go."""
        return None

    def hint(self, path: Path) -> str:
        """What to do where a file is missing: ends of a sentence."""
        return "is the section dataset right?"

    def fetches(self, path: Path) -> bool:
        """Whether a run fetches a file where it is missing."""
        return False

    def fetch_for_planning(self, missing: Iterable[Path]) -> None:
        """Fetch, of the files that are missing, those without which nothing can be planned."""

    def downloads(self, missing: Iterable[Path]) -> tuple[dict[str, int], str]:
        """What is still to be fetched: bytes by whose it is; and if that is not known, why.

        Raises:
            InputError: one of the files cannot be fetched.
        """
        return {}, ""

    # --- before a run

    def mistakes(self, used: Sequence[np.ndarray]) -> Iterable[str]:
        """Sentences on what is wrong with files that all subjects share.

        Args:
            used: of each subject whose trials are known, the images that are used.
        """
        return ()

    def subject_mistakes(
        self, subject: str, sessions: Sequence[int], regions: Iterable[str], ncsnr: bool, thorough: bool
    ) -> Iterable[str]:
        """Sentences on what is wrong with single files of a subject; `notes` gets what is odd, but taken.

        Args:
            regions: those that are decoded by themselves.
            ncsnr: whether the noise-ceiling signal-to-noise ratios are used.
            thorough: read every session through, and not its header alone.
        """
        return ()

    def size(self, subject: str, sessions: Sequence[int]) -> Size | None:
        """About how much a subject has, where its trials are not known yet."""
        return None

    def n_voxels(self, subject: str) -> int:
        """About how many voxels are decoded from."""
        return len(self.voxels(subject))


PACKAGE = "neural_recon.datasets.kinds"
DATA_SETS = Kinds("a data set", DataSet, PACKAGE)
SUBJECTS = SubjectKinds("a subject", DataSet, PACKAGE)
