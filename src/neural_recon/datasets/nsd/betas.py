"""Single-trial responses ("betas") of one session: NSD's files, and those of other programs on its grid."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import dataset, open_hdf5
from neural_recon.core.refusals import is_there
from neural_recon.datasets import nifti
from neural_recon.datasets.grids import Grid, Placement, place
from neural_recon.datasets.response_units import doubtful_units

logger = logging.getLogger(__name__)

BETA_SCALE = 300  # int16 units in one percent signal change

HDF5 = (".hdf5", ".h5")  # endings of betas in that format

MOST_TRIALS = 40 * 750  # of a subject's whole experiment

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Betas:
    """What a file of single-trial responses is, before its data are read."""

    path: Path
    n_trials: int
    units: str  # how percent signal change comes of the stored numbers
    axes: str  # how its axes were brought into the mask's
    percent: Callable[[np.ndarray], np.ndarray]  # stored numbers to % signal change, float32
    placement: Placement | None  # None: HDF5, which says nothing of axes
    image: nifti.Nifti | None


def open_betas(
    path: str | Path, volume: Grid | Sequence[int], trials: int | None = None, published: bool = True
) -> Betas:
    """Look at the header of one session's betas.

    Args:
        volume: the subject's grid, or a shape alone.
        trials: the number of trials the file must have; None takes what it has.
        published: one of the NSD tree's own files.

    Raises:
        InputError: as of `read_betas`, but for what only the data show.
    """
    path, grid = Path(path), Grid.of(volume)
    if not is_there(path, "a session's betas"):
        raise InputError(f"{path}: expected a session's betas, found no such file; fetch it or leave it out.")
    if path.suffix in HDF5:
        with open_hdf5(path) as file:
            data = _hdf5_betas(path, file)
            shape, dtype = data.shape[::-1], data.dtype
        units, percent = units_of(path, dtype)
        _check_axes(path, shape)
        if shape[:3] != tuple(grid.shape) == shape[::-1][:3]:
            raise InputError(
                f"{path}: expected the axes of 'betas' as (trials, z, y, x), found (x, y, z, trials), "
                f"{shape[::-1]}; save them reversed, in Python betas.T."
            )
        placement = place(path, shape[:3], None, grid, what="betas of the mask's volume")
        _check_trials(path, shape, trials)
        return Betas(path, shape[3], units, "HDF5 names none, taken as NSD's (RAS)", percent, None, None)
    image = nifti.open_nifti(path)
    units, percent = units_of(path, image.dtype, image.slope, image.inter)
    _check_axes(path, image.shape)
    placement = nifti.placed(image, image.shape[:3], grid, published, "betas of the mask's volume")
    _check_trials(path, image.shape, trials)
    nifti.check_size(image)
    return Betas(path, image.shape[3], units, placement.axes, percent, placement, image)


def units_of(
    path: str | Path, dtype: np.dtype, slope: float = 1.0, inter: float = 0.0
) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """What units stored responses are in, and how they become percent signal change, float32.

    Args:
        dtype: of the stored numbers.
        slope, inter: what the header says of their scale.

    Raises:
        InputError: a type that says nothing of its units.
    """
    scaled = (slope, inter) != (1.0, 0.0)
    if scaled and dtype.kind in "iuf":

        def percent(stored: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore", invalid="ignore"):
                return (stored.astype(np.float64) * slope + inter).astype(np.float32)

        return f"percent signal change: {dtype} x {slope:.9g} + {inter:.9g}, by the header's scale", percent
    if dtype.kind == "f":

        def percent(stored: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore", invalid="ignore"):
                return stored.astype(np.float32)

        return f"percent signal change, as stored ({dtype})", percent
    if dtype.kind == "i" and dtype.itemsize == 2:

        def percent(stored: np.ndarray) -> np.ndarray:
            return stored.astype(np.float32) / np.float32(BETA_SCALE)

        return f"NSD's integers, percent signal change x {BETA_SCALE}", percent
    raise InputError(
        f"{path}: expected betas as int16 (percent signal change x {BETA_SCALE}), as floats (percent signal "
        f"change), or as integers with a scale in a NIfTI header, found {dtype}; save them as float32 in "
        "percent signal change."
    )


def read_betas(
    path: str | Path,
    mask: np.ndarray,
    trials: int | None = None,
    grid: Grid | None = None,
    published: bool = True,
    notes: list[str] | None = None,
) -> np.ndarray:
    """Read one session's responses within a mask, in bounded memory.

    Args:
        path: `betas_sessionNN.nii.gz`, (x, y, z, trials), or `.hdf5`, dataset `betas` with the axes
            reversed. Both give the same bits. HDF5 says nothing of its axes: they are NSD's.
        mask: bool (x, y, z), in the axes of `grid`.
        trials: the number of trials the file must have; None takes what it has.
        grid: of the subject's mask, which the file must be on (`grids.place`); None: only its shape is known.
        published: one of the NSD tree's own files.
        notes: gets what there is to say of the header, which is logged otherwise.

    Returns:
        Percent signal change, float32 (n_trials, n_voxels), voxels in the mask's C order: floats as they are
        stored, integers by the scale in the header, int16 without one divided by 300.

    Raises:
        InputError: the file is missing, cut short, of a type without units, of another volume or grid than
            the mask or of another number of trials, or the mask has no voxel.
    """
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.ndim != 3:
        raise TypeError(f"mask: expected bool (x, y, z), got {mask.dtype} {mask.shape}")
    if not mask.any():
        raise InputError(f"{path}: expected a mask with voxels, found an empty one.")
    if grid is not None and tuple(grid.shape) != mask.shape:
        raise ValueError(f"mask: expected the grid's shape {grid.shape}, got {mask.shape}")
    betas = open_betas(path, grid or mask.shape, trials, published)
    if betas.placement is not None:
        betas.placement.say(logger, notes)
    places = np.argwhere(mask)
    read = _read_betas_hdf5 if betas.image is None else _read_betas_nifti
    values = read(betas, places, mask.shape)
    logger.info("%s: %d trials, %d voxels; %s; axes: %s", path, *values.shape, betas.units, betas.axes)
    if doubt := doubtful_units(path, values, betas.units):
        if notes is None:
            logger.warning("%s", doubt)
        else:
            notes.append(doubt)
    return values


def check_betas(
    path: str | Path,
    volume: Grid | Sequence[int],
    trials: int,
    published: bool = True,
    notes: list[str] | None = None,
) -> None:
    """Look at one session's betas without reading them: format, shape, grid, and whether the end is there.

    It accepts what `read_betas` accepts, and refuses what that refuses, but for damage in the middle.

    Args:
        volume: the subject's grid, or a shape alone.

    Raises:
        InputError: as of `read_betas`, but for damage in the middle of the file.
    """
    betas = open_betas(path, volume, trials, published)
    if betas.image is not None:
        nifti.check_whole(betas.image)
    if betas.placement is not None:
        betas.placement.say(logger, notes)


def _check_axes(path: str | Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 4:
        raise InputError(f"{path}: expected betas (x, y, z, trials), found the shape {tuple(shape)}.")


def _check_trials(path: str | Path, shape: tuple[int, ...], trials: int | None) -> None:
    """`shape` as (x, y, z, trials)."""
    if not 0 < shape[3] <= MOST_TRIALS:
        raise InputError(f"{path}: expected 1 to {MOST_TRIALS} trials, found {shape[3]}.")
    if trials is not None and shape[3] != trials:
        raise InputError(f"{path}: expected {trials} trials, found {shape[3]}; fetch the file again.")


def _read_betas_nifti(betas: Betas, places: np.ndarray, volume: tuple[int, ...]) -> np.ndarray:  # noqa: ARG001
    image, placement = betas.image, betas.placement
    assert image is not None
    assert placement is not None
    # where the file has the masked voxels: its data are never turned as a whole
    voxels = np.ravel_multi_index(tuple(placement.indices(places).T), placement.stored, order="F")
    values = np.empty((betas.n_trials, len(voxels)), np.float32)
    for row, stored in zip(values, nifti.each_volume(image), strict=True):
        row[:] = betas.percent(stored[voxels])
    return values


def _read_betas_hdf5(betas: Betas, places: np.ndarray, volume: tuple[int, ...]) -> np.ndarray:
    # x runs fastest in the file: the masked voxels, taken in C order, by their place in that layout
    voxels = np.ravel_multi_index(tuple(places.T), volume, order="F")
    with open_hdf5(betas.path) as file:
        data = _hdf5_betas(betas.path, file)
        values = np.empty((len(data), len(voxels)), np.float32)
        try:
            for rows, planes, columns, inside in _hdf5_blocks(data, voxels):
                stored = data[rows, planes].reshape(rows.stop - rows.start, -1)
                values[rows, columns] = betas.percent(stored[:, inside])
        except OSError as error:
            raise nifti.damaged(betas.path, error) from error
    return values


def _hdf5_betas(path: str | Path, file: h5py.File) -> h5py.Dataset:
    if "betas" not in file and "betasmd" in file:
        raise InputError(
            f"{path}: expected the dataset 'betas', found 'betasmd', as GLMsingle writes them; in Python "
            "numpy.save('betasmd.npy', h5py.File(FILE)['betasmd'][()]) makes a file that neural-recon decode "
            "takes."
        )
    return dataset(
        path, file, "betas", meant="a session of NSD's betas, with the dataset betas (trials, z, y, x)"
    )


def _hdf5_blocks(
    data: h5py.Dataset, voxels: np.ndarray
) -> Iterator[tuple[slice, slice, np.ndarray | slice, np.ndarray]]:
    """Yield (trials, z planes, columns of the result, places of these voxels within the planes).

    Files that are chunked by voxel (all trials of a voxel together) are read plane by plane, others in
    blocks of trials, so that no chunk is read twice.
    """
    n_trials, n_planes, *plane = data.shape
    plane_size = int(np.prod(plane))
    if data.chunks and data.chunks[0] == n_trials > 1 and data.chunks[1] == 1:
        for z in np.unique(voxels // plane_size):
            columns = np.flatnonzero(voxels // plane_size == z)
            yield slice(0, n_trials), slice(z, z + 1), columns, voxels[columns] % plane_size
        return
    step = data.chunks[0] if data.chunks else 1
    block = step * max(1, _BLOCK_BYTES // (data.dtype.itemsize * n_planes * plane_size * step))
    for start in range(0, n_trials, block):
        yield slice(start, min(start + block, n_trials)), slice(0, n_planes), slice(None), voxels
