"""Captions read from CLIP's patch tokens, as MindEye2 does (Scotti et al. 2024): by the decoder of GIT.

A linear converter makes GIT's own image states (CLIP ViT-L/14's, 257 x 1,024) of ViT-bigG's tokens (256 x
1,664), and the text decoder of GIT (Wang et al. 2022) describes these. Its image encoder is not loaded.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import GitConfig, GitForCausalLM, PreTrainedTokenizerFast

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import require_file
from neural_recon.models import checkpoints, model_folders
from neural_recon.models.encoder_parts import configured, fill_encoder

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"  # of the captioner's folder
LONGEST = 20  # tokens of a caption, as published
ENCODER = "git.image_encoder."


class Converter(nn.Module):
    """Tokens (n, T, C) to others (n, U, D): one linear layer over the tokens, one over their values."""

    def __init__(self, tokens: tuple[int, int], values: tuple[int, int]):
        super().__init__()
        self.linear1 = nn.Linear(*tokens)
        self.linear2 = nn.Linear(*values)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.linear2(self.linear1(tokens.mT).mT)


class Captions:
    """Captions of predicted tokens.

    Args:
        converter: in evaluation mode.
        decoder: GIT, of which the image encoder is taken away, on the converter's device.
        tokenizer: its own.
    """

    def __init__(self, converter: Converter, decoder: Any, tokenizer: Any):
        self.converter, self.decoder, self.tokenizer = converter, decoder, tokenizer
        decoder.git.image_encoder = _Given()

    @classmethod
    def from_files(cls, captioner: Path, converter: Path, device: torch.device) -> Captions:
        """Those of GIT's folder and the converter's file.

        Raises:
            InputError: a file is missing or not what it must be, or the two do not belong together.
        """
        with model_folders.described_by(captioner):
            config = model_folders.read_config(captioner)
            model: Any = checkpoints.empty(lambda: GitForCausalLM(configured(GitConfig, config)))
        model.git.image_encoder = nn.Identity()
        weights = captioner / WEIGHTS
        tensors = checkpoints.read_tensors(weights)
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(ENCODER)}
        decoder = fill_encoder(model, kept, weights, device)
        require_file(captioner / TOKENIZER, "the captioner's tokenizer", "found none.")
        with model_folders.described_by(captioner):
            tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
                tokenizer_file=str(captioner / TOKENIZER)
            )
        loaded = load_converter(converter, device)
        vision: Any = decoder.config.vision_config
        wanted = (vision.image_size // vision.patch_size) ** 2 + 1, vision.hidden_size
        found = loaded.linear1.out_features, loaded.linear2.out_features
        if found != wanted:
            raise InputError(
                f"{converter}: expected a converter to the captioner's {wanted[0]} x {wanted[1]} image "
                f"states, found one to {found[0]} x {found[1]}; name the converter of that captioner."
            )
        return cls(loaded, decoder, tokenizer)

    @torch.no_grad()
    def of(self, tokens: np.ndarray, batch: int = 16) -> list[str]:
        """The captions of tokens (n, T * C) or (n, T, C), the likeliest word at a time.

        Raises:
            InputError: they are not as many as the converter takes.
        """
        shape = self.converter.linear1.in_features, self.converter.linear2.in_features
        flat = np.asarray(tokens, np.float32).reshape(len(tokens), -1)
        if flat.shape[1] != shape[0] * shape[1]:
            raise InputError(
                f"captions: expected {shape[0]} x {shape[1]} predicted tokens, as the converter takes, found "
                f"{flat.shape[1]} values; name the converter of these tokens, or none."
            )
        captions: list[str] = []
        for first in range(0, len(flat), batch):
            part = torch.from_numpy(flat[first : first + batch]).view(-1, *shape).to(self.decoder.device)
            # as pictures of one channel, which is what the decoder takes
            written = self.decoder.generate(
                pixel_values=self.converter(part)[:, None], max_length=LONGEST, do_sample=False
            )
            captions += self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return [caption.strip() for caption in captions]


class _Given(nn.Module):
    """In place of an image encoder: its states are what it is given."""

    def forward(self, states: torch.Tensor, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=states[:, 0])


def load_converter(path: Path, device: torch.device) -> Converter:
    """The converter of a file, in evaluation mode; its size is that of its tensors.

    Raises:
        InputError: the file is missing, or holds no such layers.
    """
    tensors = checkpoints.read_tensors(path, within="model_state_dict")
    sizes = []
    for name in ("linear1.weight", "linear2.weight"):
        if name not in tensors or tensors[name].ndim != 2:
            raise InputError(
                f"{path}: expected a converter of tokens (linear1.weight, linear2.weight), found "
                f"{', '.join(list(tensors)[:3]) or 'nothing'}; name its file."
            )
        sizes.append((tensors[name].shape[1], tensors[name].shape[0]))
    converter = checkpoints.empty(lambda: Converter(*sizes))
    checkpoints.load_tensors(converter, tensors, path, device=device)
    return converter.eval()
