"""How much data is enough: the decoder refitted on fewer sessions, and on fewer voxels, with its score.

Test images and their responses stay what they are, all repetitions in all sessions; only the training data
shrink. With k sessions the training images are those shown in the first k, averaged over their repetitions
in these (or their single trials, where the workflow trains on those), and z-scored by their own mean and
standard deviation, as are the test responses then. With fewer voxels all sessions are used; voxels are seeded
random draws (of one draw, a smaller share lies within a larger one).

The score is two-way identification in each feature space, calibrated as in the workflow. A penalty that is
cross-validated is chosen anew within each training set, one per space; a fixed one stays as it is, scaled by
nothing, though fewer images or voxels would want a smaller one. Features are a seeded sample of a space's
targets, in strips of neighbours: identification by them is nearly that by all.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.decoding.cross_validation import column_runs, cross_validate, sample_columns
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge import Calibration, predict_blocks, together
from neural_recon.decoding.sources import ALL_VOXELS, Source, Taken, feature_table
from neural_recon.evaluation import statistics
from neural_recon.evaluation.metrics import identification_matrix
from neural_recon.responses.preparation import Responses, prepare, zscored_session

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Some features of all images of a subject; `values` (n, any) belong to `image_ids` (n,), ascending."""

    values: np.ndarray
    image_ids: np.ndarray

    def rows(self, image_ids: np.ndarray) -> np.ndarray:
        """Those of some images."""
        return self.values[np.searchsorted(self.image_ids, image_ids)]


@dataclass(frozen=True)
class Decoder:
    """How features are fitted: `ridge` of the configuration, and the run's seed."""

    alpha: Mapping[str, float | str]  # of each space, or "cv"
    cross_validation: Mapping[str, Any]
    calibration: Calibration
    seed: int


def sample_features(
    paths: Sequence[str], image_ids: np.ndarray, n_targets: int, seed: int, source: Source = ALL_VOXELS
) -> Sample:
    """Read `n_targets` of a space's features (all, if there are fewer) of images `image_ids`, ascending."""
    table = feature_table(paths, image_ids, source)
    runs = column_runs(sample_columns(table.shape[1], n_targets, seed))
    return Sample(np.concatenate([table[:, run] for run in runs], axis=1), image_ids)


def first_sessions(trials: pd.DataFrame, k: int) -> pd.DataFrame:
    """The trial table with training trials of the first k sessions only; test trials stay."""
    late = trials["session"].isin(sorted(trials["session"].unique())[k:]) & (trials["split"] == "train")
    return trials.assign(split=trials["split"].mask(late, "unused"))


def responses_of(
    sessions: Iterable[np.ndarray],
    trials: pd.DataFrame,
    voxels: pd.DataFrame,
    zscore: str,
    k: int,
    average: bool = True,
) -> Responses:
    """The responses of k sessions' training trials and of all test trials; arguments as of `prepare`.

    With zscore "session" a test trial is z-scored by the training trials of its own session, also where that
    session is not fitted on.
    """
    if zscore == "session":
        tables = (table for _, table in trials.groupby("session", sort=False))
        sessions = (zscored_session(betas, table)[0] for betas, table in zip(sessions, tables, strict=False))
    return prepare(sessions, first_sessions(trials, k), voxels, average=average)


