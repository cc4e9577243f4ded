"""Volumes of voxels: masks, labels of regions and noise ceilings, as (x, y, z) in the orientation RAS.

x runs from left to right, y from posterior to anterior, z from inferior to superior. What a NIfTI header
says of its axes is used: a file that is stored otherwise is brought into these, or into those of the
subject's mask.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.datasets import nifti
from neural_recon.datasets.grids import Grid, placed_affine

logger = logging.getLogger(__name__)

LABEL_ROUNDING = 1e-3  # labels in floats, or in scaled integers, are whole within this
LABEL_STEP = 0.05  # or within one step of the stored scale, which may be as large as this

FULL_SCALE = 255  # what some programs write for 1 in a mask


def read_grid(path: str | Path, notes: list[str] | None = None) -> Grid:
    """Where the voxels of a subject's mask lie, in the axes RAS; only the header is read.

    Args:
        notes: gets what there is to say of the header, which is logged otherwise.

    Raises:
        InputError: the file is missing, cut short or not three-dimensional.
    """
    image = nifti.open_nifti(path)
    placement = nifti.placed(image, nifti.volume_shape(image), None)
    placement.say(logger, notes)
    affine = None if image.affine is None else placed_affine(image.affine, placement)
    return Grid(str(path), placement.shape, affine)


def read_labels(
    path: str | Path, grid: Grid | None = None, published: bool = False, notes: list[str] | None = None
) -> np.ndarray:
    """Read a label volume (x, y, z) as integers, in the axes of `grid`.

    Args:
        grid: of the subject's mask, which the file must be on (`grids.place`); None: RAS.
        published: one of the NSD tree's own files.
        notes: gets what there is to say of the header, which is logged otherwise.

    Raises:
        InputError: the file is missing, cut short, not three-dimensional, on another grid, or holds other
            than whole numbers (within the rounding of the stored scale).
    """
    image = nifti.open_nifti(path)
    placement = nifti.placed(image, nifti.volume_shape(image), grid, published)
    placement.say(logger, notes)
    return placement.apply(_whole(image, nifti.read_volume(image)))


def read_mask(path: str | Path, values: Sequence[int] = (1,), notes: list[str] | None = None) -> np.ndarray:
    """Read where a label volume carries one of `values`: bool (x, y, z) in the axes RAS.

    Raises:
        InputError: as of `read_labels`, or no voxel carries any of the values.
    """
    labels = read_labels(path, notes=notes)
    mask = np.isin(labels, list(values))
    if not mask.any():
        found = np.unique(labels).tolist()
        if found == [0, FULL_SCALE] and tuple(values) == (1,):
            logger.info("%s: a mask of 0 and %d, taken as 0 and 1", path, FULL_SCALE)
            return labels == FULL_SCALE
        some = f"{', '.join(map(str, found[:10]))}{', ...' if len(found) > 10 else ''}"
        raise InputError(
            f"{path}: expected voxels with the label {list(values)}, found none (its labels are {some})."
        )
    return mask


def read_ncsnr(
    path: str | Path, positions: np.ndarray, grid: Grid | None = None, notes: list[str] | None = None
) -> np.ndarray:
    """Read NSD's noise-ceiling signal-to-noise ratios at voxels `positions` (n, 3): float64 (n,).

    Args:
        grid: of the subject's mask, in which the positions are.

    Raises:
        InputError: the file is missing, cut short, on another grid, or of a volume that does not hold the
            positions.
    """
    image = nifti.open_nifti(path)
    placement = nifti.placed(image, nifti.volume_shape(image), grid, published=True)
    if not np.all(positions.max(axis=0) < placement.shape):
        raise InputError(
            f"{path}: expected a volume of the mask's size, found the shape {placement.shape}; "
            "both must be of one subject and space."
        )
    placement.say(logger, notes)
    return nifti.read_volume(image)[tuple(placement.indices(positions).T)].astype(np.float64)


def _whole(image: nifti.Nifti, values: np.ndarray) -> np.ndarray:
    """Labels as int32: values that are whole, within what the way they are stored rounds off."""
    if not (image.scaled or image.dtype.kind == "f"):
        rounding = 0.0
    elif image.dtype.kind == "f":
        rounding = LABEL_ROUNDING * 1.01  # float32 rounds 1.001 up
    else:
        rounding = max(LABEL_ROUNDING, min(abs(image.slope), LABEL_STEP))
    values = values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(values - np.round(values))
    wrong = ~((np.abs(values) < 2**31) & (off <= rounding))  # NaN is wrong, too
    if not wrong.any():
        return np.round(values).astype(np.int32)
    # what says most: a fraction, rather than a value that a rounded one may be taken for
    worst = values[wrong][np.argmax(np.nan_to_num(off[wrong], nan=1))]
    if not np.isfinite(worst):
        cause = (
            "set these voxels to 0, as numpy.nan_to_num(values, posinf=0, neginf=0) does, and save it again"
        )
    elif abs(worst) >= 2**31:
        cause = "is this a volume of labels? If not, name one"
    elif values.min() >= 0 and values.max() <= 1 + rounding:
        cause = (
            "this looks like a map of probabilities, or a mask that was interpolated: choose a threshold, or "
            "resample with nearest-neighbour interpolation, and save 0 and 1"
        )
    else:
        cause = (
            "this looks like labels that were interpolated, or a map of other values: resample the labels "
            "with nearest-neighbour interpolation and save integers"
        )
    raise InputError(
        f"{image.path}: expected whole numbers as labels, found {worst:.6g} (and others: {wrong.sum()} of "
        f"{values.size} voxels); {cause}."
    )
