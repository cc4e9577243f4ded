"""States of a CLIP text encoder, token by token: what guides Stable Diffusion and Stable Cascade."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from neural_recon.features.space import WEIGHTS, Space, averaged
from neural_recon.models.model_folders import settings_of


class ClipTextStates(Space):
    """The mean over an image's captions, token by token."""

    class Settings(Space.Settings):
        """States of a CLIP text encoder."""

        weights: str = Field(description=WEIGHTS)
        text_encoder: Literal["text_encoder", "text_encoder_2"] = Field(
            "text_encoder", description="The encoder's folder, within that of the weights."
        )
        layer: Literal["last", "unnormed", "penultimate"] = Field(
            "last",
            description="Whose states: of the last layer after the final norm (last) or before it "
            "(unnormed), or of the layer before that one (penultimate).",
        )
        mask: bool = Field(False, description="Whether the padding of a caption is hidden from its tokens.")

    title = "CLIP text states"
    part = "token"
    reads = "captions"

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models.loading import choose_device

        super().__init__(name, settings, seed)
        self.model = _load(settings, choose_device())

    def encode(self, batch: Sequence[Sequence[str]], image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """An image without captions gets the states of the empty caption; mark it as missing."""
        return self.by_token(averaged(batch, self.model.states))

    @classmethod
    def parts_read(cls, settings: Any) -> tuple[str, ...]:
        return settings.text_encoder, settings.text_encoder.replace("text_encoder", "tokenizer")

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models.loading import META

        _load(settings, META)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        found = settings_of(Path(settings.weights) / settings.text_encoder)
        return found.get("max_position_embeddings", 77) * found.get("hidden_size", 768), 0


def _load(settings: Any, device: Any) -> Any:
    from neural_recon.models.text_states import ClipTextStates

    return ClipTextStates.from_folder(
        Path(settings.weights), device, settings.text_encoder, settings.layer, settings.mask
    )
