"""Image-prompt adapters (Ye et al. 2023): a UNet that texts guide, guided by a picture's embedding, too."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import (
    ImageProjection,
    IPAdapterPlusImageProjection,
    MultiIPAdapterImageProjection,
)
from torch import nn

from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints
from neural_recon.models.device_memory import Tensors

PLAIN_INPUT, PLUS_INPUT = "image_proj.proj.weight", "image_proj.proj_in.weight"
PLUS_QUERIES, PLUS_HEADS = "image_proj.latents", "image_proj.layers.0.0.to_q.weight"
HEAD = 64  # values per head of the plus adapter's attention
# The plus adapter's layers in published files, and in diffusers.
PLUS = {
    r"0\.norm1": "ln0",
    r"0\.norm2": "ln1",
    r"0\.to_q": "attn.to_q",
    r"0\.to_k": "attn.to_k",
    r"0\.to_v": "attn.to_v",
    r"0\.to_out": "attn.to_out.0",
    r"1\.0": "ff.0",
    r"1\.1": "ff.1.net.0.proj",
    r"1\.3": "ff.1.net.2",
}


def attach(unet: UNet2DConditionModel, path: Path, scale: float) -> None:
    """Give a UNet the adapter of a published file, in the UNet's precision and on its device.

    From then on it takes `added_cond_kwargs["image_embeds"]`: a list of one tensor, (B, 1, E) of a plain
    adapter or (B, 1, tokens, E) of a plus one.

    Args:
        unet: one of Stable Diffusion, XL or not.
        path: safetensors with `image_proj.*` and `ip_adapter.*`.
        scale: weight of the attention to the picture, alongside that to the text.

    Raises:
        InputError: the file is missing, or its tensors are no adapter of this UNet.
    """
    width, plus = read(path)
    tensors = checkpoints.read_tensors(path)
    projection = checkpoints.empty(lambda: _projection(unet, tensors, width, plus))
    tokens = _tokens(unet, tensors, plus)
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    attentions = [unet.get_submodule(name.removesuffix(".processor")) for name in names]
    processors = [
        checkpoints.empty(
            lambda one=one: IPAdapterAttnProcessor2_0(  # type: ignore[misc]
                one.inner_dim, one.cross_attention_dim, num_tokens=[tokens], scale=scale
            )
        )
        for one in attentions
    ]
    adapter = nn.ModuleDict({"image_proj": projection, "ip_adapter": nn.ModuleList(processors)})
    checkpoints.load_tensors(adapter, _renamed(tensors, plus), path, dtype=unet.dtype, device=unet.device)
    unet.encoder_hid_proj = MultiIPAdapterImageProjection([projection]).eval()
    unet.config.encoder_hid_dim_type = "ip_image_proj"
    unet.set_attn_processor({**unet.attn_processors, **dict(zip(names, processors, strict=True))})


def read(path: Path) -> tuple[int, bool]:
    """What an adapter takes of a picture: values per token, and whether all of its image encoder's tokens
    (plus) and not the embedding (plain).

    Raises:
        InputError: the file is missing, or no adapter of these two kinds.
    """
    tensors = checkpoints.read_tensors(path, "image_proj.proj")
    for name, plus in ((PLAIN_INPUT, False), (PLUS_INPUT, True)):
        if name in tensors and tensors[name].ndim == 2:
            return tensors[name].shape[1], plus
    raise InputError(
        f"{path}: expected an image-prompt adapter, plain or plus ({PLAIN_INPUT} or {PLUS_INPUT}), found "
        f"{', '.join(tensors) or 'neither'}; name the file of one."
    )


def _projection(unet: UNet2DConditionModel, tensors: Tensors, width: int, plus: bool) -> nn.Module:
    """What makes tokens for the UNet's attention, without its weights."""
    out = unet.config.cross_attention_dim
    if not plus:
        return ImageProjection(width, out, _tokens(unet, tensors, plus))
    hidden = tensors[PLUS_INPUT].shape[0]
    heads = tensors[PLUS_HEADS].shape[0] // HEAD if PLUS_HEADS in tensors else 1
    return IPAdapterPlusImageProjection(
        width, out, hidden, heads=heads, num_queries=_tokens(unet, tensors, plus)
    )


def _tokens(unet: UNet2DConditionModel, tensors: Tensors, plus: bool) -> int:
    """How many tokens an adapter gives the attention; 1 where its file does not fit, which is said later."""
    if not plus:
        return max(1, tensors[PLAIN_INPUT].shape[0] // unet.config.cross_attention_dim)
    return tensors[PLUS_QUERIES].shape[1] if PLUS_QUERIES in tensors else 1


def _renamed(tensors: Tensors, plus: bool) -> Tensors:
    """A published file's tensors under the names of diffusers.

    Published attentions are counted 1, 3, 5, ...: those to the picture among all.
    """
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        part, *_ = name.split(".")
        if part == "ip_adapter":
            numbered = re.fullmatch(r"ip_adapter\.(\d*[13579])\.(to_[kv]_ip)\.weight", name)
            found[f"ip_adapter.{int(numbered[1]) // 2}.{numbered[2]}.0.weight" if numbered else name] = tensor
        elif "to_kv" in name:
            for letter, half in zip("kv", tensor.chunk(2), strict=True):
                found[_plus(name.replace("to_kv", f"to_{letter}"))] = half
        elif plus:
            found[_plus(name)] = tensor
        else:
            found[re.sub(r"^image_proj\.proj\.", "image_proj.image_embeds.", name)] = tensor
    return found


def _plus(name: str) -> str:
    for published, ours in PLUS.items():
        name = re.sub(rf"^(image_proj\.layers\.\d+)\.{published}\.", rf"\1.{ours}.", name)
    return name
