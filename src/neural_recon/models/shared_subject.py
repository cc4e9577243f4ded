"""One network for several subjects: a linear map per subject, a shared backbone, and heads.

After MindEye2 (Scotti et al. 2024, MedARC-AI/MindEyeV2) and MindEye1 (Scotti et al. 2023,
MedARC-AI/fMRI-reconstruction-NSD). The backbone `published` is MindEye2's as released. With the sequence
of one element that it is used with, its second mixer normalises over a single number: every block adds one
scalar, and what the first mixers compute is dropped. `residual` is MindEye1's, behind the subjects' maps.

Names of parameters are MindEye2's, but for the subjects' (`published_checkpoints`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import nn

from neural_recon.models.diffusion_prior import DiffusionPrior
from neural_recon.models.low_level import MINDEYE2_LOW_LEVEL, LowLevelHead, LowLevelSizes, ResidualBlocks
from neural_recon.models.prior_transformer import MINDEYE2_PRIOR, PriorSizes

DROPOUT = 0.15  # of the mixers and of the residual blocks
ENTRY_DROPOUT = 0.5  # of the residual backbone's entry


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes of a shared network; as they are here, MindEye2's.

    `sequence` is how many rows a trial's voxels have; all but tests of the released code use 1. With
    `first_mixers` the published backbone has the blocks that change nothing at sequence 1.
    """

    hidden: int = 4096
    tokens: int = 256  # 0: none, and no projector
    width: int = 1664  # of a token
    backbone: Literal["published", "residual"] = "published"
    blocks: int = 4
    sequence: int = 1
    first_mixers: bool = False
    projector: int = 1664  # the projector's hidden width
    low_level: LowLevelSizes | None = MINDEYE2_LOW_LEVEL
    prior: PriorSizes | None = MINDEYE2_PRIOR


MINDEYE2 = NetworkSizes()


class Outputs(NamedTuple):
    """What the network makes of a batch: rows in the order of the subjects, then of their trials."""

    tokens: torch.Tensor | None  # (n, tokens, width), the prior's condition
    projected: torch.Tensor | None  # (n, tokens, width), compared with CLIP's tokens
    low_level: torch.Tensor | None  # (n, 4, side, side)
    auxiliary: torch.Tensor | None  # (n, maps' side ** 2, teacher)
    features: torch.Tensor  # (n, sequence * hidden), what the heads read


class SubjectMaps(nn.Module):
    """A linear map from voxels to the shared space for each subject, by name.

    Args:
        voxels: the number of voxels of each subject.
        hidden: width of the shared space.
    """

    def __init__(self, voxels: Mapping[str, int], hidden: int):
        super().__init__()
        self.linears = nn.ModuleDict({name: nn.Linear(n, hidden) for name, n in voxels.items()})

    def forward(self, voxels: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """{subject: (n, voxels) or (n, sequence, voxels)} -> (sum of n, sequence, hidden), in that order."""
        rows = [
            self.linears[name](values if values.dim() == 3 else values.unsqueeze(1))
            for name, values in voxels.items()
        ]
        return torch.cat(rows)


class Mixers(nn.Module):
    """MindEye2's blocks as released: mixers of hidden values and of the sequence, two streams."""

    def __init__(self, sizes: NetworkSizes):
        super().__init__()
        if sizes.sequence > 1 and not sizes.first_mixers:
            raise ValueError(f"first_mixers: expected with a sequence of {sizes.sequence}, found none.")
        blocks = range(sizes.blocks)
        if sizes.first_mixers:
            self.mixer_blocks1 = nn.ModuleList(_mixer(sizes.hidden) for _ in blocks)
        self.mixer_blocks2 = nn.ModuleList(_mixer(sizes.sequence) for _ in blocks)
        self.first_mixers = sizes.first_mixers

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, sequence, hidden) -> (n, sequence, hidden)."""
        by_hidden, by_sequence = rows, rows
        for k, second in enumerate(self.mixer_blocks2):
            if self.first_mixers:
                by_hidden = by_hidden + self.mixer_blocks1[k](rows)
            # it adds to what the second mixer before it made, not to the first mixer's
            by_sequence = by_sequence + second((by_hidden if self.first_mixers else rows).mT).mT
            rows = by_sequence
        return rows


def _mixer(width: int) -> nn.Sequential:
    inner = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(width, width))
    return nn.Sequential(nn.LayerNorm(width), inner)


def _projector(width: int, inner: int) -> nn.Sequential:
    """Three linear maps, each after a normalisation and GELU."""
    widths = (width, inner, inner, width)
    parts: list[nn.Module] = []
    for here, following in itertools.pairwise(widths):
        parts += [nn.LayerNorm(here), nn.GELU(), nn.Linear(here, following)]
    return nn.Sequential(*parts)


class Backbone(nn.Module):
    """What all subjects share: from the shared space to tokens, their projection and low-level maps."""

    def __init__(self, sizes: NetworkSizes):
        super().__init__()
        self.sizes = sizes
        self.trunk: nn.Module = (
            Mixers(sizes)
            if sizes.backbone == "published"
            else ResidualBlocks(
                sizes.hidden, sizes.blocks, nn.GELU, bias=True, dropout=(ENTRY_DROPOUT, DROPOUT)
            )
        )
        inputs = sizes.sequence * sizes.hidden
        if sizes.tokens:
            self.backbone_linear = nn.Linear(inputs, sizes.tokens * sizes.width)
            self.clip_proj = _projector(sizes.width, sizes.projector)
        if sizes.low_level:
            self.low_level = LowLevelHead(inputs, sizes.low_level)

    def forward(self, rows: torch.Tensor) -> Outputs:
        """(n, sequence, hidden) of the subjects' maps -> the network's outputs."""
        features = self.trunk(rows).flatten(1)
        tokens = projected = latents = auxiliary = None
        if self.sizes.tokens:
            tokens = self.backbone_linear(features).unflatten(1, (self.sizes.tokens, self.sizes.width))
            projected = self.clip_proj(tokens)
        if self.sizes.low_level:
            own = self.sizes.low_level.blocks > 0
            latents, auxiliary = self.low_level(rows.flatten(1) if own else features)
        return Outputs(tokens, projected, latents, auxiliary, features)


class SharedSubjectNetwork(nn.Module):
    """Maps of subjects, backbone, heads, and the prior (`diffusion_prior`), which training and sampling call.

    Args:
        voxels: the number of voxels of each subject, by name.
        sizes: of all else.
    """

    def __init__(self, voxels: Mapping[str, int], sizes: NetworkSizes = MINDEYE2):
        super().__init__()
        self.sizes = sizes
        self.ridge = SubjectMaps(voxels, sizes.hidden)
        self.backbone = Backbone(sizes)
        self.diffusion_prior = DiffusionPrior(sizes.prior) if sizes.prior else None

    def forward(self, voxels: Mapping[str, torch.Tensor]) -> Outputs:
        """{subject: (n, voxels) float} -> the outputs, rows in the mapping's order."""
        return self.backbone(self.ridge(voxels))
