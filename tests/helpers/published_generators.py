"""What generators paint with, configured as the published models are, or small; weights are random."""

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import neural_recon  # noqa: F401  (before diffusers, as in conftest)  # isort: skip
import torch
from diffusers import (
    AutoencoderKL,
    PixArtTransformer2DModel,
    StableCascadeUNet,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel
from torch import nn

from helpers import published_layouts, tiny_cascade
from neural_recon.models.stable_cascade import PUBLISHED, EffNet

Part = tuple[Callable[..., nn.Module], dict[str, Any]]
TOKENS = 77  # of CLIP's texts


@dataclass(frozen=True)
class Layout:
    """A kind of generator at one size.

    Attributes:
        recipe: the one of config/recipes whose settings it has.
        parts: how each is built, and its configuration.
        unguided: the shapes (1, ...) of what guides it where nothing does, by role.
        tokens: of the guides that have another number of them.
        settings: other values than the recipe has.
    """

    recipe: str
    parts: Mapping[str, Part]
    unguided: Mapping[str, tuple[int, ...]]
    tokens: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def build(layout: Layout, part: str, where: torch.device | str, dtype: torch.dtype = torch.float32) -> Any:
    """A part with the random weights that its class gives it, made on the device and in the precision."""
    make, config = layout.parts[part]
    with torch.device(where), _default(dtype):
        return make(**config).eval()


def write_configurations(folder: Path, layout: Layout) -> Path:
    """What a folder on the hub says of the parts; no weights, and of the scheduler nothing."""
    contents = {f"{part}/config.json": config for part, (_, config) in layout.parts.items()}
    for name, content in {**contents, "scheduler/scheduler_config.json": {}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


@contextmanager
def _default(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _autoencoder(small: bool, **other: Any) -> Part:
    config = published_layouts.configurations(small)["vae"][1]
    return AutoencoderKL, {**config, **other}


def stable_diffusion(small: bool) -> Layout:
    """Stable Diffusion 1.4: Versatile Diffusion took its image UNet from it."""
    unet = published_layouts.configurations(small)["image_unet"][1]
    parts = {"unet": (UNet2DConditionModel, unet), "vae": _autoencoder(small)}
    return Layout("stable_diffusion", parts, {"text": (1, TOKENS, unet["cross_attention_dim"])})


def versatile_image(small: bool) -> Layout:
    """Versatile Diffusion without its text flow."""
    unet = published_layouts.configurations(small)["image_unet"][1]
    parts = {"image_unet": (UNet2DConditionModel, unet), "vae": _autoencoder(small)}
    return Layout("mindeye1", parts, {"vision": (1, 257, unet["cross_attention_dim"])})


def sdxl(small: bool) -> Layout:
    """Stable Diffusion XL base 1.0, with the plain adapter for bigG's embedding."""
    text, pooled, embedding, time = (64, 32, 32, 8) if small else (2048, 1280, 1280, 256)
    unet = {
        "sample_size": 8 if small else 128,
        "block_out_channels": [32, 64, 64] if small else [320, 640, 1280],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 1 if small else 2,
        "transformer_layers_per_block": [1, 1, 2] if small else [1, 2, 10],
        "attention_head_dim": [1, 2, 2] if small else [5, 10, 20],
        "cross_attention_dim": text,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": time,
        "projection_class_embeddings_input_dim": pooled + 6 * time,
    }
    parts = {
        "unet": (lambda **c: _with_adapter(UNet2DConditionModel(**c), embedding), unet),
        "vae": _autoencoder(small, sample_size=1024, scaling_factor=0.13025),
    }
    return Layout(
        "sdxl", parts, {"image": (1, 1, embedding), "text": (1, TOKENS, text), "pooled": (1, pooled)}
    )


def _with_adapter(unet: UNet2DConditionModel, width: int, tokens: int = 4) -> UNet2DConditionModel:
    """Give a UNet a plain image-prompt adapter for embeddings (B, 1, width)."""
    text = unet.config.cross_attention_dim
    projection = {
        "proj.weight": torch.randn(tokens * text, width) * width**-0.5,
        "proj.bias": torch.zeros(tokens * text),
        "norm.weight": torch.ones(text),
        "norm.bias": torch.zeros(text),
    }
    attentions = {}
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            rows = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
            for layer in ("to_k_ip", "to_v_ip"):
                attentions[f"{number}.{layer}.weight"] = torch.randn(rows, text) * text**-0.5
    unet._load_ip_adapter_weights(
        [{"image_proj": projection, "ip_adapter": attentions}], low_cpu_mem_usage=False
    )
    return unet


def kandinsky(small: bool) -> Layout:
    """Kandinsky 2.2's decoder."""
    embedding = 32 if small else 1280
    unet = {
        "sample_size": 8 if small else 64,
        "in_channels": 4,
        "out_channels": 8,
        "block_out_channels": [32, 32, 64, 64] if small else [384, 768, 1152, 1536],
        "down_block_types": ["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * 3,
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": ["SimpleCrossAttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"],
        "layers_per_block": 1 if small else 3,
        "attention_head_dim": 16 if small else 64,
        "cross_attention_dim": 32 if small else 768,
        "encoder_hid_dim": embedding,
        "encoder_hid_dim_type": "image_proj",
        "addition_embed_type": "image",
        "resnet_time_scale_shift": "scale_shift",
    }
    movq = {
        "latent_channels": 4,
        "block_out_channels": [32, 32, 64, 64] if small else [128, 256, 256, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 3 + ["AttnDownEncoderBlock2D"],
        "up_block_types": ["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 3,
        "layers_per_block": 1 if small else 2,
        "norm_type": "spatial",
        "num_vq_embeddings": 64 if small else 16384,
        "vq_embed_dim": 4,
    }
    parts = {"unet": (UNet2DConditionModel, unet), "movq": (VQModel, movq)}
    return Layout("kandinsky", parts, {"image": (1, 1, embedding)})


def pixart(small: bool) -> Layout:
    """PixArt-Sigma XL for pictures of 1024 x 1024, under as many tokens as the recipe predicts."""
    width = 32 if small else 1152
    transformer = {
        "sample_size": 8 if small else 128,
        "num_layers": 2 if small else 28,
        "num_attention_heads": 2 if small else 16,
        "attention_head_dim": 16 if small else 72,
        "cross_attention_dim": width,
        "caption_channels": 32 if small else 4096,
        "interpolation_scale": 2,
        "use_additional_conditions": False,
    }
    parts = {
        "transformer": (PixArtTransformer2DModel, transformer),
        "vae": _autoencoder(small, sample_size=1024, scaling_factor=0.13025),
    }
    return Layout("pixart", parts, {"text": (1, 1, transformer["caption_channels"])}, {"text": 20})


def stable_cascade(small: bool) -> Layout:
    """Stable Cascade's large stages C and B."""
    c, b, a = (
        (tiny_cascade.STAGE_C, tiny_cascade.STAGE_B, tiny_cascade.STAGE_A)
        if small
        else (PUBLISHED["C"], PUBLISHED["B"], {})
    )
    parts = {
        "prior": (StableCascadeUNet, dict(c)),
        "decoder": (StableCascadeUNet, dict(b)),
        "vqgan": (PaellaVQModel, dict(a)),
        "effnet": (EffNet, {}),
    }
    unguided = {
        "image": (1, 1, c["clip_image_in_channels"]),
        "text": (1, TOKENS, c["clip_text_in_channels"]),
        "pooled": (1, 1, c.get("clip_text_pooled_in_channels", 1280)),
    }
    return Layout("mirage", parts, unguided, settings={"size": 128} if small else {})


LAYOUTS: Mapping[str, Callable[[bool], Layout]] = {
    layout.__name__: layout
    for layout in (stable_diffusion, versatile_image, sdxl, kandinsky, pixart, stable_cascade)
}
