"""Ridge regression against scikit-learn, and what no test image may do to another."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.ridge_problems import ridge_problem, scikit_ridge

from neural_recon.core import backends
from neural_recon.core.backends import NumPy, SpentError, Torch
from neural_recon.core.hdf5 import read_parameters
from neural_recon.core.random_streams import rows_of, shuffled_images, shuffled_pairs
from neural_recon.decoding import kernel, ridge
from neural_recon.decoding.cross_validation import cross_validate
from neural_recon.decoding.kernel import Fit, Kernel
from neural_recon.decoding.ridge_files import PredictionFile, read_kernel, write_kernel, write_predictions
from neural_recon.workflow import memory_estimate


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3, 1e7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "p"), [(40, 150), (60, 12), (50, 50), (50, 49), (50, 48)])
def test_predict_equals_scikit_learn(rng, n, p, dtype, alpha):
    X, X_test, Y = (array.astype(dtype) for array in ridge_problem(rng, n, p))
    if dtype == np.float64:
        X += 1e-9 * rng.standard_normal(X.shape)  # float64 is not rounded on the way
        X[1] = X[0]
    predictions = ridge.predict(X, X_test, Y, alpha, block=4)
    assert predictions.dtype == np.float32
    expected = scikit_ridge(X, X_test, Y, alpha)
    offset, expected_offset = predictions - Y.mean(0), expected - Y.mean(0)
    assert np.linalg.norm(predictions - expected) < 1e-6 * np.linalg.norm(expected)
    # also alongside the mean, which is most of the number; 1e-5 of it is what float32 output leaves at 1e7
    np.testing.assert_allclose(offset, expected_offset, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("scale", [1e-3, 50.0, 1e3])
@pytest.mark.parametrize(("n", "p"), [(30, 100), (60, 12)])
def test_predict_holds_for_raw_scales_and_more_voxels_than_a_block(rng, monkeypatch, n, p, scale):
    monkeypatch.setattr(kernel, "GRAM_BLOCK", 16)
    monkeypatch.setattr(kernel, "ROWS", 7)
    X, X_test, Y = ridge_problem(rng, n, p)
    X, X_test = X * scale + 300, X_test * scale + 300
    for alpha in (1e-3, 1e7):
        expected = scikit_ridge(X, X_test, Y, alpha)
        np.testing.assert_allclose(ridge.predict(X, X_test, Y, alpha), expected, rtol=1e-4)


def test_near_twins_and_voxels_that_say_the_same(rng):
    """Responses of rank 3 but for a millionth: nearly every direction is nothing but the penalty."""
    for n, p in ((80, 200), (200, 80)):
        X = rng.standard_normal((n + 5, 3)) @ rng.standard_normal((3, p))
        X += 1e-6 * rng.standard_normal(X.shape)
        X[3] = X[4] = X[5]
        Y = (X @ rng.standard_normal((p, 6)) + rng.standard_normal((n + 5, 6)))[:n]
        for alpha in (1e-3, 1.0):
            expected = scikit_ridge(X[:n], X[n:], Y, alpha)
            found = ridge.predict(X[:n], X[n:], Y, alpha)
            assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)


def test_predict_takes_an_alpha_for_each_target(rng):
    X, X_test, Y = ridge_problem(rng, 30, 80)
    alpha = np.resize([1.0, 100.0, 1e4], Y.shape[1])
    predictions = ridge.predict(X, X_test, Y, alpha, block=4)
    expected = np.stack([scikit_ridge(X, X_test, Y[:, t], a) for t, a in enumerate(alpha)], axis=1)
    np.testing.assert_allclose(predictions, expected, rtol=1e-5)


def test_targets_are_read_in_column_blocks_from_disk(rng, tmp_path):
    X, X_test, Y = ridge_problem(rng, 20, 30)

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
    np.testing.assert_allclose(predictions, scikit_ridge(X, X_test, Y.astype(np.float16), 5.0), rtol=1e-5)


def test_bad_values_and_shapes_are_named(rng):
    X, X_test, Y = ridge_problem(rng, 20, 30)
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
    with pytest.raises(ValueError, match="same voxels"):
        ridge.predict(X, X_test[:, 1:], Y, 1.0)
    with pytest.raises(ValueError, match="at least 2 images"):
        ridge.predict(X[:1], X_test, Y[:1], 1.0, "train")


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9), (40, 39)])
@pytest.mark.parametrize("taken", [1000, 25])
def test_train_calibration_takes_its_statistics_from_left_out_training_images(rng, monkeypatch, n, p, taken):
    monkeypatch.setattr(ridge, "CALIBRATION_IMAGES", taken)
    X, X_test, Y = ridge_problem(rng, n, p)
    Y[:, 4] = 0.3
    alpha = np.resize([0.05, 500.0], Y.shape[1])
    predictions = ridge.predict(X, X_test, Y, alpha, "train", seed=2, block=5)
    sample = ridge.calibration_sample(n, 2)
    assert len(set(sample)) == min(n, taken)
    for t, a in enumerate(alpha):
        left_out = []
        for row in sample:
            X_rest, y_rest = np.delete(X, row, axis=0), np.delete(Y[:, t], row)
            left_out.append(scikit_ridge(X_rest, X[row : row + 1], y_rest, a)[0] - y_rest.mean())
        plain = scikit_ridge(X, X_test, Y[:, t], a)
        if t == 4:
            expected = np.full(len(X_test), np.float32(0.3))
        else:
            offset = plain - Y[:, t].mean() - np.mean(left_out)
            expected = offset / np.std(left_out) * Y[:, t].std() + Y[:, t].mean()
        np.testing.assert_allclose(predictions[:, t], expected, rtol=1e-4)


@pytest.mark.parametrize("p", [90, 9])
def test_repetitions_are_left_out_together_and_count_by_their_mean(rng, p):
    """As a loop over images that refits scikit-learn's Ridge without any of the image's trials."""
    n, alpha = 40, 5.0
    X, X_test, Y = ridge_problem(rng, n, p)
    images = rng.permutation(np.arange(n) % 15)  # two or three trials each, in no order
    Y = Y[:15][images]  # trials of one image share their features
    kernel = Kernel.of(X, X_test, images=images)
    predictions = ridge.together(ridge.predict_blocks(kernel, Y, alpha, "train", seed=2, block=5))
    left_out = []
    for image in range(15):
        own = images == image
        plain = scikit_ridge(X[~own], X[own], Y[~own], alpha)
        left_out.append((plain - Y[~own].mean(axis=0)).mean(axis=0))
    offset = scikit_ridge(X, X_test, Y, alpha) - Y.mean(axis=0) - np.mean(left_out, axis=0)
    expected = offset / np.std(left_out, axis=0) * Y.std(axis=0) + Y.mean(axis=0)
    np.testing.assert_allclose(predictions, expected, rtol=2e-4)
    singles = ridge.together(ridge.predict_blocks(Kernel.of(X, X_test), Y, alpha, "train", seed=2))
    assert np.abs(singles - predictions).max() > 0.1


def test_images_that_are_all_different_are_no_repetitions(rng):
    X, X_test, _ = ridge_problem(rng, 20, 30)
    assert Kernel.of(X, X_test, images=np.arange(20) + 7).images is None
    with pytest.raises(ValueError, match="a label for each of 20 training rows, found 19"):
        Kernel.of(X, X_test, images=np.arange(19))


def test_shuffled_images_keep_repetitions_together():
    ids = np.array([30, 10, 30, 20, 10])
    found = shuffled_images(ids, 0)
    assert not np.any(found == ids)
    assert found[0] == found[2] != found[1] == found[4]
    assert set(found) == {10, 20, 30}


def test_the_calibration_states_its_sampling_error(rng):
    assert ridge.calibration_error(900) == {"mean": 0, "spread": 0}
    n, k = 5000, ridge.CALIBRATION_IMAGES
    population = rng.standard_normal(n)
    drawn = np.array([rng.permutation(population)[:k] for _ in range(400)])
    error = ridge.calibration_error(n)
    assert error["mean"] == pytest.approx(drawn.mean(axis=1).std(), rel=0.15)
    assert error["spread"] == pytest.approx(drawn.std(axis=1).std(), rel=0.15)


def test_published_calibration_is_that_of_the_published_script(rng):
    X, X_test, Y = ridge_problem(rng, 40, 90)
    Y[:, 4] = 0.3
    predictions = ridge.predict(X, X_test, Y, 50.0, "published", block=5)
    plain = np.delete(scikit_ridge(X, X_test, Y, 50.0), 4, axis=1)
    varying = np.delete(Y, 4, axis=1)
    zscored = (plain - np.mean(plain, axis=0)) / np.std(plain, axis=0)
    expected = zscored * np.std(varying, axis=0) + np.mean(varying, axis=0)
    np.testing.assert_allclose(np.delete(predictions, 4, axis=1), expected, rtol=1e-4)
    np.testing.assert_array_equal(predictions[:, 4], np.float32(0.3))
    with pytest.raises(ValueError, match="at least 2 images"):
        ridge.predict(X, X_test[:1], Y, 50.0, "published")


def test_no_test_image_changes_another_ones_prediction_unless_published(rng):
    X, X_test, Y = ridge_problem(rng, 40, 90)
    others = X_test.copy()
    others[1:] = rng.standard_normal(others[1:].shape) * 10
    for calibration in ("none", "train"):
        first = ridge.predict(X, X_test, Y, 50.0, calibration)[0]
        np.testing.assert_array_equal(ridge.predict(X, others, Y, 50.0, calibration)[0], first)
        alone = ridge.predict(X, X_test[:1], Y, 50.0, calibration)[0]
        np.testing.assert_allclose(alone, first, rtol=1e-5)
    first = ridge.predict(X, X_test, Y, 50.0, "published")[0]
    assert np.abs(ridge.predict(X, others, Y, 50.0, "published")[0] - first).max() > 0.1


@pytest.mark.parametrize("calibration", ["none", "train", "published"])
def test_responses_without_signal_predict_the_training_mean(rng, calibration):
    _, X_test, Y = ridge_problem(rng, 19, 30)
    X = np.full((19, 30), 0.1)
    assert np.any(X.mean(axis=0) != X)  # centred, they are rounding errors, which no calibration may blow up
    predictions = ridge.predict(X, X_test, Y, 1.0, calibration)
    np.testing.assert_allclose(predictions, np.tile(Y.mean(axis=0), (len(X_test), 1)), rtol=1e-6)


@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9)])
def test_torch_computes_what_numpy_does(rng, n, p):
    X, X_test, Y = ridge_problem(rng, n, p)
    numpy, torch = NumPy(), Torch("cpu")
    ours, theirs = Kernel.of(X, X_test, numpy), Kernel.of(X, X_test, torch)
    np.testing.assert_allclose(theirs.system, ours.system, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(theirs.test, ours.test, rtol=1e-12, atol=1e-11)
    alpha = np.resize([1.0, 100.0], Y.shape[1])
    for calibration in ("none", "train", "published"):
        expected = ridge.predict(X, X_test, Y, alpha, calibration, block=5, backend=numpy)
        found = ridge.predict(X, X_test, Y, alpha, calibration, block=5, backend=torch)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    expected = cross_validate(ours, Y, [0.1, 10.0], backend=numpy)
    found = cross_validate(theirs, Y, [0.1, 10.0], backend=torch)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
    with pytest.raises(ValueError, match="lost in rounding"):
        torch.factor(np.full((9, 9), 1e9), 1e-9)


@pytest.mark.parametrize("n", [8, 11, 12, 23])
def test_a_factor_in_parts_is_that_of_the_whole(rng, monkeypatch, n):
    x, right = rng.standard_normal((n, 5)), rng.standard_normal((n, 3))
    system, numpy = x @ x.T, NumPy()
    whole = numpy.solve(numpy.factor(system, 2.0), right), numpy.inverse(numpy.factor(system, 2.0))
    monkeypatch.setattr(backends, "WHOLE", 7)
    monkeypatch.setattr(backends, "PART", 4)
    parts = numpy.solve(numpy.factor(system, 2.0), right), numpy.inverse(numpy.factor(system, 2.0))
    for found, wanted in zip(parts, whole, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    np.testing.assert_allclose(parts[0], np.linalg.solve(system + 2 * np.eye(n), right), atol=1e-12)
    for broken in (system - np.eye(n), np.diag([1.0] * 6 + [-1.0] + [1.0] * (n - 7))):
        with pytest.raises(ValueError, match="lost in rounding"):
            numpy.factor(broken, 0.0)


@pytest.mark.parametrize("backend", [NumPy(), Torch("cpu")])
@pytest.mark.parametrize(("n", "p"), [(40, 90), (60, 9)])
@pytest.mark.parametrize("last", ["coefficients", "residual_maker"])
def test_a_fit_whose_factor_is_used_up_gives_no_garbage(rng, backend, n, p, last):
    """An inverse takes the factor's memory: the weights after it were wrong, without a word."""
    X, X_test, _ = ridge_problem(rng, n, p)
    fit = Fit(Kernel.of(X, X_test), 5.0, backend)
    weights, left_out = fit.weights(), fit.left_out_weights([np.array([3])])
    np.testing.assert_array_equal(fit.weights(), weights)
    np.testing.assert_array_equal(fit.left_out_weights([np.array([3])]), left_out)
    getattr(fit, last)()
    for again in (fit.weights, fit.coefficients, fit.residual_maker, lambda: fit.left_out_weights([[3]])):
        with pytest.raises(SpentError, match="used up by an inverse"):
            again()


