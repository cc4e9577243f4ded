"""Scores of other sessions of a person: every group of trials apart, with the controls of the test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.generation.controls import FITS

if TYPE_CHECKING:
    from neural_recon.evaluation.networks import PresetNetworks  # and with it torch

PICTURES = ("base", "final")


def score_groups(
    subject: str,
    files: Mapping[str, str | Path],
    pictures: Pictures,
    networks: PresetNetworks,
    evaluation: Mapping[str, Any],
    seed: int,
    spaces: Sequence[str],
    base_is_final: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Score what was decoded from other sessions.

    Args:
        files: of every fit of `controls.FITS`, with `image_id` and `group`, `base` and `final` pictures, and
            the features of spaces as `features_SPACE`, as far as there are any.
        pictures: what was seen, or imagined, by id.
        networks: they compare pictures under the preset.
        evaluation: the configuration's section.
        spaces: the recipe's.
        base_is_final: as of `Scores.comparisons`.

    Returns:
        As of `Scores`: the summary, the paired tests, and the scores of single pictures; each with the column
        group. Chance is what re-pairing the pictures of a group gives.
    """
    arrays = {fit: read_hdf5(files[fit]) for fit in FITS}
    every = arrays["decoded"]["group"]
    side = max(arrays[fit][kind].shape[1] for fit in FITS for kind in PICTURES if kind in arrays[fit])
    found: list[tuple[pd.DataFrame, ...]] = []
    for group in dict.fromkeys(every.tolist()):
        mine = np.flatnonzero(every == group)
        ids = arrays["decoded"]["image_id"][mine]
        scores = Scores(subject, seed, evaluation["repairings"])
        truth = pictures(ids)
        seen = networks.features(truth, "truth")
        for fit in FITS:
            for kind in PICTURES:
                if kind not in arrays[fit]:
                    continue
                images = arrays[fit][kind][mine]
                scores.add_pixels(fit, kind, ids, truth, images, evaluation["preset"], side)
                for metric, values in networks.features(images, "picture").items():
                    scores.compare(fit, kind, metric, ids, seen[metric], values)
        for space in spaces:
            name = f"features_{space}"
            if name not in arrays["true_features"]:  # such as of captions that there are none of
                continue
            true = arrays["true_features"][name][mine].astype(np.float32)
            for fit in ("decoded", "shuffled"):
                predicted = arrays[fit][name][mine].astype(np.float32)
                scores.compare(fit, space, "two_way", ids, true, predicted)
        for metric, reason in networks.missing.items():
            scores.add_unmeasured("decoded", "final", metric, len(ids), reason)
        tables = scores.summary_table(), scores.comparisons(base_is_final), scores.image_table()
        for table in tables:
            table.insert(1, "group", group)
        found.append(tables)
    summary, tests, images = (pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))
    return summary, tests, images
