"""Tables of strata of one subject, from made-up scores."""

import types

import numpy as np
import pandas as pd

from neural_recon.core.tables import write_table
from neural_recon.evaluation import region_tests, strata
from neural_recon.evaluation.regions import RANDOM, REGION


def images_of(rng, n=90):
    kinds = rng.permutation(np.repeat(["dog", "cat", "bus"], n // 3))
    return pd.DataFrame({"image_id": np.arange(n), "similarity": rng.random(n),
                         "n_objects": rng.integers(1, 6, n), "main_category": kinds})  # fmt: skip


def scores_of(rng, images, pairs, metrics=("clip_two_way", "pixcorr")):
    frames = [
        pd.DataFrame({"variant": variant, "picture": picture, "metric": metric,
            "image_id": images["image_id"],
                      "value": rng.normal(0.8, 0.1, len(images)), "chance": 0.5})
        for variant, picture in pairs for metric in metrics
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def person(folder, rng, subject, content=True, regions=False):
    images = images_of(rng)
    images.loc[images.index[:5], "main_category"] = "rare"
    images = images if content else images[["image_id", "similarity"]]
    pairs = [("decoded", "final"), ("decoded", "base"), ("nearest_image", "baseline"), ("decoded", "vdvae")]
    scores, by = scores_of(rng, images, pairs), strata.strata_of(images)
    files = types.SimpleNamespace(
        strata=folder / f"{subject}.tsv", trends=folder / f"{subject}_trends.tsv",
        region_tests=None, region_strata=None, comparison=None,
    )  # fmt: skip
    write_table(files.strata, strata.score_strata(subject, scores, by, 0))
    trends = strata.trends(subject, scores, images, 0)
    write_table(files.trends, trends)
    if regions:
        files.region_tests = folder / f"regions_{subject}/tests.tsv"
        files.region_strata = folder / f"regions_{subject}/strata.tsv"
        spaces, pairs = ("vision", "base"), [(REGION, "vision"), (RANDOM, "vision")]
        pairs += [(decoder, "base") for decoder in (REGION, RANDOM)]
        tables = {name: scores_of(rng, images, pairs, ["two_way"]) for name in ("V1", "places")}
        every = scores_of(rng, images, [("decoded", space) for space in spaces], ["two_way"])
        joined = region_tests.joined(tables, every)
        write_table(files.region_tests, region_tests.paired(subject, joined, 0))
        write_table(files.region_strata, region_tests.by_strata(subject, joined, by, 0))
    return types.SimpleNamespace(subject=subject, files=files)
