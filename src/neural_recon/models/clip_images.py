"""CLIP's encoder of pictures (Radford et al. 2021): its embedding, and the states of its tokens.

Pictures are prepared here, on 8-bit values, as processors of other versions rescale or resize in other ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from neural_recon.models import checkpoints, model_folders, open_clip
from neural_recon.models.encoder_parts import (
    CLIP_MEAN,
    CLIP_STD,
    configured,
    fill_encoder,
    load_encoder,
    pixel_statistics,
    whole,
)
from neural_recon.models.weights import WEIGHTS

Layer = Literal["last", "penultimate", "normed"]


class ClipImages:
    """Pictures are uint8 (n, H, W, 3), square, and all results float32.

    Args:
        image_encoder: in evaluation mode.
        mean, std: of the pixels in [0, 1], one per channel.
        resize: a side in pixels that pictures are first brought to (bilinear); None: none.
    """

    def __init__(
        self,
        image_encoder: CLIPVisionModelWithProjection,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
        resize: int | None = None,
    ):
        self.image_encoder = image_encoder
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        self.image_size = whole("image_size", image_encoder.config.image_size)
        self.resize = resize

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device) -> ClipImages:
        """The encoder of a folder or of OpenCLIP's file, with the processor alongside it, if there is one.

        Raises:
            InputError: a file is missing or not what it must be, or the processor is for another image size.
        """
        encoder = load_image_encoder(folder, device)
        with model_folders.described_by(folder):
            image_size = whole("image_size", encoder.config.image_size)
        return cls(encoder, *pixel_statistics(folder.parent, image_size))

    def embedding(self, images_uint8: np.ndarray, batch: int = 32, prepared: bool = False) -> np.ndarray:
        """CLIP's embedding of pictures, (n, dim), not normalised.

        `prepared` pictures have the encoder's size already, in whatever way they came to it.
        """
        return over(images_uint8, batch, lambda part: self._embed(part, prepared))

    def states(
        self, images_uint8: np.ndarray, layer: Layer = "last", unit_length: bool = False, batch: int = 32
    ) -> np.ndarray:
        """The states (n, tokens, dim) of all tokens of pictures, the class token first.

        Args:
            images_uint8: the pictures.
            layer: the last one, before the norm that only the class token passes; the one before it; or
                "normed", the last one with all tokens through that norm.
            unit_length: divide each token by its length.
            batch: pictures that are computed at once.
        """
        return over(images_uint8, batch, lambda part: self._states(part, layer, unit_length))

    def pixels(self, images_uint8: np.ndarray) -> torch.Tensor:
        """The encoder's input (n, 3, S, S): resized by PIL on 8 bit, bicubic to S, then normalised."""
        images = np.asarray(images_uint8)
        if (
            images.dtype != np.uint8
            or images.ndim != 4
            or images.shape[1] != images.shape[2]
            or images.shape[3] != 3
        ):
            raise ValueError(f"images: expected uint8 (n, H, H, 3), found {images.dtype} {images.shape}")
        prepared = []
        for image in map(Image.fromarray, images):
            if self.resize is not None:
                image = image.resize((self.resize, self.resize), Image.Resampling.BILINEAR)
            prepared.append(
                np.asarray(image.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC))
            )
        return self.normalised(np.stack(prepared))

    def normalised(self, prepared: np.ndarray) -> torch.Tensor:
        """The encoder's input (n, 3, S, S) from pictures of its size, uint8 (n, S, S, 3)."""
        size = self.image_size
        if prepared.dtype != np.uint8 or prepared.shape[1:] != (size, size, 3):
            raise ValueError(
                f"images: expected uint8 (n, {size}, {size}, 3), found {prepared.dtype} {prepared.shape}"
            )
        scaled = (prepared.astype(np.float32) / 255 - self.mean) / self.std
        return torch.from_numpy(scaled.transpose(0, 3, 1, 2).copy())

    def half_range_pixels(self, images: torch.Tensor) -> torch.Tensor:
        """The encoder's input (n, 3, S, S) as MindEye2's painter was trained on it (Scotti et al. 2024).

        Pictures (n, 3, H, W) in [0, 1] are resized by `shrunk`, brought to [0.5, 1] as if they were in
        [-1, 1], then normalised.
        """
        mean, std = (torch.from_numpy(values).view(3, 1, 1) for values in (self.mean, self.std))
        return ((shrunk(images, self.image_size) + 1) / 2 - mean) / std

    @torch.no_grad()
    def _embed(self, images: np.ndarray, prepared: bool) -> torch.Tensor:
        model = self.image_encoder
        pixels = self.normalised(images) if prepared else self.pixels(images)
        return model(pixel_values=pixels.to(model.device, model.dtype)).image_embeds

    @torch.no_grad()
    def _states(self, images: np.ndarray, layer: Layer, unit_length: bool) -> torch.Tensor:
        states = self.states_of(self.pixels(images), layer)
        return states / states.norm(dim=-1, keepdim=True) if unit_length else states

    @torch.no_grad()
    def states_of(self, pixels: torch.Tensor, layer: Layer) -> torch.Tensor:
        """The states (n, tokens, dim) of a layer, of the encoder's input (n, 3, S, S)."""
        model = self.image_encoder
        seen = pixels.to(model.device, model.dtype)
        output = model.vision_model(pixel_values=seen, output_hidden_states=True)
        states = output.hidden_states[-2 if layer == "penultimate" else -1]
        return model.vision_model.post_layernorm(states) if layer == "normed" else states


