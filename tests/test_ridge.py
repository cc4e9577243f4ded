"""Ridge regression against scikit-learn, and what no test image may do to another."""

import logging

import h5py
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from neural_recon import ridge


def problem(rng, n, p, n_test=7, n_targets=11):
    """Responses that carry some of the targets; one constant voxel, two identical rows."""
    X = rng.standard_normal((n + n_test, p)).astype(np.float32)
    Y = (
        X[:, : min(p, 5)] @ rng.standard_normal((min(p, 5), n_targets)) + rng.standard_normal((n + n_test, 1))
    ) * 3
    X[:, p // 2] = 0.1
    X[1], Y[1] = X[0], Y[0]
    return X[:n], X[n:], (Y[:n] + 20).astype(np.float32)


def scikit(X, X_test, Y, alpha):
    return (
        Ridge(alpha=alpha, solver="svd").fit(X.astype(float), Y.astype(float)).predict(X_test.astype(float))
    )


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3, 1e7])
@pytest.mark.parametrize(("n", "p"), [(40, 150), (60, 12), (50, 50)])
def test_predict_equals_scikit_learn(rng, n, p, alpha):
    X, X_test, Y = problem(rng, n, p)
    predictions = ridge.predict(X, X_test, Y, alpha, block=4)
    assert predictions.dtype == np.float32
    expected = scikit(X, X_test, Y, alpha)
    offset, expected_offset = predictions - Y.mean(0), expected - Y.mean(0)
    assert np.linalg.norm(predictions - expected) < 1e-5 * np.linalg.norm(expected)
    # also beside the mean, which is most of the number; 1e-5 of it is what float32 output leaves at 1e7
    np.testing.assert_allclose(offset, expected_offset, rtol=1e-4, atol=2e-5)


def test_predict_holds_for_raw_scales_and_more_voxels_than_a_block(rng, monkeypatch):
    monkeypatch.setattr(ridge, "GRAM_BLOCK", 16)
    X, X_test, Y = problem(rng, 30, 100)
    X, X_test = X * 50 + 300, X_test * 50 + 300
    np.testing.assert_allclose(ridge.predict(X, X_test, Y, 10.0), scikit(X, X_test, Y, 10.0), rtol=1e-4)


def test_predict_takes_an_alpha_for_each_target(rng):
    X, X_test, Y = problem(rng, 30, 80)
    alpha = np.resize([1.0, 100.0, 1e4], Y.shape[1])
    predictions = ridge.predict(X, X_test, Y, alpha, block=4)
    expected = np.stack([scikit(X, X_test, Y[:, t], a) for t, a in enumerate(alpha)], axis=1)
    np.testing.assert_allclose(predictions, expected, rtol=1e-5)


def test_targets_are_read_in_column_blocks_from_disk(rng, tmp_path):
    X, X_test, Y = problem(rng, 20, 30)

    class Watched:
        shape = Y.shape
        widest = 0

        def __init__(self, dataset):
            self.dataset = dataset

        def __getitem__(self, index):
            part = self.dataset[index]
            self.widest = max(self.widest, part.shape[1])
            return part

    with h5py.File(tmp_path / "features.h5", "w") as file:
        targets = Watched(file.create_dataset("features", data=Y.astype(np.float16)))
        predictions = ridge.predict(X, X_test, targets, 5.0, block=3)
    assert targets.widest == 3
    np.testing.assert_allclose(predictions, scikit(X, X_test, Y.astype(np.float16), 5.0), rtol=1e-5)


