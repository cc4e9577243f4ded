"""Training images in the place of reconstructions: what one would show without painting anything.

- mean: the mean of the training images;
- random: a training image drawn at random for each test image;
- nearest: the training image whose true features correlate most with those predicted for the test image, over
  all features of the space that says which pictures are alike (CLIP vision where the recipe has it). It uses
  the decoder in full and a generator not at all: a reconstruction that is no nearer to the picture seen than
  this adds nothing to looking it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import new_hdf5, open_hdf5
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.metrics import resize, resize_through
from neural_recon.features.feature_files import FeatureTable, select_rows

if TYPE_CHECKING:  # a name for readers: no code of the fits is used here
    from neural_recon.decoding.ridge import Targets

READ_AT_ONCE = 200  # stimuli
KINDS = ("random", "nearest")


def mean_picture(stimuli: Pictures, image_ids: np.ndarray, size: int) -> np.ndarray:
    """The mean of stimuli at `size` pixels, uint8 (size, size, 3), read in blocks."""
    total = np.zeros((size, size, 3))
    for start in range(0, len(image_ids), READ_AT_ONCE):
        pictures = stimuli(image_ids[start : start + READ_AT_ONCE])
        total += resize(pictures, size, "bilinear").sum(0)
    return (total / len(image_ids) * 255).round().astype(np.uint8)


def random_images(test_ids: np.ndarray, train_ids: np.ndarray, seed: int) -> np.ndarray:
    """A training image for each test image (n,), drawn by `seed` and the test image's own id."""
    return np.array([np.random.default_rng([seed, int(i)]).choice(train_ids) for i in test_ids])


def nearest_images(predicted: Targets, true: Targets, block: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Which row of `true` (m, D) correlates most with each of `predicted` (n, D), and that r: (n,) both.

    Pearson's r over the D features, from sums over blocks of columns; a constant row has r = 0. Of several
    equally near rows the first is taken.

    Raises:
        InputError: features that are not finite, which would be near to nothing.
    """
    (n, width), m = predicted.shape, true.shape[0]
    if true.shape[1] != width:
        raise ValueError(f"predicted {predicted.shape} and true {true.shape} must have the same features.")
    products = np.zeros((n, m))
    sums, squares = ([np.zeros(n), np.zeros(m)] for _ in range(2))
    for start in range(0, width, block):
        sides = [np.asarray(side[:, start : start + block], np.float32) for side in (predicted, true)]
        products += sides[0] @ sides[1].T
        for which, side in enumerate(sides):
            sums[which] += side.sum(axis=1, dtype=np.float64)
            squares[which] += np.einsum("ij,ij->i", side, side, dtype=np.float64)
    for name, sum_of_squares in zip(("predicted", "true"), squares, strict=True):
        wrong = np.count_nonzero(~np.isfinite(sum_of_squares))
        if wrong:
            raise InputError(
                f"{name} features: expected finite numbers, found others for {wrong} of "
                f"{len(sum_of_squares)} images; compute them again."
            )
    products -= np.outer(sums[0], sums[1]) / width
    lengths = [np.sqrt(np.maximum(sq - s**2 / width, 0)) for s, sq in zip(sums, squares, strict=True)]
    scale = np.outer(*lengths)
    r = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    best = r.argmax(axis=1)
    return best, r[np.arange(n), best]


def write_baselines(
    path: str | Path,
    stimuli: Pictures,
    predictions: str | Path,
    features: Sequence[str | Path],
    train_ids: np.ndarray,
    test_ids: np.ndarray,
    size: int,
    seed: int,
) -> None:
    """Write the pictures of `KINDS` for every test image, uint8 (n, size, size, 3), with the training images
    that they are (`random_id`, `nearest_id`), `nearest_r`, `image_id`, and `mean` (size, size, 3).

    Args:
        predictions: the file of the test images' predicted features.
        features: that space's chunks.
    """
    with open_hdf5(predictions) as file:
        rows = select_rows(predictions, np.arange(len(file["image_id"])), file["image_id"][()], test_ids)
        best, r = nearest_images(file["predictions"], FeatureTable(features, train_ids))
    sources = {"random": random_images(test_ids, train_ids, seed), "nearest": train_ids[best[rows]]}
    parameters = {"nearest": "Pearson's r of predicted and true features", "seed": seed}
    with new_hdf5(path, parameters) as file:
        file["image_id"], file["nearest_r"] = test_ids, r[rows]
        file["mean"] = mean_picture(stimuli, train_ids, size)
        for kind, ids in sources.items():
            file[f"{kind}_id"] = ids
            pictures = file.create_dataset(kind, (len(ids), size, size, 3), np.uint8)
            for start in range(0, len(ids), READ_AT_ONCE):
                part = stimuli(ids[start : start + READ_AT_ONCE])
                pictures[start : start + len(part)] = resize_through(part, (size,), "bilinear")
