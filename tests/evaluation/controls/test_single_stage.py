"""What each stage adds, from made-up scores."""

import numpy as np
import pandas as pd
import pytest

from neural_recon.evaluation import statistics
from neural_recon.evaluation.controls.single_stage import FULL, what_stages_add

IDS = np.arange(40)
SOME = IDS[::2]  # painted from guides alone


def scores(variant, picture, metric, ids, values):
    who = {"variant": variant, "picture": picture, "metric": metric, "image_id": ids}
    return pd.DataFrame({**who, "value": values, "chance": 0.1 + ids / 1000})


@pytest.fixture
def images(rng):
    tables = [
        scores("decoded", "final", "clip_two_way", IDS, rng.uniform(0.8, 1, 40)),
        scores("decoded", "base", "clip_two_way", IDS, rng.uniform(0.4, 0.6, 40)),
        scores("guides_only", "final", "clip_two_way", SOME[::-1], rng.uniform(0.7, 0.9, 20)),
        scores("decoded", "final", "swav_distance", IDS, rng.uniform(0, 1, 40)),
        scores("decoded", "base", "swav_distance", IDS, np.full(40, 0.5)),
        scores("guides_only", "final", "swav_distance", SOME, np.full(20, 0.5)),
        scores("decoded", "final", "ssim", IDS, np.ones(40)),  # the others have none
        scores("shuffled", "final", "clip_two_way", SOME, np.zeros(20)),
        scores("decoded", "vision", "two_way", IDS, np.ones(40)),
    ]
    return pd.concat(tables, ignore_index=True)


def test_all_stages_stand_on_the_same_images(images):
    table = what_stages_add(images, seed=3).set_index(["metric", "stage"])
    assert set(table["n"]) == {20}
    assert set(table.index.get_level_values("metric")) == {"clip_two_way", "swav_distance"}
    known = images[images["metric"] == "clip_two_way"].set_index(["variant", "picture", "image_id"])
    known = known["value"].sort_index()
    pictures = (("decoded", "final"), ("decoded", "base"), ("guides_only", "final"))
    stages = (FULL, "base image only", "guides only")
    values = {stage: known[pair][SOME].to_numpy() for stage, pair in zip(stages, pictures, strict=True)}
    for stage, mine in values.items():
        row = table.loc["clip_two_way", stage]
        assert row["mean"] == pytest.approx(mine.mean())
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(statistics.bootstrap_interval(mine, 3))
        assert row["chance"] == pytest.approx(0.1 + SOME.mean() / 1000)
    row = table.loc["clip_two_way", "guides only"]
    assert row["difference"] == pytest.approx(values[FULL].mean() - values["guides only"].mean())
    assert row["p"] == statistics.paired_permutation(values[FULL], values["guides only"], 3)
    assert table.loc["clip_two_way", "base image only"]["p"] < 0.001
    assert table.loc["swav_distance", "better"].unique().tolist() == ["lower"]
    assert table.xs(FULL, level="stage")[["difference", "p"]].isna().all(axis=None)


def test_without_pictures_from_contexts_alone_there_is_nothing_to_say(images):
    table = what_stages_add(images[images["variant"] != "guides_only"], seed=0)
    assert table.empty
    assert "stage" in table
