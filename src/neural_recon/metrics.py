"""How alike two pictures, or their features, are: one number an image, as the published decoders count.

Every per-image score has a companion that scores all pairs, (n, n): rows truths, columns pictures. Its
diagonal is the score, and any re-pairing of truths and pictures can be read from it
(`neural_recon.statistics.repairings`).

Pictures are uint8, or floats in [0, 1]; the former count as their 255ths and take a quarter of the memory.

Constant pictures and features have no correlation: it is defined here as 0 (correlation distance 1), with a
logged warning, so that a plain grey picture counts as unrelated instead of vanishing from a mean. SSIM needs
no such rule: its two constants keep it defined.
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from scipy.stats import rankdata

logger = logging.getLogger(__name__)

Variant = Literal["1d", "2d"]

GREY = np.array([0.2125, 0.7154, 0.0721])  # scikit-image's rgb2gray
SIGMA, RADIUS = 1.5, 5  # SSIM's window (Wang et al., 2004): 11 pixels
C1, C2 = 0.01**2, 0.03**2  # its constants, for a data range of 1
FEATURE_BLOCK = 16384  # features turned to float64 at a time
# of `ssim_repaired`: windows' rows and pictures at a time, columns of a matrix product (wider ones multiply
# mostly by zeros), and threads, 0.4 GB each for 1,000 pictures 425 wide
STRIPE, AT_ONCE, COLUMNS, THREADS = 16, 4, 32, 2


@dataclass(frozen=True)
class Preset:
    """Sizes that truth and picture pass through before PixCorr and SSIM, and the SSIM that was used.

    Without sizes, both are compared at the picture's own size.
    """

    truth_sizes: tuple[int, ...]
    picture_sizes: tuple[int, ...]
    method: Literal["bilinear", "bicubic"]
    ssim: Variant


PRESETS = {
    # Ozcelik & VanRullen, 2023: scikit-image 0.17
    "brain_diffuser": Preset((425,), (425,), "bicubic", "1d"),
    # Scotti et al., 2024: truths from a 224-pixel store, scikit-image 0.20 or later
    "mindeye2": Preset((224, 256, 425), (256, 425), "bilinear", "2d"),
    "native": Preset((), (), "bilinear", "2d"),
}


def resize(images: np.ndarray, size: int, method: Literal["bilinear", "bicubic"]) -> np.ndarray:
    """Resize uint8 (n, H, W, 3) to (n, size, size, 3) with PIL, float32 in [0, 1] (8-bit steps, as PIL's)."""
    return _unit(resize_through(images, (size,), method))


def resize_through(
    images: np.ndarray, sizes: tuple[int, ...], method: Literal["bilinear", "bicubic"]
) -> np.ndarray:
    """Resize uint8 (n, H, W, 3) to each size in turn with PIL: uint8, (n, last, last, 3)."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be uint8 (n, H, W, 3), found {images.dtype} {images.shape}.")
    resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[method]
    out = np.empty((len(images), sizes[-1], sizes[-1], 3), np.uint8)
    for row, image in enumerate(images):
        picture = Image.fromarray(image)
        for size in sizes:
            picture = picture.resize((size, size), resample)
        out[row] = picture
    return out


def at_preset(truth: np.ndarray, images: np.ndarray, preset: Preset) -> tuple[np.ndarray, np.ndarray]:
    """Bring uint8 truths and pictures, (n, H, W, 3) of any sizes, to the preset's last one, as uint8."""
    own = images.shape[1:2]
    truth = resize_through(truth, preset.truth_sizes or own, preset.method)
    return truth, resize_through(images, preset.picture_sizes or own, preset.method)


def pixcorr(truth: np.ndarray, images: np.ndarray) -> np.ndarray:
    """PixCorr: Pearson's r of each pair's flattened RGB pixels. (n, H, W, 3) -> (n,)."""
    _check_pictures(truth, images)
    return _paired_correlation(truth, images)


def pixcorr_matrix(truth: np.ndarray, images: np.ndarray) -> np.ndarray:
    """PixCorr of all pairs: (n, n), rows truths, columns pictures."""
    _check_pictures(truth, images)
    return correlation_matrix(truth, images)


def ssim(truth: np.ndarray, images: np.ndarray, variant: Variant) -> np.ndarray:
    """Structural similarity of each pair, as grey pictures. (n, H, W, 3) -> (n,).

    scikit-image's `structural_similarity` with gaussian weights, sigma 1.5, no sample covariance and data
    range 1. "2d" is the measure of Wang et al. (2004). "1d" is what scikit-image 0.17 made of
    `multichannel=True` on grey pictures: every column is a channel, so windows run down the columns only.
    Figures published before 2023 are mostly of that kind.

    Raises:
        ValueError: shapes differ, pixels outside [0, 1], or a side under 11 pixels.
    """
    _check_pictures(truth, images)
    blur = _Blur(truth.shape[1:3], variant)
    return np.array(
        [_ssim_pairs(blur, _grey(t)[None], _grey(p)[None])[0] for t, p in zip(truth, images, strict=True)]
    )


def ssim_matrix(truth: np.ndarray, images: np.ndarray, variant: Variant) -> np.ndarray:
    """SSIM of all pairs: (n, n), rows truths, columns pictures. For small ones: n^2 comparisons."""
    _check_pictures(truth, images)
    blur = _Blur(truth.shape[1:3], variant)
    pictures = _grey(images)
    moments = blur.moments(pictures)
    return np.stack([_ssim_pairs(blur, _grey(t)[None], pictures, moments) for t in truth])


def ssim_repaired(
    truth: np.ndarray, images: np.ndarray, variant: Variant, pictures: np.ndarray
) -> np.ndarray:
    """SSIM of each truth with several pictures: the values of `ssim` to rounding, in a tenth of its time.

    Args:
        truth, images: (n, H, W, 3).
        pictures: (k, n) integers; entry (j, i) is the picture that truth i is compared with in re-pairing j.

    Returns:
        (k, n). Pictures are taken stripe by stripe, so that local means and variances, of all pictures at
        once, are computed once and fit into memory.
    """
    _check_pictures(truth, images)
    if pictures.ndim != 2 or pictures.shape[1] != len(truth):
        raise ValueError(f"pictures must be (k, {len(truth)}), found {pictures.shape}.")
    _Blur(truth.shape[1:3], variant)  # its checks
    height, width = truth.shape[1] - 2 * RADIUS, truth.shape[2]
    stripes = [slice(top, min(top + STRIPE, height) + 2 * RADIUS) for top in range(0, height, STRIPE)]
    threads = min(THREADS, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(threads) as pool:  # numpy leaves the interpreter free while it computes
        sums = pool.map(
            lambda rows: _stripe_sums(truth[:, rows], images[:, rows], variant, pictures), stripes
        )
        return sum(sums) / (height * (width - 2 * RADIUS if variant == "2d" else width))


def correlation_matrix(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Pearson's r of all pairs of (n, ...) and (m, ...) flattened features: (n, m), rows truths."""
    if truth.shape[1:] != features.shape[1:] or truth.ndim < 2 or not (len(truth) and len(features)):
        raise ValueError(f"truth {truth.shape} and features {features.shape} must be (n, d) and (m, d).")
    truth, features = truth.reshape(len(truth), -1), features.reshape(len(features), -1)
    truth_mean, truth_scale = _statistics(truth, "truth")
    mean, scale = _statistics(features, "picture")
    r = np.zeros((len(truth), len(features)))
    for start in range(0, truth.shape[1], FEATURE_BLOCK):
        part = slice(start, start + FEATURE_BLOCK)
        r += _scaled(truth[:, part], truth_mean, truth_scale) @ _scaled(features[:, part], mean, scale).T
    return r


def correlation_distance(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """1 - Pearson's r of each pair of (n, ...) flattened features -> (n,); lower is better."""
    return 1 - _paired_correlation(*_check_features(truth, features))


def two_way_identification(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The share of other truths against which each picture is recognised. (n, ...) features -> (n,).

    A picture wins against another truth where its r with its own truth is strictly higher; the share is of
    the n - 1 others (Ozcelik & VanRullen, 2023). Chance is 0.5. A tie is no win: a constant picture scores 0.
    """
    return two_way_from_matrix(correlation_matrix(*_check_features(truth, features)))


def two_way_from_matrix(r: np.ndarray) -> np.ndarray:
    """`two_way_identification` from the correlations of all pairs, (n, n), rows truths, columns pictures."""
    return np.diag(two_way_matrix(r)).copy()


def two_way_matrix(r: np.ndarray) -> np.ndarray:
    """Entry (i, j): the share that picture j would win if its truth were i. (n, m) -> (n, m).

    Whether a picture wins depends only on its own column of r, so its score under any re-pairing stands here.
    """
    if r.ndim != 2 or len(r) < 2:
        raise ValueError(f"r must be (truths, pictures) with at least 2 truths, found {r.shape}.")
    if not np.all(np.isfinite(r)):
        raise ValueError("r has NaN or infinite values.")
    return (rankdata(r, method="min", axis=0) - 1) / (len(r) - 1)


def _unit(pictures: np.ndarray) -> np.ndarray:
    """uint8 as float32 in [0, 1]; anything else as it is."""
    return pictures.astype(np.float32) / np.float32(255) if pictures.dtype == np.uint8 else pictures


def _check_pictures(truth: np.ndarray, images: np.ndarray) -> None:
    if truth.shape != images.shape or truth.ndim != 4 or truth.shape[3] != 3 or not len(truth):
        raise ValueError(
            f"truth {truth.shape} and images {images.shape} must both be (n, H, W, 3), n at least 1."
        )
    for name, pictures in (("truth", truth), ("images", images)):
        if pictures.dtype == np.uint8:
            continue
        low, high = pictures.min(), pictures.max()
        if pictures.dtype.kind != "f" or not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(
                f"{name} must be uint8 or floats in [0, 1], found {pictures.dtype} from {low} to {high}."
            )


def _check_features(truth: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if truth.shape != features.shape or truth.ndim < 2 or not len(truth):
        raise ValueError(
            f"truth {truth.shape} and features {features.shape} must both be (n, d), n at least 1."
        )
    return truth.reshape(len(truth), -1), features.reshape(len(features), -1)


def _statistics(rows: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / norm of each centred row, (n, 1) float64; a constant row gets the factor 0, so r = 0."""
    mean, scale = np.empty((len(rows), 1)), np.zeros((len(rows), 1))
    constant = 0
    for i, row in enumerate(rows):
        values = _unit(row).astype(np.float64)
        mean[i] = values.mean()
        if not np.isfinite(mean[i]):
            raise ValueError(f"{name} {i} has NaN or infinite values.")
        if np.ptp(row) > 0:
            scale[i] = 1 / np.linalg.norm(values - mean[i])
        else:
            constant += 1
    if constant:
        logger.warning(
            "%d of %d %s rows are constant: their correlation is taken as 0.", constant, len(rows), name
        )
    return mean, scale


def _scaled(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(rows - mean) * scale in float64, a few rows at a time: no other array of that size."""
    out = np.empty(rows.shape)
    for start in range(0, len(rows), 16):
        part = slice(start, start + 16)
        np.subtract(_unit(rows[part]), mean[part], out=out[part])
        out[part] *= scale[part]
    return out


def _paired_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    a_mean, a_scale = _statistics(a, "truth")
    b_mean, b_scale = _statistics(b, "picture")
    return np.array(
        [
            float(((_unit(a[i]) - a_mean[i]) * a_scale[i]) @ ((_unit(b[i]) - b_mean[i]) * b_scale[i]))
            for i in range(len(a))
        ]
    )


def _grey(images: np.ndarray) -> np.ndarray:
    return _unit(images).astype(np.float64) @ GREY


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

    def moments(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local means and variances of (n, H, W)."""
        mean = self(grey)
        return mean, self(grey**2) - mean**2


def _ssim_pairs(
    blur: _Blur, x: np.ndarray, y: np.ndarray, y_moments: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """SSIM of grey x (1, H, W) with each of y (m, H, W): (m,)."""
    return np.mean(_likeness(blur(x * y), blur.moments(x), y_moments or blur.moments(y)), axis=(1, 2))


def _likeness(
    products: np.ndarray, x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """SSIM of each window, from the local means of x * y and the moments of both."""
    (x_mean, x_variance), (y_mean, y_variance) = x, y
    # (2 means + C1) (2 covariance + C2) / ((x_mean^2 + y_mean^2 + C1) (x_variance + y_variance + C2)), in few
    # arrays: making new ones would take as long as the arithmetic
    means = x_mean * y_mean
    likeness = products - means
    for values, constant in ((likeness, C2), (means, C1)):
        values *= 2
        values += constant
    likeness *= means
    squares = np.multiply(y_mean, y_mean, out=means)
    squares += x_mean**2
    squares += C1
    variances = x_variance + y_variance
    variances += C2
    squares *= variances
    likeness /= squares
    return likeness


class _StripeBlur(_Blur):
    """The same for stripes of many pictures, leaving out most of the zeros: (n, h, W)."""

    def __call__(self, grey: np.ndarray) -> np.ndarray:
        grey = self.down @ grey
        if self.across is None:
            return grey
        lines = grey.reshape(-1, grey.shape[2])
        out = np.empty((len(lines), self.across.shape[1]))
        for start in range(0, out.shape[1], COLUMNS):
            stop = min(start + COLUMNS, out.shape[1])
            np.matmul(
                lines[:, start : stop + 2 * RADIUS],
                self.across[start : stop + 2 * RADIUS, start:stop],
                out=out[:, start:stop],
            )
        return out.reshape(*grey.shape[:2], -1)


def _stripe_sums(truth: np.ndarray, images: np.ndarray, variant: Variant, pictures: np.ndarray) -> np.ndarray:
    """The sums over a stripe's windows of what `_likeness` gives: pictures' shape (k, n)."""
    blur = _StripeBlur(truth.shape[1:3], variant)
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(truth), AT_ONCE)]

    def prepared(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pieces = []
        for part in parts:
            grey = _grey(stack[part])
            pieces.append((grey, *blur.moments(grey)))
        return tuple(np.concatenate(arrays) for arrays in zip(*pieces, strict=True))

    (x, *x_moments), (y, *y_moments) = prepared(truth), prepared(images)
    sums = np.empty(pictures.shape)
    for part in parts:  # outside: a truth's arrays stay in the processor's cache
        moments = [values[part] for values in x_moments]
        for row, order in zip(sums, pictures, strict=True):
            of = order[part]
            likeness = _likeness(blur(x[part] * y[of]), moments, [values[of] for values in y_moments])
            row[part] = likeness.sum(axis=(1, 2))
    return sums
