"""From a hidden row to the latents of a blurry picture, as MindEye2 and MindEye1 decode them.

A linear map makes a small stack of maps, a VAE's decoder of diffusers enlarges it, and alongside the decoder
a branch of 1 x 1 convolutions predicts a convolutional teacher's maps (`convnext_teacher`). Without a teacher
in training the branch stays as it was drawn; published checkpoints have it, too. Names of parameters are
those of MindEye2's released code (MedARC-AI/MindEyeV2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from diffusers.models.autoencoders.vae import Decoder
from torch import nn


@dataclass(frozen=True)
class LowLevelSizes:
    """Sizes of a low-level head; as they are here, MindEye2's: 4 x 28 x 28.

    The latents are 4 x s x s, where s is `side` times 2 for each decoder width after the first.
    """

    maps: int = 64
    side: int = 7
    decoder: tuple[int, ...] = (32, 64, 128)
    groups: int = 32  # of the decoder's normalisations
    teacher: int = 512  # channels of the teacher's maps
    blocks: int = 0  # residual blocks of its own on the subject map's output; none: it reads the backbone's
    bias: bool = True
    dropout: float = 0.3  # of the maps


MINDEYE2_LOW_LEVEL = LowLevelSizes()


class LowLevel(NamedTuple):
    latents: torch.Tensor  # (n, 4, s, s)
    auxiliary: torch.Tensor  # (n, side * side, teacher)


class ResidualBlocks(nn.Module):
    """MindEye1's trunk, after a linear map: normalised, then added to what each block makes of it.

    Args:
        width: of its rows.
        blocks: how many.
        activation: its class.
        bias: of the linear maps.
        dropout: of the entry, and of each block.
    """

    def __init__(
        self, width: int, blocks: int, activation: type[nn.Module], bias: bool, dropout: tuple[float, float]
    ):
        super().__init__()
        entry, inner = dropout
        self.entry = nn.Sequential(nn.LayerNorm(width), activation(), nn.Dropout(entry))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width, bias=bias), nn.LayerNorm(width), activation(), nn.Dropout(inner)
            )
            for _ in range(blocks)
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., width)."""
        rows = self.entry(rows)
        for block in self.blocks:
            rows = rows + block(rows)
        return rows


class LowLevelHead(nn.Module):
    """Latents and a teacher's maps from rows.

    Args:
        width: of the rows.
        sizes: of all else.
    """

    def __init__(self, width: int, sizes: LowLevelSizes):
        super().__init__()
        maps, teacher = sizes.maps, sizes.teacher
        self.sizes = sizes
        self.trunk: nn.Module = (
            ResidualBlocks(width, sizes.blocks, nn.SiLU, bias=False, dropout=(0.5, 0.25))
            if sizes.blocks
            else nn.Identity()
        )
        self.blin1 = nn.Linear(width, maps * sizes.side**2, bias=sizes.bias)
        self.bdropout = nn.Dropout(sizes.dropout)
        self.bnorm = nn.GroupNorm(1, maps)
        self.bupsampler: Any = Decoder(
            in_channels=maps,
            out_channels=4,
            up_block_types=("UpDecoderBlock2D",) * len(sizes.decoder),
            block_out_channels=sizes.decoder,
            layers_per_block=1,
            norm_num_groups=sizes.groups,
        )
        self.b_maps_projector = nn.Sequential(
            nn.Conv2d(maps, teacher, 1, bias=False),
            nn.GroupNorm(1, teacher),
            nn.ReLU(),
            nn.Conv2d(teacher, teacher, 1, bias=False),
            nn.GroupNorm(1, teacher),
            nn.ReLU(),
            nn.Conv2d(teacher, teacher, 1),
        )

    def forward(self, rows: torch.Tensor) -> LowLevel:
        """(n, width) -> latents (n, 4, s, s) and auxiliary maps (n, side * side, teacher)."""
        side = self.sizes.side
        maps = self.bdropout(self.blin1(self.trunk(rows))).unflatten(1, (self.sizes.maps, side, side))
        maps = self.bnorm(maps)  # (n, maps, side, side)
        return LowLevel(self.bupsampler(maps), self.b_maps_projector(maps).flatten(2).mT)
