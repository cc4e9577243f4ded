"""Checks of what a diffusion model is given: ValueErrors with the name, what was expected and found."""

from __future__ import annotations

from collections.abc import Sequence

import torch

# contexts: vision, text, and the unconditional ones of both
Given = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def expect(condition: bool, name: str, expected: object, found: object) -> None:
    """Raise a ValueError about an argument unless the condition holds."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, found {found}")


def check_finite(values: torch.Tensor, name: str) -> None:
    """No NaN or infinity."""
    expect(bool(torch.isfinite(values).all()), name, "finite numbers", "NaN or infinity")


def check_strength(strength: float) -> None:
    """A share of the steps."""
    expect(0 < strength <= 1, "strength", "a number in (0, 1]", strength)


def check_generators(n: int, generators: Sequence[torch.Generator] | None) -> None:
    """One random generator per image, or none at all."""
    if generators is not None:
        expect(len(generators) == n, "generators", f"{n}, one per image", len(generators))


def check_noise(
    n: int,
    noise: torch.Tensor | None,
    generators: Sequence[torch.Generator] | None,
    shape: Sequence[int],
    any_size: bool,
) -> None:
    """Noise for n images of latents (C, h, w) = `shape`, of another height and width where `any_size`."""
    if noise is None:
        expect(generators is not None, "noise", "noise or generators", None)
        return
    wanted = (n, shape[0], *(noise.shape[2:] if any_size else shape[1:]))
    expect(noise.ndim == 4 and tuple(noise.shape) == wanted, "noise", wanted, tuple(noise.shape))
    check_finite(noise, "noise")


def check_base(n: int, base: torch.Tensor, multiple: int) -> None:
    """Pictures (n, 3, H, W) in [-1, 1] whose sides are multiples of the autoencoder's factor."""
    fits = base.ndim == 4 and base.shape[:2] == (n, 3) and not any(s % multiple for s in base.shape[2:])
    wanted = f"({n}, 3, H, W), H and W multiples of {multiple}"
    expect(fits and base.numel() > 0, "base", wanted, tuple(base.shape))
    low, high = base.min().item(), base.max().item()
    expect(low >= -1.001 and high <= 1.001, "base", "values in [-1, 1]", f"[{low:g}, {high:g}]")


def check_latents(latents: torch.Tensor, channels: int) -> None:
    """Latents (n, channels, h, w) of at least one image."""
    fits = latents.ndim == 4 and len(latents) > 0 and latents.shape[1] == channels
    expect(fits, "latents", f"(n, {channels}, h, w)", tuple(latents.shape))
    check_finite(latents, "latents")


def check_guidance(n: int, contexts: Given, width: int, mixing: float, guidance_scale: float) -> None:
    """What n images are guided by: contexts of `width` values per token, their weights, how strongly."""
    names = ("vision", "text", "uncond_vision", "uncond_text")
    for name, context, rows in zip(names, contexts, ((n,), (n,), (1, n), (1, n)), strict=True):
        if context is None:
            expect(guidance_scale == 1, name, "a context, as guidance_scale is not 1", None)
            continue
        fits = context.ndim == 3 and len(context) in rows and context.shape[2] == width
        expect(fits, name, f"({' or '.join(map(str, rows))}, tokens, {width})", tuple(context.shape))
        check_finite(context, name)
    vision, text, uncond_vision, uncond_text = contexts
    for name, one, other in (("uncond_vision", uncond_vision, vision), ("uncond_text", uncond_text, text)):
        if one is not None:
            expect(one.shape[1] == other.shape[1], name, f"{other.shape[1]} tokens", one.shape[1])
    expect(0 <= mixing <= 1, "mixing", "a number in [0, 1]", mixing)
    expect(0 <= guidance_scale < float("inf"), "guidance_scale", "a number >= 0", guidance_scale)
