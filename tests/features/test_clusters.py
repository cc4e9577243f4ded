"""Whole clusters of similar images held out."""

import numpy as np
import pytest

from neural_recon.core.errors import InputError
from neural_recon.features.clusters import cluster_split, summaries
from neural_recon.features.feature_files import write_chunk


@pytest.fixture
def images(rng):
    """Features of 300 images of 12 kinds, close together within a kind; their ids and kinds."""
    kinds = rng.permutation(np.arange(300) % 12)
    return rng.normal(size=(12, 20))[kinds] + 0.1 * rng.normal(size=(300, 20)), 5 * np.arange(300) + 2, kinds


def test_clusters_are_the_kinds_and_are_held_out_whole(images):
    features, ids, kinds = images
    table = cluster_split(features, ids, 12, 0.2, seed=0)
    assert table["image_id"].tolist() == ids.tolist()
    assert table.groupby("cluster")["split"].nunique().eq(1).all()
    assert [len(set(kinds[table["cluster"] == k])) for k in range(1, 13)] == [1] * 12
    assert 0.2 <= (table["split"] == "test").mean() < 0.2 + 1 / 12


def test_test_images_are_unlike_training_images(images):
    features, ids, _ = images
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)

    def nearest(is_test):
        return np.median((unit[is_test] @ unit[~is_test].T).max(axis=1))

    held_out = (cluster_split(features, ids, 12, 0.2, seed=0)["split"] == "test").to_numpy()
    assert nearest(held_out) < nearest(np.random.default_rng(0).permutation(held_out)) - 0.2


def test_the_seed_draws_the_clusters(images):
    features, ids, _ = images
    first, again, other = (
        cluster_split(features, ids, 12, 0.2, seed)["split"].tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_too_few_images_or_clusters(images):
    features, ids, _ = images
    with pytest.raises(InputError, match="fewer clusters than the 9 images, found 9"):
        cluster_split(features[:9], ids[:9], 9, 0.2, 0)
    with pytest.raises(InputError, match=r"found all 2 held out for test_share 0\.9; raise count"):
        cluster_split(features, ids, 2, 0.9, 0)


def test_what_summarises_an_image_are_the_first_parts(tmp_path, rng):
    features = rng.normal(size=(4, 9)).astype(np.float16)
    write_chunk(tmp_path / "a.h5", features, np.zeros(4, bool), np.arange(4), {}, [3, 6])
    for parts, width in ((1, 3), (2, 9), (None, 9)):
        found = summaries([tmp_path / "a.h5"], np.array([2, 0]), parts)
        np.testing.assert_array_equal(found, features[[2, 0], :width])
