"""Pictures for the page: which to show first, how small, and as data inside the file."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.registry import HEADLINE, compared
from neural_recon.report import captions, image_names, results, variants
from neural_recon.report.results import Results
from neural_recon.report.words import SWAPPED_TITLES, number

FIRST = 8  # images per subject that are shown at first
SWAPPED = 6  # images per subject in the section on swapped guides
TOGETHER = 6  # images that are shown as every subject's responses gave them
SCORE = ("decoded", "final", HEADLINE)  # what orders them
MAIN = ("seen", "base", "final")  # pictures that a card shows at once; the others with a click
THUMBNAIL = 160  # pixels a side at most
QUALITY = 90
JUDGED = tuple(compared("names"))  # metrics that are right or wrong


@dataclass(frozen=True)
class Picture:
    """One picture of a card."""

    label: str
    source: str  # data URI; "" where it was not painted
    alt: str


@dataclass(frozen=True)
class Card:
    """One test image with what was made of it."""

    subject: str
    image_id: int
    score: float | None
    rank: int  # 1: the best of the subject
    pictures: list[Picture]
    remarks: list[str]
    more: list[Picture] = field(default_factory=list)  # shown with a click
    says: list[tuple[str, str]] = field(default_factory=list)  # captions: whose, and the text

    @property
    def title(self) -> str:
        """What the image is called."""
        return image_names.title(self.image_id)


def encoded(image: np.ndarray, size: int, quality: int) -> str:
    """A picture, uint8 (H, W, 3), as a WebP of at most `size` pixels a side, in base64."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    if max(picture.size) > size:
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    # small pictures are shown enlarged, where coarse colours and blocks would be seen
    if quality == QUALITY and max(picture.size) <= 96:
        quality = 95
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, use_sharp_yuv=quality >= QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def data_uri(image: np.ndarray, size: int = THUMBNAIL) -> str:
    """A picture, uint8 (H, W, 3), small, inside a data URI."""
    return "data:image/webp;base64," + encoded(image, size, QUALITY)


def evenly(n: int, count: int) -> list[int]:
    """At most `count` positions evenly spread over 0..n-1, both ends among them."""
    return sorted(set(np.linspace(0, n - 1, min(count, n)).round().astype(int).tolist())) if n else []


def best_first(
    image_ids: Sequence[int] | np.ndarray, scores: Mapping[int, float], margins: Mapping[int, float]
) -> list[int]:
    """Ids from the best score to the worst, equal ones by their margin and id, those without a score last."""
    return sorted(
        (int(i) for i in image_ids),
        key=lambda i: (i not in scores, -scores.get(i, 0), -margins.get(i, 0), i),
    )


def ranked_by(
    person: Results, score: tuple[str, str, str], image_ids: Sequence[int] | np.ndarray
) -> tuple[dict[int, float], list[int]]:
    """A subject's scores by image, and these images from the best to the worst."""
    scores = person.per_image(*score)
    return scores, best_first(image_ids, scores, person.per_image(*score, "margin"))


def ties(scores: Mapping[int, float]) -> str:
    """How many images share the best score, in words; "" where it is one image's alone."""
    best = max(scores.values(), default=0)
    n = sum(score == best for score in scores.values())
    return f"{n} of {len(scores)} have the best score, {best:.3f}" if n > 1 else ""


