"""What a training asks of a scheduler: an estimate from the sizes of the network and of the data."""

from __future__ import annotations

from collections.abc import Mapping

from neural_recon.decoding.decoders.shared_subject import SharedSubject

RATE = 3e13  # floating-point operations a second, of a GPU in half precision at these sizes
MB = 1_000_000
BYTES = 16  # of a parameter: itself, its gradient and the optimiser's two moments, float32


def estimate(
    how: SharedSubject.Settings,
    people: Mapping[str, tuple[int, int]],
    width: int,
    epochs: int,
    batch: int,
) -> dict[str, int]:
    """Main memory in MB, and minutes.

    Args:
        people: subject -> trials and voxels.
        width: features of an image in all spaces.
    """
    shared = how.hidden * (how.blocks * how.hidden + width)
    prior, tokens = 0, 0
    if "prior" in how.heads.values():
        token = how.prior.heads * how.prior.head_width
        # attention, the feed-forward layers with their gate, and the way in and out
        prior = how.prior.depth * (2 + 12) * token**2
        tokens = 2 * max(1, width // token)
    maps = how.hidden * sum(voxels for _, voxels in people.values())
    trials = sum(n for n, _ in people.values())
    arrays = sum(2 * 4 * n * voxels for n, voxels in people.values()) + 2 * trials * width
    steps = epochs * max(1, max(n for n, _ in people.values()) // batch)
    # forward, and twice as much backward
    operations = 6 * steps * batch * (shared + maps // len(people) + tokens * prior)
    return {
        "mem_mb": 4000 + (BYTES * (shared + prior + maps) + arrays) // MB,
        "runtime": 20 + int(2 * operations / RATE / 60),
    }
