"""Where the heavy steps of a ridge regression run: NumPy and SciPy on the CPU, or torch on a GPU.

A backend has five steps. Arrays go in and come out as NumPy's, except that `load` may keep one on the
device, for many products with it. Cholesky factors are float64 and belong to the backend that made them; an
inverse takes the place of its factor, which raises when it is used again.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.linalg import blas, lapack

if TYPE_CHECKING:
    import torch

BLOCK = 1024  # rows mirrored at a time
# OpenBLAS's threaded factor writes beyond its buffers from about 15,000 rows on (its issues 352 and 1413),
# which ends the process: more rows than these are factored in parts of so many columns.
WHOLE, PART = 10_000, 2048
SINGULAR = 1e-12  # of the largest diagonal element: below it, rounding leaves no four digits of a prediction


class SpentError(RuntimeError):
    """Something is used again that was used up."""


class Factor:
    """A Cholesky factor that an inverse may overwrite: until then `array`, afterwards an error."""

    def __init__(self, array: Any):
        self._array = array

    @property
    def array(self) -> Any:
        """The factor, in its backend's own layout.

        Raises:
            SpentError: it was taken.
        """
        if self._array is None:
            raise SpentError("this Cholesky factor was used up by an inverse: factor the matrix again.")
        return self._array

    def take(self) -> Any:
        """The factor, for its last use."""
        array, self._array = self.array, None
        return array


class Backend(Protocol):
    def load(self, array: np.ndarray) -> Any:
        """The array where products with it are fast; it can be sliced and transposed."""

    def matmul(self, a: Any, b: Any) -> np.ndarray:
        """a @ b, of arrays or loaded ones."""

    def factor(self, matrix: np.ndarray, alpha: float) -> Factor:
        """Cholesky factor of matrix + alpha I, for a symmetric float64 matrix, which is kept.

        Raises:
            ValueError: the sum is singular in float64.
        """

    def solve(self, factor: Factor, right: np.ndarray) -> np.ndarray:
        """(matrix + alpha I)^-1 right, float64 (n, k).

        Raises:
            SpentError: the factor was used up.
        """

    def inverse(self, factor: Factor) -> np.ndarray:
        """(matrix + alpha I)^-1, float64 (n, n); takes the factor, whose memory it may become.

        Raises:
            SpentError: the factor was used up.
        """


class NumPy:
    """NumPy and SciPy, on the CPU."""

    def load(self, array: np.ndarray) -> np.ndarray:
        return array

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a @ b

    def factor(self, matrix: np.ndarray, alpha: float) -> Factor:
        shifted = np.array(matrix, np.float64, order="C")
        shifted.flat[:: len(shifted) + 1] += alpha
        # .T: symmetric, and the Fortran order that LAPACK overwrites in place
        factor, info = _cholesky(shifted.T)
        _check(info, np.diagonal(factor), np.diagonal(matrix).max() + alpha, alpha)
        return Factor(factor)

    def solve(self, factor: Factor, right: np.ndarray) -> np.ndarray:
        return lapack.dpotrs(factor.array, right, lower=1)[0]

    def inverse(self, factor: Factor) -> np.ndarray:
        inverse = lapack.dpotri(factor.take(), lower=1, overwrite_c=1)[0]
        mirror(inverse)
        return inverse


class Torch:
    """torch, on a device of its own ("cuda"); imported only when one is made."""

    def __init__(self, device: str):
        import torch

        self.torch, self.device = torch, device

    def load(self, array: "np.ndarray | torch.Tensor") -> "torch.Tensor":
        return self.torch.as_tensor(array, device=self.device)

    def matmul(self, a: "np.ndarray | torch.Tensor", b: "np.ndarray | torch.Tensor") -> np.ndarray:
        return (self.load(a) @ self.load(b)).cpu().numpy()

    def factor(self, matrix: np.ndarray, alpha: float) -> Factor:
        shifted = self.torch.tensor(matrix, dtype=self.torch.float64, device=self.device)
        shifted.diagonal().add_(alpha)
        factor, info = self.torch.linalg.cholesky_ex(shifted)
        _check(int(info), factor.diagonal().cpu().numpy(), np.diagonal(matrix).max() + alpha, alpha)
        return Factor(factor)

    def solve(self, factor: Factor, right: np.ndarray) -> np.ndarray:
        return self.torch.cholesky_solve(self.load(right), factor.array).cpu().numpy()

    def inverse(self, factor: Factor) -> np.ndarray:
        return self.torch.cholesky_inverse(factor.take()).cpu().numpy()


def choose() -> Backend:
    """torch where there is a GPU, else NumPy; without a GPU's device file torch is not even imported."""
    if any(Path("/dev").glob("nvidia[0-9]*")):
        import torch

        if torch.cuda.is_available():
            return Torch("cuda")
    return NumPy()


def mirror(matrix: np.ndarray) -> None:
    """Copy the lower triangle of a square matrix onto the upper one."""
    for start in range(0, len(matrix), BLOCK):
        stop = min(start + BLOCK, len(matrix))
        matrix[:start, start:stop] = matrix[start:stop, :start].T
        square = matrix[start:stop, start:stop]
        square[:] = np.tril(square) + np.tril(square, -1).T


def _cholesky(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """The lower Cholesky factor of a symmetric matrix in Fortran order, which it overwrites, and LAPACK's
    info: 0, or the first pivot that is not positive."""
    n = len(matrix)
    if n <= WHOLE:
        factor, info = lapack.dpotrf(matrix, lower=1, clean=0, overwrite_a=1)
        return factor, info
    for start in range(0, n, PART):
        part, below = slice(start, start + PART), slice(start + PART, n)
        if start:
            matrix[start:, part] -= matrix[start:, :start] @ matrix[part, :start].T
        square, info = lapack.dpotrf(matrix[part, part], lower=1, clean=0)
        if info:
            return matrix, start + info
        matrix[part, part] = square
        if start + PART < n:
            matrix[below, part] = blas.dtrsm(1.0, square, matrix[below, part], side=1, lower=1, trans_a=1)
    return matrix, 0


def _check(info: int, pivots: np.ndarray, largest: float, alpha: float) -> None:
    if info or pivots.min() ** 2 < SINGULAR * largest:
        raise ValueError(
            f"alpha {alpha:g} is lost in rounding alongside responses of this size; z-score X or raise alpha."
        )
