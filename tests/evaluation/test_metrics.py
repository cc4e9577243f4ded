"""Metrics against SciPy, scikit-image and brute force."""

import itertools
import logging

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import distance
from scipy.stats import pearsonr
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from neural_recon.evaluation import metrics, ssim_variants

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


@pytest.mark.parametrize("size", [(11, 11), (37, 53), (70, 44)])  # one window; several stripes and bands
@pytest.mark.parametrize(("variant", "channel_axis"), [("1d", 1), ("2d", None)])
def test_repaired_ssim_equals_scikit_image_and_ssim(rng, monkeypatch, size, variant, channel_axis):
    truth = rng.integers(0, 256, (7, *size, 3), np.uint8)
    images = (truth // 2 + rng.integers(0, 128, truth.shape)).astype(np.uint8)
    pairings = np.array([np.arange(7), rng.permutation(7), np.zeros(7, int)])
    found = ssim_variants.ssim_repaired(truth, images, variant, pairings)
    expected = [
        [
            structural_similarity(
                rgb2gray(truth[i]), rgb2gray(images[j]), channel_axis=channel_axis, **SKIMAGE
            )
            for i, j in enumerate(pairing)
        ]
        for pairing in pairings
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)  # pixels are float32 here, float64 there
    for values, pairing in zip(found, pairings, strict=True):
        own = metrics.ssim(ssim_variants.unit(truth), ssim_variants.unit(images[pairing]), variant)
        np.testing.assert_allclose(values, own, atol=1e-14)
    single = ssim_variants.ssim_repaired(truth, images, variant, pairings, np.float32)
    np.testing.assert_allclose(single, found, rtol=0, atol=1e-4)
    monkeypatch.setattr(ssim_variants, "BLOCK", 3)
    np.testing.assert_allclose(ssim_variants.ssim_of_bytes(truth, images, variant), found[0], atol=1e-14)
    with pytest.raises(ValueError, match=r"\(k, 7\)"):
        ssim_variants.ssim_repaired(truth, images, variant, pairings[:, :5])


def test_8_bit_pictures_score_as_their_255ths_to_the_bit(rng):
    truth, images = (rng.integers(0, 256, (5, 20, 24, 3), np.uint8) for _ in range(2))
    floats = [ssim_variants.unit(pictures) for pictures in (truth, images)]
    np.testing.assert_array_equal(metrics.correlation_matrix(truth, images), metrics.pixcorr_matrix(*floats))
    found = ssim_variants.ssim_repaired(truth, images, "2d", np.arange(5)[None])[0]
    np.testing.assert_allclose(found, metrics.ssim(*floats, "2d"), atol=1e-14)


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
    # features that truly match, every picture alongside a wrong truth: the mean over many re-pairings
    r = metrics.correlation_matrix(truth, truth + 0.5 * features)
    shuffles = [rng.permutation(n) for _ in range(1500)]
    scores = [np.diag(metrics.two_way_matrix(r[:, order])).mean() for order in shuffles]
    assert np.mean(scores) == pytest.approx(0.5, abs=5 * np.std(scores) / np.sqrt(1500))


@pytest.mark.parametrize("n", [5, 12, 100, 1000])
def test_chance_on_shuffled_pairs_is_a_half_for_any_number_of_images(rng, n):
    # features that carry the truth, each alongside a wrong one: n - 1 others count, n would give (n - 1) / 2n
    truth = rng.standard_normal((n, 20))
    features = truth + rng.standard_normal((n, 20))
    assert metrics.two_way_identification(truth, features).mean() > 0.9
    turns = range(n) if n <= 100 else rng.permutation(n)[:100]
    matrix = metrics.two_way_matrix(metrics.correlation_matrix(truth, features))
    shuffled = np.array([matrix[np.arange(n), np.roll(np.arange(n), turn)].mean() for turn in turns])
    if n <= 100:  # all rotations hold every pair once
        assert shuffled.mean() == pytest.approx(0.5, abs=1e-12)
    assert shuffled.mean() == pytest.approx(0.5, abs=5 * shuffled.std() / np.sqrt(len(shuffled)) + 1e-12)
    once = np.roll(np.arange(n), turns[-1])
    np.testing.assert_array_equal(
        metrics.two_way_identification(truth, features[once]), matrix[np.arange(n), once]
    )


def test_two_way_scores_of_any_repairing_stand_in_the_matrix(rng):
    truth, features = rng.standard_normal((8, 10)), rng.standard_normal((8, 10))
    all_pairs = metrics.two_way_matrix(metrics.correlation_matrix(truth, features))
    order = rng.permutation(8)
    expected = brute_force_two_way(truth, features[order])
    np.testing.assert_array_equal(all_pairs[np.arange(8), order], expected)


def test_two_way_identification_looks_along_the_truths_and_counts_no_ties():
    # picture 0 suits truth 0 best; picture 1 too, so it loses; picture 2 ties with truth 1
    r = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.5], [0.1, 0.1, 0.5]])
    assert np.diag(metrics.two_way_matrix(r)).tolist() == [1.0, 0.5, 0.5]


