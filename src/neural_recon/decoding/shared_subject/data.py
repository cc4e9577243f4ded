"""What the network is trained on: single trials and features of their images, by subject."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.random_streams import shuffled_images
from neural_recon.core.tables import read_table
from neural_recon.features.feature_files import FeatureTable

logger = logging.getLogger(__name__)

COLUMNS = 65536  # features read at a time: files are chunked by columns


@dataclass(frozen=True)
class Trained:
    """Training trials of one subject, and the features of the images that they belong to."""

    subject: str
    responses: np.ndarray  # float32 (n_trials, n_voxels), z-scored
    image: np.ndarray  # int64 (n_trials,): which row of the features each trial belongs to
    features: Mapping[str, np.ndarray]  # space -> (n_images, width), as stored
    parts: Mapping[str, Sequence[int]]  # space -> widths of its parts

    def __post_init__(self) -> None:
        for what, values in {"responses": self.responses, **self.features}.items():
            if not np.isfinite(values).all():
                raise InputError(
                    f"{self.subject}: expected finite numbers in the {what} of the training trials, found "
                    "NaN or infinity; compute them again."
                )

    @property
    def n_images(self) -> int:
        return int(self.image.max()) + 1

    def held_out(self, share: float, seed: int) -> np.ndarray:
        """Which images validate, bool (n_images,): a seeded share of them, at least one."""
        held = np.zeros(self.n_images, bool)
        if share:
            count = min(max(1, round(share * self.n_images)), self.n_images - 1)
            held[_rng(seed, self.subject, "validation").permutation(self.n_images)[:count]] = True
        return held

    def digest(self) -> str:
        """Of all that it holds: a training that was interrupted resumes with the same alone."""
        found = hashlib.sha256(self.subject.encode())
        for array in (self.responses, self.image, *(self.features[name] for name in sorted(self.features))):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


@dataclass(frozen=True)
class Order:
    """Which trials of a subject each step takes, from the seed and the step's number alone.

    A pass shows every image once, by one of its trials drawn at random, so that no batch has an image twice;
    what does not fill a batch at the end of a pass is left out of it.
    """

    trained: Trained
    images: np.ndarray  # those that train
    size: int  # trials a step
    seed: int

    @classmethod
    def of(cls, trained: Trained, held: np.ndarray, size: int, seed: int) -> Order:
        images = np.flatnonzero(~held)
        return cls(trained, images, min(size, len(images)), seed)

    def trials(self, step: int) -> np.ndarray:
        """The trials of a step (from 0), int64 (size,)."""
        turn, batch = divmod(step, len(self.images) // self.size)
        rng = _rng(self.seed, self.trained.subject, f"pass {turn}")
        images = rng.permutation(self.images)[batch * self.size : (batch + 1) * self.size]
        by_image = np.argsort(self.trained.image, kind="stable")
        first = np.searchsorted(self.trained.image[by_image], images)
        after = np.searchsorted(self.trained.image[by_image], images, side="right")
        return by_image[rng.integers(first, after)]


def _rng(seed: int, subject: str, purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{subject}/{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def used_rows(
    subject: str, responses: str | Path, trials: str | Path, sessions: int | str
) -> tuple[np.ndarray, np.ndarray]:
    """The training rows of single trials that lie in the first sessions (int64), and their images.

    Raises:
        InputError: files that do not belong together, too few sessions, or fewer than two images.
    """
    ids = read_hdf5(responses, "train_ids")["train_ids"]
    rows = np.arange(len(ids))
    if sessions != "all":
        session = _sessions(trials, responses, ids)
        there = np.unique(session)
        if int(sessions) > len(there):
            raise InputError(
                f"decoder.finetune.sessions: expected at most the {len(there)} sessions of {subject} with "
                f"training trials, found {sessions}; lower it, or write all."
            )
        rows = np.flatnonzero(np.isin(session, there[: int(sessions)]))
    _check_images(subject, ids[rows])
    return rows, ids[rows]


def _check_images(subject: str, ids: np.ndarray) -> None:
    n_images = len(np.unique(ids))
    if n_images < 2:
        raise InputError(f"{subject}: expected at least 2 training images, found {n_images}; add sessions.")


def read_trained(
    subject: str,
    responses: str | Path,
    trials: str | Path,
    features: Mapping[str, Sequence[str | Path]],
    sessions: int | str = "all",
    shuffled: int | None = None,
    without: np.ndarray | None = None,
) -> Trained:
    """What one subject's part of the training is.

    Args:
        responses: single trials (`responses.preparation.write_responses`, not averaged).
        trials: table of the subject's trials.
        features: by space, the chunks of features.
        sessions: how many of the first sessions; "all" of them.
        without: images whose trials are left out: those that another subject, who is decoded, is tested on.
        shuffled: a seed: images get each other's features (`shuffled_images`), for the control.

    Raises:
        InputError: as of `used_rows`, and of files that are no such files.
    """
    rows, ids = used_rows(subject, responses, trials, sessions)
    if without is not None and (tested := np.isin(ids, without)).any():
        logger.info("%s: %d trials left out, of images that the decoder is tested on", subject, tested.sum())
        rows, ids = rows[~tested], ids[~tested]
        _check_images(subject, ids)
    values = read_hdf5(responses, "train")["train"]
    if len(rows) < len(values):
        values = values[rows]
    images, which = np.unique(ids, return_inverse=True)
    wanted = images if shuffled is None else shuffled_images(images, shuffled)
    found, parts = {}, {}
    for space, paths in features.items():
        table = FeatureTable(paths, wanted)
        parts[space] = [int(width) for width in table.parts]
        found[space] = _read(table)
    logger.info("%s: %d trials of %d images, %d voxels", subject, len(ids), len(images), values.shape[1])
    return Trained(subject, values, which.astype(np.int64), found, parts)


def _read(table: FeatureTable) -> np.ndarray:
    rows = np.empty(table.shape, np.float16)
    for start in range(0, table.shape[1], COLUMNS):
        rows[:, start : start + COLUMNS] = table[:, start : start + COLUMNS]
    return rows


def _sessions(trials: str | Path, responses: str | Path, ids: np.ndarray) -> np.ndarray:
    """The session of each training row of single trials, which lie session by session as in the table."""
    table = read_table(trials)
    parts = [part for _, part in table.groupby("session", sort=False)]
    table = pd.concat(parts)
    table = table[table["split"] == "train"]
    if not np.array_equal(table["image_id"], ids):
        raise InputError(
            f"{responses}: expected the single training trials of {trials}, found others; compute both again."
        )
    return table["session"].to_numpy()
