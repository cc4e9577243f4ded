"""BLIP, tiny and with random weights, as it is published."""

import json
from pathlib import Path

import torch
from transformers import BlipConfig, BlipForConditionalGeneration

from helpers import published_layouts
from neural_recon.models.blip import TWICE

SIDE, WORDS = 32, 60
MARKS = {"bos_token_id": 58, "sep_token_id": 3, "pad_token_id": 0, "eos_token_id": 2}


def model() -> BlipForConditionalGeneration:
    """The model, whose captions differ between pictures."""
    text = {
        "vocab_size": WORDS, "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32, **MARKS,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": SIDE, "patch_size": 16,
    }  # fmt: skip
    torch.manual_seed(0)
    found = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter += 0.5 * torch.randn(parameter.shape)
    return found


def write(folder: Path, blip: BlipForConditionalGeneration) -> Path:
    """Its folder: tied parameters once, positions of an older version alongside them."""
    tensors = {name: value for name, value in blip.state_dict().items() if name not in TWICE}
    tensors["text_decoder.bert.embeddings.position_ids"] = torch.arange(32)[None]
    published_layouts.write_tensors(folder, {name: value.contiguous() for name, value in tensors.items()})
    (folder / "config.json").write_text(json.dumps(blip.config.to_dict()))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"word{k}" for k in range(4, WORDS - 2))]
    about = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {w: k for k, w in enumerate(words)}, "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(about))
    return folder
