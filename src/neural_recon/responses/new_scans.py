"""Responses to decode that were not in the experiment: betas, arrays, tables, and which trials to average."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.arrays import open_array
from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import HDF5, MATLAB, OBJECTS, look
from neural_recon.core.refusals import require_file
from neural_recon.core.tables import read_table
from neural_recon.datasets.grids import Grid
from neural_recon.datasets.nsd.betas import open_betas, read_betas, units_of
from neural_recon.datasets.response_units import doubtful_units

logger = logging.getLogger(__name__)

BETAS = (".nii.gz", ".nii", ".hdf5", ".h5")
ARRAYS = (".npy",)
TABLES = (".tsv", ".parquet")
OWN_ORDER = "none: the decoder's voxels in their order"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a condition: it becomes a file's


@dataclass(frozen=True)
class New:
    """New responses, and how they were taken from their file."""

    values: np.ndarray  # float32 (n_trials, p), percent signal change
    units: str
    axes: str


def new_responses(path: str | Path, positions: np.ndarray, volume: Grid | tuple[int, ...]) -> New:
    """New responses in percent signal change, and how they were taken.

    Args:
        path: betas as NSD writes them (sessions of NSD-synthetic and NSD-imagery too), or as floats or
            scaled integers on the same grid, any number of trials; an array (`.npy`), (trials, voxels) in
            the order of `positions` or (x, y, z, trials) of the decoder's volume; or a table, one row a
            trial and one column per voxel, in the order of `positions`.
        positions: (p, 3) places x, y, z of the decoder's voxels, in C order, in a `volume` of that shape.

    Raises:
        InputError: a file that is missing, cut short, of another grid or number of voxels, of a type that
            says nothing of its units, or not numbers.
    """
    path, grid = Path(path), Grid.of(volume)
    if path.name.endswith(BETAS):
        mask = np.zeros(grid.shape, bool)
        mask[tuple(positions.T)] = True
        found = open_betas(path, grid, published=False)
        return New(read_betas(path, mask, grid=grid, published=False), found.units, found.axes)
    if path.suffix in ARRAYS:
        new = _read_array(path, positions, grid)
    elif path.suffix in TABLES:
        new = New(_read_rows(path, len(positions)), "percent signal change, as stored", OWN_ORDER)
    else:
        require_file(path, "new responses")
        raise InputError(
            f"{path}: expected betas ({', '.join(BETAS)}), an array ({', '.join(ARRAYS)}) or a table "
            f"({', '.join(TABLES)}); {_way_out(path)}."
        )
    logger.info("%s: %d trials, %d voxels; %s; axes: %s", path, *new.values.shape, new.units, new.axes)
    if doubt := doubtful_units(path, new.values, new.units):
        logger.warning("%s", doubt)
    return new


def _way_out(path: Path) -> str:
    """How responses in another format become an array that is taken."""
    save = "save its responses as an array: numpy.save('betas.npy', "
    kind = look(path).kind
    if kind == "npz":
        return f"{save}numpy.load(FILE)[NAME])"
    if kind == MATLAB:
        return f"{save}scipy.io.loadmat(FILE)[NAME]), such as NAME betasmd of GLMsingle"
    if kind == HDF5:  # where MATLAB's axes come reversed
        return f"{save}h5py.File(FILE)[NAME][()].T), such as NAME betasmd of GLMsingle"
    return "save the responses in one of these"


def _read_array(path: Path, positions: np.ndarray, grid: Grid) -> New:
    """Responses of a `.npy` file; nothing pickled is ever loaded."""
    if look(path).kind == OBJECTS:
        raise InputError(
            f"{path}: expected an array of numbers, found pickled Python objects, such as GLMsingle's "
            "TYPED_....npy, which are not opened here as they could run any program; where you trust the "
            "file, take the responses out of it: numpy.save('betasmd.npy', "
            "numpy.load(FILE, allow_pickle=True).item()['betasmd'])."
        )
    array = open_array(path)
    units, percent = units_of(path, array.dtype)
    p = len(positions)
    if array.ndim == 2 and array.shape[1] == p and len(array):
        return New(percent(array), units, OWN_ORDER)
    if array.ndim == 4 and array.shape[:3] == tuple(grid.shape) and array.shape[3]:
        values = array[tuple(positions.T)].T
        return New(percent(values), units, "an array names none, taken as those of the decoder's mask")
    raise InputError(
        f"{path}: expected (trials, {p}), the decoder's voxels in their order, or (x, y, z, trials) with the "
        f"volume {tuple(grid.shape)}, found {array.shape}{_cure(array.shape, p, grid.shape)}."
    )


def _cure(shape: tuple[int, ...], p: int, volume: tuple[int, ...]) -> str:
    """What would make an array of responses fit, as the end of a sentence, where that can be told."""
    volume = tuple(volume)
    if len(shape) >= 2 and shape[0] == p and all(n == 1 for n in shape[1:-1]):
        return f"; save it with a row for each trial: betas.reshape({p}, -1).T"
    if shape == (p,):
        return "; save one trial as a row: betas[numpy.newaxis]"
    if shape == volume:
        return "; save one trial with a fourth axis: betas[..., numpy.newaxis]"
    if len(shape) == 4 and shape[1:] == volume:
        return "; save it with the trials last: numpy.moveaxis(betas, 0, -1)"
    if len(shape) == 4 and shape[::-1][:3] == volume:
        return "; save it with its axes reversed: betas.T"
    return ""


def _read_rows(path: Path, n_voxels: int) -> np.ndarray:
    """Responses of a table, float32 (n_trials, n_voxels)."""
    table = read_table(path, what="a whole table")
    if table.shape[1] != n_voxels or not len(table):
        raise InputError(
            f"{path}: expected a header, rows of trials and {n_voxels} columns, one for each voxel of "
            f"the decoder, found {len(table)} rows and {table.shape[1]} columns."
        )
    if path.suffix == ".tsv" and _numbers(table.columns):
        raise InputError(
            f"{path}: expected a header of voxels' names, found numbers such as {table.columns[0]}: "
            "a trial would be lost; put a line of names before the first trial."
        )
    try:
        return table.to_numpy(np.float32)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: expected numbers only, found others ({error}).") from error


def _numbers(names: pd.Index) -> bool:
    """Whether column names are numbers, other than those from 0 or 1 on: a trial in the header's place."""
    values = pd.to_numeric(pd.Series(names.astype(str)), errors="coerce")
    counted = any((values == np.arange(first, first + len(values))).all() for first in (0, 1))
    return bool(values.notna().all()) and not counted


