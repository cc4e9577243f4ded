"""Captions as answers on the page: their scores, and the texts for the gallery."""

from collections.abc import Mapping, Sequence
from typing import Any

from neural_recon.core.tables import rows_with
from neural_recon.evaluation.captions import SEEN
from neural_recon.evaluation.registry import NEAREST, WRITTEN, compared
from neural_recon.features.space import SPACES, text_space
from neural_recon.report import plots, spaces, words
from neural_recon.report.results import Results

METRICS = tuple(compared("captions"))
# what a card says, in this order: (picture, variant) of the table of captions
SAID = {
    (SEEN, SEEN): "caption of the picture",
    (NEAREST, "decoded"): words.CAPTION_TITLES[NEAREST],
    (WRITTEN, "decoded"): words.CAPTION_TITLES[WRITTEN],
}


def section(people: Sequence[Results], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The scores by subject and variant; without any, why there are none."""
    rows = [
        (
            person.subject,
            words.row_label(variant, picture),
            [person.cell(variant, picture, m) for m in METRICS],
        )
        for person in people
        for picture in spaces.CAPTIONS
        for variant, found in plots.rows_of(person.summary, METRICS[-1])
        if found == picture
    ]
    if not rows:
        return {"rows": [], "why": _why(configuration)}
    named, encoder = text_space(configuration.get("spaces") or {}), _encoder(configuration)
    return {
        "rows": rows,
        "titles": [words.metric_title(metric) for metric in METRICS],
        "read": [(words.metric_title(metric), words.metric_caption(metric)) for metric in METRICS],
        "nearest": spaces.title(named) if named else "",
        "encoder": encoder or (spaces.title(named) if named else ""),
        "own": not encoder and bool(named),
        "written": any(person.score("decoded", WRITTEN, METRICS[-1]) for person in people),
    }


def _encoder(configuration: Mapping[str, Any]) -> str:
    """The space that the configuration compares captions by, "" for the recipe's own."""
    raw = (configuration.get("evaluation") or {}).get("caption_encoder")
    if not raw:
        return ""
    return f"{SPACES.load(raw['kind']).title} of {raw.get('weights') or raw['kind']}"


def _why(configuration: Mapping[str, Any]) -> str:
    """Why there are no captions as answers."""
    if not text_space(configuration.get("spaces") or {}):
        return "this recipe predicts no text, and its generator writes no captions."
    return "no image has captions of its own to compare with, or the results are of an earlier version."


def texts(person: Results) -> dict[str, dict[int, str]]:
    """What cards say of each test image: label -> image id -> caption; of several true ones the first."""
    found: dict[str, dict[int, str]] = {}
    for (picture, variant), label in SAID.items():
        rows = rows_with(person.captions, picture=picture, variant=variant).drop_duplicates("image_id")
        if len(rows):
            found[label] = dict(zip(rows["image_id"].astype(int), rows["caption"].astype(str), strict=True))
    return found