def test_a_tie_is_no_win(rng):
    # the published count: strictly higher; two equal truths never win against each other
    truth = rng.standard_normal((6, 20))
    truth[4] = truth[1]
    scores = metrics.two_way_identification(truth, truth)
    assert scores.tolist() == [1, 0.8, 1, 1, 0.8, 1]
    np.testing.assert_array_equal(scores, brute_force_two_way(truth, truth))
    # the same picture for every truth: exactly a half, as without ties
    same = np.repeat(rng.standard_normal((1, 20)), 6, axis=0)
    truth = rng.standard_normal((6, 20))
    assert metrics.two_way_identification(truth, same).mean() == pytest.approx(0.5)


@pytest.mark.parametrize("which", ["truth", "images", "both", "all"])
def test_constant_pictures_never_give_nan_and_pixcorr_says_so(which, caplog, rng):
    truth = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
    images = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
    rows = slice(None) if which == "all" else [0]
    if which != "images":
        truth[rows] = 128
    if which != "truth":
        images[rows] = 77
    eight_bit = truth, images
    truth, images = map(ssim_variants.unit, eight_bit)
    with caplog.at_level(logging.WARNING):
        for function in (metrics.pixcorr, metrics.correlation_distance, metrics.two_way_identification):
            assert np.isfinite(function(truth, images)).all()
    count = 4 if which == "all" else 1
    for name in {"truth": ["truth"], "images": ["picture"]}.get(which, ["truth", "picture"]):
        assert (
            caplog.text.count(f"{count} of 4 {name} rows are constant: their correlation is taken as 0") == 3
        )
    assert metrics.pixcorr(truth, images)[0] == 0
    assert metrics.correlation_distance(truth, images)[0] == 1
    assert np.isfinite(metrics.pixcorr_matrix(truth, images)).all()
    # grey 128 alongside grey 77: contrast and structure agree, luminance does not (Wang et al., 2004)
    luminance = (2 * 128 * 77 / 255**2 + 0.01**2) / ((128**2 + 77**2) / 255**2 + 0.01**2)
    pairing = np.arange(4)[None]
    for variant in ("1d", "2d"):
        found = metrics.ssim(truth, images, variant)
        assert np.isfinite(found).all()
        assert np.isfinite(ssim_variants.ssim_repaired(*eight_bit, variant, pairing)).all()
        if which in ("both", "all"):
            assert found[0] == pytest.approx(luminance, abs=1e-6)


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


def test_cosines_equal_scipy(rng, monkeypatch):
    monkeypatch.setattr(metrics, "FEATURE_BLOCK", 7)
    truth = rng.standard_normal((6, 4, 5)).astype(np.float32) + 1
    features = rng.standard_normal((5, 4, 5)).astype(np.float32)
    features[2] = 0
    features[3] = 4  # constant, and not without a direction
    flat = truth.reshape(6, -1).astype(float), features.reshape(5, -1).astype(float)
    found = metrics.cosine_matrix(truth, features)
    for j in (0, 1, 3, 4):
        np.testing.assert_allclose(
            found[:, j], [1 - distance.cosine(t, flat[1][j]) for t in flat[0]], atol=1e-12
        )
    assert (found[:, 2] == 0).all()


