"""Ridge regression from voxels to very many features, without ever forming the voxel weights.

Minimises `|Y - X B|^2 + alpha |B|^2` with an intercept, as `sklearn.linear_model.Ridge` does. There are
more voxels than images, so a prediction is a weighted sum of the *training images'* features:

    prediction = mean(Y) + W (Y - mean(Y)),     W = K_test (K + alpha I)^-1,     K = Xc Xc'

with X centred by its training mean. W, (n_test, n_train), is the same for every feature: one Gram
matrix, one Cholesky factor, then one pass over Y in blocks of columns. Gram matrix, factor and solve are
float64, the product with Y float32. Responses come z-scored from the caller.

`targets` is anything with `.shape` and column slices `[:, a:b]`: an array, an HDF5 dataset, a feature table.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy import linalg

logger = logging.getLogger(__name__)

GRAM_BLOCK = 2048  # voxels turned to float64 at a time
STRIP = 64  # neighbouring columns read together when targets are sampled

Calibration = Literal["train", "published", "none"]
Split = tuple[np.ndarray, np.ndarray]  # rows to train on, rows held out


class Targets(Protocol):
    shape: tuple[int, ...]

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray: ...


@dataclass(frozen=True)
class CvResult:
    """Mean R^2 of every fold and alpha, (folds, alphas), and the alpha with the best mean over folds."""

    scores: np.ndarray
    alphas: np.ndarray
    best: float
    columns: np.ndarray  # the targets that were scored


def predict(
    X_train: np.ndarray, X_test: np.ndarray, targets: Targets, alpha: float | np.ndarray, block: int = 4096
) -> np.ndarray:
    """Predict the test images' features from their responses.

    Args:
        X_train, X_test: (n_train, p) and (n_test, p) responses, z-scored with training statistics.
        targets: (n_train, n_targets) features of the training images, read `block` columns at a time.
        alpha: one penalty, or (n_targets,); every distinct value costs a factor and a W.

    Returns:
        float32 (n_test, n_targets).

    Raises:
        ValueError: shapes do not fit, alpha is not positive, NaN or infinity in X or in the targets.
    """
    return predict_calibrated(X_train, X_test, targets, alpha, calibration="none", block=block)


def predict_calibrated(
    X_train: np.ndarray,
    X_test: np.ndarray,
    targets: Targets,
    alpha: float | np.ndarray,
    calibration: Calibration = "train",
    folds: int = 5,
    seed: int = 0,
    block: int = 4096,
) -> np.ndarray:
    """Predict as `predict` does, then give every feature the mean and spread of the training features.

    Ridge predictions are shrunk; generators expect features of natural spread. Each feature's predictions
    are z-scored with a reference mean and standard deviation, then scaled to those of the training features
    (all with ddof 0). The reference is

    - "train": held-out predictions of the training images from `folds` folds (drawn with `seed`). No test
      image enters another one's prediction. Each is measured from the mean of the images it was fitted on, or
      differences between those means would pass for signal in a target that is hardly predicted. The
      folds see fewer images than the final fit, so they shrink a little more. Costs an (n_train, n_train)
      float32 matrix for each distinct alpha.
    - "published": the test predictions themselves, as the scripts of Brain-Diffuser (Ozcelik & VanRullen,
      2023) do. Looks at the whole test set at once.
    - "none": no calibration.

    A feature without spread, in training or in the reference, is predicted as its training mean.
    Arguments, result and errors are otherwise those of `predict`.
    """
    X_train, X_test = _responses(X_train, "X_train"), _responses(X_test, "X_test")
    n_train, n_targets = targets.shape
    if X_train.shape != (n_train, X_test.shape[1]):
        raise ValueError(
            f"X_train {X_train.shape}, X_test {X_test.shape} and targets {targets.shape} do not fit: "
            "expected (n_train, p), (n_test, p) and (n_train, n_targets)."
        )
    if calibration not in ("train", "published", "none"):
        raise ValueError(f'calibration must be "train", "published" or "none", not {calibration!r}.')
    if calibration == "published" and len(X_test) < 2:
        raise ValueError(
            'calibration="published" needs at least 2 test images: it takes statistics over them.'
        )
    alphas, group = np.unique(np.broadcast_to(alpha, (n_targets,)), return_inverse=True)
    _check_alphas(alphas)

    gram = _train_gram(X_train)
    weights = list(_weights(X_train, X_test, alphas, gram))
    held_out = []
    if calibration == "train":
        held_out = [np.zeros((n_train, n_train), np.float32) for _ in alphas]
        for (train, test), which, w in _held_out_weights(
            X_train, make_folds(n_train, folds, seed), alphas, gram
        ):
            held_out[which][np.ix_(test, train)] = w
    del gram

    logger.info(
        "%d targets from %d images, %d voxels, %d test images", n_targets, *X_train.shape, len(X_test)
    )
    predictions = np.empty((len(X_test), n_targets), np.float32)
    for start in _logged(range(0, n_targets, block)):
        centred, mean = _centred_targets(targets, start, min(start + block, n_targets))
        groups = group[start : start + block]
        for which in np.unique(groups):
            columns = np.flatnonzero(groups == which)
            y = centred if len(columns) == len(groups) else centred[:, columns]
            offset = weights[which] @ y
            if calibration == "train":
                offset = _rescaled(offset, held_out[which] @ y, y)
            elif calibration == "published":
                offset = _rescaled(offset, offset, y)
            predictions[:, start + columns] = offset + mean[columns]
    return predictions


def cross_validate(
    X_train: np.ndarray,
    targets: Targets,
    alphas: Sequence[float],
    folds: int = 5,
    n_targets: int = 2048,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> CvResult:
    """Score every alpha on held-out training images.

    The score of a fold is R^2 (about the held-out images' own mean, as `sklearn.metrics.r2_score`), averaged
    over targets; a target constant in a fold is left out there. `best` is the alpha whose mean over folds is
    highest; a warning is logged where it is the smallest or largest tried.

    Args:
        X_train: (n, p) responses; targets: (n, any number), one row an image.
        alphas: penalties to try; each costs one factor a fold.
        n_targets: how many targets to sample (all, if there are fewer), in strips of neighbouring columns
            since features lie on disk row by row.
        seed: draws the folds and the targets.
        groups: (n,) labels of images that must share a fold (near-twins); default: every image its own.

    Raises:
        ValueError: as `predict`; or fewer groups than folds, or no target that varies.
    """
    X_train = _responses(X_train, "X_train")
    if targets.shape[0] != len(X_train):
        raise ValueError(
            f"X_train has {len(X_train)} rows, targets {targets.shape[0]}: expected one row an image."
        )
    alphas = np.unique(np.asarray(alphas, np.float64))
    _check_alphas(alphas)
    columns = sample_columns(targets.shape[1], n_targets, seed)
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    y = np.concatenate([_centred_targets(targets, run[0], run[-1] + 1)[0] for run in runs], axis=1)

    splits = make_folds(len(X_train), folds, seed, groups)
    scores = np.full((folds, len(alphas)), np.nan)
    gram = _train_gram(X_train)
    for step, ((train, test), which, w) in enumerate(_held_out_weights(X_train, splits, alphas, gram)):
        fold = step // len(alphas)
        mean = y[train].mean(axis=0, dtype=np.float64)
        errors = y[test] - (mean + w @ (y[train] - mean.astype(np.float32)))
        varies = np.ptp(y[test], axis=0) > 0
        total = y[test].var(axis=0, dtype=np.float64)[varies]
        if not len(total):
            raise ValueError("targets: every sampled column is constant in a fold, nothing can be scored.")
        scores[fold, which] = np.mean(1 - np.mean(errors[:, varies] ** 2, axis=0) / total)
        logger.info("fold %d, alpha %g: R^2 %.5f", fold + 1, alphas[which], scores[fold, which])

    best = int(scores.mean(axis=0).argmax())
    if len(alphas) > 1 and best in (0, len(alphas) - 1):
        logger.warning(
            "The best alpha, %g, lies on the edge of the grid (%g to %g): try a wider one.",
            alphas[best], alphas[0], alphas[-1],
        )  # fmt: skip
    return CvResult(scores, alphas, float(alphas[best]), columns)


def make_folds(n: int, folds: int, seed: int, groups: np.ndarray | None = None) -> list[Split]:
    """Cut n rows into folds after a seeded permutation: [(train rows, held-out rows)], each sorted.

    `groups` (n,): rows of one label are held out together; folds then have equally many labels.
    """
    labels, label = np.unique(np.arange(n) if groups is None else np.asarray(groups), return_inverse=True)
    if len(label) != n or not 2 <= folds <= len(labels):
        raise ValueError(
            f"folds={folds} of {n} images in {len(labels)} groups ({len(label)} labels given): "
            "expected one label an image, and from 2 folds to as many as there are groups."
        )
    parts = np.array_split(np.random.default_rng(seed).permutation(len(labels)), folds)
    held_out = [np.isin(label, part) for part in parts]
    return [(np.flatnonzero(~rows), np.flatnonzero(rows)) for rows in held_out]


def sample_columns(n_columns: int, n_targets: int, seed: int) -> np.ndarray:
    """`n_targets` of the column numbers (all, if fewer), sorted, drawn as strips of up to 64 neighbours."""
    if n_targets >= n_columns:
        return np.arange(n_columns)
    width = max(1, min(STRIP, n_targets // 16))
    starts = np.random.default_rng(seed).permutation(np.arange(0, n_columns, width))
    columns = (starts[:, None] + np.arange(width)).ravel()
    return np.sort(columns[columns < n_columns][:n_targets])


def shuffled_pairs(n: int, seed: int) -> np.ndarray:
    """A random permutation of n that leaves nothing in its place, for a refit of X on Y[permutation]."""
    if n < 2:
        raise ValueError(f"{n} pairs cannot be shuffled: expected at least 2.")
    rng = np.random.default_rng(seed)
    while True:  # a permutation has no fixed point with probability 1/e
        permutation = rng.permutation(n)
        if not np.any(permutation == np.arange(n)):
            return permutation


def _responses(x: np.ndarray, name: str) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{name} must be (images, voxels) and not empty, found shape {x.shape}.")
    bad = np.flatnonzero(~np.isfinite(x.sum(axis=0, dtype=np.float64)))
    if len(bad):
        raise ValueError(
            f"{name} has NaN or infinite values in {len(bad)} voxels, the first in column {bad[0]}."
        )
    return x


def _check_alphas(alphas: np.ndarray) -> None:
    if not len(alphas) or not np.all(np.isfinite(alphas) & (alphas > 0)):
        raise ValueError(f"alpha must be positive, found {alphas[:5].tolist()}.")


def _centred_targets(targets: Targets, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns start..stop as float32 less their mean, and the mean (float64)."""
    y = np.asarray(targets[:, start:stop], np.float32)
    mean = y.mean(axis=0, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(mean))
    if len(bad):
        raise ValueError(f"targets have NaN or infinite values, the first in column {start + bad[0]}.")
    # the rows of W sum to zero, so rounding the mean that is taken off changes no prediction
    return y - mean.astype(np.float32), mean


def _rescaled(offset: np.ndarray, reference: np.ndarray, centred: np.ndarray) -> np.ndarray:
    """Z-score predictions by the reference's statistics and give them the training features' spread."""
    spread = reference.std(axis=0, dtype=np.float64)
    wanted = centred.std(axis=0, dtype=np.float64)
    known = spread > 1e-10 * wanted  # what is below is rounding; so a constant feature keeps its mean
    scale = np.divide(wanted, spread, out=np.zeros_like(spread), where=known)
    return (offset - reference.mean(axis=0, dtype=np.float64)) * scale


def _gram(a: np.ndarray, b: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(a - mean) (b - mean)' in float64, turning only some voxels to float64 at a time."""
    product = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], GRAM_BLOCK):
        part = slice(start, start + GRAM_BLOCK)
        left = a[:, part] - mean[part]
        right = left if a is b else b[:, part] - mean[part]
        product += left @ right.T
    return product


