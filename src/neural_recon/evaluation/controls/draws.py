"""Several draws of the same pictures: what of a score is luck of the generator's noise."""

import numpy as np
import pandas as pd

from neural_recon.generation.controls import RUN, Painted, by_name


def spread_over_draws(images: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread of each score over the run's final pictures and their other draws.

    Args:
        images: scores by image, as `subject_scores.Scores.image_table`; the variants seed1, seed2, ... are
            draws of the same pictures as "decoded", here called seed0.

    Returns:
        One row per metric: metric, n (images that all draws have), the mean over these of each draw (seed0,
        seed1, ...), then mean and sd (ddof 1; NaN for one draw) of these over draws.
    """
    final = images[images["picture"] == "final"]
    found = [one for variant in final["variant"].unique() if isinstance(one := by_name(variant), Painted)]
    draws = [RUN.name, *(one.name for one in sorted(found, key=lambda one: one.draw) if one.draw)]
    rows = []
    for metric in final.loc[final["variant"] == RUN.name, "metric"].unique():
        wide = final[(final["metric"] == metric) & final["variant"].isin(draws)]
        wide = wide.pivot(index="image_id", columns="variant", values="value").reindex(columns=draws).dropna()
        if wide.empty:
            continue
        means = wide.mean().to_numpy()
        row = {"metric": metric, "n": len(wide)}
        row |= {f"seed{k}": mean for k, mean in enumerate(means)}
        row |= {"mean": means.mean(), "sd": means.std(ddof=1) if len(means) > 1 else np.nan}
        rows.append(row)
    return pd.DataFrame(rows)
