"""Spaces with options of their own: regions, no intercept, rows of unit length, an alpha per target."""

import numpy as np
import pytest
from helpers.ridge_problems import ridge_problem

from neural_recon import decoding
from neural_recon.core.tables import write_table
from neural_recon.decoding import ridge
from neural_recon.decoding.cross_validation import cross_validate, cross_validate_targets
from neural_recon.decoding.kernel import Fit, Kernel
from neural_recon.decoding.penalty_table import cross_validated_curve, read_chosen
from neural_recon.decoding.ridge_files import read_kernel, read_taken, write_kernel
from neural_recon.decoding.sources import Source, Taken, UnitTokens, unit_blocks, unit_parts
from neural_recon.evaluation.metrics import correlation_matrix, two_way_matrix

SETTINGS = {"kind": "ridge", "alpha": {"a": 1, "b": 2, "c": "cv"}}


class Table:
    """Features in memory, with parts."""

    def __init__(self, values: np.ndarray, parts: np.ndarray):
        self.values, self.shape, self.parts = values, values.shape, parts

    def __getitem__(self, index):
        return self.values[index]


def plain_ridge(X, X_test, Y, alpha):
    """Normal equations without an intercept, float64."""
    X, X_test, Y = (np.asarray(array, np.float64) for array in (X, X_test, Y))
    return X_test @ np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ Y)


@pytest.mark.parametrize(("n", "p"), [(40, 150), (60, 12), (50, 50)])
@pytest.mark.parametrize("alpha", [1e-3, 10.0])
def test_without_an_intercept_nothing_is_centred(rng, n, p, alpha):
    X, X_test, Y = ridge_problem(rng, n, p)
    X, X_test = X + 0.5, X_test + 0.5
    kernel = Kernel.of(X, X_test, intercept=False)
    found = ridge.together(ridge.predict_blocks(kernel, Y, alpha, "none", block=4))
    np.testing.assert_allclose(found, plain_ridge(X, X_test, Y, alpha), rtol=1e-3, atol=1e-4)
    # calibration gives the mean back
    found = ridge.together(ridge.predict_blocks(kernel, Y, alpha, "published"))
    np.testing.assert_allclose(found.mean(0), Y.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 12)])
def test_held_out_predictions_without_an_intercept_are_those_of_refits(rng, n, p):
    X, X_test, Y = ridge_problem(rng, n, p)
    kernel = Kernel.of(X, X_test, intercept=False)
    rest = np.arange(5, n)
    expected = plain_ridge(X[rest], X[:1], Y[rest], 7.0)
    alone = Fit(Kernel.of(X, X_test, intercept=False), 7.0, ridge.backends.NumPy())
    maker = alone.residual_maker()
    errors = np.linalg.solve(maker[:5, :5], (maker @ Y)[:5])
    np.testing.assert_allclose(Y[:1] - errors[:1], expected, rtol=1e-6)
    others = np.arange(1, n)
    left_out = Fit(kernel, 7.0, ridge.backends.NumPy()).left_out_weights([np.array([0])])
    np.testing.assert_allclose(left_out @ Y, plain_ridge(X[others], X[:1], Y[others], 7.0), rtol=1e-4)


@pytest.mark.parametrize(("case", "tolerance"), [("cvpr", 1e-4), ("wide", 2e-3), ("later", 1e-4)])
def test_takagis_ridge(reference, case, tolerance):
    """RidgeCV as Takagi & Nishimoto ran it: no intercept, contiguous folds, an alpha per target."""
    with np.load(reference / "generators/takagi_ridge_identification.npz") as file:
        d = {name: file[f"{case}.{name}"] for name in
             ("X", "X_test", "Y", "alphas", "best_alphas", "predictions", "train_predictions")}  # fmt: skip
    mean, std = d["X"].mean(0), d["X"].std(0)
    X, X_test = (d["X"] - mean) / std, (d["X_test"] - mean) / std
    kernel = Kernel.of(X, np.concatenate([X_test, X]), intercept=False)
    tried, best, _ = cross_validate_targets(kernel, d["Y"], d["alphas"], contiguous=True)
    np.testing.assert_allclose(tried[best], d["best_alphas"])
    found = ridge.together(ridge.predict_blocks(kernel, d["Y"], tried[best], "none"))
    expected = np.concatenate([d["predictions"], d["train_predictions"]])
    assert np.max(np.abs(found - expected)) < tolerance * np.max(np.abs(expected))
    # with an intercept it is another decoder
    other = ridge.predict(X, X_test, d["Y"], tried[best])
    assert np.max(np.abs(other - d["predictions"])) > 10 * tolerance * np.max(np.abs(expected))


