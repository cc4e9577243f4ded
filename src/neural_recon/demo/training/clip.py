"""The demo's CLIP: transformers' two encoders, small, trained by contrast on pictures and captions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from neural_recon.demo.training.loop import Schedule, autocast, fit
from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD

SCHEDULE = Schedule(steps=1000, learning_rate=1e-3, batch=256, weight_decay=0.01)
WORDS = 1000  # size of the vocabulary, letters included
TOKENS = 32
VISION: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 64,
    "patch_size": 8,
    "projection_dim": 96,
}
TEXT: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": TOKENS,
    "projection_dim": 96,
}


def tokenizer(texts: list[list[str]], folder: Path) -> CLIPTokenizer:
    """The tokenizer in `folder`, trained on the captions at the first call.

    It is kept because training it twice can number the tokens differently (ties are broken at random).
    """
    if not (folder / "tokenizer_config.json").exists():
        _train_tokenizer(texts, folder)
    return CLIPTokenizer.from_pretrained(folder)


def _train_tokenizer(texts: list[list[str]], folder: Path) -> None:
    """A byte-pair tokenizer in CLIP's format (`vocab.json`, `merges.txt`), so that any text has tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS - 2,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for five in texts for text in five], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    # every letter must also stand alone at the end of a word
    for letter in pre_tokenizers.ByteLevel.alphabet():
        vocabulary.setdefault(f"{letter}</w>", len(vocabulary))
    vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"] = len(vocabulary), len(vocabulary) + 1
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    built = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=TOKENS)
    built.save_pretrained(folder)


class Pair(torch.nn.Module):
    """Both encoders and the temperature of the contrast (Radford et al. 2021)."""

    def __init__(self, tokenizer: CLIPTokenizer):
        super().__init__()
        size: dict[str, Any] = {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        self.vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION))
        self.text = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, **size))
        # for heads this small, plain products train more than twice as fast in bfloat16 as the fused kernel
        self.vision.set_attn_implementation("eager")
        self.text.set_attn_implementation("eager")
        self.log_temperature = torch.nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))

    def forward(self, pixels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Similarities (B, B) of pictures (rows) and texts (columns)."""
        images = torch.nn.functional.normalize(self.vision(pixels).image_embeds.float(), dim=-1)
        texts = torch.nn.functional.normalize(self.text(tokens).text_embeds.float(), dim=-1)
        return self.log_temperature.exp().clamp(max=100) * images @ texts.T


def to_pixels(pictures: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (B, 64, 64, 3) -> CLIP's normalised input (B, 3, 64, 64)."""
    x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    return (x - mean) / std


def train(
    pictures: np.ndarray, texts: list[list[str]], tokenizer: CLIPTokenizer, folder: Path, device: torch.device
) -> Pair:
    """Train both encoders; a batch pairs each picture with one of its captions."""
    model = Pair(tokenizer).to(device)
    flat = tokenizer(
        [text for five in texts for text in five],
        padding="max_length",
        truncation=True,
        max_length=TOKENS,
        return_tensors="np",
    )["input_ids"].reshape(len(texts), 5, TOKENS)

    def loss(_step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = rng.integers(len(pictures), size=SCHEDULE.batch)
        tokens = torch.from_numpy(flat[rows, rng.integers(5, size=len(rows))]).to(device)
        with autocast(device):
            similarity = model(to_pixels(pictures[rows], device), tokens).float()
        truth = torch.arange(len(rows), device=device)
        contrast = torch.nn.functional.cross_entropy
        total = (contrast(similarity, truth) + contrast(similarity.T, truth)) / 2
        return {"loss": total, "top1": (similarity.argmax(1) == truth).float().mean()}

    return fit("clip", model, loss, SCHEDULE, folder)
