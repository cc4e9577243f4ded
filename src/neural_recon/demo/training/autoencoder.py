"""The demo's autoencoder: diffusers' AutoencoderKL, f = 8, pictures of 128 x 128 to latents of 4 x 16 x 16.

It grows (Karras et al. 2018), as a picture of half the side costs a quarter. First an autoencoder with f = 4
learns pictures of 64 x 64. Then it gets one more level: the larger encoder learns the latents of the first
from pictures of twice the side, the larger decoder to draw these from the same latents.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn.functional import interpolate

from neural_recon.demo.training.loop import Loss, Schedule, autocast, fit

INNER: dict[str, Any] = {
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
CONFIG = INNER | {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [24, 24, 48, 96],
    "sample_size": 128,
}
CROPS = Schedule(steps=6000, learning_rate=1e-3, batch=16)
WHOLE = Schedule(steps=1200, learning_rate=4e-4, batch=8)
GROWN_CROPS = Schedule(steps=5000, learning_rate=1e-3, batch=16)
GROWN_WHOLE = Schedule(steps=1000, learning_rate=4e-4, batch=8)
KL_WEIGHT = 1e-5
LATENTS = 4.0  # weight of the error of latents, in units of their own spread
# base images are smooth: one in four pictures reaches the larger encoder from a side this many times smaller
SMOOTHED, REDUCED = 4, (2, 4, 8)


def to_tensor(pictures: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences between neighbouring pixels, down and across."""
    return x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]


def _error(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is minimised between pictures and those drawn again, and the PSNR in dB."""
    # the edge term keeps outlines, which a plain error blurs first
    edges = sum((a - b).abs().mean() for a, b in zip(_edges(x), _edges(y), strict=True))
    squared = (x - y).square().mean()
    return (x - y).abs().mean() + squared + 0.5 * edges, 10 * torch.log10(4 / squared)


def _crops(pictures: np.ndarray, side: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    """A batch of pictures, of each the same square of `side` pixels."""
    chosen = pictures[rng.integers(len(pictures), size=batch)]
    top, left = rng.integers(pictures.shape[1] - side + 1, size=2)
    return chosen[:, top : top + side, left : left + side]


def train(
    pictures: np.ndarray, large: np.ndarray, folder: Path, device: torch.device
) -> tuple[AutoencoderKL, float]:
    """Train on small pictures (n, 64, 64, 3), then on large ones (n, 128, 128, 3); of each size first on
    crops of half the side (four times as many a second), then on whole pictures.

    Returns:
        Also the factor that scales latents to unit spread.
    """
    inner = AutoencoderKL(**INNER).to(device)

    def loss_at(side: int, batch: int) -> Loss:
        def loss(_step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
            x = to_tensor(_crops(pictures, side, batch, rng), device)
            with autocast(device):
                posterior = inner.encode(x).latent_dist
                y = inner.decode(posterior.sample()).sample.float()
            error, psnr = _error(x, y)
            kl = posterior.kl().float().mean() / x[0].numel()
            return {"loss": error + KL_WEIGHT * x[0].numel() * kl / 1024, "psnr": psnr, "kl": kl}

        return loss

    crops = fit("autoencoder_crops", inner, loss_at(32, CROPS.batch), CROPS, folder)
    inner.load_state_dict(crops.state_dict())
    inner = fit("autoencoder", inner, loss_at(64, WHOLE.batch), WHOLE, folder, seed=1)
    grown = grow(inner, _scale(inner, pictures[:1000], device), large, folder, device)
    return grown, _scale(grown, large[:1000], device)


@torch.no_grad()
def _scale(model: AutoencoderKL, pictures: np.ndarray, device: torch.device) -> float:
    """The factor that brings the latents of pictures to unit spread."""
    latents = [
        model.encode(to_tensor(pictures[start : start + 100], device)).latent_dist.mean
        for start in range(0, len(pictures), 100)
    ]
    return float(1 / torch.cat(latents).std())


def grow(
    inner: AutoencoderKL, scale: float, pictures: np.ndarray, folder: Path, device: torch.device
) -> AutoencoderKL:
    """An autoencoder for pictures (n, 128, 128, 3), with the latents that `inner` has at half their side.

    Args:
        scale: brings these latents to unit spread.
    """
    model = AutoencoderKL(**CONFIG).to(device)
    model.load_state_dict(_taken_over(inner.state_dict()), strict=False)

    def loss_at(side: int, batch: int) -> Loss:
        def loss(_step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
            x = to_tensor(_crops(pictures, side, batch, rng), device)
            smooth = max(1, batch // SMOOTHED)
            x[:smooth] = _through(x[:smooth], side // int(rng.choice(REDUCED)))
            with autocast(device):
                with torch.no_grad():
                    wanted = inner.encode(_resized(x, side // 2)).latent_dist
                found = model.encode(x).latent_dist
                y = model.decode(wanted.sample()[smooth:]).sample.float()
            error, psnr = _error(x[smooth:], y)
            off = ((found.mean - wanted.mean) * scale).square().mean()
            spread = (found.logvar - wanted.logvar).square().mean()
            return {"loss": error + LATENTS * off + 0.01 * spread, "psnr": psnr, "latents": off}

        return loss

    crops = fit("grown_crops", model, loss_at(64, GROWN_CROPS.batch), GROWN_CROPS, folder, seed=2)
    model.load_state_dict(crops.state_dict())
    return fit("grown", model, loss_at(128, GROWN_WHOLE.batch), GROWN_WHOLE, folder, seed=3)


def _taken_over(inner: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a smaller autoencoder under their names in the larger one: but those that see pixels."""
    found = {}
    for name, tensor in inner.items():
        part, _, rest = name.partition(".down_blocks.")
        if rest:
            level, _, rest = rest.partition(".")
            name = f"{part}.down_blocks.{int(level) + 1}.{rest}"
        if not name.startswith(("encoder.conv_in.", "decoder.conv_out.", "decoder.conv_norm_out.")):
            found[name] = tensor
    return found


def _resized(x: torch.Tensor, side: int) -> torch.Tensor:
    return interpolate(x, size=(side, side), mode="bilinear", antialias=True)


def _through(x: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures as they are after they were reduced to `side`."""
    return interpolate(_resized(x, side), size=x.shape[2:], mode="bicubic").clamp(-1, 1)
