"""HDF5 files: written whole, with what made them; looked at before they are read."""

import contextlib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neural_recon import __version__
from neural_recon.core.errors import InputError, quoted
from neural_recon.core.file_kinds import HDF5, explained
from neural_recon.core.files import atomic
from neural_recon.core.refusals import refusal, require_file

NUMBERS = "biuf"  # numpy's letters
DEFLATE = 1032  # times as much as is stored can come out of zlib's compression
LARGEST_CHUNK = 2**28  # bytes; one is held whole while it is read
MOST_NAMES = 9  # of a file's entries in a message


class _FullDisk(io.FileIO):
    """A new file that HDF5 writes to, and that keeps the error of a full disk to itself until `check`.

    HDF5 cannot continue from a failed write: it loses count of what is open and ends the process with a
    segmentation fault, sometimes before Python learns of the error.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.refusal: OSError | None = None

    def write(self, content: Any) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while rest and self.refusal is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._refused(error)
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._refused(error)
            return 0

    def _refused(self, error: OSError) -> None:
        error.filename = self.name
        self.refusal = error

    def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal


@contextlib.contextmanager
def atomic_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """A new HDF5 file for writing; it appears under its name when the block ends without error.

    Raises:
        InputError: the disk is full; said when the block ends.
    """
    with atomic(path) as temporary, _FullDisk(temporary) as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file
        finally:
            disk.check()  # also in place of what reading back what was not written leads to


@contextlib.contextmanager
def new_hdf5(path: str | os.PathLike[str], parameters: Mapping[str, Any]) -> Iterator[h5py.File]:
    """Write an HDF5 file piece by piece; it appears under its name when the block ends without error.

    `parameters` (plain JSON values) lands in the attribute `parameters`, alongside the package version.
    """
    with atomic_hdf5(path) as file:
        file.attrs["neural_recon_version"] = __version__
        file.attrs["parameters"] = json.dumps(parameters, sort_keys=True)
        yield file


def write_hdf5(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    parameters: Mapping[str, Any],
    chunks: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Write arrays as datasets of one file of `new_hdf5`.

    `chunks` gives the chunk shape of the datasets that are read in parts. Strings are stored as
    variable-length UTF-8.
    """
    with new_hdf5(path, parameters) as file:
        for name, array in arrays.items():
            array = np.asarray(array)
            if array.dtype.kind in "UO":
                file.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
            else:
                file.create_dataset(name, data=array, chunks=(chunks or {}).get(name))


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises:
        InputError: the file is missing, or cut short, or no HDF5 file; or the system does not give it, as it
            is open in another program; or what the block reads of it is damaged.
    """
    require_file(path, "an HDF5 file", "found none.")
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        damaged = InputError(
            f"{path}: expected a whole HDF5 file, found one that cannot be opened ({error}); "
            "fetch or compute it again."
        )
        raise (explained(path, error, "a whole HDF5 file", HDF5) or damaged) from error
    with file, undamaged(path):
        yield file


@contextlib.contextmanager
def undamaged(path: str | os.PathLike[str]) -> Iterator[None]:
    """Around what is read of an open HDF5 file.

    Raises:
        InputError: for what the library raises where it finds damage, or the system stops reading.
    """
    try:
        yield
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        if getattr(error, "filename", None) not in (None, os.fspath(path)):
            raise  # of another file
        damaged = InputError(
            f"{path}: expected a whole HDF5 file, found a damaged one ({error}); fetch or compute it again."
        )
        raise (refusal(path, error, "a whole HDF5 file") or damaged) from error


def dataset(
    path: str | os.PathLike[str],
    file: h5py.File,
    name: str,
    ndim: int | None = None,
    kinds: str = NUMBERS,
    filled: bool = True,
    meant: str = "",
) -> h5py.Dataset:
    """A dataset of an open HDF5 file, looked at before anything of it is read.

    Args:
        ndim: how many axes it must have; None: any number.
        kinds: numpy's letters for the types it may have, "O" for strings.
        filled: all of it must have been written. Otherwise what was not reads as zeros.
        meant: which file it must be, where people name it themselves; a file of another layout is whole, and
            is not to be fetched again.

    Raises:
        InputError: there is none, it lies in another file, it is of another type or number of axes, or it
            declares more values than the file can hold.
    """
    again = "fetch or compute it again"
    other = f"name {meant}" if meant else "this is another file, or of another version: compute it again"
    with undamaged(path):
        if name not in file:
            raise InputError(f"{path}: expected the dataset {name!r}, found {_contents(file)}; {other}.")
        found = _entry(file, name)
        if found:
            raise InputError(
                f"{path}: expected {name!r} to be a dataset in this file, found {found}; {other}."
            )
        data: h5py.Dataset = file[name]
    try:
        kind = data.dtype.kind
    except TypeError as error:  # a type that numpy does not have
        raise InputError(f"{path}: expected numbers in {name!r}, found {error}; {other}.") from error
    if kind not in kinds or (kind == "O" and not h5py.check_string_dtype(data.dtype)):
        raise InputError(f"{path}: expected {name!r} of another type, found {data.dtype}; {other}.")
    if ndim is not None and data.ndim != ndim:
        raise InputError(
            f"{path}: expected {name!r} with {ndim} axes, found the shape {data.shape}; {other}."
        )
    # before memory is asked for: a file of some kilobytes can declare any size
    with undamaged(path):
        stored = min(data.id.get_storage_size(), Path(path).stat().st_size)
        n_chunks = data.id.get_num_chunks() if data.chunks else 0
    stored *= 1 if data.chunks is None or data.id.get_create_plist().get_nfilters() == 0 else DEFLATE
    chunks = math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True)) if data.chunks else 0
    unwritten = data.nbytes > stored or n_chunks < chunks
    if filled and unwritten:
        raise InputError(
            f"{path}: expected {name!r} to be all there, found {stored} bytes at most of the {data.nbytes} "
            f"that it declares; {again}."
        )
    if data.chunks and math.prod(data.chunks) * data.dtype.itemsize > LARGEST_CHUNK:
        raise InputError(
            f"{path}: expected {name!r} in chunks of at most {LARGEST_CHUNK} bytes, found {data.chunks}; "
            "store it in smaller ones."
        )
    return data


def _entry(file: h5py.File, name: str) -> str:
    """What an entry of a file is, in words; nothing for a dataset that lies in the file itself."""
    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return f"a link to {link.path} in the file {link.filename}"
    if isinstance(link, h5py.SoftLink):
        return f"a link to {link.path}"
    data = file[name]
    if not isinstance(data, h5py.Dataset):
        inside = ", ".join(list(data)[:MOST_NAMES]) if isinstance(data, h5py.Group) else ""
        return f"a group with {inside}" if inside else "a group"
    if data.is_virtual or data.external:
        return "a dataset whose numbers lie in other files"
    return "an empty one, without a shape" if data.shape is None else ""


def _contents(file: h5py.File) -> str:
    """What lies at the top of an HDF5 file: names, with the shape of each, or what else it is."""
    names = sorted(map(str, file))
    if not names:
        return "none at all"
    first = names[:MOST_NAMES]
    said = ", ".join(_entry(file, name) or str(file[name].shape) for name in first)
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return f"{first}{more} ({said})"


def read_hdf5(path: str | os.PathLike[str], *names: str) -> dict[str, np.ndarray]:
    """Read the named datasets of an HDF5 file (all of them without names), strings as `str`.

    Raises:
        InputError: as of `open_hdf5` and `dataset`.
    """
    with open_hdf5(path) as file:
        arrays = {}
        for name in names or file.keys():
            data = dataset(path, file, name, kinds=NUMBERS + "O")
            try:
                arrays[name] = data.asstr()[()] if data.dtype.kind == "O" else data[()]
            except ValueError as error:  # no UTF-8
                raise InputError(f"{path}: expected text in {name!r}, found {error}.") from error
    return arrays


def integers(path: str | os.PathLike[str], name: str, values: np.ndarray, n: int | None = None) -> np.ndarray:
    """The values as they are, if they are whole numbers, one per row of a file's other arrays.

    Args:
        n: how many rows there are; None: any number.

    Raises:
        InputError: they are other things, or of another shape.
    """
    if values.dtype.kind not in "iu" or values.ndim != 1 or (n is not None and len(values) != n):
        rows = "one per row" if n is None else f"one for each of {n} rows"
        raise InputError(
            f"{path}: expected whole numbers in {name!r}, {rows}, found {values.dtype} {values.shape}; "
            "compute it again."
        )
    return values


def read_parameters(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The parameters that `new_hdf5` stored.

    Raises:
        InputError: there are none: the file is not the workflow's.
    """
    with open_hdf5(path) as file:
        if "parameters" not in file.attrs:
            names = sorted(map(str, file.attrs))
            raise InputError(f"{path}: expected the attribute 'parameters', found {names}; compute it again.")
        try:
            parameters = json.loads(file.attrs["parameters"])
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(
                f"{path}: expected JSON in the attribute 'parameters', found {error}; compute it again."
            ) from error
    if not isinstance(parameters, dict):
        raise InputError(
            f"{path}: expected a mapping in the attribute 'parameters', found {quoted(parameters)}; "
            "compute it again."
        )
    return parameters
