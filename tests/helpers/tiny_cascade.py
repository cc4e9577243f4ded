"""Stable Cascade in the layout of diffusers, small and random, for pictures of 128 x 128."""

from pathlib import Path

import torch
from diffusers import StableCascadeUNet
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel
from safetensors.torch import save_file

from helpers import published_layouts
from neural_recon.models import cascade_files
from neural_recon.models.stable_cascade import EffNet

BLOCK = ["SDCascadeResBlock", "SDCascadeTimestepBlock"]
STAGE_C = {
    "timestep_ratio_embedding_dim": 8,
    "conditioning_dim": 16,
    "block_out_channels": [16, 16],
    "num_attention_heads": [2, 2],
    "down_num_layers_per_block": [1, 1],
    "up_num_layers_per_block": [1, 1],
    "block_types_per_layer": [[*BLOCK, "SDCascadeAttnBlock"]] * 2,
    "clip_text_in_channels": 24,  # of `write_text_encoder`, as the pooled ones
    "clip_text_pooled_in_channels": 16,
    "clip_image_in_channels": 20,  # of `write_image_encoder`
    "switch_level": [False],
}
STAGE_B = {
    "in_channels": 4,
    "out_channels": 4,
    "patch_size": 2,
    "timestep_ratio_embedding_dim": 8,
    "conditioning_dim": 16,
    "block_out_channels": [8, 16],
    "num_attention_heads": [0, 2],
    "down_num_layers_per_block": [1, 1],
    "up_num_layers_per_block": [1, 1],
    "block_types_per_layer": [BLOCK, [*BLOCK, "SDCascadeAttnBlock"]],
    "clip_text_pooled_in_channels": 16,
    "effnet_in_channels": 16,
    "pixel_mapper_in_channels": 3,
    "dropout": [0, 0.1],
    "timestep_conditioning_type": ["sca"],
}
STAGE_A = {"bottleneck_blocks": 1, "embed_dim": 16, "num_vq_embeddings": 4}


def write(folder: Path) -> Path:
    """Its stages and encoders, all in one folder."""
    for part, kind, config in (
        ("prior", StableCascadeUNet, STAGE_C),
        ("decoder", StableCascadeUNet, STAGE_B),
        ("vqgan", PaellaVQModel, STAGE_A),
    ):
        with torch.device("meta"):
            model = kind(**config)
        published_layouts.write_part(folder / part, model, config, "diffusion_pytorch_model")
    save_file(EffNet().state_dict(), folder / cascade_files.EFFNET)
    published_layouts.write_text_encoder(folder, pad="!")
    published_layouts.write_image_encoder(folder / "image_encoder")
    return folder
