"""The report's section on retrieval from predicted features."""

from collections.abc import Sequence
from typing import Any

from neural_recon.evaluation.metrics import CANDIDATES, DRAWS
from neural_recon.report import penalties, plots, variants, words
from neural_recon.report.results import Results

RETRIEVAL = ("retrieval_image", "retrieval_brain")


def section(people: Sequence[Results]) -> dict[str, Any] | None:
    """Retrieval by subject and variant; None where it was not computed."""
    rows = [
        (person.subject, variants.label(variant), [person.score(variant, space, m) for m in RETRIEVAL])
        for person in people
        for variant, space in plots.rows_of(person.summary, RETRIEVAL[0])
    ]
    if not rows:
        return None
    space = plots.rows_of(people[0].summary, RETRIEVAL[0])[0][1]
    images = {int(score["n"]) for _, _, scores in rows for score in scores if score}
    return {
        "remarks": penalties.remarks(people, space),
        "titles": [words.metric_title(metric) for metric in RETRIEVAL],
        "rows": rows,
        "candidates": sorted({min(n, CANDIDATES) for n in images}),
        "draws": DRAWS if any(n > CANDIDATES for n in images) else 1,
    }
