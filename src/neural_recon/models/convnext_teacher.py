"""The convolutional teacher of the low-level head: VICRegL's ConvNeXt-XL with its projector of maps.

After facebookresearch/vicregl (Bardes et al. 2022; ConvNeXt of Liu et al. 2022, without layer scale), as
MindEye1 and MindEye2 use it; names of parameters are the checkpoint's. Networks learn from its maps of
pictures and of altered copies of these (`contrastive.soft_contrast`), which are features of the space
`convnext_maps`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from neural_recon.models import checkpoints

DEPTHS, WIDTHS, MAPS = (3, 3, 27, 3), (256, 512, 1024, 2048), (512, 512, 512)  # ConvNeXt-XL's
PART = "model"  # of a training checkpoint
OWN = ("backbone.", "maps_projector.")  # the rest of it is other projectors
# of the input; the published deviation of red is .228, not ImageNet's .229
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.228, 0.224, 0.225)
EPSILON = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (n, C, h, w)."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return super().forward(maps.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, EPSILON)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        rows = self.norm(self.dwconv(maps).movedim(1, -1))
        rows = self.pwconv2(nn.functional.gelu(self.pwconv1(rows)))
        return maps + rows.movedim(-1, 1)


class ConvNeXt(nn.Module):
    """Four stages, each after a convolution that shrinks its maps (4 times, then 2 times)."""

    def __init__(self, depths: Sequence[int], widths: Sequence[int]):
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], EPSILON))
        shrinking = (
            nn.Sequential(ChannelNorm(here, EPSILON), nn.Conv2d(here, there, 2, 2))
            for here, there in itertools.pairwise(widths)
        )
        self.downsample_layers = nn.ModuleList([stem, *shrinking])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for depth, width in zip(depths, widths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], EPSILON)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, H, W) normalised -> (n, (H / 32) * (W / 32), width)."""
        maps = images
        for shrink, stage in zip(self.downsample_layers, self.stages, strict=True):
            maps = stage(shrink(maps))
        return self.norm(maps.flatten(2).mT)


class ConvNextTeacher(nn.Module):
    """Projected maps of pictures.

    Args:
        depths, widths: of the stages.
        maps: the projector's widths.
    """

    def __init__(
        self,
        depths: Sequence[int] = DEPTHS,
        widths: Sequence[int] = WIDTHS,
        maps: Sequence[int] = MAPS,
    ):
        super().__init__()
        self.backbone = ConvNeXt(depths, widths)
        parts: list[Any] = []
        for here, there in itertools.pairwise((widths[-1], *maps[:-1])):
            parts += [nn.Linear(here, there), nn.LayerNorm(there), nn.ReLU()]
        self.maps_projector = nn.Sequential(*parts, nn.Linear(maps[-2], maps[-1], bias=False))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, H, W) in [0, 1] -> maps (n, (H / 32) * (W / 32), last of `maps`)."""
        mean, deviation = (pictures.new_tensor(numbers)[:, None, None] for numbers in (MEAN, DEVIATION))
        return self.maps_projector(self.backbone((pictures - mean) / deviation))

    @classmethod
    def from_checkpoint(
        cls, path: str | os.PathLike[str], device: str | torch.device = "cpu"
    ) -> ConvNextTeacher:
        """The teacher of `convnext_xlarge_alpha0.75_fullckpt.pth`, frozen, in evaluation mode.

        Raises:
            InputError: the file is missing, or has other tensors than a ConvNeXt-XL with this projector.
        """
        teacher = checkpoints.empty(cls)
        tensors = {
            name.removeprefix("module."): tensor
            for name, tensor in checkpoints.read_tensors(path, within=PART).items()
        }
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(OWN)}
        checkpoints.load_tensors(teacher, own, path, device=device)
        return teacher.eval().requires_grad_(False)
