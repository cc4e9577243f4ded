"""The section on controls: eight questions of a critic, and the tables of controls that have their own."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neural_recon.evaluation.registry import HEADLINE
from neural_recon.report import spaces, variants
from neural_recon.report.amount import TICKS
from neural_recon.report.plots import GREY, MARKERS, STYLE, largest, uri
from neural_recon.report.results import Results
from neural_recon.report.words import heading, number, p_said

CUTS = {"random": "held out at random", "clusters": "held out by clusters"}


def section(people: Sequence[Results], tuned: str) -> dict[str, Any] | None:
    """What the section shows; None where no subject has a table of controls.

    Args:
        tuned: as of `DataSet.tuned`.
    """
    having = [person for person in people if person.controls]
    if not having:
        return None
    return {
        "subjects": [person.subject for person in people],
        "questions": [
            {"question": question, "link": link, "where": where, "cells": [answer(p) for p in people]}
            for question, answer, link, where in _QUESTIONS
        ],
        "tuned": tuned,
        "draws": [entry for entry in map(_spread, having) if entry],
        "clusters": _clusters(having),
        "leaks": _leaks(having),
    }


def _baselines(person: Results) -> list[str]:
    """Training images, then what was painted without the response."""
    final = person.score("decoded", "final", HEADLINE)
    rivals = [one for one in variants.listed() if one.baseline or not one.response]
    rivals.sort(key=lambda one: not one.baseline)
    found = [(one.title, person.score(one.name, one.picture("final"), HEADLINE)) for one in rivals]
    lines = [_named(name, score, final) for name, score in found if score]
    return [_named("final image", final, final), *lines] if lines and final else lines


def _ceiling(person: Results) -> list[str]:
    score = person.score("true_features", "final", HEADLINE)
    return [_named("true features", score, person.score("decoded", "final", HEADLINE))] if score else []


def _named(name: str, score: dict[str, Any], final: dict[str, Any] | None) -> str:
    """A score and, where it is of other images than the final images', how many."""
    n = f" (n = {score['n']:.0f})" if not final or score["n"] != final["n"] else ""
    return f"{name} {number(score['mean'])}{n}"


def _held_out(person: Results) -> list[str]:
    table = person.controls.get("clusters")
    if table is None:
        return []
    # one figure; all spaces stand below it
    rows = table[table["space"] == spaces.main(table["space"])].set_index("held_out")
    if not {"random", "clusters"} <= set(rows.index):
        return []
    p = rows.loc["clusters", "p_difference"]
    return [f"{CUTS[cut]} {number(rows.loc[cut, 'score'])}" for cut in CUTS] + [p_said(p)]


def _checks(person: Results) -> list[str]:
    table = person.controls.get("leaks")
    if table is None:
        return []
    counts = table["verdict"].value_counts()
    return [f"{verdict}: {counts[verdict]} of {len(table)} checks" for verdict in counts.index]


def _alpha(person: Results) -> list[str]:
    tried = {space: table["score"].notna().any() for space, table in person.alphas.items()}
    lines = []
    for how, wanted in (("cross-validated", True), ("fixed by the configuration", False)):
        named = [spaces.title(space) for space, was in tried.items() if was == wanted]
        if named:
            lines.append(f"{how}: {'all spaces' if len(named) == len(tried) else ', '.join(named)}")
    return lines


def _sure(person: Results) -> list[str]:
    score, tests = person.score("decoded", "final", HEADLINE), len(person.tests)
    interval = (
        [f"{number(score['mean'])} [{number(score['ci_low'])}, {number(score['ci_high'])}]"] if score else []
    )
    return [*interval, *([f"{tests} paired tests"] if tests else [])]


def _draws(person: Results) -> list[str]:
    table = person.controls.get("seeds")
    rows = [] if table is None else table[table["metric"] == HEADLINE].to_dict("records")
    if not rows or not np.isfinite(rows[0]["sd"]):
        return []
    row, k = rows[0], len(_draw_columns(table))
    return [f"{number(row['mean'])} ± {number(row['sd'])} over {k} draws (n = {row['n']:.0f})"]


def _less(person: Results) -> list[str]:
    table = person.data_amount
    if table is None:
        return []
    table = table[table["space"] == spaces.main(table["space"])]
    lines = []
    every = table[table["share"] == 1].sort_values("sessions")
    drawn = table[table["sessions"] == table["sessions"].max()].groupby("share")["score"].mean()
    for sizes, scores in (
        ([f"{k} session{'s' if k > 1 else ''}" for k in every["sessions"]], every["score"].tolist()),
        ([f"{share:.0%} of voxels" for share in drawn.index], drawn.tolist()),
    ):
        if len(scores) > 1:
            ends = ((sizes[0], scores[0]), (sizes[-1], scores[-1]))
            lines.append(", ".join(f"{size} {number(score)}" for size, score in ends))
    return lines


