"""Choosing a ridge penalty on held-out training images, for all features or for each part of a space.

What a penalty does depends on the eigenvalues of the kernel, which grow with the voxels and the images. So
the penalties to try are, unless they are given, multiples of the kernel's mean eigenvalue: from a tenth to a
hundred times it, two per decade, and further on either side while the best of a part lies at that edge, up to
`FURTHER` more. They are rounded to two digits.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neural_recon.core import backends
from neural_recon.core.backends import Backend
from neural_recon.decoding.kernel import Fit, Kernel
from neural_recon.decoding.ridge import Targets, centred, check_alphas

logger = logging.getLogger(__name__)

STRIP = 64  # neighbouring columns read together when targets are sampled
STEPS = range(-2, 5)  # of half a decade, from the kernel's mean eigenvalue
FURTHER = 6  # steps more at either side: three decades

Split = tuple[np.ndarray, np.ndarray]  # rows to train on, rows held out


@dataclass(frozen=True)
class CvResult:
    """What every penalty scored, `alphas` ascending.

    `scores` (parts, folds, alphas) is the mean R^2 over a part's sampled targets, NaN where none of them
    varies; `best` (parts,) the alpha with the highest mean over folds.
    """

    scores: np.ndarray
    alphas: np.ndarray
    best: np.ndarray
    columns: np.ndarray  # the targets that were scored


def cross_validate(
    kernel: Kernel,
    targets: Targets,
    alphas: Sequence[float] | np.ndarray | None = None,
    folds: int = 5,
    n_targets: int = 1024,
    seed: int = 0,
    parts: Sequence[int] | np.ndarray | None = None,
    backend: Backend | None = None,
    contiguous: bool = False,
) -> CvResult:
    """Score every alpha on held-out training images; repetitions of an image share a fold.

    The score of a target is R^2 (about the held-out images' own mean, as `sklearn.metrics.r2_score`); one
    constant in a fold is left out there. All folds come out of one factor per alpha (see `kernel`). A warning
    is logged where the best alpha is the smallest or largest tried, or does not reach an R^2 of 0.

    Args:
        kernel: of n training images.
        targets: (n, any number), one row per image.
        alphas: penalties to try, these and no others; None: by the kernel's scale, as above.
        n_targets: how many targets to sample over all parts (all, if there are fewer), in strips of
            neighbouring columns since features lie on disk row by row.
        seed: draws the folds and the targets.
        parts: widths of neighbouring columns that get an alpha each; default: all columns together.
        contiguous: cut the rows as they come into folds, repetitions of an image or not.

    Raises:
        ValueError: targets that do not fit or are not finite, alphas that are not positive or too small for
            float64, fewer groups than folds, or no target that varies.
    """
    n, width = targets.shape
    parts = np.array([width] if parts is None else parts)
    if n != kernel.n_train or parts.sum() != width:
        raise ValueError(
            f"targets {targets.shape} do not fit: expected one row for each of {kernel.n_train} training "
            f"images, and parts that sum up to its columns, not to {parts.sum()}."
        )
    if alphas is not None:
        check_alphas(np.asarray(alphas, np.float64))
    backend = backend or backends.choose()
    starts = np.cumsum(parts) - parts
    samples = [
        start + sample_columns(part, -(-n_targets // len(parts)), seed)
        for start, part in zip(starts, parts, strict=True)
    ]
    part_of = np.repeat(np.arange(len(parts)), [len(sample) for sample in samples])
    columns = np.concatenate(samples)
    y = centred_columns(targets, columns, kernel.intercept)  # with one, residuals do not depend on the mean

    held_out = _held_out(kernel, folds, seed, contiguous)
    totals = np.stack([y[rows].var(axis=0) for rows in held_out])
    totals[[np.ptp(y[rows], axis=0) == 0 for rows in held_out]] = np.nan
    if not np.all(np.any(totals > 0, axis=1)):
        raise ValueError("targets: every sampled column is constant in a fold, nothing can be scored.")

    def score(alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """R^2 (parts, folds), and over all targets (folds,)."""
        maker = Fit(kernel, alpha, backend).residual_maker()
        residuals = backend.matmul(maker, y)
        scores, overall = np.full((len(parts), folds), np.nan), np.empty(folds)
        for fold, rows in enumerate(held_out):
            errors = np.linalg.solve(maker[np.ix_(rows, rows)], residuals[rows])
            r2 = 1 - np.mean(errors**2, axis=0) / totals[fold]
            overall[fold] = np.nanmean(r2)
            for part in range(len(parts)):
                mine = r2[part_of == part]
                if not np.all(np.isnan(mine)):
                    scores[part, fold] = np.nanmean(mine)
        logger.info("alpha %g: R^2 %.5f", alpha, overall.mean())
        return scores, overall

    if alphas is None:
        found = _while_at_an_edge(kernel.scale, score)
    else:
        found = {alpha: score(alpha) for alpha in np.unique(np.asarray(alphas, np.float64)).tolist()}
    means, best = _best(found)
    edges = np.count_nonzero((best == 0) | (best == len(found) - 1))
    if len(found) > 1 and edges:
        logger.warning(
            "The best alpha of %d of %d parts lies on the edge of the grid (%g to %g)%s.",
            edges, len(parts), min(found), max(found),
            "" if alphas is None else ": try a wider one, or leave decoder.cross_validation.alphas out",
        )  # fmt: skip
    below = np.count_nonzero(means.max(axis=1) < 0)
    if len(found) > 1 and below:
        logger.warning(
            "The best R^2 of %d of %d parts is below 0: no alpha predicts held-out images better than their "
            "mean does.",
            below, len(parts),
        )  # fmt: skip
    tried = np.array(sorted(found))
    return CvResult(np.stack([found[a][0] for a in tried], axis=-1), tried, tried[best], columns)


def cross_validate_targets(
    kernel: Kernel,
    targets: Targets,
    alphas: Sequence[float] | np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
    backend: Backend | None = None,
    contiguous: bool = False,
    block: int = 4096,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An alpha for every target: the one with the smallest squared error, averaged over folds.

    Args:
        kernel, targets, folds, seed, contiguous: as of `cross_validate`, but that all targets are read.
        alphas: penalties to try; None: a tenth to a hundred times the kernel's mean eigenvalue.

    Returns:
        The alphas (k,), ascending; which of them each target has (n_targets,); and R^2 float32
        (folds, k, n_targets), NaN where a target is constant in a fold.

    Raises:
        ValueError: as of `cross_validate`.
    """
    n, width = targets.shape
    if n != kernel.n_train:
        raise ValueError(f"targets {targets.shape} do not fit: expected {kernel.n_train} rows.")
    tried = np.unique([_step(kernel.scale, step) for step in STEPS] if alphas is None else alphas)
    check_alphas(tried)
    backend = backend or backends.choose()
    held_out = _held_out(kernel, folds, seed, contiguous)
    errors = np.empty((folds, len(tried), width))
    variances = np.empty((folds, width))
    for which, alpha in enumerate(tried):
        maker = Fit(kernel, alpha, backend).residual_maker()
        makers = [backend.load(np.linalg.solve(maker[np.ix_(rows, rows)], maker[rows])) for rows in held_out]
        del maker
        for start in range(0, width, block):
            columns = slice(start, min(start + block, width))
            y = centred(targets, columns.start, columns.stop, kernel.intercept).values.astype(np.float64)
            for fold, rows in enumerate(held_out):
                errors[fold, which, columns] = np.mean(backend.matmul(makers[fold], y) ** 2, axis=0)
                if which == 0:
                    variances[fold, columns] = np.where(
                        np.ptp(y[rows], axis=0) > 0, y[rows].var(axis=0), np.nan
                    )
        logger.info("alpha %g: R^2 %.5f", alpha, np.nanmean(1 - errors[:, which] / variances))
    scores = (1 - errors / variances[:, None]).astype(np.float32)
    return tried, errors.mean(axis=0).argmin(axis=0), scores


def _held_out(kernel: Kernel, folds: int, seed: int, contiguous: bool) -> list[np.ndarray]:
    """The rows of each fold."""
    if contiguous:
        return np.array_split(np.arange(kernel.n_train), folds)
    return [rows for _, rows in make_folds(kernel.n_train, folds, seed, kernel.images)]


# alpha -> R^2 (parts, folds), and of all targets (folds,)
Tried = dict[float, tuple[np.ndarray, np.ndarray]]


def _best(found: Tried) -> tuple[np.ndarray, np.ndarray]:
    """Mean R^2 over folds (parts, alphas), alphas ascending, and where each part's best lies (parts,)."""
    means = np.stack([found[alpha][0].mean(axis=1) for alpha in sorted(found)], axis=1)
    overall = np.array([found[alpha][1].mean() for alpha in sorted(found)])
    # a part that cannot be scored takes what is best for all
    means = np.where(np.isnan(means), overall, means)
    return means, means.argmax(axis=1)


def _while_at_an_edge(scale: float, score: Callable[[float], tuple[np.ndarray, np.ndarray]]) -> Tried:
    """Score penalties around a kernel's scale, and further ones while a part's best lies at an edge."""

    def alpha(step: int) -> float:
        return _step(scale, step)

    first, last = STEPS[0], STEPS[-1]
    found = {alpha(step): score(alpha(step)) for step in STEPS}
    while True:
        _, best = _best(found)
        lower = bool(np.any(best == 0)) and first > STEPS[0] - FURTHER
        higher = bool(np.any(best == len(found) - 1)) and last < STEPS[-1] + FURTHER
        if not lower and not higher:
            return found
        first, last = first - lower, last + higher
        for step in [first] * lower + [last] * higher:
            found[alpha(step)] = score(alpha(step))


def _step(scale: float, step: int) -> float:
    """The penalty so many half decades above a kernel's scale."""
    if not scale > 0:
        raise ValueError("responses: expected some that differ between training images, found none.")
    return float(f"{scale * 10 ** (step / 2):.2g}")


def make_folds(n: int, folds: int, seed: int, groups: np.ndarray | None = None) -> list[Split]:
    """Cut n rows into folds after a seeded permutation: [(train rows, held-out rows)], each sorted.

    `groups` (n,): rows of one label are held out together; folds then have equally many labels.
    """
    labels, label = np.unique(np.arange(n) if groups is None else np.asarray(groups), return_inverse=True)
    if len(label) != n or not 2 <= folds <= len(labels):
        raise ValueError(
            f"folds={folds} of {n} images in {len(labels)} groups ({len(label)} labels given): "
            "expected one label per image, and from 2 folds to as many as there are groups."
        )
    pieces = np.array_split(np.random.default_rng(seed).permutation(len(labels)), folds)
    held_out = [np.isin(label, piece) for piece in pieces]
    return [(np.flatnonzero(~rows), np.flatnonzero(rows)) for rows in held_out]


def pooled(widths: Sequence[int] | np.ndarray, most: int = 32) -> np.ndarray:
    """Widths of at most `most` parts: runs of neighbouring parts, of equally many each as far as possible."""
    widths = np.asarray(widths)
    return np.array([run.sum() for run in np.array_split(widths, min(most, len(widths)))])


def sample_columns(n_columns: int, n_targets: int, seed: int) -> np.ndarray:
    """`n_targets` of the column numbers (all, if fewer), sorted, drawn as strips of up to 64 neighbours."""
    if n_targets >= n_columns:
        return np.arange(n_columns)
    width = max(1, min(STRIP, n_targets // 16))
    starts = np.random.default_rng(seed).permutation(np.arange(0, n_columns, width))
    columns = (starts[:, None] + np.arange(width)).ravel()
    return np.sort(columns[columns < n_columns][:n_targets])


def column_runs(columns: np.ndarray) -> list[slice]:
    """Ascending column numbers as slices of neighbours, which are read together."""
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    return [slice(int(run[0]), int(run[-1]) + 1) for run in runs]


def centred_columns(targets: Targets, columns: np.ndarray, intercept: bool = True) -> np.ndarray:
    """Sampled columns as of `ridge.centred`, float64 (n, columns)."""
    values = [centred(targets, run.start, run.stop, intercept).values for run in column_runs(columns)]
    return np.concatenate(values, axis=1, dtype=np.float64)