def shrunk(images: torch.Tensor, size: int) -> torch.Tensor:
    """Pictures (n, 3, H, W) to (n, 3, size, size): bicubic with aligned corners, as kornia's resize.

    Where that is smaller a Gaussian of deviation (factor - 1) / 2 is applied first, cut at two deviations, by
    kornia's rule an odd number of pixels and three at least, over borders that are mirrored.
    """
    factors = [side / size for side in images.shape[2:]]
    if max(factors) > 1:
        for axis, factor in enumerate(factors):
            deviation = max((factor - 1) / 2, 0.001)
            reach = max(int(4 * deviation), 3) // 2
            weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
            weights = (weights / weights.sum()).to(images).expand(images.shape[1], 1, -1)
            along = (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0)
            kernel = weights[..., None] if axis == 0 else weights[:, :, None]
            padded = nn.functional.pad(images, along, mode="reflect")
            images = nn.functional.conv2d(padded, kernel, groups=images.shape[1])
    return nn.functional.interpolate(images, (size, size), mode="bicubic", align_corners=True)


def load_image_encoder(folder: Path, device: torch.device) -> CLIPVisionModelWithProjection:
    """CLIP's encoder of pictures in a folder, or in a file of OpenCLIP's; errors as of `load_encoder`."""

    def build(config: dict[str, Any]) -> CLIPVisionModelWithProjection:
        return CLIPVisionModelWithProjection(configured(CLIPVisionConfig, config))

    if folder.suffix not in WEIGHTS:
        return load_encoder(build, folder, device)
    config = open_clip.vision_config(folder)
    with model_folders.described_by(folder.parent / open_clip.CONFIG):
        model = checkpoints.empty(lambda: build(config))
    tensors = open_clip.renamed(checkpoints.read_tensors(folder, open_clip.PREFIX))
    return fill_encoder(model, tensors, folder, device)


@torch.no_grad()
def of_zeros(encoder: CLIPVisionModelWithProjection) -> Any:
    """What the encoder gives of a tensor of zeros, by which generators mean no picture.

    Returns:
        transformers' output, with `image_embeds` (1, dim) and `hidden_states`, (1, tokens, width) each.
    """
    side = whole("image_size", encoder.config.image_size)
    pixels = torch.zeros(1, 3, side, side, device=encoder.device, dtype=encoder.dtype)
    return encoder(pixel_values=pixels, output_hidden_states=True)


def over(items: Any, batch: int, encode: Callable[[Any], torch.Tensor]) -> np.ndarray:
    """What `encode` gives for all items, `batch` of them at a time, float32 on the CPU."""
    if not len(items):
        raise ValueError("expected at least one item, found none")
    parts = [encode(items[start : start + batch]) for start in range(0, len(items), batch)]
    return torch.cat([part.float().cpu() for part in parts]).numpy()