# question, a subject's answer in a few lines, anchor of the details, its name
_QUESTIONS = (
    (
        "Better than pictures that need no generator, or no brain? (CLIP two-way)",
        _baselines,
        "metrics",
        "Metrics",
    ),
    ("What could this generator reach at most? (CLIP two-way)", _ceiling, "metrics", "Metrics"),
    (
        "How much is owed to near twins in training? (identification, CLIP vision)",
        _held_out,
        "clusters",
        "Clusters held out",
    ),
    ("Does anything of the test set reach the decoder?", _checks, "leaks", "Leaks"),
    ("Was alpha chosen within the training images?", _alpha, "decoder", "Decoder"),
    ("How sure are the figures, each subject by itself? (CLIP two-way)", _sure, "metrics", "Metrics"),
    ("How much is luck of the draw? (CLIP two-way)", _draws, "draws", "Several draws"),
    ("How does it fall with less data? (identification, CLIP vision)", _less, "amount", "How much data"),
)


def _draw_columns(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name.startswith("seed")]


def _spread(person: Results) -> dict[str, Any] | None:
    """A subject's draws; None where there is one only, which has no spread."""
    table = person.controls.get("seeds")
    draws = [] if table is None else _draw_columns(table)
    if table is None or len(draws) < 2:
        return None
    return {
        "subject": person.subject,
        "draws": ["the run's", *(f"draw {k}" for k in range(2, len(draws) + 1))],
        "rows": [
            {
                "metric": heading(row["metric"]),
                "n": int(row["n"]),
                "means": [row[draw] for draw in draws],
                "mean": row["mean"],
                "sd": row["sd"],
            }
            for row in table.to_dict("records")
        ],
    }


def _clusters(people: Sequence[Results]) -> dict[str, Any] | None:
    tables = {p.subject: p.controls["clusters"] for p in people if "clusters" in p.controls}
    if not tables:
        return None
    rows = []
    for subject, table in tables.items():
        for space in dict.fromkeys(table["space"]):
            mine = table[table["space"] == space].set_index("held_out").to_dict("index")
            rows.append(
                {
                    "subject": subject,
                    "space": spaces.title(space),
                    "cells": [mine.get(cut) for cut in CUTS],
                    "p": mine.get("clusters", {}).get("p_difference"),
                }
            )
    first = next(iter(tables.values())).iloc[0]
    return {
        "plot": _cluster_plot(tables),
        "cuts": list(CUTS.values()),
        "rows": rows,
        "counts": {name: int(first[name]) for name in ("clusters", "folds", "targets", "n")},
    }


def _cluster_plot(tables: dict[str, pd.DataFrame]) -> str:
    """Identification under both cuts: a panel per space, a line per subject; chance as a grey band."""
    shown = spaces.ordered(space for table in tables.values() for space in table["space"])
    best = largest((table["high"] for table in tables.values()), 1)
    worst = -largest((-table["low"] for table in tables.values()), 0)
    bottom = max(min(0.4, 0.95 * worst), 0.0005)  # below chance and all that is drawn; a logit axis has no 0
    top = min(1 - (1 - best) / 2, 0.9995)
    with matplotlib.rc_context({**STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(2.4 * len(shown) + 1.6, 3.0), layout="constrained")
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, space in zip(panels, shown, strict=True):
            for k, table in enumerate(tables.values()):
                mine = table[table["space"] == space].set_index("held_out").reindex(list(CUTS)).dropna()
                if mine.empty:
                    continue
                if k == 0:
                    low, high = (mine["chance"].mean() + s * 2 * mine["chance_sd"].mean() for s in (-1, 1))
                    axes.axhspan(low, high, color="#d9dde1", lw=0)
                    axes.axhline(mine["chance"].mean(), color=GREY, lw=1)
                x = np.array([list(CUTS).index(cut) for cut in mine.index]) + 0.12 * (
                    k - (len(tables) - 1) / 2
                )
                colour = spaces.colour(space)
                shown = mine[["low", "high", "score"]].clip(bottom, top)
                axes.vlines(x, shown["low"], shown["high"], color=colour, lw=1.8, alpha=0.6)
                axes.plot(
                    x, shown["score"], "-", marker=MARKERS[k % len(MARKERS)], color=colour, ms=6.5,
                    mec="white", mew=0.9, lw=1.2,
                )  # fmt: skip
            axes.set(title=spaces.title(space), xlim=(-0.5, 1.5), yscale="logit", ylim=(bottom, top))
            axes.set_xticks(range(len(CUTS)), ["at random", "by clusters"])
            ticks = [tick for tick in (0.1, 0.3, *TICKS) if bottom <= tick < top]
            axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_yticks([], minor=True)
        panels[0].set_ylabel("two-way identification")
        figure.supxlabel("training images held out", fontsize=9.5)
        return uri(figure)


def _leaks(people: Sequence[Results]) -> dict[str, Any] | None:
    tables = {p.subject: p.controls["leaks"] for p in people if "leaks" in p.controls}
    if not tables:
        return None
    by_check = {subject: table.set_index("check").to_dict("index") for subject, table in tables.items()}
    checks = list(dict.fromkeys(check for rows in by_check.values() for check in rows))
    rows = []
    for check in checks:
        cells = [mine.get(check) for mine in by_check.values()]
        tolerance = next(cell["tolerance"] for cell in cells if cell)
        rows.append({"check": check, "tolerance": tolerance, "cells": cells})
    return {"subjects": list(tables), "rows": rows}
