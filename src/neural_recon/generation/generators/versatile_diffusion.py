"""Versatile Diffusion from the base image, guided by vision and text (Ozcelik & VanRullen 2023)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from neural_recon.generation.diffusion import Diffusion, FromBase

if TYPE_CHECKING:
    import torch

    from neural_recon.models.versatile import DualGuidedPipeline


class DualGuided(Diffusion):
    """The published model (Xu et al. 2023) under two guides, from a base image or from noise."""

    class Settings(Diffusion.Settings):
        """Versatile Diffusion with both guides."""

        roles: ClassVar[tuple[str, ...]] = ("vision", "text")

        vision: str = Field(description="The feature space that guides it as CLIP's of the picture.")
        text: str = Field(description="The feature space that guides it as CLIP's of the captions.")
        mixing: Annotated[float, Field(ge=0, le=1)] = Field(
            0.4, description="Weight of text; vision has the rest."
        )

    settings: Settings
    network = "image_unet"
    files: ClassVar = {"weights": ("image_unet", "text_unet", "vae", "scheduler")}
    encoders: ClassVar = {"weights": ("image_encoder", "image_processor", "text_encoder", "tokenizer")}
    lead = 1
    posterior = True
    _loaded: DualGuidedPipeline

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from neural_recon.models.versatile import DualGuidedPipeline

        self._loaded = DualGuidedPipeline.from_pretrained(self.settings.weights, dtype, home)
        return self._loaded.parts.modules

    @functools.cached_property
    def pipeline(self) -> DualGuidedPipeline:
        """The model, its parts where this generator has them."""
        parts = self.parts  # loads it
        self._loaded.parts = parts
        return self._loaded

    def scheduler(self) -> Any:
        return self.pipeline.scheduler

    def widths(self) -> Mapping[str, int]:
        return dict.fromkeys(self.settings.roles, self.pipeline.context_width)

    def unconditional(self) -> dict[str, np.ndarray]:
        """CLIP's embeddings of a grey picture and of the empty caption, (1, tokens, C) each."""
        from neural_recon.models.loading import choose_device, load_clip

        clip = load_clip(self.settings.weights, choose_device(self.device))
        return dict(zip(("vision", "text"), clip.unconditional(), strict=True))

    def encode(self, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:
        return self.pipeline.encode(pictures, generators)

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        contexts = (guides["vision"], guides["text"], unguided.get("vision"), unguided.get("text"))
        return self.pipeline.condition(contexts, guided=bool(unguided))

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        return self.pipeline.predict(rows, timestep, condition, self.settings.mixing)

    def decode(self, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:  # noqa: ARG002
        return self.pipeline.decode(latents)


class VersatileDiffusion(DualGuided):
    """Image-to-image diffusion from the base image under both guides."""

    class Settings(FromBase, DualGuided.Settings):
        """Versatile Diffusion from the base image."""

    settings: Settings