def test_predictions_taken_once_are_not_taken_again_as_fewer(rng):
    X, X_test, Y = ridge_problem(rng, 20, 30)
    blocks = ridge.predict_blocks(Kernel.of(X, X_test), Y, 5.0, block=4)
    next(blocks)
    with pytest.raises(ValueError, match="an iterator used before"):
        ridge.together(blocks)  # without the first four columns
    with pytest.raises(ValueError, match="an iterator used before"):
        ridge.together(blocks)


def test_without_a_gpu_torch_is_not_imported():
    code = (
        "import sys; from neural_recon.core import backends; from neural_recon.decoding import "
        "penalty_table, ridge, ridge_files; from neural_recon.features import feature_files; "
        "chosen = backends.choose(); print(type(chosen).__name__, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() in (["NumPy", "False"], ["NumPy", "True"], ["Torch", "True"])
    assert found.split() == ["NumPy", "False"] or list(Path("/dev").glob("nvidia[0-9]*"))


def test_predictions_are_written_block_by_block(rng, tmp_path):
    X, X_test, Y = ridge_problem(rng, 30, 50)
    ids = {"train_ids": np.arange(30), "test_ids": np.arange(30, 37)}
    write_kernel(tmp_path / "kernel.h5", Kernel.of(X, X_test), ids)
    found, train_ids, test_ids = read_kernel(tmp_path / "kernel.h5")
    np.testing.assert_array_equal(train_ids, ids["train_ids"])
    path = tmp_path / "decoded.h5"
    file = PredictionFile(path, "train", {"image_id": test_ids}, {"pairs": "decoded"})
    write_predictions([(None, [file])], found, Y, 5.0, 1, block=4)
    expected = ridge.predict(X, X_test, Y, 5.0, "train", seed=1)
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["predictions"][()], expected, rtol=1e-5)
        np.testing.assert_array_equal(file["image_id"][()], ids["test_ids"])
        assert '"spread": 0.0' in file.attrs["calibration_error"]
    assert read_parameters(path) == {"alpha": [5.0], "calibration": "train", "seed": 1, "pairs": "decoded"}

    Y[3, 9] = np.nan  # in the last block: nothing half-written stays
    bad = PredictionFile(tmp_path / "bad.h5", "none", {"image_id": test_ids}, {})
    with pytest.raises(ValueError, match="column 9"):
        write_predictions([(None, [bad])], found, Y, 5.0, 1, block=4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["decoded.h5", "kernel.h5"]


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("calibration", ["train", "published"])
def test_several_fits_from_one_reading_equal_those_one_by_one(rng, repeated, intercept, calibration):
    """Other pairs and another calibration; with unequal repetitions other pairs are no permutation."""
    X, X_test, Y = ridge_problem(rng, 40, 60)
    images = np.sort(rng.integers(0, 15, 40)) if repeated else np.arange(40)
    Y = Y[rows_of(images, images)].astype(np.float32) + 3
    mixed = shuffled_images(images, 1)
    order = rows_of(images, mixed)
    found = Kernel.of(X, X_test, images=images, intercept=intercept)
    other = "published" if calibration == "train" else "train"
    reads = []

    class Counted:
        shape = Y.shape

        def __getitem__(self, index):
            reads.append(index)
            return Y[index]

    pairings = [ridge.Pairing([calibration, other]), ridge.Pairing([calibration, "none"], order)]
    solution = ridge.Solution(found, 5.0, Y.shape[1], "train", seed=2)
    blocks = list(solution.several(Counted(), pairings, block=7))
    assert len(reads) == len(blocks) == -(-Y.shape[1] // 7)
    fits = [(pairing.order, one) for pairing in pairings for one in pairing.calibrations]
    for which, (rows, one) in enumerate(fits):
        targets = Y if rows is None else Y[rows]
        alone = ridge.together(ridge.predict_blocks(found, targets, 5.0, one, seed=2))
        several = np.concatenate([parts[which] for _, parts in blocks], axis=1)
        np.testing.assert_allclose(several, alone, rtol=1e-4, atol=2e-4)  # float32, some without a shift
    without = ridge.Solution(found, 5.0, Y.shape[1], "none")
    with pytest.raises(ValueError, match='expected a solution with calibration "train"'):
        list(without.several(Y, pairings))


@pytest.mark.parametrize(("rows", "voxels"), [(300, 500), (900, 250)])
def test_memory_asked_for_holds_kernel_responses_and_factor(rng, rows, voxels):
    X, X_test = (rng.standard_normal((n, voxels), np.float32) for n in (rows, 50))
    found = Kernel.of(X, X_test)
    arrays = [X, X_test, found.system, found.test, found.system, *([] if rows < voxels else [found.basis])]
    assert memory_estimate.kernel_megabytes(rows, 50, voxels) == sum(a.nbytes for a in arrays) // 10**6


def test_shuffled_pairs_move_every_row():
    for n in (2, 3, 50):
        permutation = shuffled_pairs(n, seed=n)
        np.testing.assert_array_equal(np.sort(permutation), np.arange(n))
        assert not np.any(permutation == np.arange(n))
        np.testing.assert_array_equal(permutation, shuffled_pairs(n, seed=n))
    assert not np.array_equal(shuffled_pairs(50, 1), shuffled_pairs(50, 2))
    with pytest.raises(ValueError, match="at least 2"):
        shuffled_pairs(1, 0)
