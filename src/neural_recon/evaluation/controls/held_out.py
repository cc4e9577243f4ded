"""How much a decoder owes to training images that resemble those it is tested on.

Test images with near twins in training flatter a decoder (Shirakawa et al., 2024). Here, among the training
images alone, whole clusters of similar images are held out of the fit, and for comparison as many images
drawn at random: the same images are predicted and the same ones are their rivals in two-way identification,
so that only the images that the decoder was fitted on differ.

Held-out predictions come out of one factor a penalty for all folds of both cuts (see `kernel`). They are
calibrated as the workflow's own: measured from the mean of the rows they were fitted on, with mean and spread
of all held-out predictions of the cut. Penalties stay as chosen.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neural_recon.core import backends
from neural_recon.core.backends import Backend
from neural_recon.core.errors import InputError
from neural_recon.decoding.cross_validation import make_folds, sample_columns
from neural_recon.decoding.kernel import Fit, Kernel
from neural_recon.decoding.ridge import calibration_statistics
from neural_recon.evaluation import statistics
from neural_recon.evaluation.controls.data_amount import Sample
from neural_recon.evaluation.metrics import identification_matrix

logger = logging.getLogger(__name__)

FOLDS = 10
IMAGES = 1000  # scored at most: about as many as NSD has test images
TARGETS = 2048  # features a space, a seeded sample


def sampled_alpha(alpha: float | np.ndarray, n_targets: int, seed: int) -> float | np.ndarray:
    """The penalties of the features that `data_amount.sample_features` reads."""
    if isinstance(alpha, np.ndarray) and alpha.ndim:
        return alpha[sample_columns(len(alpha), n_targets, seed)]
    return alpha


def held_out_predictions(
    kernel: Kernel,
    targets: np.ndarray,
    alpha: float | np.ndarray,
    cuts: Sequence[Sequence[np.ndarray]],
    calibrated: bool,
    backend: Backend | None = None,
) -> list[np.ndarray]:
    """Predict every training image from a fit on the other folds, once for each way to cut the images.

    Args:
        kernel: of n training rows.
        targets: (n, d) their features.
        alpha: one penalty, or (d,); every distinct one costs a factor and an inverse.
        cuts: each a list of folds, arrays of image numbers (of `Kernel.image_rows`), every image in one.
        calibrated: give predictions the training features' spread.

    Returns:
        float64 (n_images, d) a cut; an image with repetitions is predicted by its mean response.
    """
    backend = backend or backends.choose()
    images, y = kernel.image_rows, np.asarray(targets, np.float64)
    alphas = np.broadcast_to(alpha, (y.shape[1],))
    deviations = [np.empty((len(images), y.shape[1])) for _ in cuts]
    means = [np.empty_like(found) for found in deviations]
    total = y.sum(axis=0)
    for value in np.unique(alphas):
        columns = np.flatnonzero(alphas == value)
        maker = Fit(kernel, value, backend).residual_maker()
        residuals = backend.matmul(maker, y[:, columns])
        for cut, deviation, mean in zip(cuts, deviations, means, strict=True):
            for fold in cut:
                rows = np.concatenate([images[k] for k in fold])
                found = y[np.ix_(rows, columns)]
                others = (total[columns] - found.sum(axis=0)) / (len(y) - len(rows))
                found -= np.linalg.solve(maker[np.ix_(rows, rows)], residuals[rows])
                counts = np.array([len(images[k]) for k in fold])
                found = np.add.reduceat(found, np.cumsum(counts) - counts, axis=0) / counts[:, None]
                deviation[np.ix_(fold, columns)] = found - others if kernel.intercept else found
                # without an intercept it is calibration that gives a mean
                mean[np.ix_(fold, columns)] = others if kernel.intercept or calibrated else 0
    if calibrated:
        for deviation in deviations:
            reference, scale = calibration_statistics(deviation, y.std(axis=0))
            deviation -= reference
            deviation *= scale
    return [deviation + mean for deviation, mean in zip(deviations, means, strict=True)]


def compare(
    kernel: Kernel,
    image_ids: np.ndarray,
    clusters: np.ndarray,
    features: Mapping[str, Sample],
    alphas: Mapping[str, float | np.ndarray],
    calibrated: bool,
    seed: int,
    folds: int = FOLDS,
    most: int = IMAGES,
) -> pd.DataFrame:
    """Identification of training images held out with their cluster, and of the same held out at random.

    Args:
        kernel: of the training rows that show images `image_ids` (n,), whatever their order.
        clusters: labels of the unique images, ascending by id.
        features: space -> features of the training images.
        alphas: space -> penalty, one or one a sampled feature.
        folds: of whole clusters; the random folds have their sizes.
        most: images scored, a seeded sample.

    Returns:
        Two rows per space, held_out "clusters" and "random": score with low and high (95 %, bootstrap over
        images), chance and chance_sd (re-paired), p, n images scored, then p_difference of a paired
        permutation test between the two, training_images, clusters, folds, and targets.

    Raises:
        InputError: all images are of one cluster, so that none is left to fit on.
    """
    ascending = np.unique(image_ids)
    # the kernel's images: rows as they are where each is shown once, else by label
    ids = np.asarray(image_ids) if kernel.images is None else ascending
    clusters, n = np.asarray(clusters)[np.searchsorted(ascending, ids)], len(ids)
    if len(np.unique(clusters)) < 2:
        raise InputError(
            f"split.clusters.count: expected at least 2 clusters of the {n} training images to hold out, "
            "found 1; name more clusters, or more sessions where there are few images."
        )
    whole = [fold for _, fold in make_folds(n, min(folds, len(np.unique(clusters))), seed, clusters)]
    edges = np.cumsum([len(fold) for fold in whole])[:-1]
    random = [np.sort(fold) for fold in np.split(np.random.default_rng(seed).permutation(n), edges)]
    scored = np.sort(np.random.default_rng([seed, 1]).permutation(n)[:most])
    rows = []
    for space, sample in features.items():
        found = held_out_predictions(
            kernel, sample.rows(image_ids), alphas[space], (whole, random), calibrated
        )
        true = sample.rows(ids[scored]).astype(np.float64)
        matrices = [identification_matrix(true, part[scored]) for part in found]
        p_difference = statistics.paired_permutation(np.diagonal(matrices[0]), np.diagonal(matrices[1]), seed)
        for held_out, matrix in zip(("clusters", "random"), matrices, strict=True):
            rows.append(
                {
                    "space": space,
                    "held_out": held_out,
                    **statistics.summary(matrix, seed),
                    "p_difference": p_difference,
                    "training_images": n,
                    "clusters": len(np.unique(clusters)),
                    "folds": len(whole),
                    "targets": true.shape[1],
                }
            )
            logger.info("%s, %s held out: %.4f", space, held_out, rows[-1]["score"])
    return pd.DataFrame(rows)
