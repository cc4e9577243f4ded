"""Checkpoints with random weights in the layouts of the published ones, full-size or small.

    python tests/helpers/published_layouts.py FOLDER [--small] [--half] [--safetensors]

writes FOLDER/imagenet64-iter-1600000-model-ema.th and FOLDER/versatile-diffusion, named and shaped as the
downloads are: for trying loading, memory and speed without them. Full size takes 12.8 GB, with --half 6.6 GB.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neural_recon  # noqa: F401  (before diffusers, as in conftest)  # isort: skip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.pipelines.deprecated.versatile_diffusion.modeling_text_unet import UNetFlatConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from neural_recon.models.vdvae import VDVAE

ROOT = Path(__file__).resolve().parents[2]
VDVAE_FILE = "imagenet64-iter-1600000-model-ema.th"
VERSATILE_FOLDER = "versatile-diffusion"

SMALL_VDVAE = {
    "image_size": 64,
    "width": 8,
    "zdim": 2,
    "enc_blocks": "64x1,64d2,32d2,16d2,8d2,4d4,1x1",
    "dec_blocks": "1x1,4m1,8m4,16m8,32m16,64m32",
    "num_mixtures": 2,
}


def configurations(small: bool) -> dict[str, tuple[Callable[..., nn.Module], dict[str, Any]]]:
    """How the parts of Versatile Diffusion are built, and their configuration."""
    widths, heads, context = ([32, 32, 64, 64], 2, 32) if small else ([320, 640, 1280, 1280], 8, 768)
    unet = {
        "sample_size": 8 if small else 64,
        "block_out_channels": widths,
        "layers_per_block": 1 if small else 2,
        "attention_head_dim": heads,
        "cross_attention_dim": context,
    }
    image_unet = {
        **unet,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    }
    text_unet = {
        **unet,
        "in_channels": [768, 1, 1],
        "out_channels": [768, 1, 1],
        "down_block_types": ["CrossAttnDownBlockFlat"] * 3 + ["DownBlockFlat"],
        "mid_block_type": "UNetMidBlockFlatCrossAttn",
        "up_block_types": ["UpBlockFlat"] + ["CrossAttnUpBlockFlat"] * 3,
    }
    vae = {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "sample_size": 256,
        "block_out_channels": widths if small else [128, 256, 512, 512],
        "layers_per_block": 1 if small else 2,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    }
    clip = {"projection_dim": context, "hidden_act": "quick_gelu"}
    vision = {
        "hidden_size": 32 if small else 1024,
        "intermediate_size": 64 if small else 4096,
        "num_hidden_layers": 2 if small else 24,
        "num_attention_heads": 2 if small else 16,
        "patch_size": 14,
        "image_size": 224,
        **clip,
    }
    text = {
        "hidden_size": 32 if small else 768,
        "intermediate_size": 64 if small else 3072,
        "num_hidden_layers": 2 if small else 12,
        "num_attention_heads": 2 if small else 12,
        "vocab_size": 1024 if small else 49408,
        "max_position_embeddings": 77,
        "bos_token_id": 0,  # both as old configurations have them
        "eos_token_id": 2,
        **clip,
    }
    return {
        "image_unet": (lambda c: UNet2DConditionModel(**c), image_unet),
        "text_unet": (lambda c: UNetFlatConditionModel(**c), text_unet),
        "vae": (lambda c: AutoencoderKL(**c), vae),
        "image_encoder": (lambda c: CLIPVisionModelWithProjection(CLIPVisionConfig(**c)), vision),
        "text_encoder": (lambda c: CLIPTextModelWithProjection(CLIPTextConfig(**c)), text),
    }


def random_tensors(model: nn.Module, dtype: torch.dtype, seed: int) -> dict[str, torch.Tensor]:
    """A state dict for a model on the meta device, with numbers that keep activations in range."""
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for name, tensor in model.state_dict().items():
        if tensor.ndim < 2:
            # scales of norms are one, everything else that is flat is a bias
            scale = "norm" in name and name.endswith("weight")
            values = torch.ones(tensor.shape) if scale else torch.zeros(tensor.shape)
        else:
            values = torch.randn(tensor.shape, generator=generator) * (tensor.numel() / len(tensor)) ** -0.5
        tensors[name] = values.to(dtype)
    return tensors


def write_vdvae(folder: Path, small: bool = True) -> tuple[Path, dict[str, Any]]:
    """The pickled state dict as published, with the prefix that training on several GPUs left."""
    hparams = json.loads((ROOT / "config/recipes/vdvae_imagenet64.json").read_text())
    hparams = SMALL_VDVAE if small else hparams
    with torch.device("meta"):
        model = VDVAE(hparams)
    tensors = random_tensors(model, torch.float32, seed=0)
    path = folder / VDVAE_FILE
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, path)
    return path, hparams


def write_tokenizer(folder: Path, size: int) -> None:
    """Byte-level vocabulary with one merge, filled up to `size`, the ends of text last, as CLIP's is."""
    # the printable stand-ins of GPT-2's byte alphabet
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in shown] + [chr(256 + k) for k in range(256 - len(shown))]
    words = letters + [f"{letter}</w>" for letter in letters]
    words.append("ab</w>")  # of the one merge
    words += [f"unused{k}" for k in range(size - len(words) - 2)] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n", encoding="utf-8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(names | {"unk_token": "<|endoftext|>"}))


def write_versatile(folder: Path, small: bool = True, half: bool = False, safetensors: bool = False) -> Path:
    """Versatile Diffusion as its hub folder is laid out; with `half`, the files of the fp16 variant."""
    folder = folder / VERSATILE_FOLDER
    for seed, (part, (build, config)) in enumerate(configurations(small).items()):
        with torch.device("meta"):
            model = build(config)
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / "config.json").write_text(json.dumps(config, indent=2))
        if part.endswith("_encoder"):
            stem = "model" if safetensors else "pytorch_model"
        else:
            stem = "diffusion_pytorch_model"
        tensors = random_tensors(model, torch.float16 if half else torch.float32, seed)
        path = folder / part / f"{stem}{'.fp16' if half else ''}{'.safetensors' if safetensors else '.bin'}"
        (save_file if safetensors else torch.save)(tensors, path)
    write_tokenizer(folder / "tokenizer", configurations(small)["text_encoder"][1]["vocab_size"])
    processor = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3}
    settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    for name, content in (
        ("image_feature_extractor/preprocessor_config.json", processor),
        ("scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler", **settings}),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--safetensors", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(write_vdvae(arguments.folder, arguments.small)[0])
    print(write_versatile(arguments.folder, arguments.small, arguments.half, arguments.safetensors))
