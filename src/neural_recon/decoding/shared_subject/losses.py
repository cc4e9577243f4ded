"""The losses of one step, by head."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional

from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.decoding.shared_subject.network import Network


@dataclass(frozen=True)
class Moment:
    """Where in its course a training is; all that a step draws follows from it."""

    epoch: int  # from 0
    epochs: int
    seed: int
    step: int
    mixes: bool = True

    def number(self, purpose: str) -> int:
        """A seed of its own for one purpose."""
        digest = hashlib.sha256(f"{self.seed}/{self.step}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def generator(self, purpose: str) -> torch.Generator:
        """Random numbers of its own for one purpose, on the CPU."""
        return torch.Generator().manual_seed(self.number(purpose))


def losses(
    network: Network,
    voxels: Mapping[str, torch.Tensor],
    features: Mapping[str, torch.Tensor],
    how: SharedSubject.Settings,
    moment: Moment,
    piece: int = 0,
) -> dict[str, torch.Tensor]:
    """Each loss, unweighted, by the name of its space, and their weighted sum, `total`.

    Args:
        voxels: subject -> (n, voxels).
        features: space -> (sum of n, width), in the subjects' order.
        piece: of the batch.
    """
    outputs = network(voxels)
    found: dict[str, torch.Tensor] = {}
    total = torch.zeros((), device=next(iter(features.values())).device)
    for space in network.regressed:
        target = (features[space] - network.of(space, "mean")) / network.of(space, "std")
        found[space] = functional.mse_loss(outputs[space].float(), target)
        total = total + how.losses.regression * found[space]
    return {**found, "total": total}
