"""MindEye2's painter: Stable Diffusion XL fine-tuned to be guided by CLIP's patch tokens (unCLIP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from neural_recon.generation.diffusion import FromBase, LatentDiffusion

if TYPE_CHECKING:
    import torch

# The painter decodes to dark pictures of little contrast: they are scaled and lifted, as published.
CONTRAST, LIFT = 0.8, 0.2


class SDXLUnclip(LatentDiffusion):
    """The painter of MindEye2 (Scotti et al. 2024), Euler's steps, from noise as published or a base image.

    There is no text: the patch tokens of CLIP ViT-bigG/14 are what it attends to, and it is told the size of
    the picture and that it is not cropped.
    """

    class Settings(FromBase, LatentDiffusion.Settings):
        """MindEye2's painter."""

        roles: ClassVar[tuple[str, ...]] = ("image",)

        weights: str = Field(
            description="The painter in one file of generative-models (.ckpt, .safetensors): a name in "
            "config/weights.yaml, or a path."
        )
        image: str = Field(description="The feature space that guides it as CLIP's patch tokens.")
        base: str | None = Field(
            None, description="The feature space whose pictures it starts from; published: none."
        )
        strength: Annotated[float, Field(gt=0, le=1)] = Field(
            1.0, description="Share of the noise steps run; 1: from noise alone (published)."
        )
        size: Annotated[int, Field(ge=64, multiple_of=32)] = Field(
            768, description="Side of the pictures in pixels."
        )
        guidance_scale: Annotated[float, Field(ge=1)] = Field(5.0, description="Classifier-free guidance.")
        steps: Annotated[int, Field(ge=1, le=999)] = Field(38, description="Steps at strength 1.")
        unconditional: Literal["gaussian", "zeros"] = Field(
            "gaussian",
            description="Tokens where nothing guides: each picture's own standard normal draw (published), or "
            "zeros.",
        )
        offset_noise: Annotated[float, Field(ge=0)] = Field(
            0.04, description="Deviation of one more draw per picture, added to all of its noise; 0: none."
        )

    settings: Settings
    any_tokens = True
    published_side = 768
    files: ClassVar = {"weights": ()}

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from neural_recon.models import sgm_files

        unet, vae = sgm_files.load(Path(self.settings.weights), dtype, home)
        return {"unet": unet, "vae": vae}

    def side(self) -> int:
        return self.settings.size

    def latent_shape(self) -> tuple[int, int, int]:
        vae = self.parts.modules["vae"].config
        side = self.settings.size // 2 ** (len(vae.block_out_channels) - 1)
        return vae.latent_channels, side, side

    def scheduler(self) -> Any:
        from neural_recon.models.legacy_schedule import LegacyEuler

        return LegacyEuler()

    def widths(self) -> Mapping[str, int]:
        return {"image": self.parts.modules["unet"].config.cross_attention_dim}

    def unguided(self) -> dict[str, np.ndarray]:
        """A token of zeros, in whose place `away` draws."""
        return {"image": np.zeros((1, 1, self.widths()["image"]), np.float32)}

    def start(
        self,
        scheduler: Any,
        latents: torch.Tensor | None,
        generators: Sequence[torch.Generator],
        timestep: torch.Tensor | None,
    ) -> torch.Tensor:
        """As of every kind, with offset noise; without a base image from normal draws in place of its latents."""
        from neural_recon.core import random_streams
        from neural_recon.models import denoising

        if latents is None or timestep is None:
            latents = random_streams.normal(generators, self.latent_shape()).to(self.parts.device)
            timestep = scheduler.timesteps[0]
        noise = random_streams.normal(generators, latents.shape[1:])
        if self.settings.offset_noise:
            noise = noise + self.settings.offset_noise * random_streams.normal(generators, (1, 1, 1))
        return denoising.start(scheduler, latents, noise.to(latents.device), timestep)

    def away(
        self,
        guides: Mapping[str, torch.Tensor],
        unguided: Mapping[str, torch.Tensor],
        generators: Sequence[torch.Generator],
    ) -> Mapping[str, torch.Tensor]:
        from neural_recon.core import random_streams

        if "image" not in unguided or self.settings.unconditional == "zeros":
            return unguided
        return {"image": random_streams.normal(generators, guides["image"].shape[1:])}

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        import torch

        dtype, size = self.parts["unet"].dtype, self.settings.size
        tokens = self.both(guides["image"], unguided.get("image")).to(dtype)
        told = tokens.new_tensor([size, size, 0, 0], dtype=torch.float32).expand(len(tokens), 4)
        return tokens, {"text_embeds": tokens.new_zeros(len(tokens), 0), "time_ids": told}

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        unet = self.parts["unet"]
        tokens, added = condition
        return unet(rows.to(unet.dtype), timestep, encoder_hidden_states=tokens, added_cond_kwargs=added).sample

    def encode(self, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:
        """As of every kind, of pictures brought to where `decode` takes them from."""
        return super().encode(((pictures + 1) / 2 - LIFT) / CONTRAST, generators)

    def decode(self, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        return (super().decode(latents, generators) * CONTRAST + LIFT).clamp(0, 1) * 2 - 1
