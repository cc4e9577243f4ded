"""The linear kernel of responses, and the ridge fits that come out of it.

Minimising `|Y - X B|^2 + alpha |B|^2` with an intercept, a prediction is the training mean plus a weighted
sum of the training images' features, with weights that are the same for every feature:

    prediction = mean(Y) + W Y,     W = K_test (K + alpha I)^-1,     K = Xc Xc',

X centred by its training mean, rows of W summing to zero. The same inverse holds every held-out prediction:
`R = alpha (K + alpha I)^-1 - 11'/n` makes residuals, R Y = Y - fitted(Y), and the error of images B that a
fit on all others makes is `R_BB^-1 (R Y)_B` (Allen 1974, for the linear smoothers that ridge fits are). So
neither leaving out images one by one nor cutting folds needs another factor.

Without an intercept (Takagi & Nishimoto 2023, as released) nothing is centred: K = X X', R = alpha
(K + alpha I)^-1, prediction = W Y, which has no mean.

Everything here is float64 but the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neural_recon.core import backends
from neural_recon.core.backends import Backend

GRAM_BLOCK = 2048  # voxels turned to float64 at a time
ROWS = 1024  # of a product that is symmetric: what lies above the diagonal is not computed


@dataclass(frozen=True)
class Kernel:
    """Products of centred responses, from which every alpha is fitted.

    With as many voxels as images or more, `system` is the Gram matrix of the training images (n, n) and
    `test` its rows for the test images (n_test, n). Along the vector of ones, where the Gram matrix is zero,
    `system` has its mean eigenvalue instead: no result depends on it, and a small alpha stays well
    conditioned.

    With fewer voxels, `system` is X'X (p, p), `test` the test images' centred responses (n_test, p), and
    `basis` the training images' (n, p): smaller, and well conditioned where the Gram matrix is not.

    `images` (n,) says which training rows are repetitions of one image, where any are: what is held out of
    a fit is held out with all of them.

    Without an `intercept` nothing is centred, and the vector of ones is nothing special.
    """

    system: np.ndarray
    test: np.ndarray
    basis: np.ndarray | None = None
    images: np.ndarray | None = None
    intercept: bool = True

    @property
    def n_train(self) -> int:
        return len(self.system if self.basis is None else self.basis)

    @property
    def n_test(self) -> int:
        return len(self.test)

    @property
    def scale(self) -> float:
        """The mean eigenvalue of the system, over the directions in which the training responses differ.

        Of z-scored responses about the number of voxels or, with fewer voxels than images, of images: a
        penalty of this size halves what is fitted along an average direction.
        """
        return float(np.trace(self.system)) / len(self.system)

    @property
    def image_rows(self) -> list[np.ndarray]:
        """The training rows of each image."""
        if self.images is None:
            return list(np.arange(self.n_train)[:, None])
        order = np.argsort(self.images, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.images[order])) + 1)

    @classmethod
    def of(
        cls,
        X_train: np.ndarray,
        X_test: np.ndarray,
        backend: Backend | None = None,
        images: np.ndarray | None = None,
        intercept: bool = True,
    ) -> Kernel:
        """From responses (n, p) and (n_test, p), z-scored with training statistics.

        Args:
            images: (n,) labels of the training rows' images, such as image ids; default: all are different.
            intercept: whether fits have one.

        Raises:
            ValueError: shapes do not fit, or NaN or infinity.
        """
        backend = backend or backends.choose()
        x, test = _responses(X_train, "X_train"), _responses(X_test, "X_test")
        if x.shape[1] != test.shape[1]:
            raise ValueError(
                f"X_train {x.shape} and X_test {test.shape} do not fit: expected the same voxels in both."
            )
        n, p = x.shape
        if images is not None and len(images) != n:
            raise ValueError(f"images: expected a label for each of {n} training rows, found {len(images)}.")
        if images is not None and len(np.unique(images)) == n:
            images = None
        mean = _centre(x, intercept)
        if p < n - 1:  # centred, n images span n - 1 dimensions
            basis = x - mean
            blocks = (basis[start : start + GRAM_BLOCK].T for start in range(0, n, GRAM_BLOCK))
            return cls(_products(blocks, p, p, backend), test - mean, basis, images, intercept)
        parts = (slice(start, start + GRAM_BLOCK) for start in range(0, p, GRAM_BLOCK))
        voxels = (np.concatenate([x[:, part], test[:, part]]) - mean[part] for part in parts)
        products = _products(voxels, n + len(test), n, backend)
        system = products[:n]
        if intercept:
            system += np.trace(system) / n**2
        return cls(system, products[n:], images=images, intercept=intercept)

    def centre(self, train: np.ndarray) -> np.ndarray:
        """What is taken off all responses, float64 (p,): the mean of the training ones, or nothing."""
        return _centre(train, self.intercept)

    def of_others(self, X_train: np.ndarray, X_test: np.ndarray) -> Kernel:
        """The kernel of the same training responses (n, p) with other test responses (n_test, p).

        Raises:
            ValueError: shapes do not fit, or NaN or infinity.
        """
        x, test = _responses(X_train, "X_train"), _responses(X_test, "X_test")
        if x.shape[1] != test.shape[1] or len(x) != self.n_train:
            raise ValueError(
                f"X_train {x.shape} and X_test {test.shape} do not fit: expected the kernel's {self.n_train} "
                "images, and the same voxels in both."
            )
        mean = self.centre(x)
        if self.basis is not None:
            return replace(self, test=test - mean)
        products = np.zeros((len(test), len(x)))
        for start in range(0, x.shape[1], GRAM_BLOCK):
            part = slice(start, start + GRAM_BLOCK)
            products += (test[:, part] - mean[part]) @ (x[:, part] - mean[part]).T
        return replace(self, test=products)


class Fit:
    """The ridge regression of one alpha.

    `coefficients` and `residual_maker` come last: an inverse takes the place of the factor, and what is asked
    for afterwards raises `backends.SpentError`.

    Raises:
        ValueError: the penalised system is singular in float64.
    """

    def __init__(self, kernel: Kernel, alpha: float, backend: Backend):
        self.kernel, self.alpha, self.backend = kernel, alpha, backend
        self.factor = backend.factor(kernel.system, alpha)

    def weights(self) -> np.ndarray:
        """W, float32 (n_test, n_train), rows summing to zero with an intercept."""
        w = self._times_basis(self.backend.solve(self.factor, self.kernel.test.T).T)
        # they do, as X is centred; say so exactly, as rounding grows with 1/alpha
        return self._centred(w).astype(np.float32)

    def coefficients(self) -> np.ndarray:
        """M, float32 (q, n_train): M Y multiplies an image's row of `Kernel.test`, whose q columns are
        training images or, with a basis, voxels. The fit is used up."""
        if self.kernel.basis is not None:
            found = self.backend.solve(self.factor, self.kernel.basis.T).astype(np.float32)
            self.factor.take()  # or an order would work with few voxels that fails with many
            return found
        inverse = self.backend.inverse(self.factor)
        return self._centred(inverse).astype(np.float32)  # so the mean of Y drops out

    def left_out_weights(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """W for training images, each predicted from all the others: float32 (k, n_train).

        With an intercept they give the prediction less the mean of the rows that it was fitted on; of an
        image with repetitions (all of them held out) that of their mean response.

        Args:
            images: the rows of each of the k images.
        """
        n = self.kernel.n_train
        residual = self._residual_rows(np.concatenate(images))
        w, start = np.empty((len(images), n)), 0
        for which, rows in enumerate(images):
            mine = residual[start : start + len(rows)]
            row = -np.linalg.solve(mine[:, rows], mine).mean(axis=0)
            row[rows] = 0
            if self.kernel.intercept:
                row -= row.sum() / (n - len(rows))
                row[rows] = 0
            w[which] = row
            start += len(rows)
        return w.astype(np.float32)

    def residual_maker(self) -> np.ndarray:
        """R, float64 (n_train, n_train). The fit is used up."""
        if self.kernel.basis is not None:
            residual = self._residual_rows(np.arange(self.kernel.n_train))
            self.factor.take()  # as in `coefficients`
            return residual
        residual = self.backend.inverse(self.factor)
        residual *= self.alpha
        return self._centred(residual)

    def _residual_rows(self, rows: np.ndarray) -> np.ndarray:
        own = (np.arange(len(rows)), rows)
        if self.kernel.basis is None:
            right = np.zeros((len(rows), self.kernel.n_train))
            right[own] = self.alpha
            residual = self.backend.solve(self.factor, right.T).T
        else:
            residual = -self._times_basis(self.backend.solve(self.factor, self.kernel.basis[rows].T).T)
            residual[own] += 1
        return self._centred(residual)

    def _centred(self, rows: np.ndarray) -> np.ndarray:
        """The rows, overwritten, less their means where there is an intercept."""
        if self.kernel.intercept:
            rows -= rows.mean(axis=1, keepdims=True)
        return rows

    def _times_basis(self, w: np.ndarray) -> np.ndarray:
        return w if self.kernel.basis is None else self.backend.matmul(w, self.kernel.basis.T)


def _centre(x: np.ndarray, intercept: bool) -> np.ndarray:
    """What is taken off responses (n, p) like the training responses: their mean, or nothing."""
    return x.mean(axis=0, dtype=np.float64) if intercept else np.zeros(x.shape[1])


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


def _products(blocks: Iterable[np.ndarray], height: int, width: int, backend: Backend) -> np.ndarray:
    """The sum over blocks (height, any) of block block[:width]', float64 (height, width)."""
    products = np.zeros((height, width))
    for block in blocks:
        loaded = backend.load(block)
        for start in range(0, height, ROWS):
            rows, columns = slice(start, start + ROWS), slice(0, min(start + ROWS, width))
            products[rows, columns] += backend.matmul(loaded[rows], loaded[columns].T)
    backends.mirror(products[:width])
    return products
