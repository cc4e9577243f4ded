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

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neural_recon.core import backends
from neural_recon.core.backends import Backend, Factor

GRAM_BLOCK = 2048  # voxels turned to float64 at a time
RANK = 1e-10  # of the largest eigenvalue: smaller ones are rounding
ROWS = 1024  # of a product that is symmetric: what lies above the diagonal is not computed


@dataclass(frozen=True)
class Kernel(ABC):
    """Products of centred responses, from which every alpha is fitted: a `GramKernel` or a `VoxelKernel`.

    Attributes:
        system: (q, q), what a penalty is added to.
        test: (n_test, q), the test images in the same terms.
        images: (n,) which training rows are repetitions of one image, where any are: what is held out of a
            fit is held out with all of them.
        intercept: without one nothing is centred, and the vector of ones is nothing special.
    """

    system: np.ndarray
    test: np.ndarray
    images: np.ndarray | None = field(default=None, kw_only=True)
    intercept: bool = field(default=True, kw_only=True)

    @property
    @abstractmethod
    def n_train(self) -> int: ...

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

    @staticmethod
    def of(
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
            system = _products(blocks, p, p, backend)
            return VoxelKernel(system, test - mean, basis, images=images, intercept=intercept)
        parts = (slice(start, start + GRAM_BLOCK) for start in range(0, p, GRAM_BLOCK))
        voxels = (np.concatenate([x[:, part], test[:, part]]) - mean[part] for part in parts)
        products = _products(voxels, n + len(test), n, backend)
        system = products[:n]
        if intercept:
            system += np.trace(system) / n**2
        return GramKernel(system, products[n:], images=images, intercept=intercept)

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
        return replace(self, test=self._in_terms(test, x, self.centre(x)))

    @abstractmethod
    def components(self, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (q,) of the kernel, falling, and its orthonormal eigenvectors in voxel space, (p, q).

        `train` (n, p) are the responses that the kernel was made of.
        """

    @abstractmethod
    def component_scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Training (n, q) and test responses (n_test, q) along the components, which fall in variance: with
        an intercept the principal components of the training responses."""

    @abstractmethod
    def _in_terms(self, test: np.ndarray, train: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Test responses as rows of `test`."""

    @abstractmethod
    def over_images(self, w: np.ndarray, backend: Backend) -> np.ndarray:
        """Weights (k, q) of what `test` has in its columns, as weights of training images (k, n)."""

    @abstractmethod
    def coefficients(self, factor: Factor, backend: Backend) -> np.ndarray:
        """(q, n): what a row of `test` is multiplied with, to give weights of training images."""

    @abstractmethod
    def residual_maker(self, factor: Factor, alpha: float, backend: Backend) -> np.ndarray:
        """(n, n): alpha (K + alpha I)^-1."""

    @abstractmethod
    def residual_rows(self, rows: np.ndarray, factor: Factor, alpha: float, backend: Backend) -> np.ndarray:
        """Some rows of it, (k, n)."""


@dataclass(frozen=True)
class GramKernel(Kernel):
    """With as many voxels as images or more: `system` is the Gram matrix of the training images (n, n) and
    `test` its rows for the test images (n_test, n).

    Along the vector of ones, where the Gram matrix is zero, `system` has its mean eigenvalue instead: no
    result depends on it, and a small alpha stays well conditioned.
    """

    @property
    def n_train(self) -> int:
        return len(self.system)

    def _image_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (q,) of the Gram matrix, falling, and its eigenvectors, (n, q)."""
        system = self.system
        if self.intercept:  # off with what it has along the vector of ones
            system = system - np.trace(system) / (self.n_train * (self.n_train + 1))
        return _eigenvectors(system)

    def component_scores(self) -> tuple[np.ndarray, np.ndarray]:
        values, images = self._image_vectors()
        return images * np.sqrt(values), self.test @ images / np.sqrt(values)

    def components(self, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, images = self._image_vectors()
        images /= np.sqrt(values)
        mean = self.centre(train)
        vectors = np.empty((train.shape[1], len(values)), np.float32)
        for start in range(0, len(vectors), GRAM_BLOCK):  # voxels turned to float64 at a time
            part = slice(start, start + GRAM_BLOCK)
            vectors[part] = (train[:, part] - mean[part]).T @ images
        return values, vectors

    def _in_terms(self, test: np.ndarray, train: np.ndarray, mean: np.ndarray) -> np.ndarray:
        products = np.zeros((len(test), len(train)))
        for start in range(0, train.shape[1], GRAM_BLOCK):
            part = slice(start, start + GRAM_BLOCK)
            products += (test[:, part] - mean[part]) @ (train[:, part] - mean[part]).T
        return products

    def over_images(self, w: np.ndarray, backend: Backend) -> np.ndarray:  # noqa: ARG002
        return w

    def coefficients(self, factor: Factor, backend: Backend) -> np.ndarray:
        return _rows_centred(backend.inverse(factor), self.intercept)

    def residual_maker(self, factor: Factor, alpha: float, backend: Backend) -> np.ndarray:
        residual = backend.inverse(factor)
        residual *= alpha
        return residual

    def residual_rows(self, rows: np.ndarray, factor: Factor, alpha: float, backend: Backend) -> np.ndarray:
        right = np.zeros((len(rows), self.n_train))
        right[np.arange(len(rows)), rows] = alpha
        return backend.solve(factor, right.T).T


@dataclass(frozen=True)
class VoxelKernel(Kernel):
    """With fewer voxels than images: `system` is X'X (p, p), `test` the test images' centred responses
    (n_test, p), `basis` the training images' (n, p). Smaller, and well conditioned where the Gram matrix is
    not."""

    basis: np.ndarray

    @property
    def n_train(self) -> int:
        return len(self.basis)

    def components(self, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG002
        return _eigenvectors(self.system)

    def component_scores(self) -> tuple[np.ndarray, np.ndarray]:
        _, voxels = _eigenvectors(self.system)
        return self.basis @ voxels, self.test @ voxels

    def _in_terms(self, test: np.ndarray, train: np.ndarray, mean: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return test - mean

    def over_images(self, w: np.ndarray, backend: Backend) -> np.ndarray:
        return backend.matmul(w, self.basis.T)

    def coefficients(self, factor: Factor, backend: Backend) -> np.ndarray:
        found = backend.solve(factor, self.basis.T)
        factor.take()  # or an order would work with few voxels that fails with many
        return found

    def residual_maker(self, factor: Factor, alpha: float, backend: Backend) -> np.ndarray:
        residual = self.residual_rows(np.arange(self.n_train), factor, alpha, backend)
        factor.take()  # as in `coefficients`
        return residual

    def residual_rows(self, rows: np.ndarray, factor: Factor, alpha: float, backend: Backend) -> np.ndarray:  # noqa: ARG002
        residual = -self.over_images(backend.solve(factor, self.basis[rows].T).T, backend)
        residual[np.arange(len(rows)), rows] += 1
        return residual


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
        solved = self.backend.solve(self.factor, self.kernel.test.T).T
        # they do, as X is centred; say so exactly, as rounding grows with 1/alpha
        return self._centred(self.kernel.over_images(solved, self.backend)).astype(np.float32)

    def coefficients(self) -> np.ndarray:
        """M, float32 (q, n_train): M Y multiplies an image's row of `Kernel.test`, whose q columns are
        training images or voxels. The fit is used up."""
        return self.kernel.coefficients(self.factor, self.backend).astype(np.float32)

    def left_out_weights(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """W for training images, each predicted from all the others: float32 (k, n_train).

        With an intercept they give the prediction less the mean of the rows that it was fitted on; of an
        image with repetitions (all of them held out) that of their mean response.

        Args:
            images: the rows of each of the k images.
        """
        n, every = self.kernel.n_train, np.concatenate(images)
        residual = self._centred(self.kernel.residual_rows(every, self.factor, self.alpha, self.backend))
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
        return self._centred(self.kernel.residual_maker(self.factor, self.alpha, self.backend))

    def _centred(self, rows: np.ndarray) -> np.ndarray:
        return _rows_centred(rows, self.kernel.intercept)


def _centre(x: np.ndarray, intercept: bool) -> np.ndarray:
    """What is taken off responses (n, p) like the training responses: their mean, or nothing."""
    return x.mean(axis=0, dtype=np.float64) if intercept else np.zeros(x.shape[1])


def _rows_centred(rows: np.ndarray, intercept: bool) -> np.ndarray:
    """Rows, overwritten, less their means where there is an intercept."""
    if intercept:
        rows -= rows.mean(axis=1, keepdims=True)
    return rows


def _eigenvectors(system: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of a system, falling, without those that are rounding, and their vectors."""
    values, vectors = np.linalg.eigh(system)
    large = np.flatnonzero(values > RANK * values[-1])[::-1]
    return values[large], vectors[:, large]


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
