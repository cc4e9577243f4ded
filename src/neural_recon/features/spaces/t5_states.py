"""States of T5's encoder, token by token: what guides PixArt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from neural_recon.features.space import WEIGHTS, Space, averaged
from neural_recon.models.model_folders import settings_of


class T5States(Space):
    """The mean over an image's captions, token by token.

    A predicted mean has no length of its own: captions that are shorter than `tokens` repeat the state of
    their end, so that the mask of a painting is all ones.
    """

    class Settings(Space.Settings):
        """States of T5's encoder."""

        weights: str = Field(description=WEIGHTS)
        tokens: Annotated[int, Field(ge=1, le=300)] = Field(
            20, description="How many tokens: longer captions are cut, shorter ones repeat their end."
        )

    title = "T5 text states"
    part = "token"
    reads = "captions"
    folder_parts = ("text_encoder", "tokenizer")

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models.loading import choose_device
        from neural_recon.models.text_states import T5States

        super().__init__(name, settings, seed)
        self.model = T5States.from_folder(Path(settings.weights), choose_device(), settings.tokens)

    def encode(self, batch: Sequence[Sequence[str]], image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """An image without captions gets the states of the empty caption; mark it as missing."""
        return self.by_token(averaged(batch, self.model.states))

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models.loading import META
        from neural_recon.models.text_states import T5States

        T5States.from_folder(Path(settings.weights), META, settings.tokens)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        found = settings_of(Path(settings.weights) / "text_encoder")
        return settings.tokens * found.get("d_model", 4096), 0
