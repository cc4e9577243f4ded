"""Image encoders in OpenCLIP's files (Ilharco et al. 2021) under transformers' names; needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_recon.core.errors import InputError
from neural_recon.models.model_folders import described_by, read_config

if TYPE_CHECKING:
    import torch

CONFIG = "open_clip_config.json"  # alongside the file
PREFIX = "visual."  # of the image encoder's tensors, in a file that has the text encoder's, too
LAYERS = {
    r"attn\.in_proj_(weight|bias)": r"self_attn.qkv.\1",
    r"attn\.out_proj\.": "self_attn.out_proj.",
    r"ln_1\.": "layer_norm1.",
    r"ln_2\.": "layer_norm2.",
    r"mlp\.c_fc\.": "mlp.fc1.",
    r"mlp\.c_proj\.": "mlp.fc2.",
}
NAMES = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}


def vision_config(file: Path) -> dict[str, Any]:
    """The configuration, as transformers has it, of the image encoder in an OpenCLIP file, from alongside it.

    Raises:
        InputError: it is missing, or describes no vision transformer.
    """
    folder, place = file.parent, file.parent / CONFIG
    described = read_config(folder, CONFIG).get("model_cfg")
    described = described if isinstance(described, dict) else {}
    vision = described.get("vision_cfg")
    if not isinstance(vision, dict) or not isinstance(vision.get("width"), int):
        raise InputError(
            f"{place}: expected the numbers of a vision transformer (model_cfg, vision_cfg, width), found "
            "none; get the file again."
        )
    with described_by(place):
        width = vision["width"]
        return {
            "hidden_size": width,
            "intermediate_size": int(width * vision.get("mlp_ratio", 4.0)),
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": width // vision.get("head_width", 64),
            "image_size": vision.get("image_size", 224),
            "patch_size": vision.get("patch_size", 16),
            "projection_dim": described["embed_dim"],
            "hidden_act": "quick_gelu" if described.get("quick_gelu") else "gelu",
        }


def renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An OpenCLIP image encoder's tensors under the names of transformers' CLIPVisionModelWithProjection.

    Query, key and value are by themselves there, and the projection is transposed. Names without a
    counterpart are kept, for the message of who loads them.
    """
    found: dict[str, torch.Tensor] = {}
    for whole, tensor in tensors.items():
        name = whole.removeprefix(PREFIX)
        layer = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)", name)
        if layer:
            rest = layer[2]
            for published, ours in LAYERS.items():
                rest = re.sub(f"^{published}", ours, rest)
            at = f"vision_model.encoder.layers.{layer[1]}.{rest}"
            if ".qkv." in at:
                for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                    found[at.replace(".qkv.", f".{letter}_proj.")] = third
            else:
                found[at] = tensor
        elif name == "proj":
            found["visual_projection.weight"] = tensor.T
        else:
            found[NAMES.get(name, whole)] = tensor
    return found
