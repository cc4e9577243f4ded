"""Which image a picture shows, by the name of its file.

A number alone is the image's NSD id, counted from 0. `shared0001_nsd02951` is NSD's own name of a shared
image, whose number counts from 1: image 2950. Published scripts name pictures by their position in the list
of test images instead, so what a number is can be said (`Naming`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.datasets.trials import read_ids

Numbers = Literal["ids", "ids_from_1", "alike"]

SHARED = re.compile(r"shared(\d{1,5})_nsd(\d{1,6})", re.I | re.A)
NSD_NUMBER = re.compile(r"(?:.*[^a-z])?nsd[_-]?(\d{1,6})(?:[^\d].*)?", re.I | re.A)
SAMPLES = re.compile(r"\d+[ _.-]+\(?\d+\)?", re.A)

# scripts -> what their test images are; `published_order` has their order
PUBLISHED = {
    "brain_diffuser": "the shared images in the order in which they were first shown",
    "mindeye2": "the shared images in the order of their ids",
}
# sessions that subjects have: which shared images were shown, and how many, depends on them
SESSIONS = sorted({*nsd_tree.SESSIONS.values(), nsd_tree.PUBLISHED_SESSIONS})
DENSE = 0.9  # names that fill so much of 0 ... n - 1 look like positions


@dataclass(frozen=True, eq=False)
class Naming:
    """What numbers as names are.

    Attributes:
        numbers: NSD ids, counted from 0 or from 1; alike: no numbers, but names that pictures and stimuli
            share; None: nobody said so, and they are taken as from 0.
        positions: (n,) the NSD id (0-based) of each position in a list, where numbers are such positions.
        source: where that list is from, for messages.
        shared: alike: the names of the stimuli, whose places among these stand for ids.
    """

    numbers: Numbers | None = None
    positions: np.ndarray | None = None
    source: str = ""
    shared: tuple[str, ...] = ()

    @property
    def first(self) -> int:
        """The number of NSD's first image."""
        return int(self.numbers == "ids_from_1")

    def images(self, paths: list[Path]) -> dict[Path, int]:
        """The NSD id, 0-based, of each picture; of names that are alike the place of its name.

        Raises:
            InputError: a name that is no number and not NSD's own, or a number out of range.
        """
        if self.numbers == "alike":
            return self._alike(paths)
        if self.positions is None:
            return {path: self._image(path) for path in paths}
        numbers = {path: self._position(path) for path in paths}
        n = len(self.positions)
        # from 1 only where nothing else fits
        first = int(set(numbers.values()) == set(range(1, n + 1)))
        for path, number in numbers.items():
            if not 0 <= number - first < n:
                raise InputError(
                    f"{path}: expected a position from 0 to {n - 1} as the name, as {self.source} lists {n} "
                    f"images, found {path.stem!r}; give the list that the pictures were made from."
                )
        return {path: int(self.positions[number - first]) for path, number in numbers.items()}

    def _alike(self, paths: list[Path]) -> dict[Path, int]:
        places = {name: place for place, name in enumerate(self.shared)}
        for path in paths:
            if path.stem not in places:
                raise InputError(
                    f"{path}: expected the name of a stimulus, found none that is called so; rename it."
                )
        return {path: places[path.stem] for path in paths}

    def _position(self, path: Path) -> int:
        number = plain_number(path)
        if number is None:
            raise InputError(
                f"{path}: expected a position in {self.source} as the name, such as 0{path.suffix}, found "
                f"{path.stem!r}; rename it, or leave out --ids where names are NSD's."
            )
        return number

    def _image(self, path: Path) -> int:
        shared = SHARED.fullmatch(path.stem)
        number = int(shared[2]) if shared else plain_number(path)
        first = 1 if shared else self.first
        if number is not None and 0 <= number - first < nsd_tree.N_IMAGES:
            return number - first
        raise InputError(
            f"{path}: expected the image's NSD id from {self.first} to {nsd_tree.N_IMAGES - 1 + self.first} "
            f"as "
            f"the name, such as {5427 + self.first:05d}{path.suffix} for the image that NSD's own names call "
            f"nsd05428 ({'both count from 1' if self.first else 'ids count from 0, those names from 1'}), or "
            f"NSD's own name of a shared image such as shared0001_nsd02951{path.suffix}, found "
            f"{path.stem!r}{self._more(path)}."
        )

    def _more(self, path: Path) -> str:
        """What is known of a name that is none."""
        stem = path.stem
        bare = None if SHARED.fullmatch(stem) else NSD_NUMBER.fullmatch(stem)
        if bare and 1 <= (number := int(bare[1])) < nsd_tree.N_IMAGES:
            return (
                f"; it is image {number - 1} if it counts as NSD's own names do, and image {number} if it "
                "counts from 0, which the name alone does not say"
            )
        if SAMPLES.fullmatch(stem):
            return "; one picture per image is scored: choose one of each and name it by the id alone"
        if plain_number(path) == nsd_tree.N_IMAGES:
            return "; where all names count from 1, say --names ids_from_1"
        return (
            "; rename it, name the list it is a position in (--ids), or, where pictures and stimuli are "
            "called alike by names of your own, say --names alike"
        )


