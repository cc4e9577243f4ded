"""MindEye2's painter, tiny, as the published file is written, and what refines its pictures."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import GitConfig, GitForCausalLM

from helpers import published_layouts
from helpers import reference_generators as runs
from neural_recon.models import sgm_files
from neural_recon.models.captions import Converter

HEAD = 16  # values per head; published: sgm_files.HEAD


def by_rule(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """A parameter as the reference's README draws it."""
    values = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        values = values / np.float32(np.sqrt(np.prod(shape[1:])))
    elif name.endswith("bias"):
        values = np.float32(0.1) * values
    else:
        values = 1 + np.float32(0.1) * values
    return torch.from_numpy(values.astype(np.float32))


def tensors(arrays: Mapping[str, np.ndarray], part: str) -> dict[str, torch.Tensor]:
    """The state dict of the part "unet" or "vae", checked against what the reference says of it."""
    seed, found = int(arrays[f"w.{part}.seed"]), {}
    about = (arrays[f"w.{part}.{key}"] for key in ("names", "shapes", "first", "sum"))
    for k, (name, shape, first, total) in enumerate(zip(*about, strict=True)):
        sides = tuple(int(side) for side in str(shape).strip("[]").split(","))
        found[str(name)] = by_rule(str(name), sides, seed + k)
        assert found[str(name)].flatten()[0].item() == first
        np.testing.assert_allclose(found[str(name)].double().sum().item(), total, atol=1e-6)
    return found


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """A checkpoint of Lightning with the painter, and with an encoder that is not read."""
    state = {sgm_files.UNET + name: tensor for name, tensor in tensors(arrays, "unet").items()}
    state |= {sgm_files.AUTOENCODER + name: tensor for name, tensor in tensors(arrays, "vae").items()}
    state["conditioner.embedders.0.model.logit_scale"] = torch.zeros(())
    torch.save({"epoch": 0, "global_step": 110000, "state_dict": state}, path)
    return path


TOKENS, WIDTH = 5, 12  # of what guides the painter
GIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 40,
    "max_position_embeddings": 40,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    },
}


def write_refiner(folder: Path) -> Path:
    """A small Stable Diffusion XL in the layout of diffusers, for pictures of 32 x 32."""
    kinds = {
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    }
    unet = UNet2DConditionModel(
        **kinds,
        sample_size=16,
        block_out_channels=[32, 64],
        layers_per_block=1,
        attention_head_dim=4,
        cross_attention_dim=48,  # of both text encoders
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )
    runs.write_part(folder / "unet", unet, runs.named_weights(unet, "refiner"))
    published_layouts.write_autoencoder(folder / "vae")
    published_layouts.write_text_encoder(folder, projected=False)
    published_layouts.write_text_encoder(folder, "text_encoder_2", pad="!")
    return folder


def write_captioner(folder: Path) -> GitForCausalLM:
    """A small GIT of 40 words, whole; gives the model."""
    torch.manual_seed(0)
    model = GitForCausalLM(GitConfig(**GIT)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    published_layouts.write_tensors(folder, {k: v.contiguous() for k, v in model.state_dict().items()})
    (folder / "config.json").write_text(json.dumps({**GIT, "model_type": "git"}))
    marks = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    words = [*marks, *(f"word{k}" for k in range(GIT["vocab_size"] - len(marks)))]
    about = {
        "version": "1.0",
        "added_tokens": [
            {"id": k, "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for k, mark in enumerate(marks)
        ],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {w: k for k, w in enumerate(words)}, "unk_token": "[UNK]"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(about))
    return model


def write_converter(path: Path, tokens: int = TOKENS, width: int = WIDTH) -> Path:
    """A converter to that captioner's states, in the published layout."""
    torch.manual_seed(1)
    converter = Converter((tokens, 5), (width, GIT["vision_config"]["hidden_size"]))
    torch.save({"epoch": 8, "model_state_dict": converter.state_dict()}, path)
    return path


def write_painter(path: Path, width: int) -> Path:
    """Another small painter, of the published number of values per head, under tokens of `width` values."""
    unet = UNet2DConditionModel(
        block_out_channels=[64, 64],
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
        layers_per_block=1,
        attention_head_dim=[1, 1],
        cross_attention_dim=width,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32,
    )
    vae = AutoencoderKL(
        block_out_channels=[32, 32],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
    )
    state = {
        sgm_files.UNET + _published(name, 1): tensor
        for name, tensor in runs.named_weights(unet, "painter").items()
    }
    for name, tensor in runs.named_weights(vae, "painter").items():
        linear = ".attentions." in name and tensor.ndim == 2
        state[sgm_files.AUTOENCODER + _published_autoencoder(name, 1)] = (
            tensor[:, :, None, None] if linear else tensor
        )
    torch.save(
        {"epoch": 0, "state_dict": {name: tensor.contiguous() for name, tensor in state.items()}}, path
    )
    return path


def _published(name: str, layers: int) -> str:
    """The name in the published layout of a UNet's parameter in diffusers."""
    for published, ours in sgm_files.OUTSIDE.items():
        if name.startswith(f"{ours}."):
            return published + name.removeprefix(ours)
    for published, ours in sgm_files.RESNET.items():
        name = re.sub(rf"(resnets\.\d+)\.{ours}\.", rf"\1.{published}.", name)
    for number, ours in enumerate(sgm_files.MIDDLE):
        name = name.replace(f"mid_block.{ours}.", f"middle_block.{number}.")
    found = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+?)\.(\d+)\.(.+)", name)
    if not found:
        return name
    side, level, kind, place, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    first = level * (layers + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"output_blocks.{first + layers}.2.{rest}"
    sub = 0 if kind == "resnets" else 1
    return f"{'input' if side == 'down' else 'output'}_blocks.{first + place + (side == 'down')}.{sub}.{rest}"


def _published_autoencoder(name: str, last: int) -> str:
    """The same of its autoencoder's."""
    for published, ours in sgm_files.AUTOENCODER_PARTS.items():
        name = re.sub(rf"^(encoder|decoder)\.{re.escape(ours)}\.", rf"\1.{published}.", name)
    name = re.sub(r"\.up_blocks\.(\d+)\.", lambda found: f".up.{last - int(found[1])}.", name)
    name = name.replace(".down_blocks.", ".down.").replace(".resnets.", ".block.")
    for side in ("down", "up"):
        name = name.replace(f".{side}samplers.0.conv.", f".{side}sample.conv.")
    return name.replace(".conv_shortcut.", ".nin_shortcut.")
