"""The section on other sessions of the same people: every group of trials apart, with its controls."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5, read_parameters
from neural_recon.core.tables import first_with
from neural_recon.evaluation.generalisation import PICTURES
from neural_recon.evaluation.registry import METRICS
from neural_recon.generation.controls import FITS
from neural_recon.report import gallery, results, spaces, tables, words
from neural_recon.report.gallery import Card, Picture
from neural_recon.report.results import Results

SHOWN = 6  # pictures per group
SAID = {
    "train": "by mean and standard deviation of the training images",
    "session": "by mean and standard deviation of these sessions themselves",
    "run": "within each run, by all of its trials",
}


def section(people: Sequence[Results], configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the section shows, other sessions by other sessions; none without any."""
    found = configuration.get("generalisation") or {}
    entries = []
    for name, how in found.items():
        mine = [person for person in people if name in person.files.other_scores]
        if mine:
            data = datasets.load({"dataset": how["dataset"]})
            entries.append({"name": name, "people": [_person(one, name, how, data) for one in mine]})
    return entries


def _person(person: Results, name: str, how: Mapping[str, Any], data: Any) -> dict[str, Any]:
    scores = results.table(person.files.other_scores[name], ["group", *results.SUMMARY])
    tests = results.table(person.files.other_tests[name], ["group", *results.TESTS])
    path = person.files.other_decoded[name]
    about = read_parameters(path)
    return {
        "subject": person.subject,
        "zscore": SAID[about["zscore"]],
        "without_signal": int(about["not_finite"]) + int(about["constant"]),
        "voxels": int(about["voxels"]),
        "left_out": about["left_out"],
        "most": how.get("trials"),
        "groups": [
            {
                "name": group,
                "n": int(mine["n"].max()),
                "metrics": [words.heading(metric) for metric in _metrics(mine)],
                "rows": _rows(mine),
                "features": _features(mine),
                "tests": _tests(tests[tests["group"] == group]),
                "cards": _cards(path, group, data),
            }
            for group, mine in scores.groupby("group", sort=False)
        ],
    }


def _metrics(scores: pd.DataFrame) -> list[str]:
    pictures = scores[~scores["picture"].map(spaces.is_space) & scores["mean"].notna()]
    return tables.in_order(pictures["metric"])


def _rows(scores: pd.DataFrame) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """Fits and kinds of pictures by metrics, as of `tables.score_table`."""
    pictures = scores[~scores["picture"].map(spaces.is_space)]
    there = set(zip(pictures["variant"], pictures["picture"], strict=True))
    return [
        (
            words.row_label(*row),
            row == ("decoded", "final"),
            [_cell(pictures, *row, metric) for metric in _metrics(scores)],
        )
        for row in itertools.product(FITS, ("final", "base"))
        if row in there
    ]


def _cell(scores: pd.DataFrame, variant: str, picture: str, metric: str) -> dict[str, Any]:
    measured = scores[scores["mean"].notna()]
    return first_with(measured, variant=variant, picture=picture, metric=metric) or {"missing": ""}


def _features(scores: pd.DataFrame) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Two-way identification of predicted features: space, decoder, shuffled decoder."""
    names = spaces.ordered(name for name in scores["picture"] if spaces.is_space(name))
    return [
        (
            spaces.title(name),
            _cell(scores, "decoded", name, "two_way"),
            _cell(scores, "shuffled", name, "two_way"),
        )
        for name in names
    ]


def _tests(tests: pd.DataFrame) -> list[dict[str, Any]]:
    rows = tests[tests["metric"].isin(list(METRICS))].to_dict("records")
    return [{**row, "metric": words.heading(row["metric"])} for row in rows]


def _cards(path: Path, group: str, data: Any) -> list[Card]:
    """An even spread over the pictures by id: nobody chose them."""
    arrays = read_hdf5(path)
    mine = np.flatnonzero(arrays["group"] == group)
    mine = mine[gallery.evenly(len(mine), SHOWN)]
    ids = arrays["image_id"][mine]
    names = data.image_names(ids) or [f"image {i}" for i in ids]
    cards = []
    for row, image_id, name, seen in zip(mine, ids, names, data.pictures(ids), strict=True):
        pictures = [("seen or imagined", seen)]
        pictures += [
            (words.row_label("decoded", kind), arrays[kind][row]) for kind in PICTURES if kind in arrays
        ]
        shown = [Picture(label, gallery.data_uri(one), f"{label}, {name}") for label, one in pictures]
        cards.append(Card("", int(image_id), None, 0, shown, [name]))
    return cards
