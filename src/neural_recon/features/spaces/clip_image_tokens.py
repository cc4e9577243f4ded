"""States of a CLIP image encoder, token by token: a space for retrieval, or for larger prompt adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from neural_recon.features.space import blocks
from neural_recon.features.spaces.clip_image_embedding import ClipImageEmbedding
from neural_recon.models.model_folders import settings_of


class ClipImageTokens(ClipImageEmbedding):
    """The class token, then the patches row by row, as the encoder's blocks leave them."""

    class Settings(ClipImageEmbedding.Settings):
        """States of a CLIP image encoder."""

        layer: Literal["last", "penultimate"] = Field(
            "last", description="Whose states: those of the last layer, or of the one before it."
        )
        unit_length: bool = Field(False, description="Whether each token is divided by its length.")

    title = "CLIP image tokens"
    part = "token (1: class)"
    grid = True

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        how = {"layer": self.settings.layer, "unit_length": self.settings.unit_length}
        return self.by_token(
            np.concatenate([self.clip.states(batch[part], **how) for part in blocks(len(batch))])
        )

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        found = settings_of(Path(settings.weights) / settings.image_encoder)
        tokens = (found.get("image_size", 224) // found.get("patch_size", 14)) ** 2 + 1
        return tokens * found.get("hidden_size", 1024), 0
