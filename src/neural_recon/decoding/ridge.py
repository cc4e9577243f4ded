"""Ridge regression from voxels to very many features, without ever forming the voxel weights.

What `sklearn.linear_model.Ridge` predicts, as `mean(Y) + W (Y - mean(Y))` (see `kernel`). W, (n_test,
n_train), is the same for every feature: one Gram matrix, one Cholesky factor per alpha, then one pass over Y
in blocks of columns, read ahead while the block before is multiplied. Gram matrix, factor and solve are
float64, the product with Y float32. Responses come z-scored from the caller.

`targets` is anything with `.shape` and column slices `[:, a:b]`: an array, an HDF5 dataset, a feature table.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from neural_recon.core import backends
from neural_recon.core.backends import Backend
from neural_recon.core.background import ahead
from neural_recon.decoding.kernel import Fit, Kernel

logger = logging.getLogger(__name__)

TILE = 64  # rows centred at a time: with a block's columns they stay in the processor's cache
CALIBRATION_IMAGES = 1000

Calibration = Literal["train", "published", "none"]


class Targets(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray: ...


@dataclass(frozen=True)
class Centred:
    """A block of features near their mean, or as they are."""

    start: int  # the first column
    values: np.ndarray  # float32 (n, b), less the shift
    shift: np.ndarray  # (b,), close to the mean, or none
    mean: np.ndarray  # float64 (b,), of the features themselves
    std: np.ndarray  # float64 (b,), ddof 0

    def paired(self, order: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (b,) of the features of a `Pairing`."""
        if order is None:
            return self.mean, self.std
        counts = np.bincount(order, minlength=len(self.values))
        if (counts == 1).all():
            return self.mean, self.std
        shares = (counts / len(order)).astype(np.float32)
        mean = shares @ self.values
        variance = shares @ np.square(self.values) - mean**2
        return self.shift + mean, np.sqrt(np.maximum(variance, 0))


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which row of the targets each training row is fitted on.

    Attributes:
        calibrations: of the predictions, as of `predict_blocks`; each gives predictions of its own.
        order: (n_train,) rows of the targets; None: each its own.
    """

    calibrations: Sequence[Calibration]
    order: np.ndarray | None = None


def predict(
    X_train: np.ndarray,
    X_test: np.ndarray,
    targets: Targets,
    alpha: float | np.ndarray,
    calibration: Calibration = "none",
    **options: Any,
) -> np.ndarray:
    """Predict the test images' features from their responses.

    Args:
        X_train, X_test: (n_train, p) and (n_test, p) responses, z-scored with training statistics.
        targets: (n_train, n_targets) features of the training images, read `block` columns at a time.
        alpha: one penalty, or (n_targets,); every distinct value costs a factor and a W.
        calibration, options: as in `predict_blocks`.

    Returns:
        float32 (n_test, n_targets).

    Raises:
        ValueError: shapes do not fit, alpha is not positive or so small that the system is singular in
            float64, NaN or infinity in X or in the targets.
    """
    kernel = Kernel.of(X_train, X_test, options.get("backend"))
    return together(predict_blocks(kernel, targets, alpha, calibration, **options))


def together(blocks: Iterator[tuple[int, np.ndarray]]) -> np.ndarray:
    """What `predict_blocks` yields in one array, float32 (n_test, n_targets).

    Raises:
        ValueError: the iterator was used before, in part or to its end.
    """
    parts, width = [], 0
    for start, part in blocks:
        if start != width:
            break
        parts.append(part)
        width += part.shape[1]
    else:
        if parts:
            return np.concatenate(parts, axis=1)
    raise ValueError("blocks: expected predictions from the first column on, found an iterator used before.")


def predict_blocks(
    kernel: Kernel,
    targets: Targets,
    alpha: float | np.ndarray,
    calibration: Calibration = "train",
    seed: int = 0,
    block: int = 4096,
    backend: Backend | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Predict from a kernel, then give every feature the mean and spread of the training features.

    Ridge predictions are shrunk; generators expect features of natural spread. Each feature's predictions
    are z-scored with a reference mean and standard deviation, then scaled to those of the training features
    (all with ddof 0). The reference is

    - "train": predictions of 1,000 training images drawn with `seed` (all, if there are fewer), each from
      the fit on all the others. No test image enters another one's prediction. Each is measured from the
      mean of the images it was fitted on, or differences between those means would pass for signal in a
      target that is hardly predicted. The sample's error is that of `calibration_error`. An image's
      repetitions (`Kernel.images`) are left out together, and it counts by its mean response, as a test
      image does.
    - "published": the test predictions themselves, as the scripts of Brain-Diffuser (Ozcelik & VanRullen,
      2023) do. Looks at the whole test set at once.
    - "none": no calibration.

    A feature without spread, in training or in the reference, is predicted as its training mean. Of a kernel
    without an intercept the predictions lack the mean, unless calibration gives it back.

    Args:
        kernel: of the training and test responses.
        targets, alpha: as in `predict`.
        seed: draws the training images of calibration "train".
        block: columns at a time.
        backend: default: torch on a GPU where there is one, else NumPy.

    Yields:
        (first column, float32 (n_test, up to `block`)), from left to right; the next block is computed while
        the caller stores this one.

    Raises:
        ValueError: as `predict`; or fewer than 2 images to take statistics over.
    """
    _check_rows(targets, kernel.n_train)
    return Solution(kernel, alpha, targets.shape[1], calibration, seed, backend).blocks(targets, block)


