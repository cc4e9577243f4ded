"""The page that shows recipes side by side: scores, tests of every two, and what each made of a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neural_recon.core.files import write_text
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.recipe_scores import HERE, MEAN
from neural_recon.evaluation.registry import HEADLINE, better
from neural_recon.report import gallery, image_names, page, tables, words
from neural_recon.report.gallery import Card, Picture

SHOWN = 24  # images per subject


def build(
    output: str | Path,
    about: Mapping[str, str],
    scores: pd.DataFrame,
    tests: pd.DataFrame,
    images: pd.DataFrame,
    files: Mapping[tuple[str, str], str | Path],
    pictures: Pictures,
    preset: str,
    simulated: bool,
    names: image_names.Names | None = None,
) -> None:
    """Write the page: one HTML file without anything outside it.

    Args:
        about: recipe -> what it is, in a few words.
        scores, tests, images: tables of `recipe_scores`.
        files: (recipe, subject) -> its reconstructions.
        pictures: what was seen.
        names: as of `DataSet.image_names`.
    """
    image_names.use(names)
    subjects = list(dict.fromkeys(subject for _, subject in files))
    ours = scores[scores["source"] == HERE]
    metrics = tables.in_order(ours.loc[ours["mean"].notna(), "metric"])
    score = HEADLINE if HEADLINE in metrics else metrics[0]
    shown = {subject: _cards(subject, list(about), images, files, pictures, score) for subject in subjects}
    content: dict[str, Any] = {
        "title": "Recipes side by side",
        "scripts": "",
        "demo": simulated,
        "about": about,
        "metrics": [(words.metric_short(metric), better(metric)) for metric in metrics],
        # the mean of several subjects first
        "tables": [
            (who, rows)
            for who in (MEAN, *subjects)
            if (rows := score_rows(ours[ours["subject"] == who], metrics))
        ],
        "published": printed_rows(scores[scores["source"] != HERE], metrics),
        "tests": [(subject, test_rows(tests[tests["subject"] == subject], metrics)) for subject in subjects],
        "pairs": len(tests[["first", "second"]].drop_duplicates()),
        "galleries": shown,
        "totals": images.groupby("subject")["image_id"].nunique().to_dict(),
        "score": words.metric_short(score),
        "preset": preset,
        "missing": _missing(ours),
    }
    write_text(output, page.render("recipes.html", content))


def score_rows(table: pd.DataFrame, metrics: Sequence[str]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """Recipe by metric; the best of a metric is marked `best`."""
    best = {}
    for metric in metrics:
        means = table[(table["metric"] == metric) & table["mean"].notna()].set_index("recipe")["mean"]
        if len(means) > 1:
            best[metric] = means.min() if better(metric) == "lower" else means.max()
    cells = {
        (row["recipe"], row["metric"]): {**row, "best": row["mean"] == best.get(row["metric"])}
        for row in table[table["mean"].notna()].to_dict("records")
    }
    return [
        (name, [cells.get((name, metric)) for metric in metrics]) for name in dict.fromkeys(table["recipe"])
    ]


def printed_rows(
    table: pd.DataFrame, metrics: Sequence[str]
) -> list[tuple[str, str, str, list[float | None]]]:
    """Line, source, subjects, and the figures of these metrics."""
    rows = []
    for (name, source, subjects), mine in table.groupby(["recipe", "source", "subject"], sort=False):
        values = dict(zip(mine["metric"], mine["mean"], strict=True))
        rows.append((name, source, subjects, [values.get(metric) for metric in metrics]))
    return rows


def test_rows(
    table: pd.DataFrame, metrics: Sequence[str]
) -> list[tuple[str, str, list[dict[str, Any] | None]]]:
    """Every two recipes by metric."""
    found = {(row["first"], row["second"], row["metric"]): row for row in table.to_dict("records")}
    pairs = dict.fromkeys((first, second) for first, second, _ in found)
    return [(*pair, [found.get((*pair, metric)) for metric in metrics]) for pair in pairs]


def _missing(table: pd.DataFrame) -> list[tuple[str, str]]:
    """What no recipe has a number of, and why: the names of metrics for each reason."""
    rows = table[table["not_measured"].fillna("") != ""].drop_duplicates("metric")
    reasons: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        reasons.setdefault(row["not_measured"], []).append(words.metric_title(row["metric"]))
    return [(", ".join(names), why) for why, names in reasons.items()]


def _cards(
    subject: str,
    names: Sequence[str],
    images: pd.DataFrame,
    files: Mapping[tuple[str, str], str | Path],
    pictures: Pictures,
    metric: str,
) -> list[Card]:
    """An even spread over a subject's images by their mean score over recipes, best first."""
    mine = images[images["subject"] == subject]
    wide = mine.pivot_table(index="image_id", columns="recipe", values=metric)
    mean = {int(i): float(v) for i, v in wide.mean(axis=1).items()}
    signed = {i: -v for i, v in mean.items()} if better(metric) == "lower" else mean
    ranked = gallery.best_first(mine["image_id"].unique(), signed, {})
    ids = [ranked[k] for k in gallery.evenly(len(ranked), SHOWN)]
    seen = gallery.stimuli_of(pictures, ids)
    painted = {name: gallery.small_of(files[name, subject], ids) for name in names}
    return [
        Card(
            subject, i, mean.get(i), ranked.index(i) + 1,
            [Picture("seen", seen[i], f"seen, {image_names.said(i)}")]
            + [
                Picture(
                    f"{name} {words.number(wide[name].get(i)) if name in wide else ''}".strip(),
                    painted[name].get(i, ""),
                    f"{name}, {image_names.said(i)}, {subject}",
                )
                for name in names
            ],
            [],
        )
        for i in ids
    ]  # fmt: skip
