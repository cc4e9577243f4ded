"""Files that appear only when whole, and carry what made them."""

import contextlib
import errno
import glob
import io
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from neural_recon import __version__
from neural_recon.errors import InputError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without error.

    The temporary file ends in the same suffix, keeps to the same file system, is flushed to disk
    before the rename, and is removed when the block fails. The folder itself is not flushed: should a power
    failure undo the rename, the old file or none is there, which Snakemake sees, and never a half one; on
    network shares the server renames before it answers.

    Raises:
        InputError: the disk is full, or a quota.
    """
    path = Path(path)
    temporary = part_of(path)
    try:
        with full_disk_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
        logger.info("-> %s", path)
    finally:
        temporary.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """A name beside `path` that no other writer has, on whatever host: process numbers repeat there."""
    return path.with_name(f".part-{secrets.token_hex(6)}-{path.name}")


def remove_parts(path: Path) -> None:
    """Remove what killed writers of `path` left beside it.

    Only for who is sure that nobody else is to write `path` now: a writer that still runs ends with an error.
    """
    for part in path.parent.glob(f".part-{'[0-9a-f]' * 12}-{glob.escape(path.name)}"):
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        logger.warning("removed what a killed job left: %s", part)


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turn the error of a full disk within the block into one sentence with the file and the disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        disk = path.parent.absolute()
        while not os.path.ismount(disk) and disk != disk.parent:
            disk = disk.parent
        raise InputError(
            f"{os.strerror(error.errno)}: {path}; free some space on the disk of {disk} and run again."
        ) from error


class _FullDisk(io.FileIO):
    """A new file that HDF5 writes to, and that keeps the error of a full disk to itself until `check`.

    HDF5 cannot go on from a failed write: it loses count of what is open and ends the process with a
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
            self.refusal = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.refusal = error
            return 0

    def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal


@contextlib.contextmanager
def whole_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """A new HDF5 file for writing; it appears under its name when the block ends without error.

    Raises:
        InputError: the disk is full; said when the block ends.
    """
    with whole(path) as temporary, _FullDisk(temporary) as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file
        finally:
            disk.check()  # also in place of what reading back what was not written leads to


@contextlib.contextmanager
def new_hdf5(path: str | os.PathLike[str], parameters: Mapping[str, Any]) -> Iterator[h5py.File]:
    """Write an HDF5 file piece by piece; it appears under its name when the block ends without error.

    `parameters` (plain JSON values) lands in the attribute `parameters`, beside the package version.
    """
    with whole_hdf5(path) as file:
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
        InputError: the file is missing, or cut short, or no HDF5 file.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: expected an HDF5 file, found none.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: expected a whole HDF5 file, found one that cannot be opened ({error}); "
            "fetch or compute it again."
        ) from error
    with file:
        yield file


def read_hdf5(path: str | os.PathLike[str], *names: str) -> dict[str, np.ndarray]:
    """Read the named datasets of an HDF5 file (all of them without names), strings as `str`."""
    with open_hdf5(path) as file:
        arrays = {}
        for name in names or file.keys():
            if name not in file:
                raise InputError(
                    f"{path}: expected the dataset {name!r}, found {sorted(file)}; compute it again."
                )
            data = file[name]
            arrays[name] = data.asstr()[()] if h5py.check_string_dtype(data.dtype) else data[()]
    return arrays


def read_parameters(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The parameters that `new_hdf5` stored.

    Raises:
        InputError: there are none: the file is not the workflow's.
    """
    with open_hdf5(path) as file:
        if "parameters" not in file.attrs:
            raise InputError(
                f"{path}: expected the attribute 'parameters', found {sorted(file.attrs)}; compute it again."
            )
        return json.loads(file.attrs["parameters"])


def write_table(path: str | os.PathLike[str], frame: pd.DataFrame) -> None:
    """Write a table as Parquet or TSV, by the suffix; the package version goes into Parquet's metadata."""
    with whole(path) as temporary:
        if Path(path).suffix == ".parquet":
            frame = frame.copy(deep=False)
            frame.attrs = {**frame.attrs, "neural_recon_version": __version__}
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, sep="\t", index=False, float_format="%.6g")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
