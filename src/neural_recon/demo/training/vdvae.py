"""The demo's VDVAE at 64 x 64: the published architecture with fewer and narrower blocks."""

from pathlib import Path

import numpy as np
import torch

from neural_recon.demo.training.loop import Schedule, fit
from neural_recon.models.vdvae import VDVAE

SCHEDULE = Schedule(steps=2600, learning_rate=1e-3, batch=8)
HPARAMS = {
    "image_size": 64,
    "image_channels": 3,
    "width": 64,
    "zdim": 8,
    "bottleneck_multiple": 0.25,
    "no_bias_above": 64,
    "num_mixtures": 4,
    "enc_blocks": "64x1,64d2,32x2,32d2,16x3,16d2,8x3,8d2,4x2,4d4,1x2",
    "dec_blocks": "1x1,4m1,4x2,8m4,8x3,16m8,16x4,32m16,32x2,64m32",
}


def train(pictures: np.ndarray, folder: Path, device: torch.device) -> VDVAE:
    """Train by the evidence lower bound (Child 2021)."""
    model = VDVAE(HPARAMS).to(device)

    def loss(_step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        distortion, rate = model.loss(pictures[rng.integers(len(pictures), size=SCHEDULE.batch)])
        return {"loss": distortion + rate, "distortion": distortion, "rate": rate}

    return fit("vdvae", model, loss, SCHEDULE, folder)
