"""Which of a subject's results are scored against what: the list of scores and controls of the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from neural_recon.core.hdf5 import dataset, open_hdf5, read_hdf5, read_parameters
from neural_recon.core.tables import read_table
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.controls import refit_null
from neural_recon.evaluation.controls.baselines import KINDS
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.evaluation.registry import HEADLINE
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.features.feature_files import read_rows

logger = logging.getLogger(__name__)


class SceneNames(Protocol):
    """Names main objects and backgrounds of pictures, and knows those of the images."""

    def truth(self, image_ids: np.ndarray) -> dict[str, np.ndarray]:
        """The names by what they name ("object", "background") of images."""

    def names_of(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """The same of what pictures uint8 (n, H, W, 3) show."""


def score_subject(
    subject: str,
    files: Any,
    pictures: Pictures,
    networks: PresetNetworks,
    evaluation: Mapping[str, Any],
    seed: int,
    spaces: Sequence[str],
    retrieved: str,
    judge: SceneNames | None = None,
) -> Scores:
    """Score everything a subject has.

    Args:
        files: named inputs of the rule `scores`: trials, base, final, baselines, predictions,
            refits (one table per space) and features (chunks of all spaces).
        pictures: what was seen.
        networks: they compare pictures under the preset. CLIP also conditions, in the demo and with the
            published weights; therefore the demo's judge of objects too.
        evaluation: the configuration's section.
        spaces: the recipe's, by name.
        retrieved: the space whose predictions are scored by retrieval, too.
        judge: what names main objects and backgrounds; None where nobody does.
    """
    scores = Scores(subject, seed, evaluation["repairings"])
    trials = read_table(files.trials)
    test_ids = np.unique(trials.loc[trials["split"] == "test", "image_id"])
    truth = pictures(test_ids)
    seen = networks.features(truth, "truth")
    row_of = {int(i): row for row, i in enumerate(test_ids)}
    side = max(_side(path) for path in (*files.base, *files.final))

    def add(
        variant: str,
        picture: str,
        ids: np.ndarray,
        images: np.ndarray,
        guide: np.ndarray | None = None,
        found: dict[str, np.ndarray] | None = None,
    ) -> None:
        rows = [row_of[int(i)] for i in ids]
        scores.add_pixels(variant, picture, ids, truth[rows], images, evaluation["preset"], side)
        found = found or networks.features(images, "picture")
        for metric in found:
            scores.compare(variant, picture, metric, ids, seen[metric], found[metric], rows)
        if judge:
            answers, labels = judge.names_of(images), judge.truth(ids)
            for name, answer in answers.items():
                scores.compare(variant, picture, name, ids, labels[name], answer)
        if guide is None:
            return
        # swapped: the same pictures against those whose guides they were painted with
        rows = [row_of[int(i)] for i in guide]
        if HEADLINE in found:
            true = seen[HEADLINE]
            scores.compare(variant, picture, "guide_two_way", ids, true, found[HEADLINE], rows)
        if judge:
            other = judge.truth(guide)["object"]
            scores.compare(variant, picture, "guide_object", ids, other, answers["object"])

    for picture, paths in (("base", files.base), ("final", files.final)):
        for path in paths:
            variant = _variant(path)
            arrays = read_hdf5(path)
            guide = arrays.get("guide_id", arrays["image_id"])
            swapped = guide if (guide != arrays["image_id"]).any() else None
            add(variant, picture, arrays["image_id"], arrays["images"], swapped)
    baselines = read_hdf5(files.baselines)
    for kind in KINDS:
        add(f"{kind}_image", "baseline", baselines["image_id"], baselines[kind])
    n, mean = len(test_ids), baselines["mean"][None]
    # one picture for all: the networks look at it once
    found = {m: np.broadcast_to(v, (n, *v.shape[1:])) for m, v in networks.features(mean, "picture").items()}
    add("mean_image", "baseline", test_ids, np.broadcast_to(mean, (n, *mean.shape[1:])), found=found)

    for space in spaces:
        chunks = [path for path in files.features if Path(path).parent.name == space]
        true = read_rows(chunks, test_ids)
        for path in (path for path in files.predictions if Path(path).parent.name == space):
            predicted = read_rows(path, test_ids)
            variant = _variant(path)
            scores.compare(variant, space, "two_way", test_ids, true, predicted)
            if space == retrieved:
                scores.add_retrieval(variant, space, test_ids, true, predicted)
        for path in (path for path in files.refits if Path(path).parent.name == space):
            table = read_table(path, refit_null.COLUMNS)
            for variant in refit_null.VARIANTS:
                scores.add_refits(variant, space, refit_null.by_metric(table, variant))
    for metric, reason in networks.missing.items():
        scores.add_unmeasured("decoded", "final", metric, len(test_ids), reason)
    return scores


def _side(path: str | Path) -> int:
    """How wide a file's pictures are."""
    with open_hdf5(path) as file:
        return int(dataset(path, file, "images", ndim=4).shape[1])


def _variant(path: str | Path) -> str:
    """What a file's pictures or predictions are called in tables."""
    variant = Path(path).stem
    if variant == "recalibrated":  # a name for either calibration, which the file tells
        return f"calibration_{read_parameters(path)['calibration']}"
    return variant
