"""The choice of the penalty, against a loop over scikit-learn."""

import logging

import numpy as np
import pandas as pd
import pytest
from helpers.ridge_problems import ridge_problem, scikit_ridge
from sklearn.metrics import r2_score

from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.decoding import cross_validation, penalty_table
from neural_recon.decoding.cross_validation import cross_validate, make_folds, pooled
from neural_recon.decoding.kernel import Kernel


def loop(X, Y, alphas, splits):
    """R^2 (folds, alphas, targets) of refits by scikit-learn."""
    return np.array(
        [
            [
                r2_score(Y[test], scikit_ridge(X[train], X[test], Y[train], a), multioutput="raw_values")
                for a in alphas
            ]
            for train, test in splits
        ]
    )


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9), (60, 50), (50, 50), (51, 50)])
def test_every_fold_equals_a_refit_by_scikit_learn(rng, n, p):
    X, X_test, Y = ridge_problem(rng, n, p)
    X = X + rng.standard_normal((1, p)).astype(np.float32)  # fold means differ from the whole's
    alphas = [100.0, 1e-3, 0.1, 10.0, 1e7]
    groups = np.repeat(np.arange(n), 2)[:n]
    result = cross_validate(Kernel.of(X, X_test, images=groups), Y, alphas, folds=4, seed=3)
    assert result.alphas.tolist() == sorted(alphas)
    expected = loop(X, Y, sorted(alphas), make_folds(n, 4, 3, groups)).mean(axis=2)
    np.testing.assert_allclose(result.scores, expected[None], rtol=1e-4, atol=1e-5)
    assert result.best == [sorted(alphas)[expected.mean(axis=0).argmax()]]
    np.testing.assert_array_equal(result.columns, np.arange(Y.shape[1]))


def test_each_part_of_a_space_gets_the_penalty_that_fits_it(rng):
    n, p = 60, 90
    X = rng.standard_normal((n, p)).astype(np.float32)
    clear = X @ rng.standard_normal((p, 6))
    noise = rng.standard_normal((n, 30))
    Y = np.concatenate([clear, noise, np.ones((n, 4))], axis=1).astype(np.float32)
    alphas, kernel = [0.1, 100.0, 1e5], Kernel.of(X, X[:2])
    result = cross_validate(kernel, Y, alphas, seed=1, parts=[6, 30, 4])
    r2 = loop(X, Y, alphas, make_folds(n, 5, 1))
    np.testing.assert_allclose(result.scores[0], r2[:, :, :6].mean(axis=2), rtol=1e-4)
    np.testing.assert_allclose(result.scores[1], r2[:, :, 6:36].mean(axis=2), rtol=1e-4, atol=1e-4)
    assert result.best[:2].tolist() == [0.1, 1e5]
    assert np.isnan(result.scores[2]).all()  # nothing to score: what is best for all
    assert result.best[2] == alphas[r2[:, :, :36].mean(axis=(0, 2)).argmax()]
    with pytest.raises(ValueError, match="parts that sum up"):
        cross_validate(kernel, Y, alphas, parts=[6, 30])


def test_targets_are_sampled_and_constant_ones_left_out(rng):
    X, X_test, Y = ridge_problem(rng, 30, 50, n_targets=300)
    Y[:, ::2] = 7.0
    kernel = Kernel.of(X, X_test)
    result = cross_validate(kernel, Y, [10.0], n_targets=100, seed=1)
    assert len(np.unique(result.columns)) == 100
    assert np.count_nonzero(np.diff(result.columns) > 1) >= 8  # strips from all over
    varying = result.columns[result.columns % 2 == 1]
    expected = loop(X, Y[:, varying], [10.0], make_folds(30, 5, 1)).mean(axis=2)
    np.testing.assert_allclose(result.scores[0], expected, atol=1e-5)
    sampled = cross_validate(kernel, Y, [10.0], n_targets=100, parts=[50, 250]).columns
    assert np.count_nonzero(sampled < 50) == 50
    assert np.count_nonzero(sampled >= 50) == 50
    with pytest.raises(ValueError, match="every sampled column is constant"):
        cross_validate(kernel, np.ones((30, 4)), [10.0])


