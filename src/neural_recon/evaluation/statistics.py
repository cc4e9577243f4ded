"""How sure a score is: intervals over images, tests between variants, and what chance pairings reach."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Repairings:
    """The true pairing's mean score alongside random re-pairings' (mean and sd, ddof 1) and its p-value."""

    score: float
    mean: float
    sd: float
    p: float


def bootstrap_interval(
    values: np.ndarray, seed: int, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval (Efron, 1979) of the mean over images: (n,) per-image scores -> (low, high)."""
    values = _scores(values)
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_permutation(a: np.ndarray, b: np.ndarray, seed: int, permutations: int = 10000) -> float:
    """Two-sided p-value that two variants score the same images alike: signs of the differences flipped.

    a, b: (n,) per-image scores. p = (1 + flips at least as extreme) / (1 + permutations), never 0
    (Phipson & Smyth, 2010).
    """
    a, b = _scores(a), _scores(b)
    if a.shape != b.shape:
        raise ValueError(f"a {a.shape} and b {b.shape} must score the same images.")
    difference = a - b
    rng = np.random.default_rng(seed)
    observed = abs(difference.sum())
    tolerance = 1e-12 * np.abs(difference).sum()  # equal sums, added up in another order
    extreme = 0
    for start in range(0, permutations, 1000):  # 1,000 x n signs at a time
        signs = 2.0 * rng.integers(0, 2, (min(1000, permutations - start), len(difference))) - 1
        extreme += int(np.count_nonzero(np.abs(signs @ difference) >= observed - tolerance))
    return (1 + extreme) / (1 + permutations)


def repairings(
    scores: np.ndarray, seed: int, n: int = 1000, better: Literal["higher", "lower"] = "higher"
) -> Repairings:
    """Compare the true pairing of truths and pictures with n random ones.

    Args:
        scores: (images, images), entry (i, j) the score of picture j against truth i, the true pairs on the
            diagonal: `pixcorr_matrix`, `ssim_matrix`, `1 - correlation_matrix`, and for two-way
            identification `two_way_matrix`.
        seed: draws uniform permutations of the pictures; they may leave some, rarely all, in place.
        better: whether higher or lower scores are better.

    Returns:
        Repairings; p = (1 + re-pairings at least as good) / (1 + n).
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < 2:
        raise ValueError(f"scores must be (images, images) with at least 2, found {scores.shape}.")
    _scores(scores.ravel())
    if better not in ("higher", "lower"):
        raise ValueError(f'better must be "higher" or "lower", not {better!r}.')
    rows = np.arange(len(scores))
    pictures = np.random.default_rng(seed).permuted(np.tile(rows, (n, 1)), axis=1)
    shuffled = scores[rows, pictures].mean(axis=1)
    true = scores[rows, rows].mean()
    tolerance = 1e-12 * np.abs(scores).max()  # equal means, added up in another order
    sign = 1 if better == "higher" else -1
    as_good = np.count_nonzero(sign * shuffled >= sign * true - tolerance)
    return Repairings(
        float(true), float(shuffled.mean()), float(shuffled.std(ddof=1)), (1 + as_good) / (1 + n)
    )


def summary(scores: np.ndarray, seed: int) -> dict[str, float]:
    """What a table says of scores (images, images) as for `repairings`: score, low and high (95 %, bootstrap
    over images), chance and chance_sd (re-paired), p, and n, the images."""
    low, high = bootstrap_interval(np.diagonal(scores), seed)
    chance = repairings(scores, seed)
    return {
        "score": chance.score,
        "low": low,
        "high": high,
        "chance": chance.mean,
        "chance_sd": chance.sd,
        "p": chance.p,
        "n": len(scores),
    }


def trend_permutation(
    x: np.ndarray, y: np.ndarray, seed: int, permutations: int = 2000
) -> tuple[float, float]:
    """Spearman's rho of x and y (n,), and its two-sided p-value: y permuted, p never 0.

    nan and nan where one of them does not vary.
    """
    # not scipy.stats, which takes long to import
    x, y = (pd.Series(_scores(values)).rank().to_numpy() for values in (x, y))
    x, y = x - x.mean(), y - y.mean()
    length = np.sqrt((x @ x) * (y @ y))
    if len(x) < 3 or length == 0:
        return np.nan, np.nan
    drawn = np.random.default_rng(seed).permuted(np.tile(y, (permutations, 1)), axis=1) @ x / length
    rho = float(x @ y / length)
    return rho, (1 + np.count_nonzero(np.abs(drawn) >= abs(rho) - 1e-12)) / (1 + permutations)


def rank_interval(
    x: np.ndarray, y: np.ndarray, seed: int, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval (Efron, 1979) over images of Spearman's rho of x and y (n,): (low, high).

    Resamples in which one of them does not vary count for nothing; nan and nan where that is all of them.
    """
    x, y = _scores(x), _scores(y)
    drawn = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    a, b = (pd.DataFrame(values[drawn]).rank(axis=1).to_numpy() for values in (x, y))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.sum(a**2, axis=1) * np.sum(b**2, axis=1))
    found = np.sum(a * b, axis=1)[lengths > 0] / lengths[lengths > 0]
    if not len(found):
        return np.nan, np.nan
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def groups_permutation(
    groups: np.ndarray, y: np.ndarray, seed: int, permutations: int = 2000
) -> tuple[float, float]:
    """Share of the variance of y (n,) that lies between groups (n,) (eta squared), and its p-value: y
    permuted over the groups, p never 0.

    nan and nan with fewer than two groups, or where y does not vary.
    """
    y = _scores(y) - np.mean(y)
    member = (np.unique(groups)[:, None] == np.asarray(groups)[None]).astype(np.float64)
    total = y @ y
    if len(member) < 2 or total == 0:
        return np.nan, np.nan

    def between(values: np.ndarray) -> np.ndarray:
        return (values @ member.T) ** 2 @ (1 / member.sum(1)) / total

    drawn = between(np.random.default_rng(seed).permuted(np.tile(y, (permutations, 1)), axis=1))
    eta = float(between(y))
    return eta, (1 + np.count_nonzero(drawn >= eta - 1e-12)) / (1 + permutations)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (n,) of one family corrected for their number (Holm, 1979); nan stays and counts for none."""
    p = np.asarray(p, np.float64)
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # nan sort last
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def _scores(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or not np.all(np.isfinite(values)):
        raise ValueError(f"expected finite scores, one an image, found shape {values.shape} or NaN in it.")
    return values
