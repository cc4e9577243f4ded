"""Volumes of an NSD tree: label volumes, masks and single-trial betas, in NSD's orientation (x, y, z)."""

import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import h5py
import numpy as np
from isal import igzip, igzip_lib

from neural_recon.errors import InputError
from neural_recon.files import open_hdf5

if TYPE_CHECKING:
    from nibabel import Nifti1Image

logger = logging.getLogger(__name__)

BETA_SCALE = 300  # int16 units in one percent signal change

HDF5 = (".hdf5", ".h5")  # endings of betas in that format

_BLOCK_BYTES = 64 * 2**20
_BROKEN = (EOFError, OSError, zlib.error, igzip_lib.IsalError)


def read_labels(path: str | Path) -> np.ndarray:
    """Read a label volume (x, y, z) as integers.

    Raises:
        InputError: the file is missing, cut short, not three-dimensional, or holds other than integers.
    """
    image = _open_nifti(path)
    try:
        values = np.asarray(image.dataobj)
    except _BROKEN as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); fetch it again.") from error
    if values.ndim != 3:
        raise InputError(f"{path}: expected a volume (x, y, z), found the shape {values.shape}.")
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise InputError(f"{path}: expected whole numbers as labels, found others.")
    return values.astype(np.int32)


def read_mask(path: str | Path, values: Sequence[int] = (1,)) -> np.ndarray:
    """Read where a label volume carries one of `values`: bool (x, y, z).

    Raises:
        InputError: as of `read_labels`, or no voxel carries any of the values.
    """
    mask = np.isin(read_labels(path), list(values))
    if not mask.any():
        raise InputError(f"{path}: expected voxels with the label {list(values)}, found none.")
    return mask


def read_ncsnr(path: str | Path, positions: np.ndarray) -> np.ndarray:
    """Read NSD's noise-ceiling signal-to-noise ratios at voxels `positions` (n, 3): float64 (n,).

    Raises:
        InputError: the file is missing, cut short, or of a volume that does not hold the positions.
    """
    image = _open_nifti(path)
    if image.ndim != 3 or not np.all(positions.max(axis=0) < image.shape):
        raise InputError(
            f"{path}: expected a volume of the mask's size, found the shape {image.shape}; "
            "both must be of one subject and space."
        )
    try:
        return image.get_fdata(dtype=np.float64)[tuple(positions.T)]
    except _BROKEN as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); fetch it again.") from error


def read_betas(path: str | Path, mask: np.ndarray, trials: int | None = None) -> np.ndarray:
    """Read one session's responses within a mask, in bounded memory.

    Args:
        path: `betas_sessionNN.nii.gz`, int16 (x, y, z, trials), or `.hdf5`, dataset `betas` with the axes
            reversed. Both give the same bits.
        mask: bool (x, y, z).
        trials: the number of trials the file must have; None takes what it has.

    Returns:
        Percent signal change (the stored integers / 300), float32 (n_trials, n_voxels), voxels in the
        mask's C order.

    Raises:
        InputError: the file is missing, cut short, no int16, of another volume than the mask or of another
            number of trials, or the mask has no voxel.
    """
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.ndim != 3:
        raise TypeError(f"mask: expected bool (x, y, z), got {mask.dtype} {mask.shape}")
    if not mask.any():
        raise InputError(f"{path}: expected a mask with voxels, found an empty one.")
    if not Path(path).is_file():
        raise InputError(f"{path}: expected a session's betas, found no such file; fetch it or leave it out.")
    # x runs fastest in both formats: the masked voxels, taken in C order, by their place in that layout
    voxels = np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")
    read = _read_betas_hdf5 if Path(path).suffix in HDF5 else _read_betas_nifti
    betas = read(path, mask.shape, voxels, trials)
    logger.info("%s: %d trials, %d voxels", path, *betas.shape)
    return betas


