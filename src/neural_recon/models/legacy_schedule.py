"""Euler's steps over the noise levels of Stability AI's generative-models, their "legacy" discretization."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler

from neural_recon.models.denoising import LEAST_VARIANCE, MOST_VARIANCE

LEVELS = 1000  # that the network was trained on


class LegacyEuler(EulerDiscreteScheduler):  # type: ignore[misc]
    """Levels are at equal distances, from the highest, 999, to one distance above 0, cut to whole numbers.

    At 38 steps that is sigma 14.61, 12.44, ..., 0.158, then 0; every one is a level of the training, as
    which the network is told it.
    """

    def __init__(self) -> None:
        super().__init__(num_train_timesteps=LEVELS)
        # in double precision, as published: diffusers multiplies a thousand numbers in single precision
        betas = np.linspace(LEAST_VARIANCE**0.5, MOST_VARIANCE**0.5, LEVELS) ** 2
        self.alphas_cumprod = torch.from_numpy(np.cumprod(1 - betas))

    def set_timesteps(self, num_inference_steps: int, *_: Any, **__: Any) -> None:
        """Take `num_inference_steps` of the levels."""
        levels = np.linspace(LEVELS - 1, 0, num_inference_steps, endpoint=False).astype(int)
        super().set_timesteps(timesteps=levels.tolist())
