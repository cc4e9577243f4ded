"""Test sets of whole clusters of similar images, so that no test image has a near twin in training.

Images that training images resemble are identified by resemblance alone. Here a subject's images are cut
into clusters by what summarises them in a feature space, such as CLIP vision's class token (k-means on
vectors of length 1, so by cosine), and whole clusters are held out. Decoders that only pick the nearest
training image fall behind on them.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.features.feature_files import FeatureTable

logger = logging.getLogger(__name__)

COLUMNS = ("image_id", "cluster", "split")


def summaries(paths: Sequence[str | Path], image_ids: np.ndarray, parts: int | None) -> np.ndarray:
    """What of a space's features says which images are alike, float32 (n, C), from its chunk files.

    Args:
        parts: how many of the space's parts, from the first (of CLIP the class token); None: all.
    """
    table = FeatureTable(paths, image_ids)
    columns = None if parts is None else int(table.parts[:parts].sum())
    return table[:, :columns].astype(np.float32)


def cluster_labels(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Which of `count` clusters, from 0, each row of (n, d) belongs to: k-means on rows of length 1.

    Raises:
        InputError: a row without a direction.
    """
    from sklearn.cluster import KMeans  # takes long to import, and few jobs cluster

    length = np.linalg.norm(features, axis=1, keepdims=True)
    if not np.all(length > 0):
        wrong = np.count_nonzero(~(length > 0))
        raise InputError(
            f"features for clusters: expected vectors with a direction, found {wrong} of "
            f"{len(features)} that are zero or no numbers; are the weights those of this model?"
        )
    unit = features / length
    return KMeans(count, n_init=4, random_state=seed).fit_predict(unit)


def cluster_split(
    features: np.ndarray, image_ids: np.ndarray, count: int, test_share: float, seed: int
) -> pd.DataFrame:
    """Cut images into clusters and hold whole ones out, drawn with `seed`, until `test_share` is reached.

    Args:
        features: (n, d), one row an image, without zero rows.
        image_ids: (n,).

    Returns:
        Columns image_id, cluster (from 1) and split ("train" or "test"), ascending by id.

    Raises:
        InputError: not more images than clusters, or all clusters would be held out.
    """
    n = len(features)
    if n <= count:
        raise InputError(f"split.clusters.count: expected fewer clusters than the {n} images, found {count}.")
    label = cluster_labels(features, count, seed)
    order = np.random.default_rng(seed).permutation(count)
    reached = np.cumsum(np.bincount(label, minlength=count)[order])
    held_out = order[: 1 + np.searchsorted(reached, test_share * n)]
    is_test = np.isin(label, held_out)
    if is_test.all():
        raise InputError(
            f"split.clusters: expected clusters left to train on, found all {count} held out for "
            f"test_share {test_share:g}; raise count or lower test_share."
        )
    logger.info("%d of %d clusters held out, %d of %d images", len(held_out), count, is_test.sum(), n)
    split = np.where(is_test, "test", "train")
    table = pd.DataFrame({"image_id": image_ids, "cluster": label + 1, "split": split})
    return table.sort_values("image_id", ignore_index=True)