def _train_gram(x: np.ndarray) -> np.ndarray | None:
    """The Gram matrix of the centred rows; None where there are fewer voxels than images."""
    return None if x.shape[1] < len(x) else _gram(x, x, x.mean(axis=0, dtype=np.float64))


def _solve(matrix: np.ndarray, alpha: float, right: np.ndarray) -> np.ndarray:
    """(matrix + alpha I)^-1 right, for a symmetric matrix that is kept."""
    shifted = matrix.copy()
    shifted.flat[:: len(shifted) + 1] += alpha
    try:  # .T: symmetric, and the Fortran order that LAPACK overwrites in place
        factor = linalg.cho_factor(shifted.T, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError as error:
        raise ValueError(
            f"alpha {alpha:g} is lost in rounding beside responses of this size; z-score X or raise alpha."
        ) from error
    return linalg.cho_solve(factor, right, check_finite=False)


def _weights(
    x_train: np.ndarray, x_test: np.ndarray, alphas: np.ndarray, gram: np.ndarray | None
) -> Iterator[np.ndarray]:
    """W, float32 (n_test, n_train), for each alpha.

    With fewer voxels than images (no Gram matrix) the equivalent primal form, W = Xt (X'X + alpha I)^-1 X',
    is smaller, and stays well conditioned for a small alpha.
    """
    mean = x_train.mean(axis=0, dtype=np.float64)
    if gram is None:
        x, xt = x_train - mean, x_test - mean
        covariance = x.T @ x
        for alpha in alphas:
            yield _zero_sum(_solve(covariance, alpha, xt.T).T @ x.T)
    else:
        cross = _gram(x_test, x_train, mean)
        for alpha in alphas:
            yield _zero_sum(_solve(gram, alpha, cross.T).T)


def _held_out_weights(
    x: np.ndarray, splits: list[Split], alphas: np.ndarray, gram: np.ndarray | None
) -> Iterator[tuple[Split, int, np.ndarray]]:
    """(split, number of the alpha, W) for every fold and alpha, from the one Gram matrix of all rows."""
    for train, test in splits:
        if gram is None:
            weights = _weights(x[train], x[test], alphas, None)
        else:
            inner, cross = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
            # centring X by the fold's own mean, expressed in products: subtract means of rows and columns
            column = inner.mean(axis=0)
            inner -= column
            inner -= column[:, None] - column.mean()
            cross -= cross.mean(axis=1, keepdims=True)
            cross -= column - column.mean()
            weights = (_zero_sum(_solve(inner, alpha, cross.T).T) for alpha in alphas)
        for which, w in enumerate(weights):
            yield (train, test), which, w


def _zero_sum(w: np.ndarray) -> np.ndarray:
    """Rows sum to zero since X is centred; say so exactly, as rounding grows with 1/alpha."""
    return (w - w.mean(axis=1, keepdims=True)).astype(np.float32)


def _logged(steps: range) -> Iterator[int]:
    """Pass the steps on and log about every tenth of them."""
    every = max(1, len(steps) // 10)
    for done, step in enumerate(steps, 1):
        yield step
        if done % every == 0 and len(steps) > 1:
            logger.info("%d of %d blocks of targets done", done, len(steps))
