"""Files of the ridge stage: the kernel of a subject's responses, and predicted features."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import integers, new_hdf5, open_hdf5, read_hdf5, read_parameters, write_hdf5
from neural_recon.decoding import ridge
from neural_recon.decoding.kernel import GramKernel, Kernel, VoxelKernel
from neural_recon.decoding.sources import EVERYTHING, Taken, unit_blocks


def write_kernel(
    path: str | Path, kernel: Kernel, ids: Mapping[str, np.ndarray], taken: Taken = EVERYTHING
) -> None:
    """Write a kernel with the image ids of its rows, `train_ids` and `test_ids`, and what was taken of the
    responses: `columns`, where these are not all."""
    arrays = {name: value for name, value in vars(kernel).items() if isinstance(value, np.ndarray)}
    if taken.columns is not None:
        arrays["columns"] = taken.columns
    parameters: dict[str, Any] = {"n_train": kernel.n_train, "n_test": kernel.n_test}
    if not kernel.intercept:
        parameters["intercept"] = False
    if taken.unit:
        parameters["normalise"] = "rows"
    write_hdf5(path, {**arrays, **ids}, parameters)


def read_taken(path: str | Path) -> Taken:
    """What of the responses the kernel in a file was made of.

    Raises:
        InputError: the file is missing, cut short, or its columns are no column numbers.
    """
    with open_hdf5(path) as file:
        partial = "columns" in file
    columns = integers(path, "columns", read_hdf5(path, "columns")["columns"]) if partial else None
    return Taken(columns, read_parameters(path).get("normalise") == "rows")


def read_kernels(
    paths: Iterable[str | Path],
) -> Iterator[tuple[Kernel, np.ndarray, np.ndarray]]:
    """`read_kernel` of each path; neighbours that are the same are read once."""
    read, found = None, None
    for path in paths:
        if found is None or path != read:
            found = None  # one at a time in memory
            read, found = path, read_kernel(path)
        yield found


def read_kernel(path: str | Path) -> tuple[Kernel, np.ndarray, np.ndarray]:
    """A kernel, and the image ids of its training and test images.

    Raises:
        InputError: the file is missing, cut short, or not of `write_kernel`.
    """
    arrays = read_hdf5(path)
    kind: type[Kernel] = VoxelKernel if "basis" in arrays else GramKernel
    needed = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    needed |= {"train_ids", "test_ids"}
    arrays.pop("columns", None)
    if not needed <= set(arrays) <= needed | {"images"}:
        raise InputError(
            f"{path}: expected the datasets {', '.join(sorted(needed))}, found "
            f"{', '.join(sorted(arrays))}; compute it again."
        )
    train_ids, test_ids = (integers(path, name, arrays.pop(name)) for name in ("train_ids", "test_ids"))
    kernel = kind(**arrays, intercept=read_parameters(path).get("intercept", True))
    n_train, n_test, q = len(train_ids), len(test_ids), len(np.atleast_1d(kernel.system))
    shapes = {
        "system": (q if "basis" in arrays else n_train,) * 2,
        "test": (n_test, q),
        "basis": (n_train, q),
        "images": (n_train,),
    }
    for name, values in arrays.items():
        if values.shape != shapes[name] or not np.isfinite(values).all():
            raise InputError(
                f"{path}: expected numbers {shapes[name]} in {name!r}, found {values.shape}, or NaN; "
                "compute it again."
            )
    return kernel, train_ids, test_ids


@dataclasses.dataclass(frozen=True)
class PredictionFile:
    """A file that predictions are written to: by which calibration, its ids (`image_id` (n_test,), and
    `paired_id` (n_train,), whose features each training row was fitted on), and what else is said in it."""

    path: str | Path
    calibration: ridge.Calibration
    ids: Mapping[str, np.ndarray]
    parameters: Mapping[str, Any]


def write_predictions(
    pairings: Sequence[tuple[np.ndarray | None, Sequence[PredictionFile]]],
    kernel: Kernel,
    targets: ridge.Targets,
    alpha: float | np.ndarray,
    seed: int,
    block: int = 4096,
    unit: Sequence[int] | np.ndarray | None = None,
) -> None:
    """Predict by `ridge.Solution`, and write `predictions` float32 (n_test, n_targets) of several fits from
    one reading of the features.

    A block is written while the next is computed and the one after that is read. With calibration "train"
    the attribute `calibration_error` tells what taking its statistics from a sample costs. Predictions of
    parts of the widths `unit` are divided by their lengths.

    Args:
        pairings: the order of a `ridge.Pairing`, and its files.
    """
    shape = (kernel.n_test, targets.shape[1])
    files = [file for _, several in pairings for file in several]
    names = {file.calibration for file in files}
    solution = ridge.Solution(kernel, alpha, shape[1], "train" if "train" in names else min(names), seed)
    with contextlib.ExitStack() as opened:
        stored = []
        for one in files:
            settings = {"alpha": np.unique(alpha).tolist(), "calibration": one.calibration, "seed": seed}
            file = opened.enter_context(new_hdf5(one.path, {**settings, **one.parameters}))
            if one.calibration == "train":
                file.attrs["calibration_error"] = json.dumps(ridge.calibration_error(len(kernel.image_rows)))
            for name, rows in one.ids.items():
                file[name] = rows
            stored.append(file.create_dataset("predictions", shape, np.float32))
        asked = [ridge.Pairing([file.calibration for file in several], order) for order, several in pairings]
        blocks = ((start, np.concatenate(parts)) for start, parts in solution.several(targets, asked, block))
        for start, part in blocks if unit is None else unit_blocks(blocks, unit):
            for dataset, rows in zip(stored, np.split(part, len(stored)), strict=True):
                dataset[:, start : start + part.shape[1]] = rows
