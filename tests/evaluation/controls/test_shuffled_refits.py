"""The null of a decoder's scores: against refits by scikit-learn, and on data without and with a signal."""

import numpy as np
import pandas as pd
import pytest
from helpers.ridge_problems import ridge_problem, scikit_ridge

from neural_recon.core.random_streams import shuffled_images
from neural_recon.decoding import ridge
from neural_recon.decoding.kernel import Kernel
from neural_recon.evaluation import metrics
from neural_recon.evaluation.controls.refit_null import COLUMNS, PAINTED, against_refits, by_metric
from neural_recon.evaluation.controls.shuffled_refits import pairs_of, refit_scores


def by_refit(table, metric="two_way"):
    """Scores in the order of the refits, the decoder's first."""
    return table[table["metric"] == metric].sort_values("refit")["score"].to_numpy()


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9)])
@pytest.mark.parametrize("calibration", ["none", "train", "published"])
def test_refits_are_those_of_a_decoder_fitted_anew_on_shuffled_features(rng, n, p, calibration):
    X, X_test, Y = ridge_problem(rng, n, p, n_test=12, n_targets=30)
    true, ids = rng.standard_normal((12, 30)).astype(np.float32), rng.permutation(n) + 100
    alpha = np.resize([5.0, 500.0], 30)
    table = refit_scores(Kernel.of(X, X_test), ids, Y, true, alpha, calibration, 3, seed=4, retrieval=True)
    assert table["refit"].unique().tolist() == [0, 1, 2, 3]
    assert set(table["metric"]) == {"two_way", "retrieval_image", "retrieval_brain", "r", "above"}
    assert set(table["features"]) == {30}
    row_of = {image: row for row, image in enumerate(ids)}
    for refit in range(4):
        whose = ids if refit == 0 else pairs_of(ids, 4, refit)
        shuffled = Y[[row_of[image] for image in whose]]
        found = ridge.predict(X, X_test, shuffled, alpha, calibration, seed=4)
        expected = metrics.two_way_identification(true, found).mean()
        assert by_refit(table)[refit] == pytest.approx(expected)
        r = [np.corrcoef(true[:, t], found[:, t])[0, 1] for t in range(30)]
        assert by_refit(table, "r")[refit] == pytest.approx(np.median(r), abs=1e-5)
        if calibration == "none":
            plain = np.stack([scikit_ridge(X, X_test, shuffled[:, t], a) for t, a in enumerate(alpha)], 1)
            assert by_refit(table)[refit] == pytest.approx(
                metrics.two_way_identification(true, plain).mean(), abs=0.02
            )
    # the first refit is the control that is painted
    np.testing.assert_array_equal(pairs_of(ids, 4, 1), shuffled_images(ids, 4))
    assert not np.array_equal(pairs_of(ids, 4, 2), pairs_of(ids, 4, 3))


def test_repetitions_of_an_image_are_shuffled_and_left_out_together(rng):
    X, X_test, Y = ridge_problem(rng, 40, 90, n_test=12, n_targets=30)
    images = rng.permutation(np.arange(40) % 15)
    Y, true = Y[:15][images], rng.standard_normal((12, 30)).astype(np.float32)
    kernel = Kernel.of(X, X_test, images=images)
    table = refit_scores(kernel, images, Y, true, 5.0, "train", 2, seed=1)
    for refit in (1, 2):
        whose = pairs_of(images, 1, refit)
        assert all(len(set(whose[images == image])) == 1 for image in range(15))
        shuffled = np.stack([Y[images == image][0] for image in whose])
        found = ridge.together(ridge.predict_blocks(kernel, shuffled, 5.0, "train", 1))
        expected = metrics.two_way_identification(true, found).mean()
        assert by_refit(table)[refit] == pytest.approx(expected)


def test_one_factor_serves_all_refits(rng, monkeypatch):
    X, X_test, Y = ridge_problem(rng, 40, 90)
    made = []
    monkeypatch.setattr(ridge, "Fit", lambda *given: made.append(given) or original(*given))
    from neural_recon.decoding.kernel import Fit as original

    refit_scores(Kernel.of(X, X_test), np.arange(40), Y, Y[:7], 5.0, "train", 6, seed=0)
    assert len(made) == 1


def test_a_sample_of_features_bounds_the_work(rng):
    X, X_test, Y = ridge_problem(rng, 40, 90, n_targets=300)
    alpha = np.repeat([5.0, 500.0], 150)
    widest = []

    class Watched:
        shape = Y.shape

        def __getitem__(self, index):
            widest.append(Y[index].shape[1])
            return Y[index]

    table = refit_scores(
        Kernel.of(X, X_test), np.arange(40), Watched(), Y[:7], alpha, "none", 2, seed=0, most=64
    )
    assert set(table["features"]) == {64}
    assert sum(widest) == 64
    again = refit_scores(Kernel.of(X, X_test), np.arange(40), Y, Y[:7], alpha, "none", 2, seed=0, most=64)
    assert table.equals(again)
    other = refit_scores(Kernel.of(X, X_test), np.arange(40), Y, Y[:7], alpha, "none", 2, seed=1, most=64)
    assert not table.equals(other)


