"""Latents of a very deep VAE (Child 2021), layer by layer, as Brain-Diffuser predicts them."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from neural_recon.core.texts import read_json
from neural_recon.features.space import Space, blocks, require_finite
from neural_recon.models import weights


class Vdvae(Space):
    """The first layers' latents of a picture: the posterior's mean, or a draw of it."""

    class Settings(Space.Settings):
        """Latents of a VDVAE."""

        weights: str = Field(description="A name in config/weights.yaml, or a .safetensors or .th file.")
        hparams: str = Field(description="JSON file with its hyper-parameters under the published names.")
        layers: Annotated[int, Field(ge=1)] = Field(description="How many layers of latents are decoded.")
        latents: Literal["mean", "sample"] = Field(
            "mean",
            description="Train on the posterior's mean or on one seeded draw of it (published).",
            json_schema_extra={"released": "sample"},
        )

    title = "VDVAE latents"
    part = "layer"
    decodes = True

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models.loading import load_vdvae

        super().__init__(name, settings, seed)
        self.model = load_vdvae(settings.weights, settings.hparams)
        self.parts = [prod(size) for size in self.model.latent_sizes[: settings.layers]]

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:
        """Latents, float32 (n, width); PIL's bilinear filter brings pictures to the model's size."""
        rows = []
        for part in blocks(len(batch)):
            drawing = self.generators(image_ids[part], "vdvae posterior")
            small = np.stack([self._small(one) for one in batch[part]])
            rows.append(self.model.encode(small, self.settings.layers, generators=drawing))
        return np.concatenate(rows)

    def _small(self, picture: np.ndarray) -> np.ndarray:
        size = (self.model.hparams.image_size,) * 2
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))

    def pictures(self, values: np.ndarray) -> np.ndarray:
        """Pictures of latents; layers that are not given take the prior's mean.

        Raises:
            InputError: latents that are not finite, which would be decoded to pictures of nothing.
        """
        require_finite(values)
        return np.asarray(self.model.decode(values.astype(np.float32)))

    @classmethod
    def draws(cls, settings: Any) -> bool:
        return bool(settings.latents == "sample")

    @classmethod
    def files(cls, settings: Any, table: weights.Table) -> list[str]:
        return [*super().files(settings, table), settings.hparams]

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models.loading import META, load_vdvae

        load_vdvae(settings.weights, settings.hparams, META)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        from neural_recon.models.vdvae_blocks import parse_blocks

        hparams = read_json(settings.hparams, "the VDVAE's hyper-parameters")
        layers = parse_blocks(hparams["dec_blocks"])[: settings.layers]
        return sum(hparams["zdim"] * resolution**2 for resolution, _ in layers), hparams["image_size"]
