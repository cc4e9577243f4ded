"""A score alongside those of refits on shuffled pairs (`shuffled_refits`), which are its null."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

COLUMNS = ("refit", "metric", "score", "features")
DECODER, PAINTED = 0, 1  # of the column refit
ROUNDING = 1e-12  # scores that are closer are equal
VARIANTS = {"decoded": DECODER, "shuffled": PAINTED}  # which refit a variant of the predictions is


def against_refits(table: pd.DataFrame, metric: str, which: int = DECODER) -> dict[str, float] | None:
    """A score alongside the refits' on shuffled pairs; None for a metric that they do not have.

    A refit without a finite score does not count, and a score that is not finite itself has no null: None.

    Args:
        table: of `shuffled_refits.refit_scores`.
        which: whose score: `DECODER`, or a refit's, which is then compared with the others.

    Returns:
        refits (how many it is compared with), refit_score (by these features), refit_mean and refit_sd (ddof
        1) of the refits, refit_z = (refit_score - refit_mean) / refit_sd, and refit_p = (1 + refits at least
        as high) / (1 + refits); sd and z are nan for one refit, z also where refits differ by rounding only.
    """
    mine = table[table["metric"] == metric]
    own = mine.loc[mine["refit"] == which, "score"]
    null = mine.loc[(mine["refit"] != DECODER) & (mine["refit"] != which), "score"].to_numpy(float)
    null = null[np.isfinite(null)]
    if not np.isfinite(own).any() or not len(null):
        return None
    score, mean = float(own.iloc[0]), float(null.mean())
    sd = float(null.std(ddof=1)) if len(null) > 1 else np.nan
    as_high = np.count_nonzero(null >= score - ROUNDING)
    return {
        "refits": len(null),
        "refit_score": score,
        "refit_mean": mean,
        "refit_sd": sd,
        "refit_z": (score - mean) / sd if sd > ROUNDING else np.nan,
        "refit_p": (1 + as_high) / (1 + len(null)),
    }


def by_metric(table: pd.DataFrame, variant: str) -> Mapping[str, dict[str, float]]:
    """`against_refits` of every metric of a variant of the predictions; empty for one that has no refits."""
    if variant not in VARIANTS:
        return {}
    found = {metric: against_refits(table, metric, VARIANTS[variant]) for metric in table["metric"].unique()}
    return {metric: row for metric, row in found.items() if row}
