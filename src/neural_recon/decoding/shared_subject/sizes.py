"""What a training asks of a scheduler: an estimate from the sizes of the network and of the data."""

from __future__ import annotations

from collections.abc import Mapping

from neural_recon.decoding.decoders.shared_subject import Finetuning, Pretraining, SharedSubject

RATE = 3e13  # floating-point operations a second, of a GPU in half precision at these sizes
MB = 1_000_000
BYTES = 16  # of a parameter: itself, its gradient and the optimiser's two moments, float32


def prior_parameters(how: SharedSubject.Settings) -> int:
    """Of the diffusion prior, if there is one: attention, and feed-forward layers with their gate."""
    if "prior" not in how.heads.values():
        return 0
    return how.prior.depth * (2 + 12) * (how.prior.heads * how.prior.head_width) ** 2


def shared_parameters(how: SharedSubject.Settings, width: int) -> int:
    """Of all that subjects share, where an image has so many features in all spaces."""
    return how.hidden * (how.blocks * how.hidden + width) + prior_parameters(how)


def estimate(
    how: SharedSubject.Settings,
    people: Mapping[str, tuple[int, int]],
    width: int,
    stage: Pretraining | Finetuning,
) -> dict[str, int]:
    """Main memory in MB (`mem_mb`), and minutes (`runtime`), of one of its two trainings.

    Args:
        people: subject -> trials and voxels.
        width: features of an image in all spaces.
    """
    prior = prior_parameters(how)
    shared = shared_parameters(how, width) - prior
    tokens = 2 * max(1, width // (how.prior.heads * how.prior.head_width))
    maps = how.hidden * sum(voxels for _, voxels in people.values())
    trials = sum(n for n, _ in people.values())
    arrays = sum(2 * 4 * n * voxels for n, voxels in people.values()) + 2 * trials * width
    steps = stage.epochs * max(1, max(n for n, _ in people.values()) // stage.batch)
    # forward, and twice as much backward
    operations = 6 * steps * stage.batch * (shared + maps // len(people) + tokens * prior)
    return {
        "mem_mb": 4000 + (BYTES * (shared + prior + maps) + arrays) // MB,
        "runtime": 20 + int(2 * operations / RATE / 60),
    }
