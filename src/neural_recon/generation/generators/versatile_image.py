"""Versatile Diffusion's image flow alone, from the base image, as MindEye (Scotti et al. 2023) paints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from neural_recon.features.spaces.versatile_vision import VersatileVision
from neural_recon.generation.choice import Choosing, FromDraws
from neural_recon.generation.diffusion import FromBase, GuidanceScale, LatentDiffusion, Steps, Strength
from neural_recon.models.denoising import STABLE_DIFFUSION

if TYPE_CHECKING:
    import torch

# As of the diffusers version that MindEye was run with, 0.13: the last step ends at the first noise level.
UNIPC = {**STABLE_DIFFUSION, "timestep_spacing": "linspace", "final_sigmas_type": "sigma_min"}
TINY = 1e-6  # added to the length that tokens are divided by, as published


class VersatileImage(Choosing, LatentDiffusion):
    """Versatile Diffusion (Xu et al. 2023) without its text flow, under all CLIP tokens of a picture.

    As in the published code guides are divided by the length of their first token, nothing is zeros, and the
    solver is UniPC of second order. Departures: of all draws the guides are the same (there the prior draws
    them anew), each draws its own latents of the base image, and this one is rounded to 8 bit.
    """

    class Settings(FromBase, FromDraws, LatentDiffusion.Settings):
        """Versatile Diffusion's image flow from the base image."""

        roles: ClassVar[tuple[str, ...]] = ("vision", "retrieval")

        vision: str = Field(description="The feature space that guides it as CLIP's of the picture.")
        strength: Strength = 0.85
        guidance_scale: GuidanceScale = 3.5
        steps: Steps = Field(20, description="UniPC's steps at strength 1.")
        base_scaling: Literal["pixels", "clip"] = Field(
            "pixels",
            description="How the autoencoder gets the base image: in [-1, 1], as it was trained, or by "
            "CLIP's means and deviations (published).",
            json_schema_extra={"released": "clip"},
        )

    settings: Settings
    network = "image_unet"
    posterior = True
    files: ClassVar = {"weights": ("image_unet", "vae", "scheduler", *VersatileVision.folder_parts)}

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from neural_recon.models.clip_images import load_image_encoder

        found = dict(super().load(home, dtype))
        if self.settings.retrieval:
            folder = Path(self.settings.weights)
            found["image_encoder"] = load_image_encoder(folder / "image_encoder", home)
        return found

    def scheduler(self) -> Any:
        from diffusers import UniPCMultistepScheduler

        from neural_recon.models.device_memory import load_scheduler

        return load_scheduler(UniPCMultistepScheduler, Path(self.settings.weights) / "scheduler", UNIPC)

    def widths(self) -> Mapping[str, int]:
        return dict.fromkeys(self.settings.guides, self.parts[self.network].config.cross_attention_dim)

    def unguided(self) -> dict[str, np.ndarray]:
        """Zeros (1, tokens, width), as many as of the space `versatile_vision`."""
        values, _ = VersatileVision.sizes(self.settings)
        return {
            role: np.zeros((1, values // width, width), np.float32) for role, width in self.widths().items()
        }

    def enlarged(self, base: np.ndarray) -> torch.Tensor:
        import torch

        from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD

        plain = super().enlarged(base)
        if self.settings.base_scaling == "pixels":
            return plain
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
        return (plain / 2 + 0.5 - mean) / std

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        tokens = guides["vision"]
        tokens = tokens / (tokens[:, :1].norm(dim=2, keepdim=True) + TINY)
        return self.both(tokens, unguided.get("vision"))

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        unet = self.parts[self.network]
        return unet(rows.to(unet.dtype), timestep, encoder_hidden_states=condition.to(unet.dtype)).sample

    def agreement(self, pictures: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Cosines (n,) between the values of all tokens of pictures and predicted ones."""
        from neural_recon.models.clip import ClipContexts
        from neural_recon.models.encoder_parts import pixel_statistics

        encoder = self.parts["image_encoder"]
        mean, std = pixel_statistics(Path(self.settings.weights), encoder.config.image_size)
        tokens = ClipContexts(encoder, None, None, mean, std).vision(pictures, self.settings.batch)
        found, wanted = tokens.reshape(len(tokens), -1), np.asarray(predicted, np.float32)
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
        return (found * wanted).sum(1) / np.maximum(lengths, np.finfo(np.float32).tiny)
