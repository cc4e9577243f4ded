"""The penalties tried, as a table: one row per alpha, fold and group of features; `chosen` marks those used.

A group is a run of neighbouring features with an alpha of its own: the whole space, or its parts (VDVAE's
layers, CLIP's tokens), neighbours pooled into at most 32 groups.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.tables import read_table
from neural_recon.decoding import cross_validation, ridge
from neural_recon.decoding.kernel import Kernel

MOST_FEATURES = 10**7  # of one group


def cross_validated_curve(
    kernel: Kernel,
    features: ridge.Targets,
    parts: Sequence[int] | np.ndarray,
    alphas: Sequence[float] | None,
    folds: int,
    targets: int,
    groups: str,
    seed: int,
) -> pd.DataFrame:
    """Columns group, features (how many it has), fold, alpha, score, chosen.

    The score is the mean R^2 of held-out training images over the sampled targets. Without `alphas` they
    follow the kernel's scale (`cross_validation`). `groups` is "space", or "parts" for groups made of the
    features' `parts` (widths).

    Raises:
        InputError: fewer than two images per fold, in which nothing could be scored.
        ValueError: as of `cross_validation.cross_validate`.
    """
    images = len(kernel.image_rows)
    if images < 2 * folds:
        raise InputError(
            "decoder.cross_validation.folds: expected two training images or more per fold, found "
            f"{folds} folds of {images} images; take fewer folds, add sessions, or give numbers in "
            "decoder.alpha."
        )
    widths = cross_validation.pooled(parts, 1 if groups == "space" else 32)
    result = cross_validation.cross_validate(kernel, features, alphas, folds, targets, seed, widths)
    index = pd.MultiIndex.from_product(
        [range(1, len(widths) + 1), range(1, folds + 1), result.alphas], names=["group", "fold", "alpha"]
    )
    curve = pd.DataFrame({"score": result.scores.ravel()}, index).reset_index()
    curve.insert(1, "features", widths[curve["group"] - 1])
    curve["chosen"] = curve["alpha"] == result.best[curve["group"] - 1]
    return _in_full(curve)


def fixed_curve(alpha: float) -> pd.DataFrame:
    """The same table for a penalty that was given: one row without a score."""
    row = {"group": 1, "features": None, "fold": 0, "alpha": float(alpha), "score": None, "chosen": True}
    return _in_full(pd.DataFrame([row]))


def read_chosen(path: str | Path) -> float | np.ndarray:
    """The penalty that a stored curve marks as chosen: one, or (n_features,) where groups have their own.

    Raises:
        InputError: the file is missing or no curve, or marks none that is above zero.
    """
    curve = read_table(path, ["group", "features", "alpha", "chosen"])
    if curve["chosen"].dtype == bool and pd.api.types.is_numeric_dtype(curve["alpha"]):
        chosen = curve[curve["chosen"]].drop_duplicates("group")
        features = pd.to_numeric(chosen["features"], errors="coerce")
        whole = features.between(1, MOST_FEATURES) & (features % 1 == 0)
        if (
            len(chosen)
            and chosen["alpha"].between(0, np.inf, "neither").all()
            and (len(chosen) == 1 or whole.all())
        ):
            return chosen_alpha(curve)
    raise InputError(
        f"{path}: expected a curve that marks penalties above zero, found none; compute it again."
    )


def chosen_alpha(curve: pd.DataFrame) -> float | np.ndarray:
    """`read_chosen` of a table."""
    chosen = curve[curve["chosen"]].drop_duplicates("group").sort_values("group")
    if len(chosen) == 1:
        return float(chosen["alpha"].iloc[0])
    return np.repeat(chosen["alpha"].to_numpy(float), chosen["features"].to_numpy(int))


def _in_full(curve: pd.DataFrame) -> pd.DataFrame:
    # tables round their numbers; the prediction takes its alpha from here
    return curve.assign(alpha=curve["alpha"].astype(float).map(repr))
