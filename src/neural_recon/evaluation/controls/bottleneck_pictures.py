"""Scores of pictures of decoders that see the first components of the responses only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.features.feature_files import select_rows

if TYPE_CHECKING:
    from neural_recon.evaluation.networks import PresetNetworks

COLUMNS = ["fit", "picture", "metric", "mean", "ci_low", "ci_high", "n"]
COLUMNS += ["shuffled", "shuffled_sd", "p", "repairings", "better"]


def score_pictures(
    files: Mapping[str, Sequence[str]],
    pictures: Pictures,
    test_ids: np.ndarray,
    final_ids: np.ndarray,
    networks: PresetNetworks,
    preset: str,
    repairings: int,
    seed: int,
) -> pd.DataFrame:
    """Score base images of all test images, and final images of those that were painted for every fit.

    Args:
        files: picture (base, final) -> a file per fit, named after it.
        pictures: what was seen.
        test_ids: (n,) all of them are rivals in identification.
        final_ids: of the final images.
        networks, preset: which compare pictures, and how.

    Returns:
        `COLUMNS`, one row per fit, picture and metric: as of the scores' summary.
    """
    scores = Scores("", seed, repairings)
    truth = pictures(test_ids)
    seen = networks.features(truth, "truth")
    for picture, ids in (("base", test_ids), ("final", final_ids)):
        rows = np.searchsorted(test_ids, ids)
        for path in files[picture]:
            arrays, fit = read_hdf5(path, "images", "image_id"), Path(path).stem
            images = select_rows(path, arrays["images"], arrays["image_id"], ids)
            scores.add_pixels(fit, picture, ids, truth[rows], images, preset)
            for metric, found in networks.features(images, "picture").items():
                scores.compare(fit, picture, metric, ids, seen[metric], found, rows)
    return scores.summary_table().rename(columns={"variant": "fit"})[COLUMNS]
