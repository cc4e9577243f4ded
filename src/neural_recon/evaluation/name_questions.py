"""Whether pictures' names mean what they were taken for.

Any number below 73,000 is an NSD id, so names that count from 1, or are positions in a list of test images,
pair every picture with a wrong one and score at chance without an error. Nothing is ever paired otherwise
than asked: a result that looks so is questioned, and other readings of the names are tried at a small size to
say which one would fit.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.evaluation import metrics, statistics
from neural_recon.evaluation.picture_names import (
    PUBLISHED,
    SESSIONS,
    Naming,
    contradictions,
    look_like_positions,
    plain_number,
    published_order,
)

logger = logging.getLogger(__name__)

LEVEL = 0.01  # a p-value above it is chance
SMALL = 32  # side of the pictures that other readings of the names are tried with
SEED, REPAIRINGS = 0, 1000
WRITE_LIST = "write the ids of that list to a file, one a line, for --ids"

# NSD ids -> which of them there are, and their pictures as uint8 (n, SMALL, SMALL, 3)
Truths = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Reading:
    """Another reading of the names.

    Attributes:
        words: what it takes the names for.
        images: (n,) the NSD id that it gives to each picture; outside NSD where it gives none.
        remedy: what to do if it is right.
    """

    words: str
    images: np.ndarray
    remedy: str


@dataclass(frozen=True)
class Trial:
    """PixCorr at a small size of n pictures, under a reading and as named, and whether it fits better."""

    reading: Reading
    n: int
    score: float
    as_named: float
    fits: bool


def at_chance(p: float, low: float, shuffled: float, n: int) -> bool:
    """Whether a mean score cannot be told from that of re-paired pictures.

    Args:
        p: of random re-pairings.
        low: lower end of the interval of the mean, 95 % over images.
        shuffled: mean of the re-pairings.
        n: pictures. Five or fewer have so few re-pairings (120) that p can hardly reach `LEVEL`: for them
            the interval must not include chance.
    """
    few = math.factorial(min(n, 10)) < 2 / LEVEL
    return bool(low <= shuffled if few else p > LEVEL)


def question(
    summary: Mapping[str, Any],
    files: Mapping[int, Path],
    naming: Naming,
    same_names: bool,
    pictures: np.ndarray,
    truths: Truths,
    orders: Callable[[], Mapping[str, Reading]],
    shared: np.ndarray | None = None,
    in_folder: bool = False,
) -> str:
    """What is doubtful about the names of scored pictures, parts of it separated by "; "; else empty.

    Args:
        summary: of PixCorr under the preset: mean, ci_low, shuffled, p, n.
        files: pictures by NSD id, as they were scored.
        same_names: the stimuli are a folder with the same names, so that these may be anything.
        pictures: uint8 (n, S, S, 3), in ascending order of their ids.
        truths: stimuli of any ids at the size `SMALL`.
        orders: lists of test images that names could be positions in, as readings whose `images` are the
            list; computed only where there is a question.
        shared: ids of the shared images in ascending order, where they are known.
        in_folder: the stimuli are a folder, whose names `--names` would mean as well.
    """
    wrong = [] if shared is None else contradictions(files, shared)
    doubt = (
        f"the two numbers of {len(wrong)} names, such as {wrong[0].name}, mean different images by "
        "nsd_expdesign.mat (the number behind nsd was taken)"
        if wrong
        else ""
    )
    parts = []
    said = same_names or naming.numbers is not None or naming.positions is not None
    dense = None if said else look_like_positions(files)
    if dense:
        parts.append(
            f"the names are {dense}, as positions in a list of test images would be, and were taken for NSD "
            "ids (--ids FILE names the image of each position, --names ids says that they are NSD ids)"
        )
    chance = at_chance(*(summary[name] for name in ("p", "ci_low", "shuffled", "n")))
    if chance:
        asked = (
            f"is {naming.source} in the order of the pictures?"
            if naming.positions is not None
            else f"are the names NSD ids, counted from {naming.first}?"
        )
        parts.append(
            f"PixCorr {summary['mean']:.4f} cannot be told from chance (re-paired pictures "
            f"{summary['shuffled']:.4f}, p {summary['p']:.2g}): {asked}"
        )
    if not parts:
        return doubt
    known = orders()
    trials = [
        trial
        for reading in readings(files, naming, known, in_folder)
        if (trial := _try(reading, np.array(sorted(files)), pictures, truths))
    ]
    return "; ".join([*([doubt] if doubt else []), *parts, _answer(trials, chance, bool(known))])


def _answer(trials: list[Trial], chance: bool, lists: bool) -> str:
    better = [trial for trial in trials if trial.fits]
    if better:
        best = max(better, key=lambda trial: trial.score)
        return (
            f"{best.reading.words} would fit: PixCorr {best.score:.3f} instead of {best.as_named:.3f} "
            f"({best.n} pictures at {SMALL} pixels): {best.reading.remedy}"
        )
    tried = ", ".join(trial.reading.words for trial in trials)
    answer = f"no other reading fits better (tried: {tried})" if trials else "no other reading could be tried"
    if not lists:
        answer += (
            "; no list of test images is known here that they could be positions in: --ids FILE names one"
        )
    if not chance:
        answer += "; PixCorr is above chance with the names as NSD ids"
    return answer


def readings(
    files: Mapping[int, Path], naming: Naming, orders: Mapping[str, Reading], in_folder: bool = False
) -> Iterator[Reading]:
    """Other readings of the names, each once: numbers that count from elsewhere, positions in lists."""
    ids = np.array(sorted(files))
    found = [plain_number(files[i]) for i in ids]
    numbers = None if None in found else np.array(found, np.int64)
    seen = {ids.tobytes()}
    for reading in _readings(ids, numbers, naming, orders, in_folder):
        key = reading.images.astype(ids.dtype).tobytes()
        if key not in seen:
            seen.add(key)
            yield reading


def _readings(
    ids: np.ndarray,
    numbers: np.ndarray | None,
    naming: Naming,
    orders: Mapping[str, Reading],
    in_folder: bool,
) -> Iterator[Reading]:
    listed = naming.positions
    if listed is not None and numbers is not None:
        check = f"check {naming.source}"
        yield Reading("the names as NSD ids", numbers, "leave out --ids")
        yield Reading("the positions counted from 1", _at(listed, numbers - 1), check)
        yield Reading("each picture with the next of the list", _at(listed, numbers + 1), check)
    else:
        can_say = numbers is not None and not naming.first and not in_folder
        lower = "--names ids_from_1" if can_say else "rename the pictures"
        upper = "leave out --names ids_from_1" if naming.first and not in_folder else "rename the pictures"
        yield Reading("ids one lower (names that count from 1)", ids - 1, lower)
        yield Reading("ids one higher", ids + 1, upper)
    if numbers is None:
        return
    for order in orders.values():
        for first in (0, 1):
            images = _at(order.images, numbers - first)
            if (images >= 0).all():
                counted = f"positions, counted from {first}, in {order.words}"
                yield Reading(counted, images, order.remedy)


def _at(positions: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The ids at positions of a list, -1 outside it."""
    inside = (numbers >= 0) & (numbers < len(positions))
    return np.where(inside, positions[np.where(inside, numbers, 0)], -1)