def each_stimulus(stimuli: Pictures, image_ids: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """image id and picture seen, by id."""
    ids = sorted({int(i) for i in image_ids})
    for start in range(0, len(ids), 50):  # 27 MB at a time
        some = ids[start : start + 50]
        yield from zip(some, stimuli(some), strict=True)


def stimuli_of(stimuli: Pictures, image_ids: Iterable[int]) -> dict[int, str]:
    """image id -> the picture seen, small, as data."""
    return {i: data_uri(image) for i, image in each_stimulus(stimuli, image_ids)}


def small_of(path: str | Path | None, image_ids: Iterable[int], name: str = "images") -> dict[int, str]:
    """image id -> a result's picture, small, as data."""
    if path is None:
        return {}
    return {i: data_uri(image) for i, image in results.each_picture(path, image_ids, name)}


class Kind(NamedTuple):
    """A kind of pictures that there are of a subject's test images."""

    name: str
    label: str
    path: Path
    data: str  # its dataset in the file


def kinds_of(person: Results) -> list[Kind]:
    """Those of a subject, in the order of the page."""
    files = person.files
    found = [("base", "base image", files.base, "images"), ("final", "final image", files.final, "images")]
    for one in variants.on_cards():
        path = files.baselines if one.baseline else files.painted.get(one.name)
        found.append((one.baseline or one.name, one.title, path, one.baseline or "images"))
    return [Kind(name, label, path, data) for name, label, path, data in found if path is not None]


def said_of(kinds: Iterable[str]) -> str:
    """What a card holds, in words, of kinds by name."""
    found = {"seen": "the picture seen", "base": "the base image", "final": "the final image"}
    for one in variants.on_cards():
        painted = "" if one.baseline else ", where painted"
        found[one.baseline or one.name] = f"{one.card} {one.title}{painted}"
    *first, last = [found[kind] for kind in kinds]
    return f"{', '.join(first)} and {last}"


def first_cards(person: Results, stimuli: Pictures) -> dict[str, Any]:
    """What the gallery shows at first: an even spread over the subject's images by score, best first."""
    scores, ranked = ranked_by(person, SCORE, results.picture_ids(person.files.final))
    ids = [ranked[k] for k in evenly(len(ranked), FIRST)]
    pictures = [("seen", "seen", stimuli_of(stimuli, ids))]
    pictures += [(kind, label, small_of(path, ids, data)) for kind, label, path, data in kinds_of(person)]
    judged = {m: person.per_image("decoded", "final", m) for m in JUDGED}
    texts = captions.texts(person)
    cards = []
    for i in ids:
        main, more = (
            [
                Picture(label, found[i], f"{label}, {image_names.said(i)}, {person.subject}")
                for kind, label, found in pictures
                if i in found and (kind in MAIN) == at_once
            ]
            for at_once in (True, False)
        )
        remarks = [f"{m} {'✓' if values[i] > 0.5 else '✗'}" for m, values in judged.items() if i in values]
        rank = ranked.index(i) + 1
        says = [(label, found[i]) for label, found in texts.items() if i in found]
        cards.append(Card(person.subject, i, scores.get(i), rank, main, remarks, more, says))
    return {
        "subject": person.subject,
        "cards": cards,
        "total": len(ranked),
        "judged": any(judged.values()),
        "ties": ties(scores),
    }


def shared_cards(people: Sequence[Results], stimuli: Pictures) -> list[Card]:
    """Test images that all subjects saw, with each one's final picture, an even spread by mean score."""
    if len(people) < 2:
        return []
    scores = [person.per_image(*SCORE) for person in people]
    common = set.intersection(*(set(results.picture_ids(p.files.final).tolist()) for p in people))
    mean = _means(scores, common)
    margins = _means([person.per_image(*SCORE, "margin") for person in people], common)
    ranked = best_first(list(mean), mean, margins)
    ids = [ranked[k] for k in evenly(len(ranked), TOGETHER)]
    seen, final = stimuli_of(stimuli, ids), [small_of(person.files.final, ids) for person in people]
    return [
        Card(
            "", i, mean[i], ranked.index(i) + 1,
            [Picture("seen", seen[i], f"seen, {image_names.said(i)}")]
            + [
                Picture(
                    f"{p.subject} {number(s[i])}",
                    f[i],
                    f"final image, {image_names.said(i)}, {p.subject}",
                )
                for p, f, s in zip(people, final, scores, strict=True)
            ],
            [],
        )
        for i in ids
    ]  # fmt: skip


def _means(each: Sequence[Mapping[int, float]], ids: Iterable[int]) -> dict[int, float]:
    """The mean over people of what all of them have."""
    return {i: sum(one[i] for one in each) / len(each) for i in ids if all(i in one for one in each)}


def swapped_cards(person: Results, stimuli: Pictures) -> dict[str, Any] | None:
    """A few pictures that were painted with another image's guides, and how often the content followed."""
    path = person.files.painted.get("swapped")
    if path is None:
        return None
    guide = dict(
        zip(results.picture_ids(path).tolist(), results.picture_ids(path, "guide_id").tolist(), strict=True)
    )
    scores, ranked = ranked_by(person, ("swapped", "final", "guide_two_way"), list(guide))
    ids = [ranked[k] for k in evenly(len(ranked), SWAPPED)]
    seen = stimuli_of(stimuli, [*ids, *(guide[i] for i in ids)])
    base, swapped, own = (small_of(p, ids) for p in (person.files.base, path, person.files.final))
    named = person.per_image("swapped", "final", "guide_object")
    cards = []
    for i in ids:
        own_name, name = image_names.said(i), image_names.name(guide[i]) or guide[i]
        # the guide's own picture may be any test image, its reconstruction is not needed
        rows = (
            ("base image", base.get(i), f"base image of {own_name}"),
            (f"guides of {name}", seen[guide[i]], f"seen picture, {image_names.said(guide[i])}"),
            ("result", swapped.get(i), f"base image of {own_name} painted with the guides of {name}"),
            ("own guides", own.get(i), f"final image of {own_name}, with its own guides"),
        )
        cards.append(
            Card(
                person.subject, i, scores.get(i), ranked.index(i) + 1,
                [Picture(label, source, text) for label, source, text in rows if source],
                [f"guides' object {'✓' if named[i] > 0.5 else '✗'}"] if i in named else [],
            )
        )  # fmt: skip
    pairs = [(title, person.score("swapped", "final", metric)) for metric, title in SWAPPED_TITLES.items()]
    return {
        "subject": person.subject,
        "cards": cards,
        "total": len(ranked),
        "ranked": bool(scores),
        "scores": [(title, score) for title, score in pairs if score],
    }
