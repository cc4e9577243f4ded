"""Maps of the convolutional teacher that MindEye's low-level head also learns from."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from neural_recon.features.space import Space, blocks

STRIDE = 32  # pixels between the places of a map
CHANNELS = 512


class ConvNextMaps(Space):
    """What VICRegL's ConvNeXt-XL and its projector make of a picture, place by place; then, with `views`, of
    altered copies of it, which the published loss compares it with.

    Published training draws another copy in every step; here each image has its own, drawn once.
    """

    class Settings(Space.Settings):
        """Maps of VICRegL's ConvNeXt-XL."""

        weights: str = Field(
            description="convnext_xlarge_alpha0.75_fullckpt.pth: a name in config/weights.yaml, or a path."
        )
        size: Annotated[int, Field(ge=STRIDE, multiple_of=STRIDE)] = Field(
            224, description="Side in pixels of the pictures that it sees; a map has a place for every 32."
        )
        views: Annotated[int, Field(ge=0)] = Field(
            0,
            description="Altered copies per picture (colours, grey, solarised, crops), whose maps follow.",
        )

    title = "Maps of a convolutional network"
    part = "place"

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        from neural_recon.models.convnext_teacher import ConvNextTeacher
        from neural_recon.models.loading import choose_device

        super().__init__(name, settings, seed)
        self.device = choose_device()
        self.teacher = ConvNextTeacher.from_checkpoint(settings.weights, self.device)
        self.parts = [CHANNELS] * (_values(settings) // CHANNELS)

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:
        """Maps, float32 (n, width); PIL's Lanczos filter brings pictures to `size`, as for latents."""
        import torch

        from neural_recon.models.altered_pictures import altered

        rows = []
        for part in blocks(len(batch)):
            drawing = self.generators(image_ids[part], "altered pictures")
            for k, picture in enumerate(batch[part]):
                size = (self.settings.size,) * 2
                small = np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
                image = torch.from_numpy(small).permute(2, 0, 1).float() / 255
                copies = [altered(image, drawing[k]) for _ in range(self.settings.views)] if drawing else []
                with torch.no_grad():
                    maps = self.teacher(torch.stack([image, *copies]).to(self.device))
                rows.append(maps.flatten().cpu().numpy())
        return np.stack(rows)

    @classmethod
    def draws(cls, settings: Any) -> bool:
        return bool(settings.views)

    @classmethod
    def check(cls, name: str, settings: Any) -> None:  # noqa: ARG003
        from neural_recon.models.convnext_teacher import ConvNextTeacher
        from neural_recon.models.loading import META

        ConvNextTeacher.from_checkpoint(settings.weights, META)

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        return _values(settings), 0


def _values(settings: Any) -> int:
    return int((1 + settings.views) * (settings.size // STRIDE) ** 2 * CHANNELS)
