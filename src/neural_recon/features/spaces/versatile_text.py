"""Versatile Diffusion's text contexts: all CLIP text tokens of a caption, projected (Xu et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from neural_recon.features.space import WEIGHTS, Space, caption_means
from neural_recon.models.model_folders import settings_of


class VersatileText(Space):
    """The mean over an image's captions, token by token."""

    class Settings(Space.Settings):
        """CLIP text tokens, as Versatile Diffusion is guided by them."""

        weights: str = Field(description=WEIGHTS)

    title = "CLIP text"
    part = "token"
    reads = "captions"
    folder_parts = ("text_encoder", "tokenizer")

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models.loading import load_clip

        super().__init__(name, settings, seed)
        self.clip = load_clip(settings.weights)

    def encode(self, batch: Sequence[Sequence[str]], image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """An image without captions gets the context of the empty caption; mark it as missing."""
        return self.by_token(caption_means(batch, self.clip.text))

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models.loading import META, load_clip

        load_clip(settings.weights, META)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        found = settings_of(Path(settings.weights) / "text_encoder")
        return found.get("max_position_embeddings", 77) * found.get("projection_dim", 768), 0
