"""Checkpoints with random weights in the layouts of the published ones, full-size or small.

    python tests/helpers/published_layouts.py FOLDER [--small] [--half] [--safetensors]

writes FOLDER/imagenet64-iter-1600000-model-ema.th and FOLDER/versatile-diffusion, named and shaped as the
downloads are: for trying loading, memory and speed without them. Full size takes 12.8 GB, with --half 6.6 GB.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neural_recon  # noqa: F401  (before diffusers, as in conftest)  # isort: skip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.pipelines.deprecated.versatile_diffusion.modeling_text_unet import UNetFlatConditionModel
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceTrainer
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    T5Config,
    T5EncoderModel,
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


def write_tokenizer(folder: Path, size: int, pad: str = "<|endoftext|>") -> None:
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
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": pad}
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


def write_part(
    folder: Path, model: nn.Module, config: dict[str, Any], stem: str = "model", seed: int = 0, files: int = 1
) -> None:
    """One part of a folder on the hub, as safetensors; in several files with their index.

    Args:
        folder: of the part.
        model: on the meta device.
        config: its `config.json`.
        stem: of the names of files.
        seed: of its weights, none of which are zero.
        files: how many.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, values in random_tensors(model, torch.float32, seed).items():
        tensors[name] = values + 0.1 * torch.randn(values.shape, generator=generator)
    if "shared.weight" in tensors:  # files have a table that two parts share once
        del tensors["encoder.embed_tokens.weight"]
    write_tensors(folder, tensors, stem, files)
    (folder / "config.json").write_text(json.dumps(config))


def write_tensors(
    folder: Path, tensors: dict[str, torch.Tensor], stem: str = "model", files: int = 1
) -> None:
    """Weights as safetensors in one file, or in several with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    if files == 1:
        save_file(tensors, folder / f"{stem}.safetensors")
        return
    places = {name: f"{stem}-{k % files + 1:05}-of-{files:05}.safetensors" for k, name in enumerate(tensors)}
    for place in set(places.values()):
        save_file({name: tensors[name] for name in tensors if places[name] == place}, folder / place)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


def write_text_encoder(
    folder: Path, part: str = "text_encoder", projected: bool = True, pad: str = ""
) -> None:
    """A small CLIP text encoder with 12 positions and its tokenizer, named as in published folders.

    Args:
        folder: of the model.
        part: of the encoder; the tokenizer has the same number.
        projected: with a projection, as Stable Cascade's; without, as Stable Diffusion's.
        pad: what its tokenizer pads with, if not with the end of text.
    """
    config = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "vocab_size": 600,
        "max_position_embeddings": 12,
        "projection_dim": 16,
        "bos_token_id": 598,
        "eos_token_id": 599,
        "hidden_act": "quick_gelu",
    }
    with torch.device("meta"):
        model = CLIPTextModelWithProjection(CLIPTextConfig(**config))
    write_part(folder / part, model, config, seed=3)
    if not projected:
        path = folder / part / "model.safetensors"
        tensors = load_file(path)
        del tensors["text_projection.weight"]
        save_file(tensors, path)
    write_tokenizer(folder / part.replace("text_encoder", "tokenizer"), 600, pad or "<|endoftext|>")


def write_image_encoder(folder: Path) -> None:
    """A small CLIP image encoder of 16 x 16 pixels in four patches; no processor alongside it."""
    config = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
        "projection_dim": 20,
    }
    with torch.device("meta"):
        model = CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
    write_part(folder, model, config, seed=4)


def write_autoencoder(folder: Path) -> None:
    """A small AutoencoderKL that halves pictures once, with the names of attention that old files have."""
    config = {
        "block_out_channels": [8, 16],
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
        "latent_channels": 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "scaling_factor": 0.3,
    }
    with torch.device("meta"):
        model = AutoencoderKL(**config)
    write_part(folder, model, {**config, "_class_name": "AutoencoderKL"}, "diffusion_pytorch_model", seed=5)
    path = folder / "diffusion_pytorch_model.safetensors"
    names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    renamed = {}
    for name, tensor in load_file(path).items():
        for new, old in names.items():
            name = name.replace(new, old)
        renamed[name] = tensor
    save_file(renamed, path)


T5_TEXTS = ["a dog", "two cats", "a cab in a bad bed", "the quick brown fox jumps over the lazy dog"]


def write_t5(folder: Path, files: int = 2) -> None:
    """A small T5 encoder in several files, with its `spiece.model`, as PixArt's folder has them."""
    config = {
        "d_model": 16,
        "d_ff": 32,
        "d_kv": 8,
        "num_heads": 2,
        "num_layers": 2,
        "vocab_size": 160,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    }
    with torch.device("meta"):
        model = T5EncoderModel(T5Config(**config))
    write_part(folder / "text_encoder", model, config, seed=6, files=files)
    (folder / "tokenizer").mkdir(exist_ok=True)
    content = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(T5_TEXTS * 20), model_writer=content, vocab_size=50, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, num_threads=1, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer/spiece.model").write_bytes(content.getvalue())


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
