"""The section on where a decoder fails: test images with the widest gaps between two of their pictures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.registry import HEADLINE
from neural_recon.report import gallery
from neural_recon.report.gallery import Card, Picture
from neural_recon.report.results import Results
from neural_recon.report.words import number

SHOWN = 10  # images per subject and gap


class Gap(NamedTuple):
    """What is taken from what, each a (variant, picture), and in words."""

    title: str
    said: str
    more: tuple[str, str]
    less: tuple[str, str]


GAPS = (
    Gap(
        "Worse than its base image",
        "the final image scores lower than the base image it was painted from: guides led astray",
        ("decoded", "base"),
        ("decoded", "final"),
    ),
    Gap(
        "Below its ceiling",
        "true features paint it well and decoded ones do not: what fails is the decoder, not the generator",
        ("true_features", "final"),
        ("decoded", "final"),
    ),
)


def section(people: Sequence[Results], stimuli: Pictures) -> list[dict[str, Any]]:
    """Per subject and gap the images with the widest one; empty where nobody has both pictures' scores."""
    return [entry for person in people for gap in GAPS if (entry := _entry(person, gap, stimuli)) is not None]


def _entry(person: Results, gap: Gap, stimuli: Pictures) -> dict[str, Any] | None:
    more, less = (person.per_image(*pair, HEADLINE) for pair in (gap.more, gap.less))
    both = {image_id: more[image_id] - less[image_id] for image_id in more if image_id in less}
    widest = sorted((i for i in both if both[i] > 0), key=lambda i: (-both[i], i))[:SHOWN]
    if not widest:
        return None
    files = person.files
    paths = {("decoded", "base"): files.base, ("decoded", "final"): files.final,
             ("true_features", "final"): files.true_features}  # fmt: skip
    labels = {("decoded", "base"): "base image", ("decoded", "final"): "final image",
              ("true_features", "final"): "true features"}  # fmt: skip
    seen = gallery.stimuli_of(stimuli, widest)
    made = {pair: gallery.small_of(paths[pair], widest) for pair in (gap.more, gap.less)}
    scores = {gap.more: more, gap.less: less}
    return {
        "subject": person.subject,
        "title": gap.title,
        "said": gap.said,
        "wider": sum(value > 0 for value in both.values()),
        "total": len(both),
        "cards": [
            Card(
                person.subject, i, both[i], rank,
                [Picture("seen", seen[i], f"seen, image id {i}")]
                + [
                    Picture(
                        f"{labels[pair]} {number(scores[pair][i])}",
                        made[pair].get(i, ""),
                        f"{labels[pair]}, image id {i}, {person.subject}",
                    )
                    for pair in made
                ],
                [],
            )
            for rank, i in enumerate(widest, 1)
        ],
    }  # fmt: skip
