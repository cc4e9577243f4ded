"""The report's section on where decoding works: scores by what pictures show, and by their nearest twin."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neural_recon.core.tables import first_with, rows_with
from neural_recon.evaluation.region_tests import BY_STRATUM, TESTS
from neural_recon.evaluation.registry import HEADLINE
from neural_recon.evaluation.strata import ALL, FEWEST, OBJECTS, STRATA, TRENDS
from neural_recon.report import plots, results, spaces, variants, words
from neural_recon.report.regions import title_of
from neural_recon.report.results import Results

SHOWN = (HEADLINE, "pixcorr")  # plotted; the table has all metrics
LOOKS = {  # (variant, picture): colour, marker, label
    pair: (variants.colour(*pair), marker, label)
    for pair, marker, label in (
        (("decoded", "final"), "o", "final image"),
        (("decoded", "base"), "s", "base image"),
        (("nearest_image", "baseline"), "D", "nearest training image (baseline)"),
    )
}
CHANCE = "chance"


def section(people: Sequence[Results]) -> dict[str, Any] | None:
    """All subjects' strata; None where no subject has them."""
    tables = {p.subject: _strata_table(p.files.strata) for p in people if p.files.strata is not None}
    if not tables:
        return None
    people = [person for person in people if person.subject in tables]
    trends = pd.concat([results.table(p.files.trends, TRENDS) for p in people if p.files.trends is not None])
    return {
        "entries": [
            {
                "subject": subject,
                "plot": strata_plot(table),
                "metrics": [words.heading(metric) for metric in _metrics(table)],
                "rows": _rows(table),
            }
            for subject, table in tables.items()
        ],
        "content": any((table["by"] == OBJECTS).any() for table in tables.values()),
        "subjects": list(tables),
        "trends": _trends(trends, list(tables)),
        "regions": [entry for entry in map(_regions, people) if entry],
        "fewest": FEWEST,
        "nearest": any((table["variant"] == "nearest_image").any() for table in tables.values()),
    }


def _strata_table(path: Path) -> pd.DataFrame:
    """The strata of a subject; what has no figure says why."""
    table = results.table(path, STRATA)
    return table.assign(not_measured=table["not_measured"].astype(object).fillna(""))


def _metrics(table: pd.DataFrame) -> list[str]:
    """The metrics of pictures, those of the plots first."""
    found = table.loc[table["picture"].isin(spaces.PICTURES), "metric"].unique()
    return [*(m for m in SHOWN if m in found), *(m for m in found if m not in SHOWN)]


def _cell(
    table: pd.DataFrame, by: str, stratum: str, pair: tuple[str, str], metric: str
) -> dict[str, Any] | None:
    return first_with(table, by=by, stratum=stratum, variant=pair[0], picture=pair[1], metric=metric)


