"""Structural similarity (SSIM) of pictures, in both variants that published figures were made with.

Its two constants keep the measure defined for constant pictures.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

Variant = Literal["1d", "2d"]
# Of windows: mean, its square plus C1 / 2, variance plus C2 / 2; SSIM adds up those of two pictures.
Moments = tuple[np.ndarray, np.ndarray, np.ndarray]

GREY = np.array([0.2125, 0.7154, 0.0721])  # scikit-image's rgb2gray
SIGMA, RADIUS = 1.5, 5  # SSIM's window (Wang et al., 2004): 11 pixels
C1, C2 = 0.01**2, 0.03**2  # its constants, for a data range of 1
# of `ssim_repaired`: bytes of a column of windows and pictures at a time, columns of a matrix product (wider
# ones multiply mostly by zeros), and threads, 0.5 GB each for 1,000 pictures 425 wide
STRIPE, AT_ONCE, COLUMNS, THREADS = 120, 16, 32, 2
BLOCK = 16  # pictures whose stripes' arrays the allocator uses again, for pairs that need no others


def ssim(truth: np.ndarray, images: np.ndarray, variant: Variant) -> np.ndarray:
    """Structural similarity of each pair, as grey pictures. Floats (n, H, W, 3) in [0, 1] -> (n,).

    scikit-image's `structural_similarity` with gaussian weights, sigma 1.5, no sample covariance and data
    range 1. "2d" is the measure of Wang et al. (2004). "1d" is what scikit-image 0.17 made of
    `multichannel=True` on grey pictures: every column is a channel, so windows run down the columns only.
    Figures published before 2023 are mostly of that kind.

    Raises:
        ValueError: shapes differ, pixels outside [0, 1], or a side under 11 pixels.
    """
    check_pictures(truth, images)
    blur = _Blur(truth.shape[1:3], variant)
    return np.array(
        [_ssim_pairs(blur, _grey(t)[None], _grey(p)[None])[0] for t, p in zip(truth, images, strict=True)]
    )


def ssim_of_bytes(truth: np.ndarray, images: np.ndarray, variant: Variant) -> np.ndarray:
    """`ssim` of uint8 pictures (n, H, W, 3), in a fraction of its time: (n,)."""
    parts = [slice(start, start + BLOCK) for start in range(0, len(truth), BLOCK)]
    pairs = ((truth[part], images[part]) for part in parts)
    return np.concatenate([ssim_repaired(t, p, variant, np.arange(len(t))[None])[0] for t, p in pairs])


def ssim_matrix(truth: np.ndarray, images: np.ndarray, variant: Variant) -> np.ndarray:
    """SSIM of all pairs: (n, n), rows truths, columns pictures. For small ones: n^2 comparisons."""
    check_pictures(truth, images)
    blur = _Blur(truth.shape[1:3], variant)
    pictures = _grey(images)
    moments = blur.moments(pictures)
    return np.stack([_ssim_pairs(blur, _grey(t)[None], pictures, moments) for t in truth])


def ssim_repaired(
    truth: np.ndarray,
    images: np.ndarray,
    variant: Variant,
    pictures: np.ndarray,
    precision: type[np.floating] = np.float64,
) -> np.ndarray:
    """SSIM of each truth with several pictures: the values of `ssim` to rounding, in a tenth of its time.

    Args:
        truth, images: uint8 (n, H, W, 3), a quarter of the memory of floats; they count as their 255ths.
        pictures: (k, n) integers; entry (j, i) is the picture that truth i is compared with in re-pairing j.
        precision: np.float32 takes half the time; a window's value differs by less than 1e-4, and a
            picture's mean over its windows by much less.

    Returns:
        (k, n). Pictures are taken stripe by stripe, so that local means and variances, of all pictures at
        once, are computed once and fit into memory.
    """
    _check_shapes(truth, images)
    if truth.dtype != np.uint8 or images.dtype != np.uint8:
        raise ValueError(f"truth and images must be uint8, found {truth.dtype} and {images.dtype}.")
    if pictures.ndim != 2 or pictures.shape[1] != len(truth):
        raise ValueError(f"pictures must be (k, {len(truth)}), found {pictures.shape}.")
    _Blur(truth.shape[1:3], variant)  # its checks
    height, width = truth.shape[1] - 2 * RADIUS, truth.shape[2]
    rows = STRIPE // np.dtype(precision).itemsize
    stripes = [slice(top, min(top + rows, height) + 2 * RADIUS) for top in range(0, height, rows)]
    with ThreadPoolExecutor(THREADS) as pool:  # numpy leaves the interpreter free while it computes
        sums = pool.map(
            lambda rows: _stripe_sums(truth[:, rows], images[:, rows], variant, pictures, precision), stripes
        )
        return sum(sums) / (height * (width - 2 * RADIUS if variant == "2d" else width))


def unit(pictures: np.ndarray) -> np.ndarray:
    """uint8 as float32 in [0, 1]; anything else as it is."""
    return pictures.astype(np.float32) / np.float32(255) if pictures.dtype == np.uint8 else pictures


def check_pictures(truth: np.ndarray, images: np.ndarray) -> None:
    """Raise a ValueError unless both are floats in [0, 1] of one shape (n, H, W, 3)."""
    _check_shapes(truth, images)
    for name, pictures in (("truth", truth), ("images", images)):
        low, high = pictures.min(), pictures.max()
        if pictures.dtype.kind != "f" or not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(f"{name} must be floats in [0, 1], found {pictures.dtype} from {low} to {high}.")


def _check_shapes(truth: np.ndarray, images: np.ndarray) -> None:
    if truth.shape != images.shape or truth.ndim != 4 or truth.shape[3] != 3 or not len(truth):
        raise ValueError(
            f"truth {truth.shape} and images {images.shape} must both be (n, H, W, 3), n at least 1."
        )


def _grey(images: np.ndarray) -> np.ndarray:
    return unit(images).astype(np.float64) @ GREY


class _Blur:
    """SSIM's gaussian window as matrices: only whole windows count, so no border rule is needed."""

    def __init__(self, size: tuple[int, int], variant: Variant):
        if variant not in ("1d", "2d"):
            raise ValueError(f'variant must be "1d" or "2d", not {variant!r}.')
        if min(size) < 2 * RADIUS + 1:
            raise ValueError(f"SSIM's window is {2 * RADIUS + 1} pixels, found pictures of {size}.")
        self.down = self._windows(size[0])
        self.across = self._windows(size[1]).T.copy() if variant == "2d" else None

    @staticmethod
    def _windows(length: int) -> np.ndarray:
        kernel = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
        matrix = np.zeros((length - 2 * RADIUS, length))
        for row in range(len(matrix)):
            matrix[row, row : row + len(kernel)] = kernel / kernel.sum()
        return matrix

    def __call__(self, grey: np.ndarray) -> np.ndarray:
        """Local means of (n, H, W)."""
        return self.down @ (grey if self.across is None else grey @ self.across)

    def moments(self, grey: np.ndarray) -> Moments:
        mean = self(grey)
        squares = mean**2
        return mean, squares + C1 / 2, self(grey**2) - squares + C2 / 2


