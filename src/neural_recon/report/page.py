"""Put the report together."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import yaml

from neural_recon import verdicts
from neural_recon.errors import InputError
from neural_recon.files import write_text
from neural_recon.report import (
    amount,
    controls,
    gallery,
    networks,
    plots,
    published,
    regions,
    results,
    strata,
    words,
)
from neural_recon.report.results import Results, SubjectFiles

logger = logging.getLogger(__name__)

MAIN_METRICS = (
    "clip_two_way", "object", "background", "pixcorr", "ssim", "alexnet2_two_way", "alexnet5_two_way",
    "inception_two_way", "efficientnet_distance", "swav_distance",
)  # fmt: skip


def build(
    output: str | Path,
    subjects: Sequence[SubjectFiles],
    stimuli: str | Path,
    benchmarks: str | Path | None,
    configuration: Mapping[str, Any],
    title: str = "Pictures from brain responses",
) -> None:
    """Write the report: one HTML file without anything outside it.

    Args:
        output: the file.
        subjects: where each subject's results lie, in the order of the page.
        stimuli: NSD's stimuli.
        benchmarks: folder of Snakemake's benchmark files, a folder a rule; None leaves the times out.
        configuration: the resolved configuration, plain values.
        title: heading of the page.

    Raises:
        InputError: no subject, or a file that is missing or not what it must be.
    """
    if not subjects:
        raise InputError("report: expected at least one subject, found none.")
    people = [results.read(files) for files in subjects]
    demo = configuration.get("demo") is not None
    metrics = [m for m in MAIN_METRICS if any((p.summary["metric"] == m).any() for p in people)]
    ceiling = any(p.score("true_features", "final", m) for p in people for m in metrics)
    names = [person.subject for person in people]
    galleries = [gallery.subject_cards(person, stimuli, gallery.ALL // len(people)) for person in people]
    content = {
        "title": title,
        "demo": demo,
        "introduction": words.introduction(demo, len(people), ceiling),
        "headlines": [_headline(person) for person in people],
        "galleries": galleries,
        "together": gallery.shared_cards(people, stimuli),
        "swapped": [
            entry for entry in (gallery.swapped_cards(person, stimuli) for person in people) if entry
        ],
        "regions": [entry for entry in (regions.section(p, stimuli) for p in people) if entry],
        "strata": strata.section(people),
        "published": published.section(people),
        "symbols": _symbols(people),
        "plots": _score_plots(people, metrics),
        "tables": [_score_table(person, metrics) for person in people],
        "feature_plot": _feature_plot(people),
        "feature_table": _feature_table(people),
        "networks": networks.section(people),
        "pairings": _pairings(people),
        "tests": _tests(people),
        "decodable": amount.decodable(people),
        "data_amount": amount.less_data(people),
        "controls": controls.section(people, words.tuned(configuration)),
        "decoder": _decoder(people),
        "quality": [entry for entry in (_quality(person, output) for person in people) if entry],
        "simulated": words.simulated(
            {p.subject: results.medians(p.ceilings) for p in people} if demo else {}
        ),
        "notes": words.notes(
            configuration,
            metrics,
            ceiling,
            all(person.data_amount is not None for person in people),
            set.intersection(*(set(person.controls) for person in people)),
        ),
        "configuration": yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True),
        "seed": configuration.get("seed"),
        "demo_seed": (configuration.get("demo") or {}).get("seed"),
        "preset": (configuration.get("evaluation") or {}).get("preset"),
        "made_by": words.made_by({person.subject: person.versions for person in people}),
        "versions": results.versions(),
        "benchmarks": results.benchmarks(benchmarks, names),
        "alone": names[0] if len(names) == 1 else None,
    }
    text = render("template.html", content)
    write_text(output, text)
    logger.info("%s: %d subjects, %d images, %.1f MB", output, len(people),
                sum(len(g["cards"]) for g in galleries), len(text) / 1e6)  # fmt: skip


def render(template: str, content: Mapping[str, Any]) -> str:
    """A template of this package filled in."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neural_recon", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number, p_value=words.p_value, duration=words.duration, alpha=words.alpha
    )
    return environment.get_template(template).render(content)


def _headline(person: Results) -> dict:
    score, base = person.score(*gallery.SCORE), person.score("decoded", "base", "clip_two_way")
    return {
        "subject": person.subject,
        "images": person.data["test images"],
        "score": score,
        "base": base,
        "ceiling": person.score("true_features", "final", "clip_two_way"),
    }


def _quality(person: Results, page: str | Path) -> dict | None:
    """The verdict on a subject's sessions, and where the page on it lies."""
    table = person.files.quality
    if table is None:
        return None
    link = os.path.relpath(Path(table).parent.with_suffix(".html"), Path(page).parent)
    sentence = verdicts.sentence(verdicts.read_sessions(table))
    return {"subject": person.subject, "sentence": sentence, "link": Path(link).as_posix()}


def _symbols(people: Sequence[Results]) -> list[tuple[str, str]]:
    """Each subject's symbol in the plots."""
    symbols = words.SUBJECT_SYMBOLS
    return [(symbols[k % len(symbols)], person.subject) for k, person in enumerate(people)]


def _summaries(people: Sequence[Results]) -> pd.DataFrame:
    return pd.concat([person.summary for person in people], ignore_index=True)


