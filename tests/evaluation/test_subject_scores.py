"""Scores with their chance levels."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import distance
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity

from neural_recon.core.tables import write_table
from neural_recon.evaluation.metrics import resize_through
from neural_recon.evaluation.subject_scores import CAPTIONS, SAMPLED_REPAIRINGS, Scores
from neural_recon.generation import controls

IDS = np.arange(100, 140)


@pytest.fixture
def scores():
    return Scores("subj01", seed=0, repairings=400)


def row(scores: Scores) -> dict:
    """The newest score."""
    return scores.summary[-1]


def noisy(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Halfway to noise."""
    noise = rng.integers(0, 256, pictures.shape)
    return ((pictures.astype(int) + noise) // 2).astype(np.uint8)


def by_repairing(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean scores of 400 re-pairings, drawn independently of the package."""
    n = len(matrix)
    return np.array([np.mean([matrix[i, j] for i, j in enumerate(rng.permutation(n))]) for _ in range(400)])


def test_two_way_identification_of_signal_and_of_noise(scores, rng):
    truth = rng.standard_normal((40, 200))
    scores.compare("decoded", "vdvae", "two_way", IDS, truth, truth + rng.standard_normal((40, 200)))
    found = row(scores)
    assert found["mean"] == pytest.approx(1, abs=0.01)
    assert found["shuffled"] == pytest.approx(0.5, abs=0.02)
    assert found["p"] == 1 / 401
    scores.compare("shuffled", "vdvae", "two_way", IDS, truth, rng.standard_normal((40, 200)))
    found = row(scores)
    assert found["mean"] == pytest.approx(0.5, abs=0.15)
    assert found["p"] > 0.02
    assert found["ci_low"] < 0.5 < found["ci_high"]


def test_labels_by_hand_and_at_chance(scores):
    truth = np.array(["cat", "cat", "car", "cup"], dtype=object)  # as they come from a table
    named = np.array(["cat", "car", "car", "cat"])
    scores.compare("decoded", "base", "object", np.arange(4), truth, named)
    assert row(scores)["mean"] == 0.5
    assert scores.images[-1]["value"].tolist() == [1, 0, 1, 0]
    # all 24 pairings: cat 2 x 2, car 1 x 2 of 16 pairs agree
    assert row(scores)["shuffled"] == pytest.approx(6 / 16, abs=0.05)
    pairings = [np.mean(truth == named[list(p)]) for p in itertools.permutations(range(4))]
    assert row(scores)["shuffled_sd"] == pytest.approx(np.std(pairings), abs=0.04)
    assert row(scores)["p"] == pytest.approx(np.mean(np.array(pairings) >= 0.5), abs=0.08)


def test_small_pictures_are_compared_in_all_pairs(scores, rng):
    truth = np.kron(rng.integers(0, 256, (40, 4, 4, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)
    images = noisy(truth, rng)
    scores.add_pixels("decoded", "base", IDS, truth, images, "native")
    pixcorr, ssim = scores.summary
    assert (pixcorr["metric"], ssim["metric"]) == ("pixcorr", "ssim")
    r = np.array([[pearsonr(t.ravel(), i.ravel())[0] for i in images] for t in truth])
    assert pixcorr["mean"] == pytest.approx(np.diagonal(r).mean())
    drawn = by_repairing(r, rng)
    assert pixcorr["shuffled"] == pytest.approx(drawn.mean(), abs=0.01)
    assert pixcorr["shuffled_sd"] == pytest.approx(drawn.std(), rel=0.2)
    assert pixcorr["n"] == 40
    assert pixcorr["repairings"] == ssim["repairings"] == 400
    assert pixcorr["p"] == ssim["p"] == 1 / 401


def test_pictures_of_two_sizes_are_compared_at_one(scores, rng):
    """A base image smaller than the final one: both against the same truths, where the preset has no size."""
    truth = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    small = resize_through(noisy(truth, rng), (16,), "bilinear")
    scores.add_pixels("decoded", "base", IDS, truth, small, "native", side=32)
    at_once = [table["value"] for table in scores.images]
    scores.add_pixels("decoded", "final", IDS, truth, resize_through(small, (32,), "bilinear"), "native")
    for found, wanted in zip(at_once, scores.images[len(at_once) :], strict=True):
        np.testing.assert_array_equal(found, wanted["value"])
    scores.add_pixels("decoded", "final", IDS, truth, small, "native")
    assert (scores.images[-1]["value"] != at_once[-1]).any()


def test_large_pictures_are_compared_in_sampled_pairs(scores, rng):
    truth = np.kron(rng.integers(0, 256, (8, 13, 13, 3)), np.ones((1, 10, 10, 1))).astype(np.uint8)
    images = noisy(truth, rng)
    ids = np.arange(8)
    scores.add_pixels("decoded", "final", ids, truth, images, "native")
    ssim = row(scores)
    grey = [pictures / 255 @ [0.2125, 0.7154, 0.0721] for pictures in (truth, images)]

    def likeness(a, b):
        return structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
        )

    expected = [likeness(a, b) for a, b in zip(*grey, strict=True)]
    np.testing.assert_allclose(scores.images[-1]["value"], expected, atol=1e-6)
    matrix = np.array([[likeness(a, b) for b in grey[1]] for a in grey[0]])
    assert ssim["mean"] == pytest.approx(np.mean(expected), abs=1e-6)
    # a re-pairing keeps each pair with probability 1 / n: its expectation is the mean over all pairs
    spread = by_repairing(matrix, rng).std()
    assert ssim["shuffled"] == pytest.approx(matrix.mean(), abs=4 * spread / SAMPLED_REPAIRINGS**0.5)
    assert ssim["repairings"] == SAMPLED_REPAIRINGS
    assert ssim["p"] == pytest.approx(1 / (1 + SAMPLED_REPAIRINGS))
    assert ssim["ci_low"] <= ssim["mean"] <= ssim["ci_high"]
    # pictures that fit no truth are not better than re-paired ones
    scores.add_pixels("shuffled", "final", ids, truth, np.roll(images, 1, axis=0), "native")
    assert row(scores)["p"] > 0.2


def test_tables(scores, rng):
    matrices = {variant: rng.standard_normal((40, 40)) for variant in ("decoded", "shuffled")}
    for variant, matrix in matrices.items():
        scores.add(variant, "base", "pixcorr", IDS, matrix)
    images, summary = scores.image_table(), scores.summary_table()
    assert list(images) == [
        "subject",
        "variant",
        "picture",
        "metric",
        "image_id",
        "value",
        "chance",
        "margin",
    ]
    chance = images.loc[images["variant"] == "decoded", "chance"]
    np.testing.assert_allclose(chance, matrices["decoded"].mean(axis=1))
    assert len(images) == 80
    assert summary["variant"].tolist() == ["decoded", "shuffled"]
    means = images.groupby("variant")["value"].mean()
    np.testing.assert_allclose(summary["mean"], means[summary["variant"]])
    assert ((summary["ci_low"] < summary["mean"]) & (summary["mean"] < summary["ci_high"])).all()


def per_image(values: np.ndarray) -> np.ndarray:
    """Any matrix with these per-image scores."""
    return np.diag(values) + 0.5


def test_comparisons_are_paired_over_the_common_images(scores, rng):
    ids, control = np.arange(10), np.array([9, 1, 4, 6, 2, 8, 0, 5])  # in no order
    final, base = rng.uniform(0.2, 1, 10), rng.uniform(0, 0.8, 10)
    ceiling = rng.uniform(0.4, 1.2, 8)
    scores.add("decoded", "final", "pixcorr", ids, per_image(final))
    scores.add("decoded", "base", "pixcorr", ids, per_image(base))
    scores.add("decoded", "base", "ssim", ids, per_image(base))  # without a counterpart
    scores.add("true_features", "final", "pixcorr", control, per_image(ceiling))
    table = scores.comparisons().set_index("comparison")
    assert table.index.tolist() == ["final against base", "final against its ceiling"]
    assert set(table.index) <= {*controls.all_comparisons(), *CAPTIONS}
    assert (table["metric"] == "pixcorr").all()
    assert table["n"].tolist() == [10, 8]
    assert table["first"].tolist() == pytest.approx([final.mean() + 0.5, final[control].mean() + 0.5])
    assert table["second"].tolist() == pytest.approx([base.mean() + 0.5, ceiling.mean() + 0.5])
    difference = final[control] - ceiling
    flips = np.array([np.dot(signs, difference) for signs in itertools.product([1, -1], repeat=8)])
    exact = np.mean(np.abs(flips) >= abs(difference.sum()) - 1e-12)
    assert table.loc["final against its ceiling", "p"] == pytest.approx(exact, abs=0.02)


def test_single_stages_are_compared_with_the_full_recipe_and_nothing_with_itself(scores, rng):
    for variant, picture in (("decoded", "final"), ("decoded", "base"), ("guides_only", "final"),
                             ("shuffled", "final")):  # fmt: skip
        scores.add(variant, picture, "pixcorr", np.arange(10), per_image(rng.uniform(0, 1, 10)))
    names = scores.comparisons()["comparison"].tolist()
    stages = ["final against base", "final against guides only", "final against the shuffled decoder"]
    assert names == stages
    assert scores.comparisons(base_is_final=True)["comparison"].tolist() == stages[1:]


def test_scores_are_the_same_in_every_run(rng):
    matrix = rng.standard_normal((40, 40))
    tables = []
    for _ in range(2):
        scores = Scores("subj01", seed=3, repairings=200)
        scores.add("decoded", "base", "pixcorr", IDS, matrix)
        tables.append(scores.summary_table())
    pd.testing.assert_frame_equal(*tables)


def test_distances_are_better_when_lower(scores, rng):
    truth = rng.standard_normal((40, 50))
    found = truth + rng.standard_normal((40, 50))
    for variant, features in (("decoded", found), ("shuffled", np.roll(found, 1, axis=0))):
        scores.compare(variant, "base", "swav_distance", IDS, truth, features)
    own, wrong = scores.summary
    expected = [1 - pearsonr(t, f).statistic for t, f in zip(truth, found, strict=True)]
    np.testing.assert_allclose(scores.images[0]["value"], expected, atol=1e-12)
    assert own["better"] == "lower"
    assert own["p"] == 1 / 401
    assert own["shuffled"] == pytest.approx(1, abs=0.02)
    assert wrong["p"] > 0.02
    # controls are painted for some images only
    some = np.array([7, 3, 30])
    scores.compare("swapped", "base", "swav_distance", IDS[some], truth, found[some], some)
    np.testing.assert_allclose(scores.images[-1]["value"], np.array(expected)[some], atol=1e-12)
    test = scores.comparisons()
    assert (test["better"] == "lower").all()


def test_constant_features_have_distance_one(scores, rng):
    truth, found = rng.standard_normal((40, 50)), np.ones((40, 50))
    scores.compare("decoded", "base", "efficientnet_distance", IDS, truth, found)
    assert row(scores)["mean"] == 1
    assert row(scores)["p"] == 1


def test_retrieval_both_ways(scores, rng):
    truth = rng.standard_normal((40, 60))
    found = truth + 0.2 * rng.standard_normal((40, 60))
    found[:, :] += 40 * (np.arange(40) == 3)[:, None]  # one prediction that points elsewhere
    found[5] = 0  # and one that has no direction
    scores.add_retrieval("decoded", "vision", IDS, truth, found)
    image, brain = scores.summary
    assert (image["metric"], brain["metric"]) == ("retrieval_image", "retrieval_brain")
    cosine = 1 - np.array([[distance.cosine(t, f) if f.any() else 1 for f in found] for t in truth])
    np.testing.assert_array_equal(scores.images[0]["value"], (cosine.argmax(0) == range(40)) & (found.any(1)))
    np.testing.assert_array_equal(scores.images[1]["value"], cosine.argmax(1) == range(40))
    assert image["shuffled"] == pytest.approx(1 / 40, abs=0.01)
    assert image["p"] == 1 / 401


def test_what_is_not_measured_has_a_row_and_no_numbers(scores, rng, tmp_path):
    scores.add("decoded", "final", "pixcorr", IDS, rng.standard_normal((40, 40)))
    scores.add_unmeasured("decoded", "final", "swav_distance", 40, "no weights of swav")
    write_table(tmp_path / "summary.tsv", scores.summary_table())
    table = pd.read_csv(tmp_path / "summary.tsv", sep="\t")
    assert table["not_measured"].fillna("").tolist() == ["", "no weights of swav"]
    assert (
        table.loc[1, ["mean", "ci_low", "ci_high", "shuffled", "shuffled_sd", "p", "repairings"]].isna().all()
    )
    assert table["better"].tolist() == ["higher", "lower"]
    assert table["n"].tolist() == [40, 40]
    assert set(scores.image_table()["metric"]) == {"pixcorr"}