def check_betas(path: str | Path, volume: Sequence[int], trials: int) -> None:
    """Look at one session's betas without reading them: format, shape, and whether the end is there.

    Raises:
        InputError: as of `read_betas`, but for damage in the middle of the file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a session's betas, found no such file; fetch it or leave it out.")
    if path.suffix in HDF5:
        with open_hdf5(path) as file:
            data = _hdf5_betas(path, file)
            _check_betas(path, data.shape[::-1], volume, data.dtype, trials)
        return
    data = _open_nifti(path).dataobj
    _check_betas(path, data.shape, volume, data.dtype, trials)
    size = data.offset + 2 * int(np.prod(data.shape))
    if path.suffix == ".gz":
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)  # gzip ends in the number of bytes it holds
            found, size = int.from_bytes(file.read(4), "little"), size % 2**32
    else:
        found = path.stat().st_size
    if found != size:
        raise InputError(f"{path}: the file is cut short or damaged (its end is missing); fetch it again.")


def _percent(integers: np.ndarray) -> np.ndarray:
    return integers.astype(np.float32) / np.float32(BETA_SCALE)


def _check_betas(path, shape: tuple[int, ...], volume, dtype: np.dtype, trials: int | None) -> None:
    """`shape` as (x, y, z, trials)."""
    if dtype.kind != "i" or dtype.itemsize != 2:
        raise InputError(f"{path}: expected betas as int16 (percent signal change x 300), found {dtype}.")
    if len(shape) != 4:
        raise InputError(f"{path}: expected betas (x, y, z, trials), found the shape {tuple(shape)}.")
    if shape[:3] != tuple(volume):
        raise InputError(
            f"{path}: expected betas of the mask's volume {tuple(volume)}, found {shape[:3]}; "
            "betas and mask must be of one subject and space."
        )
    if trials is not None and shape[3] != trials:
        raise InputError(f"{path}: expected {trials} trials, found {shape[3]}; fetch the file again.")


def _read_betas_nifti(path, volume, voxels: np.ndarray, trials: int | None) -> np.ndarray:
    data = _open_nifti(path).dataobj
    _check_betas(path, data.shape, volume, data.dtype, trials)
    if (data.slope, data.inter) != (1.0, 0.0):
        raise InputError(
            f"{path}: expected betas without scaling, found slope {data.slope} and {data.inter}."
        )
    betas = np.empty((data.shape[3], len(voxels)), np.float32)
    content = bytearray(int(np.prod(volume)) * 2)
    integers = np.frombuffer(content, data.dtype)
    try:
        # One pass from front to end: slices of a gzipped dataobj would each start again from the beginning.
        with _stream(path) as stream:
            stream.read(data.offset)
            for trial, row in enumerate(betas, start=1):
                if stream.readinto(content) < len(content):
                    raise EOFError(f"the data end in volume {trial}")
                row[:] = _percent(integers[voxels])
            stream.read(1)  # reaches the end, where gzip checks its checksum
    except _BROKEN as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); fetch it again.") from error
    return betas


def _stream(path: str | Path) -> BinaryIO:
    """The bytes of a file, inflated if its name ends in .gz; each `readinto` fills its buffer."""
    return igzip.open(path) if str(path).endswith(".gz") else Path(path).open("rb")


def _read_betas_hdf5(path, volume, voxels: np.ndarray, trials: int | None) -> np.ndarray:
    with open_hdf5(path) as file:
        data = _hdf5_betas(path, file)
        _check_betas(path, data.shape[::-1], volume, data.dtype, trials)
        betas = np.empty((len(data), len(voxels)), np.float32)
        try:
            for rows, planes, columns, places in _hdf5_blocks(data, voxels):
                integers = data[rows, planes].reshape(rows.stop - rows.start, -1)
                betas[rows, columns] = _percent(integers[:, places])
        except OSError as error:
            raise InputError(
                f"{path}: the file is cut short or damaged ({error}); fetch it again."
            ) from error
    return betas


def _hdf5_betas(path, file: h5py.File) -> h5py.Dataset:
    if "betas" not in file:
        raise InputError(f"{path}: expected the dataset 'betas', found {sorted(file)}.")
    return file["betas"]


def _hdf5_blocks(data: h5py.Dataset, voxels: np.ndarray) -> Iterator[tuple]:
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
    block = step * max(1, _BLOCK_BYTES // (2 * n_planes * plane_size * step))
    for start in range(0, n_trials, block):
        yield slice(start, min(start + block, n_trials)), slice(0, n_planes), slice(None), voxels


def _open_nifti(path: str | Path) -> "Nifti1Image":
    import nibabel  # few jobs open a volume, and planning none

    if not Path(path).is_file():
        raise InputError(f"{path}: expected a NIfTI file, found no such file.")
    try:
        image = nibabel.load(path)
    except (*_BROKEN, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(
            f"{path}: expected a NIfTI file, found one that cannot be opened ({error})."
        ) from error
    if not isinstance(image, nibabel.Nifti1Image):  # NIfTI-2 is a subclass
        raise InputError(f"{path}: expected a NIfTI file, found {type(image).__name__}.")
    return image
