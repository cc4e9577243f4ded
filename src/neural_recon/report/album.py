"""All test images of all subjects as data inside the page, from which its script makes cards when asked."""

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.core.tables import rows_with
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.registry import better
from neural_recon.report import captions, gallery, image_names, results, words
from neural_recon.report.results import Results

BUDGET = 22_000_000  # characters of the page that pictures may take, about
# Pixels a side and WebP quality: the first that keeps to the budget is taken, so that a few pictures are
# large and two subjects of 982 images still make a file that opens at once.
SIZES = ((160, 90), (160, 75), (144, 75), (128, 75), (112, 70), (96, 65), (80, 60), (64, 60))
SAMPLE = 12  # pictures per sheet that tell how much it will take
CONTENT = ["image_id", "n_objects", "main_category"]


@dataclass(frozen=True)
class Sheet:
    """One kind of picture of one subject's images ("": of all)."""

    subject: str
    kind: str
    ids: list[int]
    read: Callable[[Iterable[int]], Iterator[tuple[int, np.ndarray]]]  # one picture after the other


def build(
    people: Sequence[Results], stimuli: Pictures, metrics: Sequence[str], content: str | Path | None
) -> dict[str, Any]:
    """The gallery's data.

    Args:
        people: the subjects.
        stimuli: what was seen.
        metrics: these first among those to sort by.
        content: table of the stimuli's objects and categories (`CONTENT`), to filter by; None without.

    Returns:
        `sheets` (subject, kind, JSON {ids, index, pictures}: images[k] shows pictures[index[k]] in base64),
        `index` (JSON of the subjects' ids, scores and captions, the metrics and the contents), what the
        page's forms need (`metrics`, `categories`, `objects`), `kinds`, what they are in words (`said`) and
        `side`, the pictures' largest size in pixels.
    """
    ids = {person.subject: results.picture_ids(person.files.final).tolist() for person in people}
    sheets = list(_sheets(people, stimuli, ids))
    side, quality = _fitting(sheets)
    orders = _metrics(people, metrics)
    shown = {i for some in ids.values() for i in some}
    contents = _contents(content, shown)
    index: dict[str, Any] = {
        "metrics": [
            {
                "name": m,
                "title": words.heading(m),
                "short": words.metric_short(m),
                "lower": better(m) == "lower",
            }
            for m in orders
        ],
        "judged": [m for m in orders if m in gallery.JUDGED],
        "kinds": _kinds(people),
        "subjects": [
            {
                "name": person.subject,
                "ids": ids[person.subject],
                "scores": {
                    m: _aligned(person.per_image("decoded", "final", m), ids[person.subject]) for m in orders
                },
                "says": {
                    label: [texts.get(i) for i in ids[person.subject]]
                    for label, texts in captions.texts(person).items()
                },
                "margins": {
                    m: _aligned(margins, ids[person.subject])
                    for m in orders
                    if (margins := person.per_image("decoded", "final", m, "margin"))
                },
            }
            for person in people
        ],
        "content": contents,
        "names": image_names.names(sorted(shown)),
        "first": gallery.FIRST,
    }
    categories = pd.Series([category for _, category in contents.values() if category], dtype=object)
    return {
        "sheets": [(s.subject, s.kind, _written(s, side, quality)) for s in sheets],
        "index": _json(index),
        "metrics": index["metrics"],
        "kinds": index["kinds"],
        "said": gallery.said_of(kind["name"] for kind in index["kinds"]),
        "categories": [(str(name), int(count)) for name, count in categories.value_counts().items()],
        "objects": sorted({objects for objects, _ in contents.values() if objects is not None}),
        "side": side,
        "images": sum(len(some) for some in ids.values()),
    }


def _sheets(people: Sequence[Results], stimuli: Pictures, ids: Mapping[str, list[int]]) -> Iterator[Sheet]:
    """The stimuli once for all subjects, then what was made of them."""
    seen = sorted({i for some in ids.values() for i in some})
    yield Sheet("", "seen", seen, lambda some: gallery.each_stimulus(stimuli, some))
    for person in people:
        for kind, _, path, name in gallery.kinds_of(person):
            there = set(results.picture_ids(path).tolist())
            mine = [i for i in ids[person.subject] if i in there]
            yield Sheet(
                person.subject, kind, mine,
                functools.partial(results.each_picture, path, name=name),
            )  # fmt: skip


def _fitting(sheets: Sequence[Sheet]) -> tuple[int, int]:
    """The largest size and quality at which all sheets together keep to the budget, judged by samples."""
    samples = []
    for sheet in sheets:
        some = [sheet.ids[k] for k in gallery.evenly(len(sheet.ids), SAMPLE)]
        samples.append([image for _, image in sheet.read(some)])
    for side, quality in SIZES:
        total = sum(
            len(sheet.ids) * np.mean([len(gallery.encoded(image, side, quality)) for image in some])
            for sheet, some in zip(sheets, samples, strict=True)
            if some
        )
        if total <= BUDGET:
            break
    return side, quality


def _written(sheet: Sheet, side: int, quality: int) -> str:
    """A sheet's pictures as JSON; equal ones (images with the same nearest neighbour) stand there once."""
    ids, index = [], []
    pictures: dict[str, int] = {}
    for image_id, image in sheet.read(sheet.ids):
        text = gallery.encoded(image, side, quality)
        ids.append(image_id)
        index.append(pictures.setdefault(text, len(pictures)))
    return _json({"ids": ids, "index": index, "pictures": list(pictures)})


def _metrics(people: Sequence[Results], first: Sequence[str]) -> list[str]:
    """What every final image may have a score of."""
    variant, picture, _ = gallery.SCORE
    found = []
    for person in people:
        mine = rows_with(person.images, variant=variant, picture=picture)
        found += mine.dropna(subset="value")["metric"].unique().tolist()
    return [*(m for m in first if m in found), *(m for m in dict.fromkeys(found) if m not in first)]


def _kinds(people: Sequence[Results]) -> list[dict[str, Any]]:
    labels = {"seen": "seen"}
    for person in people:
        labels |= {name: label for name, label, _, _ in gallery.kinds_of(person)}
    return [{"name": name, "label": label, "main": name in gallery.MAIN} for name, label in labels.items()]


def _aligned(scores: Mapping[int, float], ids: Sequence[int]) -> list[float | None]:
    return [round(scores[i], 4) if i in scores else None for i in ids]


def _contents(path: str | Path | None, ids: set[int]) -> dict[int, tuple[int | None, str]]:
    """image id -> number of objects and main category, of the test images that have them."""
    if path is None:
        return {}
    frame = results.table(path, CONTENT)
    frame = frame[frame["image_id"].isin(ids)]
    return {
        int(row.image_id): (
            None if pd.isna(row.n_objects) else int(row.n_objects),
            "" if pd.isna(row.main_category) else str(row.main_category),
        )
        for row in frame.itertuples()
    }


def _json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
