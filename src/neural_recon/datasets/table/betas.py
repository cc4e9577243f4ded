"""A lab's single-trial responses: NIfTI, or arrays (`arrays`).

A file is looked at first (`open_betas`): which of its axes are trials, where its voxels lie, and how
the stored numbers become responses. What a file does not say, and nothing stated says, is refused.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there
from neural_recon.datasets import nifti
from neural_recon.datasets.response_units import doubtful_units
from neural_recon.datasets.table.arrays import GLMSINGLE, MATLAB, Axes, Stated, Units, array
from neural_recon.datasets.table.places import Places, is_volume

logger = logging.getLogger(__name__)

UNITS: Mapping[Units, str] = {
    "percent": "% signal change",
    "percent_x300": "% signal change",
    "zscored": "z-scores, as stored",
    "arbitrary": "as stored, in units of the lab's own",
}
AXES: tuple[Axes, ...] = ("x,y,z,trials", "trials,z,y,x", "trials,x,y,z", "voxels,trials", "trials,voxels")
BLOCK = 64 * 2**20  # bytes read at once


@dataclass(frozen=True, eq=False)
class Opened:
    """One file of betas, looked at.

    Attributes:
        shape: of its space, in the file's own order of axes: (x, y, z), (z, y, x) or (voxels,).
        axes: the meaning of an array's axes; "" for NIfTI.
    """

    path: Path
    n_trials: int
    shape: tuple[int, ...]
    dtype: np.dtype
    units: Units
    axes: Axes | Literal[""]
    name: str  # of the dataset in HDF5, or of the entry in a pickle; "" otherwise
    image: nifti.Nifti | None = None
    beside: tuple[Path, ...] = ()  # further files, with other places of the same trials

    @property
    def space(self) -> tuple[int, ...]:
        """The shape of its space as (x, y, z) or (voxels,)."""
        return self.shape[::-1] if self.axes == "trials,z,y,x" else self.shape

    def in_words(self) -> str:
        where = f"{self.name!r}, {self.axes}" if self.name else self.axes or "NIfTI"
        return f"{UNITS[self.units]} ({self.dtype}; {where})"

    def convert(self, stored: np.ndarray) -> np.ndarray:
        """Stored numbers as responses, float32."""
        slope, inter = (self.image.slope, self.image.inter) if self.image is not None else (1.0, 0.0)
        slope, inter = (slope / 300, inter / 300) if self.units == "percent_x300" else (slope, inter)
        with np.errstate(over="ignore", invalid="ignore"):
            if (slope, inter) == (1.0, 0.0):
                return stored.astype(np.float32)
            return (stored.astype(np.float64) * slope + inter).astype(np.float32)


def open_betas(
    path: str | Path,
    stated: Stated,
    counts: Collection[int],
    spaces: Collection[tuple[int, ...]] = (),
    beside: Sequence[Path] = (),
) -> Opened:
    """Look at a file of betas.

    Args:
        stated: in the configuration.
        counts: how many trials it may have.
        spaces: shapes that an array's space may have, as (x, y, z) or (voxels,); none: not known.
        beside: files with other places of the same trials, as of the other hemisphere.

    Raises:
        InputError: the file is missing, cut short, of another kind, number of trials or volume, or does not
            say in which units its numbers are or which of its axes are trials.
    """
    path = Path(path)
    for one in (path, *beside):
        if not is_there(one, "a session's betas"):
            raise InputError(
                f"{one}: expected a session's betas, found no such file; is dataset.betas right?"
            )
    if is_volume(path) and not beside:
        return _open_nifti(path, stated, counts)
    with array(path, stated, beside) as (data, name):
        if data.dtype.kind not in "iuf":
            raise InputError(f"{path}: expected numbers, found {data.dtype}.")
        axes = axes_of(path, name, data.shape, stated.axes, counts, spaces)
        units = _units(path, data.dtype, stated.units, name in GLMSINGLE)
        n_trials, _ = _parted(data.shape, axes)
        shape = data.shape[1:] if axes.startswith("trials") else data.shape[:-1]
        return Opened(path, n_trials, tuple(shape), data.dtype, units, axes, name, beside=tuple(beside))


def _open_nifti(path: Path, stated: Stated, counts: Collection[int]) -> Opened:
    image = nifti.open_nifti(path)
    if len(image.shape) != 4 or image.dtype.kind not in "iuf":
        cifti = "; a file of CIFTI must end in .dscalar.nii or .dtseries.nii" if len(image.shape) > 5 else ""
        raise InputError(
            f"{path}: expected betas (x, y, z, trials) as numbers, found {image.dtype} {image.shape}{cifti}."
        )
    if image.shape[3] not in counts:
        raise InputError(f"{path}: expected {_number(counts)} trials, found {image.shape[3]}; {_TRIALS}.")
    nifti.check_size(image)
    units = _units(path, image.dtype, stated.units, False)
    return Opened(path, image.shape[3], image.shape[:3], image.dtype, units, "", "", image)


_TRIALS = (
    "the table of trials must have a row for each of a file's volumes, or for each with a picture, in their "
    "order"
)


def _number(counts: Collection[int]) -> str:
    return " or ".join(map(str, sorted(set(counts))))


def _units(path: Path, dtype: np.dtype, stated: Units | None, glmsingle: bool) -> Units:
    if stated is not None:
        return stated
    if glmsingle:
        return "percent"
    raise InputError(
        f"{path}: expected dataset.units, as these betas ({dtype}) do not say in which units they are; state "
        f"one of {', '.join(UNITS)}: percent signal change, the same times 300, z-scores, or others."
    )


def axes_of(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    stated: Axes | None,
    counts: Collection[int],
    spaces: Collection[tuple[int, ...]],
) -> Axes:
    """What the axes of an array are: as stated, as those who wrote it have them, or as the number of trials
    and the space leave one possibility.

    Args:
        name: of the array; GLMsingle's order of axes is known.
        shape: of the array.
        counts: how many trials there may be.
        spaces: shapes that the others may have, as (x, y, z) or (voxels,); none: not known.

    Raises:
        InputError: they leave none, or several that differ.
    """
    possible = [axes for axes in AXES if len(axes.split(",")) == len(shape)]
    if stated:
        possible = [axes for axes in possible if axes == stated]
    elif name in GLMSINGLE and len(shape) == 4:  # MATLAB's arrays come reversed
        possible = ["trials,z,y,x"] if path.suffix == MATLAB else ["x,y,z,trials"]
    found = []
    for axes in possible:
        n_trials, space = _parted(shape, axes)
        # all voxels on one axis is how GLMsingle keeps responses without a volume
        flat = (math.prod(space),) if math.prod(space) == max(space) else space
        if n_trials in counts and 0 not in space and (not spaces or space in spaces or flat in spaces):
            found.append(axes)
    if not spaces and len({axes.startswith("trials") for axes in found}) == 1:
        found = found[:1]  # any order of x, y and z is as good: nothing else says where a voxel lies
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{path}: expected axes that the shape {tuple(shape)} tells apart, found that it may be "
            f"{' or '.join(found)}; set dataset.axes."
        )
    of = f" at {' or '.join(map(str, spaces))} places" if spaces else ""
    so = f", with the axes {stated}" if stated else ""
    raise InputError(
        f"{path}: expected an array of {_number(counts)} trials{of}{so}, found the shape {tuple(shape)}; "
        f"{_TRIALS}."
    )


def _parted(shape: tuple[int, ...], axes: Axes) -> tuple[int, tuple[int, ...]]:
    """The number of trials, and the shape of the rest as (x, y, z) or (voxels,)."""
    if not axes.startswith("trials"):
        return shape[-1], shape[:-1]
    return shape[0], shape[:0:-1] if axes == "trials,z,y,x" else shape[1:]


def read_betas(
    opened: Opened, places: Places, chosen: np.ndarray, rows: np.ndarray, stated: Stated
) -> np.ndarray:
    """Some trials of a file at some voxels, in bounded memory.

    Args:
        opened: the file.
        places: of the subject's voxels.
        chosen: (n, 3) places x, y, z in the subject's grid, or (n, 1) of voxels in no volume.
        rows: ascending trials of the file, from 0.

    Returns:
        float32 (len(rows), n).

    Raises:
        InputError: the file is cut short or damaged, or a NIfTI file lies on another grid.
    """
    values = np.empty((len(rows), len(chosen)), np.float32)
    if opened.image is not None:
        placement = nifti.placed(opened.image, opened.shape, places.grid, what="betas of the mask's volume")
        placement.say(logger, None)
        flat = np.ravel_multi_index(tuple(placement.indices(chosen).T), placement.stored, order="F")
        place_of = dict(zip(rows.tolist(), range(len(rows)), strict=True))
        for trial, stored in enumerate(nifti.each_volume(opened.image)):
            if trial in place_of:
                values[place_of[trial]] = opened.convert(stored[flat])
    elif rows.size:
        flat = _places_in(opened, places, chosen)
        within = slice(int(rows.min()), int(rows.max()) + 1)
        for trials, columns, block in blocks(opened, stated, within):
            wanted = np.flatnonzero((rows >= trials.start) & (rows < trials.stop))
            inside = np.flatnonzero((flat >= columns.start) & (flat < columns.stop))
            part = block[np.ix_(rows[wanted] - trials.start, flat[inside] - columns.start)]
            values[np.ix_(wanted, inside)] = opened.convert(part)
    logger.info("%s: %d trials, %d voxels; %s", opened.path, *values.shape, opened.in_words())
    in_percent = opened.units.startswith("percent")
    if in_percent and (doubt := doubtful_units(opened.path, values, opened.in_words())):
        logger.warning("%s", doubt)
    return values


def _places_in(opened: Opened, places: Places, chosen: np.ndarray) -> np.ndarray:
    """Where an array has voxels, in C order of its space."""
    if len(places.shape) == 3 and max(opened.shape) == math.prod(opened.shape) != math.prod(places.shape):
        # the mask's voxels alone, in the order of the mask as it is stored
        return np.argsort(np.argsort(places.flat(chosen)))
    if opened.axes == "trials,z,y,x":
        return np.ravel_multi_index(tuple(places.stored(chosen)[:, ::-1].T), opened.shape)
    return places.flat(chosen)


def blocks(
    opened: Opened, stated: Stated, within: slice | None = None
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """An array of betas block by block: trials, places in C order of its space, and values (trials, places).

    Arrays with trials last, and those stored with all trials of a voxel together, come in slabs of space,
    others in blocks of trials, so that nothing is read twice.

    Args:
        within: the trials to read; None: all. Of a file of all sessions one session is a fraction.
    """
    within = within or slice(0, opened.n_trials)
    n_trials = within.stop - within.start
    with array(opened.path, replace(stated, name=opened.name or None), opened.beside) as (data, _):
        first, chunks = opened.axes.startswith("trials"), getattr(data, "chunks", None)
        by_trials = first and not (chunks and chunks[0] == opened.n_trials > 1)
        axis = 1 if first and not by_trials else 0
        extent = within if by_trials else slice(0, data.shape[axis])
        unit, size = chunks[axis] if chunks else 1, math.prod(opened.shape)
        each = size if by_trials else n_trials * size // data.shape[axis]  # values
        step = unit * max(1, BLOCK // (data.dtype.itemsize * each * unit))
        plane = math.prod(opened.shape[1:])
        for start in range(extent.start, extent.stop, step):
            stop = min(start + step, extent.stop)
            if by_trials:
                yield slice(start, stop), slice(0, size), data[start:stop].reshape(stop - start, -1)
                continue
            rest = [slice(None)] * (data.ndim - 2)
            key = (within, slice(start, stop), *rest) if first else (slice(start, stop), *rest, within)
            part = np.asarray(data[key])
            values = part.reshape(n_trials, -1) if first else part.reshape(-1, n_trials).T
            yield within, slice(start * plane, stop * plane), values


def varying(opened: Opened, places: Places, stated: Stated) -> np.ndarray:
    """Where responses vary over the trials of a file and are numbers in all: bool, in the grid's axes.

    Raises:
        InputError: the file is cut short or damaged, or no response varies.
    """
    size = math.prod(opened.shape)
    low, high, finite = np.full(size, np.inf), np.full(size, -np.inf), np.ones(size, bool)

    def see(columns: slice, block: np.ndarray) -> None:
        with np.errstate(invalid="ignore"):
            low[columns] = np.minimum(low[columns], block.min(axis=0))
            high[columns] = np.maximum(high[columns], block.max(axis=0))
            finite[columns] &= np.isfinite(block).all(axis=0)

    if opened.image is not None:
        for stored in nifti.each_volume(opened.image):
            see(slice(0, size), stored[None])
    else:
        for _, columns, block in blocks(opened, stated):
            see(columns, block)
    with np.errstate(invalid="ignore"):
        found = finite & (high > low)
    if not found.any():
        raise InputError(f"{opened.path}: expected responses that vary over trials, found none.")
    if opened.image is not None:
        return places.in_grid(found.reshape(opened.shape, order="F"))
    if opened.axes == "trials,z,y,x":
        return places.in_grid(found.reshape(opened.shape).T)
    return places.in_grid(found.reshape(places.shape))
