"""Kept decoders against the predictions of a run."""

import h5py
import numpy as np
import pytest
import yaml
from helpers.kept_run import ALPHA, VOLUME, predicted
from helpers.places import ROOT

from neural_recon.config.configuration import resolve
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_parameters
from neural_recon.decoding import kept_decoders, ridge
from neural_recon.decoding.kernel import Kernel


def zscored(rng, n, p, n_test=7):
    """Responses of falling variance in n + n_test images, z-scored with the first n; mean and std."""
    spectrum = np.exp(-np.arange(p) / (p / 6))
    mixing = np.linalg.qr(rng.standard_normal((p, p)))[0]
    x = 2 + (rng.standard_normal((n + n_test, p)) * spectrum) @ mixing
    mean, std = x[:n].mean(0).astype(np.float32), x[:n].std(0, ddof=1).astype(np.float32)
    z = ((x - mean) / std).astype(np.float32)
    return z[:n], z[n:], {"train": z[:n], "mean": mean, "std": std}


def targets_of(rng, train, width):
    """Features that follow the responses, of very different sizes, one constant."""
    signal = train @ rng.standard_normal((train.shape[1], width)) / 4
    features = 40 + np.geomspace(1e-3, 1e3, width) * (signal + rng.standard_normal(signal.shape))
    features[:, width // 2] = 3
    return features.astype(np.float32)


def keep(folder, responses, positions, volume, kernel, targets, alpha, how, calibration="train", error=0.01):
    """Write one space's decoder and what it shares; their paths."""
    shared, path = folder / "responses.h5", folder / "vdvae.h5"
    kept_decoders.write_shared(shared, responses, positions, volume, kernel, how, {"zscore": "train"})
    kept_decoders.write_decoder(
        path, shared, responses["train"], kernel, targets, alpha, calibration, 0, error
    )
    return path, shared


@pytest.mark.parametrize("calibration", ["train", "none"])
@pytest.mark.parametrize(("n", "p"), [(60, 100), (100, 40)])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_kept_kernel_predicts_as_the_run_did(rng, tmp_path, monkeypatch, n, p, calibration, groups):
    monkeypatch.setattr(ridge, "CALIBRATION_IMAGES", 30)
    train, test, responses = zscored(rng, n, p)
    targets = targets_of(rng, train, 50)
    alpha = ALPHA if groups == 1 else np.repeat([ALPHA, 300, ALPHA], [20, 13, 17])
    expected = ridge.predict(train, test, targets, alpha, calibration)
    positions = np.zeros((p, 3), int)
    kernel = Kernel.of(train, test)
    path, shared = keep(tmp_path, responses, positions, VOLUME, kernel, targets, alpha, "kernel", calibration)
    found = predicted(path, shared, test)
    spread = np.where(expected.std(0) > 0, expected.std(0), 1)
    assert np.abs((found - expected) / spread).max() < 0.01
    assert np.sqrt(np.mean(((found - expected) / spread) ** 2)) < 0.001
    # one at a time is the same
    np.testing.assert_allclose(predicted(path, shared, test[:1]), found[:1], rtol=1e-4, atol=1e-4)
    with h5py.File(path) as file:
        assert file["coefficients"].dtype == np.float16
        assert len(file["coefficients"]) == min(n, p)


@pytest.mark.parametrize(("n", "p"), [(120, 200), (200, 80)])
@pytest.mark.parametrize("error", [0.01, 0.1])
def test_kept_components_predict_within_the_stated_error(rng, tmp_path, n, p, error):
    train, test, responses = zscored(rng, n, p, n_test=100)
    targets = targets_of(rng, train, 60)
    expected = ridge.predict(train, test, targets, ALPHA, "train")
    path, shared = keep(tmp_path, responses, np.zeros((p, 3), int), VOLUME, Kernel.of(train, test), targets,
                        ALPHA, "components", error=error)  # fmt: skip
    found = predicted(path, shared, test)
    moving = expected.std(0) > 0
    difference = (found - expected)[:, moving] / expected.std(0)[moving]
    parameters = read_parameters(path)
    assert 0 < parameters["relative_error"] <= error
    # other images than it was measured with
    assert np.sqrt(np.mean(difference**2)) < 1.5 * error
    assert 1 < parameters["components"] < 0.95 * parameters["of"]
    with h5py.File(path) as file:
        assert len(file["coefficients"]) == parameters["components"]


def test_all_components_are_the_whole_decoder(rng, tmp_path):
    train, test, responses = zscored(rng, 60, 100)
    targets = targets_of(rng, train, 20)
    path, shared = keep(tmp_path, responses, np.zeros((100, 3), int), VOLUME, Kernel.of(train, test), targets,
                        ALPHA, "components", error=1e-9)  # fmt: skip
    expected = ridge.predict(train, test, targets, ALPHA, "train")
    spread = np.where(expected.std(0) > 0, expected.std(0), 1)
    assert np.abs((predicted(path, shared, test) - expected) / spread).max() < 0.01
    values, vectors = Kernel.of(train, test).components(train)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-6)
    assert len(values) == 59  # centred images span one dimension less


def test_files_of_different_runs_are_one_sentence(rng, tmp_path):
    train, test, responses = zscored(rng, 30, 50)
    path, shared = keep(tmp_path, responses, np.zeros((50, 3), int), VOLUME, Kernel.of(train, test),
                        targets_of(rng, train, 5), ALPHA, "kernel")  # fmt: skip
    kept_decoders.write_shared(shared, {**responses, "train": train[:20]}, np.zeros((50, 3), int), VOLUME,
                          Kernel.of(train[:20], test), "kernel", {"zscore": "train"})  # fmt: skip
    with pytest.raises(InputError, match=r"expected a decoder of the 20 rows.*found 30"):
        predicted(path, shared, test)
    kept_decoders.write_shared(shared, {**responses, "train": train[::-1]}, np.zeros((50, 3), int), VOLUME,
                          Kernel.of(train[::-1], test), "kernel", {"zscore": "train"})  # fmt: skip
    with pytest.raises(InputError, match=r"vdvae.h5: expected a decoder of the responses in .*responses.h5"):
        predicted(path, shared, test)


def test_published_calibration_cannot_be_kept(rng, tmp_path):
    raw = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    raw["decoder"] = {"keep": "kernel", "calibration": "published"}
    with pytest.raises(InputError, match="keep needs calibration"):
        resolve(raw, ROOT)
    train, test, responses = zscored(rng, 30, 50)
    with pytest.raises(ValueError, match="published"):
        keep(tmp_path, responses, np.zeros((50, 3), int), VOLUME, Kernel.of(train, test),
             targets_of(rng, train, 5), ALPHA, "kernel", "published")  # fmt: skip
    assert not (tmp_path / "vdvae.h5").exists()
