"""Files of the ridge stage: the kernel of a subject's responses, and predicted features."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import integers, new_hdf5, read_hdf5, write_hdf5
from neural_recon.decoding import ridge
from neural_recon.decoding.kernel import Kernel


def write_kernel(path: str | Path, kernel: Kernel, ids: Mapping[str, np.ndarray]) -> None:
    """Write a kernel with the image ids of its rows, `train_ids` and `test_ids`."""
    arrays = {name: value for name, value in vars(kernel).items() if value is not None}
    write_hdf5(path, {**arrays, **ids}, {"n_train": kernel.n_train, "n_test": kernel.n_test})


def read_kernel(path: str | Path) -> tuple[Kernel, np.ndarray, np.ndarray]:
    """A kernel, and the image ids of its training and test images.

    Raises:
        InputError: the file is missing, cut short, or not of `write_kernel`.
    """
    arrays = read_hdf5(path)
    names = {field.name for field in dataclasses.fields(Kernel)}
    needed = {f.name for f in dataclasses.fields(Kernel) if f.default is dataclasses.MISSING}
    ids = ("train_ids", "test_ids")
    if not needed.union(ids) <= set(arrays) <= names.union(ids):
        raise InputError(
            f"{path}: expected the datasets {', '.join(sorted(needed.union(ids)))}, found "
            f"{', '.join(sorted(arrays))}; compute it again."
        )
    train_ids, test_ids = (integers(path, name, arrays.pop(name)) for name in ids)
    kernel = Kernel(**arrays)
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


def write_predictions(
    path: str | Path,
    kernel: Kernel,
    targets: ridge.Targets,
    alpha: float | np.ndarray,
    calibration: ridge.Calibration,
    seed: int,
    ids: Mapping[str, np.ndarray],
    parameters: Mapping[str, Any],
    block: int = 4096,
) -> None:
    """Predict by `ridge.predict_blocks` and write `predictions` float32 (n_test, n_targets) with image ids:
    `image_id` (n_test,), and `paired_id` (n_train,), whose features each training row was fitted on.

    A block is written while the next is computed and the one after that is read. With calibration "train"
    the attribute `calibration_error` tells what taking its statistics from a sample costs.
    """
    shape = (kernel.n_test, targets.shape[1])
    settings = {"alpha": np.unique(alpha).tolist(), "calibration": calibration, "seed": seed}
    with new_hdf5(path, {**settings, **parameters}) as file:
        if calibration == "train":
            file.attrs["calibration_error"] = json.dumps(ridge.calibration_error(len(kernel.image_rows)))
        for name, rows in ids.items():
            file[name] = rows
        predictions = file.create_dataset("predictions", shape, np.float32)
        for start, part in ridge.predict_blocks(kernel, targets, alpha, calibration, seed, block):
            predictions[:, start : start + part.shape[1]] = part