def learning_curves(
    read_sessions: Callable[[], Iterable[np.ndarray]],
    trials: pd.DataFrame,
    voxels: pd.DataFrame,
    zscore: str,
    features: Mapping[str, Sample],
    decoder: Decoder,
    sessions: Sequence[int],
    shares: Sequence[float],
    draws: int,
    average: bool = True,
    source: Source = ALL_VOXELS,
    inside: np.ndarray | None = None,
) -> pd.DataFrame:
    """Scores of decoders fitted on fewer sessions and on fewer voxels, and on all of both.

    Args:
        read_sessions: a fresh pass over the betas of all sessions, as `prepare` takes them.
        trials, voxels, zscore, average: as for `prepare`.
        features: space -> features of all training and test images.
        sessions: numbers of sessions; those not below the subject's own are left out.
        shares: of the voxels, above 0; 1 is left out.
        draws: of voxels, a share.
        source: what these spaces are predicted from.
        inside: bool (n_voxels,), the voxels of its regions; None: all. A share is of these.

    Returns:
        One row a size, draw and space: sessions, training_images, training_trials, voxels, share, draw (0:
        all voxels), space, targets, alpha, score (mean over test images), low and high (95 %, bootstrap over
        these), chance and chance_sd (mean and sd of re-paired scores), p, and n, the test images.
    """
    every = trials["session"].nunique()
    rows = []
    for k in [*sorted(k for k in set(sessions) if k < every), every]:
        data = responses_of(read_sessions(), trials, voxels, zscore, k, average)
        own = slice(None) if inside is None else np.flatnonzero(inside[data.voxel])
        rows += _fit(data, features, decoder, k, 1.0, 0, own, source)
    every_voxel = np.arange(data.train.shape[1])[own]  # all sessions come last
    count = len(every_voxel)
    for share in sorted(share for share in set(shares) if share < 1):
        for draw in range(1, draws + 1):
            order = np.random.default_rng([decoder.seed, draw]).permutation(count)
            drawn = np.sort(order[: max(1, round(share * count))])
            rows += _fit(data, features, decoder, every, share, draw, every_voxel[drawn], source)
    return pd.DataFrame(rows)


def _fit(
    data: Responses,
    features: Mapping[str, Sample],
    decoder: Decoder,
    sessions: int,
    share: float,
    draw: int,
    drawn: np.ndarray | slice,
    source: Source,
) -> list[dict[str, object]]:
    """Fit all spaces on some voxels and score them: a row per space."""
    take = Taken(unit=source.unit)
    train, test = take(data.train[:, drawn]), take(data.test[:, drawn])
    kernel = Kernel.of(train, test, images=data.train_ids, intercept=source.intercept)
    targets = {space: sample.rows(data.train_ids) for space, sample in features.items()}
    alphas = _penalties(kernel, targets, decoder)
    widths = [values.shape[1] for values in targets.values()]
    # all spaces at once: spaces of one penalty share a factor
    every_target = np.concatenate(list(targets.values()), axis=1)
    each = np.repeat([alphas[space] for space in targets], widths)
    found = together(predict_blocks(kernel, every_target, each, decoder.calibration, decoder.seed))
    rows, n_images = [], len(kernel.image_rows)
    stops = np.cumsum(widths)
    for space, stop, width in zip(targets, stops, widths, strict=True):
        true = features[space].rows(data.test_ids)
        matrix = identification_matrix(true, found[:, stop - width : stop])
        scores = statistics.summary(matrix, decoder.seed)
        rows.append(
            {
                "sessions": sessions,
                "training_images": n_images,
                "training_trials": int(data.train_repetitions.sum()),
                "voxels": train.shape[1],
                "share": share,
                "draw": draw,
                "space": space,
                "targets": width,
                "alpha": alphas[space],
                **scores,
            }
        )
        logger.info(
            "%d sessions, %d images, %d voxels, %s: %.4f", sessions, n_images, train.shape[1], space,
            scores["score"],
        )  # fmt: skip
    return rows


def _penalties(kernel: Kernel, targets: Mapping[str, np.ndarray], decoder: Decoder) -> dict[str, float]:
    """Each space's penalty: the fixed one, or that of a cross-validation over all spaces that need one."""
    alphas = {space: float(decoder.alpha[space]) for space in targets if decoder.alpha[space] != "cv"}
    open_spaces = [space for space in targets if space not in alphas]
    if open_spaces:
        settings = decoder.cross_validation
        result = cross_validate(
            kernel,
            np.concatenate([targets[space] for space in open_spaces], axis=1),
            settings["alphas"],
            settings["folds"],
            settings["targets"] * len(open_spaces),
            decoder.seed,
            [targets[space].shape[1] for space in open_spaces],
            contiguous=settings["contiguous"],
        )
        alphas |= dict(zip(open_spaces, result.best.tolist(), strict=True))
    return alphas