def plain_number(path: Path) -> int | None:
    """The number that a name is; None: it is more than that, or none."""
    stem = path.stem
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) < 10 else None


def contradictions(files: Mapping[int, Path], shared: np.ndarray) -> list[Path]:
    """NSD's own names whose two numbers mean different images, in the order of the names.

    Args:
        files: pictures by NSD id.
        shared: NSD ids (0-based) of the shared images in ascending order.
    """
    found = []
    for image, path in files.items():
        if own := SHARED.fullmatch(path.stem):
            number = int(own[1])
            if not (1 <= number <= len(shared) and shared[number - 1] == image):
                found.append(path)
    return sorted(found)


def look_like_positions(files: Mapping[int, Path]) -> str | None:
    """Names that are 0 ... n - 1, 1 ... n, or nearly so, as a list's positions are: which they are.

    A share of `DENSE` is enough, as pictures may be missing. The same of ids drawn from NSD's 73,000 does not
    happen by chance.
    """
    numbers = [plain_number(path) for path in files.values()]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or len(known) < 2:
        return None
    low, high, n = min(known), max(known), len(known)
    exactly = low <= 1 and high - low + 1 == n
    if exactly or n >= DENSE * (high + 1):
        return f"{'' if exactly else 'nearly all of '}{low} to {high}"
    return None


def read_positions(ids: str | Path, expdesign: Path | None, n_pictures: int) -> Naming:
    """What `--ids` says: a list of ids, one for each position, or the order of published scripts.

    Args:
        ids: a text file of `trials.read_ids`, or a name in `PUBLISHED`.
        expdesign: NSD's `nsd_expdesign.mat`, if it is known; the order of published scripts is read from it.
        n_pictures: how many there are.

    Raises:
        InputError: the file is missing or wrong, or the order is not known.
    """
    if str(ids) in PUBLISHED:
        if expdesign is None or not expdesign.is_file():
            raise InputError(
                f"--ids {ids}: expected nsd_expdesign.mat in NSD's tree, from which the order is read, found "
                "none there; name the tree as --stimuli, or the ids in a file, one a line."
            )
        positions = published_order(str(ids), expdesign, n_pictures)
        return Naming(None, positions, f"--ids {ids}")
    positions = read_ids(ids)
    if positions.max() >= nsd_tree.N_IMAGES:
        raise InputError(
            f"{ids}: expected NSD ids from 0 to {nsd_tree.N_IMAGES - 1}, found {positions.max()}; ids count "
            f"from "
            "0, NSD's own names from 1."
        )
    if len(np.unique(positions)) < len(positions):
        values, counts = np.unique(positions, return_counts=True)
        raise InputError(
            f"{ids}: expected each image once, as every position has its own, found {values[counts > 1][0]} "
            "again; list the images in the order of the pictures."
        )
    return Naming(None, positions, str(ids))


def published_order(script: str, expdesign: Path, n_pictures: int | None = None) -> np.ndarray:
    """The test images of published scripts, NSD ids (0-based) in their order.

    "brain_diffuser" (Ozcelik & VanRullen, 2023) goes through a subject's trials in their order: images of
    more sessions come behind. "mindeye2" (Scotti et al., 2024) goes through the ids in ascending order, so
    that the list depends on the sessions that a subject has: the one of as many images as there are pictures.

    Raises:
        InputError: the design is missing or wrong, or no subject's list has as many images.
    """
    met = [nsd_tree.shared_as_met(expdesign, sessions) for sessions in SESSIONS]
    if script == "brain_diffuser":
        return met[-1]
    lists = {len(ids): np.sort(ids) for ids in met}
    if n_pictures not in lists:
        raise InputError(
            f"--ids {script}: expected as many pictures as a subject has shared images "
            f"({', '.join(map(str, lists))}), found {n_pictures}; name their ids in a file, one a line."
        )
    return lists[n_pictures]
