"""Stable Diffusion XL in one file of Stability AI's generative-models (sgm): names and sizes for diffusers.

The networks of the two are the same. What a file is built of (widths, depths, which levels attend) is read
from the shapes of its tensors, so that models fine-tuned on other guides load, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints
from neural_recon.models.device_memory import Tensors

UNET, AUTOENCODER = "model.diffusion_model.", "first_stage_model."  # what the names begin with
HEAD = 64  # values per head of the UNet's attention, which no shape says
OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
MIDDLE = ("resnets.0", "attentions.0", "resnets.1")
AUTOENCODER_PARTS = {
    "mid.block_1": "mid_block.resnets.0",
    "mid.block_2": "mid_block.resnets.1",
    "mid.attn_1.norm": "mid_block.attentions.0.group_norm",
    "mid.attn_1.q": "mid_block.attentions.0.to_q",
    "mid.attn_1.k": "mid_block.attentions.0.to_k",
    "mid.attn_1.v": "mid_block.attentions.0.to_v",
    "mid.attn_1.proj_out": "mid_block.attentions.0.to_out.0",
    "norm_out": "conv_norm_out",
}


def load(path: Path, dtype: torch.dtype, device: torch.device) -> tuple[UNet2DConditionModel, AutoencoderKL]:
    """The UNet, in the precision `dtype`, and the autoencoder, in float32, of one file; in evaluation mode.

    What else the file holds, such as encoders, is not read. The UNet takes `text_embeds` of no values where
    it is told only sizes.

    Raises:
        InputError: the file is missing, or does not hold these two.
    """
    tensors = checkpoints.read_tensors(path, within="state_dict")
    unet, autoencoder = (
        {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}
        for part in (UNET, AUTOENCODER)
    )
    try:
        configs = unet_config(unet), autoencoder_config(autoencoder)
        models = (
            checkpoints.empty(lambda: UNet2DConditionModel(**configs[0])),
            checkpoints.empty(lambda: AutoencoderKL(**configs[1])),
        )
    except Exception as error:  # what is another network lacks a name, or makes no model
        raise InputError(
            f"{path}: expected a Stable Diffusion XL in one file of generative-models ({UNET}*, "
            f"{AUTOENCODER}*), found {len(unet)} and {len(autoencoder)} tensors of such names, which make "
            f"none ({type(error).__name__}: {error}); name another file."
        ) from error
    renamed = as_diffusers(unet, configs[0]["layers_per_block"]), autoencoder_as_diffusers(autoencoder)
    for model, found, precision in zip(models, renamed, (dtype, torch.float32), strict=True):
        checkpoints.load_tensors(model, found, path, dtype=precision, device=device)
        model.eval().to(memory_format=torch.channels_last)
    return models


def unet_config(tensors: Tensors) -> dict[str, Any]:
    """The configuration for diffusers of a UNet with these tensors, under sgm's names less their beginning.

    Sizes are told as four numbers (original size, crop), each as an equal share of the extra input.
    """
    blocks = _count(tensors, r"input_blocks\.(\d+)\.")
    halvings = [k for k in range(blocks) if f"input_blocks.{k}.0.op.weight" in tensors]
    layers = halvings[0] - 1
    firsts = range(1, blocks, layers + 1)  # of each level
    widths = [tensors[f"input_blocks.{first}.0.in_layers.2.weight"].shape[0] for first in firsts]
    depths = [_count(tensors, rf"input_blocks\.{first}\.1\.transformer_blocks\.(\d+)\.") for first in firsts]
    told = tensors["label_emb.0.0.weight"].shape[1]
    attention = next(name for name in tensors if name.endswith("attn2.to_k.weight"))
    return {
        "in_channels": tensors["input_blocks.0.0.weight"].shape[1],
        "out_channels": tensors["out.2.weight"].shape[0],
        "block_out_channels": widths,
        "down_block_types": [f"{'CrossAttn' if depth else ''}DownBlock2D" for depth in depths],
        "up_block_types": [f"{'CrossAttn' if depth else ''}UpBlock2D" for depth in reversed(depths)],
        "layers_per_block": layers,
        "transformer_layers_per_block": [max(1, depth) for depth in depths],
        "attention_head_dim": [width // HEAD for width in widths],  # diffusers means how many
        "cross_attention_dim": tensors[attention].shape[1],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": told // 4,
        "projection_class_embeddings_input_dim": told,
    }


def as_diffusers(tensors: Tensors, layers: int) -> dict[str, torch.Tensor]:
    """A UNet's tensors under the names of diffusers; `layers`: residual blocks of a level on the way down."""
    return {unet_name(name, layers): tensor for name, tensor in tensors.items()}


