"""Recipes side by side: the scores of their final images, and paired tests of every two of them."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.core.tables import rows_with
from neural_recon.evaluation import statistics
from neural_recon.evaluation.comparison import over_subjects, published
from neural_recon.evaluation.region_tests import corrected, permutations
from neural_recon.evaluation.registry import PUBLISHED_TITLES, better

MEAN = "mean of subjects"
SCORES = ["recipe", "source", "subject", "metric", "mean", "ci_low", "ci_high", "sd", "n", "chance", "p",
          "better", "not_measured"]  # fmt: skip
TESTS = ["subject", "metric", "first", "second", "first_mean", "second_mean", "difference", "n", "better",
         "p", "p_holm"]  # fmt: skip
HERE = "this run"


def scores(summaries: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """The scores of all recipes' final images, one row per recipe, subject and metric (`SCORES`).

    Args:
        summaries: (recipe, subject) -> summary of its scores.

    Returns:
        Intervals and chance are those of the summaries. With several subjects rows of `MEAN` follow: mean and
        sd (ddof 1) over subjects, without an interval, and n of all subjects together.
    """
    rows = []
    for recipe in dict.fromkeys(name for name, _ in summaries):
        mine = {subject: _final(table) for (name, subject), table in summaries.items() if name == recipe}
        for subject, table in mine.items():
            rows.append(table.rename(columns={"shuffled": "chance"}).assign(recipe=recipe, subject=subject))
        if len(mine) > 1:
            rows.append(over_subjects(pd.concat(mine.values())).assign(recipe=recipe, subject=MEAN))
    return pd.concat(rows, ignore_index=True).assign(source=HERE).reindex(columns=SCORES)


def _final(table: pd.DataFrame) -> pd.DataFrame:
    return rows_with(table, variant="decoded", picture="final")


def published_beside(preset: str, n: int) -> pd.DataFrame:
    """Published figures of the same preset and number of test images, as rows of `scores`."""
    table = published()
    table = rows_with(table, preset=preset, test_images=str(n))
    rows: list[dict[str, Any]] = [
        {"recipe": line["line"], "source": line["source"], "subject": line["subjects"], "metric": metric,
         "mean": line[metric], "n": n, "better": better(metric), "not_measured": ""}
        for line in table.to_dict("records")
        for metric in PUBLISHED_TITLES
        if np.isfinite(line[metric])
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=SCORES)


def images(tables: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """The scores of single final images: one row per subject, image and recipe, one column per metric.

    Args:
        tables: (recipe, subject) -> scores of its single images.
    """
    wide = [
        _final(table)
        .pivot_table(index="image_id", columns="metric", values="value")
        .reset_index()
        .assign(recipe=recipe, subject=subject)
        for (recipe, subject), table in tables.items()
    ]
    table = pd.concat(wide, ignore_index=True)
    keys = ["subject", "image_id", "recipe"]
    return table[[*keys, *table.columns.drop(keys)]].sort_values(keys[:2], kind="stable", ignore_index=True)


def tests(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Paired permutation tests of every two recipes, per subject and metric (`TESTS`).

    Args:
        table: of `images`.

    Returns:
        A test compares the images that both have a number for. `p_holm` is corrected (Holm, 1979) for all
        pairs of recipes of the same subject and metric.
    """
    rows = []
    pairs = list(combinations(dict.fromkeys(table["recipe"]), 2))
    metrics = [name for name in table if name not in ("subject", "image_id", "recipe")]
    for subject, mine in table.groupby("subject", sort=False):
        for metric in metrics:
            wide = mine.pivot_table(index="image_id", columns="recipe", values=metric)
            for first, second in pairs:
                if not {first, second} <= set(wide):
                    continue
                both = wide[[first, second]].dropna()
                if both.empty:
                    continue
                a, b = both[first].to_numpy(), both[second].to_numpy()
                p = statistics.paired_permutation(a, b, seed, permutations(len(pairs)))
                means = a.mean(), b.mean(), (a - b).mean()
                rows.append([subject, metric, first, second, *means, len(both), better(metric), p, np.nan])
    return corrected(pd.DataFrame(rows, columns=TESTS), ["subject", "metric"])
