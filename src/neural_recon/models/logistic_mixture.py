"""Mixtures of discretised logistics over 8-bit pixels (Salimans et al. 2017), as VDVAE ends in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from neural_recon.core import random_streams

MIN_LOG_SCALE = -7.0
# The published uniform draws keep this far from 0 and 1, where their logarithms blow up.
EDGE = 1e-5


def parameters(logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Split (n, H, W, 10 k) into the log weights (n, H, W, k) of k discretised logistics (Salimans et al.
    2017) and, each (n, H, W, 3, k), their means, log scales and the coefficients between the channels, these
    before their tanh."""
    k = logits.shape[-1] // 10
    means, log_scales, coefficients = logits[..., k:].unflatten(-1, (3, 3 * k)).split(k, dim=-1)
    return logits[..., :k].log_softmax(-1), means, log_scales.clamp(min=MIN_LOG_SCALE), coefficients


def log_likelihood(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-likelihood in nats a dimension, (n,), of 8-bit pictures scaled to [-1, 1].

    Args:
        logits: (n, H, W, 10 k).
        targets: (n, H, W, 3).
    """
    log_weights, means, log_scales, coefficients = parameters(logits)
    coefficients = coefficients.tanh()
    x = targets[..., None]
    red, green = x[..., 0, :], x[..., 1, :]
    zero = torch.zeros_like(means[..., 0, :])
    shifts = [
        zero,
        coefficients[..., 0, :] * red,
        coefficients[..., 1, :] * red + coefficients[..., 2, :] * green,
    ]
    centred = x - means - torch.stack(shifts, dim=-2)
    precision = (-log_scales).exp()
    upper, lower = precision * (centred + 1 / 255), precision * (centred - 1 / 255)
    share = upper.sigmoid() - lower.sigmoid()
    # far out in a tail the share underflows: the density in the middle times the bin's width stands for it
    middle = precision * centred
    density = middle - log_scales - 2 * F.softplus(middle) - np.log(127.5)
    inside = torch.where(share > 1e-5, share.clamp(min=1e-12).log(), density)
    log_shares = torch.where(
        x < -0.999, F.logsigmoid(upper), torch.where(x > 0.999, F.logsigmoid(-lower), inside)
    )
    pixels = (log_weights + log_shares.sum(dim=-2)).logsumexp(-1)
    return pixels.sum(dim=(1, 2)) / targets[0].numel()


def values(logits: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:
    """Pixel values in [-1, 1], (n, H, W, 3): the most probable component's mean, or draws."""
    log_weights, means, log_scales, coefficients = parameters(logits)
    if generators is not None:
        log_weights = log_weights - (-_inside(generators, log_weights).log()).log()
    chosen = log_weights.argmax(-1)[..., None, None].expand(*means.shape[:-1], 1)
    x = means.gather(-1, chosen)[..., 0]
    if generators is not None:
        x = x + log_scales.gather(-1, chosen)[..., 0].exp() * _inside(generators, x).logit()
    coefficients = coefficients.gather(-1, chosen)[..., 0].tanh()
    red = x[..., 0].clamp(-1, 1)
    green = (x[..., 1] + coefficients[..., 0] * red).clamp(-1, 1)
    blue = (x[..., 2] + coefficients[..., 1] * red + coefficients[..., 2] * green).clamp(-1, 1)
    return torch.stack([red, green, blue], dim=-1)


def _inside(generators: Sequence[torch.Generator], like: torch.Tensor) -> torch.Tensor:
    return (EDGE + (1 - 2 * EDGE) * random_streams.uniform(generators, like.shape[1:])).to(like)
