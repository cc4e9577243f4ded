"""Stable Cascade's noise: a cosine in the place r from 1 (noise) to 0, moved by a shift, and DDPM's step.

The published sampler in the words of the one loop (`denoising`); float32, whatever the network's precision.
"""

from __future__ import annotations

import math

import torch

S = 0.008  # of the cosine
LEAST, MOST = 1e-4, 1 - 1e-4  # alpha-bar
AT_ZERO = torch.cos(torch.tensor(S / (1 + S) * math.pi / 2)) ** 2


def cosine(places: torch.Tensor) -> torch.Tensor:
    """alpha-bar at places from 0 to 1 (noise), not divided by its value at 0 (Nichol & Dhariwal 2021)."""
    return torch.cos((places + S) / (1 + S) * torch.pi * 0.5).clamp(0, 1) ** 2


def log_snr(places: torch.Tensor, shift: float) -> torch.Tensor:
    """log(alpha-bar / (1 - alpha-bar)) at places in [0, 1]; with a shift above 1 there is more noise."""
    bars = (cosine(places) / AT_ZERO).clamp(LEAST, MOST)
    limit = math.log(MOST / LEAST)
    return ((bars / (1 - bars)).log() - 2 * math.log(shift)).clamp(-limit, limit)


def told(levels: torch.Tensor) -> torch.Tensor:
    """What the network is told of noise levels: where the cosine without a shift has them."""
    angle = (levels.sigmoid() * AT_ZERO).sqrt().acos()
    return (angle / (torch.pi * 0.5) * (1 + S) - S).clamp(0, 1)


class CosineSchedule:
    """One batch's run down the schedule; `timesteps` are what the network is told.

    Args:
        shift: of the sampler.
        start_shift: of the noise that a start is given; None: the same.
    """

    init_noise_sigma = 1.0

    def __init__(self, shift: float = 1.0, start_shift: float | None = None):
        self.shift, self.start_shift = shift, shift if start_shift is None else start_shift

    def set_timesteps(self, steps: int) -> None:
        places = torch.linspace(1, 0, steps + 1)
        levels = log_snr(places, self.shift)
        # the last level is that of the result: almost, but not quite, without noise
        self.alpha_bars, self.timesteps = levels.sigmoid(), told(levels)[:-1]
        self.start_alpha_bars = log_snr(places, self.start_shift).sigmoid()
        self._done = 0

    def set_begin_index(self, begin: int) -> None:
        self._done = begin

    def scale_model_input(self, rows: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return rows

    def add_noise(
        self,
        latents: torch.Tensor,
        noise: torch.Tensor,
        timestep: torch.Tensor,  # noqa: ARG002 - of where it begins
    ) -> torch.Tensor:
        bar = self.start_alpha_bars[self._done]
        return latents * bar.sqrt() + noise * (1 - bar).sqrt()

    def step(self, output: torch.Tensor, latents: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """DDPM's next latents of predicted noise; eta 1: `noise` is added at every step, the last, too."""
        bar, following = self.alpha_bars[self._done], self.alpha_bars[self._done + 1]
        self._done += 1
        clean = (latents - output * (1 - bar).sqrt()) / bar.sqrt()
        variance = (1 - following) / (1 - bar) * (1 - bar / following)
        return (
            following.sqrt() * clean
            + (1 - following - variance).sqrt() * output
            + variance.sqrt() * noise.to(latents.device)
        )
