"""From predicted features to pictures: the base image, and what diffusion makes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from neural_recon.core import random_streams
from neural_recon.core.errors import InputError

# importing the generator takes seconds, which base images alone do not need
if TYPE_CHECKING:
    from neural_recon.models.versatile import DualGuidedPipeline

logger = logging.getLogger(__name__)

BLACK = 2  # of 255: a picture without a brighter pixel shows nothing
# What torch and the libraries below it say when memory runs out, apart from torch's own exception.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (n, H, W, 3) -> uint8 (n, size, size, 3); PIL's bicubic filter, as published."""
    large = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in images
    ]
    return np.stack(large)


def enlarge(images: np.ndarray, size: int) -> torch.Tensor:
    """uint8 (n, H, W, 3) -> float (n, 3, size, size) in [-1, 1], as `resized`."""
    return torch.from_numpy(resized(images, size)).permute(0, 3, 1, 2).float() / 127.5 - 1


def reconstruct(
    pipeline: DualGuidedPipeline,
    base: np.ndarray | None,
    vision: np.ndarray,
    text: np.ndarray,
    unconditional: tuple[np.ndarray, np.ndarray],
    image_ids: np.ndarray,
    seed: int,
    strength: float,
    mixing: float,
    guidance_scale: float,
    steps: int,
    batch: int,
    draw: int = 0,
) -> np.ndarray:
    """Paint reconstructions, one seeded generator per image: the stages of `DualGuidedPipeline`'s call.

    All images are encoded, then all denoised, then all decoded, so that a part of the model that must move
    (memory "low") moves once. Where memory runs out, a stage goes on in smaller batches.

    Args:
        base: uint8 (n, H, W, 3) base images; None: pure noise is the start, and all steps are run.
        vision, text: (n, tokens * C) predicted contexts.
        unconditional: the contexts (1, tokens, C) of a grey image and of the empty caption.
        image_ids: (n,), for the seeds: with `seed` they fix every picture, whatever the batch.
        strength, mixing, guidance_scale, steps: as for `DualGuidedPipeline`.
        batch: images at once (one, where the pipeline's memory is "low").
        draw: which of a picture's draws: each has noise of its own; the run's pictures are draw 0.

    Returns:
        uint8 (n, H, W, 3) at the generator's size.

    Raises:
        InputError: contexts or base images that are not of these images or this generator, or hold NaN or
            infinity; a picture came out black or not as numbers; even one image needs too much memory.
        ValueError: another argument out of its range, as the pipeline's call says.
    """
    n, strength = len(image_ids), 1.0 if base is None else strength
    if base is not None and (base.dtype != np.uint8 or base.ndim != 4 or base.shape[::3] != (n, 3)):
        raise InputError(
            f"base images: expected uint8 ({n}, H, W, 3), one per image to paint, found {base.dtype} "
            f"{base.shape}; decode them again."
        )
    contexts = []
    for name, flat, none in zip(("vision", "text"), (vision, text), unconditional, strict=True):
        width = pipeline.context_width
        if len(flat) != n:
            raise InputError(
                f"{name} contexts: expected one row for each of {n} images to paint, found {len(flat)}; "
                "predict the features again."
            )
        if none.shape[2] != width or flat.shape[1] != none.shape[1] * width:
            raise InputError(
                f"{name} contexts: expected {none.shape[1]} tokens of {width} values, as the generator has, "
                f"found {flat.shape[1]} values predicted and {none.shape[2]} a token without guidance; "
                "features and generator must come from the same weights."
            )
        contexts.append(torch.from_numpy(np.asarray(flat, np.float32)).view(-1, *none.shape[1:]))
        _check_finite(contexts[-1], image_ids, f"{name} contexts", "predict the features again")
        if not np.isfinite(none).all():
            raise InputError(
                f"{name} context without guidance: expected finite numbers, found others; compute it again."
            )
    no_vision, no_text = (torch.as_tensor(none, dtype=torch.float32) for none in unconditional)

    purpose = f"reconstruction, draw {draw}" if draw else "reconstruction"

    def noised(part: slice) -> torch.Tensor:
        generators = [random_streams.generator(seed, int(i), purpose) for i in image_ids[part]]
        large = None if base is None else enlarge(base[part], pipeline.image_size)
        return pipeline.noised(large, strength, steps, generators).cpu()

    def denoised(part: slice) -> torch.Tensor:
        given = (contexts[0][part], contexts[1][part], no_vision, no_text)
        last = pipeline.denoised(latents[part], given, strength, mixing, guidance_scale, steps)
        _check_finite(last, image_ids[part], "latents")
        return last.cpu()

    def decoded(part: slice) -> torch.Tensor:
        images = pipeline.decode(latents[part])
        _check_finite(images, image_ids[part], "a picture")
        return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)

    latents = _in_batches(pipeline, noised, n, batch, "encoded")
    latents = _in_batches(pipeline, denoised, n, batch, "denoised")
    pictures = _in_batches(pipeline, decoded, n, batch, "decoded").numpy()
    black = np.asarray(image_ids)[(pictures <= BLACK).all(axis=(1, 2, 3))]
    if len(black):
        raise InputError(f"{_pictures(black)}: expected a picture, found black; {MEND}.")
    return pictures


MEND = (
    "check that the weights belong together, and where half precision overflows on this GPU, "
    "set generator.precision to bfloat16 or float32"
)


def _in_batches(
    pipeline: DualGuidedPipeline, stage: Callable[[slice], torch.Tensor], n: int, batch: int, done: str
) -> torch.Tensor:
    """Run a stage over n images. When memory runs out, the batch halves; at one image, memory goes low."""
    rows, start = [], 0
    while start < n:
        size = 1 if pipeline.memory == "low" else batch
        part = slice(start, min(start + size, n))
        try:
            rows.append(stage(part))
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not isinstance(error, torch.OutOfMemoryError) and not any(
                text in str(error) for text in OUT_OF_MEMORY
            ):
                raise
            if size > 1:
                batch = size // 2
                logger.warning("out of memory at %d images at once: going on with %d", size, batch)
            elif pipeline.memory == "fast":
                pipeline.memory = "low"
                logger.warning("out of memory at one image: only the part in use stays on the device")
            else:
                raise InputError(
                    f"{pipeline.device}: expected memory enough for one image with generator.memory low, "
                    "found too little; end other programs on it, or run on another device."
                ) from error
        else:
            start = part.stop
            logger.info("%d of %d %s", start, n, done)
            continue
        # outside the handler, where the failed stage's tensors are let go
        torch.cuda.empty_cache()
    return torch.cat(rows)


def _check_finite(values: torch.Tensor, image_ids: np.ndarray, what: str, advice: str = MEND) -> None:
    finite = values.isfinite().flatten(1).all(1).cpu().numpy()
    if not finite.all():
        wrong = np.asarray(image_ids)[~finite]
        raise InputError(f"{_pictures(wrong)}: expected {what} of finite numbers, found others; {advice}.")


def _pictures(image_ids: np.ndarray) -> str:
    more = f" and {len(image_ids) - 1} more" if len(image_ids) > 1 else ""
    return f"reconstruction of image {int(image_ids[0])}{more}"