def unet_name(name: str, layers: int) -> str:
    """The name of one of them; one without a counterpart is kept, for the message of who loads it."""
    for published, ours in OUTSIDE.items():
        if name.startswith(f"{published}."):
            return ours + name.removeprefix(published)
    if found := re.fullmatch(r"middle_block\.([012])\.(.+)", name):
        return f"mid_block.{MIDDLE[int(found[1])]}.{_resnet(found[2])}"
    found = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)", name)
    if not found:
        return name
    down, rest = found[1] == "input", found[4]
    level, place = divmod(int(found[2]) - down, layers + 1)
    block = f"{'down' if down else 'up'}_blocks.{level}"
    if rest.startswith("op."):
        return f"{block}.downsamplers.0.conv.{rest.removeprefix('op.')}"
    if rest.startswith("conv."):
        return f"{block}.upsamplers.0.{rest}"
    kind = "resnets" if found[3] == "0" else "attentions"
    return f"{block}.{kind}.{place}.{_resnet(rest)}"


def _resnet(rest: str) -> str:
    for published, ours in RESNET.items():
        rest = re.sub(rf"^{re.escape(published)}\.", f"{ours}.", rest)
    return rest


def autoencoder_config(tensors: Tensors) -> dict[str, Any]:
    """The configuration for diffusers of an autoencoder with these tensors, likewise."""
    halvings = _count(tensors, r"encoder\.down\.(\d+)\.")
    widths = [tensors[f"encoder.down.{k}.block.0.conv1.weight"].shape[0] for k in range(halvings)]
    return {
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * halvings,
        "up_block_types": ["UpDecoderBlock2D"] * halvings,
        "layers_per_block": _count(tensors, r"encoder\.down\.0\.block\.(\d+)\."),
        "latent_channels": tensors["decoder.conv_in.weight"].shape[1],
        "scaling_factor": 0.13025,  # of Stable Diffusion XL
    }


def autoencoder_as_diffusers(tensors: Tensors) -> dict[str, torch.Tensor]:
    """An autoencoder's tensors under the names of diffusers: levels up are counted from the other end, and
    layers of the attention that are convolutions of one pixel become linear."""
    last = _count(tensors, r"decoder\.up\.(\d+)\.") - 1
    found = {}
    for name, tensor in tensors.items():
        new = autoencoder_name(name, last)
        flat = ".attentions." in new and tensor.ndim == 4
        found[new] = tensor[:, :, 0, 0] if flat else tensor
    return found


def autoencoder_name(name: str, last: int) -> str:
    """The name of one of them; `last` is the number of the last level up."""
    for published, ours in AUTOENCODER_PARTS.items():
        name = re.sub(rf"^(encoder|decoder)\.{re.escape(published)}\.", rf"\1.{ours}.", name)
    name = re.sub(r"\.down\.(\d+)\.", r".down_blocks.\1.", name)
    name = re.sub(r"\.up\.(\d+)\.", lambda found: f".up_blocks.{last - int(found[1])}.", name)
    name = re.sub(r"_blocks\.(\d+)\.block\.", r"_blocks.\1.resnets.", name)
    for side in ("down", "up"):
        name = name.replace(f".{side}sample.conv.", f".{side}samplers.0.conv.")
    return name.replace(".nin_shortcut.", ".conv_shortcut.")


def _count(tensors: Mapping[str, torch.Tensor], pattern: str) -> int:
    """How many numbers from 0 the names have at the pattern's group."""
    return 1 + max((int(found[1]) for name in tensors if (found := re.match(pattern, name))), default=-1)
