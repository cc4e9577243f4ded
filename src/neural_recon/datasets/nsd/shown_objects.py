"""What the pictures show: how many objects, and which, from COCO's instance annotations or the demo's scenes.

NSD shows a square cut out of each COCO image. An object counts where at least half of its box lies inside
that square (`LEAST_SHARE`) and what lies inside covers at least 0.5 % of it (`LEAST_AREA`: a square of 0.6
degrees at NSD's 8.4). Boxes rather than outlines: they are exact under a crop, and every annotation has one.
COCO draws a crowd (`iscrowd`) around what is left of a kind after some ten single ones: it is no object here,
so that alongside one the number is the least there are.
"""

import ast
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.texts import read_json
from neural_recon.datasets.nsd.coco import stimulus_table

logger = logging.getLogger(__name__)

LEAST_SHARE, LEAST_AREA = 0.5, 0.005
LARGEST = 2**30  # characters of a file of instances; COCO's has 450 million


def from_coco(stimuli: str | os.PathLike[str], annotations: Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """What every NSD image shows, a row an NSD id.

    Args:
        stimuli: `nsd_stim_info_merged.csv`, with the columns nsdId, cocoId and cropBox.
        annotations: COCO's instance files; an image is in one of them.

    Returns:
        image_id; n_objects; main_category, the object that is largest in the square, "" without any;
        categories, all that are there, those that cover most first, a list as text; crowd, whether a crowd
        counts as seen alongside them.

    Raises:
        InputError: a file is missing or not what it must be, or an image is in none.
    """
    table = stimulus_table(stimuli, "cropBox")
    crops = _crops(stimuli, table["cropBox"])
    wanted = set(table["cocoId"])
    sizes_of, objects = zip(*(read_instances(path, wanted) for path in annotations), strict=True)
    sizes = {image: size for some in sizes_of for image, size in some.items()}
    absent = table.loc[~table["cocoId"].isin(sizes), ["nsdId", "cocoId"]]
    if len(absent):
        first = absent.iloc[0]
        raise InputError(
            f"{stimuli}: expected an entry for COCO id {first['cocoId']} (NSD id {first['nsdId']}, and "
            f"{len(absent) - 1} more), found none in {' and '.join(map(str, annotations))}; take both files "
            "of COCO 2017."
        )
    found = pd.concat(objects).merge(table[["nsdId", "cocoId"]], left_on="image", right_on="cocoId")
    size = np.array([sizes[image] for image in found["image"]]).reshape(-1, 2)
    share, area = visible(found[["x", "y", "w", "h"]].to_numpy(float), size, crops[found["nsdId"]])
    seen = found.assign(area=area)[(share >= LEAST_SHARE) & (area >= LEAST_AREA)]
    seen = seen.sort_values("area", ascending=False, kind="stable")
    counted, every = seen[~seen["crowd"]], pd.RangeIndex(len(table), name="image_id")
    cover = counted.groupby(["nsdId", "name"])["area"].sum().reset_index()
    cover = cover.sort_values("area", ascending=False, kind="stable").groupby("nsdId")["name"]
    content = pd.DataFrame(index=every).assign(
        n_objects=counted.groupby("nsdId").size().reindex(every, fill_value=0),
        main_category=counted.groupby("nsdId")["name"].first().reindex(every, fill_value=""),
        categories=cover.agg(", ".join).reindex(every, fill_value=""),
        crowd=every.isin(seen.loc[seen["crowd"], "nsdId"]),
    )
    logger.info(
        "%d images, %.1f objects on average, %d images without, %d with a crowd",
        len(content), content["n_objects"].mean(), (content["n_objects"] == 0).sum(), content["crowd"].sum(),
    )  # fmt: skip
    return content.reset_index()


def visible(boxes: np.ndarray, sizes: np.ndarray, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of each box a crop leaves.

    Args:
        boxes: (n, 4) as COCO has them: left, top, width, height in pixels.
        sizes: (n, 2) width and height of the whole images.
        crops: (n, 4) as NSD's `cropBox`: the fractions of height (top, bottom) and width (left, right) that
            are cut away.

    Returns:
        (n,) the share of the box that lies inside, 0 for a box without area, and (n,) the share of what is
        shown that this part of the box covers.
    """
    low = crops[:, [2, 0]] * sizes
    high = (1 - crops[:, [3, 1]]) * sizes
    inside = np.minimum(boxes[:, :2] + boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)
    inside = np.clip(inside, 0, None).prod(1)
    whole = boxes[:, 2:].prod(1)
    return np.divide(inside, whole, out=np.zeros(len(boxes)), where=whole > 0), inside / (high - low).prod(1)


def _crops(stimuli: str | os.PathLike[str], texts: pd.Series) -> np.ndarray:
    """NSD's `cropBox`, such as "(0, 0, 0.16, 0.16)", as numbers (n, 4)."""
    try:
        crops = np.array([ast.literal_eval(text) for text in texts], np.float64)
    except (ValueError, SyntaxError, TypeError):  # no numbers, or not as many in each row
        crops = np.empty(0)
    shape_right = crops.shape == (len(texts), 4)
    if not shape_right or (crops < 0).any() or (crops.reshape(-1, 2, 2).sum(2) >= 1).any():
        raise InputError(
            f"{stimuli}: expected cropBox as (top, bottom, left, right), the fractions of an image that are "
            f"cut away, found something else (the first is {texts.iloc[0]!r}); fetch it again."
        )
    return crops


def read_instances(
    path: str | os.PathLike[str], wanted: set[int]
) -> tuple[dict[int, tuple[int, int]], pd.DataFrame]:
    """The wanted images of a COCO instance file: id -> width and height, and a row an annotation with image,
    name, x, y, w, h (pixels) and crowd.

    Outlines are dropped as soon as they are read: COCO's 450 MB take about 1 GB and 10 s.

    Raises:
        InputError: no such file, or not what it must be.
    """
    what = "COCO's instances (dataset.instances names their folder)"
    content = read_json(path, what, LARGEST, _without_outline)
    try:
        names = {one["id"]: str(one["name"]) for one in content["categories"]}
        sizes = {
            one["id"]: (int(one["width"]), int(one["height"]))
            for one in content["images"]
            if one["id"] in wanted
        }
        rows = [
            (one["image_id"], names[one["category_id"]], x, y, w, h, bool(one.get("iscrowd", 0)))
            for one in content["annotations"]
            if one["image_id"] in wanted
            for x, y, w, h in [map(float, one["bbox"])]
        ]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f"{path}: expected COCO's instances as JSON (images with id, width and height; annotations with "
            "image_id, category_id and bbox; categories with id and name), found something else "
            f"({type(error).__name__}: {error}); fetch it again."
        ) from error
    table = pd.DataFrame(rows, columns=["image", "name", "x", "y", "w", "h", "crowd"])
    return sizes, table.astype({"image": "int64", "crowd": bool})


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("segmentation", None)
    return entry
