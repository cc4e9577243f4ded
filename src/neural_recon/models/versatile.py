"""Versatile Diffusion, image to image, guided by a picture's and a caption's context at once.

Xu et al. 2023 (Versatile Diffusion), in the folder layout that diffusers uses. The image UNet and the
attention blocks of the text UNet are all that the generation of images needs.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import nn

from neural_recon.core import random_streams
from neural_recon.models import autoencoders, checkpoints, model_folders
from neural_recon.models import diffusion_arguments as arguments
from neural_recon.models.diffusion_arguments import Given
from neural_recon.models.dual_unet import Contexts, DualUNet
from neural_recon.models.noise_steps import steps_run

Memory = Literal["fast", "low"]

# What a folder's scheduler configuration leaves open is as published.
PUBLISHED_SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
# The side of the latents where a configuration leaves it open.
PUBLISHED_SAMPLE_SIZE = 64


class DualGuidedPipeline:
    """From a base image and two contexts to an image.

    `memory` says what lies on the device: "fast", everything; "low", only the part in use, and pictures pass
    the autoencoder one by one. It may be changed between calls.

    Args:
        unet: in evaluation mode, in the precision to run it in.
        vae: the autoencoder, in float32 (in half precision its decoder overflows).
        scheduler: gives the noise levels and DDIM's steps.
        device: where to compute.
        memory: "fast" or "low".
    """

    def __init__(
        self,
        unet: DualUNet,
        vae: AutoencoderKL,
        scheduler: DDIMScheduler,
        device: str | torch.device = "cpu",
        memory: Memory = "fast",
    ):
        self.unet = unet
        self.vae = vae
        self.scheduler = scheduler
        self.device = torch.device(device)
        self.memory = memory
        self.scale_factor = 2 ** (len(vae.config.block_out_channels) - 1)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
        memory: Memory = "fast",
    ) -> DualGuidedPipeline:
        """Load the folder that diffusers uses: `image_unet`, `text_unet`, `vae`, `scheduler`.

        Args:
            folder: with those four folders; weights as safetensors or .bin, `.fp16` names included.
            dtype: of the UNet; the autoencoder stays float32.
            device: None takes a GPU where there is one.
            memory: with "low" the parts wait in the host's memory.

        Raises:
            InputError: a file is missing, or its tensors have other names or shapes.
        """
        folder = Path(folder)
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        home = device if memory == "fast" else torch.device("cpu")
        with model_folders.described_by(folder / "image_unet"):
            config = model_folders.read_config(folder / "image_unet")
            unet = checkpoints.empty(lambda: DualUNet(config))
        unet.load(folder, dtype, home)
        vae = autoencoders.load(folder / "vae", home)
        with model_folders.described_by(folder / "scheduler"):
            schedule = model_folders.read_config(folder / "scheduler", "scheduler_config.json")
            scheduler = DDIMScheduler.from_config({**PUBLISHED_SCHEDULE, **schedule})
        unet.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        return cls(unet, vae, scheduler, device, memory)

    @torch.no_grad()
    def __call__(
        self,
        base: torch.Tensor | None,
        vision: torch.Tensor,
        text: torch.Tensor,
        uncond_vision: torch.Tensor | None = None,
        uncond_text: torch.Tensor | None = None,
        strength: float = 0.75,
        mixing: float = 0.4,
        guidance_scale: float = 7.5,
        steps: int = 50,
        generators: Sequence[torch.Generator] | None = None,
        noise: torch.Tensor | None = None,
        output: str = "image",
    ) -> torch.Tensor:
        """Noise the base image to `strength` and denoise it under both contexts (DDIM, eta 0).

        Args:
            base: (n, 3, H, W) in [-1, 1]. With None, or at strength 1, the start is pure noise and all
                steps run; without base and noise the size is the UNet's `sample_size`.
            vision: (n, tokens, C) context, weighs `1 - mixing`.
            text: (n, tokens, C) context, weighs `mixing`.
            uncond_vision: (n or 1, tokens, C); needed unless `guidance_scale` is 1.
            uncond_text: the same for text.
            strength: the share of the steps that are run, in (0, 1].
            mixing: in [0, 1].
            guidance_scale: 1 means without guidance.
            steps: of the full schedule.
            generators: one CPU generator per image, or None. First the autoencoder's posterior is
                drawn from them, then the noise (unless given). None: the posterior's mean.
            noise: (n, 4, h, w), standard normal; needed without generators.
            output: "image" or "latents".

        Returns:
            float32 on the CPU: (n, 3, H, W) in [-1, 1], or the scaled latents (n, 4, h, w).

        Raises:
            ValueError: an argument has another shape or range.
        """
        vision, text = torch.as_tensor(vision), torch.as_tensor(text)
        base, uncond_vision, uncond_text, noise = (
            None if array is None else torch.as_tensor(array)
            for array in (base, uncond_vision, uncond_text, noise)
        )
        contexts = (vision, text, uncond_vision, uncond_text)
        # each stage checks what it takes; here all is checked before the first of them computes
        arguments.check_strength(strength)
        strength = 1.0 if base is None else strength
        self._check_start(len(vision), base, strength, steps, generators, noise)
        arguments.check_guidance(len(vision), contexts, self.context_width, mixing, guidance_scale)
        arguments.expect(output in ("image", "latents"), "output", "'image' or 'latents'", output)
        latents = self.noised(base, strength, steps, generators, noise)
        latents = self.denoised(latents, contexts, strength, mixing, guidance_scale, steps)
        return self.decode(latents) if output == "image" else latents.cpu()

    def schedule(self, strength: float, steps: int) -> tuple[int | None, list[int]]:
        """The timestep to noise to (None: pure noise), and those to denoise at, falling.

        The noise level is one step above the first denoised one, as in the published code (its
        `stochastic_encode` takes step `int(strength * steps)`, its `decode` starts one below).

        Raises:
            ValueError: a strength out of range or of less than one step, or another number of steps than
                the model was trained with allows.
        """
        arguments.check_strength(strength)
        most = self.scheduler.config.num_train_timesteps
        arguments.expect(
            isinstance(steps, int) and 1 <= steps <= most, "steps", f"a whole number, 1 to {most}", steps
        )
        enough = steps_run(strength, steps) >= 1
        arguments.expect(enough, "strength", f"at least 1 / steps = {1 / steps:g}", strength)
        self.scheduler.set_timesteps(steps)
        rising = self.scheduler.timesteps.flip(0).tolist()
        if strength == 1:
            return None, rising[::-1]
        run = steps_run(strength, steps)
        return rising[run], rising[:run][::-1]

    @torch.no_grad()
    def noised(
        self,
        base: torch.Tensor | None,
        strength: float,
        steps: int,
        generators: Sequence[torch.Generator] | None = None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The float32 latents (n, 4, h, w) that denoising starts from; arguments and errors as in a call."""
        n = next((len(given) for given in (base, noise, generators) if given is not None), 0)
        start = self._check_start(n, base, strength, steps, generators, noise)
        z0 = None if start is None or base is None else self.encode(base, generators)
        if noise is None:
            assert generators is not None  # checked above
            noise = random_streams.normal(generators, self._latent_shape(base))
        noise = noise.to(self.device, torch.float32)
        return noise if z0 is None else self.scheduler.add_noise(z0, noise, torch.tensor([start]))

    @torch.no_grad()
    def encode(self, base: torch.Tensor, generators: Sequence[torch.Generator] | None = None) -> torch.Tensor:
        """Scaled float32 latents (n, 4, h, w) of images (n, 3, H, W) in [-1, 1].

        The mean of the autoencoder's posterior, or a draw from it with one CPU generator per image.

        Raises:
            ValueError: an argument has another shape or range.
        """
        arguments.check_base(len(base), base, self.scale_factor)
        arguments.check_generators(len(base), generators)
        self._bring(self.vae)
        posterior = self.vae.encode(_image_layout(base, self.device)).latent_dist
        latents = posterior.mean
        if generators is not None:
            noise = random_streams.normal(generators, latents.shape[1:])
            latents = latents + posterior.std * noise.to(latents.device)
        return latents * self.vae.config.scaling_factor

    def denoised(
        self,
        latents: torch.Tensor,
        contexts: Given,
        strength: float,
        mixing: float,
        guidance_scale: float,
        steps: int,
    ) -> torch.Tensor:
        """The float32 latents (n, 4, h, w) after the last step; arguments and errors as of `denoise`.

        Those of the steps before it are let go as soon as the next ones are there.
        """
        run = self.denoise(latents, contexts, strength, mixing, guidance_scale, steps)
        return deque(run, maxlen=1).pop()

    def denoise(
        self,
        latents: torch.Tensor,
        contexts: Given,
        strength: float,
        mixing: float,
        guidance_scale: float,
        steps: int,
    ) -> Iterator[torch.Tensor]:
        """Yield the float32 latents (n, 4, h, w) after each step; for the last alone see `denoised`.

        Args:
            latents: (n, 4, h, w), noised to `strength`.
            contexts: vision, text, and the unconditional ones of both, as in a call. Their keys and values
                are computed once. With guidance both passes go through the UNet as one batch, the
                unconditional one first.
            strength, mixing, guidance_scale, steps: as in a call.

        Raises:
            ValueError: an argument has another shape or range; before the first step is asked for.
        """
        _, timesteps = self.schedule(strength, steps)
        arguments.check_latents(latents, self.vae.config.latent_channels)
        arguments.check_guidance(len(latents), contexts, self.context_width, mixing, guidance_scale)
        return self._steps(latents, contexts, timesteps, mixing, guidance_scale)

    @torch.no_grad()
    def _steps(
        self,
        latents: torch.Tensor,
        contexts: Given,
        timesteps: Sequence[int],
        mixing: float,
        guidance_scale: float,
    ) -> Iterator[torch.Tensor]:
        self._bring(self.unet)
        dtype, guided = self.unet.image_unet.dtype, guidance_scale != 1
        prepared = self._prepared(contexts, guided)
        latents = _image_layout(latents, self.device)
        for timestep in timesteps:
            rows = torch.cat([latents, latents]) if guided else latents
            when = torch.full((len(rows),), timestep, device=self.device)
            eps = self.unet(rows.to(dtype), when, prepared, mixing).float()
            if guided:
                without, given = eps.chunk(2)
                eps = without + guidance_scale * (given - without)
            latents = self.scheduler.step(eps, timestep, latents, eta=0.0).prev_sample
            yield latents

    def _prepared(self, contexts: Given, guided: bool) -> Contexts:
        dtype = self.unet.image_unet.dtype
        vision, text, uncond_vision, uncond_text = contexts
        given = self.unet.contexts(vision.to(self.device, dtype), text.to(self.device, dtype))
        if not guided:
            return given
        assert uncond_vision is not None  # checked, as guidance_scale is not 1
        assert uncond_text is not None
        without = self.unet.contexts(uncond_vision.to(self.device, dtype), uncond_text.to(self.device, dtype))

        def both(which: str, part: int) -> torch.Tensor:
            mine, none = given[which][part], without[which][part]
            return torch.cat([none.expand_as(mine), mine])

        return {which: (both(which, 0), both(which, 1)) for which in given}

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Float32 images (n, 3, H, W) in [-1, 1], on the CPU, of scaled latents (n, 4, h, w).

        Raises:
            ValueError: latents of another shape, or NaN or infinity among them.
        """
        arguments.check_latents(latents, self.vae.config.latent_channels)
        self._bring(self.vae)
        latents = _image_layout(latents, self.device) / self.vae.config.scaling_factor
        return self.vae.decode(latents, return_dict=False)[0].clamp(-1, 1).cpu()

    def _bring(self, part: nn.Module) -> None:
        """Have a part of the model on the device, and in low memory only that one."""
        self.vae.use_slicing = self.memory == "low"
        other = self.vae if part is self.unet else self.unet
        if self.memory == "low":
            other.to("cpu")
            torch.cuda.empty_cache()
        part.to(self.device)

    @property
    def image_size(self) -> int:
        """Side of the square pictures the UNet was trained for, in pixels."""
        return self._latent_shape(None)[1] * self.scale_factor

    @property
    def context_width(self) -> int:
        """Values per token of a context."""
        return self.unet.image_unet.config.cross_attention_dim

    def _latent_shape(self, base: torch.Tensor | None) -> tuple[int, ...]:
        size = self.unet.image_unet.config.sample_size or PUBLISHED_SAMPLE_SIZE
        sides = (size, size) if base is None else (side // self.scale_factor for side in base.shape[2:])
        return (self.vae.config.latent_channels, *sides)

    def _check_start(
        self,
        n: int,
        base: torch.Tensor | None,
        strength: float,
        steps: int,
        generators: Sequence[torch.Generator] | None,
        noise: torch.Tensor | None,
    ) -> int | None:
        """Check what n images start from; gives the timestep they are noised to, None for pure noise."""
        start, _ = self.schedule(strength, steps)
        arguments.expect(base is not None or start is None, "base", "pictures, as strength is below 1", None)
        if base is not None:
            arguments.check_base(n, base, self.scale_factor)
        arguments.check_generators(n, generators)
        arguments.check_noise(n, noise, generators, self._latent_shape(base), any_size=base is None)
        return start


def _image_layout(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    return images.to(device, torch.float32).contiguous(memory_format=torch.channels_last)
