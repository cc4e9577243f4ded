"""Versatile Diffusion from pure noise: all steps, under both guides, without a base image."""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from neural_recon.generation.generators.versatile_diffusion import DualGuided


class GuidesOnly(DualGuided):
    """The second stage of Brain-Diffuser alone."""

    class Settings(DualGuided.Settings):
        """Versatile Diffusion from noise."""

        base: None = Field(None, description="Nothing: it starts from noise.")

    def paint(
        self,
        base: np.ndarray | None,  # noqa: ARG002
        guides: Mapping[str, np.ndarray],
        image_ids: np.ndarray,
        seed: int,
        draw: int = 0,
    ) -> np.ndarray:
        return super().paint(None, guides, image_ids, seed, draw)
