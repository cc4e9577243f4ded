"""The page of results that were handed in: groups of those that compare, and published figures as printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neural_recon.core.files import write_text
from neural_recon.core.tables import write_table
from neural_recon.evaluation.bundles import Bundle, Group
from neural_recon.evaluation.comparison import published, together
from neural_recon.evaluation.recipe_scores import HERE, MEAN, SCORES, TESTS, published_beside
from neural_recon.evaluation.registry import PUBLISHED_TITLES, better
from neural_recon.report import page, recipes, tables, words

PAGE, TABLE, TESTED = "board.html", "board.tsv", "board_tests.tsv"
GROUP = ["group", "dataset", "preset", "images", "repetitions"]
ABOUT = ["sessions", "training_images", "leaks"]
# of a badge: its colour; of others "note"
STATES = {"leak-free": "good", "checks fail": "wrong", "looks at the test set": "wrong"}


def build(output: Path, groups: Sequence[Group]) -> None:
    """Write the page and its two tables into a folder.

    Args:
        groups: of `bundles.groups`.
    """
    shown = [_group(number, group) for number, group in enumerate(groups, 1)]
    printed = published()
    content: dict[str, Any] = {
        "title": "Board of decoders",
        "scripts": "",
        "demo": all(group.key.simulated for group in groups),
        "groups": shown,
        "n": sum(len(group.bundles) for group in groups),
        "published": [
            (row["line"], row["source"], row, [None if pd.isna(row[m]) else row[m] for m in PUBLISHED_TITLES])
            for row in printed.to_dict("records")
        ],
        "published_metrics": [(title, better(name)) for name, title in PUBLISHED_TITLES.items()],
    }
    write_text(output / PAGE, page.render("board.html", content))
    write_table(output / TABLE, together(_table(n, group) for n, group in enumerate(groups, 1)))
    write_table(output / TESTED, together(_tests(n, group) for n, group in enumerate(groups, 1)))


def _group(number: int, group: Group) -> dict[str, Any]:
    metrics = tables.in_order(group.scores.loc[group.scores["mean"].notna(), "metric"])
    subjects = sorted({bundle.subject for bundle in group.bundles})
    beside = published_beside(group.key.preset, len(group.key.image_ids))
    by_subject = {
        who: recipes.score_rows(group.scores[group.scores["subject"] == who], metrics)
        for who in (MEAN, *subjects)
    }
    tests = {who: recipes.test_rows(group.tests[group.tests["subject"] == who], metrics) for who in subjects}
    return {
        "number": number,
        "datasets": _datasets(group),
        "preset": group.key.preset,
        "images": len(group.key.image_ids),
        "repetitions": group.key.repeated,
        "simulated": group.key.simulated,
        "bundles": [_about(bundle) for bundle in group.bundles],
        "metrics": [(words.metric_short(metric), better(metric)) for metric in metrics],
        "tables": [(who, rows) for who, rows in by_subject.items() if rows],
        "marks": {
            who: {one.name: _mark(one) for one in group.bundles if one.subject == who}
            for who in (MEAN, *subjects)
        },
        "published": [] if group.key.simulated else recipes.printed_rows(beside, metrics),
        "tests": [(who, rows) for who, rows in tests.items() if rows],
    }


def _mark(bundle: Bundle) -> dict[str, Any]:
    """What is put to a result's name in tables of scores."""
    badges = [_badge(bundle)]
    if bundle.questioned:
        badges.append({"text": "questioned", "state": "wrong"})
    sessions, images = bundle.sessions or "unknown", bundle.training_images or "unknown"
    return {"badges": badges, "note": f"sessions: {sessions}; training images: {images}"}


def _badge(bundle: Bundle) -> dict[str, str]:
    text = bundle.leaks.badge
    return {"text": text, "state": STATES.get(text, "note")}


def _about(bundle: Bundle) -> dict[str, Any]:
    recipe, made = bundle.recipe, "pictures of a method, scored by neural-recon evaluate"
    if recipe:
        made = f"{', '.join(recipe.spaces)}; {recipe.decoder}; {recipe.generator}"
    return {
        "name": bundle.name,
        "subject": bundle.subject,
        "made": made,
        "recipe": f"recipe {recipe.name}, sha256 {recipe.sha256[:12]}" if recipe else "",
        "sessions": bundle.sessions,
        "training_images": bundle.training_images,
        "badge": _badge(bundle),
        "leaks": bundle.leaks.text,
        "questioned": bundle.questioned,
        "versions": "; ".join(f"{name} {version}" for name, version in bundle.versions.items()),
    }


def _table(number: int, group: Group) -> pd.DataFrame:
    """The scores of a group, one row per result and metric, with the data that each result rests on."""
    described = {(one.name, one.subject): one for one in group.bundles}
    rows = []
    for row in group.scores.to_dict("records"):
        bundle = described.get((row["recipe"], row["subject"]))
        about = [bundle.sessions, bundle.training_images, bundle.leaks.badge] if bundle else [None, None, ""]
        rows.append({**_key(number, group), **row, "source": HERE, **dict(zip(ABOUT, about, strict=True))})
    return pd.DataFrame(rows, columns=[*GROUP, *SCORES, *ABOUT]).rename(columns={"recipe": "name"})


def _tests(number: int, group: Group) -> pd.DataFrame:
    table = group.tests.assign(**_key(number, group))
    return table.reindex(columns=[*GROUP, *TESTS])


def _key(number: int, group: Group) -> dict[str, Any]:
    key = group.key
    values = [number, _datasets(group), key.preset, len(key.image_ids), key.repeated]
    return dict(zip(GROUP, values, strict=True))


def _datasets(group: Group) -> str:
    return ", ".join(sorted({bundle.dataset for bundle in group.bundles}))