class Solution:
    """What predicts any features of a kernel's training rows: W of each penalty, without a feature in it.

    Features in another order of the rows, as of a control fitted on shuffled pairs, need no other factor, and
    neither does "published" calibration.

    Args:
        kernel, calibration, seed, backend: as of `predict_blocks`.
        alpha: one penalty, or (n_targets,).

    Raises:
        ValueError: as of `predict_blocks`.
    """

    def __init__(
        self,
        kernel: Kernel,
        alpha: float | np.ndarray,
        n_targets: int,
        calibration: Calibration = "train",
        seed: int = 0,
        backend: Backend | None = None,
    ):
        if calibration not in ("train", "published", "none"):
            raise ValueError(f'calibration must be "train", "published" or "none", not {calibration!r}.')
        images = kernel.image_rows
        reference = {"train": len(images), "published": kernel.n_test, "none": 2}[calibration]
        if reference < 2:
            raise ValueError(
                f'calibration="{calibration}" needs at least 2 images to take statistics over, '
                f"not {reference}."
            )
        alphas, self.group = np.unique(np.broadcast_to(alpha, (n_targets,)), return_inverse=True)
        check_alphas(alphas)
        self.calibration, self.backend = calibration, backend or backends.choose()
        self.intercept = kernel.intercept
        self.n_train, self.n_test, self.n_images = kernel.n_train, kernel.n_test, len(images)
        sample = calibration_sample(len(images), seed) if calibration == "train" else np.empty(0, np.int64)
        self.weights = []
        for value in alphas:
            fit = Fit(kernel, value, self.backend)
            w = fit.weights()
            if len(sample):
                w = np.concatenate([w, fit.left_out_weights([images[k] for k in sample])])
            self.weights.append(w)
            del fit

    def blocks(self, targets: Targets, block: int = 4096) -> Iterator[tuple[int, np.ndarray]]:
        """Predict these targets (n_train, n_targets); block and what is yielded as of `predict_blocks`.

        Raises:
            ValueError: targets of other rows or columns, NaN or infinity in them.
        """
        pairings = [Pairing([self.calibration])]
        return ((start, found) for start, (found,) in self.several(targets, pairings, block))

    def several(
        self, targets: Targets, pairings: Sequence[Pairing], block: int = 4096
    ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Several fits, each block of the targets being read once: as `blocks`, with an array per pairing and
        calibration, in their order.

        Raises:
            ValueError: as of `blocks`; or calibration "train" is asked of a solution without it.
        """
        n_train, n_targets = targets.shape
        _check_rows(targets, self.n_train)
        if n_targets != len(self.group):
            raise ValueError(f"targets {targets.shape} do not fit: expected {len(self.group)} columns.")
        if self.calibration != "train" and any("train" in pairing.calibrations for pairing in pairings):
            raise ValueError(
                f'pairings: expected a solution with calibration "train", found "{self.calibration}".'
            )
        logger.info(
            "%d targets from %d responses to %d images, %d test images, %d alphas, %d fits",
            n_targets, n_train, self.n_images, self.n_test, len(self.weights),
            sum(len(pairing.calibrations) for pairing in pairings),
        )  # fmt: skip
        weights = [
            self.backend.load(np.concatenate([_of_rows(w, pairing.order) for pairing in pairings]))
            for w in self.weights
        ]
        strips = (
            centred(targets, start, min(start + block, n_targets), self.intercept)
            for start in _logged(range(0, n_targets, block))
        )
        return ahead((strip.start, self._predicted(strip, pairings, weights)) for strip in ahead(strips))

    def _predicted(
        self, strip: Centred, pairings: Sequence[Pairing], weights: Sequence[Any]
    ) -> list[np.ndarray]:
        """The test images' features (n_test, b) of one block, by pairing and calibration."""
        groups = self.group[strip.start : strip.start + strip.values.shape[1]]
        found = np.unique(groups)
        predictions = [
            np.empty((self.n_test, len(groups)), np.float32) for one in pairings for _ in one.calibrations
        ]
        statistics = [strip.paired(pairing.order) for pairing in pairings]
        for which in found:
            columns = slice(None) if len(found) == 1 else np.flatnonzero(groups == which)
            products = self.backend.matmul(weights[which], strip.values[:, columns])
            following = iter(predictions)
            for part, pairing, (mean, std) in zip(
                np.split(products, len(pairings)), pairings, statistics, strict=True
            ):
                decoded, left_out = part[: self.n_test], part[self.n_test :]
                for calibration in pairing.calibrations:
                    offset = decoded
                    if calibration != "none":
                        reference = left_out if calibration == "train" else decoded
                        off, scale = calibration_statistics(reference, std[columns])
                        offset = (offset - off) * scale
                    if self.intercept or calibration != "none":
                        offset = offset + mean[columns].astype(np.float32)
                    next(following)[:, columns] = offset
        return predictions


def _of_rows(weights: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Weights (k, n) of rows in an order, as weights of the rows as they lie."""
    if order is None:
        return weights
    import scipy.sparse  # takes long to import, and most solutions have no use for it

    ones = np.ones(len(order), weights.dtype)
    takes = scipy.sparse.csr_array((ones, (order, np.arange(len(order)))), shape=(len(order),) * 2)
    return (takes @ weights.T).T


def calibration_sample(n_images: int, seed: int) -> np.ndarray:
    """The training images that calibration "train" takes its statistics from, sorted numbers from 0."""
    return np.sort(np.random.default_rng(seed).permutation(n_images)[:CALIBRATION_IMAGES])


def calibration_error(n_images: int) -> dict[str, float]:
    """Standard errors of the calibration's mean and spread that come from sampling the training images.

    Both as a share of the predictions' spread, for normal predictions: 0.032 and 0.022 for 1,000 of very
    many images, 0 where all are taken.
    """
    taken = min(n_images, CALIBRATION_IMAGES)
    rest = np.sqrt(1 - taken / n_images)  # correction for drawing without replacement
    return {"mean": float(rest / np.sqrt(taken)), "spread": float(rest / np.sqrt(2 * taken))}


def check_alphas(alphas: np.ndarray) -> None:
    """Raise a ValueError unless all are positive and finite."""
    if not len(alphas) or not np.all(np.isfinite(alphas) & (alphas > 0)):
        raise ValueError(f"alpha must be positive, found {alphas[:5].tolist()}.")


def centred(targets: Targets, start: int, stop: int, intercept: bool = True) -> Centred:
    """Columns start..stop, less the mean of their first rows, in one pass.

    Rows of W sum to zero with an intercept, so the shift changes no prediction; it keeps float32 from being
    spent on the mean. Without one there is no shift.

    Raises:
        ValueError: NaN or infinity.
    """
    raw = np.asarray(targets[:, start:stop])
    n = len(raw)
    shift = raw[:TILE].mean(axis=0, dtype=np.float64).astype(np.result_type(raw, np.float32))
    if not intercept:
        shift = np.zeros_like(shift)
    values = np.empty(raw.shape, np.float32)
    total, squares = np.zeros(raw.shape[1]), np.zeros(raw.shape[1])
    for row in range(0, n, TILE):
        tile = values[row : row + TILE]
        np.subtract(raw[row : row + TILE], shift, out=tile, casting="same_kind")
        total += tile.sum(axis=0)
        squares += np.einsum("ij,ij->j", tile, tile)
    bad = np.flatnonzero(~np.isfinite(total))
    if len(bad):
        raise ValueError(f"targets have NaN or infinite values, the first in column {start + bad[0]}.")
    variance = np.maximum(squares / n - (total / n) ** 2, 0)
    return Centred(start, values, shift, shift + total / n, np.sqrt(variance))


def calibration_statistics(reference: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What calibration takes off and multiplies by, float32 (b,) both: the mean of the reference (k, b), and
    the spread wanted (b,) over its spread (0 for a feature without any)."""
    mean = reference.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviations = reference - mean
    spread = np.sqrt(np.einsum("ij,ij->j", deviations, deviations) / len(reference))
    known = spread > 1e-10 * wanted  # what is below is rounding; so a constant feature keeps its mean
    scale = np.divide(wanted, spread, out=np.zeros_like(wanted), where=known)
    return mean, scale.astype(np.float32)


def _check_rows(targets: Targets, n: int) -> None:
    if targets.shape[0] != n:
        raise ValueError(f"targets {targets.shape} do not fit: expected one row for each of {n} images.")


def _logged(steps: range) -> Iterator[int]:
    """Pass the steps on and log about every tenth of them."""
    every = max(1, len(steps) // 10)
    for done, step in enumerate(steps, 1):
        yield step
        if done % every == 0 and len(steps) > 1:
            logger.info("%d of %d blocks of targets done", done, len(steps))
