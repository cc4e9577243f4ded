"""Metrics against SciPy, scikit-image and brute force."""

import logging

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import distance
from scipy.stats import pearsonr
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from neural_recon import metrics

SKIMAGE = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}


@pytest.fixture
def pictures(rng):
    """Truths (6, 20, 24, 3) and pictures that resemble them."""
    truth = rng.random((6, 20, 24, 3))
    return truth, np.clip(0.6 * truth + 0.4 * rng.random(truth.shape), 0, 1)


def brute_force_two_way(truth, features):
    n = len(truth)
    wins = np.zeros(n)
    for j in range(n):
        own = pearsonr(truth[j], features[j]).statistic
        wins[j] = sum(own > pearsonr(truth[i], features[j]).statistic for i in range(n) if i != j)
    return wins / (n - 1)


def test_pixcorr_equals_scipy(pictures):
    truth, images = pictures
    expected = [[pearsonr(t.ravel(), p.ravel()).statistic for p in images] for t in truth]
    np.testing.assert_allclose(metrics.pixcorr_matrix(truth, images), expected, atol=1e-12)
    np.testing.assert_allclose(metrics.pixcorr(truth, images), np.diag(expected), atol=1e-12)
    single = metrics.pixcorr(truth.astype(np.float32), images.astype(np.float32))
    np.testing.assert_allclose(single, np.diag(expected), atol=1e-6)


def test_ssim_equals_scikit_image_in_both_variants(pictures):
    truth, images = pictures
    # channel_axis=1 on a grey picture is what multichannel=True once did: every column a channel
    for variant, channel_axis in (("1d", 1), ("2d", None)):
        expected = [
            [
                structural_similarity(rgb2gray(t), rgb2gray(p), channel_axis=channel_axis, **SKIMAGE)
                for p in images
            ]
            for t in truth
        ]
        np.testing.assert_allclose(metrics.ssim(truth, images, variant), np.diag(expected), atol=1e-10)
        np.testing.assert_allclose(metrics.ssim_matrix(truth, images, variant), expected, atol=1e-10)
    assert np.abs(metrics.ssim(truth, images, "1d") - metrics.ssim(truth, images, "2d")).min() > 1e-3


def test_ssim_1d_is_the_mean_over_columns_of_one_dimensional_ssim(pictures):
    truth, images = pictures
    x, y = rgb2gray(truth[0]), rgb2gray(images[0])
    columns = [structural_similarity(x[:, c], y[:, c], **SKIMAGE) for c in range(x.shape[1])]
    assert metrics.ssim(truth[:1], images[:1], "1d")[0] == pytest.approx(np.mean(columns), abs=1e-10)


def test_ssim_holds_on_real_pictures(nsd_mini):
    files = sorted((nsd_mini / "images").glob("*.jpg"))[:2]
    stack = np.stack([np.asarray(Image.open(file).convert("RGB").resize((96, 96))) for file in files])
    truth, images = metrics.resize(stack, 96, "bicubic"), metrics.resize(stack[::-1], 96, "bicubic")
    for variant, channel_axis in (("1d", 1), ("2d", None)):
        expected = structural_similarity(
            rgb2gray(truth[0]), rgb2gray(images[0]), channel_axis=channel_axis, **SKIMAGE
        )
        assert metrics.ssim(truth, images, variant)[0] == pytest.approx(expected, abs=1e-5)
    assert metrics.ssim(truth, truth, "2d").tolist() == pytest.approx([1, 1])


def test_correlations_of_features_equal_scipy(rng, monkeypatch):
    monkeypatch.setattr(metrics, "FEATURE_BLOCK", 7)
    truth = rng.standard_normal((9, 4, 5)).astype(np.float32) + 5
    features = 0.3 * truth + rng.standard_normal(truth.shape).astype(np.float32)
    flat = truth.reshape(9, -1).astype(float), features.reshape(9, -1).astype(float)
    expected = np.array([[distance.correlation(t, f) for f in flat[1]] for t in flat[0]])
    np.testing.assert_allclose(metrics.correlation_matrix(truth, features), 1 - expected, atol=1e-12)
    np.testing.assert_allclose(metrics.correlation_distance(truth, features), np.diag(expected), atol=1e-12)
    np.testing.assert_array_equal(metrics.two_way_identification(truth, features), brute_force_two_way(*flat))


