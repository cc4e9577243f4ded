"""Shares of scores between chance and ceiling: against ratios by hand, and where there is no room."""

import numpy as np
import pandas as pd
import pytest

from neural_recon.evaluation.shares import NO_ROOM, shares


def scored(variant, picture, values, metric="ssim", chance=0.2, first=0):
    ids = np.arange(first, first + len(values))
    who = {"subject": "anna", "variant": variant, "picture": picture, "metric": metric}
    return pd.DataFrame({**who, "image_id": ids, "value": values, "chance": chance})


def row(table, **wanted):
    [found] = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)].to_dict("records")
    return found


def test_a_share_is_the_way_from_chance_to_the_ceiling_on_the_same_images(rng):
    decoded, ceiling, mean = rng.uniform(0.4, 0.7, 40), rng.uniform(0.7, 0.9, 12), rng.uniform(0.3, 0.4, 40)
    chance = rng.uniform(0.1, 0.2, 40)
    table = shares(
        pd.concat([
            scored("decoded", "final", decoded, chance=chance),
            scored("true_features", "final", ceiling, first=5),  # painted for some images
            scored("mean_image", "baseline", mean),
            scored("shuffled", "final", chance[5:10], first=5),
            scored("nearest_image", "baseline", mean),  # needs the decoder: no control of this
        ]), seed=3
    )  # fmt: skip
    some = slice(5, 17)
    room = ceiling.mean() - chance[some].mean()
    own, control = (row(table, variant=variant) for variant in ("decoded", "mean_image"))
    assert own["share"] == pytest.approx((decoded[some].mean() - chance[some].mean()) / room)
    assert control["share"] == pytest.approx((mean[some].mean() - chance[some].mean()) / room)
    assert (own["n"], row(table, variant="shuffled")["n"]) == (12, 5)
    # what scores as other images' pictures do has no share at all
    assert row(table, variant="shuffled")["share"] == pytest.approx(0)
    assert sorted(table["variant"]) == ["decoded", "mean_image", "shuffled"]
    assert set(table["not_measured"]) == {""}


def test_the_interval_is_of_the_ratio(rng):
    """Against the spread of the ratio over many samples of images, drawn as these were."""

    def sample():
        hard = rng.normal(0, 0.1, 200)  # images are hard for decoder and ceiling alike
        return 0.6 + hard + rng.normal(0, 0.02, 200), 0.8 + hard, 0.2 + 0.0 * hard

    decoded, ceiling, chance = sample()
    table = shares(
        pd.concat(
            [scored("decoded", "base", decoded, chance=chance), scored("true_features", "base", ceiling)]
        ),
        seed=0,
    )
    found = row(table, variant="decoded")
    ratios = []
    for _ in range(2000):
        a, b, c = (part.mean() for part in sample())
        ratios.append((a - c) / (b - c))
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.15)
    assert found["low"] < 0.4 / 0.6 < found["high"]


def test_a_distance_falls_towards_its_ceiling(rng):
    table = shares(
        pd.concat([
            scored("decoded", "final", rng.normal(0.6, 0.01, 50), "swav_distance", chance=0.9),
            scored("true_features", "final", rng.normal(0.4, 0.01, 50), "swav_distance"),
        ]), seed=0
    )  # fmt: skip
    assert row(table, variant="decoded")["share"] == pytest.approx(0.6, abs=0.01)


def test_without_room_above_chance_there_is_no_share(rng):
    noise = rng.normal(0.2, 0.1, 30)
    table = shares(
        pd.concat([scored("decoded", "final", noise), scored("true_features", "final", noise[::-1])]), seed=0
    )
    found = row(table, variant="decoded")
    assert np.isnan([found["share"], found["low"], found["high"]]).all()
    assert found["not_measured"] == NO_ROOM
    assert shares(scored("decoded", "final", noise), seed=0).empty  # no ceiling, no row
