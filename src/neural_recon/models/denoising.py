"""The one sampling loop of every diffusion model that paints: which noise levels are run, and how.

Networks and schedulers come from their owners; schedulers are those of diffusers, or have the same methods.
Nothing of torch is imported before a loop runs. The prior of tokens has its own samplers (`diffusion_prior`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Stable Diffusion's noise and DDIM over it (Rombach et al. 2022), which Versatile Diffusion shares: what a
# folder's scheduler configuration leaves open is so.
LEAST_VARIANCE, MOST_VARIANCE = 0.00085, 0.012  # added at the first and the last of the levels
STABLE_DIFFUSION = {
    "beta_start": LEAST_VARIANCE,
    "beta_end": MOST_VARIANCE,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}

# (n, C, h, w) and a timestep to the network's output, of a batch of images or, guided, of twice as many rows
Predict = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
# the outputs without and with guidance to the one that is used
Guide = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
# the output, its timestep and the latents to the next latents
Step = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def steps_run(strength: float, steps: int) -> int:
    """Of `steps` at strength 1, the whole number that is run: 0.58 * 50, or 28.999999999999996, is 29."""
    return int(strength * steps + 1e-6)


def timesteps(
    scheduler: Any, strength: float, steps: int, lead: int = 0
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The timestep to noise to (None: pure noise), and those to denoise at, falling.

    Sets the scheduler to these steps; one that counts them (Euler, DPM-Solver) is told where they begin, or
    its last step would be taken for another one.

    Args:
        scheduler: from now on it belongs to one batch of images.
        strength: the share of the steps that is run; 1: from pure noise.
        steps: of the full schedule.
        lead: how many steps above the first denoised one the start is noised to: 0 as diffusers does, 1 as
            the code of Stable Diffusion, Versatile Diffusion and of who built on these does.
    """
    scheduler.set_timesteps(steps)
    every = scheduler.timesteps
    begin = len(every) - steps_run(strength, steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    return None if strength == 1 else every[begin - lead], every[begin:]


def start(
    scheduler: Any, latents: torch.Tensor | None, noise: torch.Tensor, timestep: torch.Tensor | None
) -> torch.Tensor:
    """What denoising starts from: `latents` noised to a timestep, or pure noise, (n, C, h, w) float32."""
    if latents is None or timestep is None:
        return noise * scheduler.init_noise_sigma
    return scheduler.add_noise(latents, noise, timestep.reshape(1).expand(len(noise)))


def denoise(
    latents: torch.Tensor,
    scheduler: Any,
    steps: torch.Tensor,
    predict: Predict,
    guide: Guide | None,
    step: Step | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the float32 latents (n, C, h, w) after each step.

    Args:
        latents: (n, C, h, w), as `start` gives them.
        scheduler, steps: as `timesteps` left and gave them.
        predict: the network. With `guide` it gets each image twice, all of them unguided, then all guided.
        guide: from the outputs without and with guidance to the one that is used; None: one pass, guided.
        step: (output, timestep, latents) to the next latents; None: the scheduler's own step.
    """
    import torch

    return torch.no_grad()(_steps)(latents, scheduler, steps, predict, guide, step)


def _steps(
    latents: torch.Tensor,
    scheduler: Any,
    steps: torch.Tensor,
    predict: Predict,
    guide: Guide | None,
    step: Step | None,
) -> Iterator[torch.Tensor]:
    import torch

    for timestep in steps:
        rows = torch.cat([latents, latents]) if guide else latents
        output = predict(scheduler.scale_model_input(rows, timestep), timestep).float()
        if guide:
            output = guide(*output.chunk(2))
        if step:
            latents = step(output, timestep, latents)
        else:
            latents = scheduler.step(output, timestep, latents).prev_sample
        yield latents


def classifier_free(scale: float) -> Guide | None:
    """Classifier-free guidance (Ho & Salimans 2021); None at scale 1, which needs no unguided pass."""
    return None if scale == 1 else lambda without, given: without + scale * (given - without)


def rescaled(scale: float, share: float) -> Guide:
    """Classifier-free guidance, of which a share is brought back to the deviation of the guided output.

    Lin et al. (2024, Common diffusion noise schedules and sample steps are flawed). Deviations are each
    image's own, so that no picture depends on what is painted alongside it.
    """

    def guide(without: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        output = without + scale * (given - without)
        own = tuple(range(1, output.ndim))
        spread = given.std(own, keepdim=True) / (output.std(own, keepdim=True) + 1e-9)
        return output * (share * spread + 1 - share)

    return guide
