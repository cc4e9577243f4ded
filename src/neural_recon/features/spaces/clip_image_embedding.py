"""CLIP's embedding of pictures, not normalised: what guides unCLIP models and image-prompt adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from neural_recon.features.space import WEIGHTS, Space, blocks
from neural_recon.models.model_folders import settings_of


class ClipImageEmbedding(Space):
    """One embedding per picture: 768 (ViT-L), 1,024 (ViT-H) or 1,280 values (ViT-bigG)."""

    class Settings(Space.Settings):
        """CLIP's embedding of pictures."""

        weights: str = Field(description=WEIGHTS)
        image_encoder: str = Field(
            "image_encoder", description="The encoder's folder, within that of the weights."
        )

    title = "CLIP image embedding"
    part = "embedding"
    summary: ClassVar[int | None] = 1

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models.clip_images import ClipImages
        from neural_recon.models.loading import choose_device

        super().__init__(name, settings, seed)
        self.clip = ClipImages.from_folder(Path(settings.weights) / settings.image_encoder, choose_device())

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        values = np.concatenate([self.clip.embedding(batch[part]) for part in blocks(len(batch))])
        self.parts = [values.shape[1]]
        return values

    @classmethod
    def parts_read(cls, settings: Any) -> tuple[str, ...]:
        return settings.image_encoder, str(Path(settings.image_encoder).with_name("image_processor"))

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models.clip_images import ClipImages
        from neural_recon.models.loading import META

        ClipImages.from_folder(Path(settings.weights) / settings.image_encoder, META)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        return settings_of(Path(settings.weights) / settings.image_encoder).get("projection_dim", 768), 0
