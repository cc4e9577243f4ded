"""From predicted features to pictures: the base image, and what diffusion makes of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from neural_recon import seeds
from neural_recon.ridge import shuffled_pairs

# importing the generator takes seconds: who decodes base images only does not pay
if TYPE_CHECKING:
    from neural_recon.vdvae import VDVAE
    from neural_recon.versatile import DualGuidedPipeline

logger = logging.getLogger(__name__)


def base_images(model: VDVAE, latents: np.ndarray) -> np.ndarray:
    """Base images uint8 (n, H, W, 3) of predicted latents (n, D); layers not given take the prior's mean."""
    return np.asarray(model.decode(latents.astype(np.float32)))


def enlarge(images: np.ndarray, size: int) -> torch.Tensor:
    """uint8 (n, H, W, 3) -> float (n, 3, size, size) in [-1, 1]; PIL's bicubic filter, as published."""
    large = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in images
    ]
    return torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2).float() / 127.5 - 1


def swapped_contexts(control_ids: np.ndarray, nsd_ids: np.ndarray, seed: int) -> np.ndarray:
    """Whose contexts each of `nsd_ids` gets in the swapped control: those of another control image."""
    partner = dict(zip(control_ids, control_ids[shuffled_pairs(len(control_ids), seed)], strict=True))
    return np.array([partner[i] for i in nsd_ids])


def reconstruct(
    pipeline: DualGuidedPipeline,
    base: np.ndarray,
    vision: np.ndarray,
    text: np.ndarray,
    unconditional: tuple[np.ndarray, np.ndarray],
    nsd_ids: np.ndarray,
    seed: int,
    strength: float,
    mixing: float,
    guidance_scale: float,
    steps: int,
    batch: int,
) -> np.ndarray:
    """Paint reconstructions, one seeded generator an image.

    Args:
        base: uint8 (n, H, W, 3) base images.
        vision, text: (n, tokens * C) predicted contexts.
        unconditional: the contexts (1, tokens, C) of a grey image and of the empty caption.
        nsd_ids: (n,), for the seeds: with `seed` they fix every picture, whatever the batch.

    Returns:
        uint8 (n, H, W, 3) at the generator's size.
    """
    size = pipeline.image_size
    contexts = [
        torch.from_numpy(np.asarray(flat, np.float32)).view(len(base), *none.shape[1:])
        for flat, none in zip((vision, text), unconditional, strict=True)
    ]
    empty = [torch.as_tensor(none, dtype=torch.float32) for none in unconditional]
    pictures = []
    for start in range(0, len(base), batch):
        part = slice(start, start + batch)
        images = pipeline(
            enlarge(base[part], size),
            contexts[0][part],
            contexts[1][part],
            *empty,
            strength=strength,
            mixing=mixing,
            guidance_scale=guidance_scale,
            steps=steps,
            generators=[seeds.generator(seed, int(i), "reconstruction") for i in nsd_ids[part]],
        )
        pictures.append(((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1))
        logger.info("%d of %d pictures", min(start + batch, len(base)), len(base))
    return torch.cat(pictures).numpy()
