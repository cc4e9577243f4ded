"""Stable Diffusion XL from the base image, guided by CLIP's embedding through an image-prompt adapter."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from neural_recon.core.errors import InputError
from neural_recon.generation.diffusion import FromBase, LatentDiffusion

if TYPE_CHECKING:
    import torch

# Of the published model, where a folder's scheduler configuration leaves them open.
PUBLISHED_SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}


class StableDiffusionXL(LatentDiffusion):
    """Stable Diffusion XL (Podell et al. 2023), Euler's steps, with an image-prompt adapter (Ye et al. 2023).

    A plain adapter takes the pooled embedding, a plus adapter the tokens of its image encoder; its file says
    which one it is. The text is empty, with guidance and without: it is the picture's embedding that guides.
    """

    class Settings(FromBase, LatentDiffusion.Settings):
        """Stable Diffusion XL with an image-prompt adapter, from the base image."""

        roles: ClassVar[tuple[str, ...]] = ("image",)

        image: str = Field(description="The feature space that guides it as CLIP's of the picture.")
        adapter: str = Field(
            description="The image-prompt adapter: a name in config/weights.yaml, or a file of safetensors."
        )
        image_encoder: str | None = Field(
            None,
            description="The weights with the image encoder: a name in config/weights.yaml, or a folder.",
        )
        adapter_scale: Annotated[float, Field(ge=0)] = Field(
            1.0, description="Weight of the attention to the picture's embedding, alongside that to the text."
        )

        @field_validator("adapter")
        @classmethod
        def _is_safe(cls, adapter: str) -> str:
            if Path(adapter).suffix not in ("", ".safetensors"):
                raise ValueError(
                    f"{adapter}: expected an image-prompt adapter as a file of safetensors, found another "
                    "kind; name that file, which is published, too"
                )
            return adapter

    settings: Settings
    published_side = 1024
    files: ClassVar = {"weights": ("unet", "vae", "scheduler"), "adapter": ()}
    encoders: ClassVar = {
        "weights": ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"),
        "adapter": (),
        "image_encoder": ("models/image_encoder",),
    }

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from neural_recon.models import image_adapters

        parts = super().load(home, dtype)
        image_adapters.attach(parts["unet"], Path(self.settings.adapter), self.settings.adapter_scale)
        return parts

    def scheduler(self) -> Any:
        from diffusers import EulerDiscreteScheduler

        from neural_recon.models.device_memory import load_scheduler

        folder = Path(self.settings.weights) / "scheduler"
        return load_scheduler(EulerDiscreteScheduler, folder, PUBLISHED_SCHEDULE)

    @functools.cached_property
    def adapter(self) -> tuple[int, bool]:
        """Values per token that the adapter takes, and whether it takes tokens."""
        from neural_recon.models import image_adapters

        return image_adapters.read(Path(self.settings.adapter))

    def widths(self) -> Mapping[str, int]:
        return {"image": self.adapter[0]}

    def unconditional(self) -> dict[str, np.ndarray]:
        """`image`: zeros for a plain adapter, the image encoder's tokens of a tensor of zeros for a plus one.

        `text` (1, 77, 2048) and `pooled` (1, 1280): both text encoders' states of the empty caption, before
        their last layer, and the second one's embedding of it; they hold with guidance, too.
        """
        from neural_recon.models.clip_images import load_image_encoder, of_zeros
        from neural_recon.models.loading import choose_device
        from neural_recon.models.text_states import sdxl_texts

        how, where = self.settings, choose_device(self.device)
        text, pooled = sdxl_texts(Path(how.weights), where, [""])
        width, plus = self.adapter
        if not plus:
            image = np.zeros((1, 1, width), np.float32)
        elif how.image_encoder:
            encoder = load_image_encoder(Path(how.image_encoder) / "models/image_encoder", where)
            image = of_zeros(encoder).hidden_states[-2].cpu().numpy()
        else:
            raise InputError(
                "generator.image_encoder: expected the weights of the image encoder, which a plus adapter "
                "needs, found none; name h94/IP-Adapter, or a folder with models/image_encoder."
            )
        return {"image": image, "text": text, "pooled": pooled}

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        unet = self.parts["unet"]
        image = self.both(guides["image"], unguided.get("image")).to(unet.dtype)
        side = self.side()
        # each row has its own embedding: given one list for all, diffusers' pipelines mix a batch's pictures
        added = {
            "image_embeds": [image[:, None] if self.adapter[1] else image],
            "text_embeds": self.texts("pooled", unguided, len(image)),
            "time_ids": image.new_tensor([side, side, 0, 0, side, side]).expand(len(image), 6),
        }
        return self.texts("text", unguided, len(image)), added

    def texts(self, name: str, unguided: Mapping[str, torch.Tensor], rows: int) -> torch.Tensor:
        """What the empty caption gives, the same in all rows."""
        unet = self.parts["unet"]
        return unguided[name].to(unet.device, unet.dtype).expand(rows, *unguided[name].shape[1:])

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        unet = self.parts["unet"]
        text, added = condition
        return unet(rows.to(unet.dtype), timestep, encoder_hidden_states=text, added_cond_kwargs=added).sample
