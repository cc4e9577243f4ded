"""Latents of a diffusion model's autoencoder, as Takagi & Nishimoto (2023) predict them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from neural_recon.core.errors import InputError
from neural_recon.features.space import WEIGHTS, Space, blocks, require_finite
from neural_recon.models.model_folders import settings_of


class Autoencoder(Space):
    """The scaled latents of a picture, channel by channel: the posterior's mean, or a draw of it."""

    class Settings(Space.Settings):
        """Latents of an autoencoder."""

        weights: str = Field(description=WEIGHTS)
        size: Annotated[int, Field(ge=8)] = Field(
            description="Side in pixels of the pictures that are encoded, and of those decoded."
        )
        latents: Literal["mean", "sample"] = Field(
            "mean",
            description="Train on the posterior's mean or on one seeded draw of it (published).",
            json_schema_extra={"released": "sample"},
        )
        pixels: Literal["rounded", "truncated"] = Field(
            "rounded",
            description="How decoded pictures become 8 bit; published: truncated.",
            json_schema_extra={"released": "truncated"},
        )

    title = "Autoencoder latents"
    part = "channel"
    decodes = True
    folder_parts = ("vae",)

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models import autoencoders
        from neural_recon.models.loading import choose_device

        super().__init__(name, settings, seed)
        self.device = choose_device()
        self.vae = autoencoders.load(Path(settings.weights) / "vae", self.device)
        self.vae.use_slicing = True  # one picture at a time: memory, and batches that change nothing
        self.shape = _shape(settings)
        self.parts = [self.shape[1] * self.shape[2]] * self.shape[0]

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:
        """Latents, float32 (n, width); PIL's Lanczos filter brings pictures to `size`, as published."""
        import torch

        from neural_recon.models import autoencoders

        rows = []
        for part in blocks(len(batch)):
            drawing = self.generators(image_ids[part], "autoencoder posterior")
            small = torch.from_numpy(np.stack([self._small(one) for one in batch[part]]))
            images = small.permute(0, 3, 1, 2).to(self.device, torch.float32) / 127.5 - 1
            with torch.no_grad():
                rows.append(autoencoders.encode(self.vae, images, drawing).flatten(1).cpu().numpy())
        return np.concatenate(rows)

    def _small(self, picture: np.ndarray) -> np.ndarray:
        size = (self.settings.size,) * 2
        return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))

    def pictures(self, values: np.ndarray) -> np.ndarray:
        """Pictures of latents.

        Raises:
            InputError: latents that are not finite, which would be decoded to pictures of nothing.
        """
        import torch

        from neural_recon.models import autoencoders

        require_finite(values)
        latents = torch.from_numpy(values.astype(np.float32)).reshape(-1, *self.shape)
        offset = 0.5 if self.settings.pixels == "rounded" else 0.0
        made = []
        for part in blocks(len(latents)):
            with torch.no_grad():
                images = autoencoders.decode(self.vae, latents[part].to(self.device))
            scaled = ((images + 1) * 127.5 + offset).clamp(0, 255).to(torch.uint8)
            made.append(scaled.permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(made)

    @classmethod
    def draws(cls, settings: Any) -> bool:
        return bool(settings.latents == "sample")

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models import autoencoders
        from neural_recon.models.loading import META

        _shape(settings)
        autoencoders.load(Path(settings.weights) / "vae", META)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        channels, height, width = _shape(settings)
        return channels * height * width, settings.size


def _shape(settings: Any) -> tuple[int, int, int]:
    """(C, h, w) of one image's latents; what a configuration lacks counts as in the published models."""
    found = settings_of(Path(settings.weights) / "vae")
    factor = 2 ** (len(found.get("block_out_channels", range(4))) - 1)
    if settings.size % factor:
        raise InputError(
            f"{settings.weights}/vae: expected a size of pictures that is a multiple of {factor}, by which "
            f"this autoencoder reduces them, found {settings.size}; change `size` of the space."
        )
    return found.get("latent_channels", 4), settings.size // factor, settings.size // factor
