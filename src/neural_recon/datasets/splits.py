"""Test images of data sets that have none of their own, and which way of choosing them suits a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_recon.core.errors import InputError, quoted
from neural_recon.datasets.trials import trial_table

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

DRAWN = ("repeated", "share", "categories")  # the names of such splits
FEW = (4, 0.01)  # a test set has at least so many images, and so large a share
MOST = 0.5  # and at most so large a one


def with_split(
    design: pd.DataFrame,
    n_images: int,
    lists: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    drawn: Mapping[str, Any] | None = None,
    tested: bool = True,
) -> pd.DataFrame:
    """The table of trials with the column `split`, as of `trials.trial_table`.

    Args:
        design: as of `DataSet.trials`.
        lists: training and test ids, each None where nothing lists them.
        drawn: of the section `split` name, repetitions, share, category and held_out, and seed, where
            the name is one of `DRAWN`; empty for others.
        tested: there must be test images.

    Raises:
        InputError: as of `trial_table`; or the data set has no test images of its own and none are chosen, or
            they cannot be chosen in that way.
    """
    if design.empty:
        raise InputError("trials: expected some with a picture in these sessions, found none; add sessions.")
    if drawn:
        logger.info("test images by split.name %s; %s", drawn["name"], suits(design))
        shown = np.unique(design["image_id"])
        test = test_images(design, n_images, **drawn)
        lists = np.setdiff1d(shown, test), np.intersect1d(shown, test)
        if not lists[0].size or (tested and not lists[1].size):
            missing = "training" if lists[1].size else "test"
            raise InputError(
                f"split.name {drawn['name']}: expected training and test images, found no {missing} image; "
                f"{suits(design)}."
            )
    elif tested and all(given is None for given in lists) and not design["shared"].any():
        raise InputError(
            "split: expected test images, found a data set that has none of its own in these sessions; "
            f"{suits(design)}."
        )
    return trial_table(design, n_images, *lists, tested=tested)


def test_images(
    design: pd.DataFrame,
    n_images: int,
    name: str,
    repetitions: int | None,
    share: float,
    category: str,
    held_out: list[str],
    seed: int,
) -> np.ndarray:
    """The images that test, int64 (n,), ascending; some of them may not have been shown.

    Args:
        name: repeated: those shown at least `repetitions` times in these sessions; None: as often as sets
            some apart from what is usual. share: drawn from all of the data set's images, so that whoever saw
            an image, it is of the same split. categories: all of the categories `held_out`, or, without any,
            of those drawn until `share` is reached.
        category: the column of the design with an image's category.

    Raises:
        InputError: there is no such column, or no such category, or an image in several.
    """
    if name == "repeated":
        counts = design["image_id"].value_counts()
        least = repetitions or apart(counts) or np.inf
        return np.sort(counts.index[counts >= least].to_numpy(np.int64))
    if name == "share":
        drawn = np.random.default_rng([seed, 1]).permutation(n_images)
        return np.sort(drawn[: max(1, round(share * n_images))])
    if category not in design:
        raise InputError(
            f"split.category: expected a column of the trials, found {quoted(category)}; there are "
            f"{', '.join(design)}."
        )
    of = design[["image_id", category]].astype({category: str}).drop_duplicates()
    if (several := of["image_id"].duplicated()).any():
        image_id = of.loc[several, "image_id"].iloc[0]
        raise InputError(
            f"split.category: expected one {category} per image, found several of image {image_id}."
        )
    sizes = of[category].value_counts().sort_index()
    if absent := [one for one in held_out if one not in sizes]:
        raise InputError(
            f"split.held_out: expected names in the column {category}, found {quoted(absent[0])}; there are "
            f"{', '.join(sizes.index[:9])}{' and others' if len(sizes) > 9 else ''}."
        )
    if not held_out:
        order = np.random.default_rng([seed, 2]).permutation(len(sizes))
        reached = np.cumsum(sizes.to_numpy()[order])
        held_out = sizes.index[order[: 1 + np.searchsorted(reached, share * len(of))]].tolist()
    return np.sort(of.loc[of[category].isin(held_out), "image_id"].to_numpy(np.int64))


def recommended(design: pd.DataFrame) -> tuple[dict[str, Any], str]:
    """The settings of the section `split` that suit a subject's trials, and why, in words.

    Test images of the data set itself, if it has any; else those shown more often than is usual, as they were
    meant to test and have a noise ceiling; else a share of all.
    """
    if design["shared"].any():
        return {"name": "all"}, "the data set says which images test"
    counts = design["image_id"].value_counts()
    usual, least = int(counts.mode().iloc[0]), apart(counts)
    if least is not None:
        n_images = int((counts >= least).sum())
        why = f"{n_images} of {len(counts)} images were shown at least {least} times, {usual} is usual"
        return {"name": "repeated"}, why
    if usual == 1 and (counts > 1).sum() < FEW[0]:
        why = "images were shown once, so that there is no noise ceiling"
    else:
        why = "no images were shown more often than the others"
    return {"name": "share"}, why


def apart(counts: pd.Series) -> int | None:
    """How often images were shown at least that make a test set of their own: the smallest number above the
    usual one that neither too many nor too few reach; None: there is none.

    Args:
        counts: trials of each image.
    """
    usual = int(counts.mode().iloc[0])
    for least in sorted(set(counts.tolist())):
        n_images = int((counts >= least).sum())
        if least > max(usual, 1) and max(FEW[0], FEW[1] * len(counts)) <= n_images <= MOST * len(counts):
            return int(least)
    return None


def suits(design: pd.DataFrame) -> str:
    """What suits a subject's trials, as the end of a sentence."""
    settings, why = recommended(design)
    values = ", ".join(f"{key}: {value}" for key, value in settings.items())
    return f"what suits these is split: {{{values}}} ({why})"
