"""What was seen, for a folder of pictures that is scored: NSD's stimuli, or a folder of pictures."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import kind_of
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.evaluation import metrics
from neural_recon.evaluation.name_questions import SMALL
from neural_recon.evaluation.picture_files import picture_files, read_picture, read_pictures
from neural_recon.evaluation.picture_names import Naming

NAMES = "; names are NSD ids, counted from 0, unless --names or --ids says what else they are"
BLOCK = 64  # pictures read at a time


class FolderStimuli:
    """What was seen, by NSD id: NSD's HDF5, or a folder of pictures."""

    def __init__(self, stimuli: Path, naming: Naming):
        self.path = stimuli_file(stimuli)
        kind = kind_of(self.path, "stimuli")
        if kind == "nothing":
            raise InputError(
                f"{self.path}: expected a folder of stimuli, or the stimuli's HDF5 file of an NSD tree, "
                "found neither."
            )
        self.files = None if kind == "file" else picture_files(self.path, naming)
        self.design = design_of(stimuli)
        self.seen: dict[int, np.ndarray | None] = {}  # of `small`

    def check(self, image_ids: np.ndarray) -> None:
        """Raise an InputError unless each image has its stimulus."""
        if self.files is None:
            nsd_tree.check_filled(self.path, image_ids, NAMES)
            return
        absent = [int(i) for i in image_ids if i not in self.files]
        if absent:
            raise InputError(
                f"{self.path}: expected a stimulus for each picture, found none for image {absent[0]} "
                f"({len(absent)} of {len(image_ids)} are missing){NAMES}."
            )

    def read(self, image_ids: np.ndarray) -> Sequence[Image.Image]:
        """The pictures of images."""
        if self.files is not None:
            return read_pictures(self.files, image_ids)
        return [Image.fromarray(picture) for picture in nsd_tree.read_stimuli(self.path, image_ids)]

    def small(self, image_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of any images there are, (n,) bool, and these at the size of `name_questions`."""
        size = SMALL
        new = np.array([i for i in np.unique(image_ids) if i not in self.seen], np.int64)
        for start in range(0, len(new), BLOCK):
            block = new[start : start + BLOCK]
            for image_id, picture in zip(block, self._some(block), strict=True):
                small = (
                    None if picture is None else metrics.resize_through(picture[None], (size,), "bilinear")
                )
                self.seen[int(image_id)] = small
        found = [self.seen[int(i)] for i in image_ids]
        there = [picture for picture in found if picture is not None]
        empty = np.empty((0, size, size, 3), np.uint8)
        return np.array([picture is not None for picture in found], bool), np.concatenate([empty, *there])

    def _some(self, image_ids: np.ndarray) -> list[np.ndarray | None]:
        """Pictures, and None for those that are not there or cannot be read: nobody asked to score them."""
        if self.files is not None:
            some: list[np.ndarray | None] = []
            for image_id in image_ids:
                picture = None
                if image_id in self.files:
                    with contextlib.suppress(InputError):
                        picture = np.asarray(read_picture(self.files[image_id]))
                some.append(picture)
            return some
        try:
            pictures = nsd_tree.read_stimuli(self.path, image_ids, empty_ok=True)
        except InputError:  # of other images than those asked for: outside the file, or damaged
            return [None] * len(image_ids)
        return [picture if picture.any() else None for picture in pictures]

    def shared(self) -> np.ndarray | None:
        """Ids of the shared images in ascending order, where the stimuli lie in a tree with its design."""
        if self.design is not None and self.design.is_file():
            with contextlib.suppress(InputError):
                return nsd_tree.shared_images(self.design)
        return None


def stimuli_file(stimuli: Path) -> Path:
    """The HDF5 file of an NSD tree; another file, or a folder of pictures, as it is."""
    path = Path(stimuli)
    whole = nsd_tree.Tree(path).stimuli
    return whole if path.is_dir() and whole.exists() else path


def design_of(stimuli: Path) -> Path | None:
    """The experiment design of the tree that the stimuli lie in."""
    path = stimuli_file(stimuli).absolute()
    roots = [root for root in path.parents if nsd_tree.Tree(root).stimuli == path]
    return nsd_tree.Tree(roots[0]).expdesign if roots else None
