"""Features of pictures and captions, by the models."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from neural_recon.core import random_streams

# importing CLIP takes seconds: only who loads it pays
if TYPE_CHECKING:
    from neural_recon.models.clip import ClipContexts
    from neural_recon.models.vdvae import VDVAE

logger = logging.getLogger(__name__)

BLOCK = 64  # pictures between two lines in the log


def vdvae_features(
    model: VDVAE, pictures: np.ndarray, image_ids: np.ndarray, layers: int, latents: str, seed: int
) -> np.ndarray:
    """Latents of the first layers, float32 (n, D), of pictures uint8 (n, H, W, 3).

    Pictures pass PIL's bilinear filter to the model's size, as in the published decoder. `latents` is
    "mean" (the posterior's) or "sample" (one draw, seeded by run and image).
    """
    size, rows = model.hparams.image_size, []
    for part in _blocks(len(pictures)):
        small = np.stack(
            [
                np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))
                for picture in pictures[part]
            ]
        )
        drawing = [random_streams.generator(seed, int(i), "vdvae posterior") for i in image_ids[part]]
        rows.append(model.encode(small, layers, generators=drawing if latents == "sample" else None))
    return np.concatenate(rows)


def vision_features(clip: ClipContexts, pictures: np.ndarray) -> np.ndarray:
    """Vision contexts, float32 (n, tokens, C), of pictures uint8 (n, H, W, 3)."""
    return np.concatenate([clip.vision(pictures[part]) for part in _blocks(len(pictures))])


def text_features(clip: ClipContexts, captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Text contexts, float32 (n, tokens, C): the mean over each image's captions.

    An image without captions gets the context of the empty caption; mark it as missing.
    """
    counts = [max(1, len(texts)) for texts in captions]
    tokens = clip.text([text for texts in captions for text in (texts or [""])])
    starts = np.cumsum([0, *counts[:-1]])
    return np.add.reduceat(tokens, starts, axis=0) / np.array(counts, np.float32)[:, None, None]


def _blocks(n: int) -> Iterator[slice]:
    """Blocks of pictures, with a line in the log after each."""
    for start in range(0, n, BLOCK):
        yield slice(start, start + BLOCK)
        logger.info("%d of %d pictures", min(start + BLOCK, n), n)
