"""The section on what each stage adds: the full recipe alongside its base images and its guides alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.controls.single_stage import FULL, STAGES
from neural_recon.models.denoising import steps_run
from neural_recon.report import gallery, image_names, tables, words
from neural_recon.report.gallery import Card, Picture
from neural_recon.report.results import Results, picture_ids

SHOWN = 6  # images per subject


def section(
    people: Sequence[Results], stimuli: Pictures, painting: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Tables and pictures of all subjects; None where the recipe has one stage only.

    Args:
        painting: the configuration's section `generator`.
    """
    entries = [_entry(person, stimuli) for person in people if "single_stage" in person.controls]
    if not entries:
        return None
    steps, strength = painting.get("steps"), painting.get("strength")
    return {
        "stages": list(STAGES),
        "entries": entries,
        "steps": steps,
        "run": steps_run(strength, steps) if steps and strength else None,
    }


def _entry(person: Results, stimuli: Pictures) -> dict[str, Any]:
    table = person.controls["single_stage"]
    metrics = tables.in_order(table["metric"])
    stages = {metric: table[table["metric"] == metric].to_dict("records") for metric in metrics}
    return {
        "subject": person.subject,
        "n": sorted({int(n) for n in table["n"]}),
        "rows": [
            (words.heading(metric), [{"full": row["stage"] == FULL, **row} for row in rows])
            for metric, rows in stages.items()
        ],
        "cards": _cards(person, stimuli),
    }


def _cards(person: Results, stimuli: Pictures) -> list[Card]:
    """An even spread over the images painted from guides alone, from the best of these to the worst."""
    path = person.files.painted.get("guides_only")
    if path is None:
        return []
    scores, ranked = gallery.ranked_by(person, ("guides_only", *gallery.SCORE[1:]), picture_ids(path))
    ids = [ranked[k] for k in gallery.evenly(len(ranked), SHOWN)]
    pictures = (
        ("seen", gallery.stimuli_of(stimuli, ids)),
        ("base image only", gallery.small_of(person.files.base, ids)),
        ("guides only", gallery.small_of(path, ids)),
        ("full recipe", gallery.small_of(person.files.final, ids)),
    )
    return [
        Card(
            person.subject, i, scores.get(i), ranked.index(i) + 1,
            [
                Picture(name, of.get(i, ""), f"{name}, {image_names.said(i)}, {person.subject}")
                for name, of in pictures
            ],
            [],
        )
        for i in ids
    ]  # fmt: skip