def _ssim_pairs(blur: _Blur, x: np.ndarray, y: np.ndarray, y_moments: Moments | None = None) -> np.ndarray:
    """SSIM of grey x (1, H, W) with each of y (m, H, W): (m,)."""
    return np.mean(_likeness(blur(x * y), blur.moments(x), y_moments or blur.moments(y)), axis=(1, 2))


def _likeness(products: np.ndarray, x: Moments, y: Moments) -> np.ndarray:
    """SSIM of each window, from the local means of x * y (overwritten by it) and the moments of both.

    (2 means + C1) (2 covariance + C2) / ((x_mean^2 + y_mean^2 + C1) (x_variance + y_variance + C2)), with
    both factors above halved, and in few passes and arrays: they take as long as the arithmetic.
    """
    means = x[0] * y[0]
    products -= means
    products += C2 / 2
    means += C1 / 2
    products *= means
    below = np.add(x[1], y[1], out=means)
    below *= x[2] + y[2]
    products /= below
    products *= 4
    return products


class _StripeBlur(_Blur):
    """The same for stripes of many pictures, leaving out most of the zeros: (n, h, W)."""

    def __init__(self, size: tuple[int, int], variant: Variant, precision: type[np.floating]):
        super().__init__(size, variant)
        self.down = self.down.astype(precision)
        self.across = None if self.across is None else self.across.astype(precision)

    def __call__(self, grey: np.ndarray) -> np.ndarray:
        grey = self.down @ grey
        if self.across is None:
            return grey
        lines = grey.reshape(-1, grey.shape[2])
        out = np.empty((len(lines), self.across.shape[1]), grey.dtype)
        for start in range(0, out.shape[1], COLUMNS):
            stop = min(start + COLUMNS, out.shape[1])
            np.matmul(
                lines[:, start : stop + 2 * RADIUS],
                self.across[start : stop + 2 * RADIUS, start:stop],
                out=out[:, start:stop],
            )
        return out.reshape(*grey.shape[:2], -1)


def _stripe_sums(
    truth: np.ndarray,
    images: np.ndarray,
    variant: Variant,
    pictures: np.ndarray,
    precision: type[np.floating],
) -> np.ndarray:
    """The sums over a stripe's windows of what `_likeness` gives: pictures' shape (k, n)."""
    blur = _StripeBlur(truth.shape[1:3], variant, precision)
    windows = len(blur.down), truth.shape[2] if blur.across is None else blur.across.shape[1]
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(truth), AT_ONCE)]

    def prepared(stack: np.ndarray) -> tuple[np.ndarray, Moments]:
        grey = np.empty(stack.shape[:3], precision)
        mean, squares, variance = (np.empty((len(stack), *windows), precision) for _ in range(3))
        for part in parts:
            grey[part] = _grey(stack[part])
            mean[part], squares[part], variance[part] = blur.moments(grey[part])
        return grey, (mean, squares, variance)

    (x, x_moments), (y, y_moments) = prepared(truth), prepared(images)
    sums = np.empty(pictures.shape)
    for part in parts:  # outside: a truth's arrays stay in the processor's cache
        mean, squares, variance = (values[part] for values in x_moments)
        for row, order in zip(sums, pictures, strict=True):
            of = order[part]
            others = y_moments[0][of], y_moments[1][of], y_moments[2][of]
            likeness = _likeness(blur(x[part] * y[of]), (mean, squares, variance), others)
            row[part] = likeness.sum(axis=(1, 2))
    return sums
