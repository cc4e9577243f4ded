"""A lab's arrays on disk: HDF5 (GLMsingle's and MATLAB's v7.3 too), surfaces, NumPy's; some in parts."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from neural_recon.core.arrays import open_array
from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import OBJECTS, look
from neural_recon.core.hdf5 import dataset, open_hdf5
from neural_recon.core.texts import natural
from neural_recon.datasets.table.places import NIFTI, NPY
from neural_recon.datasets.table.surfaces import IN_WORDS, is_surface, read_surface

Units = Literal["percent", "percent_x300", "zscored", "arbitrary"]
Axes = Literal["x,y,z,trials", "trials,z,y,x", "trials,x,y,z", "voxels,trials", "trials,voxels"]
HDF5, MATLAB = (".hdf5", ".h5"), ".mat"
# what GLMsingle calls single-trial betas, older versions of MATLAB's included: percent signal change
GLMSINGLE = ("betasmd", "modelmd")
NAMES = (*GLMSINGLE, "betas")


@dataclass(frozen=True)
class Stated:
    """What the configuration says of files of betas; None: what the files say."""

    units: Units | None = None
    name: str | None = None  # of the dataset in HDF5
    axes: Axes | None = None
    pickles: bool = False


@contextlib.contextmanager
def array(path: Path, stated: Stated, beside: Sequence[Path] = ()) -> Iterator[tuple[Any, str]]:
    """The array of betas in a file, still on disk where it can be, and what the file calls it.

    Args:
        beside: as of `open_betas`; `stated.axes` says along which axis places run.

    Raises:
        InputError: the file is another one, or a pickle and the configuration does not allow to open it.
    """
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(_array(one, stated)) for one in (path, *beside)]
        data, name = found[0]
        if beside:
            data = Joined(str(path), [one for one, _ in found], 0 if _voxels_first(stated) else 1)
        yield data, name


def _voxels_first(stated: Stated) -> bool:
    return (stated.axes or "").startswith("voxels")


@contextlib.contextmanager
def _array(path: Path, stated: Stated) -> Iterator[tuple[Any, str]]:
    if path.suffix in (*HDF5, MATLAB):
        with open_hdf5(path) as file:
            yield _hdf5_array(path, file, stated)
    elif path.suffix == NPY:
        yield _numpy_array(path, stated)
    elif is_surface(path):
        yield read_surface(path, "a session's betas"), ""
    else:
        raise InputError(
            f"{path}: expected betas in NIfTI ({', '.join(NIFTI)}), HDF5 ({', '.join(HDF5)}), MATLAB's v7.3 "
            f"({MATLAB}), {IN_WORDS} or NumPy's format ({NPY}), found another ending."
        )


def _hdf5_array(path: Path, file: h5py.File, stated: Stated) -> tuple[h5py.Dataset | Joined, str]:
    name = stated.name
    if name is None:
        known = [one for one in NAMES if one in file]
        arrays = [one for one, data in file.items() if isinstance(data, h5py.Dataset) and data.ndim in (2, 4)]
        if not known and len(arrays) != 1:
            raise InputError(
                f"{path}: expected betas as one of {', '.join(NAMES)}, found {', '.join(file) or 'nothing'}; "
                "name the dataset: dataset.dataset."
            )
        name = known[0] if known else arrays[0]
    found = [dataset(path, file, one, meant=_MEANT) for one in matching(path, file, name)]
    # the runs of a session lie one behind the other
    return found[0] if "*" not in name else Joined(str(path), found, 1 if _voxels_first(stated) else 0), name


_MEANT = "a file of betas, or set dataset.dataset"


def _numpy_array(path: Path, stated: Stated) -> tuple[np.ndarray, str]:
    if look(path).kind != OBJECTS:
        return open_array(path, "a session's betas"), ""
    if not stated.pickles:
        raise InputError(
            f"{path}: expected an array, found Python objects (a pickle, as GLMsingle's .npy is), which run "
            "code of whoever wrote them when they are opened; let GLMsingle write HDF5 (wanthdf5), or, if "
            "the file is your own, set dataset.pickles: true."
        )
    try:
        content = np.load(path, allow_pickle=True)
    except Exception as error:  # whatever unpickling meets
        raise InputError(
            f"{path}: expected GLMsingle's results, found what does not open ({error})."
        ) from error
    entries = content.item() if content.shape == () else None
    names = [stated.name] if stated.name else list(NAMES)
    found = [
        name for name in names if isinstance(entries, dict) and isinstance(entries.get(name), np.ndarray)
    ]
    if not isinstance(entries, dict) or not found:
        raise InputError(
            f"{path}: expected a mapping with the array {' or '.join(names)}, as GLMsingle writes it, found "
            f"{', '.join(map(str, entries)) if isinstance(entries, dict) else type(entries).__name__}."
        )
    return entries[found[0]], found[0]


class Joined:
    """One array of several, joined along one axis; of it slices are read, as of an HDF5 dataset.

    Attributes:
        chunks: none, so that it is read in blocks of its first axis, or slabs of the other.
    """

    chunks = None

    def __init__(self, source: str, parts: Sequence[Any], axis: int):
        """
        Raises:
            InputError: the other axes of the parts differ.
        """
        others = {tuple(np.delete(part.shape, axis)) for part in parts}
        if len(others) != 1 or len(parts[0].shape) <= axis:
            raise InputError(
                f"{source}: expected arrays that differ in length along axis {axis} alone, found the shapes "
                f"{', '.join(str(tuple(part.shape)) for part in parts)}."
            )
        self.parts, self.axis = parts, axis
        ends = list(itertools.accumulate(part.shape[axis] for part in parts))
        self.starts = [0, *ends[:-1]]
        self.shape = tuple(ends[-1] if n == axis else length for n, length in enumerate(parts[0].shape))
        self.ndim = len(self.shape)
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def __getitem__(self, key: slice | tuple[slice, ...]) -> np.ndarray:
        """Of slices without a step, one per axis from the first on."""
        given = key if isinstance(key, tuple) else (key,)
        slices = [*given, *(slice(None) for _ in range(self.ndim - len(given)))]
        start, stop, _ = slices[self.axis].indices(self.shape[self.axis])
        found = []
        for begin, part in zip(self.starts, self.parts, strict=True):
            low, high = max(start - begin, 0), min(stop - begin, part.shape[self.axis])
            if low < high:
                slices[self.axis] = slice(low, high)
                found.append(np.asarray(part[tuple(slices)]))
        return np.concatenate(found, axis=self.axis)


def matching(path: Path, file: h5py.File, pattern: str) -> list[str]:
    """The entries of an HDF5 file by a pattern of their names, where `*` is any one group or dataset, sorted
    by the numbers in them; of a name without it, this.

    Raises:
        InputError: there are none.
    """
    found = [""]
    for part in pattern.split("/"):
        longer = []
        for one in found:
            group = file.get(one or "/")
            inside = sorted(group, key=natural) if isinstance(group, h5py.Group) else []
            longer += [f"{one}/{name}".lstrip("/") for name in (inside if part == "*" else [part])]
        found = longer
    if not found:
        raise InputError(
            f"{path}: expected datasets called {pattern!r}, found none; correct dataset.dataset."
        )
    return found