def test_the_edge_of_the_grid_is_warned_of(rng, caplog):
    X = rng.standard_normal((60, 20))
    Y = X @ rng.standard_normal((20, 8)) + 4 * rng.standard_normal((60, 8))
    kernel = Kernel.of(X, X[:2])
    with caplog.at_level(logging.WARNING):
        inside = cross_validate(kernel, Y, [1e-3, 20.0, 1e6])
        assert inside.best == [20.0]
        assert not caplog.records
        assert cross_validate(kernel, Y, [1e5, 1e6]).best == [1e5]
    assert "edge of the grid" in caplog.text


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9), (50, 50)])
def test_the_scale_of_a_kernel_is_its_mean_eigenvalue(rng, n, p):
    X, X_test, _ = ridge_problem(rng, n, p)
    X = X.astype(float) * rng.uniform(0.5, 3, p)
    values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2
    # n images, centred, span n - 1 dimensions: as many voxels or more leave the last value zero
    expected = values.sum() / (p if p < n - 1 else n)
    assert Kernel.of(X, X_test).scale == pytest.approx(expected, rel=1 / n)


@pytest.mark.parametrize(("n", "p"), [(60, 9), (60, 150)])
def test_penalties_follow_the_scale_of_the_responses(rng, n, p):
    """On few voxels a grid of absolute values had its best at an edge."""
    X = rng.standard_normal((n, p)).astype(np.float32)
    Y = X[:, :5] @ rng.standard_normal((5, 8)) + 4 * rng.standard_normal((n, 8))
    results = [cross_validate(Kernel.of(size * X, X[:2]), Y) for size in (0.01, 1, 300)]
    scale = Kernel.of(X, X[:2]).scale
    assert set(np.round(scale * 10.0 ** np.arange(-1, 3), 3)) <= {
        round(a, 3) for a in scale * 10 ** (np.arange(-2, 5) / 2)
    }
    for size, result in zip((0.01, 1, 300), results, strict=True):
        np.testing.assert_allclose(result.alphas / (size**2 * scale), results[1].alphas / scale, rtol=0.06)
        assert len(result.alphas) >= 7
        # rounded to two digits, so that a table says them in full
        assert all(float(f"{alpha:.2g}") == alpha for alpha in result.alphas)
        assert result.alphas[0] < result.best[0] < result.alphas[-1]
        best, expected = (found.scores[0].mean(axis=0).max() for found in (result, results[1]))
        assert best == pytest.approx(expected, abs=0.01)
    again = cross_validate(Kernel.of(X, X[:2]), Y)
    np.testing.assert_array_equal(again.scores, results[1].scores)


def test_the_grid_grows_while_the_best_lies_at_an_edge_but_not_for_ever(rng, caplog):
    n, p = 80, 20
    X = rng.standard_normal((n, p))
    clear = X @ rng.standard_normal((p, 6))
    some = X[:, :3] @ rng.standard_normal((3, 6)) + 2 * rng.standard_normal((n, 6))
    noise = rng.standard_normal((n, 6))
    kernel = Kernel.of(X, X[:2])
    ordinary = cross_validate(kernel, some)
    assert len(ordinary.alphas) == 7
    assert not caplog.records
    faint = clear + 0.7 * rng.standard_normal((n, 6))
    small = cross_validate(kernel, faint)
    assert 7 < len(small.alphas) < 13
    assert small.best[0] > small.alphas[0] < kernel.scale / 20
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        endless = cross_validate(kernel, clear)
        assert len(endless.alphas) == 13
        assert endless.best[0] == endless.alphas[0]
        assert "lies on the edge of the grid" in caplog.text
        assert "try a wider one" not in caplog.text  # nobody gave it
        caplog.clear()
        nothing = cross_validate(kernel, noise)
        assert nothing.scores.mean(axis=1).max() < 0
        assert "The best R^2 of 1 of 1 parts is below 0" in caplog.text
        assert len(nothing.alphas) <= 13
    # one alpha a part: the grid is wide enough for each
    both = cross_validate(kernel, np.concatenate([faint, some], axis=1), parts=[6, 6])
    assert both.best.tolist() == [small.best[0], ordinary.best[0]]
    np.testing.assert_array_equal(both.alphas, small.alphas)


