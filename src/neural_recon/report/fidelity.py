"""How much comes from the brain: shares of scores between chance and ceiling, and decoders that see a few
components of the responses only."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_recon.core.tables import rows_with
from neural_recon.evaluation.shares import PICTURES
from neural_recon.report import spaces, variants, words
from neural_recon.report.amount import TICKS
from neural_recon.report.plots import GREY, INK, MARKERS, STYLE, largest, uri
from neural_recon.report.results import Results

WIDEST = (-0.6, 1.25)  # of the axis of shares: intervals of few images may reach anywhere


def section(people: Sequence[Results], metrics: Sequence[str]) -> dict[str, Any] | None:
    """Both; None where no subject has either.

    Args:
        metrics: of pictures, in the order of the page.
    """
    shares = {person.subject: person.shares for person in people if person.shares is not None}
    shares = {subject: table for subject, table in shares.items() if len(table)}
    curves = {person.subject: person.bottleneck for person in people if person.bottleneck is not None}
    if not shares and not curves:
        return None
    order = [m for m in metrics if any((table["metric"] == m).any() for table in shares.values())]
    return {
        "shares": {
            "plots": [_share_plot(shares, metric) for metric in order if _known(shares, metric)],
            "metrics": [words.metric_title(metric) for metric in order],
            "tables": [_share_table(subject, table, order) for subject, table in shares.items()],
            "prior": any((table["variant"] == "prior").any() for table in shares.values()),
        }
        if shares
        else None,
        "bottleneck": _bottleneck(people, curves) if curves else None,
    }


def _known(tables: dict[str, pd.DataFrame], metric: str) -> bool:
    return any(table.loc[table["metric"] == metric, "share"].notna().any() for table in tables.values())


def _share_plot(tables: dict[str, pd.DataFrame], metric: str) -> dict[str, str]:
    """One metric: a panel per kind of picture, a row per variant, a marker per subject."""
    every = pd.concat([table.assign(subject=subject) for subject, table in tables.items()], ignore_index=True)
    every = every[(every["metric"] == metric) & every["share"].notna()]
    pictures = [picture for picture in PICTURES if (every["picture"] == picture).any()]
    rows = [one.name for one in variants.listed() if (every["variant"] == one.name).any()]
    step = min(0.28, 0.62 / len(tables))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 0.95 + 0.42 * len(rows)), layout="constrained")
        panels = figure.subplots(1, len(pictures), sharex=True, sharey=True, squeeze=False)[0]
        for axes, picture in zip(panels, pictures, strict=True):
            for place, variant in enumerate(rows):
                if place % 2 == 0:
                    axes.axhspan(place - 0.5, place + 0.5, color="#f3f5f7", lw=0, zorder=0)
                colour = variants.colour(variant, picture)
                mine = rows_with(every, picture=picture, variant=variant)
                for k, subject in enumerate(tables):
                    for row in mine[mine["subject"] == subject].itertuples():
                        y = place + step * (k - (len(tables) - 1) / 2)
                        low, high, x = np.clip([row.low, row.high, row.share], *WIDEST)
                        axes.plot([low, high], [y, y], color=colour, lw=2.2, solid_capstyle="butt", zorder=3)
                        hollow = variant != "decoded"
                        axes.plot(
                            x, y, MARKERS[k % len(MARKERS)], color=colour, ms=6, mew=1.4,
                            mfc="white" if hollow else colour, mec=colour if hollow else "white", zorder=4,
                        )  # fmt: skip
            for x, name in ((0, "chance"), (1, "ceiling")):
                axes.axvline(x, color=GREY, lw=1, zorder=1)
                axes.text(x, -0.58, name, ha="center", va="bottom", fontsize=8, color=GREY)
            axes.set_title(f"{picture} image", pad=16)
            axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
            axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0, symbol=" %"))
        panels[0].set_yticklabels([variants.label(variant) for variant in rows])
        low, high = every["low"].min(), every["high"].max()
        panels[0].set_xlim(max(min(low, -0.1), WIDEST[0]) - 0.03, min(max(high, 1.08), WIDEST[1]) + 0.03)
        source = uri(figure)
    title = words.metric_title(metric)
    return {
        "title": title,
        "source": source,
        "alt": f"Share of {title} between chance and ceiling; numbers in the tables below",
    }


def _share_table(subject: str, table: pd.DataFrame, metrics: Sequence[str]) -> dict[str, Any]:
    """Pictures and variants by metrics, and what the decoder has above the best control."""
    cells = {
        (row["picture"], row["variant"], row["metric"]): row for row in table.to_dict("records")
    }  # fmt: skip
    rows = []
    for picture in PICTURES:
        for one in variants.listed():
            mine = [cells.get((picture, one.name, metric)) for metric in metrics]
            if any(mine):
                label = words.row_label(one.name, one.picture(picture))
                label += " (base ceiling)" if one.baseline and picture == "base" else ""
                rows.append({"label": label, "main": one.name == "decoded", "cells": mine})
    return {
        "subject": subject,
        "rows": rows,
        "owed": [
            (picture, found)
            for picture in PICTURES
            if any(found := [_owed(cells, picture, metric) for metric in metrics])
        ],
    }


def _owed(cells: dict[tuple[str, str, str], dict[str, Any]], picture: str, metric: str) -> dict[str, Any]:
    """The decoder's share, and the largest of those that know nothing of the response; empty without."""
    known = {
        one.name: cell["share"]
        for one in variants.listed()
        if (cell := cells.get((picture, one.name, metric))) and words.finite(cell["share"])
    }
    own = known.pop("decoded", None)
    if own is None or not known:
        return {}
    best = max(known, key=lambda variant: known[variant])
    return {"own": own, "without": known[best], "best": variants.label(best)}


