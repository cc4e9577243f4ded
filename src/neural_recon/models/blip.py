"""Captions of pictures by BLIP (Li et al. 2022), as published in the layout of transformers.

Pictures are resized as a whole to the encoder's square, bicubic, and normalised as CLIP's, which is what the
published preprocessor says; the decoder writes without a prompt, by beam search, so that nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import BlipConfig, BlipForConditionalGeneration, PreTrainedTokenizerFast

from neural_recon.core.refusals import require_file
from neural_recon.models import checkpoints, model_folders
from neural_recon.models.device_memory import Tensors
from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD, configured, fill_encoder

SHORTEST, LONGEST = 5, 20  # tokens of a caption, as in BLIP's configuration for COCO
EMBEDDINGS = "text_decoder.bert.embeddings.word_embeddings.weight"
# parameters that the model has twice and files may have once
TWICE = {
    "text_decoder.cls.predictions.decoder.weight": EMBEDDINGS,
    "text_decoder.cls.predictions.decoder.bias": "text_decoder.cls.predictions.bias",
}


class Blip:
    """BLIP's captions of pictures.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
    """

    def __init__(self, model: Any, tokenizer: Any):
        self.model, self.tokenizer = model, tokenizer
        self.side = int(model.config.vision_config.image_size)

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device) -> Blip:
        """The model of a published folder; on "meta" its files are compared with what they must hold.

        Raises:
            InputError: a file is missing, or not what it must be.
        """
        with model_folders.described_by(folder):
            config = model_folders.read_config(folder)
            model: Any = checkpoints.empty(
                lambda: BlipForConditionalGeneration(configured(BlipConfig, config))
            )
        path = model_folders.find_weights(folder)
        model = fill_encoder(model, _doubled(checkpoints.read_tensors(path)), path, device)
        require_file(folder / model_folders.TOKENIZER, "BLIP's tokenizer", "found none.")
        with model_folders.described_by(folder):
            tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
                tokenizer_file=str(folder / model_folders.TOKENIZER)
            )
        return cls(model, tokenizer)

    @torch.no_grad()
    def captions(self, pictures: np.ndarray, beams: int, batch: int = 16) -> list[str]:
        """A caption of each picture, whatever is captioned alongside it.

        Args:
            pictures: uint8 (n, H, W, 3).
            beams: how many sentences are followed at once; 1: the likeliest word at a time.
        """
        found: list[str] = []
        for start in range(0, len(pictures), batch):
            inputs = self._prepared(pictures[start : start + batch]).to(self.model.device)
            written = self.model.generate(
                pixel_values=inputs, num_beams=beams, do_sample=False, min_length=SHORTEST, max_length=LONGEST
            )
            found += [self._text(row) for row in written.tolist()]
        return found

    def _prepared(self, pictures: np.ndarray) -> torch.Tensor:
        size = (self.side, self.side)
        resized = [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in pictures]
        values = np.stack([np.asarray(one) for one in resized]).astype(np.float32) / 255
        values = (values - np.array(CLIP_MEAN, np.float32)) / np.array(CLIP_STD, np.float32)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))

    def _text(self, tokens: Sequence[int]) -> str:
        text: Any = self.model.config.text_config
        marks = {text.bos_token_id, text.eos_token_id, text.sep_token_id, text.pad_token_id}
        said = self.tokenizer.decode([one for one in tokens if one not in marks], skip_special_tokens=True)
        return " ".join(said.split())


def _doubled(tensors: Tensors) -> Tensors:
    copies = {name: tensors[one] for name, one in TWICE.items() if one in tensors}
    return {**copies, **tensors}
