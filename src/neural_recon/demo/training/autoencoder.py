"""The demo's autoencoder: diffusers' AutoencoderKL, f = 4, pictures of 64 x 64 to latents of 4 x 16 x 16."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from neural_recon.demo.training.loop import Loss, Schedule, fit

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [24, 48, 96],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
    "sample_size": 64,
}
CROPS = Schedule(steps=6000, learning_rate=1e-3, batch=16)
WHOLE = Schedule(steps=1200, learning_rate=4e-4, batch=8)
KL_WEIGHT = 1e-5


def to_tensor(pictures: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences between neighbouring pixels, down and across."""
    return x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]


def train(pictures: np.ndarray, folder: Path, device: torch.device) -> AutoencoderKL:
    """Train on 32 x 32 crops first (four times as many a second), then on whole pictures."""
    model = AutoencoderKL(**CONFIG).to(device)

    def loss_at(size: int, batch: int) -> Loss:
        def loss(_step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
            chosen = pictures[rng.integers(len(pictures), size=batch)]
            top, left = rng.integers(64 - size + 1, size=2)
            x = to_tensor(chosen[:, top : top + size, left : left + size], device)
            with torch.autocast(device.type, torch.bfloat16):
                posterior = model.encode(x).latent_dist
                y = model.decode(posterior.sample()).sample.float()
            # the edge term keeps outlines, which a plain error blurs first
            edges = sum((a - b).abs().mean() for a, b in zip(_edges(x), _edges(y), strict=True))
            error = (x - y).abs().mean()
            squared = (x - y).square().mean()
            kl = posterior.kl().float().mean() / x[0].numel()
            psnr = 10 * torch.log10(4 / squared)
            total = error + squared + 0.5 * edges + KL_WEIGHT * x[0].numel() * kl / 1024
            return {"loss": total, "psnr": psnr, "kl": kl}

        return loss

    model.load_state_dict(
        fit("autoencoder_crops", model, loss_at(32, CROPS.batch), CROPS, folder).state_dict()
    )
    return fit("autoencoder", model, loss_at(64, WHOLE.batch), WHOLE, folder, seed=1)
