"""A figure for papers: a subject's pictures, columns chosen by a rule that its caption states."""

import logging
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neural_recon.core.errors import InputError
from neural_recon.core.files import atomic, write_text
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, rows_with
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.registry import better
from neural_recon.features.feature_files import select_rows
from neural_recon.report.image_names import Names
from neural_recon.report.results import IMAGES

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

logger = logging.getLogger(__name__)

DPI = 300
WIDTH = 7.2  # inches: two columns of most journals
STYLE: "dict[RcKeyType, Any]" = {
    "font.family": "sans-serif",
    "font.size": 7,
    "pdf.fonttype": 42,  # TrueType: text stays text in the journal's file
    "ps.fonttype": 42,
}
# The PDF keeps every picture's own pixels; the PNG is drawn at its own size, smoothed where it is smaller.
INTERPOLATION = {".pdf": "none", ".png": "antialiased"}
RULES = {
    "best_median_worst": "the best, those about the median and the worst",
    "evenly": "an even spread over the ranks, from the best to the worst,",
    "first": "the lowest image ids of those",
}


def draw(
    output: Any,
    subject: str,
    files: Any,
    pictures: Pictures,
    figure: Mapping[str, Any],
    preset: str,
    simulated: bool,
    names: Names | None = None,
) -> None:
    """Write a subject's figure as PDF and PNG, and its caption as text.

    Args:
        output: names pdf, png and text.
        files: names base (empty where it is no stage of the final image), final, true_features and
            scores, as the workflow writes them.
        pictures: what was seen.
        figure: the configuration's section; `otherwise` is the score that ranks where `score` was not
            measured, None where the configuration asks for it by name.
        names: as of `DataSet.image_names`.

    Raises:
        InputError: no score of that name, or an image chosen by hand that is no test image.
    """
    scores, margins, metric = read_scores(files.scores, subject, figure["score"], figure.get("otherwise"))
    figure = {**figure, "score": metric}
    groups = choose(scores, margins, figure, better(figure["score"]), subject)
    ids = [image_id for group in groups.values() for image_id in group]
    rows = {"seen": list(pictures(ids))}
    for label, path in (("base image", files.base), ("final image", files.final)):
        if not path:
            continue
        arrays = read_hdf5(path, "images", "image_id")
        rows[label] = list(select_rows(path, arrays["images"], arrays["image_id"], ids))
    painted = read_hdf5(files.true_features, "images", "image_id")
    images = dict(zip(painted["image_id"].tolist(), painted["images"], strict=True))
    if images.keys() >= set(ids):  # a control that is painted for some test images
        rows["true features"] = [images[image_id] for image_id in ids]
    found = names(ids) if names else None
    called = dict(zip(ids, found or map(str, ids), strict=True))
    text = caption(subject, scores, margins, groups, figure, preset, simulated, list(rows), called)
    for path in (output.png, output.pdf):
        suffix = Path(path).suffix
        # no time of writing: the same pictures make the same file
        undated = {"CreationDate": None} if suffix == ".pdf" else {}
        with atomic(path) as temporary, matplotlib.rc_context(STYLE):
            page = _page(rows, groups, scores, text, called, INTERPOLATION[suffix])
            page.savefig(temporary, dpi=DPI, metadata=undated)
    write_text(output.text, text + "\n")


def read_scores(
    path: str | Path, subject: str, metric: str, otherwise: str | None = None
) -> tuple[pd.Series, pd.Series, str]:
    """image id -> score of the final images, ascending by id, what orders equal ones (NaN: nothing does), and
    which metric it is: `otherwise` where the one asked for was not measured.

    Raises:
        InputError: the final images have no such score.
    """
    table = read_table(path, IMAGES)
    every = rows_with(table, variant="decoded", picture="final")
    final = every[np.isfinite(every["value"])]
    if otherwise and metric not in final["metric"].to_numpy():
        metric = otherwise
    of_metric = final[final["metric"] == metric].set_index("image_id").sort_index()
    scores = of_metric["value"]
    if scores.empty:
        raise InputError(
            f"figure.score: expected a score of {subject}'s final images "
            f"({', '.join(sorted(final['metric'].unique()))}), found {metric!r}."
        )
    without = np.count_nonzero(every["metric"] == metric) - len(scores)
    if without:
        logger.warning("%s: %d test images without a finite %s are left out", subject, without, metric)
    return scores, of_metric["margin"], metric


