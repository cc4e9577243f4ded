"""Which layers and tokens are decodable, and how much data that takes: plots and tables of the report."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neural_recon.evaluation.controls.refit_null import by_metric
from neural_recon.report import penalties, spaces
from neural_recon.report.plots import GREY, INK, MARKERS, STYLE, largest, uri
from neural_recon.report.results import Results
from neural_recon.report.words import finite, number

CEILING = "#56718A"
TICKS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)  # of identification


def decodable(people: Sequence[Results]) -> dict[str, Any] | None:
    """Scores of single targets by layer and token; None where no subject has them."""
    people = [person for person in people if person.targets]
    if not people:
        return None
    rows = [
        (
            person.subject,
            spaces.title(space),
            table[table["part"] == 0].iloc[0].to_dict(),
            by_metric(person.refits[space], "decoded") if space in person.refits else {},
        )
        for person in people
        for space, table in person.targets.items()
    ]
    return {
        "parts": _parts(people),
        "map": _token_map(people),
        "rows": rows,
        "no_ceiling": any(not finite(row["ceiling"]) for _, _, row, _ in rows),
        "remarks": penalties.remarks(people),
    }


def less_data(people: Sequence[Results]) -> dict[str, Any] | None:
    """Scores of refits on less data; None where no subject has them."""
    tables = {person.subject: person.data_amount for person in people if person.data_amount is not None}
    if not tables:
        return None
    shown = spaces.ordered(space for table in tables.values() for space in table["space"])
    return {
        "plot": _curves(tables, shown),
        "spaces": [spaces.title(space) for space in shown],
        "rows": [row for subject, table in tables.items() for row in _sizes(subject, table, shown)],
        "targets": max(int(table["targets"].max()) for table in tables.values()),
        "voxels": any((table["draw"] > 0).any() for table in tables.values()),
    }


def _parts(people: Sequence[Results]) -> str:
    """Median r by layer or token: a row per subject, a panel per space; quartiles, ceiling and chance."""
    shown = spaces.ordered(space for person in people for space in person.targets)
    with matplotlib.rc_context({**STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(3.3 * len(shown) + 0.6, 0.55 + 2.05 * len(people)), layout="constrained")
        panels = figure.subplots(len(people), len(shown), sharex="col", sharey=True, squeeze=False)
        for row, person in zip(panels, people, strict=True):
            for axes, space in zip(row, shown, strict=True):
                table = person.targets.get(space, pd.DataFrame(columns=["part"]))
                table, colour = table[table["part"] > 0], spaces.colour(space)
                if len(table):
                    part = table["part"]
                    axes.axhspan(-table["chance"].iloc[0], table["chance"].iloc[0], color="#d9dde1", lw=0)
                    axes.fill_between(part, table["r_q25"], table["r_q75"], color=colour, alpha=0.25, lw=0)
                    axes.plot(part, table["ceiling"], "--", color=CEILING, lw=1.3)
                    marker = "o" if len(table) <= 40 else ""
                    axes.plot(part, table["r"], marker=marker, color=colour, lw=1.4, ms=3.5)
                axes.axhline(0, color=GREY, lw=0.8)
                axes.set(ylim=(None, 1.02))
                axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            row[0].set_ylabel(f"{person.subject}\nmedian r")
        for axes, space in zip(panels[0], shown, strict=True):
            axes.set_title(spaces.title(space))
        for axes, space in zip(panels[-1], shown, strict=True):
            axes.set_xlabel(spaces.part(space))
        return uri(figure)


def _token_map(people: Sequence[Results]) -> str | None:
    """CLIP vision's tokens where they lie in the picture: median r, and alongside it the ceiling."""
    grids = {}
    for person in people:
        mapped = next(filter(spaces.has_grid, person.targets), None)
        if mapped is None:
            continue
        scores = person.targets[mapped]
        table = scores[scores["part"] > 0].sort_values("part")
        side = math.isqrt(max(len(table) - 1, 0))
        if side > 1 and side**2 == len(table) - 1:
            grids[person.subject] = (side, table)
    if not grids:
        return None
    with matplotlib.rc_context({**STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(1.2 + 4.2 * len(grids), 2.6), layout="constrained")
        panels = figure.subplots(1, 2 * len(grids), squeeze=False)[0]
        for k, (subject, (side, table)) in enumerate(grids.items()):
            for axes, name, title in zip(
                panels[2 * k :], ("r", "ceiling"), (f"{subject}: median r", "ceiling"), strict=False
            ):
                values = table[name].to_numpy(float)
                shown = axes.imshow(values[1:].reshape(side, side), vmin=0, vmax=1, cmap="viridis")
                axes.set(xticks=[], yticks=[], title=title, xlabel=f"class token {number(values[0], 2)}")
        bar = figure.colorbar(shown, ax=panels, shrink=0.85, pad=0.01)
        bar.ax.axhline(float(table["chance"].iloc[0]), color="white", lw=1.4)
        bar.outline.set_visible(False)
        return uri(figure)


def _curves(tables: dict[str, pd.DataFrame], shown: Sequence[str]) -> str:
    """Identification over training images and over voxels: a panel per space, a line per subject."""
    with_voxels = any((table["draw"] > 0).any() for table in tables.values())
    kinds = ["training_images", *(["share"] if with_voxels else [])]
    with matplotlib.rc_context({**STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(3.3 * len(shown) + 0.6, 0.5 + 2.6 * len(kinds)), layout="constrained")
        panels = figure.subplots(len(kinds), len(shown), sharex="row", sharey=True, squeeze=False)
        best = largest((table["high"] for table in tables.values()), 0.5)
        top = min(1 - (1 - best) / 2, 0.9995)
        for row, kind in zip(panels, kinds, strict=True):
            for axes, space in zip(row, shown, strict=True):
                for k, table in enumerate(tables.values()):
                    _curve(axes, table[table["space"] == space], kind, k, len(tables), top, space)
                axes.set(xscale="log", yscale="logit", ylim=(0.4, top))
                axes.set_yticks([tick for tick in TICKS if tick < top])
                axes.set_yticks([], minor=True)
                axes.set_yticklabels([f"{tick:g}" for tick in TICKS if tick < top])
                places = sorted({x for table in tables.values() for x in _shown(table, kind)[kind]})
                # numbers of subjects that lie close together would overlap
                kept = [x for n, x in enumerate(places) if n == 0 or x > 1.12 * places[n - 1]]
                axes.set_xticks(kept, [f"{x:,.0f}" if kind != "share" else f"{x:.0%}" for x in kept])
                axes.set_xticks([], minor=True)
            row[0].set_ylabel("two-way identification")
            sizes = sorted({k for table in tables.values() for k in _shown(table, kind)["sessions"]})
            plural = "s" if sizes != [1] else ""
            what = "training images of " if kind != "share" else "share of the voxels, "
            for axes in row:
                axes.set_xlabel(f"{what}{', '.join(map(str, sizes))} session{plural}")
        for axes, space in zip(panels[0], shown, strict=True):
            axes.set_title(spaces.title(space))
        if len(tables) > 1:
            handles = [
                matplotlib.lines.Line2D(
                    [], [], color=INK, marker=MARKERS[k % len(MARKERS)], ls=_line(k), ms=5
                )
                for k in range(len(tables))
            ]
            panels[0][-1].legend(handles, list(tables), fontsize=8.5, loc="center right")
        return uri(figure)


def _curve(axes: Axes, table: pd.DataFrame, kind: str, k: int, subjects: int, top: float, space: str) -> None:
    """One subject's line: means with intervals, single draws as small dots; chance as a grey band."""
    table = _shown(table, kind).sort_values(kind)
    if table.empty:
        return
    colour, marker = spaces.colour(space), MARKERS[k % len(MARKERS)]
    means = table.groupby(kind)[["score", "low", "high", "chance", "chance_sd"]].mean()
    x = means.index.to_numpy(float) * (1 + 0.012 * (k - (subjects - 1) / 2))  # side by side
    if k == 0:
        low, high = (means["chance"] + sign * 2 * means["chance_sd"] for sign in (-1, 1))
        axes.fill_between(means.index, low, high, color="#d9dde1", lw=0)
        axes.plot(means.index, means["chance"], color=GREY, lw=1.2)
    shown = means[["score", "low", "high"]].clip(upper=top)
    axes.vlines(x, shown["low"], shown["high"], color=colour, lw=1.8, alpha=0.6)
    axes.plot(x, shown["score"], _line(k), marker=marker, color=colour, ms=5.5, mec="white", mew=0.8, lw=1.4)
    drawn = table[table["draw"] > 0]
    axes.plot(drawn[kind], drawn["score"].clip(upper=top), ".", color=INK, ms=3, mew=0, alpha=0.7)


def _line(k: int) -> str:
    return ("-", "--", ":", "-.")[k % 4]


def _shown(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of a plot: all voxels, over sessions; or all sessions, over voxels."""
    return table[table["share"] == 1] if kind == "training_images" else _all_sessions(table)


def _all_sessions(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["sessions"] == table["sessions"].max()]


def _sizes(subject: str, table: pd.DataFrame, shown: Sequence[str]) -> list[dict[str, Any]]:
    """The table's rows: a size each, with (score, low, high, chance, chance_sd) of each space.

    Several draws of voxels are one row: the mean of their scores, from the lowest to the highest.
    """
    rows = []
    for (sessions, share), size in table.groupby(["sessions", "share"], sort=False):
        cells = []
        for space in shown:
            mine = size[size["space"] == space]
            draws = len(mine)
            mean = mine[["score", "low", "high", "chance", "chance_sd"]].mean()
            if draws > 1:
                mean["low"], mean["high"] = mine["score"].min(), mine["score"].max()
            cells.append(mean.to_dict() if draws else None)
        first, draws = size.iloc[0], size["draw"].nunique()
        rows.append(
            {
                "subject": subject,
                "sessions": int(sessions),
                "images": int(first["training_images"]),
                "voxels": int(first["voxels"]),
                "share": float(share),
                "draws": int(draws) if first["draw"] else 0,
                "cells": cells,
            }
        )
    return sorted(rows, key=lambda row: (row["sessions"], np.isclose(row["share"], 1), row["share"]))
