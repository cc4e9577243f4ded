"""The autoencoders of latent diffusion (Rombach et al. 2022): pictures to scaled latents and back."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from neural_recon.core import random_streams
from neural_recon.models.device_memory import Tensors, load_part

# Names that the attention had in older versions of diffusers, and has in published files.
OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def load(folder: Path, device: str | torch.device) -> AutoencoderKL:
    """The autoencoder of a folder, in float32: in half precision its decoder overflows.

    Raises:
        InputError: a file is missing, or its tensors have other names or shapes.
    """
    return load_part(AutoencoderKL, folder, device=device, renamed=renamed)


def encode(
    vae: AutoencoderKL, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None
) -> torch.Tensor:
    """Scaled latents (n, C, h, w) of pictures (n, 3, H, W) in [-1, 1], both on the autoencoder's device.

    The mean of the posterior, or a draw from it with one CPU generator per image.
    """
    posterior = vae.encode(pictures).latent_dist
    latents = posterior.mean
    if generators is not None:
        noise = random_streams.normal(generators, latents.shape[1:])
        latents = latents + posterior.std * noise.to(latents.device)
    return latents * vae.config.scaling_factor


def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, H, W), clamped to [-1, 1], of scaled latents (n, C, h, w)."""
    return vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0].clamp(-1, 1)


def renamed(tensors: Tensors) -> Tensors:
    """A file's tensors under the names that today's diffusers gives them."""
    found = {}
    for name, tensor in tensors.items():
        if ".attentions." in name:
            for old, new in OLD_ATTENTION.items():
                name = name.replace(old, new)
        found[name] = tensor
    return found
