"""States of text encoders, token by token, as the generators take them that are guided by them alone.

CLIP's text models (Radford et al. 2021; OpenCLIP's are the same network) guide Stable Diffusion and Stable
Cascade, T5's encoder (Raffel et al. 2020) guides PixArt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from neural_recon.models import model_folders
from neural_recon.models.clip_images import over
from neural_recon.models.encoder_parts import (
    configured,
    load_clip_tokenizer,
    load_encoder,
    load_t5_tokenizer,
    whole,
)

Layer = Literal["last", "unnormed", "penultimate"]


class ClipTextStates:
    """The states of captions' tokens, padded or cut to the encoder's number of positions.

    Args:
        encoder: in evaluation mode.
        tokenizer: pads with what its folder says: the end of text, or "!".
        layer: "last", after the final norm (Stable Diffusion 1); "unnormed", the same before it (Stable
            Cascade); "penultimate", the layer before that, without a norm (Stable Diffusion XL).
        mask: whether padding is hidden from the other tokens (Stable Cascade), or read by them.
    """

    def __init__(
        self,
        encoder: CLIPTextModel | CLIPTextModelWithProjection,
        tokenizer: CLIPTokenizer,
        layer: Layer = "last",
        mask: bool = False,
    ):
        self.encoder, self.tokenizer, self.layer, self.mask = encoder, tokenizer, layer, mask
        self.tokens = whole("max_position_embeddings", encoder.config.max_position_embeddings)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        device: torch.device,
        part: str = "text_encoder",
        layer: Layer = "last",
        mask: bool = False,
        projected: bool = False,
    ) -> ClipTextStates:
        """The encoder of a folder's `part`, with the tokenizer of the same number.

        `projected`: with its projection, for `pooled`.

        Raises:
            InputError: a file is missing or not what it must be.
        """
        kind = CLIPTextModelWithProjection if projected else CLIPTextModel
        encoder = load_encoder(
            lambda config: kind(configured(CLIPTextConfig, config)),
            folder / part,
            device,
            renamed=dict if projected else _without_projection,
        )
        tokenizer = load_clip_tokenizer(folder / tokenizer_of(part), encoder.config.vocab_size)
        with model_folders.described_by(folder / part):
            return cls(encoder, tokenizer, layer, mask)

    @torch.no_grad()
    def states(self, captions: Sequence[str], batch: int = 64) -> np.ndarray:
        """The states (n, tokens, dim) of captions, float32."""
        return over(captions, batch, self._states)

    @torch.no_grad()
    def pooled(self, captions: Sequence[str], batch: int = 64) -> np.ndarray:
        """The projected embeddings (n, dim) of captions, float32; of an encoder with its projection."""
        return over(captions, batch, lambda part: self._output(part).text_embeds)

    def _output(self, captions: Sequence[str]) -> Any:
        text = self.tokenizer(
            list(captions), padding="max_length", max_length=self.tokens, truncation=True, return_tensors="pt"
        ).to(self.encoder.device)
        mask = text["attention_mask"] if self.mask else None
        return self.encoder(input_ids=text["input_ids"], attention_mask=mask, output_hidden_states=True)

    def _states(self, captions: Sequence[str]) -> torch.Tensor:
        output = self._output(captions)
        if self.layer == "last":
            return output.last_hidden_state
        return output.hidden_states[{"unnormed": -1, "penultimate": -2}[self.layer]]


def sdxl_texts(folder: Path, device: torch.device, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Captions as Stable Diffusion XL takes them, by the two encoders of its folder.

    Returns:
        Both encoders' states before their last layer, (n, tokens, 2048) of the published model, and the
        second one's embedding, (n, 1280).

    Raises:
        InputError: a file is missing or not what it must be.
    """
    first = ClipTextStates.from_folder(folder, device, layer="penultimate")
    second = ClipTextStates.from_folder(folder, device, "text_encoder_2", "penultimate", projected=True)
    text = np.concatenate([first.states(captions), second.states(captions)], axis=2)
    return text, second.pooled(captions)


class T5States:
    """The states of captions' first tokens; a caption that is shorter repeats the state of its end.

    So no position holds the state of padding, which the generator never attends to, and none has to be
    masked: a mean over captions of several lengths can be given to it whole.

    Args:
        encoder: in evaluation mode.
        tokenizer: its own.
        tokens: how many; longer captions are cut, and end there.
    """

    def __init__(self, encoder: T5EncoderModel, tokenizer: T5Tokenizer, tokens: int):
        self.encoder, self.tokenizer, self.tokens = encoder, tokenizer, tokens

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device, tokens: int) -> T5States:
        """The folder's `text_encoder` and `tokenizer`; on a GPU in bfloat16, as float16 overflows in T5.

        Raises:
            InputError: a file is missing or not what it must be.
        """
        encoder = load_encoder(
            lambda config: T5EncoderModel(configured(T5Config, config)),
            folder / "text_encoder",
            device,
            torch.bfloat16 if device.type == "cuda" else torch.float32,
            _tied,
        )
        tokenizer = load_t5_tokenizer(folder / "tokenizer", encoder.config.vocab_size)
        return cls(encoder, tokenizer, tokens)

    @torch.no_grad()
    def states(self, captions: Sequence[str], batch: int = 32) -> np.ndarray:
        """The states (n, tokens, dim) of captions in small letters, float32."""
        return over(captions, batch, self._states)

    def _states(self, captions: Sequence[str]) -> torch.Tensor:
        text = self.tokenizer(
            [caption.lower().strip() for caption in captions],
            padding="max_length",
            max_length=self.tokens,
            truncation=True,
            return_tensors="pt",
        ).to(self.encoder.device)
        mask = text["attention_mask"]
        states = self.encoder(input_ids=text["input_ids"], attention_mask=mask).last_hidden_state
        place = torch.arange(self.tokens, device=mask.device).expand_as(mask)
        return states.gather(1, place.minimum(mask.sum(1, keepdim=True) - 1)[..., None].expand_as(states))


def tokenizer_of(part: str) -> str:
    """The tokenizer's folder of an encoder's: `tokenizer_2` of `text_encoder_2`."""
    return part.replace("text_encoder", "tokenizer")


def _without_projection(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of a text model with or without a projection, the model: states are not projected."""
    return {
        name.removeprefix("text_model."): tensor
        for name, tensor in tensors.items()
        if name != "text_projection.weight"
    }


def _tied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Both names of the table of tokens, of which files may have only one."""
    names = ("shared.weight", "encoder.embed_tokens.weight")
    table = [tensors[name] for name in names if name in tensors][:1] * 2
    return {**tensors, **dict(zip(names, table, strict=False))}
