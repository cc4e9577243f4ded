"""Versatile Diffusion, image to image, guided by a picture's and a caption's context at once.

Xu et al. 2023 (Versatile Diffusion), in the folder layout that diffusers uses. The image UNet and the
attention blocks of the text UNet are all that the generation of images needs.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler

from neural_recon.core import random_streams
from neural_recon.models import autoencoders, checkpoints, denoising, model_folders
from neural_recon.models import diffusion_arguments as arguments
from neural_recon.models.device_memory import Memory, ModelParts, load_scheduler
from neural_recon.models.diffusion_arguments import Given
from neural_recon.models.dual_unet import Contexts, DualUNet
from neural_recon.models.loading import choose_device

# The published code noises to the level one step above the first denoised one.
LEAD = 1
# The side of the latents where a configuration leaves it open.
PUBLISHED_SAMPLE_SIZE = 64


class DualGuidedPipeline:
    """From a base image and two contexts to an image.

    `parts.memory` says what lies on the device: "fast", everything; "low", only the part in use, and pictures
    pass the autoencoder one by one.

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
        self.parts = ModelParts({"image_unet": unet, "vae": vae}, device, memory)
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
        device = choose_device(device)
        home = device if memory == "fast" else torch.device("cpu")
        with model_folders.described_by(folder / "image_unet"):
            config = model_folders.read_config(folder / "image_unet")
            unet = checkpoints.empty(lambda: DualUNet(config))
        unet.load(folder, dtype, home)
        unet.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        vae = autoencoders.load(folder / "vae", home)
        scheduler = load_scheduler(DDIMScheduler, folder / "scheduler", denoising.STABLE_DIFFUSION)
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
        strength = 1.0 if base is None else strength
        start, _ = self.schedule(strength, steps)
        arguments.expect(base is not None or start is None, "base", "pictures, as strength is below 1", None)
        if base is not None:
            arguments.check_base(len(vision), base, self.scale_factor)
        arguments.check_generators(len(vision), generators)
        shape = self._latent_shape(base)
        arguments.check_noise(len(vision), noise, generators, shape, any_size=base is None)
        arguments.check_guidance(len(vision), contexts, self.context_width, mixing, guidance_scale)
        arguments.expect(output in ("image", "latents"), "output", "'image' or 'latents'", output)
        z0 = None if start is None or base is None else self.encode(base, generators)
        if noise is None:
            assert generators is not None  # checked above
            noise = random_streams.normal(generators, shape)
        when = None if start is None else torch.tensor(start)
        latents = denoising.start(self.scheduler, z0, self.parts.images(noise), when)
        run = self.denoise(latents, contexts, strength, mixing, guidance_scale, steps)
        latents = deque(run, maxlen=1).pop()
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
        enough = denoising.steps_run(strength, steps) >= 1
        arguments.expect(enough, "strength", f"at least 1 / steps = {1 / steps:g}", strength)
        start, run = denoising.timesteps(self.scheduler, strength, steps, LEAD)
        return None if start is None else int(start), run.tolist()

    @torch.no_grad()
    def encode(self, base: torch.Tensor, generators: Sequence[torch.Generator] | None = None) -> torch.Tensor:
        """Scaled float32 latents (n, 4, h, w) of images (n, 3, H, W) in [-1, 1].

        The mean of the autoencoder's posterior, or a draw from it with one CPU generator per image.

        Raises:
            ValueError: an argument has another shape or range.
        """
        arguments.check_base(len(base), base, self.scale_factor)
        arguments.check_generators(len(base), generators)
        return autoencoders.encode(self._vae(), self.parts.images(base), generators)

    def denoise(
        self,
        latents: torch.Tensor,
        contexts: Given,
        strength: float,
        mixing: float,
        guidance_scale: float,
        steps: int,
    ) -> Iterator[torch.Tensor]:
        """Yield the float32 latents (n, 4, h, w) after each step.

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
        guide = denoising.classifier_free(guidance_scale)
        prepared = self.condition(contexts, guided=guide is not None)
        return denoising.denoise(
            self.parts.images(latents),
            self.scheduler,
            torch.tensor(timesteps),
            lambda rows, timestep: self.predict(rows, timestep, prepared, mixing),
            guide,
        )

    @torch.no_grad()
    def condition(self, contexts: Given, guided: bool) -> Contexts:
        """Keys and values of contexts, of the unconditional ones before them if `guided`, for `predict`."""
        unet, device = self.parts["image_unet"], self.parts.device
        dtype = unet.image_unet.dtype
        vision, text, uncond_vision, uncond_text = contexts
        given = unet.contexts(vision.to(device, dtype), text.to(device, dtype))
        if not guided:
            return given
        assert uncond_vision is not None  # checked, as guidance_scale is not 1
        assert uncond_text is not None
        without = unet.contexts(uncond_vision.to(device, dtype), uncond_text.to(device, dtype))

        def both(which: str, part: int) -> torch.Tensor:
            mine, none = given[which][part], without[which][part]
            return torch.cat([none.expand_as(mine), mine])

        return {which: (both(which, 0), both(which, 1)) for which in given}

    def predict(
        self, rows: torch.Tensor, timestep: torch.Tensor, prepared: Contexts, mixing: float
    ) -> torch.Tensor:
        """The noise in latents (B, 4, h, w), guided by what `condition` gave for as many rows."""
        when = timestep.to(self.parts.device).expand(len(rows))
        return self.parts["image_unet"](rows.to(self.unet.image_unet.dtype), when, prepared, mixing)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Float32 images (n, 3, H, W) in [-1, 1], on the CPU, of scaled latents (n, 4, h, w).

        Raises:
            ValueError: latents of another shape, or NaN or infinity among them.
        """
        arguments.check_latents(latents, self.vae.config.latent_channels)
        return autoencoders.decode(self._vae(), self.parts.images(latents)).cpu()

    def _vae(self) -> AutoencoderKL:
        self.vae.use_slicing = self.parts.memory == "low"
        return self.parts["vae"]

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