def _strata(table: pd.DataFrame, by: str) -> list[tuple[str, int]]:
    """The strata in order, with the most images that any score has."""
    mine = table[table["by"] == by].groupby(["place", "stratum"])["n"].max().reset_index()
    return list(zip(mine["stratum"], mine["n"].astype(int), strict=True))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per stratum and picture, with a cell per metric."""
    rows = []
    for by in table["by"].unique():
        for stratum, n in _strata(table, by):
            for pair, (_, _, label) in LOOKS.items():
                cells = [_cell(table, by, stratum, pair, metric) for metric in _metrics(table)]
                if any(cells):
                    rows.append({"by": by, "stratum": stratum, "n": n, "picture": label, "cells": cells})
    return rows


def strata_plot(table: pd.DataFrame) -> str:
    """A row of panels per metric, one panel per criterion: final and base image, intervals, chance."""
    kinds = [by for by in table["by"].unique() if by != ALL]
    metrics = [metric for metric in SHOWN if (table["metric"] == metric).any()]
    most = max(len(_strata(table, by)) for by in kinds)
    with matplotlib.rc_context({**plots.STYLE, "font.size": 9}):
        size = (1.2 + 3.3 * len(kinds), 0.5 + len(metrics) * (0.8 + 0.36 * most))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(metrics), len(kinds), squeeze=False, sharex="row")
        for row, metric in zip(panels, metrics, strict=True):
            for axes, by in zip(row, kinds, strict=True):
                _panel(axes, table, by, metric)
                axes.set_xlabel(words.heading(metric), fontsize=8.5)
        for axes, by in zip(panels[0], kinds, strict=True):
            axes.set_title(textwrap.fill(by, 24))
        there = set(zip(table["variant"], table["picture"], strict=True))
        handles = [
            Line2D([], [], color=colour, marker=marker, lw=1.8, ms=5, label=label)
            for pair, (colour, marker, label) in LOOKS.items()
            if pair in there
        ]
        handles.append(Line2D([], [], color="#9aa2aa", marker="|", ms=9, mew=2.5, lw=0, label=CHANCE))
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=8.5)
        return plots.uri(figure)


def _panel(axes: Axes, table: pd.DataFrame, by: str, metric: str) -> None:
    strata = _strata(table, by)
    pairs = list(LOOKS)
    for place, (stratum, _) in enumerate(strata):
        if place % 2 == 0:
            axes.axhspan(place - 0.5, place + 0.5, color="#f3f5f7", lw=0, zorder=0)
        for k, pair in enumerate(pairs):
            cell, y = _cell(table, by, stratum, pair, metric), place + 0.2 * (k - 1) * (len(pairs) > 1)
            if cell is None:
                continue
            if pd.isna(cell["mean"]):
                if k == 0:
                    place_of = axes.get_yaxis_transform()
                    axes.text(0.5, place, f"only {int(cell['n'])} images", fontsize=7.5, va="center",
                              ha="center", color=plots.GREY, transform=place_of)  # fmt: skip
                continue
            colour, marker, _ = LOOKS[pair]
            axes.plot(cell["chance"], y, "|", color="#9aa2aa", ms=7, mew=2.5, zorder=2)
            axes.plot([cell["ci_low"], cell["ci_high"]], [y, y], color=colour, lw=1.8, zorder=3)
            axes.plot(cell["mean"], y, marker, color=colour, ms=4.5, zorder=4)
    every = _cell(table, ALL, ALL, ("decoded", "final"), metric)
    if every and pd.notna(every["mean"]):
        axes.axvline(every["mean"], color=plots.INK, lw=0.8, ls=":", zorder=1)
    axes.set(ylim=(len(strata) - 0.5, -0.5), yticks=range(len(strata)))
    axes.set_yticklabels([f"{stratum} ({n})" for stratum, n in strata])


def _trends(trends: pd.DataFrame, subjects: Sequence[str]) -> list[dict[str, Any]]:
    """One row per criterion, metric and picture, with a cell per subject."""
    rows = []
    order = {pair: place for place, pair in enumerate(LOOKS)}
    pictures = trends[[pair in order for pair in zip(trends["variant"], trends["picture"], strict=True)]]
    for by in trends["by"].unique():
        for metric in dict.fromkeys([*SHOWN, *pictures["metric"]]):
            for pair, (_, _, label) in LOOKS.items():
                mine = rows_with(pictures, by=by, metric=metric, variant=pair[0], picture=pair[1])
                mine = mine.dropna(subset="effect")
                found = {row["subject"]: row for row in mine.to_dict("records")}
                if found:
                    cells = [found.get(subject) for subject in subjects]
                    title = words.heading(metric)
                    rows.append({"by": by, "metric": title, "picture": label, "cells": cells})
    return rows


def _regions(person: Results) -> dict[str, Any] | None:
    """One subject's tests of regions; None where the configuration names no regions."""
    files = person.files
    if files.region_tests is None or files.region_strata is None:
        return None
    tests, strata = results.table(files.region_tests, TESTS), results.table(files.region_strata, BY_STRATUM)
    rows = []
    for (region, space), part in tests.groupby(["region", "space"], sort=False):
        found = {row["against"]: row for row in part.to_dict("records")}
        rows.append({"region": region, "space": title_of(space), "tests": list(found.values())})
    against = list(dict.fromkeys(tests["against"]))
    return {"subject": person.subject, "map": region_map(strata), "rows": rows, "against": against}


def region_map(table: pd.DataFrame) -> str:
    """Region by stratum, in one space: its decoder's score less that of all voxels (* for p_holm < 0.05)."""
    table = table[table["space"] == spaces.main(filter(spaces.is_space, table["space"]))]
    kinds, regions = list(table["by"].unique()), list(dict.fromkeys(table["region"]))
    strata = {by: _strata(table, by) for by in kinds}
    difference = table["mean"] - table["all_voxels"]
    largest = max(0.1, float(difference.abs().max()) if difference.notna().any() else 0)
    widths = [len(strata[by]) for by in kinds]
    with matplotlib.rc_context({**plots.STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(11, 1.6 + 0.34 * len(regions)), layout="constrained")
        panels = figure.subplots(1, len(kinds), squeeze=False, sharey=True, width_ratios=widths)[0]
        for axes, by in zip(panels, kinds, strict=True):
            mine = table[table["by"] == by].assign(difference=difference)
            values = mine.pivot(index="region", columns="place", values="difference").loc[regions]
            p = mine.pivot(index="region", columns="place", values="p_holm").loc[regions].to_numpy()
            image = axes.imshow(values, aspect="auto", cmap="PuOr_r", vmin=-largest, vmax=largest)
            for (row, column), value in np.ndenumerate(values.to_numpy(float)):
                text, dark = "n.m.", False
                if np.isfinite(value):
                    star = "*" if p[row, column] < 0.05 else ""
                    text, dark = f"{value:+.3f}".replace("-", "−") + star, sum(image.to_rgba(value)[:3]) < 1.5
                axes.text(column, row, text, ha="center", va="center", fontsize=7.5,
                          color="white" if dark else plots.INK)  # fmt: skip
            axes.set(title=textwrap.fill(by, 24), xticks=range(len(strata[by])), yticks=range(len(regions)))
            axes.set_xticklabels([name for name, _ in strata[by]], rotation=35, ha="right", fontsize=8)
            axes.set_yticklabels(regions)
            axes.tick_params(length=0)
        return plots.uri(figure)