@pytest.mark.parametrize("n", [2, 3, 12, 40])
def test_chance_of_two_way_identification_is_a_half(rng, n):
    truth, features = rng.standard_normal((n, 30)), rng.standard_normal((n, 30))
    r = metrics.correlation_matrix(truth, features)
    every_pairing = metrics.two_way_matrix(r)
    assert every_pairing.mean() == pytest.approx(0.5)
    # features that truly match, every picture beside a wrong truth: the mean over many re-pairings
    r = metrics.correlation_matrix(truth, truth + 0.5 * features)
    shuffles = [rng.permutation(n) for _ in range(1500)]
    scores = [metrics.two_way_from_matrix(r[:, order]).mean() for order in shuffles]
    assert np.mean(scores) == pytest.approx(0.5, abs=5 * np.std(scores) / np.sqrt(1500))


def test_two_way_scores_of_any_repairing_stand_in_the_matrix(rng):
    truth, features = rng.standard_normal((8, 10)), rng.standard_normal((8, 10))
    all_pairs = metrics.two_way_matrix(metrics.correlation_matrix(truth, features))
    order = rng.permutation(8)
    expected = brute_force_two_way(truth, features[order])
    np.testing.assert_array_equal(all_pairs[np.arange(8), order], expected)


def test_two_way_identification_looks_along_the_truths_and_counts_no_ties():
    # picture 0 suits truth 0 best; picture 1 too, so it loses; picture 2 ties with truth 1
    r = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.5], [0.1, 0.1, 0.5]])
    assert metrics.two_way_from_matrix(r).tolist() == [1.0, 0.5, 0.5]


def test_constant_pictures_count_as_unrelated_and_are_reported(pictures, caplog):
    truth, images = pictures
    images[2] = 0.1
    with caplog.at_level(logging.WARNING):
        scores = metrics.pixcorr(truth, images)
    assert scores[2] == 0
    assert np.all(scores[[0, 1, 3, 4, 5]] > 0.3)
    assert "1 of 6 picture rows are constant" in caplog.text
    assert metrics.correlation_distance(truth, images)[2] == 1
    assert metrics.two_way_identification(truth, images)[2] == 0
    assert np.all(np.isfinite(metrics.ssim(truth, images, "2d")))


def test_bad_arguments_are_refused(pictures):
    truth, images = pictures
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metrics.pixcorr(truth, (images * 255).astype(np.uint8))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metrics.ssim(truth * np.nan, images, "2d")
    with pytest.raises(ValueError, match="must both be"):
        metrics.pixcorr(truth, images[:-1])
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.ssim(truth[:, :10], images[:, :10], "2d")
    with pytest.raises(ValueError, match="variant"):
        metrics.ssim(truth, images, "3d")
    with pytest.raises(ValueError, match="NaN"):
        metrics.correlation_distance(truth, images * np.nan)
    with pytest.raises(ValueError, match="at least 2 truths"):
        metrics.two_way_identification(truth[:1], images[:1])


def test_resize_is_pils(rng):
    images = rng.integers(0, 256, (2, 30, 30, 3), dtype=np.uint8)
    out = metrics.resize(images, 12, "bicubic")
    expected = np.asarray(Image.fromarray(images[1]).resize((12, 12), Image.Resampling.BICUBIC)) / 255
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[1], expected, atol=1e-7)
    np.testing.assert_array_equal(metrics.resize(images, 30, "bilinear"), images / np.float32(255))
    with pytest.raises(ValueError, match="uint8"):
        metrics.resize(out, 12, "bicubic")


def test_presets_bring_both_to_one_size(rng):
    truth = rng.integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    images = rng.integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    for name, size in (("brain_diffuser", 425), ("mindeye2", 425), ("native", 20)):
        t, p = metrics.at_preset(truth, images, metrics.PRESETS[name])
        assert t.shape == p.shape == (2, size, size, 3)
    np.testing.assert_array_equal(p, images / np.float32(255))
    np.testing.assert_array_equal(t, metrics.resize(truth, 20, "bilinear"))
    _, p = metrics.at_preset(truth, images, metrics.PRESETS["mindeye2"])
    steps = Image.fromarray(images[0]).resize((256, 256), Image.Resampling.BILINEAR)
    steps = np.asarray(steps.resize((425, 425), Image.Resampling.BILINEAR)) / np.float32(255)
    np.testing.assert_array_equal(p[0], steps)
