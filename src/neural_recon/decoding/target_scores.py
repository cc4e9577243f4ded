"""How well each target (one feature of a space) is decoded: r and R2 over the test images, with a ceiling.

**Ceiling.** A prediction is linear in the response, so that of an averaged response is the mean of those of
its repetitions: a part s that comes back with the picture, plus noise. With reliability = var(s) / var(s +
noise), no relation between noise and truth makes

    corr(prediction, truth) = corr(s, truth) sqrt(reliability) <= sqrt(reliability)

(the correction for attenuation, Spearman 1904). The single repetitions are decoded too, and the reliability
of their mean is the intraclass correlation of Shrout & Fleiss (1979), ICC(1, k):

    noise = variance between an image's repetitions (ddof 1, pooled over images seen at least twice)
    reliability = 1 - noise mean(1 / repetitions) / var(predictions over images), floored at 0.

Splitting repetitions in halves, with the correction of Spearman and Brown (1910), estimates the same; this
uses every pair of repetitions and needs no even number. It bounds this decoder on these responses: how much
its r loses to noise in the test responses. Other weights may be noisier or less noisy, and what the features
hold beyond a linear map of voxels it does not count. Where predictions repeat well and are wrong all the
same, the ceiling is high and r is low.

**Chance.** Whatever both sides' distributions, r of randomly paired images has mean 0 and variance
1 / (n - 1) (Pitman, 1937): 95 % of re-pairings of one target stay below about 1.645 / sqrt(n - 1). Seeded
re-pairings of the images, the same for all targets, show whether it holds: about 5 % of their r should lie
above, with more scatter where the targets of a part move together and so err together.

**R2** is 1 - SSE / SST, about the mean of the true test values: below 0, that mean would have predicted
better. A calibrated prediction has the spread of true features, noise included, which costs R2: it is then
about 2 r - 1, negative where r is not. The regression's own, uncalibrated prediction is the one that
minimises squared errors.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge import Targets, predict_blocks

logger = logging.getLogger(__name__)

REPAIRINGS = 50
ONE_SIDED_95 = 1.6449  # of the normal distribution


def score_targets(
    kernel: Kernel,
    trial_image: np.ndarray,
    train: Targets,
    true: Targets,
    written: Targets,
    alpha: float | np.ndarray,
    parts: Sequence[int],
    seed: int,
    block: int = 4096,
) -> pd.DataFrame:
    """Score every target, block by block of columns.

    Args:
        kernel: of the training responses, and of the single test trials in the place of test images.
        trial_image: (n_trials,) which row of `true` each trial showed; every row has a trial.
        train: (n_train, D) features of the training images.
        true: (n, D) features of the test images.
        written: (n, D) their predictions as the workflow wrote them, calibrated.
        alpha: the penalty they were made with, or one per target.
        parts: widths of the layers or tokens that the D columns belong to.
        seed: draws the re-pairings.

    Returns:
        One row per target: part (1-based), r and r2 of the predictions as written, r2_ridge of uncalibrated
        ones, ceiling (of r), and re_paired: the share of re-pairings whose r lies above `chance_level`.
        All are NaN where the truth does not vary over the test images; the ceiling also without repetitions.

    Raises:
        InputError: fewer than 3 test images, or predictions that are not finite.
        ValueError: arguments that do not fit each other.
    """
    n, width = true.shape
    trials = np.bincount(trial_image, minlength=n)
    if train.shape[1] != width or written.shape != true.shape or sum(parts) != width or len(trials) != n:
        raise ValueError(
            f"expected features of one width: train {train.shape}, true {true.shape}, written "
            f"{written.shape}, parts of {sum(parts)} in all, and trials of {n} images, not {len(trials)}."
        )
    if n < 3:
        raise InputError(
            f"test images: expected at least 3 to correlate predictions over, found {n}; add sessions or "
            "change the ids."
        )
    if not trials.all():
        raise ValueError(f"expected {n} test images with a trial each, found {np.sum(trials > 0)}.")
    rng = np.random.default_rng(seed)
    pairings = [rng.permutation(n) for _ in range(REPAIRINGS)]
    level = chance_level(n)
    blocks = []
    for start, single in predict_blocks(kernel, train, alpha, "none", block=block):
        columns = slice(start, start + single.shape[1])
        truth = np.asarray(true[:, columns], np.float64)
        found = np.asarray(written[:, columns], np.float64)
        wrong = np.count_nonzero(~np.isfinite(found).all(axis=0))
        if wrong:
            raise InputError(
                f"predictions: expected finite numbers, found others in {wrong} of {found.shape[1]} features "
                f"from column {start} on; compute them again."
            )
        varies = np.ptp(truth, axis=0) > 0
        average, noise = _averaged(single, trial_image, trials)
        z_truth, z_found = standardised(truth), standardised(found)
        short = z_truth.astype(np.float32), z_found.astype(np.float32)  # re-pairings are counted only
        above = sum(np.einsum("ij,ij->j", short[0][rows], short[1]) > level for rows in pairings)
        scores = {
            "r": np.einsum("ij,ij->j", z_truth, z_found),
            "r2": _r2(truth, found),
            "r2_ridge": _r2(truth, average),
            "ceiling": _ceiling(average, noise, np.mean(1 / trials)),
            "re_paired": above / len(pairings),
        }
        blocks.append(
            pd.DataFrame({name: np.where(varies, values, np.nan) for name, values in scores.items()})
        )
    table = pd.concat(blocks, ignore_index=True).astype(np.float32)
    table.insert(0, "part", np.repeat(np.arange(1, len(parts) + 1, dtype=np.int32), parts))
    constant = int(table["r"].isna().sum())
    if constant:
        logger.warning("%d of %d targets do not vary over the test images: not scored", constant, width)
    logger.info("%s, %s", _median(table["r"], "r"), _median(table["ceiling"], "ceiling"))
    return table


def _median(scores: pd.Series, name: str) -> str:
    """The median over the targets that were scored, in words."""
    return f"median {name} {scores.median():.4f}" if scores.notna().any() else f"{name} not measured"


def chance_level(n: int) -> float:
    """The r that 95 % of random pairings of n images stay below."""
    return ONE_SIDED_95 / np.sqrt(n - 1)


def by_part(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """Summary of `score_targets` by part, a layer or token each; n test images. Part 0 is the whole space.

    Columns part, targets (those that vary), r with its quartiles r_q25 and r_q75, ceiling with ceiling_q25
    and ceiling_q75, r2 and r2_ridge (medians each), chance (the level for one target), above (share of
    targets with a higher r) and above_re_paired (the same after re-pairing; 0.05 but for sampling).
    """
    level = chance_level(n)
    table = table.assign(above=(table["r"] > level).where(table["r"].notna()).astype(float))
    groups = pd.concat([table.assign(part=0), table]).groupby("part", sort=True)
    quartiles = {
        f"{name}{suffix}": groups[name].quantile(q)
        for name in ("r", "ceiling")
        for suffix, q in (("", 0.5), ("_q25", 0.25), ("_q75", 0.75))
    }
    medians, means = groups[["r2", "r2_ridge"]].median(), groups[["above", "re_paired"]].mean()
    return pd.DataFrame(
        {
            "targets": groups["r"].count(),
            **quartiles,
            "r2": medians["r2"],
            "r2_ridge": medians["r2_ridge"],
            "chance": level,
            "above": means["above"],
            "above_re_paired": means["re_paired"],
        }
    ).reset_index()


def _averaged(single: np.ndarray, image: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions averaged over an image's trials (n, b), and the variance between these (b,), or NaN."""
    order = np.argsort(image, kind="stable")
    starts = np.cumsum(trials) - trials
    ordered = single[order].astype(np.float64)
    average = np.add.reduceat(ordered, starts, axis=0) / trials[:, None]
    ordered -= np.repeat(average, trials, axis=0)
    freedom = len(image) - len(trials)
    squares = np.einsum("ij,ij->j", ordered, ordered)
    return average, squares / freedom if freedom else np.full(single.shape[1], np.nan)


def _ceiling(average: np.ndarray, noise: np.ndarray, inverse_trials: np.floating) -> np.ndarray:
    total = average.var(axis=0, ddof=1)
    noise_share = np.divide(noise * inverse_trials, total, out=np.ones_like(total), where=total > 0)
    return np.sqrt(np.maximum(1 - noise_share, 0))


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and length 1, so that products are r; zero where constant: as r 0."""
    x = x - x.mean(axis=0)
    length = np.sqrt(np.einsum("ij,ij->j", x, x))
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


def _r2(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    total = truth.var(axis=0)
    error = np.mean((truth - found) ** 2, axis=0)
    return 1 - np.divide(error, total, out=np.full_like(total, np.nan), where=total > 0)
