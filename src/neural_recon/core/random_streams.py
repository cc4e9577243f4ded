"""Random numbers that belong to an image: no batch, order or chunk changes them."""

import hashlib
from collections.abc import Sequence

import torch


def generator(run_seed: int, image_id: int, purpose: str) -> torch.Generator:
    """A CPU generator for one image and one purpose of a run.

    Args:
        run_seed: the seed of the configuration.
        image_id: the image's image id (0-based).
        purpose: what is drawn, such as "reconstruct"; two purposes share no draws.

    The seed is the head of a SHA-256 of the three, as Python's own `hash` differs between processes.
    """
    digest = hashlib.sha256(f"{int(run_seed)}/{int(image_id)}/{purpose}".encode()).digest()
    # torch takes seeds of 64 bits; 63 keep them positive
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def normal(generators: Sequence[torch.Generator], shape: Sequence[int]) -> torch.Tensor:
    """Standard normal draws (n, *shape) in float32 on the CPU, each image's from its own generator."""
    _check_own(generators)
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])


def uniform(generators: Sequence[torch.Generator], shape: Sequence[int]) -> torch.Tensor:
    """Uniform draws (n, *shape) from [0, 1) in float32 on the CPU, each image's from its own generator."""
    _check_own(generators)
    return torch.stack([torch.rand(tuple(shape), generator=generator) for generator in generators])


def _check_own(generators: Sequence[torch.Generator]) -> None:
    """Raise a ValueError where images share a generator: their draws would depend on batch and order."""
    if len({id(generator) for generator in generators}) < len(generators):
        raise ValueError(
            f"generators: expected one of its own for each of {len(generators)} images, found one twice."
        )