def _score_plots(people: Sequence[Results], metrics: Sequence[str]) -> list[dict]:
    summary = _summaries(people)
    pictures = summary[~summary["picture"].isin(words.FEATURE_SPACES)]
    subjects = [person.subject for person in people]
    return [
        {
            "title": words.metric_title(metric),
            "caption": words.metric_caption(metric),
            "source": plots.scores(pictures, metric, subjects),
            "alt": f"{words.metric_title(metric)} by variant and subject; numbers in the tables below",
        }
        for metric in metrics
    ]


def _score_table(person: Results, metrics: Sequence[str]) -> dict:
    """Variants by metrics, each cell the summary's row or None."""
    frame = person.summary[~person.summary["picture"].isin(words.FEATURE_SPACES)]
    known = [*metrics, *(m for m in frame["metric"].unique() if m not in (*metrics, *words.CONTEXT_METRICS))]
    order = list(dict.fromkeys(row for metric in known for row in plots.rows_of(frame, metric)))
    order = [row for row in plots.rows_of(frame.assign(metric="any"), "any") if row in order]
    return {
        "subject": person.subject,
        "metrics": [words.metric_title(metric) for metric in known],
        "rows": [
            (
                words.row_label(*row),
                row == gallery.SCORE[:2],
                [person.score(*row, metric) for metric in known],
            )
            for row in order
        ],
    }


def _pairings(people: Sequence[Results]) -> dict:
    """How many random pairings measure chance: the usual number, and whether some scores had others."""
    numbers = _summaries(people)["repairings"].dropna()
    usual = int(numbers.mode().max()) if len(numbers) else None
    return {"usual": usual, "others": bool((numbers != usual).any())}


def _feature_plot(people: Sequence[Results]) -> dict | None:
    summary = _summaries(people)
    features = summary[summary["picture"].isin(words.FEATURE_SPACES) & (summary["metric"] == "two_way")]
    if features.empty:
        return None
    return {
        "source": plots.scores(features, "two_way", [person.subject for person in people]),
        "caption": words.metric_caption("two_way"),
        "alt": "Two-way identification of predicted features by space and subject; numbers in the table",
    }


def _feature_table(people: Sequence[Results]) -> dict:
    """Subject and variant by feature space, each cell the summary's row or None."""
    frame = _summaries(people)
    pairs = plots.rows_of(frame[frame["picture"].isin(words.FEATURE_SPACES)], "two_way")
    spaces = list(dict.fromkeys(space for _, space in pairs))
    variants = list(dict.fromkeys(variant for variant, _ in pairs))
    return {
        "spaces": [words.FEATURE_SPACES[space] for space in spaces],
        "rows": [
            (p.subject, words.variant_label(v), [p.score(v, space, "two_way") for space in spaces])
            for p in people
            for v in variants
        ],
    }


def _tests(people: Sequence[Results]) -> list[dict]:
    """The paired tests: a row a comparison and metric, with the test of each subject or None."""
    tests = pd.concat([person.tests for person in people], ignore_index=True)
    metrics = [*(m for m in MAIN_METRICS if m in set(tests["metric"])), *tests["metric"].unique()]
    rows = []
    for comparison in tests["comparison"].unique():
        for metric in dict.fromkeys(metrics):
            mine = tests[(tests["comparison"] == comparison) & (tests["metric"] == metric)]
            found = {row["subject"]: row for row in mine.to_dict("records")}
            if found:
                cells = [found.get(person.subject) for person in people]
                rows.append({"comparison": comparison, "metric": words.metric_title(metric), "cells": cells})
    return rows


def _decoder(people: Sequence[Results]) -> dict:
    """Penalties, voxels and trials."""
    spaces = list(dict.fromkeys(space for person in people for space in person.alphas))
    penalties = []
    for person in people:
        for space in spaces:
            if space not in person.alphas or person.alphas[space].empty:
                continue
            curve = person.alphas[space]
            tried = curve["score"].notna().any()
            chosen = curve[plots.is_true(curve["chosen"])]
            best = chosen if len(chosen) else curve if not tried else curve.iloc[:0]
            scored = best.dropna(subset=["score"])
            how = f"cross-validated, {curve['fold'].nunique()} folds" if tried else "fixed"
            if curve["group"].nunique() > 1:
                how += f", {curve['group'].nunique()} groups of features"
            penalties.append(
                {
                    "subject": person.subject,
                    "space": words.FEATURE_SPACES.get(space, space),
                    "alpha": float(best["alpha"].min()) if len(best) else None,
                    "largest": float(best["alpha"].max()) if len(best) else None,
                    "score": float(np.average(scored["score"], weights=scored["features"]))
                    if len(scored)
                    else None,
                    "how": how,
                    "edge": bool(
                        tried and best["alpha"].isin([curve["alpha"].min(), curve["alpha"].max()]).any()
                    ),
                }
            )
    reasons = list(dict.fromkeys(reason for person in people for reason in person.dropped))
    facts = [(name, [_fact(person.data[name]) for person in people]) for name in people[0].data]
    facts.append(("voxels kept", [_fact(person.kept) for person in people]))
    facts += [
        (f"voxels dropped: {r}", [_fact(person.dropped.get(r, 0)) for person in people]) for r in reasons
    ]
    return {
        "curves": plots.alpha_curves({person.subject: person.alphas for person in people}),
        "penalties": penalties,
        "ceilings": plots.noise_ceilings({person.subject: person.ceilings for person in people}),
        "subjects": [person.subject for person in people],
        "facts": facts,
    }


def _fact(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
