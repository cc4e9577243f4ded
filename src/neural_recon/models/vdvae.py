"""VDVAE, the very deep variational autoencoder of Child 2021, with the names of the published checkpoints.

Bottom up, an encoder leaves one activation a resolution. Top down, every decoder block adds a latent:
drawn from a posterior that sees the activation, or given, or from the prior. Coarse layers come first, so
that a picture can be rebuilt from the first few alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import nn

from neural_recon.core import random_streams
from neural_recon.models import checkpoints, logistic_mixture
from neural_recon.models.vdvae_blocks import Decoder, Encoder, Hparams, parse_blocks

# Mean and standard deviation of ImageNet's 64 x 64 pictures, in 8-bit units: the model's input scaling.
INPUT_SHIFT, INPUT_SCALE = 115.92961967, 69.37404
# Values of the widest layer that a CPU's cache holds well: two pictures of the published model
# (benchmarks/vdvae.py). A GPU wants more to do.
IN_CACHE = 3_200_000

Array = TypeVar("Array", np.ndarray, torch.Tensor)
Generators = Sequence[torch.Generator] | None


class VDVAE(nn.Module):
    """The model; images are uint8 (n, H, W, 3), latents float32 (n, D): layers in order, each in C order.

    Arrays and tensors are taken alike, and what comes back is of the kind that was given.

    Args:
        hparams: a mapping with the published names (see `Hparams`).
    """

    def __init__(self, hparams: Mapping[str, Any]):
        super().__init__()
        self.hparams = Hparams.of(hparams)
        if self.hparams.image_channels != 3:
            raise ValueError(f"image_channels: expected 3, found {self.hparams.image_channels}")
        self.encoder = Encoder(self.hparams)
        self.decoder = Decoder(self.hparams)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | os.PathLike[str],
        hparams: Mapping[str, Any],
        device: str | torch.device = "cpu",
    ) -> VDVAE:
        """Load a state dict (safetensors, or a torch file such as the published .th) for evaluation.

        Raises:
            InputError: the file's tensors are not those that `hparams` describe.
        """
        model = checkpoints.empty(lambda: cls(hparams))
        tensors = checkpoints.read_tensors(path)
        # left behind by training on several devices
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
        checkpoints.load_tensors(model, tensors, path, device=device)
        return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it

    @property
    def latent_sizes(self) -> list[tuple[int, int, int]]:
        """(zdim, height, width) of each layer, in order."""
        return [(self.hparams.zdim, r, r) for r, _ in parse_blocks(self.hparams.dec_blocks)]

    @torch.no_grad()
    def encode(
        self, images_uint8: Array, n_layers: int, generators: Generators = None, batch: int | None = None
    ) -> Array:
        """The latents of the first `n_layers` layers; blocks after them are not run.

        Args:
            images_uint8: (n, H, W, 3).
            n_layers: from 1 to the number of decoder blocks.
            generators: None: the posterior's mean; else one CPU generator an image, and each layer is
                drawn from its posterior, given the draws before it.
            batch: images that are computed at once; None: what is fastest on the device.

        Returns:
            float32 (n, D).
        """
        images = self._checked_images(images_uint8)
        _check_generators(generators, len(images))
        if not 1 <= n_layers <= len(self.latent_sizes):
            raise ValueError(f"n_layers: expected 1 to {len(self.latent_sizes)}, found {n_layers}")
        rows = []
        for part in self._parts(len(images), batch):
            activations: dict[int, torch.Tensor] = self.encoder(self._scaled(images[part]))
            drawing: Generators = None if generators is None else generators[part]
            latents: list[torch.Tensor] = []

            def choose(
                layer: int,
                x: torch.Tensor,
                *_prior: torch.Tensor,
                activations: dict[int, torch.Tensor] = activations,
                drawing: Generators = drawing,
                latents: list[torch.Tensor] = latents,
            ) -> torch.Tensor:
                mean, log_std = self.decoder.posterior(layer, x, activations)
                latents.append(_drawn(mean, log_std, drawing))
                return latents[-1]

            self.decoder(len(images[part]), choose, n_layers)
            rows.append(torch.cat([latent.flatten(1) for latent in latents], dim=1).float().cpu())
        return _like(torch.cat(rows), images_uint8)

    @torch.no_grad()
    def decode(self, latents: Array, generators: Generators = None, batch: int | None = None) -> Array:
        """Pictures of latents; D may end after any layer.

        Args:
            latents: (n, D).
            generators: None: layers that are not given take the prior's mean, and each pixel the mean of
                its most probable component. Else one CPU generator an image: as published, those layers
                are drawn from the prior, then component and value of each pixel.
            batch: as in `encode`.

        Returns:
            uint8 (n, H, W, 3), truncated (as published), not rounded.
        """
        _check_generators(generators, len(latents))
        rows = []
        for part in self._parts(len(latents), batch):
            drawing = None if generators is None else generators[part]
            values = logistic_mixture.values(self._logits(latents[part], drawing), drawing)
            rows.append(((values + 1) * 127.5).clamp(0, 255).to(torch.uint8).cpu())
        return _like(torch.cat(rows), latents)

    @torch.no_grad()
    def decode_logits(self, latents: Array, batch: int | None = None) -> Array:
        """The mixture's parameters, float32 (n, H, W, 10 * num_mixtures).

        Layers that are not given take the prior's mean.
        """
        rows = [self._logits(latents[part], None).float().cpu() for part in self._parts(len(latents), batch)]
        return _like(torch.cat(rows), latents)

    def loss(self, images_uint8: np.ndarray | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Distortion and rate, in nats a dimension, averaged over the images; their sum is to be minimised.

        The posterior is drawn from torch's global generator, as is usual in training.
        """
        images = self._checked_images(images_uint8)
        activations = self.encoder(self._scaled(images))
        rate = torch.zeros(len(images), device=self.decoder.gain.device)

        def choose(
            layer: int, x: torch.Tensor, prior_mean: torch.Tensor, prior_log_std: torch.Tensor
        ) -> torch.Tensor:
            nonlocal rate
            mean, log_std = self.decoder.posterior(layer, x, activations)
            rate = rate + gaussian_kl(mean, log_std, prior_mean, prior_log_std).sum(dim=(1, 2, 3))
            return mean + log_std.exp() * torch.randn_like(mean)

        logits = self.decoder(len(images), choose)
        targets = images.to(logits) / 127.5 - 1
        return -logistic_mixture.log_likelihood(logits, targets).mean(), rate.mean() / targets[0].numel()

    def _parts(self, n: int, batch: int | None) -> list[slice]:
        if batch is None:
            widest = self.hparams.width * self.hparams.image_size**2
            batch = max(1, IN_CACHE // widest) if self.decoder.gain.device.type == "cpu" else 32
        return [slice(start, min(start + batch, n)) for start in range(0, n, batch)]

    def _checked_images(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        images = torch.as_tensor(images)
        expected = (self.hparams.image_size, self.hparams.image_size, 3)
        if (
            images.dtype != torch.uint8
            or images.ndim != 4
            or tuple(images.shape[1:]) != expected
            or not len(images)
        ):
            found = f"{images.dtype} {tuple(images.shape)}"
            raise ValueError(f"images: expected uint8 (n, {', '.join(map(str, expected))}), found {found}")
        return images

    def _scaled(self, images: torch.Tensor) -> torch.Tensor:
        return (images.to(self.decoder.gain).permute(0, 3, 1, 2) - INPUT_SHIFT) / INPUT_SCALE

    def _logits(self, latents: np.ndarray | torch.Tensor, generators: Generators) -> torch.Tensor:
        latents = torch.as_tensor(latents).to(self.decoder.gain)
        sizes = [int(np.prod(size)) for size in self.latent_sizes]
        ends = np.cumsum(sizes)
        if latents.ndim != 2 or (latents.shape[1] and latents.shape[1] not in ends):
            allowed = f"one of {', '.join(map(str, ends[:40]))}"
            raise ValueError(f"latents: expected (n, D) with D {allowed}, found {tuple(latents.shape)}")

        def choose(
            layer: int, _x: torch.Tensor, prior_mean: torch.Tensor, prior_log_std: torch.Tensor
        ) -> torch.Tensor:
            if ends[layer] > latents.shape[1]:
                return _drawn(prior_mean, prior_log_std, generators)
            return latents[:, ends[layer] - sizes[layer] : ends[layer]].view(-1, *self.latent_sizes[layer])

        return self.decoder(len(latents), choose)


def gaussian_kl(
    mean: torch.Tensor, log_std: torch.Tensor, to_mean: torch.Tensor, to_log_std: torch.Tensor
) -> torch.Tensor:
    """KL divergence in nats of one diagonal Gaussian from another, element by element."""
    squares = (2 * (log_std - to_log_std)).exp() + ((mean - to_mean) * (-to_log_std).exp()) ** 2
    return to_log_std - log_std + 0.5 * (squares - 1)


def _drawn(mean: torch.Tensor, log_std: torch.Tensor, generators: Generators) -> torch.Tensor:
    if generators is None:
        return mean
    return mean + log_std.exp() * random_streams.normal(generators, mean.shape[1:]).to(mean)


@overload
def _like(result: torch.Tensor, given: np.ndarray) -> np.ndarray: ...
@overload
def _like(result: torch.Tensor, given: torch.Tensor) -> torch.Tensor: ...
def _like(result: torch.Tensor, given: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    return result if isinstance(given, torch.Tensor) else result.numpy()


def _check_generators(generators: Generators, n: int) -> None:
    if generators is not None and len(generators) != n:
        raise ValueError(f"generators: expected {n}, one an image, found {len(generators)}")
