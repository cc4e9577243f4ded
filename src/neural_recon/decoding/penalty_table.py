"""The penalties tried, as a table: one row per alpha, fold and group of features; `chosen` marks those used.

A group is a run of neighbouring features with an alpha of its own: the whole space, or its parts (VDVAE's
layers, CLIP's tokens), neighbours pooled into at most 32 groups. Where every feature has its own alpha, a
group is all features that chose the same one, and the column `members` says which (runs of column numbers
from 0, "0-4,9"), in one row per group.
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
    contiguous: bool = False,
) -> pd.DataFrame:
    """Columns group, features (how many it has), fold, alpha, score, chosen.

    The score is the mean R^2 of held-out training images over the sampled targets. Without `alphas` they
    follow the kernel's scale (`cross_validation`). `groups` is "space"; "parts" for groups made of the
    features' `parts` (widths); or "targets": every feature has an alpha, all are scored, and there is a
    column `members`.

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
    if groups == "targets":
        return _in_full(_by_target(kernel, features, alphas, folds, seed, contiguous))
    widths = cross_validation.pooled(parts, 1 if groups == "space" else 32)
    result = cross_validation.cross_validate(
        kernel, features, alphas, folds, targets, seed, widths, contiguous=contiguous
    )
    index = pd.MultiIndex.from_product(
        [range(1, len(widths) + 1), range(1, folds + 1), result.alphas], names=["group", "fold", "alpha"]
    )
    curve = pd.DataFrame({"score": result.scores.ravel()}, index).reset_index()
    curve.insert(1, "features", widths[curve["group"] - 1])
    curve["chosen"] = curve["alpha"] == result.best[curve["group"] - 1]
    return _in_full(curve)


def _by_target(
    kernel: Kernel,
    features: ridge.Targets,
    alphas: Sequence[float] | None,
    folds: int,
    seed: int,
    contiguous: bool,
) -> pd.DataFrame:
    tried, best, scores = cross_validation.cross_validate_targets(
        kernel, features, alphas, folds, seed, contiguous=contiguous
    )
    rows = []
    for group, which in enumerate(np.unique(best), start=1):
        mine = np.flatnonzero(best == which)
        ends = ((run.start, run.stop - 1) for run in cross_validation.column_runs(mine))
        runs = (f"{start}" if start == stop else f"{start}-{stop}" for start, stop in ends)
        members = ",".join(runs)
        means = mean_of_known(scores[:, :, mine])
        for fold, of_fold in enumerate(means, start=1):
            for k, (alpha, score) in enumerate(zip(tried, of_fold, strict=True)):
                first = fold == 1 and k == which
                rows.append((group, len(mine), fold, alpha, score, k == which, members if first else None))
    return pd.DataFrame(rows, columns=["group", "features", "fold", "alpha", "score", "chosen", "members"])


def mean_of_known(scores: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is a number; NaN where nothing is."""
    known = ~np.isnan(scores)
    total = np.where(known, scores, 0).sum(axis=-1, dtype=np.float64)
    count = known.sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def members_of(curve: pd.DataFrame) -> dict[int, np.ndarray]:
    """The features of each group of a table with the column `members`.

    Raises:
        ValueError: they are no runs of column numbers.
    """
    listed = curve.dropna(subset=["members"]).drop_duplicates("group")
    found = {}
    for group, text in zip(listed["group"], listed["members"], strict=True):
        runs = [[int(end) for end in run.split("-")] for run in str(text).split(",")]
        if sum(run[-1] - run[0] + 1 for run in runs) > MOST_FEATURES:
            raise ValueError(f"group {group}: expected at most {MOST_FEATURES} members.")
        found[int(group)] = np.concatenate([np.arange(run[0], run[-1] + 1) for run in runs])
    return found


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
            and ("members" not in curve or _whole(curve))
        ):
            return chosen_alpha(curve)
    raise InputError(
        f"{path}: expected a curve that marks penalties above zero, found none; compute it again."
    )


def _whole(curve: pd.DataFrame) -> bool:
    """Whether the groups' members are all features from the first to the last, each once."""
    try:
        columns = np.sort(np.concatenate(list(members_of(curve).values())))
    except ValueError:
        return False
    counts = curve.drop_duplicates("group")["features"].sum()
    return len(columns) == counts and bool(np.array_equal(columns, np.arange(len(columns))))


def chosen_alpha(curve: pd.DataFrame) -> float | np.ndarray:
    """`read_chosen` of a table."""
    chosen = curve[curve["chosen"]].drop_duplicates("group").sort_values("group")
    if len(chosen) == 1:
        return float(chosen["alpha"].iloc[0])
    if "members" in curve:
        alphas = np.empty(int(chosen["features"].sum()))
        of_group = chosen.set_index("group")["alpha"].astype(float)
        for group, columns in members_of(curve).items():
            alphas[columns] = of_group[group]
        return alphas
    return np.repeat(chosen["alpha"].to_numpy(float), chosen["features"].to_numpy(int))


def _in_full(curve: pd.DataFrame) -> pd.DataFrame:
    # tables round their numbers; the prediction takes its alpha from here
    return curve.assign(alpha=curve["alpha"].astype(float).map(repr))
