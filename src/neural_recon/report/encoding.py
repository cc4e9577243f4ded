"""The report's section on encoding models: whether pictures evoke the response they were decoded from."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neural_recon.core.tables import first_with
from neural_recon.evaluation.encoding import FINAL, SCORES, SEEN, TESTS
from neural_recon.evaluation.regions import ALL
from neural_recon.features.space import SPACES
from neural_recon.generation.controls import FITS, Pair
from neural_recon.report import plots, results, variants, words
from neural_recon.report.results import Results

PAIRS = (SEEN, *((variant, picture) for variant in FITS for picture in ("final", "base")))
MARKERS = {"seen": "D", "final": "o", "base": "s"}
TITLES = {
    "patterns": "over voxels, image by image",
    "voxels": "over images, voxel by voxel",
}
CEILING = "#8c2d04"


def section(people: Sequence[Results], configuration: Mapping[str, Any]) -> dict[str, Any] | None:
    """All subjects' encoding models; None where the configuration names no space for any."""
    settings = (configuration.get("evaluation") or {}).get("encoding")
    entries = [entry for person in people if (entry := _entry(person)) is not None]
    if not entries or not settings:
        return None
    return {"space": SPACES.load(settings["kind"]).title, "entries": entries, "titles": TITLES}


def _entry(person: Results) -> dict[str, Any] | None:
    files = person.files
    if files.encoding_scores is None or files.encoding_tests is None:
        return None
    scores, tests = results.table(files.encoding_scores, SCORES), results.table(files.encoding_tests, TESTS)
    pairs = [pair for pair in PAIRS if _cell(scores, ALL, "voxels", pair)]
    everything = {
        measure: {
            name: _cell(scores, ALL, measure, pair)
            for name, pair in (("seen", SEEN), ("final", FINAL), ("shuffled", ("shuffled", "final")))
        }
        for measure in TITLES
    }
    return {
        "subject": person.subject,
        "plot": plot(scores),
        "everything": everything,
        # a model that predicts nothing of what was seen says nothing of what was made
        "works": all(found["seen"] and found["seen"]["p"] < 0.05 for found in everything.values()),
        "pictures": [_label(pair) for pair in pairs],
        "rows": _rows(scores, pairs),
        "comparisons": list(dict.fromkeys(tests["comparison"])),
        "tests": _tests(tests),
    }


def _label(pair: Pair) -> str:
    return "picture seen" if pair == SEEN else words.row_label(*pair)


def _colour(pair: Pair) -> str:
    return plots.INK if pair == SEEN else variants.colour(*pair)


def _face(pair: Pair) -> str:
    return "white" if variants.known(pair[0]).hollow else _colour(pair)


def _cell(scores: pd.DataFrame, region: str, measure: str, pair: Pair) -> dict[str, Any] | None:
    return first_with(scores, region=region, measure=measure, variant=pair[0], picture=pair[1])


def _rows(scores: pd.DataFrame, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """A row per measure and region, a cell per picture."""
    return [
        {
            "measure": TITLES[measure],
            "region": region,
            "voxels": int(part["voxels"].iloc[0]),
            "cells": [_cell(part, region, measure, pair) for pair in pairs],
        }
        for measure in TITLES
        for region, part in scores[scores["measure"] == measure].groupby("region", sort=False)
    ]


def _tests(tests: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per measure and region, a cell per comparison."""
    rows = []
    for measure in TITLES:
        for region, part in tests[tests["measure"] == measure].groupby("region", sort=False):
            found = {row["comparison"]: row for row in part.to_dict("records")}
            cells = [found.get(name) for name in dict.fromkeys(tests["comparison"])]
            rows.append({"measure": TITLES[measure], "region": region, "cells": cells})
    return rows


def plot(scores: pd.DataFrame) -> str:
    """A panel per measure, a row per region: all pictures with intervals, chance, and the noise ceiling."""
    sizes = scores.drop_duplicates("region").set_index("region")["voxels"]
    regions, pairs = list(sizes.index), [pair for pair in PAIRS if _cell(scores, ALL, "voxels", pair)]
    step = 0.8 / len(pairs)
    with matplotlib.rc_context(plots.STYLE):
        height = 1.1 + max(0.62, 0.13 * len(pairs)) * len(regions)
        figure = Figure(figsize=(10, height), layout="constrained")
        panels = figure.subplots(1, len(TITLES), sharey=True)
        for axes, (measure, title) in zip(panels, TITLES.items(), strict=True):
            axes.axvline(0, color="#aab1b8", lw=0.8, zorder=1)
            for place, region in enumerate(regions):
                if place % 2 == 0:
                    axes.axhspan(place - 0.5, place + 0.5, color="#f3f5f7", lw=0, zorder=0)
                for k, pair in enumerate(pairs):
                    y = place + step * (k - (len(pairs) - 1) / 2)
                    _dot(axes, _cell(scores, region, measure, pair), y, step, pair)
                seen = _cell(scores, region, measure, SEEN)
                if seen and pd.notna(seen["noise_ceiling"]):
                    edges = [place - 0.42, place + 0.42]
                    axes.plot([seen["noise_ceiling"]] * 2, edges, color=CEILING, lw=1.6, ls="--", zorder=2)
            axes.set(title=title, xlabel="brain correlation", yticks=range(len(regions)))
            axes.set_ylim(len(regions) - 0.5, -0.5)
            axes.set_yticklabels([f"{name} ({sizes[name]:,})" for name in regions])
        handles = [
            Line2D([], [], color=_colour(pair), marker=MARKERS[pair[1]], lw=1.8, ms=5.5, label=_label(pair),
                   mec=_colour(pair), mfc=_face(pair))
            for pair in pairs
        ]  # fmt: skip
        handles.append(Line2D([], [], color="#c3c9cf", lw=5, label="chance"))
        handles.append(Line2D([], [], color=CEILING, lw=1.6, ls="--", label="noise ceiling"))
        figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=8.5)
        return plots.uri(figure)


def _dot(axes: Axes, row: dict[str, Any] | None, y: float, step: float, pair: Pair) -> None:
    if row is None:
        return
    colour, marker = _colour(pair), MARKERS[pair[1]]
    chance = [row["chance"] + k * row["chance_sd"] for k in (-2, 2)]
    axes.fill_betweenx([y - step / 2, y + step / 2], *chance, color="#c3c9cf", lw=0, zorder=1)
    axes.plot([row["ci_low"], row["ci_high"]], [y, y], color=colour, lw=2, solid_capstyle="butt", zorder=3)
    axes.plot(row["mean"], y, marker, ms=5, mfc=_face(pair), mec=colour, zorder=4)
