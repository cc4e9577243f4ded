"""The networks of Stable Cascade (Pernias et al. 2024), from published files or from folders of diffusers.

Stage C makes 16 channels at 1/42.67 of the picture's side, from embeddings; stage B makes latents of these,
and stage A pictures of the latents. An EfficientNet gives pictures the channels that stage C makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableCascadeUNet
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel
from PIL import Image, ImageEnhance
from torch import nn

from neural_recon.models import checkpoints
from neural_recon.models.device_memory import Tensors, load_part

# of stage A's latents, in the published code; the configuration in the layout of diffusers says 0.3764, which
# is an older model's, and pictures of less contrast
SCALE = 0.43
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of pixels in [0, 1]

_RES, _TIME, _ATTENTION = "SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"
_STAGE_C = {
    "down_blocks_repeat_mappers": [1, 1],
    "up_blocks_repeat_mappers": [1, 1],
    "block_types_per_layer": [[_RES, _TIME, _ATTENTION]] * 2,
    "clip_text_in_channels": 1280,
    "clip_image_in_channels": 768,
    "switch_level": [False],
}
_STAGE_B = {
    "in_channels": 4,
    "out_channels": 4,
    "patch_size": 2,
    "conditioning_dim": 1280,
    "down_blocks_repeat_mappers": [1, 1, 1, 1],
    "block_types_per_layer": [[_RES, _TIME]] * 2 + [[_RES, _TIME, _ATTENTION]] * 2,
    "effnet_in_channels": 16,
    "pixel_mapper_in_channels": 3,
    "dropout": [0, 0, 0.1, 0.1],
    "timestep_conditioning_type": ["sca"],
}
# What published files of networks hold, which do not say it: stage C of 3.6 and of 1.0, stage B of 1.6 and of
# 0.7 thousand million parameters. What is not named is as in the class.
PUBLISHED: Mapping[str, dict[str, Any]] = {
    "C": _STAGE_C,
    "C lite": {
        **_STAGE_C,
        "conditioning_dim": 1536,
        "block_out_channels": [1536, 1536],
        "num_attention_heads": [24, 24],
        "down_num_layers_per_block": [4, 12],
        "up_num_layers_per_block": [12, 4],
    },
    "B": {
        **_STAGE_B,
        "block_out_channels": [320, 640, 1280, 1280],
        "num_attention_heads": [0, 0, 20, 20],
        "down_num_layers_per_block": [2, 6, 28, 6],
        "up_num_layers_per_block": [6, 28, 6, 2],
        "up_blocks_repeat_mappers": [3, 3, 2, 2],
    },
    "B lite": {
        **_STAGE_B,
        "block_out_channels": [320, 576, 1152, 1152],
        "num_attention_heads": [0, 9, 18, 18],
        "down_num_layers_per_block": [2, 4, 14, 4],
        "up_num_layers_per_block": [4, 14, 4, 2],
        "up_blocks_repeat_mappers": [2, 2, 2, 2],
    },
}


class EffNet(nn.Module):
    """EfficientNet-v2-S and a layer after it: pictures (n, 3, S, S) to normalised (n, 16, S/32, S/32)."""

    def __init__(self) -> None:
        from torchvision import models  # takes seconds

        super().__init__()
        self.backbone = models.efficientnet_v2_s(weights=None).features
        self.mapper = nn.Sequential(nn.Conv2d(1280, 16, 1, bias=False), nn.BatchNorm2d(16, affine=False))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Of pictures in [-1, 1]."""
        mean, std = (torch.tensor(row, device=pictures.device).view(3, 1, 1) for row in IMAGENET)
        return self.mapper(self.backbone(((pictures + 1) / 2 - mean) / std))


def enhanced(images: np.ndarray, size: int, sharpness: float, contrast: float) -> np.ndarray:
    """uint8 (n, H, W, 3) -> uint8 (n, size, size, 3): PIL's Lanczos filter, then sharpness, then contrast.

    A factor of 1 leaves either as it is.
    """
    large = [Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS) for image in images]
    sharp = [ImageEnhance.Sharpness(image).enhance(sharpness) for image in large]
    return np.stack([np.asarray(ImageEnhance.Contrast(image).enhance(contrast)) for image in sharp])


def load_unet(place: Path, stage: str, dtype: torch.dtype, device: torch.device) -> StableCascadeUNet:
    """Stage "C" or "B", in evaluation mode, from its folder or its single file.

    Raises:
        InputError: a file is missing, or its tensors are none of a published size.
    """
    if place.suffix != ".safetensors":
        return load_part(StableCascadeUNet, place, dtype, device)
    tensors = _as_diffusers(checkpoints.read_tensors(place))
    shapes = {name: tensor.shape for name, tensor in tensors.items()}

    def built(name: str) -> StableCascadeUNet:
        return checkpoints.empty(lambda: StableCascadeUNet(**PUBLISHED[name]))

    lite = built(f"{stage} lite")
    fits = {name: tensor.shape for name, tensor in lite.state_dict().items()} == shapes
    return _filled(lite if fits else built(stage), tensors, place, dtype, device)


def load_stage_a(place: Path, device: torch.device) -> PaellaVQModel:
    """Stage A, in float32, from its folder or its single file; errors as of `load_unet`."""
    if place.suffix != ".safetensors":
        return load_part(PaellaVQModel, place, device=device)
    tensors = {
        name.replace("vquantizer.codebook", "vquantizer.embedding"): tensor
        for name, tensor in checkpoints.read_tensors(place).items()
    }
    return _filled(checkpoints.empty(PaellaVQModel), tensors, place, torch.float32, device)


def load_effnet(path: Path, device: torch.device) -> EffNet:
    """The encoder of pictures, in float32; errors as of `load_unet`."""
    return _filled(checkpoints.empty(EffNet), checkpoints.read_tensors(path), path, torch.float32, device)


def _filled(module: Any, tensors: Tensors, path: Path, dtype: torch.dtype, device: torch.device) -> Any:
    checkpoints.load_tensors(module, tensors, path, dtype=dtype, device=device)
    return module.eval().to(memory_format=torch.channels_last)


def _as_diffusers(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A published stage's tensors under diffusers' names: query, key and value by themselves, and stage B's
    layer for pooled text under the name that stage C's has."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        head, attention, tail = name.partition("attn.in_proj_")
        if attention:
            found.update(zip((f"{head}to_{which}.{tail}" for which in "qkv"), tensor.chunk(3), strict=True))
            continue
        name = name.replace("attn.out_proj.", "to_out.0.").replace("clip_mapper.", "clip_txt_pooled_mapper.")
        found[name] = tensor
    return found
