"""A second pass over painted pictures by Stable Diffusion XL under captions, as MindEye2 refines its own."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from neural_recon.generation.diffusion import FromBase, LatentDiffusion
from neural_recon.generation.generator import Inputs
from neural_recon.models.model_folders import picture_size

if TYPE_CHECKING:
    import torch


class Refiner(LatentDiffusion):
    """Stable Diffusion XL from pictures, under each one's caption and away from another text.

    It is told that pictures of `size` are to become as large as those it was trained on, as published.
    """

    class Settings(FromBase, LatentDiffusion.Settings):
        """The second pass."""

        roles: ClassVar[tuple[str, ...]] = ("text", "pooled")

        base: str = "painted"
        text: str = "captions"
        pooled: str = "captions"
        size: int
        negative_prompt: str

    settings: Settings
    purpose = "refinement"

    def side(self) -> int:
        return self.settings.size

    def scheduler(self) -> Any:
        from neural_recon.models.legacy_schedule import LegacyEuler

        return LegacyEuler()

    def widths(self) -> Mapping[str, int]:
        config = self.parts["unet"].config
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        return {"text": config.cross_attention_dim, "pooled": pooled}

    def unguided(self) -> dict[str, np.ndarray]:
        """What it is guided away from."""
        return self._negative

    @functools.cached_property
    def _negative(self) -> dict[str, np.ndarray]:  # once, as the text encoders are loaded for it
        return self.texts([self.settings.negative_prompt])

    def texts(self, captions: Sequence[str]) -> dict[str, np.ndarray]:
        """Captions as it is guided by them: `text` (n, tokens, width), `pooled` (n, 1, width)."""
        from neural_recon.models.loading import choose_device
        from neural_recon.models.text_states import sdxl_texts

        text, pooled = sdxl_texts(Path(self.settings.weights), choose_device(self.device), captions)
        return {"text": text, "pooled": pooled[:, None]}

    def refine(self, pictures: np.ndarray, captions: Sequence[str], inputs: Inputs) -> np.ndarray:
        """Pictures uint8 (n, H, W, 3) refined under a caption each, uint8 (n, size, size, 3).

        `inputs` are what they were painted from: their ids, seed and draw hold here, too.
        """
        guides = {role: rows.reshape(len(rows), -1) for role, rows in self.texts(captions).items()}
        return self.pictures(inputs._replace(base=pictures, guides=guides))

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        import torch

        dtype, size = self.parts["unet"].dtype, self.settings.size
        text, pooled = (self.both(guides[role], unguided.get(role)).to(dtype) for role in ("text", "pooled"))
        own = picture_size(self.config("unet"), self.config("vae"))
        told = text.new_tensor([size, size, 0, 0, own, own], dtype=torch.float32)
        return text, {"text_embeds": pooled[:, 0], "time_ids": told.expand(len(text), 6)}

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        unet = self.parts["unet"]
        text, added = condition
        return unet(rows.to(unet.dtype), timestep, encoder_hidden_states=text, added_cond_kwargs=added).sample
