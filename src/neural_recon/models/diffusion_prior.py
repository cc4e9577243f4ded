"""The diffusion prior of MindEye1 and MindEye2: from tokens decoded from a brain to CLIP's tokens.

Noise schedule, loss and samplers as in MedARC-AI/MindEyeV2, on dalle2-pytorch 1.15.6; the network is
`prior_transformer`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from neural_recon.core.random_streams import normal
from neural_recon.models.cosine_schedule import cosine
from neural_recon.models.prior_transformer import PriorNetwork, PriorSizes


class Draws(NamedTuple):
    """What one evaluation of the loss draws."""

    times: torch.Tensor  # int64 (n,)
    noise: torch.Tensor  # (n, tokens, width)
    keep_brain: torch.Tensor  # bool (n,): False where the condition is dropped
    keep_image: torch.Tensor  # bool (n,)


class Schedule(NamedTuple):
    """The cosine schedule's numbers for each time, float64 (timesteps,)."""

    betas: torch.Tensor
    alpha_bars: torch.Tensor
    previous: torch.Tensor  # alpha-bars of the time before; 1 for the first

    def noisy(self, values: torch.Tensor, times: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Values (n, tokens, width) with the noise of the times (n,)."""
        kept, added = (
            part.sqrt().float().to(values.device)[times][:, None, None]
            for part in (self.alpha_bars, 1 - self.alpha_bars)
        )
        return kept * values + added * noise


@functools.cache
def schedule(timesteps: int) -> Schedule:
    """The cosine schedule (Nichol & Dhariwal 2021)."""
    with torch.device("cpu"):
        places = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64) / timesteps
        bars = cosine(places)
        betas = (1 - bars[1:] / bars[:-1]).clamp(0, 0.999)
        products = torch.cumprod(1 - betas, 0)
        previous = functional.pad(products[:-1], (1, 0), value=1.0)
    return Schedule(betas, products, previous)


class DiffusionPrior(nn.Module):
    """The network, its loss and its samplers."""

    def __init__(self, sizes: PriorSizes):
        super().__init__()
        self.sizes = sizes
        self.net = PriorNetwork(sizes)
        self.scale = sizes.width**0.5 if sizes.scaled else 1.0

    def draws(self, n: int, generator: torch.Generator) -> Draws:
        """What the loss of n images needs, from a CPU generator, on the CPU."""
        sizes = self.sizes
        times = torch.randint(sizes.timesteps, (n,), generator=generator)
        noise = torch.randn(n, sizes.tokens, sizes.width, generator=generator)
        brain, image = (torch.rand(n, generator=generator) < 1 - sizes.drop for _ in range(2))
        return Draws(times, noise, brain, image)

    def loss(
        self, targets: torch.Tensor, condition: torch.Tensor, draws: Draws
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean squared error of the prediction, a scalar, and the prediction in the targets' units.

        Args:
            targets: image tokens (n, tokens, width).
            condition: the brain's tokens (n, tokens, width).
            draws: on any device.
        """
        times, noise, keep_brain, keep_image = (part.to(targets.device) for part in draws)
        scaled = targets * self.scale
        noisy = schedule(self.sizes.timesteps).noisy(scaled, times, noise)
        predicted = self.net(noisy, times, condition, keep_brain, keep_image)
        return functional.mse_loss(predicted, scaled), predicted / self.scale

    def sample(
        self, condition: torch.Tensor, generators: Sequence[torch.Generator], steps: int = 20
    ) -> torch.Tensor:
        """Image tokens (n, tokens, width) for the brain's tokens.

        Args:
            condition: (n, tokens, width).
            generators: CPU generators, one per image.
            steps: fewer than the schedule's: DDIM with eta 1, one evaluation fewer, as published; as many
                as the schedule's: DDPM.
        """
        shape = condition.shape[1:]
        return self.sample_with(condition, lambda: normal(generators, shape).to(condition.device), steps)

    @torch.no_grad()
    def sample_with(
        self, condition: torch.Tensor, draw: Callable[[], torch.Tensor], steps: int
    ) -> torch.Tensor:
        """`sample` with a function that gives standard normal noise (n, tokens, width) on its device."""
        total = self.sizes.timesteps
        if not 2 <= steps <= total:
            raise ValueError(f"steps: expected 2 to {total}, found {steps}.")
        run = self._ddim if steps < total else self._ddpm
        return run(condition, draw, steps) / self.scale

    def _predicted(self, rows: torch.Tensor, time: int, condition: torch.Tensor) -> torch.Tensor:
        times = torch.full((len(rows),), time, device=rows.device)
        return self.net(rows, times, condition).float()

    def _ddim(self, condition: torch.Tensor, draw: Callable[[], torch.Tensor], steps: int) -> torch.Tensor:
        # in float32, as released: the chain amplifies what differs
        _, bars, previous = (numbers.float().tolist() for numbers in schedule(self.sizes.timesteps))
        times = torch.linspace(-1, self.sizes.timesteps, steps + 1)[:-1].int().tolist()[::-1]
        rows = draw()
        for time, following in itertools.pairwise(times):
            clean = self._predicted(rows, time, condition)
            if following < 0:
                break
            # as released: steps go by the alpha-bars of the times before, the noise by the time's own
            here, there, bar = previous[time], previous[following], bars[time]
            noise = (rows - bar**0.5 * clean) / (1 - bar) ** 0.5
            fresh = ((1 - here / there) * (1 - there) / (1 - here)) ** 0.5
            rows = there**0.5 * clean + fresh * draw() + (1 - there - fresh**2) ** 0.5 * noise
        return clean

    def _ddpm(self, condition: torch.Tensor, draw: Callable[[], torch.Tensor], steps: int) -> torch.Tensor:
        betas, bars, previous = (numbers.tolist() for numbers in schedule(steps))
        rows = draw()
        for time in reversed(range(steps)):
            clean = self._predicted(rows, time, condition)
            beta, bar, before = betas[time], bars[time], previous[time]
            mean = beta * before**0.5 / (1 - bar) * clean
            mean = mean + (1 - before) * (1 - beta) ** 0.5 / (1 - bar) * rows
            deviation = (beta * (1 - before) / (1 - bar)) ** 0.5  # 0 at time 0
            rows = mean + deviation * draw()
        return rows