def test_retrieval_by_brute_force(rng):
    """The true one against all sets of rivals that can be drawn: what many draws come to."""
    similarity = rng.standard_normal((7, 7))
    similarity[3] = similarity[2]  # a tie is no success
    expected = np.zeros((7, 7))
    for i in range(7):
        others = np.delete(similarity, i, axis=0)
        sets = [others[list(rows)] for rows in itertools.combinations(range(6), 3)]
        expected[i] = np.mean([similarity[i] > chosen.max(axis=0) for chosen in sets], axis=0)
    found = metrics.retrieval_matrix(similarity, seed=0, candidates=4, draws=4000)
    np.testing.assert_allclose(found, expected, atol=0.04)
    np.testing.assert_array_equal(found, metrics.retrieval_matrix(similarity, 0, 4, 4000))
    # all of them are candidates: top 1, once
    best = similarity == similarity.max(axis=0)
    best[:, best.sum(axis=0) > 1] = False
    np.testing.assert_array_equal(metrics.retrieval_matrix(similarity, seed=5), best)


@pytest.mark.parametrize("n", [5, 12, 100, 300, 301, 1000])
def test_chance_of_retrieval_is_one_of_the_candidates(rng, n):
    candidates = min(n, metrics.CANDIDATES)
    found = metrics.retrieval_matrix(rng.standard_normal((n, n)), seed=1, draws=5)
    # over all pairings of n images every picture finds one of the candidates of each draw
    assert found.mean() == pytest.approx(1 / candidates, rel=0.02 if n > 300 else 1e-12)
    # features that carry the truth: found, and after re-pairing at chance
    truth = rng.standard_normal((n, 64))
    matrix = metrics.retrieval_matrix(metrics.cosine_matrix(truth, truth + rng.standard_normal((n, 64))), 0)
    assert np.diag(matrix).mean() > 0.9
    assert matrix.mean() == pytest.approx(1 / candidates, rel=0.02 if n > 300 else 1e-12)
    assert metrics.retrieval_matrix(np.eye(n), 0).trace() == n
    assert metrics.retrieval_matrix(np.zeros((n, n)), 0).sum() == 0


def test_bad_arguments_are_refused(pictures):
    truth, images = pictures
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metrics.pixcorr(truth, (images * 255).astype(np.uint8))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metrics.pixcorr(truth, images * 255)
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
    with pytest.raises(ValueError, match=r"\(n, n\) with n at least 2"):
        metrics.retrieval_matrix(np.zeros((3, 4)), 0)
    with pytest.raises(ValueError, match="NaN"):
        metrics.retrieval_matrix(np.full((3, 3), np.nan), 0)
    with pytest.raises(ValueError, match="2 candidates"):
        metrics.retrieval_matrix(np.eye(3), 0, candidates=1)
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
        t, p = map(metrics.unit, metrics.sized(truth, images, metrics.PRESETS[name]))
        assert t.shape == p.shape == (2, size, size, 3)
    np.testing.assert_array_equal(p, images / np.float32(255))
    np.testing.assert_array_equal(t, metrics.resize(truth, 20, "bilinear"))
    _, p = map(metrics.unit, metrics.sized(truth, images, metrics.PRESETS["mindeye2"]))
    steps = Image.fromarray(images[0]).resize((256, 256), Image.Resampling.BILINEAR)
    steps = np.asarray(steps.resize((425, 425), Image.Resampling.BILINEAR)) / np.float32(255)
    np.testing.assert_array_equal(p[0], steps)


def test_margins_are_over_the_mean_correlation_with_the_others():
    r = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.3]])
    assert metrics.margins(r, [0, 1]).tolist() == pytest.approx([0.9 - 0.15, 0.8 - 0.2])
    assert metrics.margins(r, [2, 0]).tolist() == pytest.approx([0.1 - 0.55, 0.1 - 0.55])
