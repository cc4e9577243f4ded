"""From predicted features to pictures: the base image, and what diffusion makes of it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from neural_recon.core import random_streams
from neural_recon.core.errors import InputError
from neural_recon.models import denoising

if TYPE_CHECKING:
    from neural_recon.generation.diffusion import Diffusion
    from neural_recon.generation.generator import Inputs
    from neural_recon.models.device_memory import ModelParts

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


def sample(model: Diffusion, inputs: Inputs) -> np.ndarray:
    """Paint pictures by a diffusion model, one seeded CPU generator per image.

    All images are encoded, then all denoised, then all decoded, so that a part of the model that must move
    (memory "low") moves once. Where memory runs out, a stage resumes in smaller batches.

    Inputs, result and errors as of `Generator.paint`.
    """
    base, guides, image_ids, seed, draw = inputs
    n, how = len(image_ids), model.settings
    strength = 1.0 if base is None else getattr(how, "strength", 1.0)
    if base is not None and (base.dtype != np.uint8 or base.ndim != 4 or base.shape[::3] != (n, 3)):
        raise InputError(
            f"base images: expected uint8 ({n}, H, W, 3), one per image to paint, found {base.dtype} "
            f"{base.shape}; decode them again."
        )
    guide = model.guide()
    none = {name: torch.as_tensor(value, dtype=torch.float32) for name, value in model.unguided().items()}
    given = {role: _tokens(model, role, guides[role], none[role], image_ids) for role in how.guides}
    purpose = f"{model.purpose}, draw {draw}" if draw else model.purpose

    def generators(part: slice, stage: str = "") -> list[torch.Generator]:
        owners = model.noise_ids(image_ids)[part]
        return [random_streams.generator(seed, int(i), purpose + stage) for i in owners]

    def scheduled() -> tuple[Any, torch.Tensor | None, torch.Tensor]:
        scheduler = model.scheduler()
        return scheduler, *denoising.timesteps(scheduler, strength, how.steps, model.lead)

    def noised(part: slice) -> torch.Tensor:
        drawing = generators(part)
        scheduler, first, steps = scheduled()
        if base is None or first is None:
            latents, first = model.blank(drawing), steps[0]
        else:
            latents = model.encode(model.enlarged(base[part]), drawing if model.posterior else None).cpu()
        noise = model.noise(drawing, model.latent_shape() if latents is None else latents.shape[1:])
        return denoising.start(scheduler, latents, noise, first)

    def denoised(part: slice) -> torch.Tensor:
        scheduler, _, steps = scheduled()
        guides = {role: rows[part] for role, rows in given.items()}
        away = {name: rows for name, rows in none.items() if guide or name not in how.roles}
        condition = model.condition(guides, model.away(guides, away, generators(part, ", unguided")))
        drawing = generators(part, ", steps")
        run = denoising.denoise(
            model.parts.images(latents[part]),
            scheduler,
            steps,
            lambda rows, timestep: model.predict(rows, timestep, condition),
            guide,
            lambda output, timestep, now: model.step(scheduler, output, timestep, now, drawing),
        )
        last = deque(run, maxlen=1).pop()  # the others are let go as soon as the next ones are there
        _check_finite(last, image_ids[part], "latents")
        return last.cpu()

    def decoded(part: slice) -> torch.Tensor:
        images = model.decode(latents[part], generators(part, ", decoding"))
        _check_finite(images, image_ids[part], "a picture")
        return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu()

    with torch.no_grad():
        latents = _in_batches(model.parts, noised, n, how.batch, "encoded")
        latents = _in_batches(model.parts, denoised, n, how.batch, "denoised")
        pictures = _in_batches(model.parts, decoded, n, how.batch, "decoded").numpy()
    black = np.asarray(image_ids)[(pictures <= BLACK).all(axis=(1, 2, 3))]
    if len(black):
        raise InputError(f"{_pictures(black)}: expected a picture, found black; {ADVICE}.")
    return pictures


def _tokens(
    model: Diffusion, role: str, flat: np.ndarray, none: torch.Tensor, image_ids: np.ndarray
) -> torch.Tensor:
    """The guides (n, tokens, width) of n images, as wide as without guidance and, mostly, as many."""
    width = model.widths()[role]
    tokens = flat.shape[1] // width if model.any_tokens else none.shape[1]
    if len(flat) != len(image_ids):
        raise InputError(
            f"{role} guides: expected one row for each of {len(image_ids)} images to paint, found "
            f"{len(flat)}; predict the features again."
        )
    if none.shape[2] != width or flat.shape[1] != tokens * width:
        raise InputError(
            f"{role} guides: expected {tokens} tokens of {width} values, as the generator has, found "
            f"{flat.shape[1]} values predicted and {none.shape[2]} a token without guidance; features and "
            "generator must come from the same weights."
        )
    if not none.isfinite().all():
        raise InputError(
            f"{role} guides: expected finite numbers where nothing guides, found others; compute "
            "generator/unconditional.h5 again."
        )
    rows = torch.from_numpy(np.asarray(flat, np.float32)).view(-1, tokens, width)
    _check_finite(rows, image_ids, f"{role} guides", "predict the features again")
    return rows


ADVICE = (
    "check that the weights belong together, and where half precision overflows on this GPU, "
    "set generator.precision to bfloat16 or float32"
)


def _in_batches(
    parts: ModelParts, stage: Callable[[slice], torch.Tensor], n: int, batch: int, done: str
) -> torch.Tensor:
    """Run a stage over n images. When memory runs out, the batch halves; at one image, memory goes low."""
    rows, start = [], 0
    while start < n:
        size = 1 if parts.memory == "low" else batch
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
                logger.warning("out of memory at %d images at once: %d from now on", size, batch)
            elif parts.memory == "fast":
                parts.memory = "low"
                logger.warning("out of memory at one image: only the part in use stays on the device")
            else:
                raise InputError(
                    f"{parts.device}: expected memory enough for one image with generator.memory low, "
                    "found too little; end other programs on it, or run on another device."
                ) from error
        else:
            start = part.stop
            logger.info("%d of %d %s", start, n, done)
            continue
        # outside the handler, where the failed stage's tensors are let go
        torch.cuda.empty_cache()
    return torch.cat(rows)


def _check_finite(values: torch.Tensor, image_ids: np.ndarray, what: str, advice: str = ADVICE) -> None:
    finite = values.isfinite().flatten(1).all(1).cpu().numpy()
    if not finite.all():
        wrong = np.asarray(image_ids)[~finite]
        raise InputError(f"{_pictures(wrong)}: expected {what} of finite numbers, found others; {advice}.")


def _pictures(image_ids: np.ndarray) -> str:
    more = f" and {len(image_ids) - 1} more" if len(image_ids) > 1 else ""
    return f"reconstruction of image {int(image_ids[0])}{more}"
