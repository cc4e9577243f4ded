"""Volumes of an NSD tree: label volumes, masks and single-trial betas, in NSD's orientation (x, y, z)."""

import logging
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import h5py
import numpy as np
from isal import igzip, igzip_lib

from neural_recon.errors import InputError
from neural_recon.files import dataset, open_hdf5

logger = logging.getLogger(__name__)

BETA_SCALE = 300  # int16 units in one percent signal change

HDF5 = (".hdf5", ".h5")  # endings of betas in that format

MOST_TRIALS = 40 * 750  # of a subject's whole experiment
MOST_VOXELS = 2**24  # of a volume; func1mm has 4 million
MOST_OFFSET = 2**20  # bytes before the data: a header and what little may follow it
LARGEST_RATIO = 100  # of betas to their .gz file; NSD's are 5 times as large

_BLOCK_BYTES = 64 * 2**20
_BROKEN = (EOFError, OSError, zlib.error, igzip_lib.IsalError)


@dataclass(frozen=True)
class Nifti:
    """What the header of a NIfTI file says of its data."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int  # bytes
    slope: float
    inter: float

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_labels(path: str | Path) -> np.ndarray:
    """Read a label volume (x, y, z) as integers.

    Raises:
        InputError: the file is missing, cut short, not three-dimensional, or holds other than integers.
    """
    values = _read_volume(path, _open_nifti(path))
    # NaN is not within the range either
    if not (np.abs(values.astype(np.float64)) < 2**31).all() or (values != np.round(values)).any():
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
    if len(image.shape) != 3 or not np.all(positions.max(axis=0) < image.shape):
        raise InputError(
            f"{path}: expected a volume of the mask's size, found the shape {image.shape}; "
            "both must be of one subject and space."
        )
    return _read_volume(path, image)[tuple(positions.T)].astype(np.float64)


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
    data = _open_nifti(path)
    _check_betas(path, data.shape, volume, data.dtype, trials)
    size = data.offset + data.n_bytes
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


def _check_betas(
    path: str | Path, shape: tuple[int, ...], volume: Sequence[int], dtype: np.dtype, trials: int | None
) -> None:
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
    if not 0 < shape[3] <= MOST_TRIALS:
        raise InputError(f"{path}: expected 1 to {MOST_TRIALS} trials, found {shape[3]}.")
    if trials is not None and shape[3] != trials:
        raise InputError(f"{path}: expected {trials} trials, found {shape[3]}; fetch the file again.")


def _read_betas_nifti(
    path: str | Path, volume: Sequence[int], voxels: np.ndarray, trials: int | None
) -> np.ndarray:
    data = _open_nifti(path)
    _check_betas(path, data.shape, volume, data.dtype, trials)
    _check_size(path, data)
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
            _check_end(stream)
    except _BROKEN as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); fetch it again.") from error
    return betas


def _stream(path: str | Path) -> BufferedIOBase:
    """The bytes of a file, inflated if its name ends in .gz; each `readinto` fills its buffer."""
    return igzip.open(path) if str(path).endswith(".gz") else Path(path).open("rb")


def _read_betas_hdf5(
    path: str | Path, volume: Sequence[int], voxels: np.ndarray, trials: int | None
) -> np.ndarray:
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


def _hdf5_betas(path: str | Path, file: h5py.File) -> h5py.Dataset:
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
    block = step * max(1, _BLOCK_BYTES // (2 * n_planes * plane_size * step))
    for start in range(0, n_trials, block):
        yield slice(start, min(start + block, n_trials)), slice(0, n_planes), slice(None), voxels


def _open_nifti(path: str | Path) -> Nifti:
    """What the header says; nothing behind it is read, however much it declares."""
    import nibabel  # few jobs open a volume, and planning none
    from nibabel.spatialimages import HeaderDataError, HeaderTypeError

    if not Path(path).is_file():
        raise InputError(f"{path}: expected a NIfTI file, found no such file.")
    try:
        with _stream(path) as stream:
            block = stream.read(nibabel.Nifti2Header.sizeof_hdr)
    except EOFError as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); fetch it again.") from error
    except _BROKEN as error:
        raise InputError(
            f"{path}: expected a NIfTI file, found one that cannot be opened ({error})."
        ) from error
    try:
        for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
            if kind.may_contain_header(block):
                header = kind(block[: kind.sizeof_hdr])
                break
        else:
            raise EOFError("no header of NIfTI-1 or NIfTI-2")
        shape = tuple(int(n) for n in header.get_data_shape())
        slope, inter = header.get_slope_inter()
        image = Nifti(
            shape,
            header.get_data_dtype(),
            header.get_data_offset(),
            1.0 if slope is None else slope,
            0.0 if inter is None else inter,
        )
        if not shape or min(shape) < 1 or not kind.sizeof_hdr <= image.offset <= MOST_OFFSET:
            raise EOFError(f"shape {shape}, data from byte {image.offset} on")
    except (*_BROKEN, ValueError, OverflowError, HeaderDataError, HeaderTypeError) as error:
        raise InputError(
            f"{path}: expected a NIfTI file, found one that cannot be opened ({error})."
        ) from error
    return image


def _check_size(path: str | Path, image: Nifti) -> None:
    """Before memory is asked for and time spent: what is declared must be within what the file can hold."""
    most = Path(path).stat().st_size * (LARGEST_RATIO if str(path).endswith(".gz") else 1)
    if image.n_bytes > max(most, _BLOCK_BYTES):
        raise InputError(
            f"{path}: expected a file whose size fits its header, found one that declares {image.n_bytes} "
            f"bytes, and {most} would be many; fetch it again."
        )


def _check_end(stream: BufferedIOBase) -> None:
    if stream.read(1):  # or else the end is reached, where gzip checks its checksum
        raise EOFError("there is more behind the data")


def _read_volume(path: str | Path, image: Nifti) -> np.ndarray:
    """The values (x, y, z), scaled as the header says."""
    if len(image.shape) != 3:
        raise InputError(f"{path}: expected a volume (x, y, z), found the shape {image.shape}.")
    if image.dtype.kind not in "iuf" or math.prod(image.shape) > MOST_VOXELS:
        raise InputError(
            f"{path}: expected numbers, at most {MOST_VOXELS} voxels, found {image.dtype} {image.shape}."
        )
    content = bytearray(image.n_bytes)
    try:
        with _stream(path) as stream:
            stream.read(image.offset)
            if stream.readinto(content) < len(content):
                raise EOFError("the data end too early")
            _check_end(stream)
    except _BROKEN as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); fetch it again.") from error
    values = np.frombuffer(content, image.dtype).reshape(image.shape, order="F")
    scaled = (image.slope, image.inter) != (1.0, 0.0)
    return values.astype(np.float64) * image.slope + image.inter if scaled else values
