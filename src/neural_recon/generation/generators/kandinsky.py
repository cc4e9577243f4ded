"""Kandinsky 2.2's decoder from the base image, guided by CLIP's embedding of the picture (unCLIP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from neural_recon.generation.diffusion import Diffusion, FromBase, GuidanceScale

if TYPE_CHECKING:
    import torch

# Where a folder's scheduler configuration leaves them open. That scheduler itself, DDPM, would draw and clip
# at every step.
NOISE_LEVELS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "num_train_timesteps": 1000,
}
DDIM = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 0}


class Kandinsky(Diffusion):
    """Kandinsky 2.2's decoder (Razzhigaev et al. 2023), of DALL-E 2's family (unCLIP), with DDIM; no text."""

    class Settings(FromBase, Diffusion.Settings):
        """Kandinsky 2.2's decoder from the base image."""

        roles: ClassVar[tuple[str, ...]] = ("image",)

        image: str = Field(description="The feature space that guides it as CLIP's of the picture.")
        image_encoder: str = Field(
            description="The weights with the image encoder: a name in config/weights.yaml, or a folder."
        )
        guidance_scale: GuidanceScale = 4.0

    settings: Settings
    autoencoder = "movq"
    files: ClassVar = {"weights": ("unet", "movq", "scheduler")}
    encoders: ClassVar = {"image_encoder": ("image_encoder",)}

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from diffusers import UNet2DConditionModel, VQModel

        from neural_recon.models import autoencoders
        from neural_recon.models.device_memory import load_part

        folder = Path(self.settings.weights)
        return {
            "unet": load_part(UNet2DConditionModel, folder / "unet", dtype, home),
            "movq": load_part(VQModel, folder / "movq", device=home, renamed=autoencoders.renamed),
        }

    def scheduler(self) -> Any:
        from diffusers import DDIMScheduler

        from neural_recon.models import model_folders

        folder = Path(self.settings.weights) / "scheduler"
        with model_folders.described_by(folder):
            found = model_folders.read_config(folder, "scheduler_config.json")
            levels = {key: found.get(key, value) for key, value in NOISE_LEVELS.items()}
            return DDIMScheduler(**levels, **DDIM)

    def widths(self) -> Mapping[str, int]:
        return {"image": self.config("unet").get("encoder_hid_dim", 1280)}

    def unconditional(self) -> dict[str, np.ndarray]:
        """The image encoder's embedding of a tensor of zeros, (1, 1, 1280)."""

        from neural_recon.models.clip_images import load_image_encoder, of_zeros
        from neural_recon.models.loading import choose_device

        where = choose_device(self.device)
        encoder = load_image_encoder(Path(self.settings.image_encoder) / "image_encoder", where)
        return {"image": of_zeros(encoder).image_embeds[:, None].cpu().numpy()}

    def encode(self, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:  # noqa: ARG002
        return self.parts["movq"].encode(self.parts.images(pictures)).latents

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        return {"image_embeds": self.both(guides["image"], unguided.get("image"))[:, 0]}

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        unet = self.parts["unet"]
        added = {name: values.to(unet.dtype) for name, values in condition.items()}
        output = unet(
            rows.to(unet.dtype), timestep, encoder_hidden_states=None, added_cond_kwargs=added
        ).sample
        return output[:, : rows.shape[1]]  # the other half are variances, of DDPM's steps

    def decode(self, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:  # noqa: ARG002
        decoded = self.parts["movq"].decode(self.parts.images(latents), force_not_quantize=True)
        return decoded.sample.clamp(-1, 1)
