"""The report's plots and tables of scores, of the decoder and of the data."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.core.tables import rows_with
from neural_recon.evaluation.registry import HEADLINE, compared
from neural_recon.report import gallery, penalties, plots, spaces, variants, words
from neural_recon.report.results import Results

# of pictures, in the order of the page
MAIN_METRICS = tuple(dict.fromkeys([HEADLINE, *compared("names"), *compared("pixels", "network")]))


def symbols(people: Sequence[Results]) -> list[tuple[str, str]]:
    """Each subject's symbol in the plots."""
    symbols = words.SUBJECT_SYMBOLS
    return [(symbols[k % len(symbols)], person.subject) for k, person in enumerate(people)]


def _summaries(people: Sequence[Results]) -> pd.DataFrame:
    return pd.concat([person.summary for person in people], ignore_index=True)


def score_plots(people: Sequence[Results], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """One plot per metric, of those that were measured."""
    summary = _summaries(people)
    pictures = summary[summary["picture"].isin(spaces.PICTURES) & summary["mean"].notna()]
    subjects = [person.subject for person in people]
    return [
        {
            "title": words.heading(metric),
            "caption": words.metric_caption(metric),
            "source": plots.scores(pictures, metric, subjects),
            "alt": f"{words.metric_title(metric)} by variant and subject; numbers in the tables below",
        }
        for metric in metrics
        if (pictures["metric"] == metric).any()
    ]


def score_table(person: Results, metrics: Sequence[str]) -> dict[str, Any]:
    """Variants by metrics, each cell the summary's row or why there is none."""
    frame = person.summary[person.summary["picture"].isin(spaces.PICTURES)]
    shown = frame.loc[frame["mean"].notna(), "metric"].unique()
    known = [*metrics, *(m for m in shown if m not in (*metrics, *compared("guides")))]
    order = list(dict.fromkeys(row for metric in known for row in plots.rows_of(frame, metric)))
    order = [row for row in plots.rows_of(frame.assign(metric="any"), "any") if row in order]
    return {
        "subject": person.subject,
        "painted": _painted_refit(person, [variant for variant, _ in order]),
        "metrics": [words.heading(metric) for metric in known],
        "rows": [
            (
                words.row_label(*row),
                row == gallery.SCORE[:2],
                [person.cell(*row, metric) for metric in known],
            )
            for row in order
        ],
    }


def _painted_refit(person: Results, painted: Sequence[str]) -> str:
    """Where the features of the shuffled decoder that pictures were painted from lie among other refits, ""
    without such pictures or refits."""
    named = spaces.ordered(filter(spaces.is_space, person.summary["picture"]))
    scores = {space: person.score("shuffled", space, "two_way") for space in named}
    found = {space: score for space, score in scores.items() if score and not np.isnan(score["refits"])}
    if "shuffled" not in painted or not found:
        return ""
    count = int(next(iter(found.values()))["refits"])
    among = "; ".join(
        f"{spaces.title(space)} {words.number(score['refit_score'])} among {count} others of "
        f"{words.number(score['refit_mean'])} ± {words.number(score['refit_sd'])} "
        f"(z = {words.number(score['refit_z'], 1)})"
        for space, score in found.items()
    )
    return (
        f"The shuffled decoder's pictures are painted from one of {count + 1} refits, for which re-paired p "
        f"is too small. Two-way identification by its predicted features: {among}."
    )


def pairings(people: Sequence[Results]) -> dict[str, Any]:
    """How many random pairings measure chance: the usual number, and whether some scores had others."""
    numbers = _summaries(people)["repairings"].dropna()
    usual = int(numbers.mode().max()) if len(numbers) else None
    return {"usual": usual, "others": bool((numbers != usual).any())}


def feature_plot(people: Sequence[Results]) -> dict[str, Any] | None:
    summary = _summaries(people)
    features = summary[summary["picture"].map(spaces.is_space) & (summary["metric"] == "two_way")]
    features = features[features["mean"].notna()]
    if features.empty:
        return None
    refitted = features["refit_sd"].notna()
    refits = features.loc[refitted, "refits"]
    # what a decoder that knows nothing may reach; re-pairings scatter less
    null = features.assign(
        shuffled=features["refit_mean"].where(refitted, features["shuffled"]),
        shuffled_sd=features["refit_sd"].where(refitted, features["shuffled_sd"]),
    )
    grey = (
        f" Grey: mean ± 2 standard deviations of {refits.max():.0f} refits on shuffled pairs; without them, "
        "of random pairings."
    )
    return {
        "source": plots.scores(null, "two_way", [person.subject for person in people]),
        "caption": words.metric_caption("two_way") + (grey if refitted.any() else ""),
        "alt": "Two-way identification of predicted features by space and subject; numbers in the table",
    }


def feature_table(people: Sequence[Results]) -> dict[str, Any]:
    """Subject and variant by feature space, each cell the summary's row or why there is none."""
    frame = _summaries(people)
    pairs = plots.rows_of(frame[frame["picture"].map(spaces.is_space)], "two_way")
    shown = list(dict.fromkeys(space for _, space in pairs))
    found = list(dict.fromkeys(variant for variant, _ in pairs))
    return {
        "spaces": [spaces.title(space) for space in shown],
        "rows": [
            (p.subject, variants.label(v), [p.cell(v, space, "two_way") for space in shown])
            for p in people
            for v in found
        ],
        "refits": frame["refits"].max() if frame["refits"].notna().any() else None,
        "remarks": penalties.remarks(people),
    }


def in_order(metrics: Iterable[str]) -> list[str]:
    """Each metric once: those of `MAIN_METRICS` first, the others as they come."""
    found = dict.fromkeys(metrics)
    return list(dict.fromkeys([*(m for m in MAIN_METRICS if m in found), *found]))


def tests(people: Sequence[Results]) -> list[dict[str, Any]]:
    """The paired tests: a row a comparison and metric, with the test of each subject or None."""
    tests = pd.concat([person.tests for person in people], ignore_index=True)
    rows = []
    for comparison in tests["comparison"].unique():
        for metric in in_order(tests["metric"]):
            mine = rows_with(tests, comparison=comparison, metric=metric)
            found = {row["subject"]: row for row in mine.to_dict("records")}
            if found:
                cells = [found.get(person.subject) for person in people]
                rows.append({"comparison": comparison, "metric": words.heading(metric), "cells": cells})
    return rows


def decoder(people: Sequence[Results]) -> dict[str, Any]:
    """Penalties, voxels and trials."""
    reasons = list(dict.fromkeys(reason for person in people for reason in person.dropped))
    facts = [(name, [_fact(person.data[name]) for person in people]) for name in people[0].data]
    facts.append(("voxels kept", [_fact(person.kept) for person in people]))
    if any(person.without_ceiling for person in people):
        counts = [_fact(person.without_ceiling) for person in people]
        facts.append(("voxels kept, without a noise ceiling", counts))
    facts += [
        (f"voxels dropped: {r}", [_fact(person.dropped.get(r, 0)) for person in people]) for r in reasons
    ]
    return {
        "losses": plots.loss_curves({p.subject: p.losses for p in people if p.losses is not None}),
        "curves": plots.alpha_curves({person.subject: person.alphas for person in people}),
        "penalties": penalties.rows(people),
        "ceilings": plots.noise_ceilings({person.subject: person.ceilings for person in people}),
        "subjects": [person.subject for person in people],
        "facts": facts,
    }


def _fact(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else words.number(value, 2)
