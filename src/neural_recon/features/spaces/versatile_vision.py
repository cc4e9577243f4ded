"""Versatile Diffusion's vision contexts: all CLIP vision tokens of a picture, projected (Xu et al. 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from neural_recon.features.space import WEIGHTS, Space, blocks
from neural_recon.models.model_folders import settings_of


class VersatileVision(Space):
    """The class token, then the patches row by row."""

    class Settings(Space.Settings):
        """CLIP vision tokens, as Versatile Diffusion is guided by them."""

        weights: str = Field(description=WEIGHTS)

    title = "CLIP vision"
    part = "token (1: class)"
    summary = 1
    grid = True
    folder_parts = ("image_encoder", "image_processor")

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models.loading import load_clip

        super().__init__(name, settings, seed)
        self.clip = load_clip(settings.weights, text=False)

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return self.by_token(np.concatenate([self.clip.vision(batch[part]) for part in blocks(len(batch))]))

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models.loading import META, load_clip

        load_clip(settings.weights, META, text=False)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        found = settings_of(Path(settings.weights) / "image_encoder")
        tokens = (found.get("image_size", 224) // found.get("patch_size", 14)) ** 2 + 1
        return tokens * found.get("projection_dim", 768), 0
