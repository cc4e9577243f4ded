"""The penalties tried, as a table: one row an alpha and fold, `chosen` marks the one that is used."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon import ridge


def cross_validated_curve(
    responses: np.ndarray,
    features: ridge.Targets,
    alphas: Sequence[float],
    folds: int,
    targets: int,
    seed: int,
) -> pd.DataFrame:
    """Columns fold, alpha, score (mean R^2 of held-out training images over the sampled targets), chosen."""
    result = ridge.cross_validate(responses, features, alphas, folds, targets, seed)
    curve = pd.DataFrame(result.scores, columns=result.alphas).rename_axis("fold").reset_index()
    curve = curve.melt("fold", var_name="alpha", value_name="score")
    curve["fold"] += 1
    curve["chosen"] = curve["alpha"] == result.best
    return _in_full(curve)


def fixed_curve(alpha: float) -> pd.DataFrame:
    """The same table for a penalty that was given: one row without a score."""
    return _in_full(pd.DataFrame([{"fold": 0, "alpha": float(alpha), "score": None, "chosen": True}]))


def read_chosen(path: str | Path) -> float:
    """The penalty that a stored curve marks as chosen."""
    curve = pd.read_csv(path, sep="\t")
    return float(curve.loc[curve["chosen"], "alpha"].iloc[0])


def _in_full(curve: pd.DataFrame) -> pd.DataFrame:
    # tables round their numbers; the prediction takes its alpha from here
    return curve.assign(alpha=curve["alpha"].astype(float).map(repr))
