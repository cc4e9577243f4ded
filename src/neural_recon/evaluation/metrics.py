"""How alike two pictures, or their features, are: one number an image, as the published decoders count.

Every per-image score has a companion that scores all pairs, (n, n): rows truths, columns pictures. Its
diagonal is the score, and any re-pairing of truths and pictures can be read from it
(`neural_recon.evaluation.statistics.repairings`).

Constant pictures and features have no correlation: it is defined here as 0 (correlation distance 1), with a
logged warning, so that a plain grey picture counts as unrelated instead of vanishing from a mean. SSIM needs
no such rule: its two constants keep it defined.
"""

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image
from threadpoolctl import ThreadpoolController

from neural_recon.evaluation.ssim_variants import Variant, check_pictures, ssim, ssim_matrix, unit

__all__ = [
    "PRESETS", "Preset", "PresetName", "Variant", "correlation_distance", "correlation_matrix",
    "cosine_matrix", "distance_matrix", "identification_matrix", "margins", "named_matrix",
    "nearness_matrix", "pixcorr", "pixcorr_matrix", "resize", "resize_through", "retrieval_matrix", "sized",
    "squared_distance_matrix", "ssim", "ssim_matrix", "two_way_identification", "two_way_matrix",
]  # fmt: skip

logger = logging.getLogger(__name__)

FEATURE_BLOCK = 8192  # features turned to float64 at a time, in each of so many threads
THREADS = min(os.cpu_count() or 1, 8)
CANDIDATES, DRAWS = 300, 30  # of retrieval (Scotti et al., 2023)


PresetName = Literal["brain_diffuser", "mindeye2", "native"]
Side = Literal["truth", "picture"]


@dataclass(frozen=True)
class Preset:
    """Sizes that truth and picture pass through before PixCorr and SSIM, and the SSIM that was used.

    Without sizes, both are compared at the picture's own size, or at that given to `sized`. `networks` are
    the sides of the networks' inputs: pictures reach them through all sizes but the last, which is for pixels
    alone (`network_sizes`).
    """

    truth_sizes: tuple[int, ...]
    picture_sizes: tuple[int, ...]
    method: Literal["bilinear", "bicubic"]
    ssim: Variant
    networks: Mapping[str, int] = field(default_factory=dict)

    def network_sizes(self, side: Side, network: str) -> tuple[int, ...]:
        """The sizes that a truth or a picture passes through, bilinear, to become a network's input."""
        sizes = self.truth_sizes if side == "truth" else self.picture_sizes
        return (*sizes[:-1], self.networks[network])


PRESETS = {
    # Ozcelik & VanRullen, 2023: scikit-image 0.17
    "brain_diffuser": Preset(
        (425,),
        (425,),
        "bicubic",
        "1d",
        {"alexnet": 224, "inception": 224, "clip": 224, "efficientnet": 224, "swav": 224, "lpips": 224},
    ),
    # Scotti et al., 2024: truths from a 224-pixel store, scikit-image 0.20 or later
    "mindeye2": Preset(
        (224, 256, 425),
        (256, 425),
        "bilinear",
        "2d",
        {"alexnet": 256, "inception": 342, "clip": 224, "efficientnet": 255, "swav": 224, "lpips": 256},
    ),
    "native": Preset((), (), "bilinear", "2d"),
}


def resize(images: np.ndarray, size: int, method: Literal["bilinear", "bicubic"]) -> np.ndarray:
    """Resize uint8 (n, H, W, 3) to (n, size, size, 3) with PIL, float32 in [0, 1] (8-bit steps, as PIL's)."""
    return unit(resize_through(images, (size,), method))


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
        out[row] = np.asarray(picture)
    return out


