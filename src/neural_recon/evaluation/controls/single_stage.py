"""What each stage adds: the full recipe alongside its base image alone and its guides alone.

All three are scored on the same images, those that were painted from the guides alone, and against the same
truths and rivals.
"""

import numpy as np
import pandas as pd

from neural_recon.core.tables import rows_with
from neural_recon.evaluation import statistics
from neural_recon.evaluation.registry import better

FULL = "full recipe"
STAGES = {  # -> (variant, picture) of the scores
    FULL: ("decoded", "final"),
    "base image only": ("decoded", "base"),
    "guides only": ("guides_only", "final"),
}
COLUMNS = ["stage", "metric", "better", "mean", "ci_low", "ci_high", "chance", "n", "difference", "p"]


def what_stages_add(images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row per metric and stage, for the metrics that all three stages have.

    Args:
        images: scores by image, as `subject_scores.Scores.image_table`.
        seed: of the bootstrap and the permutations.

    Returns:
        stage, metric, better, mean with its 95 % interval over images (ci_low, ci_high), chance (the mean of
        these truths with re-paired pictures), n; and for the single stages difference, the full recipe's mean
        less theirs, and p of the paired permutation test of it, not corrected for the number of tests (NaN
        for the full recipe).
    """
    scores = images.dropna(subset="value").set_index(["metric", "image_id"])
    of_stage = {
        stage: rows_with(scores, variant=variant, picture=picture)[["value", "chance"]]
        for stage, (variant, picture) in STAGES.items()
    }
    rows = []
    for metric, joined in pd.concat(of_stage, axis=1, join="inner").groupby(level="metric", sort=False):
        full = joined[FULL]["value"].to_numpy()
        for stage in STAGES:
            values = joined[stage]["value"].to_numpy()
            low, high = statistics.bootstrap_interval(values, seed)
            row = {"stage": stage, "metric": metric, "better": better(str(metric)), "mean": values.mean()}
            row |= {"ci_low": low, "ci_high": high, "chance": joined[stage]["chance"].mean()}
            row |= {"n": len(values), "difference": np.nan, "p": np.nan}
            if stage != FULL:
                row["difference"] = full.mean() - values.mean()
                row["p"] = statistics.paired_permutation(full, values, seed)
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)
