"""Numbers of MATLAB files, whose sizes are looked at before they are read."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import MATLAB, explained

LARGEST = 64 * 2**20  # bytes of a file, also when inflated; NSD's experiment design has 1.5 million
COMPRESSED = 15  # type of a variable that zlib packed


def read_whole_numbers(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Variables of a MATLAB file (up to version 7) that hold whole numbers, as int64.

    Raises:
        InputError: the file is cut short or none of these, inflates to more than 64 MiB, lacks a variable, or
            one holds other things.
    """
    import scipy.io  # takes long to import, and few jobs read the design

    try:
        if path.stat().st_size > LARGEST or _inflated(path) > LARGEST:
            raise InputError(f"{path}: expected a MATLAB file of at most {LARGEST} bytes, found more.")
        content = scipy.io.loadmat(path, variable_names=names)
    except InputError:
        raise
    except Exception as error:  # scipy raises many kinds on a broken file
        damaged = InputError(
            f"{path}: expected a whole MATLAB file, found one that cannot be read ({error}); fetch it again."
        )
        what = "a MATLAB file of version 7 at most"
        raise (explained(path, error, what, MATLAB) or damaged) from error
    missing = [name for name in names if name not in content]
    if missing:
        found = ", ".join(f"{name} {shape}" for name, shape, _ in scipy.io.whosmat(path)[:9]) or "none"
        raise InputError(
            f"{path}: expected the variables {', '.join(names)}, found no {', '.join(missing)} among {found}."
        )
    return [_whole(path, name, content[name]) for name in names]


def _whole(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    numbers = isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and values.size > 0
    # within what float64 holds exactly; NaN is not
    if not numbers or not (np.abs(values.astype(np.float64)) < 2**53).all() or (values % 1 != 0).any():
        raise InputError(f"{path}: expected whole numbers in {name}, found other things; fetch it again.")
    return values.astype(np.int64)


def _inflated(path: Path) -> int:
    """Bytes of a file's variables, inflated, as far as counting may go; older formats pack nothing."""
    with path.open("rb") as file:
        orders: dict[bytes, Literal["little", "big"]] = {b"IM": "little", b"MI": "big"}
        order = orders.get(file.read(128)[126:])
        total = 0
        while order and total <= LARGEST and len(tag := file.read(8)) == 8:
            kind, size = (int.from_bytes(part, order) for part in (tag[:4], tag[4:]))
            data, packer = file.read(size), zlib.decompressobj()
            while kind == COMPRESSED and data and total <= LARGEST:
                total += len(packer.decompress(data, 2**20))
                data = packer.unconsumed_tail
    return total