def sized(
    truth: np.ndarray, images: np.ndarray, preset: Preset, side: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Bring uint8 truths and pictures, (n, H, W, 3) of any sizes, to a preset's size, uint8: `unit` of them
    is what `pixcorr` and `ssim` take.

    Args:
        side: for a preset without sizes, so that pictures of several sizes have comparable scores; default:
            the pictures' own.
    """
    own = (side or images.shape[1],)
    truth = resize_through(truth, preset.truth_sizes or own, preset.method)
    return truth, resize_through(images, preset.picture_sizes or own, preset.method)


def pixcorr(truth: np.ndarray, images: np.ndarray) -> np.ndarray:
    """PixCorr: Pearson's r of each pair's flattened RGB pixels. Floats (n, H, W, 3) in [0, 1] -> (n,)."""
    check_pictures(truth, images)
    return _paired_correlation(truth, images)


def pixcorr_matrix(truth: np.ndarray, images: np.ndarray) -> np.ndarray:
    """PixCorr of all pairs: (n, n), rows truths, columns pictures."""
    check_pictures(truth, images)
    return correlation_matrix(truth, images)


def correlation_matrix(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Pearson's r of all pairs of (n, ...) and (m, ...) flattened features: (n, m), rows truths.

    uint8 pictures give what `pixcorr_matrix` gives of their 255ths.
    """
    return _all_pairs(truth, features, centred=True)


def cosine_matrix(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The cosine of all pairs of (n, ...) and (m, ...) flattened features: (n, m); 0 with a row of zeros."""
    return _all_pairs(truth, features, centred=False)


@functools.cache
def _libraries() -> ThreadpoolController:
    """What numpy computes with; finding it takes longer than correlating a few pictures."""
    return ThreadpoolController()


def _all_pairs(truth: np.ndarray, features: np.ndarray, centred: bool) -> np.ndarray:
    if truth.shape[1:] != features.shape[1:] or truth.ndim < 2 or not (len(truth) and len(features)):
        raise ValueError(f"truth {truth.shape} and features {features.shape} must be (n, d) and (m, d).")
    truth, features = truth.reshape(len(truth), -1), features.reshape(len(features), -1)
    sides = truth, features
    # numpy leaves the interpreter free while it computes, and a thread with its own blocks waits for no other
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        statistics = list(pool.map(_statistics, sides, ("truth", "picture"), (centred, centred)))

        def products(first: int) -> np.ndarray:
            """The sum over every `THREADS`-th block of features."""
            r = np.zeros((len(truth), len(features)))
            blocks = [np.empty((len(side), min(FEATURE_BLOCK, side.shape[1]))) for side in sides]
            for start in range(first * FEATURE_BLOCK, truth.shape[1], THREADS * FEATURE_BLOCK):
                a, b = (
                    _centred(side[:, start : start + FEATURE_BLOCK], mean, block)
                    for side, (mean, _), block in zip(sides, statistics, blocks, strict=True)
                )
                r += a @ b.T
            return r

        r = np.sum(list(pool.map(products, range(THREADS))), axis=0)
    (_, truth_scale), (_, scale) = statistics
    return r * truth_scale * scale.T


def correlation_distance(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """1 - Pearson's r of each pair of (n, ...) flattened features -> (n,); lower is better."""
    return 1 - _paired_correlation(*_check_features(truth, features))


def two_way_identification(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The share of other truths against which each picture is recognised. (n, ...) features -> (n,).

    A picture wins against another truth where its r with its own truth is strictly higher; the share is of
    the n - 1 others (Ozcelik & VanRullen, 2023). Chance is 0.5. A tie is no win: a constant picture scores 0.
    """
    return np.diag(two_way_matrix(correlation_matrix(*_check_features(truth, features)))).copy()


def two_way_matrix(r: np.ndarray) -> np.ndarray:
    """Entry (i, j): the share that picture j would win if its truth were i. (n, m) -> (n, m).

    Whether a picture wins depends only on its own column of r, so its score under any re-pairing can be
    read here.
    """
    if r.ndim != 2 or len(r) < 2:
        raise ValueError(f"r must be (truths, pictures) with at least 2 truths, found {r.shape}.")
    if not np.all(np.isfinite(r)):
        raise ValueError("r has NaN or infinite values.")
    # not scipy.stats, which takes long to import
    return (pd.DataFrame(r).rank(method="min").to_numpy() - 1) / (len(r) - 1)


def margins(r: np.ndarray, own: Sequence[int] | np.ndarray) -> np.ndarray:
    """How far each picture's r with its own truth lies above its mean r with the others. (n, m) -> (m,).

    It orders pictures that win against all others alike: their two-way identification is 1.

    Args:
        own: (m,) the row of each picture's truth.
    """
    mine = r[own, np.arange(r.shape[1])]
    return mine - (r.sum(axis=0) - mine) / (len(r) - 1)


def identification_matrix(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """`two_way_matrix` of all pairs of (n, ...) and (m, ...) flattened features: (n, m)."""
    return two_way_matrix(correlation_matrix(truth, features))


def distance_matrix(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """1 - Pearson's r of all pairs of (n, ...) and (m, ...) flattened features: (n, m); lower is better."""
    return 1 - correlation_matrix(truth, features)


def squared_distance_matrix(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The squared distance of all pairs of (n, ...) and (m, ...) flattened features: (n, m), rows truths."""
    sides = truth, features
    lengths = [np.array([np.square(unit(row), dtype=np.float64).sum() for row in side]) for side in sides]
    products = cosine_matrix(truth, features) * np.sqrt(np.outer(*lengths))
    return np.maximum(lengths[0][:, None] + lengths[1] - 2 * products, 0)


def nearness_matrix(truth: np.ndarray, features: np.ndarray) -> np.ndarray:
    """`two_way_matrix` by the distance of all pairs of (n, ...) and (m, ...) flattened features: (n, m)."""
    return two_way_matrix(-squared_distance_matrix(truth, features))


def named_matrix(truth: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Whether a name (m,) is the true one (n,), of all pairs: (n, m), 1 or 0."""
    return (truth[:, None] == np.asarray(named)[None]).astype(np.float64)


def retrieval_matrix(
    similarity: np.ndarray, seed: int, candidates: int = CANDIDATES, draws: int = DRAWS
) -> np.ndarray:
    """Entry (i, j): the share of draws in which picture j, if its truth were i, would find it. (n, n).

    Retrieval as in MindEye (Scotti et al., 2023): a picture finds its truth where it is more similar to it
    than to every other of `candidates` images drawn at random (top 1), over `draws` draws, the same for all
    pictures. With no more images than candidates all of them are candidates, and one draw is all there is.
    Chance is 1 / candidates. A tie is no success.

    Args:
        similarity: (n, n), rows truths, columns pictures: `cosine_matrix`. Transposed, each truth looks for
            its picture, and so is the result.
        seed: draws the candidates.
        candidates: how many images there are to choose from, the true one among them.
        draws: how often they are drawn.
    """
    n = len(similarity)
    if similarity.shape != (n, n) or n < 2:
        raise ValueError(f"similarity must be (n, n) with n at least 2, found {similarity.shape}.")
    if not np.all(np.isfinite(similarity)):
        raise ValueError("similarity has NaN or infinite values.")
    if candidates < 2 or draws < 1:
        raise ValueError(f"expected at least 2 candidates and 1 draw, found {candidates} and {draws}.")
    size, draws = (candidates, draws) if n > candidates else (n, 1)
    rng = np.random.default_rng(seed)
    found = np.zeros((n, n))
    for _ in range(draws):
        drawn = rng.choice(n, size, replace=False)
        among = similarity[drawn]
        second, best = np.partition(among, size - 2, axis=0)[size - 2 :]
        # a truth that was not drawn takes the place of the last one that was
        rivals = np.tile(similarity[drawn[:-1]].max(axis=0), (n, 1))
        rivals[drawn] = np.where(among == best, second, best)
        found += similarity > rivals
    return found / draws


def _check_features(truth: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if truth.shape != features.shape or truth.ndim < 2 or not len(truth):
        raise ValueError(
            f"truth {truth.shape} and features {features.shape} must both be (n, d), n at least 1."
        )
    return truth.reshape(len(truth), -1), features.reshape(len(features), -1)


def _statistics(rows: np.ndarray, name: str, centred: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / norm of each centred row, (n, 1) float64; a constant row gets the factor 0, so r = 0.

    Rows that are not to be centred get a mean of 0; then those of zeros get the factor 0.
    """
    mean, scale = np.empty((len(rows), 1)), np.zeros((len(rows), 1))
    constant = 0
    values = np.empty(rows.shape[1])  # one array for all: making new ones takes longer than the sums
    for i, row in enumerate(rows):
        values[:] = unit(row)
        mean[i] = values.mean()
        if not np.isfinite(mean[i]):
            raise ValueError(f"{name} {i} has NaN or infinite values.")
        if not centred:
            mean[i] = 0
        if np.ptp(row) > 0 or (not centred and np.any(row)):
            values -= mean[i]
            scale[i] = 1 / np.linalg.norm(values)
        else:
            constant += 1
    if constant:
        logger.warning(
            "%d of %d %s rows are constant: their correlation is taken as 0.", constant, len(rows), name
        )
    return mean, scale


def _centred(rows: np.ndarray, mean: np.ndarray, block: np.ndarray) -> np.ndarray:
    """rows - mean in float64, written to the beginning of a block's rows."""
    out = block[:, : rows.shape[1]]
    for start in range(0, len(rows), 4):  # few rows at a time stay in the processor's cache
        part = slice(start, start + 4)
        np.subtract(unit(rows[part]), mean[part], out=out[part])
    return out


def _paired_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    a_mean, a_scale = _statistics(a, "truth")
    b_mean, b_scale = _statistics(b, "picture")
    return np.array(
        [
            float(((unit(a[i]) - a_mean[i]) * a_scale[i]) @ ((unit(b[i]) - b_mean[i]) * b_scale[i]))
            for i in range(len(a))
        ]
    )
