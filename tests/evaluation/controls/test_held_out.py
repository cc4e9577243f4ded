"""Clusters held out of the fit: against refits by scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neural_recon.core.errors import InputError
from neural_recon.decoding.kernel import Kernel
from neural_recon.evaluation.controls.data_amount import Sample
from neural_recon.evaluation.controls.held_out import compare, held_out_predictions, sampled_alpha


def refits(X, Y, images, folds, alpha, calibrated):
    """What the workflow would predict if each fold were its test set."""
    labels = np.unique(images)
    deviation, mean = np.empty((len(labels), Y.shape[1])), np.empty((len(labels), Y.shape[1]))
    for fold in folds:
        out = np.isin(images, labels[fold])
        for column, penalty in enumerate(alpha):
            model = Ridge(alpha=penalty).fit(X[~out], Y[~out, column])
            for k in fold:
                response = X[images == labels[k]].mean(axis=0, keepdims=True)
                mean[k, column] = Y[~out, column].mean()
                deviation[k, column] = model.predict(response)[0] - mean[k, column]
    if calibrated:
        deviation = (deviation - deviation.mean(axis=0)) / deviation.std(axis=0) * Y.std(axis=0)
    return deviation + mean


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize(("repetitions", "voxels"), [(1, 60), (1, 12), (3, 80), (3, 9)])
def test_as_refits_without_the_fold(rng, repetitions, voxels, calibrated):
    images = rng.permutation(np.repeat(np.arange(24) * 3, repetitions)) if repetitions > 1 else np.arange(24)
    n = len(images)
    X = rng.standard_normal((n, voxels))
    Y = X[:, :3] @ rng.standard_normal((3, 5)) + rng.standard_normal((n, 5)) + 30
    for label in np.unique(images):  # an image's features are one row
        Y[images == label] = Y[images == label][0]
    alpha = np.array([5.0, 5.0, 40.0, 5.0, 40.0])
    cuts = [
        [np.array([0, 3, 4]), np.arange(5, 24), np.array([1, 2])],
        np.array_split(rng.permutation(24), 4),
    ]
    kernel = Kernel.of(X, X[:2], images=images)
    found = held_out_predictions(kernel, Y, alpha, cuts, calibrated)
    for cut, predictions in zip(cuts, found, strict=True):
        expected = refits(X, Y, images, cut, alpha, calibrated)
        np.testing.assert_allclose(predictions, expected, atol=2e-4)


def test_twins_help_only_where_they_are_in_training(rng):
    """Clusters that share what no other image has, far from all others, and noise of their own."""
    clusters, n = np.repeat(np.arange(20), 10), 200
    centre = rng.standard_normal((20, 40))
    latent = centre[clusters] + 0.3 * rng.standard_normal((n, 40))
    X = latent @ rng.standard_normal((40, 300)) + 2 * rng.standard_normal((n, 300))
    # a mapping that differs from cluster to cluster: what is learned of one tells nothing of another
    Y = 0.3 * latent[:, :5] @ rng.standard_normal((5, 60)) + rng.standard_normal((20, 60))[clusters]
    features = {
        "vdvae": Sample(Y, np.arange(n)),
        "text": Sample(rng.standard_normal((n, 30)), np.arange(n)),
    }
    kernel = Kernel.of(X, X[:2])
    table = compare(
        kernel, np.arange(n), clusters, features, dict.fromkeys(features, 50.0), True, 0, folds=5, most=150
    )
    score = table.set_index(["space", "held_out"])
    assert score.loc[("vdvae", "random"), "score"] > score.loc[("vdvae", "clusters"), "score"] + 0.15
    assert score.loc[("vdvae", "random"), "p_difference"] < 0.001
    for held_out in (
        "clusters",
        "random",
    ):  # features without any relation stay at chance, and are not told apart
        row = score.loc["text", held_out]
        assert abs(row["score"] - 0.5) < 0.1
        assert abs(row["chance"] - 0.5) < 0.02
    assert score.loc[("text", "random"), "p_difference"] > 0.01
    assert set(table["n"]) == {150}
    assert set(table["folds"]) == {5}


@pytest.mark.parametrize("repetitions", [1, 2])
def test_the_order_of_the_rows_is_of_no_matter(rng, repetitions):
    """Single trials stand in the order they were shown, also where every image is shown once."""
    images, n = np.repeat(np.arange(60) * 5, repetitions), 60 * repetitions
    latent = rng.standard_normal((60, 8))
    X = latent[images // 5] @ rng.standard_normal((8, 40)) + 0.5 * rng.standard_normal((n, 40))
    features = {"vdvae": Sample(latent @ rng.standard_normal((8, 30)), np.arange(60) * 5)}
    clusters, found = rng.integers(0, 12, 60), []
    for rows in (np.arange(n), rng.permutation(n)):
        kernel = Kernel.of(X[rows], X[:2], images=images[rows])
        found.append(compare(kernel, images[rows], clusters, features, {"vdvae": 5.0}, True, 0, folds=6))
    assert found[0]["score"].min() > 0.9
    assert found[1]["score"].min() > 0.9
    np.testing.assert_allclose(found[0]["score"], found[1]["score"], atol=0.02)  # other folds


def test_one_cluster_leaves_nothing_to_fit_on(rng):
    kernel = Kernel.of(rng.standard_normal((6, 9)), rng.standard_normal((2, 9)))
    with pytest.raises(InputError, match="expected at least 2 clusters of the 6 training images"):
        compare(kernel, np.arange(6), np.zeros(6, int), {}, {}, True, 0)


def test_penalties_of_sampled_features():
    assert sampled_alpha(3.0, 10, 0) == 3.0
    alpha = np.repeat([1.0, 2.0], [500, 500])
    some = sampled_alpha(alpha, 100, 0)
    assert len(some) == 100
    assert sorted(some.tolist()) == some.tolist()