def test_takagis_identification(reference):
    with np.load(reference / "generators/takagi_ridge_identification.npz") as file:
        d = {name: file[f"identification.{name}"] for name in
             ("originals", "generated", "similarity", "accuracy")}  # fmt: skip
    each = [correlation_matrix(d["originals"], d["generated"][:, k]) for k in range(5)]
    np.testing.assert_allclose(np.stack(each, axis=-1), d["similarity"], atol=1e-5)
    # the original is given and the generated pictures are the rivals: ours the other way round
    found = two_way_matrix(np.mean(each, axis=0).T)
    np.testing.assert_allclose(np.diagonal(found), d["accuracy"], atol=1e-9)


@pytest.mark.parametrize("alpha", [100000, 50])
@pytest.mark.parametrize("space", ["image", "text", "latent", "retrieval", "git"])
def test_mirages_ridges(reference, space, alpha):
    """Single trials, one alpha, intercept; calibrated by the test set; retrieval by rows of unit length."""
    with np.load(reference / "mirage/ridge_and_normalisation.npz") as file:
        X, X_test, Y = file["X"], file["X_test"], file[f"Y.{space}"]
        expected, calibrated = (
            file[f"alpha{alpha}.{space}.{name}"].reshape(len(X_test), -1)
            for name in ("predicted", "normalised")
        )
    unit, parts = space == "retrieval", np.full(Y.shape[1], Y[0, 0].size)
    settings = {"kind": "ridge", "alpha": {space: alpha}, "normalise": {space: "rows"} if unit else {}}
    targets = Table(Y.reshape(len(Y), -1), parts)
    images = np.repeat(np.arange(len(Y) // 3), 3)
    take = Taken(unit=unit)
    assert np.max(np.abs(ridge.predict(take(X), take(X_test), targets, alpha) - expected)) < 1e-6
    published = decoding.load({**settings, "calibration": "published"})
    found = published.predict(space, X, targets, X_test, images)
    # theirs divides by n - 1, and adds 1e-6 to the spread of the predictions
    mean, values = expected.mean(0), targets.values.astype(np.float64)
    ours = (expected - mean) / expected.std(0) * values.std(0) + values.mean(0)
    theirs = (expected - mean) / (expected.std(0, ddof=1) + 1e-6) * values.std(0, ddof=1) + values.mean(0)
    if unit:
        ours, theirs = unit_parts(ours, parts), unit_parts(theirs, parts)
        np.testing.assert_allclose(np.linalg.norm(found.reshape(-1, parts[0]), axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, ours, atol=1e-4)
    np.testing.assert_allclose(theirs, calibrated, atol=1e-5)
    train = decoding.load({**settings, "calibration": "train"}).predict(space, X, targets, X_test, images)
    assert np.max(np.abs(train - found)) > 1e-3


def test_tokens_of_unit_length_are_read_and_written_in_any_blocks(rng):
    parts = np.array([3, 5, 1, 7])
    values = rng.standard_normal((4, 16)).astype(np.float32)
    expected = np.concatenate(
        [part / np.linalg.norm(part, axis=1, keepdims=True) for part in np.split(values, [3, 8, 9], axis=1)],
        axis=1,
    )
    table = UnitTokens(Table(values, parts))
    for start in range(16):
        for stop in range(start + 1, 17):
            np.testing.assert_allclose(table[:, start:stop], expected[:, start:stop], rtol=1e-5)
    for width in (1, 2, 4, 6, 16):
        blocks = ((start, values[:, start : start + width]) for start in range(0, 16, width))
        found = list(unit_blocks(blocks, parts))
        assert found[0][0] == 0
        np.testing.assert_allclose(np.concatenate([part for _, part in found], axis=1), expected, rtol=1e-5)
    assert not unit_parts(np.zeros((2, 16), np.float32), parts).any()


def test_an_alpha_per_target_is_stored_and_read_back(rng, tmp_path):
    X, X_test, Y = ridge_problem(rng, 40, 60)
    Y = np.concatenate([Y, rng.standard_normal(Y.shape)], axis=1)  # and some that follow no response
    kernel = Kernel.of(X, X_test)
    alphas = [1.0, 100.0, 1e4, 1e6]
    curve = cross_validated_curve(kernel, Y, [Y.shape[1]], alphas, 5, 3, "targets", 0)
    write_table(tmp_path / "alpha.tsv", curve)
    tried, best, scores = cross_validate_targets(kernel, Y, alphas)
    assert len(np.unique(best)) > 1
    np.testing.assert_array_equal(read_chosen(tmp_path / "alpha.tsv"), tried[best])
    # of one target it is what the cross-validation of its space says
    alone = cross_validate(kernel, Y[:, 3:4], alphas)
    np.testing.assert_allclose(scores[:, :, 3], alone.scores[0], rtol=1e-4, atol=1e-5)
    text = (tmp_path / "alpha.tsv").read_text(encoding="utf-8")
    for wrong in ("0-99999999999", "0-1", "x"):
        members = curve["members"].dropna().iloc[0]
        (tmp_path / "alpha.tsv").write_text(text.replace(members, wrong, 1), encoding="utf-8")
        with pytest.raises(decoding.penalty_table.InputError, match="expected a curve"):
            read_chosen(tmp_path / "alpha.tsv")


def test_a_kernel_says_what_it_was_made_of(rng, tmp_path):
    X, X_test, _ = ridge_problem(rng, 30, 80)
    ids = {"train_ids": np.arange(30), "test_ids": np.arange(30, 30 + len(X_test))}
    take = Taken(np.arange(0, 80, 2), unit=True)
    kernel = Kernel.of(take(X), take(X_test), intercept=False)
    path = tmp_path / "kernel.h5"
    write_kernel(path, kernel, ids, take)
    found, again = read_kernel(path)[0], read_taken(path)
    assert (found.intercept, again.unit) == (False, True)
    np.testing.assert_array_equal(again.columns, take.columns)
    np.testing.assert_array_equal(found.system, kernel.system)
    write_kernel(path, Kernel.of(X, X_test), ids)
    assert (read_taken(path), read_kernel(path)[0].intercept) == (Taken(), True)


def test_trials_of_an_image_average_to_its_row_of_unit_length(rng):
    trials, take = rng.standard_normal((3, 9)).astype(np.float32), Taken(np.arange(1, 8), unit=True)
    average = trials.mean(axis=0, keepdims=True)
    found = take(trials, np.repeat(average, 3, axis=0))
    np.testing.assert_allclose(found.mean(axis=0), take(average)[0], rtol=1e-5)
    assert np.linalg.norm(take(average)) == pytest.approx(1)


def test_spaces_with_the_same_options_share_a_kernel():
    settings = decoding.DECODERS.load("ridge").Settings(
        **SETTINGS | {"alpha": dict.fromkeys("abcde", 1), "regions": {"b": ["V1"], "d": ["V1"], "e": None},
                      "responses": {"c": "single"}, "intercept": {"e": True}}
    )  # fmt: skip
    assert settings.owners("abcde", True) == {"a": "", "b": "b", "c": "c", "d": "b", "e": ""}
    assert settings.owners("abcde", False)["c"] == ""  # all are trained on single trials
    assert settings.source("b") == Source(("V1",))
