"""Random numbers that belong to an image: no batch, order or chunk changes them; and pairs for controls."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def shuffled_pairs(n: int, seed: int | Sequence[int]) -> np.ndarray:
    """A random permutation of n that leaves nothing in its place."""
    if n < 2:
        raise ValueError(f"{n} pairs cannot be shuffled: expected at least 2.")
    rng = np.random.default_rng(seed)
    while True:  # a permutation has no fixed point with probability 1/e
        permutation = rng.permutation(n)
        if not np.any(permutation == np.arange(n)):
            return permutation


def shuffled_images(ids: np.ndarray, seed: int | Sequence[int]) -> np.ndarray:
    """Each row's image replaced by another of them (n,), for a fit on pairs that do not belong together;
    repetitions of an image get the same other one."""
    images, which = np.unique(ids, return_inverse=True)
    return images[shuffled_pairs(len(images), seed)][which]


def rows_of(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The first row of `ids` (n,) that shows each wanted image; every one of these must be among them."""
    images, first = np.unique(ids, return_index=True)
    return first[np.searchsorted(images, wanted)]


def generator(run_seed: int, image_id: int, purpose: str) -> torch.Generator:
    """A CPU generator for one image and one purpose of a run.

    Args:
        run_seed: the seed of the configuration.
        image_id: the image's image id (0-based).
        purpose: what is drawn, such as "reconstruct"; two purposes share no draws.

    The seed is the head of a SHA-256 of the three, as Python's own `hash` differs between processes.
    """
    import torch  # takes seconds

    digest = hashlib.sha256(f"{int(run_seed)}/{int(image_id)}/{purpose}".encode()).digest()
    # torch takes seeds of 64 bits; 63 keep them positive
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def normal(generators: Sequence[torch.Generator], shape: Sequence[int]) -> torch.Tensor:
    """Standard normal draws (n, *shape) in float32 on the CPU, each image's from its own generator."""
    import torch

    _check_own(generators)
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])


def uniform(generators: Sequence[torch.Generator], shape: Sequence[int]) -> torch.Tensor:
    """Uniform draws (n, *shape) from [0, 1) in float32 on the CPU, each image's from its own generator."""
    import torch

    _check_own(generators)
    return torch.stack([torch.rand(tuple(shape), generator=generator) for generator in generators])


def _check_own(generators: Sequence[torch.Generator]) -> None:
    """Raise a ValueError where images share a generator: their draws would depend on batch and order."""
    if len({id(generator) for generator in generators}) < len(generators):
        raise ValueError(
            f"generators: expected one of its own for each of {len(generators)} images, found one twice."
        )
