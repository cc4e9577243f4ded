"""The demo's generator: a dual-flow UNet on latents, trained to predict the noise in them."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor

from neural_recon.core.files import atomic
from neural_recon.demo.training.autoencoder import to_tensor
from neural_recon.demo.training.loop import Schedule, autocast, fit
from neural_recon.models.clip import ClipContexts
from neural_recon.models.denoising import STABLE_DIFFUSION
from neural_recon.models.dual_unet import DualUNet

SCHEDULE = Schedule(steps=10_000, learning_rate=6e-4, batch=16)
CONFIG = {
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3,
    "up_block_types": ["CrossAttnUpBlock2D"] * 3,
    "block_out_channels": [64, 128, 128],
    "layers_per_block": 1,
    "cross_attention_dim": 96,
    "attention_head_dim": 4,
    "norm_num_groups": 16,
}
MIXING = 0.4  # the published weight of text, seen most often
UNCONDITIONAL = 0.1  # share of examples without contexts, for guidance
BLUNTED = 0.3  # share of examples with noise in their contexts, as contexts predicted from a brain have
MIDDLE = (150, 750)  # noise levels at which image-to-image decides what stands where: three in four examples
SNR_LIMIT = 5.0  # Hang et al. 2023: steps with little noise count less


def cache(
    pictures: np.ndarray,
    large: np.ndarray,
    texts: list[list[str]],
    clip: ClipContexts,
    vae: AutoencoderKL,
    folder: Path,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """What the UNet trains on, in float16: `latents` (n, 4, 16, 16), the autoencoder's posterior means of
    large pictures; `vision` (n, 65, 96) and `text` (n, 32, 96) contexts, text as the mean
    over an image's captions.
    """
    # named by the weights it comes from: other encoders are never trained against
    digest = hashlib.sha256()
    for module in filter(None, (vae, clip.image_encoder, clip.text_encoder)):
        for tensor in module.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
    path = folder / f"contexts_{len(pictures)}_{digest.hexdigest()[:8]}.npz"
    if not path.exists():
        latents, vision, text = [], [], []
        for start in range(0, len(pictures), 256):
            part = slice(start, start + 256)
            with torch.no_grad():
                latents.append(vae.encode(to_tensor(large[part], device)).latent_dist.mean.cpu().numpy())
            vision.append(clip.vision(pictures[part]))
            flat = clip.text([text for five in texts[part] for text in five])
            text.append(flat.reshape(-1, 5, *flat.shape[1:]).mean(1))
        with atomic(path) as temporary:
            np.savez(
                temporary,
                latents=np.concatenate(latents).astype(np.float16),
                vision=np.concatenate(vision).astype(np.float16),
                text=np.concatenate(text).astype(np.float16),
            )
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def train(
    data: dict[str, np.ndarray], scale: float, clip: ClipContexts, folder: Path, device: torch.device
) -> DualUNet:
    """Train the UNet on `cache`'s arrays, the latents times the autoencoder's `scale`."""
    model = DualUNet(CONFIG).to(device)
    # for heads this small, plain products train twice as fast in bfloat16 as the fused kernel
    for name, module in model.named_modules():
        if name.endswith(".attn1"):
            module.set_processor(AttnProcessor())
    levels = DDIMScheduler(**STABLE_DIFFUSION).alphas_cumprod.to(device)
    empty = [torch.as_tensor(context, device=device).float() for context in clip.unconditional()]
    spread = {name: float(data[name][:1000].astype(np.float32).std(0).mean()) for name in ("vision", "text")}

    def loss(_step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = rng.integers(len(data["latents"]), size=SCHEDULE.batch)
        batch = {name: torch.from_numpy(array[rows]).to(device).float() for name, array in data.items()}
        x = batch["latents"] * scale

        def column(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device).view(-1, 1, 1)

        blunted = column((rng.random(len(rows)) < BLUNTED) * rng.uniform(0, 1, len(rows)))
        dropped = column(rng.random(len(rows)) < UNCONDITIONAL)
        contexts = []
        for name, none in zip(("vision", "text"), empty, strict=True):
            noisy = batch[name] + blunted * spread[name] * torch.randn_like(batch[name])
            contexts.append(torch.lerp(noisy, none.expand_as(noisy), dropped))
        mixing = np.where(rng.random(len(rows)) < 0.6, MIXING, rng.random(len(rows))).astype(np.float32)
        middle = rng.integers(*MIDDLE, size=len(rows))
        anywhere = rng.integers(len(levels), size=len(rows))
        steps = torch.from_numpy(np.where(rng.random(len(rows)) < 0.75, middle, anywhere)).to(device)
        level = levels[steps].view(-1, 1, 1, 1)
        noise = torch.randn_like(x)
        with autocast(device):
            predicted = model(
                level.sqrt() * x + (1 - level).sqrt() * noise,
                steps,
                model.contexts(*contexts),
                torch.from_numpy(mixing).to(device),
            )
        error = (predicted.float() - noise).square().mean((1, 2, 3))
        ratio = (level / (1 - level)).flatten()
        return {"loss": (error * (SNR_LIMIT / ratio).clamp(max=1)).mean(), "error": error.mean()}

    return fit("generator", model, loss, SCHEDULE, folder)
