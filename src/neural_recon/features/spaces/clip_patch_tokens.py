"""Patch tokens of a CLIP image encoder after its last norm, without the class token (MindEye2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from neural_recon.features.space import blocks
from neural_recon.features.spaces.clip_image_embedding import ClipImageEmbedding
from neural_recon.models import open_clip
from neural_recon.models.model_folders import settings_of
from neural_recon.models.weights import WEIGHTS


class ClipPatchTokens(ClipImageEmbedding):
    """The patches row by row: 256 tokens of 1,664 values of ViT-bigG, which guide MindEye2's painter."""

    class Settings(ClipImageEmbedding.Settings):
        """Patch tokens of a CLIP image encoder."""

        image_encoder: str = Field(
            "image_encoder",
            description="The encoder within the weights' folder: a folder, or OpenCLIP's file, which has "
            "open_clip_config.json alongside it.",
        )
        preparation: Literal["half_range", "clip"] = Field(
            "half_range",
            description="Of pictures: half_range maps [0, 1] to [0.5, 1] before CLIP's normalisation, as "
            "MindEye2 was released and its painter trained; clip is CLIP's own.",
        )

    title = "CLIP patch tokens"
    part = "patch"
    summary: ClassVar = None

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return self.by_token(np.concatenate([self._tokens(batch[part]) for part in blocks(len(batch))]))

    def _tokens(self, pictures: np.ndarray) -> np.ndarray:
        import torch

        from neural_recon.models.clip_images import over

        def prepared(part: np.ndarray) -> torch.Tensor:
            if self.settings.preparation == "clip":
                return self.clip.pixels(part)
            images = torch.from_numpy(np.asarray(part)).permute(0, 3, 1, 2).float() / 255
            return self.clip.half_range_pixels(images)

        return over(pictures, 32, lambda part: self.clip.states_of(prepared(part), "normed")[:, 1:])

    @classmethod
    def parts_read(cls, settings: Any) -> tuple[str, ...]:
        encoder = Path(settings.image_encoder)
        if encoder.suffix in WEIGHTS:
            return str(encoder), str(encoder.with_name(open_clip.CONFIG))
        return super().parts_read(settings)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        encoder = Path(settings.weights, settings.image_encoder)
        if encoder.suffix not in WEIGHTS:
            found = settings_of(encoder)
        elif (encoder.parent / open_clip.CONFIG).is_file():
            found = open_clip.vision_config(encoder)
        else:
            found = {}
        tokens = (found.get("image_size", 224) // found.get("patch_size", 14)) ** 2
        return tokens * found.get("hidden_size", 1664), 0
