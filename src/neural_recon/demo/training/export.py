"""Trained weights in the layouts of the published ones: half precision, safetensors, JSON alongside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from neural_recon.core.files import atomic, write_text
from neural_recon.demo.training import autoencoder, clip, generator, vdvae
from neural_recon.models.denoising import STABLE_DIFFUSION
from neural_recon.models.dual_unet import DualUNet
from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD


def write_weights(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write tensors in float16."""
    with atomic(path) as temporary:
        save_file(
            {name: tensor.detach().cpu().half().contiguous() for name, tensor in state.items()}, temporary
        )


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON mapping."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_autoencoder(model: AutoencoderKL, scaling_factor: float, folder: Path) -> None:
    """`folder`/vae, as diffusers lays it out."""
    config = {
        "_class_name": "AutoencoderKL",
        **autoencoder.CONFIG,
        "scaling_factor": round(scaling_factor, 5),
    }
    write_json(folder / "vae/config.json", config)
    write_weights(folder / "vae/diffusion_pytorch_model.safetensors", model.state_dict())


def write_clip(pair: clip.Pair, folder: Path) -> None:
    """`folder`/image_encoder, text_encoder and image_processor; the tokenizer is there already."""
    for name, model in (("image_encoder", pair.vision), ("text_encoder", pair.text)):
        config = {**model.config.to_diff_dict(), "architectures": [type(model).__name__]}
        write_json(folder / name / "config.json", config)
        write_weights(folder / name / "model.safetensors", model.state_dict())
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": clip.VISION["image_size"]},
        "crop_size": {"height": clip.VISION["image_size"], "width": clip.VISION["image_size"]},
        "resample": 3,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }
    write_json(folder / "image_processor/preprocessor_config.json", processor)


def write_generator(model: DualUNet, folder: Path) -> None:
    """`folder`/image_unet, text_unet (its attention blocks) and scheduler."""
    for name, class_name, state in (
        ("image_unet", "UNet2DConditionModel", model.image_unet_state()),
        ("text_unet", "UNetFlatConditionModel", model.text_unet_state()),
    ):
        write_json(folder / name / "config.json", {"_class_name": class_name, **generator.CONFIG})
        write_weights(folder / name / "diffusion_pytorch_model.safetensors", state)
    schedule = {"_class_name": "DDIMScheduler", **STABLE_DIFFUSION}
    write_json(folder / "scheduler/scheduler_config.json", schedule)
    write_json(folder / "model_index.json", {"_class_name": "VersatileDiffusionDualGuidedPipeline"})


def write_vdvae(model: torch.nn.Module, folder: Path) -> None:
    """`folder`/vdvae: the weights and their hyper-parameters."""
    write_json(folder / "vdvae/hparams.json", vdvae.HPARAMS)
    write_weights(folder / "vdvae/model.safetensors", model.state_dict())
