"""What decoders reach that know nothing of the pictures: refits on training pairs put together at random.

Random re-pairings of predictions and truths say how surely predictions belong to their pictures. They say
less of a decoder: the predictions of one decoder vary along few directions, and those of one that knows
nothing may by chance go with what pictures vary along. Refits on shuffled pairs show how far that carries:
each gives one score, and their spread is the honest null of a decoder's score.

Shuffling rows of Y changes neither responses nor penalty, so that all refits use the weights W of the decoder
itself (`ridge.Pairing`); calibration "train" gets the same rows, and repetitions of an image stay together.
The first refit has the pairs of the control that is decoded and painted in full. Features are a seeded sample
of a space's, in strips of neighbours, the same for the decoder: compare scores within the table.
"""

import logging
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from neural_recon.core.random_streams import rows_of, shuffled_images
from neural_recon.decoding.cross_validation import column_runs, sample_columns
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge import Calibration, Pairing, Solution, Targets, together
from neural_recon.decoding.target_scores import chance_level, standardised
from neural_recon.evaluation import metrics
from neural_recon.evaluation.controls.refit_null import COLUMNS, DECODER, PAINTED

logger = logging.getLogger(__name__)

TARGETS = 12_288  # features a space: bounds memory and time of a refit


@dataclass(frozen=True)
class Sample:
    """A seeded sample of a space's features, to refit decoders on other pairs by.

    Attributes:
        columns: (n,) which they are.
        targets: (n_train, n) of the training rows.
        truth: float32 (n_test, n) of the test images.
        train_ids: (n_train,) the rows' images.
    """

    columns: np.ndarray
    targets: np.ndarray
    truth: np.ndarray
    train_ids: np.ndarray

    @classmethod
    def of(cls, train_ids: np.ndarray, train: Targets, true: Targets, most: int, seed: int) -> Self:
        """At most `most` features; other arguments as of `refit_scores`."""
        columns = sample_columns(train.shape[1], most, seed)
        runs = column_runs(columns)
        targets, truth = (np.concatenate([side[:, run] for run in runs], axis=1) for side in (train, true))
        return cls(columns, targets, truth.astype(np.float32), train_ids)

    def solution(
        self, kernel: Kernel, alpha: float | np.ndarray, width: int, calibration: Calibration, seed: int
    ) -> Solution:
        """The decoder's weights for these of its `width` features."""
        alphas = np.broadcast_to(alpha, (width,))[self.columns]
        return Solution(kernel, alphas, len(self.columns), calibration, seed)

    def refit(self, solution: Solution, whose: np.ndarray) -> np.ndarray:
        """Predictions (n_test, n) of a decoder whose training rows have the features of images `whose`."""
        pairing = Pairing([solution.calibration], rows_of(self.train_ids, whose))
        return together((start, found) for start, (found,) in solution.several(self.targets, [pairing]))


def pairs_of(train_ids: np.ndarray, seed: int, refit: int) -> np.ndarray:
    """Whose features each training row gets in a refit, (n_train,); refit 1 is the painted control's."""
    return shuffled_images(train_ids, seed if refit == PAINTED else [seed, refit])


def refit_scores(
    kernel: Kernel,
    train_ids: np.ndarray,
    train: Targets,
    true: Targets,
    alpha: float | np.ndarray,
    calibration: Calibration,
    refits: int,
    seed: int,
    retrieval: bool = False,
    most: int = TARGETS,
) -> pd.DataFrame:
    """Score the decoder and refits of it on shuffled pairs by their predictions of the test images.

    Args:
        kernel: of the training and test responses.
        train_ids: (n_train,) the rows' images; rows of one image have the same features.
        train: (n_train, D) features of the training rows.
        true: (n_test, D) features of the test images.
        alpha: the decoder's penalty, or one per feature.
        calibration, seed: as the decoder's.
        refits: how many.
        retrieval: score retrieval, too.
        most: features, a seeded sample.

    Returns:
        One row per refit and metric: refit (0: the decoder itself), metric, score, and features. Metrics are
        "two_way" (identification, mean over test images), "retrieval_image" and "retrieval_brain" where asked
        for, "r" (the median over features of r over test images) and "above" (the share of features whose r
        is above the chance level of one); features that do not vary over the test images count for neither of
        the last two.
    """
    sample = Sample.of(train_ids, train, true, most, seed)
    solution = sample.solution(kernel, alpha, train.shape[1], calibration, seed)
    rows = []
    for refit in range(refits + 1):
        found = sample.refit(solution, train_ids if refit == DECODER else pairs_of(train_ids, seed, refit))
        scores = _scores(sample.truth, found, seed, retrieval)
        rows += [(refit, metric, score, len(sample.columns)) for metric, score in scores.items()]
        logger.info("refit %d of %d: two-way identification %.4f", refit, refits, scores["two_way"])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _scores(truth: np.ndarray, found: np.ndarray, seed: int, retrieval: bool) -> dict[str, float]:
    scores = {"two_way": float(metrics.two_way_identification(truth, found).mean())}
    if retrieval:
        similarity = metrics.cosine_matrix(truth, found)
        for name, sides in (("retrieval_image", similarity), ("retrieval_brain", similarity.T)):
            scores[name] = float(np.diagonal(metrics.retrieval_matrix(sides, seed)).mean())
    varies = np.ptp(truth, axis=0) > 0
    if varies.any():
        r = correlations(truth[:, varies], found[:, varies])
        scores |= {"r": float(np.median(r)), "above": float(np.mean(r > chance_level(len(truth))))}
    return scores


def median_r(truth: np.ndarray, found: np.ndarray) -> float:
    """The median of `correlations` over the features that vary in the truth; nan without any."""
    varies = np.ptp(truth, axis=0) > 0
    return float(np.median(correlations(truth[:, varies], found[:, varies]))) if varies.any() else np.nan


def correlations(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Pearson's r of each feature over the images: (n, D) both -> (D,)."""
    a, b = (standardised(side.astype(np.float64)) for side in (truth, found))
    return np.einsum("ij,ij->j", a, b)
