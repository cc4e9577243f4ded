"""Small random models of generators in the hub's layout, for whole runs: pictures of 32 x 32."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import PixArtTransformer2DModel, UNet2DConditionModel

from helpers import published_layouts

SIDE = 16  # of latents


def write_stable_diffusion(folder: Path) -> Path:
    """Stable Diffusion 1's parts."""
    unet = {
        "sample_size": SIDE,
        "block_out_channels": [8, 16],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "cross_attention_dim": 24,  # of `write_text_encoder`
    }
    published_layouts.write_text_encoder(folder, projected=False)
    return _write(folder, "unet", UNet2DConditionModel, unet, "PNDMScheduler")


def write_pixart(folder: Path) -> Path:
    """PixArt-Sigma's parts."""
    transformer = {
        "sample_size": SIDE,
        "num_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "cross_attention_dim": 16,
        "caption_channels": 16,  # of `write_t5`
        "use_additional_conditions": False,
    }
    published_layouts.write_t5(folder)
    return _write(folder, "transformer", PixArtTransformer2DModel, transformer, "DPMSolverMultistepScheduler")


def _write(folder: Path, network: str, kind: Any, config: dict[str, Any], scheduler: str) -> Path:
    with torch.device("meta"):
        model = kind(**config)
    published_layouts.write_part(folder / network, model, config, "diffusion_pytorch_model")
    published_layouts.write_autoencoder(folder / "vae")
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps({"_class_name": scheduler}))
    return folder
