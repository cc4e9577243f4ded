"""The section on where a decoder fails: test images with the widest gaps between two of their pictures, and
scores against the noise ceilings of the responses to the images."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.registry import HEADLINE, better
from neural_recon.evaluation.strata import CEILING_TRENDS
from neural_recon.report import gallery, image_names, plots, results, variants, words
from neural_recon.report.gallery import Card, Picture
from neural_recon.report.results import Results
from neural_recon.report.words import number

SHOWN = 10  # images per subject and gap


# kinds of pictures of `gallery.kinds_of` -> variant and picture of their scores
SCORED = {
    "base": ("decoded", "base"),
    "final": ("decoded", "final"),
    "true_features": ("true_features", "final"),
}


class Gap(NamedTuple):
    """What is taken from what, each a key of `SCORED`, and in words."""

    title: str
    said: str
    more: str
    less: str


GAPS = (
    Gap(
        "Worse than its base image",
        "the final image scores lower than the base image that it was painted from",
        "base",
        "final",
    ),
    Gap(
        "Below its ceiling",
        "the image from true features scores higher, so that what is lost is lost in decoding, not in the "
        "generator",
        "true_features",
        "final",
    ),
)


def section(people: Sequence[Results], stimuli: Pictures) -> list[dict[str, Any]]:
    """Per subject and gap the images with the widest one; empty where nobody has both pictures' scores."""
    return [entry for person in people for gap in GAPS if (entry := _entry(person, gap, stimuli)) is not None]


def _entry(person: Results, gap: Gap, stimuli: Pictures) -> dict[str, Any] | None:
    pair = (gap.more, gap.less)
    scores = {kind: person.per_image(*SCORED[kind], HEADLINE) for kind in pair}
    more, less = scores.values()
    both = {image_id: more[image_id] - less[image_id] for image_id in more if image_id in less}
    widest = sorted((i for i in both if both[i] > 0), key=lambda i: (-both[i], i))[:SHOWN]
    if not widest:
        return None
    seen = gallery.stimuli_of(stimuli, widest)
    made = {
        kind: (label, gallery.small_of(path, widest, data))
        for kind, label, path, data in gallery.kinds_of(person)
        if kind in pair
    }
    return {
        "subject": person.subject,
        "title": gap.title,
        "said": gap.said,
        "wider": sum(value > 0 for value in both.values()),
        "total": len(both),
        "cards": [
            Card(
                person.subject, i, both[i], rank,
                [Picture("seen", seen[i], f"seen, {image_names.said(i)}")]
                + [
                    Picture(
                        f"{label} {number(scores[kind][i])}",
                        found.get(i, ""),
                        f"{label}, {image_names.said(i)}, {person.subject}",
                    )
                    for kind, (label, found) in ((kind, made[kind]) for kind in pair)
                ],
                [],
            )
            for rank, i in enumerate(widest, 1)
        ],
    }  # fmt: skip


CEILINGS = ["image_id", "repetitions", "noise_ceiling"]


def by_ceiling(people: Sequence[Results]) -> list[dict[str, Any]]:
    """Per subject final images' scores against the noise ceilings of the images; empty without the tables."""
    return [entry for person in people if (entry := _ceilings(person)) is not None]


def _ceilings(person: Results) -> dict[str, Any] | None:
    if person.files.ceilings is None or person.files.ceiling_trends is None:
        return None
    table = results.table(person.files.ceilings, CEILINGS).set_index("image_id")["noise_ceiling"]
    trends = results.table(person.files.ceiling_trends, CEILING_TRENDS).set_index("metric")
    metric = next((one for one in (HEADLINE, *trends.index) if one in trends.index), None)
    entry = {"subject": person.subject, "total": len(table), "without": int(table.isna().sum())}
    if metric is None:
        return {**entry, "plot": None}
    scores = person.per_image(*SCORED["final"], metric)
    images = [i for i in scores if i in table.index and table[i] == table[i]]
    x, y = [float(table[i]) for i in images], [scores[i] for i in images]
    return {
        **entry,
        "metric": words.metric_title(metric),
        "lower": better(metric) == "lower",
        "trend": trends.loc[metric].to_dict(),
        "plot": ceiling_plot(x, y, words.heading(metric)),
    }


def ceiling_plot(ceilings: Sequence[float], scores: Sequence[float], heading: str) -> str:
    """A dot per image: its score over the noise ceiling of the responses to it."""
    with matplotlib.rc_context({**plots.STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        axes = figure.subplots()
        colour = variants.colour(*SCORED["final"])
        axes.plot(ceilings, scores, "o", ms=5, mfc=colour, mec="white", mew=0.6, alpha=0.75)
        axes.set(xlabel="noise ceiling of the image (share of variance over voxels)", ylabel=heading)
        axes.grid(color="#e3e7ea", lw=0.8)
        axes.set_axisbelow(True)
        return plots.uri(figure)