def linked(rng, signal, n=300, n_test=60, p=12, d=40):
    """Few voxels, and features that vary along few directions: what makes single refits scatter."""
    X = rng.standard_normal((n + n_test, p)).astype(np.float32)
    shared = rng.standard_normal((n + n_test, 2)) + signal * X[:, :2]
    Y = (shared @ rng.standard_normal((2, d)) + 0.3 * rng.standard_normal((n + n_test, d))).astype(np.float32)
    return Kernel.of(X[:n], X[n:]), Y[:n], Y[n:]


def test_refits_scatter_more_than_re_paired_pictures_and_a_signal_stands_out(rng):
    kernel, y, true = linked(rng, signal=1.0)
    table = refit_scores(kernel, np.arange(300), y, true, 1.0, "train", 30, seed=0)
    found = against_refits(table, "two_way")
    assert found["refits"] == 30
    assert found["refit_p"] == pytest.approx(1 / 31)
    assert found["refit_z"] > 3
    assert abs(found["refit_mean"] - 0.5) < 0.05
    null = by_refit(table)[1:]
    assert found["refit_sd"] == pytest.approx(null.std(ddof=1))
    assert found["refit_score"] == by_refit(table)[0]
    # of one shuffled refit re-pairings show a smaller spread: that is why its p-value misleads
    predicted = ridge.together(ridge.predict_blocks(kernel, y[rng.permutation(300)], 1.0, "train", 0))
    matrix = metrics.two_way_matrix(metrics.correlation_matrix(true, predicted))
    re_paired = [matrix[np.arange(60), rng.permutation(60)].mean() for _ in range(300)]
    assert np.std(re_paired) < found["refit_sd"]


def test_p_values_of_decoders_that_know_nothing_are_uniform(rng):
    """Re-paired pictures call more than one in twenty of them better than chance at 0.05."""
    p = []
    for _ in range(60):
        kernel, y, true = linked(rng, signal=0.0)
        table = refit_scores(kernel, np.arange(300), y, true, 1.0, "none", 19, seed=0)
        p.append(against_refits(table, "two_way")["refit_p"])
    assert np.mean(np.array(p) <= 0.05) < 0.15
    assert np.mean(p) == pytest.approx(0.5, abs=0.12)


def test_the_painted_control_is_one_draw_among_the_others(rng):
    kernel, y, true = linked(rng, signal=1.0)
    table = refit_scores(kernel, np.arange(300), y, true, 1.0, "train", 9, seed=0)
    painted = by_metric(table, "shuffled")["two_way"]
    null = by_refit(table)[2:]
    assert painted["refits"] == len(null) == 8
    assert painted["refit_score"] == by_refit(table)[1]
    assert painted["refit_mean"] == pytest.approx(null.mean())
    assert painted["refit_p"] == (1 + np.sum(null >= by_refit(table)[1])) / 9
    assert by_metric(table, "calibration_published") == {}
    assert set(by_metric(table, "decoded")) == {"two_way", "r", "above"}
    assert against_refits(table, "retrieval_image") is None
    two = table[table["refit"] <= 2]
    assert np.isnan(by_metric(two, "shuffled")["two_way"]["refit_sd"])
    assert against_refits(table[table["refit"] <= 1], "two_way", PAINTED) is None


def table_of(*scores: float) -> pd.DataFrame:
    """Scores of the decoder and its refits."""
    return pd.DataFrame([(k, "two_way", score, 9) for k, score in enumerate(scores)], columns=list(COLUMNS))


def test_a_score_that_is_no_number_has_no_p():
    """Nothing is as high as nan: it would get the smallest p there is."""
    assert against_refits(table_of(np.nan, 0.4, 0.5, 0.6), "two_way") is None
    assert against_refits(table_of(0.5, np.nan, np.nan), "two_way") is None
    found = against_refits(table_of(0.55, 0.4, np.nan, 0.6), "two_way")
    assert found["refits"] == 2
    assert found["refit_mean"] == pytest.approx(0.5)
    assert found["refit_p"] == pytest.approx(2 / 3)


def test_refits_that_tie_but_for_rounding_have_no_z():
    assert np.std([0.1, 0.1, 0.1], ddof=1) > 0
    found = against_refits(table_of(0.7, 0.1, 0.1, 0.1), "two_way")
    assert np.isnan(found["refit_z"])
    assert found["refit_p"] == 1 / 4
    assert against_refits(table_of(0.1, 0.1, 0.1, 0.1), "two_way")["refit_p"] == 1


def test_features_that_do_not_vary_have_no_r(rng):
    X, X_test, Y = ridge_problem(rng, 40, 90)
    true = np.tile(np.arange(11, dtype=np.float32), (7, 1))
    table = refit_scores(Kernel.of(X, X_test), np.arange(40), Y, true, 5.0, "none", 2, seed=0)
    assert set(table["metric"]) == {"two_way"}
