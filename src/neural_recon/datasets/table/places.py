"""Where a subject's voxels lie: a mask, or all voxels that vary; and the names of their regions."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from neural_recon.core.arrays import open_array
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import NUMBERS
from neural_recon.core.tables import read_table
from neural_recon.datasets import nifti, volumes
from neural_recon.datasets.dataset import AXES
from neural_recon.datasets.grids import Grid, Placement, placed_affine
from neural_recon.datasets.table.surfaces import IN_WORDS, is_surface, read_surface

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

NIFTI, NPY = (".nii", ".nii.gz"), ".npy"
LABELS, NAMES = (
    ("label", "index", "value"),
    ("name", "region"),
)  # what columns of a table of names may be called


@dataclass(frozen=True, eq=False)
class Places:
    """The space of a subject's responses.

    Attributes:
        source: the file that says it.
        shape: as files store it: (x, y, z), or (voxels,) of responses that lie in no volume, as on a surface.
        grid: the volume, in the axes RAS where its header says how it lies; None: there is none.
        placement: how what is stored comes into the grid; None: as it is.
    """

    source: Path
    shape: tuple[int, ...]
    grid: Grid | None = None
    placement: Placement | None = None

    def stored(self, chosen: np.ndarray) -> np.ndarray:
        """Where arrays, which say nothing of their axes, have places (n, 3) of the grid, or (n, 1): those of
        the file that says the space, as it is stored."""
        return chosen if self.placement is None else self.placement.indices(chosen)

    def flat(self, chosen: np.ndarray) -> np.ndarray:
        """The same as places in C order of what is stored."""
        return np.ravel_multi_index(tuple(self.stored(chosen).T), self.shape)

    def in_grid(self, stored: np.ndarray) -> np.ndarray:
        """An array of the stored shape in the grid's axes."""
        return stored if self.placement is None else self.placement.apply(stored)

    @classmethod
    def of_volume(cls, path: Path, image: nifti.Nifti, notes: list[str] | None) -> Places:
        """The space of a NIfTI file, in the axes RAS where its header says how it lies."""
        placement = nifti.placed(image, image.shape[:3], None)
        placement.say(logger, notes)
        affine = None if image.affine is None else placed_affine(image.affine, placement)
        return cls(path, image.shape[:3], Grid(str(path), placement.shape, affine), placement)

    @classmethod
    def of_array(cls, path: Path, shape: tuple[int, ...]) -> Places:
        """That of an array, whose axes nothing is known of."""
        volume = len(shape) == 3 and math.prod(shape) > max(shape)
        return cls(path, shape, Grid(str(path), shape)) if volume else cls(path, (math.prod(shape),))


def is_volume(path: Path) -> bool:
    """Whether a file is called as volumes in NIfTI are."""
    return path.name.endswith(NIFTI) and not is_surface(path)


# a file, or several with other places of the same: the hemispheres, one behind the other
Files: TypeAlias = "Path | tuple[Path, ...]"


def of_mask(path: Files, notes: list[str] | None) -> Places:
    """The space of a mask, NIfTI, GIFTI, CIFTI or an array (`.npy`); of NIfTI only the header is read.

    Raises:
        InputError: the file is missing, cut short or no mask.
    """
    first, *beside = _each(path)
    if is_volume(first) and not beside:
        image = nifti.open_nifti(first)
        nifti.volume_shape(image)
        return Places.of_volume(first, image, notes)
    return Places.of_array(first, _array(path).shape)


def mask_of(path: Files, places: Places) -> np.ndarray:
    """Where a mask is above 0: bool, in the grid's axes.

    Raises:
        InputError: the file is cut short or holds other than whole numbers, or no voxel is in the mask.
    """
    inside = _whole_numbers(path, places) > 0
    if not inside.any():
        raise InputError(f"{_said(path)}: expected a mask with voxels above 0, found none.")
    return inside


def _whole_numbers(path: Files, places: Places) -> np.ndarray:
    """Labels in the grid's axes."""
    first, *beside = _each(path)
    if is_volume(first) and not beside:
        if places.grid is None:
            raise InputError(
                f"{first}: expected labels as an array (.npy) or in {IN_WORDS}, "
                f"{places.shape[0]} values, as the responses lie in no volume, found a NIfTI file."
            )
        # what is odd about the mask's own header was said already
        return volumes.read_labels(first, places.grid, notes=[] if first == places.source else None)
    values = _array(path)
    if values.size != math.prod(places.shape):
        raise InputError(
            f"{_said(path)}: expected the shape {places.shape} of {places.source}, found {values.shape}."
        )
    kind = values.dtype.kind
    if kind not in NUMBERS or (kind == "f" and not (values == np.round(values)).all()):
        raise InputError(
            f"{_said(path)}: expected whole numbers, found {values.dtype}; save labels as integers."
        )
    return places.in_grid(values.reshape(places.shape).astype(np.int64))


def _each(path: Files) -> tuple[Path, ...]:
    return path if isinstance(path, tuple) else (path,)


def _said(path: Files) -> str:
    return ", ".join(map(str, _each(path)))


def _array(path: Files) -> np.ndarray:
    """A mask or labels; of several files one behind the other."""
    if isinstance(path, tuple):
        return np.concatenate([_array(one).reshape(-1) for one in path])
    if is_surface(path):
        values = read_surface(path, "a mask or labels")
        if values.shape[1] != 1:
            raise InputError(
                f"{path}: expected a mask or labels, one value per vertex, found {values.shape[1]}; save "
                "that which is meant in a file of its own."
            )
        return values[:, 0]
    if not path.name.endswith(NPY):
        raise InputError(
            f"{path}: expected a mask or labels in NIfTI ({', '.join(NIFTI)}), {IN_WORDS} or NumPy's "
            f"format ({NPY}), found another ending."
        )
    return open_array(path, "a mask or labels")


def voxel_table(
    inside: np.ndarray, places: Places, labels: Mapping[str, Files], names: Mapping[str, Path]
) -> pd.DataFrame:
    """One row per voxel, as of `DataSet.voxels`; of responses in no volume x alone, their place in the file.

    Args:
        inside: bool in the grid's axes: the voxels, in C order.
        labels: atlas -> its labels; 0 and below are no region.
        names: atlas -> table of what its labels are called; without one they are called by number.

    Raises:
        InputError: labels or a table of names that are missing, wrong or of another space.
    """
    import pandas as pd

    at = np.nonzero(inside)
    table = pd.DataFrame({axis: place.astype(np.int32) for axis, place in zip(AXES, at, strict=False)})
    for atlas, path in labels.items():
        found = _whole_numbers(path, places)[at]
        called = _names(names[atlas]) if atlas in names else {}
        table[atlas] = [called.get(n, str(n)) if n > 0 else "" for n in found.tolist()]
        if (table[atlas] == "").all():
            logger.warning("%s: none of the subject's voxels has a label above 0", _said(path))
    return table


def _names(path: Path) -> dict[int, str]:
    """What labels are called: a table with a column of `LABELS` and one of `NAMES`."""
    table = read_table(path, what="a table of names, with the columns label and name", keep_default_na=False)
    label = next((name for name in LABELS if name in table), None)
    name = next((name for name in NAMES if name in table), None)
    if label is None or name is None or table[label].dtype.kind not in "iu":
        raise InputError(
            f"{path}: expected the columns label (whole numbers) and name, found "
            f"{', '.join(map(str, table))}."
        )
    return dict(zip(table[label].tolist(), table[name].astype(str), strict=True))
