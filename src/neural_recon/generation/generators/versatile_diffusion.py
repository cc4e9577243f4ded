"""Versatile Diffusion from the base image, guided by vision and text (Ozcelik & VanRullen 2023)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from neural_recon.generation.generator import Generator
from neural_recon.models.model_folders import picture_size, read_config

if TYPE_CHECKING:
    from neural_recon.models.versatile import DualGuidedPipeline


class DualGuided(Generator):
    """The published model (Xu et al. 2023) under two guides, from a base image or from noise."""

    class Settings(Generator.Settings):
        """Versatile Diffusion with both guides."""

        roles: ClassVar[tuple[str, ...]] = ("vision", "text")

        weights: str = Field(
            description="The model: a name in config/weights.yaml, or a folder in the diffusers layout."
        )
        vision: str = Field(description="The feature space that guides it as CLIP's of the picture.")
        text: str = Field(description="The feature space that guides it as CLIP's of the captions.")
        mixing: Annotated[float, Field(ge=0, le=1)] = Field(
            0.4, description="Weight of text; vision has the rest."
        )
        guidance_scale: Annotated[float, Field(ge=1)] = Field(7.5, description="Classifier-free guidance.")
        steps: Annotated[int, Field(ge=1, le=1000)] = Field(50, description="DDIM steps at strength 1.")

    settings: Settings
    draws = True
    parts = ("image_unet", "text_unet", "vae", "scheduler")
    encoders = ("image_encoder", "image_processor", "text_encoder", "tokenizer")

    @functools.cached_property
    def pipeline(self) -> DualGuidedPipeline:
        """The model."""
        import torch

        from neural_recon.models.loading import load_generator

        how = self.settings
        where = torch.device(self.device) if self.device else None
        return load_generator(how.weights, how.precision, how.memory, how.compile, where)

    def prepare(self) -> None:
        _ = self.pipeline

    def side(self) -> int:
        unet, vae = (read_config(Path(self.settings.weights) / part) for part in ("image_unet", "vae"))
        return picture_size(unet, vae)

    def unconditional(self) -> dict[str, np.ndarray]:
        """CLIP's embeddings of a grey picture and of the empty caption, (1, tokens, C) each."""
        import torch

        from neural_recon.models.loading import load_clip

        where = torch.device(self.device) if self.device else None
        return dict(
            zip(("vision", "text"), load_clip(self.settings.weights, where).unconditional(), strict=True)
        )

    def sample(
        self,
        base: np.ndarray | None,
        guides: Mapping[str, np.ndarray],
        image_ids: np.ndarray,
        seed: int,
        draw: int,
        strength: float,
    ) -> np.ndarray:
        """As `paint`, at a strength; from noise alone without base images."""
        from neural_recon.generation.sampling import reconstruct

        self.check(base, guides)
        how, none = self.settings, self.unguided()
        return reconstruct(
            self.pipeline, base, guides["vision"], guides["text"], (none["vision"], none["text"]), image_ids,
            seed, strength, how.mixing, how.guidance_scale, how.steps, how.batch, draw,
        )  # fmt: skip


class VersatileDiffusion(DualGuided):
    """Image-to-image diffusion from the base image under both guides."""

    class Settings(DualGuided.Settings):
        """Versatile Diffusion from the base image."""

        base: str = Field(description="The feature space whose pictures it starts from.")
        strength: Annotated[float, Field(gt=0, le=1)] = Field(
            0.75, description="Share of the noise steps run."
        )

        @model_validator(mode="after")
        def _at_least_one_step(self) -> VersatileDiffusion.Settings:
            if self.strength * self.steps < 1:
                raise ValueError(
                    f"strength {self.strength} of {self.steps} steps is less than one step; raise one"
                )
            return self

    settings: Settings

    def paint(
        self,
        base: np.ndarray | None,
        guides: Mapping[str, np.ndarray],
        image_ids: np.ndarray,
        seed: int,
        draw: int = 0,
    ) -> np.ndarray:
        return self.sample(base, guides, image_ids, seed, draw, self.settings.strength)
