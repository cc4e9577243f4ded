"""Stable Diffusion 1 or 2 from the base image, guided by text states (Takagi & Nishimoto 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from neural_recon.generation.diffusion import FromBase, LatentDiffusion
from neural_recon.models.denoising import STABLE_DIFFUSION

if TYPE_CHECKING:
    import torch


class StableDiffusion(LatentDiffusion):
    """Latent diffusion (Rombach et al. 2022) with DDIM, under the states of a caption's tokens."""

    class Settings(FromBase, LatentDiffusion.Settings):
        """Stable Diffusion from the base image."""

        roles: ClassVar[tuple[str, ...]] = ("text",)

        text: str = Field(description="The feature space that guides it as CLIP's text states.")
        lead: Literal[0, 1] = Field(
            0,
            description="How many noise steps above the first denoised one the base image is noised to; "
            "published by Takagi & Nishimoto: 1.",
            json_schema_extra={"released": 1},
        )
        posterior: Literal["mean", "sample"] = Field(
            "mean",
            description="Base images as the autoencoder's mean, or as a seeded draw (published).",
            json_schema_extra={"released": "sample"},
        )
        noise: Literal["own", "shared"] = Field(
            "own",
            description="Each image's own noise, or the same for all images (published).",
            json_schema_extra={"released": "shared"},
        )

    settings: Settings
    files: ClassVar = {"weights": ("unet", "vae", "scheduler")}
    encoders: ClassVar = {"weights": ("text_encoder", "tokenizer")}

    def scheduler(self) -> Any:
        from diffusers import DDIMScheduler

        from neural_recon.models.device_memory import load_scheduler

        return load_scheduler(DDIMScheduler, Path(self.settings.weights) / "scheduler", STABLE_DIFFUSION)

    @property
    def lead(self) -> int:
        return self.settings.lead

    @property
    def posterior(self) -> bool:
        return self.settings.posterior == "sample"

    def noise_ids(self, image_ids: np.ndarray) -> np.ndarray:
        return np.zeros_like(image_ids) if self.settings.noise == "shared" else image_ids

    def widths(self) -> Mapping[str, int]:
        return {"text": self.parts["unet"].config.cross_attention_dim}

    def unconditional(self) -> dict[str, np.ndarray]:
        """The states (1, tokens, width) of the empty caption."""
        from neural_recon.models.loading import choose_device
        from neural_recon.models.text_states import ClipTextStates

        where = choose_device(self.device)
        return {"text": ClipTextStates.from_folder(Path(self.settings.weights), where).states([""])}

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        return self.both(guides["text"], unguided.get("text"))

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        unet = self.parts["unet"]
        return unet(rows.to(unet.dtype), timestep, encoder_hidden_states=condition.to(unet.dtype)).sample
