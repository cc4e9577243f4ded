"""Spread over several draws."""

import numpy as np
import pandas as pd
import pytest

from neural_recon.evaluation.controls.draws import spread_over_draws


def scores(variant, values, ids, metric="ssim", picture="final"):
    return pd.DataFrame(
        {"variant": variant, "picture": picture, "metric": metric, "image_id": ids, "value": values}
    )


def test_same_images_of_every_draw():
    images = pd.concat(
        [
            scores("decoded", [0.1, 0.2, 0.9, 0.4], [1, 2, 3, 4]),
            scores("seed1", [0.3, 0.6], [1, 2]),
            scores("seed2", [0.6, 0.2, 0.7], [2, 1, 4]),
            scores("seed10", [0.2, 0.2], [1, 2]),
            scores("shuffled", [0.0, 0.0], [1, 2]),
            scores("decoded", [0.0, 0.0], [1, 2], picture="base"),
            scores("decoded", [1.0, 1.0], [1, 2], metric="pixcorr"),
        ]
    )
    table = spread_over_draws(images).set_index("metric")
    row = table.loc["ssim"]
    assert row["n"] == 2
    assert row[["seed0", "seed1", "seed2", "seed3"]].tolist() == pytest.approx([0.15, 0.45, 0.4, 0.2])
    assert row["mean"] == pytest.approx(0.3)
    assert row["sd"] == pytest.approx(np.std([0.15, 0.45, 0.4, 0.2], ddof=1))
    assert "pixcorr" not in table.index  # the other draws have none


def test_one_draw_has_no_spread():
    (row,) = spread_over_draws(scores("decoded", [0.1, 0.3], [1, 2])).to_dict("records")
    assert row["seed0"] == row["mean"] == pytest.approx(0.2)
    assert np.isnan(row["sd"])