def read_conditions(path: str | Path, n_trials: int) -> pd.Series:
    """Trials (from 0) and their conditions of a TSV with the columns trial (from 1) and condition.

    Raises:
        InputError: no such table, a trial that the responses do not have or that comes twice, or a condition
            that cannot name a file.
    """
    table = read_table(path, dtype=str, keep_default_na=False)
    if not {"trial", "condition"} <= set(table) or not len(table):
        raise InputError(
            f"{path}: expected rows with the columns trial and condition, "
            f"found {len(table)} rows with {', '.join(map(str, table))}."
        )
    trials = pd.to_numeric(table["trial"], errors="coerce")
    outside, again = ~trials.isin(range(1, n_trials + 1)), trials.duplicated()
    if (outside | again).any():
        found = f"{table['trial'][outside | again].iloc[0]}{'' if outside.any() else ' again'}"
        raise InputError(f"{path}: expected each trial once and within 1 to {n_trials}, found {found}.")
    unfit = [name for name in table["condition"] if not (isinstance(name, str) and NAME.fullmatch(name))]
    if unfit:
        raise InputError(
            f"{path}: expected conditions of letters, digits, '.', '_' and '-', as they name files, "
            f"found {unfit[0]!r}."
        )
    return pd.Series(table["condition"].to_numpy(), trials.astype(int) - 1)
