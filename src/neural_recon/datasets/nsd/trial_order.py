"""In which order a run's single-trial responses are, where it is disputed: decided by the responses.

Under the right order trials of one item resemble each other more than trials of different items. A wrong
order can look right where responses drift over a run, as neighbours in time then resemble each other. So
pairs of trials are compared only with pairs nearby that lie as far apart: what drifts is the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.01  # p up to which an order counts as the data's
CLEAR = 2  # times as well as the other must the right one fit
DRAWS, SEED = 1000, 0  # of labels in another order
NEARBY = 8  # pairs: as many as an item has trials


class Evidence(NamedTuple):
    """What speaks for one order of all runs."""

    fit: float  # how much more trials of an item correlate than others nearby and as far apart
    p: float  # share of random orders of the labels that fit at least as well
    identified: float  # share of items found again in the other half of their repetitions
    chance: float  # of that share


def evidence(runs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Evidence:
    """How well labels fit responses.

    Args:
        runs: of each run responses float32 (n, p) in the order of time, and labels (n,), every label at least
            twice.
    """
    rng, found, chances = np.random.default_rng(SEED), [], []
    observed, drawn = 0.0, np.zeros(DRAWS)
    for responses, labels in runs:
        scaled = _scaled(responses)
        similar = _similarity(scaled)
        observed += _fit(similar, labels)
        drawn += [_fit(similar, rng.permutation(labels)) for _ in range(DRAWS)]
        found.append(_identified(scaled, labels))
        chances.append(1 / len(np.unique(labels)))
    p = (1 + np.count_nonzero(drawn >= observed)) / (1 + DRAWS)
    return Evidence(observed / len(runs), float(p), float(np.mean(found)), float(np.mean(chances)))


def decided(found: Mapping[str, Evidence]) -> str | None:
    """The order that fits clearly better than any other, and better than chance; None where none does."""
    best, *others = sorted(found, key=lambda name: -found[name].fit)
    clear = all(found[best].fit > CLEAR * found[name].fit for name in others)
    return best if clear and found[best].p <= LEVEL else None


def _same(labels: np.ndarray) -> np.ndarray:
    """Which pairs of trials, the first before the second, have one label: bool (n, n)."""
    return np.triu(labels[:, None] == labels, 1)


def _scaled(responses: np.ndarray) -> np.ndarray:
    """Responses without what changes evenly over the run, z-scored, at the voxels that have any."""
    usable = np.isfinite(responses).all(axis=0)
    values = responses[:, usable].astype(np.float64)
    time = np.linspace(-1, 1, len(values))
    values = values - values.mean(axis=0)
    values -= np.outer(time, time @ values / (time @ time))
    spread = values.std(axis=0)
    return values[:, spread > 0] / spread[spread > 0]


def _similarity(scaled: np.ndarray) -> np.ndarray:
    """Correlation of every two trials (n, n), the first before the second, less the mean of those nearby that
    lie as far apart; 0 at the ends of a run, where there are too few."""
    r, found = np.corrcoef(scaled), np.zeros((len(scaled), len(scaled)))
    half = NEARBY // 2
    around = np.full(NEARBY + 1, 1 / NEARBY)  # even weights over a whole period of groups
    around[[0, -1]] /= 2
    for apart in range(1, len(r) - NEARBY):
        places = np.arange(half, len(r) - apart - half)
        pairs = np.diagonal(r, apart)
        found[places, places + apart] = pairs[places] - np.convolve(pairs, around, "valid")
    return found


def _fit(similar: np.ndarray, labels: np.ndarray) -> float:
    """How much more trials of an item resemble each other than other trials as far apart do."""
    return float(similar[_same(labels)].mean())


def _identified(scaled: np.ndarray, labels: np.ndarray) -> float:
    """The share of items found again: those of odd repetitions among even ones, and the other way round."""
    names, repetition = np.unique(labels), np.zeros(len(labels), int)
    for name in names:
        where = np.flatnonzero(labels == name)
        repetition[where] = np.arange(len(where))
    odd, even = (
        np.stack([scaled[(labels == name) & (repetition % 2 == half)].mean(axis=0) for name in names])
        for half in (0, 1)
    )
    n = len(names)
    r, places = np.corrcoef(odd, even)[:n, n:], np.arange(n)
    return float(np.mean([r.argmax(axis=0) == places, r.argmax(axis=1) == places]))