def test_penalties_that_are_given_are_tried_and_no_others(rng):
    X = rng.standard_normal((60, 20))
    Y = X @ rng.standard_normal((20, 8))  # would like the smallest
    assert cross_validate(Kernel.of(X, X[:2]), Y, [1e5, 1e4, 1e5]).alphas.tolist() == [1e4, 1e5]
    curve = penalty_table.cross_validated_curve(Kernel.of(X, X[:2]), Y, [8], None, 3, 9, "space", 0)
    assert curve["alpha"].nunique() == 13
    with pytest.raises(ValueError, match="differ between training images, found none"):
        cross_validate(Kernel.of(np.zeros((60, 20)), X[:2]), Y)


def test_folds_hold_every_row_out_once_and_keep_groups_together(rng):
    groups = rng.integers(0, 9, 40)
    splits = make_folds(40, 4, 5, groups)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(40))
    for train, test in splits:
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == 40
    assert any(
        not np.array_equal(a[1], b[1])
        for a, b in zip(make_folds(40, 4, 5), make_folds(40, 4, 6), strict=True)
    )
    for folds in (1, 41):
        with pytest.raises(ValueError, match="folds"):
            make_folds(40, folds, 0)


def test_neighbouring_parts_are_pooled():
    assert pooled([16, 16, 256], 32).tolist() == [16, 16, 256]
    widths = pooled([768] * 257)
    assert len(widths) == 32
    assert widths.sum() == 257 * 768
    assert set(widths) == {8 * 768, 9 * 768}
    assert pooled([1, 2, 3], 1).tolist() == [6]


@pytest.mark.parametrize("repetitions", [1, 3])
def test_folds_of_single_images_are_refused(rng, repetitions):
    """R^2 about the mean of one image is none, also where it was shown several times."""
    images = np.repeat(np.arange(8), repetitions)
    X, Y = rng.standard_normal((len(images), 5)), rng.standard_normal((8, 6)).astype(np.float32)[images]
    kernel = Kernel.of(X, X[:2], images=images)
    with pytest.raises(InputError, match=r"decoder\.cross_validation\.folds: .* 5 folds of 8 images; take"):
        penalty_table.cross_validated_curve(kernel, Y, [6], None, 5, 6, "space", 0)
    assert penalty_table.cross_validated_curve(kernel, Y, [6], None, 4, 6, "space", 0)["score"].notna().all()


@pytest.mark.parametrize(("groups", "expected"), [("space", 1), ("parts", 3)])
def test_the_curve_gives_back_what_was_chosen(rng, tmp_path, groups, expected):
    X, X_test, Y = ridge_problem(rng, 30, 50, n_targets=12)
    kernel = Kernel.of(X, X_test)
    curve = penalty_table.cross_validated_curve(kernel, Y, [2, 4, 6], [1 / 3, 1e4], 3, 9, groups, 0)
    assert len(curve) == expected * 3 * 2
    assert curve.groupby("group")["alpha"].nunique().tolist() == [2] * expected
    path = tmp_path / "alpha.tsv"
    write_table(path, curve)
    chosen = penalty_table.read_chosen(path)
    if groups == "space":
        assert chosen in (1 / 3, 1e4)
        result = cross_validate(kernel, Y, [1 / 3, 1e4], 3, 9, 0)
        np.testing.assert_allclose(curve["score"], result.scores.ravel())
        assert chosen == result.best[0]
    else:
        assert chosen.shape == (12,)
        best = cross_validate(kernel, Y, [1 / 3, 1e4], 3, 9, 0, [2, 4, 6]).best
        np.testing.assert_array_equal(chosen, np.repeat(best, [2, 4, 6]))


def test_a_fixed_penalty_is_kept_in_full(tmp_path):
    write_table(tmp_path / "alpha.tsv", penalty_table.fixed_curve(123456.789))
    assert penalty_table.read_chosen(tmp_path / "alpha.tsv") == 123456.789
    assert pd.read_csv(tmp_path / "alpha.tsv", sep="\t")["score"].isna().all()


def test_sampled_columns_are_strips():
    assert cross_validation.sample_columns(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    columns = cross_validation.sample_columns(10_000, 1024, 0)
    assert len(columns) == 1024
    assert np.count_nonzero(np.diff(columns) > 1) <= 16