def _try(reading: Reading, ids: np.ndarray, pictures: np.ndarray, truths: Truths) -> Trial | None:
    """PixCorr under a reading; None: stimuli of fewer than two of its images are there."""
    known = np.flatnonzero((reading.images >= 0) & (reading.images < nsd_tree.N_IMAGES))
    there, seen = truths(reading.images[known])
    rows = known[there]
    if len(rows) < 2:
        return None
    small = metrics.resize_through(pictures[rows], (SMALL,), "bilinear")
    named_there, named = truths(ids[rows])
    if not named_there.all():
        return None
    matrix = _correlations(seen, small)
    own = np.einsum("nd,nd->n", _standardised(named), _standardised(small))
    values = np.diagonal(matrix)
    chance = statistics.repairings(matrix, SEED, REPAIRINGS)
    low, _ = statistics.bootstrap_interval(values, SEED)
    gain, _ = statistics.bootstrap_interval(values - own, SEED)
    fits = gain > 0 and not at_chance(chance.p, low, chance.mean, len(rows))
    logger.info("%s: PixCorr %.4f, as named %.4f, p %.4f", reading.words, chance.score, own.mean(), chance.p)
    return Trial(reading, len(rows), chance.score, float(own.mean()), fits)


def _standardised(pictures: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1, of constant pictures 0: float64 (n, d)."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def _correlations(truth: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    return _standardised(truth) @ _standardised(pictures).T


def published_lists(expdesign: Path | None, n: int) -> Iterator[Reading]:
    """The lists of published scripts that names could be positions in; none without a design.

    Args:
        expdesign: `nsd_expdesign.mat` of the tree of the stimuli, if there is one.
        n: pictures.
    """
    if expdesign is not None and expdesign.is_file():
        with contextlib.suppress(InputError):
            yield from _published(expdesign, n)


def _published(expdesign: Path, n: int) -> Iterator[Reading]:
    for script, words in PUBLISHED.items():
        counts = {len(nsd_tree.shared_as_met(expdesign, sessions)) for sessions in SESSIONS}
        for count in [None] if script == "brain_diffuser" else sorted(counts, reverse=True):
            order = published_order(script, expdesign, count)
            remedy = f"--ids {script}" if count in (None, n) else WRITE_LIST
            yield Reading(words if count is None else f"{words} ({count})", order, remedy)