def choose(
    scores: pd.Series, margins: pd.Series, figure: Mapping[str, Any], better: str, subject: str
) -> dict[str, list[int]]:
    """The columns' image ids by group, the better first; equal scores by their margins, then their ids.

    Raises:
        InputError: an image chosen by hand that has no score.
    """
    if figure["image_ids"]:
        absent = [image_id for image_id in figure["image_ids"] if image_id not in scores.index]
        if absent:
            raise InputError(
                f"figure.image_ids: expected test images of {subject}, found {absent[0]}, which is none."
            )
        return {"chosen by hand": list(figure["image_ids"])}
    count, n = min(figure["count"], len(scores)), len(scores)
    if figure["rule"] == "first":
        return {"lowest image ids": scores.index[:count].tolist()}
    order = np.lexsort((scores.index, -margins.fillna(0), scores if better == "lower" else -scores))
    ranked = scores.index[order].tolist()
    if figure["rule"] == "evenly":
        places = np.linspace(0, n - 1, count).round().astype(int)
        return {"evenly over the ranks": [ranked[place] for place in places]}
    third, more = divmod(count, 3)
    middle = third + more  # the best and the worst are as many
    start = (n - middle) // 2
    groups = {"best": ranked[:third], "median": ranked[start : start + middle], "worst": ranked[n - third :]}
    return {name: group for name, group in groups.items() if group}


def caption(
    subject: str,
    scores: pd.Series,
    margins: pd.Series,
    groups: Mapping[str, list[int]],
    figure: Mapping[str, Any],
    preset: str,
    simulated: bool,
    rows: Sequence[str],
    called: Mapping[int, str],
) -> str:
    """The text below the figure: who, which rows, which columns by which rule, and their scores.

    `called`: what images are called.
    """
    ids = [image_id for group in groups.values() for image_id in group]
    how = "chosen by hand" if figure["image_ids"] else f"{RULES[figure['rule']]} by {figure['score']}"
    if figure["rule"] == "first" and not figure["image_ids"]:
        how = "those with the lowest image ids"
    shown = (
        "Rows: the picture seen, " + ("the base image, " if "base image" in rows else "") + "the final image"
    )
    ceiling = ", and the generator's picture from the true features."
    shown += ceiling if "true features" in rows else "."
    ties, tied = "", scores.duplicated(keep=False).sum()
    ranked = figure["rule"] != "first" and not figure["image_ids"]
    if ranked and tied:
        by_margin = (
            "the margin by which a picture's correlation with the image seen exceeds those with the others, "
            "then " if margins.notna().any() else ""
        )  # fmt: skip
        ties = f" {tied} images share their score with another and are ordered by {by_margin}the image id."
    what = "image id" if all(str(image_id) == called[image_id] for image_id in ids) else "Image"
    listed = ", ".join(f"{called[image_id]} ({scores[image_id]:.3f})" for image_id in ids)
    return (
        f"Reconstructions of {subject}{' (simulated responses)' if simulated else ''}. {shown} "
        f"Columns: {len(ids)} of {len(scores)} test images, {how}. "
        f"{what} and {figure['score']} ({better(figure['score'])} is better): {listed}.{ties} "
        f"Mean over all {len(scores)} test images {scores.mean():.3f}, median {scores.median():.3f}. "
        f"Evaluation preset {preset}."
    )


def _page(
    rows: Mapping[str, list[np.ndarray]],
    groups: Mapping[str, list[int]],
    scores: pd.Series,
    text: str,
    called: Mapping[int, str],
    interpolation: str,
) -> Figure:
    """Pictures without a gap inside a group, a gap between groups; names left, scores and caption below."""
    sizes = [len(group) for group in groups.values()]
    lines = textwrap.wrap(text, 150)
    left, gap, top, below = 0.62, 0.10, 0.22, 0.2 + 0.115 * len(lines)
    side = (WIDTH - left - gap * len(sizes)) / sum(sizes)
    height = top + side * len(rows) + below
    page = Figure(figsize=(WIDTH, height))
    place = left
    for name, ids in groups.items():
        page.text((place + side * len(ids) / 2) / WIDTH, 1 - 0.06 / height, name, ha="center", va="top",
                  fontsize=8)  # fmt: skip
        for image_id in ids:
            column = [i for group in groups.values() for i in group].index(image_id)
            for line, pictures in enumerate(rows.values()):
                bottom = height - top - side * (line + 1)
                box = (place / WIDTH, bottom / height, 0.97 * side / WIDTH, 0.97 * side / height)
                axes = page.add_axes(box)
                axes.axis("off")
                axes.imshow(pictures[column], aspect="auto", interpolation=interpolation)
            page.text((place + side / 2) / WIDTH, (below - 0.03) / height,
                      f"{_shortened(called[image_id], side)}\n{scores[image_id]:.3f}", ha="center", va="top",
                      fontsize=5.5)  # fmt: skip
            place += side
        place += gap
    for line, name in enumerate(rows):
        page.text((left - 0.06) / WIDTH, (height - top - side * (line + 0.5)) / height,
                  name.replace(" ", "\n"), ha="right", va="center", fontsize=7)  # fmt: skip
    page.text(0.06 / WIDTH, 0.04 / height, "\n".join(lines), fontsize=5.2, va="bottom", color="#444444",
              linespacing=1.3)  # fmt: skip
    return page


def _shortened(name: str, side: float) -> str:
    """A name that fits below a picture of `side` inches; the caption has it whole."""
    most = max(4, int(side / 0.042))  # of 5.5 points a sign, about
    return name if len(name) <= most else f"{name[: most - 1]}…"
