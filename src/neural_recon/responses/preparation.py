"""From single-trial betas to one z-scored row of voxels an image."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.datasets.grids import Grid
from neural_recon.responses import noise_ceilings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Responses:
    """What a decoder learns from and is tested on; averages by image id in ascending order."""

    train: np.ndarray  # float32 (n_train, n_kept), averages or single trials, z-scored by themselves
    test: np.ndarray  # float32 (n_test, n_kept), z-scored with the same training mean and std
    train_ids: np.ndarray  # int64 (n_train,); of single trials in the order they were shown, with repetitions
    test_ids: np.ndarray
    train_repetitions: np.ndarray  # int64 (n_train,): trials averaged
    test_repetitions: np.ndarray
    trials: np.ndarray  # float32 (n_trials, n_kept): the single trials whose means are `test`, z-scored alike
    trial_ids: np.ndarray  # int64 (n_trials,): their images, in the order they were shown
    voxel: np.ndarray  # int64 (n_kept,): rows of the voxel table
    mean: np.ndarray  # float32 (n_kept,), of the training rows
    std: np.ndarray
    noise_ceiling: np.ndarray  # float32 (n_kept,): share of variance, 0 to 1, for the test images' averages;
    # NaN where there is none: without repetitions, or without a finite ncsnr
    dropped: dict[str, int]  # reason -> voxels


def prepare(
    sessions: Iterable[np.ndarray],
    trials: pd.DataFrame,
    voxels: pd.DataFrame,
    zscore: str = "train",
    average: bool = True,
    ncsnr: np.ndarray | None = None,
) -> Responses:
    """Average an image's repetitions and z-score with training statistics only.

    One session is held at a time. The noise ceiling is that of Allen et al. (2022): noise is the variance
    between an image's repetitions (ddof 1, pooled over images seen at least twice), signal the rest of
    the single trials' variance, floored at 0; it describes the responses as they are used here, so without
    `zscore="session"` differences between sessions count as noise.

    Args:
        sessions: betas (n_trials, n_voxels) of each session, in the order of the sessions in `trials`.
        trials: table of `trials.trial_table`; its rows of a session in the order of the betas' rows.
        voxels: the table of the betas' columns.
        zscore: "train": by the mean and std (ddof 1) of the training images' averages. "session": before that
            each session by the mean and std of its own training trials.
        average: False: the training rows are single trials, in the order they were shown, and their mean and
            std z-score; test images are averaged all the same.
        ncsnr: (n_voxels,) signal-to-noise ratios to take the noise ceiling from instead, as NSD gives them.
            Voxels without a finite one are counted in the log and have the ceiling NaN.

    Raises:
        InputError: betas that do not fit the tables, a session without training trials to z-score by, no
            voxel with signal, or a negative ncsnr.
    """
    if zscore not in ("train", "session"):
        raise InputError(f'zscore: expected "train" or "session", found {zscore!r}.')
    images = _Images.of(trials)
    # without test images (of subjects that are not decoded) there is no noise ceiling
    tested = not images.is_train.all()
    inverse_repetitions = np.mean(1 / images.counts[~images.is_train]) if tested else np.float64(np.nan)
    # before the sessions are read, which takes long
    given = None if ncsnr is None else noise_ceilings.of_ncsnr(ncsnr, inverse_repetitions)
    read = _read(sessions, trials, images, len(voxels), zscore, singles="test" if average else "both")
    ceiling = (
        noise_ceilings.of_sums(read.sums, read.squares, read.total, images.counts, inverse_repetitions)
        if given is None
        else given
    )

    averages = read.sums
    averages /= images.counts[:, None].astype(np.float32)
    if average:
        train, train_ids = averages[images.is_train], images.ids[images.is_train]
        train_repetitions = images.counts[images.is_train]
    else:
        train, train_ids = np.concatenate(read.train), np.concatenate(read.train_ids)
        read.train.clear()
        train_repetitions = np.ones_like(train_ids)
    mean, std, kept, dropped = _statistics(train, read)
    for number, part in enumerate(read.test):  # or all of them would be there twice
        read.test[number] = ((part[:, kept] - mean) / std).astype(np.float32)
    result = Responses(
        train=(train[:, kept] - mean) / std,
        test=(averages[~images.is_train][:, kept] - mean) / std,
        train_ids=train_ids,
        test_ids=images.ids[~images.is_train],
        train_repetitions=train_repetitions,
        test_repetitions=images.counts[~images.is_train],
        trials=np.concatenate(read.test),
        trial_ids=np.concatenate(read.test_ids),
        voxel=kept,
        mean=mean,
        std=std,
        noise_ceiling=ceiling[kept],
        dropped=dropped,
    )
    logger.info(
        "%d training rows and %d test images, %d voxels, %s",
        len(result.train_ids),
        len(result.test_ids),
        len(kept),
        noise_ceilings.median_in_words(result.noise_ceiling),
    )
    if ncsnr is not None and not np.isfinite(result.noise_ceiling).all():
        without = np.count_nonzero(~np.isfinite(result.noise_ceiling))
        logger.warning(
            "%d of %d voxels without a noise ceiling: ncsnr.nii.gz has no finite number there",
            without, len(kept),
        )  # fmt: skip
    return result


@dataclass(frozen=True)
class _Images:
    """The images that are used, ascending, and which of them each trial shows."""

    ids: np.ndarray
    is_train: np.ndarray  # bool, of each image
    counts: np.ndarray  # trials of each image
    row_of: pd.Series  # of each trial of the table: a row of `ids`, or -1 where it is unused

    @classmethod
    def of(cls, trials: pd.DataFrame) -> "_Images":
        used = trials[trials["split"] != "unused"]
        ids, rows = np.unique(used["image_id"], return_inverse=True)
        row_of = pd.Series(-1, index=trials.index)
        row_of[used.index] = rows
        is_train = np.zeros(len(ids), bool)
        is_train[rows] = used["split"] == "train"
        return cls(ids, is_train, np.bincount(rows), row_of)


@dataclass(frozen=True)
class _Read:
    """What one pass over the sessions keeps of them; single trials as one part per session."""

    sums: np.ndarray  # float32 (images, voxels)
    squares: np.ndarray  # (voxels,), over the trials of images seen more than once, as `total`
    total: np.ndarray
    has_nan: np.ndarray  # bool (voxels,), in any session, as `constant`
    constant: np.ndarray
    test: list[np.ndarray]
    test_ids: list[np.ndarray]
    train: list[np.ndarray]
    train_ids: list[np.ndarray]

    @classmethod
    def empty(cls, n_images: int, n_voxels: int) -> "_Read":
        squares, total = np.zeros((2, n_voxels))
        has_nan, constant = np.zeros((2, n_voxels), bool)
        return cls(
            np.zeros((n_images, n_voxels), np.float32), squares, total, has_nan, constant, [], [], [], []
        )


def _read(
    sessions: Iterable[np.ndarray],
    trials: pd.DataFrame,
    images: _Images,
    n_voxels: int,
    zscore: str,
    singles: Literal["test", "both"],
) -> _Read:
    """Pass over the sessions once, one at a time; arguments and errors as of `prepare`."""
    found = _Read.empty(len(images.ids), n_voxels)
    groups = list(trials.groupby("session", sort=False))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for (session, table), betas in zip(groups, _same_number(sessions, len(groups)), strict=True):
            if betas.shape != (len(table), n_voxels):
                raise InputError(
                    f"session {session}: expected betas of {len(table)} trials and {n_voxels} voxels, "
                    f"found {betas.shape}; compute them again."
                )
            bad = ~np.isfinite(betas).all(0)
            found.has_nan[bad] = True
            found.constant[~bad & (betas.max(0) == betas.min(0))] = True
            if zscore == "session":
                betas, std = zscored_session(betas, table)
                found.constant[~bad & ~(std > 0)] = True
            rows = images.row_of[table.index].to_numpy()
            used, train = rows >= 0, images.is_train[rows]
            found.test.append(betas[used & ~train])
            found.test_ids.append(images.ids[rows[used & ~train]])
            if singles == "both":
                found.train.append(betas[used & train])
                found.train_ids.append(images.ids[rows[used & train]])
            # each image once at a time: where an index comes twice, += adds once
            turn = table.groupby("image_id").cumcount().to_numpy()
            for which in range(turn.max() + 1):
                now = used & (turn == which)
                found.sums[rows[now]] += betas[now]
            repeated = betas[used & (images.counts[rows] > 1)].astype(np.float64)
            found.squares[:] += (repeated**2).sum(0)
            found.total[:] += repeated.sum(0)
    return found


def _statistics(train: np.ndarray, read: _Read) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
    """Mean and std of the training rows, float32 (n_kept,); the voxels kept; those dropped, by reason."""
    if len(train) < 2:
        raise InputError(f"train images: expected at least 2 to z-score by, found {len(train)}.")
    with np.errstate(invalid="ignore", over="ignore"):
        mean, std = train.mean(0, dtype=np.float64), train.std(0, ddof=1, dtype=np.float64)
    constant = ~read.has_nan & (read.constant | ~(std > 0))
    kept = np.flatnonzero(~read.has_nan & ~constant)
    dropped = {
        "not a number in a session": int(read.has_nan.sum()),
        "constant in a session": int(constant.sum()),
    }
    for reason, number in dropped.items():
        if number:
            logger.warning("%d of %d voxels dropped: %s", number, len(constant), reason)
    if not kept.size:
        raise InputError(
            f"responses: expected voxels with signal, found none among {len(constant)} ({dropped})."
        )
    return mean[kept].astype(np.float32), std[kept].astype(np.float32), kept, dropped


def zscored_session(betas: np.ndarray, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """One session z-scored by its own training trials (ddof 1), float32, and their std (n_voxels,).

    A voxel without spread among them comes out as NaN or infinite.

    Args:
        betas: (n_trials, n_voxels).
        table: the session's rows of the trial table.

    Raises:
        InputError: fewer than 2 training trials.
    """
    training = betas[(table["split"] == "train").to_numpy()]
    if len(training) < 2:
        raise InputError(
            f"session {table['session'].iloc[0]}: expected at least 2 training trials to z-score the session "
            f'by, found {len(training)}; use zscore: "train" or leave the session out.'
        )
    mean, std = training.mean(0, dtype=np.float64), training.std(0, ddof=1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((betas - mean) / std).astype(np.float32), std


def _same_number(sessions: Iterable[np.ndarray], expected: int) -> Iterator[np.ndarray]:
    """The sessions, one by one, with an error unless there are as many as expected."""
    found = 0
    for found, betas in enumerate(sessions, start=1):
        if found > expected:
            break
        yield betas
    if found != expected:
        raise InputError(
            f"sessions: expected the betas of the trial table's {expected} sessions, found "
            f"{'more' if found > expected else found}."
        )


def write_responses(
    path: str | Path, responses: Responses, parameters: Mapping[str, object], grid: Grid | None = None
) -> None:
    """Write one subject's responses to `results/responses/{subject}.h5`; the counts of dropped voxels go
    into its parameters, and where the voxels lie is shown alongside them."""
    arrays = {name: value for name, value in vars(responses).items() if name != "dropped"}
    arrays |= grid.arrays() if grid is not None else {}
    write_hdf5(path, arrays, {**parameters, "dropped": responses.dropped})