def percent(value: Any) -> str:
    """A share for people."""
    return f"{words.number(value * 100, 0)} %" if words.finite(value) else "–"


def _bottleneck(people: Sequence[Results], tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    shown = spaces.ordered(space for table in tables.values() for space in table["space"])
    pictures = {p.subject: p.bottleneck_pictures for p in people if p.bottleneck_pictures is not None}
    return {
        "plot": _curves(tables, shown),
        "spaces": [spaces.title(space) for space in shown],
        "targets": max(int(table["targets"].max()) for table in tables.values()),
        "rows": [row for subject, table in tables.items() for row in _rows(subject, table, shown)],
        "enough": [f"{subject}: {_enough(table, shown)}" for subject, table in tables.items()],
        "pictures": _picture_rows(pictures) if pictures else None,
    }


def _rows(subject: str, table: pd.DataFrame, shown: Sequence[str]) -> list[dict[str, Any]]:
    """The table's rows: a number of components each, with each space's scores by fit."""
    cells = {
        (row["components"], row["space"], row["fit"]): row for row in table.to_dict("records")
    }  # fmt: skip
    found = []
    for (k, whole), mine in table.groupby(["components", "whole"], sort=True):
        found.append({
            "subject": subject,
            "components": f"all {k:,}" if whole else f"{k:,}",
            "variance": mine["variance"].iloc[0],
            "cells": [
                {fit: cells.get((k, space, fit)) for fit in ("decoded", "shuffled")} for space in shown
            ],
        })  # fmt: skip
    return found


def _enough(table: pd.DataFrame, shown: Sequence[str]) -> str:
    """From how many components on each space is identified about as well as with all, in words."""
    said = []
    for space in shown:
        mine = rows_with(table, space=space, fit="decoded").sort_values("components")
        if mine.empty:
            continue
        low = mine["low"].iloc[-1]
        short = mine.loc[mine["score"] < low, "components"]
        enough = mine.loc[mine["components"] > (short.max() if len(short) else 0)].iloc[0]
        said.append(
            f"{spaces.title(space)} {'all' if enough['whole'] else format(enough['components'], ',')}"
        )
    return ", ".join(said)


def _place(table: pd.DataFrame) -> pd.Series:
    """Where numbers of components are drawn; they differ a little between subjects where it is all."""
    return table["components"].astype(float)


def _curves(tables: dict[str, pd.DataFrame], shown: Sequence[str]) -> str:
    """Identification over the number of components: a panel per space, a line per subject and fit."""
    best = largest((table["high"] for table in tables.values()), 0.5)
    worst = -largest((-table["low"] for table in tables.values()), 0)
    bottom, top = max(min(0.4, 0.95 * worst), 0.0005), min(1 - (1 - best) / 2, 0.9995)
    ticks = [tick for tick in (0.1, 0.2, 0.3, *TICKS) if bottom <= tick < top]
    with matplotlib.rc_context({**STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(3.3 * len(shown) + 0.6, 3.2), layout="constrained")
        panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for axes, space in zip(panels, shown, strict=True):
            for k, table in enumerate(tables.values()):
                mine = table[table["space"] == space].sort_values("components")
                if k == 0 and len(mine):
                    known = mine[mine["fit"] == "decoded"]
                    low, high = (known["chance"] + sign * 2 * known["chance_sd"] for sign in (-1, 1))
                    axes.fill_between(_place(known), low, high, color="#d9dde1", lw=0)
                for fit in ("shuffled", "decoded"):
                    _curve(axes, mine[mine["fit"] == fit], fit, k, len(tables), (bottom, top), space)
            axes.set(title=spaces.title(space), xscale="log", yscale="logit", ylim=(bottom, top))
            axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_yticks([], minor=True)
            _ticks(axes, tables)
        panels[0].set_ylabel("two-way identification")
        figure.supxlabel("components of the responses", fontsize=9.5)
        handles = [
            matplotlib.lines.Line2D([], [], color=INK, marker=MARKERS[k % len(MARKERS)], ls="-", ms=5)
            for k in range(len(tables))
        ]
        hollow = matplotlib.lines.Line2D([], [], color=GREY, marker="o", mfc="white", ls="--", ms=5)
        names = [*(tables if len(tables) > 1 else ["decoded"]), variants.label("shuffled")]
        panels[-1].legend([*handles, hollow], names, fontsize=8.5, loc="center right")
        return uri(figure)


def _curve(
    axes: Axes, table: pd.DataFrame, fit: str, k: int, subjects: int, limits: tuple[float, float], space: str
) -> None:
    """One subject's line of one fit, with intervals."""
    decoded = fit == "decoded"
    colour = spaces.colour(space) if decoded else GREY
    x = _place(table) * (1 + 0.02 * (k - (subjects - 1) / 2))  # side by side
    shown = table[["score", "low", "high"]].clip(*limits)
    if decoded:
        axes.vlines(x, shown["low"], shown["high"], color=colour, lw=1.8, alpha=0.6)
    axes.plot(
        x, shown["score"], "-" if decoded else "--", marker=MARKERS[k % len(MARKERS)], color=colour,
        ms=5.5 if decoded else 4, mfc=colour if decoded else "white", mec="white" if decoded else colour,
        mew=0.8, lw=1.4 if decoded else 0.9,
    )  # fmt: skip


def _ticks(axes: Axes, tables: dict[str, pd.DataFrame]) -> None:
    """A tick per number of components; the last is all of them."""
    places = sorted({int(k) for table in tables.values() for k in table["components"]})
    kept = [k for n, k in enumerate(places) if n == 0 or k > 1.35 * places[n - 1]]
    every = max(places)
    axes.set_xticks(kept, ["all" if k >= 0.9 * every else f"{k:,}" for k in kept])
    axes.set_xticks([], minor=True)


def _picture_rows(tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Scores of pictures by subject, picture and number of components."""
    every = pd.concat(tables.values())
    metrics = list(dict.fromkeys(every["metric"]))
    rows = []
    for subject, table in tables.items():
        cells = {(row["picture"], row["fit"], row["metric"]): row for row in table.to_dict("records")}
        for picture, fit in table[["picture", "fit"]].drop_duplicates().itertuples(index=False):
            k = "all" if fit == "decoded" else f"{int(fit.removeprefix('components_')):,}"
            found = [cells.get((picture, fit, metric)) for metric in metrics]
            n = next(cell["n"] for cell in found if cell)
            rows.append(
                {"subject": subject, "picture": picture, "components": k, "n": int(n), "cells": found}
            )
    return {"metrics": [words.heading(metric) for metric in metrics], "rows": rows}
