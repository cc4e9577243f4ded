"""Recipes side by side: their scores, published ones, and paired tests."""

import numpy as np
import pandas as pd
import pytest

from neural_recon.evaluation import recipe_scores, statistics
from neural_recon.evaluation.comparison import published

IDS = [3, 8, 20, 41, 57, 60, 61, 99]
VALUES = {
    ("one", "subj01"): np.linspace(0.2, 0.9, 8),
    ("two", "subj01"): np.linspace(0.2, 0.9, 8) - 0.1,
    ("three", "subj01"): np.linspace(0.2, 0.9, 8)[::-1],
    ("one", "subj02"): np.full(8, 0.5),
    ("two", "subj02"): np.full(8, 0.6),
    ("three", "subj02"): np.full(8, 0.7),
}


def single(values, missing=()):
    """Scores of single images, other variants and pictures among them."""
    rows = [
        {"variant": variant, "picture": picture, "metric": metric, "image_id": i, "value": value + shift}
        for variant, picture, shift in (
            ("decoded", "final", 0),
            ("decoded", "base", 3),
            ("shuffled", "final", 5),
        )
        for metric in ("pixcorr", "swav_distance")
        for i, value in zip(IDS, values, strict=True)
        if i not in missing
    ]
    return pd.DataFrame(rows)


def summary(subject, mean):
    rows = [
        {"subject": subject, "variant": variant, "picture": picture, "metric": "pixcorr", "n": 8,
         "mean": mean + shift, "ci_low": mean - 0.1, "ci_high": mean + 0.1, "shuffled": 0.01, "p": 0.002,
         "better": "higher", "not_measured": ""}
        for variant, picture, shift in (("decoded", "final", 0), ("decoded", "base", 3))
    ]  # fmt: skip
    none = {**rows[0], "metric": "swav_distance", "mean": np.nan, "not_measured": "no weights named"}
    return pd.DataFrame([*rows, none])


@pytest.fixture(scope="module")
def images():
    return recipe_scores.images({key: single(values) for key, values in VALUES.items()})


def test_single_images_have_the_final_images_scores_alone(images):
    assert list(images) == ["subject", "image_id", "recipe", "pixcorr", "swav_distance"]
    assert len(images) == len(VALUES) * len(IDS)
    assert images["recipe"].head(3).tolist() == ["one", "two", "three"]  # of one image below each other
    for (recipe, subject), values in VALUES.items():
        mine = images[(images["recipe"] == recipe) & (images["subject"] == subject)]
        np.testing.assert_array_equal(mine["pixcorr"], values)


def test_every_two_recipes_are_tested_and_corrected_for_their_number(images):
    table = recipe_scores.tests(images, seed=3)
    assert list(table) == recipe_scores.TESTS
    assert len(table) == 2 * 2 * 3  # subjects, metrics, pairs
    mine = table[(table["subject"] == "subj01") & (table["metric"] == "pixcorr")]
    pairs = [("one", "two"), ("one", "three"), ("two", "three")]
    assert list(zip(mine["first"], mine["second"], strict=True)) == pairs
    for row, (first, second) in zip(mine.to_dict("records"), pairs, strict=True):
        a, b = VALUES[first, "subj01"], VALUES[second, "subj01"]
        assert row["p"] == statistics.paired_permutation(a, b, 3)
        assert row["difference"] == pytest.approx((a - b).mean())
        assert row["n"] == 8
    np.testing.assert_array_equal(mine["p_holm"], statistics.holm(mine["p"].to_numpy()))
    assert mine["p_holm"].iloc[0] == pytest.approx(3 * mine["p"].iloc[0])


def test_images_without_a_number_of_both_are_left_out():
    tables = {
        key: single(values, missing=(8, 20) if key[0] == "two" else ()) for key, values in VALUES.items()
    }
    table = recipe_scores.tests(recipe_scores.images(tables), seed=0)
    counts = table.groupby(["first", "second"], sort=False)["n"].first().to_dict()
    assert counts == {("one", "two"): 6, ("one", "three"): 8, ("two", "three"): 6}


def test_one_recipe_has_no_tests(images):
    table = recipe_scores.tests(images[images["recipe"] == "one"], seed=0)
    assert list(table) == recipe_scores.TESTS
    assert table.empty


def test_scores_are_those_of_final_images_and_their_mean_over_subjects():
    means = {"one": {"subj01": 0.3, "subj02": 0.5}, "two": {"subj01": 0.1, "subj02": 0.2}}
    summaries = {(name, who): summary(who, mean) for name, of in means.items() for who, mean in of.items()}
    table = recipe_scores.scores(summaries)
    assert list(table) == recipe_scores.SCORES
    mine = table[(table["recipe"] == "one") & (table["metric"] == "pixcorr")]
    assert mine["subject"].tolist() == ["subj01", "subj02", recipe_scores.MEAN]
    np.testing.assert_allclose(mine["mean"], [0.3, 0.5, 0.4])
    np.testing.assert_allclose(mine["ci_low"], [0.2, 0.4, np.nan])
    assert mine["sd"].iloc[2] == pytest.approx(np.std([0.3, 0.5], ddof=1))
    assert (table.loc[table["metric"] == "swav_distance", "not_measured"] == "no weights named").all()
    assert (
        recipe_scores.MEAN
        not in recipe_scores.scores({("one", "subj01"): summary("subj01", 0.3)})["subject"].tolist()
    )


def test_published_figures_have_the_same_preset_and_number_of_images():
    table = recipe_scores.published_beside("brain_diffuser", 982)
    line = published().set_index("line").loc["Brain-Diffuser, original"]
    assert set(table["recipe"]) == {"Brain-Diffuser, original"}
    values = table.set_index("metric")["mean"]
    assert values["clip_two_way"] == line["clip_two_way"]
    assert (table["source"] != recipe_scores.HERE).all()
    assert set(recipe_scores.published_beside("mindeye2", 1000)["recipe"]) > {
        "MindEye2",
        "Takagi & Nishimoto",
    }
    assert recipe_scores.published_beside("brain_diffuser", 900).empty
    assert recipe_scores.published_beside("native", 982).empty
