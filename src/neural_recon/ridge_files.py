"""Files of the ridge stage: the kernel of a subject's responses, and predicted features."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_recon import ridge
from neural_recon.files import new_hdf5, read_hdf5, write_hdf5
from neural_recon.kernel import Kernel


def write_kernel(path: str | Path, kernel: Kernel, ids: Mapping[str, np.ndarray]) -> None:
    """Write a kernel with the NSD ids of its rows, `train_ids` and `test_ids`."""
    arrays = {name: value for name, value in vars(kernel).items() if value is not None}
    write_hdf5(path, {**arrays, **ids}, {"n_train": kernel.n_train, "n_test": kernel.n_test})


def read_kernel(path: str | Path) -> tuple[Kernel, np.ndarray, np.ndarray]:
    """A kernel, and the NSD ids of its training and test images."""
    arrays = read_hdf5(path)
    train_ids, test_ids = arrays.pop("train_ids"), arrays.pop("test_ids")
    return Kernel(**arrays), train_ids, test_ids


def write_predictions(
    path: str | Path,
    kernel: Kernel,
    targets: ridge.Targets,
    alpha: float | np.ndarray,
    calibration: ridge.Calibration,
    seed: int,
    nsd_ids: np.ndarray,
    parameters: Mapping[str, Any],
    block: int = 4096,
) -> None:
    """Predict by `ridge.predict_blocks` and write `predictions` float32 (n_test, n_targets) and `nsd_id`.

    A block is written while the next is computed and the one after that is read. With calibration "train"
    the attribute `calibration_error` tells what taking its statistics from a sample costs.
    """
    shape = (kernel.n_test, targets.shape[1])
    settings = {"alpha": np.unique(alpha).tolist(), "calibration": calibration, "seed": seed}
    with new_hdf5(path, {**settings, **parameters}) as file:
        if calibration == "train":
            file.attrs["calibration_error"] = json.dumps(ridge.calibration_error(len(kernel.image_rows)))
        file["nsd_id"] = nsd_ids
        predictions = file.create_dataset("predictions", shape, np.float32)
        for start, part in ridge.predict_blocks(kernel, targets, alpha, calibration, seed, block):
            predictions[:, start : start + part.shape[1]] = part
