"""How the scores of predicted features fall where the decoder sees a few components of the responses only.

Each decoder keeps penalty, calibration and seed of the run's; alongside it is the decoder on shuffled pairs,
with the same components. Features are a seeded sample of a space's, as of `shuffled_refits`.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge import Calibration, Targets
from neural_recon.evaluation import statistics
from neural_recon.evaluation.controls.refit_null import PAINTED
from neural_recon.evaluation.controls.shuffled_refits import Sample, median_r, pairs_of
from neural_recon.evaluation.metrics import identification_matrix

logger = logging.getLogger(__name__)

COLUMNS = ["components", "variance", "whole", "fit", "targets", "score", "low", "high"]
COLUMNS += ["chance", "chance_sd", "p", "n", "r"]


def bottleneck_scores(
    kernels: Sequence[tuple[int, float, Kernel]],
    train_ids: np.ndarray,
    train: Targets,
    true: Targets,
    alpha: float | np.ndarray,
    calibration: Calibration,
    seed: int,
    most: int,
) -> pd.DataFrame:
    """Score decoders of the first k components, for each k and for all.

    Args:
        kernels: of each k, as `decoding.bottleneck.bottlenecks` yields them.
        train_ids, train, true, alpha, calibration, seed: as of `shuffled_refits.refit_scores`.
        most: features that are decoded, a seeded sample.

    Returns:
        `COLUMNS`, one row per k and fit (decoded, shuffled): variance, the share of the training responses'
        variance in the k components; whole, whether these are all; score (two-way identification, mean over
        the n test images) with its 95 % interval; chance, chance_sd and p of re-paired images; r, the median
        over the features of Pearson's r over the test images.
    """
    sample = Sample.of(train_ids, train, true, most, seed)
    rows = []
    *_, (_, _, whole) = kernels
    for k, variance, some in kernels:
        solution = sample.solution(some, alpha, train.shape[1], calibration, seed)
        for fit, whose in (("decoded", train_ids), ("shuffled", pairs_of(train_ids, seed, PAINTED))):
            found = sample.refit(solution, whose)
            scores = statistics.summary(identification_matrix(sample.truth, found), seed)
            row = {"components": k, "variance": variance, "whole": some is whole, "fit": fit}
            row |= {"targets": len(sample.columns), **scores, "r": median_r(sample.truth, found)}
            rows.append(row)
            logger.info("%d components, %s: two-way identification %.4f", k, fit, scores["score"])
    return pd.DataFrame(rows)[COLUMNS]
