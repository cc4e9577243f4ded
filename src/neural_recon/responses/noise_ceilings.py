"""Noise ceilings of voxels: the share of the variance of averaged responses that pictures can explain.

ncsnr^2 = signal variance / noise variance, ceiling = ncsnr^2 / (ncsnr^2 + mean of 1 / repetitions) (Allen et
al. 2022). A voxel without one has NaN; a median is given with the number of voxels it is over.
"""

import logging

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError

logger = logging.getLogger(__name__)


def of_sums(
    sums: np.ndarray,
    squares: np.ndarray,
    total: np.ndarray,
    counts: np.ndarray,
    inverse_repetitions: float | np.floating,
) -> np.ndarray:
    """Noise ceiling (n_voxels,) of sums over trials; NaN for all, with a warning, where fewer than two images
    are repeated.

    Args:
        sums: (n_images, n_voxels), over each image's trials.
        squares, total: as of `noise_ceiling`.
        counts: (n_images,) trials of each image; those of one trial count for nothing.
    """
    many = counts > 1
    n_images, n_trials = int(many.sum()), int(counts[many].sum())
    if n_images < 2:
        logger.warning("no noise ceiling: fewer than two images were shown more than once")
        return np.full(sums.shape[1], np.nan, np.float32)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        between = np.zeros(sums.shape[1])
        for image in np.flatnonzero(many):  # row by row: a float64 copy of all sums would double the memory
            between += sums[image].astype(np.float64) ** 2 / counts[image]
    return noise_ceiling(squares, between, total, n_trials, n_images, inverse_repetitions)


def of_images(trials: np.ndarray, trial_ids: np.ndarray) -> pd.DataFrame:
    """Noise ceilings of images: the share of the variance over voxels of an image's averaged response that
    comes back with the image.

    `noise_ceiling` with voxels and images in each other's place. Each trial is taken about its mean over the
    voxels, as a correlation over voxels takes it; noise is the variance between an image's trials, averaged
    over the voxels, signal the rest of the single trials' variance over the voxels. Its root is what the
    pattern without noise is expected to correlate with the averaged one.

    Args:
        trials: (n_trials, n_voxels), z-scored voxel by voxel.
        trial_ids: (n_trials,) their images.

    Returns:
        image_id, ascending, repetitions, and noise_ceiling (0 to 1), NaN for an image of one trial.
    """
    rows = []
    for image_id in np.unique(trial_ids):
        own = trials[trial_ids == image_id].astype(np.float64)
        count, n_voxels = own.shape
        ceiling = np.nan
        if count > 1:
            own -= own.mean(axis=1, keepdims=True)
            squares, between = np.sum(own**2), np.sum(own.sum(axis=0) ** 2) / count
            ceiling = float(noise_ceiling(squares, between, 0.0, own.size, n_voxels, 1 / count))
        rows.append((int(image_id), count, ceiling))
    return pd.DataFrame(rows, columns=["image_id", "repetitions", "noise_ceiling"])


def of_ncsnr(ncsnr: np.ndarray, inverse_repetitions: float | np.floating) -> np.ndarray:
    """Noise ceiling float32 (n_voxels,) of signal-to-noise ratios as NSD gives them, NaN where not finite.

    Raises:
        InputError: a negative ratio, which no ncsnr can be.
    """
    negative = np.count_nonzero(ncsnr < 0)
    if negative:
        raise InputError(
            f"ncsnr.nii.gz: expected ratios of signal to noise, 0 or above, found {negative} of {len(ncsnr)} "
            f"voxels below, the lowest {np.nanmin(ncsnr):g}; take NSD's own file, which lies alongside the "
            "betas, or responses.noise_ceiling: repetitions."
        )
    finite = np.isfinite(ncsnr)
    squares = np.where(finite, ncsnr, 0.0) ** 2
    return np.where(finite, squares / (squares + inverse_repetitions), np.nan).astype(np.float32)


def noise_ceiling(
    squares: np.ndarray | np.floating,
    between: np.ndarray | np.floating,
    total: np.ndarray | float,
    n_trials: int,
    n_images: int,
    inverse_repetitions: float | np.floating,
) -> np.ndarray:
    """Noise ceiling (n_voxels,) as share of variance, from sums over the trials of repeated images.

    Args:
        squares: sum of squares over trials.
        between: sum over images of (sum over its trials)^2 / repetitions.
        total: sum over trials.
        n_trials, n_images: how many.
        inverse_repetitions: mean of 1 / repetitions of the averages it is for.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        noise = np.maximum(squares - between, 0) / (n_trials - n_images)
        everything = (squares - total**2 / n_trials) / (n_trials - 1)
        signal = np.maximum(everything - noise, 0)
        ceiling = signal / (signal + noise * inverse_repetitions)
    return np.where(signal == 0, 0, ceiling).astype(np.float32)


def median_in_words(ceiling: np.ndarray) -> str:
    """The median over the voxels (n,) that have a noise ceiling, in words: of how many, where not of all."""
    there = ceiling[np.isfinite(ceiling)]
    if not there.size:
        return "no noise ceiling"
    over = "" if len(there) == len(ceiling) else f" over the {len(there)} voxels that have one"
    return f"median noise ceiling {np.median(there):.3f}{over}"
