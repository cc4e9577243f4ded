"""Features predicted by a trained network: of test images from their trials, and of new scans."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.random_streams import shuffled_images
from neural_recon.decoding.shared_subject import weights
from neural_recon.decoding.shared_subject.data import Trained
from neural_recon.decoding.shared_subject.network import Network
from neural_recon.models.loading import choose_device

logger = logging.getLogger(__name__)

BATCH = 32  # images at a time


def predicted(
    network: Network,
    rows: np.ndarray,
    which: np.ndarray,
    image_ids: np.ndarray,
    seed: int,
    batch: int = BATCH,
) -> dict[str, np.ndarray]:
    """Features of images from rows of responses, float32 (n, width) by space.

    The network's outputs of an image's rows are averaged; what is drawn is drawn once per image.

    Args:
        network: of one subject.
        rows: float32 (n_rows, n_voxels), z-scored.
        which: (n_rows,) the image of each row, an index into `image_ids`.
        image_ids: (n,); with the seed they fix what is drawn, whatever is computed alongside it.

    Raises:
        InputError: rows of another number of voxels, or a GPU without memory for one image; before that
            ever fewer images are computed at a time.
    """
    ((subject, n_voxels),) = network.layout.voxels.items()
    if rows.shape[1] != n_voxels:
        raise InputError(
            f"{subject}: expected responses of the {n_voxels} voxels that its network was trained with, "
            f"found {rows.shape[1]}; train it again with these voxels."
        )
    found: dict[str, list[np.ndarray]] = {space: [] for space in network.heads}
    start = 0
    while start < len(image_ids):
        ids = image_ids[start : start + batch]
        mine = np.flatnonzero((which >= start) & (which < start + len(ids)))
        try:
            made = _features(network, rows[mine], which[mine] - start, ids, seed)
        except torch.OutOfMemoryError as error:
            if batch == 1:
                raise InputError(
                    "decoder: expected the features of one image to fit into the GPU's memory, found too "
                    "little of it; free some, take a larger GPU, or hide it (CUDA_VISIBLE_DEVICES=)."
                ) from error
            batch = max(1, batch // 2)
            logger.warning("out of memory on the GPU: %d images at a time from here", batch)
            continue
        for space, values in made.items():
            found[space].append(values)
        start += len(ids)
    return {space: np.concatenate(parts) for space, parts in found.items()}


def _features(
    network: Network, rows: np.ndarray, which: np.ndarray, image_ids: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    (subject,) = network.layout.voxels
    device = next(network.parameters()).device
    one_of = torch.from_numpy(which).to(device)
    counts = torch.bincount(one_of, minlength=len(image_ids))
    with torch.no_grad():
        outputs = network({subject: torch.from_numpy(rows).to(device)})
        averages = {name: _averages(values, one_of, counts) for name, values in outputs.items()}
        made = network.features(averages, image_ids, seed)
        return {space: values.flatten(1).cpu().numpy() for space, values in made.items()}


def _averages(values: torch.Tensor, one_of: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    sums = torch.zeros((len(counts), *values.shape[1:]), device=values.device)
    sums.index_add_(0, one_of, values.float())
    return sums / counts.reshape(-1, *[1] * (values.dim() - 1))


def predict_rows(
    path: str | Path, rows: np.ndarray, numbers: np.ndarray, spaces: Collection[str], seed: int
) -> dict[str, np.ndarray]:
    """Features of rows of responses, each an image of its own, by a stored network.

    Args:
        numbers: (n,) of the rows, for what is drawn.
        spaces: those that are wanted.
    """
    network = weights.read(path, choose_device())
    found = predicted(network, rows, np.arange(len(rows)), numbers, seed)
    return {space: values for space, values in found.items() if space in spaces}


def test_rows(data: dict[str, np.ndarray], test_trials: str) -> tuple[np.ndarray, np.ndarray]:
    """What the network sees of the test images: rows of responses, and which image each belongs to."""
    if test_trials == "average":
        return data["test"], np.arange(len(data["test_ids"]))
    return data["trials"], np.searchsorted(data["test_ids"], data["trial_ids"])


def calibrate(network: Network, trained: Trained, held: np.ndarray, seed: int) -> None:
    """Give regressed features the mean and spread of the training images', by predictions of held-out ones.

    Predictions are shrunk towards the mean; pictures painted from them would be faint.
    """
    images = np.flatnonzero(held)
    trials = np.flatnonzero(held[trained.image])
    which = np.searchsorted(images, trained.image[trials])
    found = predicted(network, trained.responses[trials], which, images, seed)
    for space in network.regressed:
        values = network.standardised(space, torch.from_numpy(found[space]))
        wanted = network.standardised(space, torch.from_numpy(trained.features[space][~held]))
        spread = values.std(dim=0)
        scale = torch.where(spread > 0, wanted.std(dim=0) / spread, 1.0)
        network.of(space, "scale").copy_(scale)
        network.of(space, "offset").copy_(wanted.mean(dim=0) - values.mean(dim=0) * scale)


def write_predictions(
    network: str | Path,
    fit: str,
    paths: Sequence[str | Path],
    data: dict[str, np.ndarray],
    train_ids: np.ndarray,
    test_trials: str,
    seed: int,
) -> None:
    """Write what a stored network predicts of the test images: `predictions` float32 (n_test, width),
    `image_id` (n_test,), and `paired_id` (n_train,), whose features each training trial was trained on.

    Args:
        fit: "decoded" or "shuffled".
        paths: `predictions/SUBJECT/SPACE/FIT.h5` of all spaces and fits; those of this fit are written.
        data: of the file of single trials: test, test_ids, trials, trial_ids.
        train_ids: (n_train,) the images of the training trials.
    """
    rows, which = test_rows(data, test_trials)
    found = predicted(weights.read(network, choose_device()), rows, which, data["test_ids"], seed)
    paired = shuffled_images(train_ids, seed) if fit == "shuffled" else train_ids
    for path in map(Path, paths):
        if path.stem == fit:
            arrays = {"predictions": found[path.parent.name], "image_id": data["test_ids"]}
            parameters = {"pairs": fit, "seed": seed, "test_trials": test_trials}
            write_hdf5(path, {**arrays, "paired_id": paired}, parameters)
