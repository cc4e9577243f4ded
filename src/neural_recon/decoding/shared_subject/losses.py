"""The losses of one step, by head."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional

from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.decoding.shared_subject.network import PROJECTED, Network
from neural_recon.models import contrastive


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
    mixing_epochs, mixing = contrastive.mixing_epochs(moment.epochs, how.mixing), None
    if moment.mixes and moment.epoch < mixing_epochs:
        mixings = {
            subject: contrastive.draw_mixing(len(rows), moment.generator(f"mixing {subject} {piece}"))
            for subject, rows in voxels.items()
        }
        mixing = contrastive.joined(list(mixings.values()), how.permutations)
        voxels = {subject: contrastive.mixed(rows, mixings[subject]) for subject, rows in voxels.items()}
    outputs = network(voxels)
    found: dict[str, torch.Tensor] = {}
    weighted: list[torch.Tensor] = []

    def add(name: str, weight: float, value: torch.Tensor) -> None:
        found[name] = value
        weighted.append(weight * value)

    for space in network.regressed:
        true = network.standardised(space, features[space])
        true = contrastive.mixed(true, mixing) if mixing else true
        add(space, how.losses.regression, functional.mse_loss(outputs[space].float(), true))
    # as published, these have the targets of unmixed trials
    if space := network.space("prior"):
        true = features[space].reshape(outputs[space].shape)
        draws = network.prior.draws(len(true), moment.generator(f"prior {piece}"))
        add(space, how.losses.prior, network.prior.loss(true, outputs[space], draws)[0])
        predicted, wanted = (
            functional.normalize(rows.flatten(1).float(), dim=-1) for rows in (outputs[PROJECTED], true)
        )
        if moment.epoch < mixing_epochs:
            value = contrastive.mixco_nce(predicted, wanted, mixing, how.permutations)
        else:
            after = moment.epoch - mixing_epochs
            temperature = contrastive.soft_temperatures(moment.epochs, how.mixing)[after]
            value = contrastive.soft_clip(predicted, wanted, temperature)
        add("contrastive", how.losses.contrastive, value)
    if space := network.space("low_level"):
        true = features[space].reshape(outputs[space].shape)
        add(space, how.losses.low_level, functional.l1_loss(outputs[space].float(), true))
    if space := network.space("teacher"):
        maps = outputs[space]
        true = features[space].reshape(len(maps), -1, *maps.shape[1:])  # the picture's maps, then its copies'
        views = torch.zeros(len(maps), dtype=torch.long)
        if true.shape[1] > 1:
            views = torch.randint(1, true.shape[1], views.shape, generator=moment.generator(f"view {piece}"))
        altered = true[torch.arange(len(maps)), views]
        mine, own, others = (
            functional.normalize(one.flatten(0, 1).float(), dim=-1) for one in (maps, true[:, 0], altered)
        )
        add(space, how.losses.teacher, contrastive.soft_contrast(mine, own, others))
    return {**found, "total": torch.stack(weighted).sum()}
