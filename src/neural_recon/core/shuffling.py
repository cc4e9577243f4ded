"""Pairs that do not belong together, for controls."""

from collections.abc import Sequence

import numpy as np


def shuffled_pairs(n: int, seed: int | Sequence[int]) -> np.ndarray:
    """A random permutation of n that leaves nothing in its place."""
    if n < 2:
        raise ValueError(f"{n} pairs cannot be shuffled: expected at least 2.")
    rng = np.random.default_rng(seed)
    while True:  # a permutation has no fixed point with probability 1/e
        permutation = rng.permutation(n)
        if not np.any(permutation == np.arange(n)):
            return permutation