def test_bad_values_and_shapes_are_named(rng):
    X, X_test, Y = problem(rng, 20, 30)
    for name in ("X_train", "X_test", "targets"):
        arguments = {"X_train": X.copy(), "X_test": X_test.copy(), "targets": Y.copy()}
        arguments[name][3, 4] = np.nan
        with pytest.raises(ValueError, match=rf"{name} ha.* NaN .* column 4"):
            ridge.predict(**arguments, alpha=1.0, block=3)
    with pytest.raises(ValueError, match="do not fit"):
        ridge.predict(X, X_test, Y[:-1], 1.0)
    with pytest.raises(ValueError, match="positive"):
        ridge.predict(X, X_test, Y, 0.0)
    with pytest.raises(ValueError, match="lost in rounding"):
        ridge.predict(np.repeat(X[:, :1], 30, axis=1) * 1e9, X_test, Y, 1e-3)


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9)])
def test_cross_validation_equals_a_loop_over_scikit_learn(rng, n, p):
    X, _, Y = problem(rng, n, p)
    X = X + rng.standard_normal((1, p)).astype(np.float32)  # fold means differ from the whole's
    alphas = [100.0, 0.1, 10.0, 1e5]
    groups = np.repeat(np.arange(n // 2), 2)
    result = ridge.cross_validate(X, Y, alphas, folds=4, seed=3, groups=groups)
    assert result.alphas.tolist() == sorted(alphas)
    expected = np.array(
        [
            [r2_score(Y[test], scikit(X[train], X[test], Y[train], a)) for a in sorted(alphas)]
            for train, test in ridge.make_folds(n, 4, 3, groups)
        ]
    )
    np.testing.assert_allclose(result.scores, expected, rtol=1e-4, atol=1e-4)
    assert result.best == sorted(alphas)[expected.mean(axis=0).argmax()]
    np.testing.assert_array_equal(result.columns, np.arange(Y.shape[1]))


def test_cross_validation_samples_targets_and_leaves_out_constant_ones(rng):
    X, _, Y = problem(rng, 30, 50, n_targets=300)
    Y[:, ::2] = 7.0
    result = ridge.cross_validate(X, Y, [10.0], n_targets=100, seed=1)
    assert len(np.unique(result.columns)) == 100
    assert np.count_nonzero(np.diff(result.columns) > 1) >= 8  # strips from all over
    varying = result.columns[result.columns % 2 == 1]
    train, test = ridge.make_folds(30, 5, 1)[2]
    expected = r2_score(Y[test][:, varying], scikit(X[train], X[test], Y[train][:, varying], 10.0))
    assert result.scores[2, 0] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="every sampled column is constant"):
        ridge.cross_validate(X, np.ones((30, 4)), [10.0])


def test_the_edge_of_the_grid_is_warned_of(rng, caplog):
    X = rng.standard_normal((60, 20))
    Y = X @ rng.standard_normal((20, 8)) + 4 * rng.standard_normal((60, 8))
    with caplog.at_level(logging.WARNING):
        inside = ridge.cross_validate(X, Y, [1e-3, 20.0, 1e6])
        assert inside.best == 20.0
        assert not caplog.records
        assert ridge.cross_validate(X, Y, [1e5, 1e6]).best == 1e5
    assert "edge of the grid" in caplog.text


def test_folds_hold_every_row_out_once_and_keep_groups_together(rng):
    groups = rng.integers(0, 9, 40)
    splits = ridge.make_folds(40, 4, 5, groups)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(40))
    for train, test in splits:
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == 40
    assert any(
        not np.array_equal(a[1], b[1])
        for a, b in zip(ridge.make_folds(40, 4, 5), ridge.make_folds(40, 4, 6), strict=True)
    )
    for folds in (1, 41):
        with pytest.raises(ValueError, match="folds"):
            ridge.make_folds(40, folds, 0)


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9)])
def test_train_calibration_takes_its_statistics_from_held_out_training_images(rng, n, p):
    X, X_test, Y = problem(rng, n, p)
    Y[:, 4] = 0.3
    alpha = np.resize([50.0, 500.0], Y.shape[1])
    predictions = ridge.predict_calibrated(X, X_test, Y, alpha, "train", folds=4, seed=2, block=5)
    for t, a in enumerate(alpha):
        held_out = np.empty(n)
        for train, test in ridge.make_folds(n, 4, 2):
            held_out[test] = scikit(X[train], X[test], Y[train, t], a) - Y[train, t].mean()
        plain = scikit(X, X_test, Y[:, t], a)
        if t == 4:
            expected = np.full(len(X_test), np.float32(0.3))
        else:
            offset = plain - Y[:, t].mean() - held_out.mean()
            expected = offset / held_out.std() * Y[:, t].std() + Y[:, t].mean()
        np.testing.assert_allclose(predictions[:, t], expected, rtol=1e-4)


def test_published_calibration_is_that_of_the_published_script(rng):
    X, X_test, Y = problem(rng, 40, 90)
    Y[:, 4] = 0.3
    predictions = ridge.predict_calibrated(X, X_test, Y, 50.0, "published", block=5)
    plain = np.delete(scikit(X, X_test, Y, 50.0), 4, axis=1)
    varying = np.delete(Y, 4, axis=1)
    zscored = (plain - np.mean(plain, axis=0)) / np.std(plain, axis=0)
    expected = zscored * np.std(varying, axis=0) + np.mean(varying, axis=0)
    np.testing.assert_allclose(np.delete(predictions, 4, axis=1), expected, rtol=1e-4)
    np.testing.assert_array_equal(predictions[:, 4], np.float32(0.3))
    with pytest.raises(ValueError, match="at least 2 test images"):
        ridge.predict_calibrated(X, X_test[:1], Y, 50.0, "published")


def test_no_test_image_changes_another_ones_prediction_unless_published(rng):
    X, X_test, Y = problem(rng, 40, 90)
    others = X_test.copy()
    others[1:] = rng.standard_normal(others[1:].shape) * 10
    for calibration in ("none", "train"):
        first = ridge.predict_calibrated(X, X_test, Y, 50.0, calibration)[0]
        np.testing.assert_array_equal(ridge.predict_calibrated(X, others, Y, 50.0, calibration)[0], first)
        alone = ridge.predict_calibrated(X, X_test[:1], Y, 50.0, calibration)[0]
        np.testing.assert_allclose(alone, first, rtol=1e-5)
    first = ridge.predict_calibrated(X, X_test, Y, 50.0, "published")[0]
    assert np.abs(ridge.predict_calibrated(X, others, Y, 50.0, "published")[0] - first).max() > 0.1


@pytest.mark.parametrize("calibration", ["none", "train", "published"])
def test_responses_without_signal_predict_the_training_mean(rng, calibration):
    _, X_test, Y = problem(rng, 19, 30)
    X = np.full((19, 30), 0.1)
    assert np.any(X.mean(axis=0) != X)  # centred, they are rounding errors, which no calibration may blow up
    predictions = ridge.predict_calibrated(X, X_test, Y, 1.0, calibration)
    np.testing.assert_allclose(predictions, np.tile(Y.mean(axis=0), (len(X_test), 1)), rtol=1e-6)


def test_shuffled_pairs_move_every_row():
    for n in (2, 3, 50):
        permutation = ridge.shuffled_pairs(n, seed=n)
        np.testing.assert_array_equal(np.sort(permutation), np.arange(n))
        assert not np.any(permutation == np.arange(n))
        np.testing.assert_array_equal(permutation, ridge.shuffled_pairs(n, seed=n))
    assert not np.array_equal(ridge.shuffled_pairs(50, 1), ridge.shuffled_pairs(50, 2))
    with pytest.raises(ValueError, match="at least 2"):
        ridge.shuffled_pairs(1, 0)
