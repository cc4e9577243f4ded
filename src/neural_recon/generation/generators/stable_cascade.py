"""Stable Cascade from the base image, guided by an image embedding and text states (MIRAGE 2026)."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from neural_recon.generation.choice import Choosing, FromDraws
from neural_recon.generation.diffusion import Diffusion, FromBase, GuidanceScale, Steps, Strength
from neural_recon.generation.generator import Parts
from neural_recon.models import cascade_files

if TYPE_CHECKING:
    import torch


class StableCascade(Choosing):
    """Stage C from the base image or from noise; its latents guide stage B, and stage A paints those of B.

    As MIRAGE (arXiv 2605.17198) runs it, but that a picture never depends on others: its guidance is rescaled
    by the picture's own deviation, where the published code takes that of all pictures of a batch.
    """

    class Settings(FromBase, FromDraws, Diffusion.Settings):
        """Stable Cascade from the base image."""

        roles: ClassVar[tuple[str, ...]] = ("image", "text", "retrieval")

        weights: str = Field(
            description="The stages: a name in config/weights.yaml, or a folder with the published files "
            "(stage_c_bf16, stage_b_bf16, stage_a, effnet_encoder; .safetensors) or in the diffusers layout."
        )
        prior: str = Field(
            description="The model of its encoders, likewise: of the empty caption, and where choose_from is "
            "above 1 of pictures; with weights in the diffusers layout also of stage C."
        )
        image: str = Field(description="The feature space that guides it as CLIP's of the picture.")
        text: str = Field(description="The feature space that guides it as CLIP's text states.")
        size: Annotated[int, Field(ge=128, multiple_of=128)] = Field(
            1024, description="Side of the pictures in pixels."
        )
        sharpness: Annotated[float, Field(ge=0)] = Field(
            20.0, description="PIL's factor for the enlarged base image; 1 leaves it."
        )
        contrast: Annotated[float, Field(ge=0)] = Field(1.5, description="Then the same for its contrast.")
        strength: Strength = 0.7
        text_strength: Annotated[float, Field(ge=0, le=1)] = Field(
            0.5, description="Weight of text; the image embedding has the rest."
        )
        guidance_scale: GuidanceScale = Field(4.0, description="Of stage C.")
        steps: Steps = Field(20, description="Of stage C, at strength 1.")
        stage_b_guidance_scale: GuidanceScale = Field(1.1, description="Of stage B.")
        stage_b_steps: Steps = Field(10, description="Of stage B.")
        rho: Annotated[float, Field(ge=0, le=1)] = Field(
            0.7,
            description="Share of guidance that is rescaled to the guided output's deviation, per picture.",
        )
        shift: Annotated[float, Field(gt=0)] = Field(
            2.0, description="Of stage C's noise: above 1 more of it at each step."
        )
        start_shift: Annotated[float, Field(gt=0)] | None = Field(
            None,
            description="Of the base image's noise; default: the same as shift; published: 1.",
            json_schema_extra={"released": 1},
        )
        precision: Literal["auto", "bfloat16", "float32"] = Field(
            "auto",
            description="Of stages C and B, which overflow in float16; auto is bfloat16 on a GPU and float32 "
            "on the CPU.",
        )

    settings: Settings
    network = "prior"
    half = "bfloat16"
    encoders: ClassVar = {"prior": ("text_encoder", "tokenizer")}

    @classmethod
    def parts_read(cls, settings: Any) -> tuple[Parts, Parts]:
        found: dict[str, tuple[str, ...]] = {"weights": (cascade_files.EFFNET,)}
        for setting, part in cascade_files.stages(Path(settings.weights)).values():
            found[setting] = (*found.get(setting, ()), part)
        if settings.retrieval:
            found["prior"] = (*found.get("prior", ()), "image_encoder", "image_processor")
        return found, cls.encoders

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from neural_recon.models import stable_cascade
        from neural_recon.models.clip_images import load_image_encoder

        how, folder = self.settings, Path(self.settings.weights)
        c, b, a = (
            Path(getattr(how, setting), part) for setting, part in cascade_files.stages(folder).values()
        )
        found: dict[str, torch.nn.Module] = {
            "prior": stable_cascade.load_unet(c, "C", dtype, home),
            "decoder": stable_cascade.load_unet(b, "B", dtype, home),
            "vqgan": stable_cascade.load_stage_a(a, home),
            "effnet": stable_cascade.load_effnet(folder / cascade_files.EFFNET, home),
        }
        if how.retrieval:
            found["image_encoder"] = load_image_encoder(Path(how.prior) / "image_encoder", home)
        return found

    def side(self) -> int:
        return self.settings.size

    def scheduler(self) -> Any:
        from neural_recon.models.cosine_schedule import CosineSchedule

        return CosineSchedule(self.settings.shift, self.settings.start_shift)

    def widths(self) -> Mapping[str, int]:
        config = self.parts["prior"].config
        found = {"image": config.clip_image_in_channels, "text": config.clip_text_in_channels}
        if self.settings.retrieval:
            found["retrieval"] = self.parts["image_encoder"].config.hidden_size
        return found

    def unconditional(self) -> dict[str, np.ndarray]:
        """The empty caption's states (1, tokens, C) and, `pooled`, its embedding (1, 1, C)."""
        from neural_recon.models.loading import choose_device
        from neural_recon.models.text_states import ClipTextStates

        clip = ClipTextStates.from_folder(
            Path(self.settings.prior), choose_device(self.device), layer="unnormed", mask=True, projected=True
        )
        return {"text": clip.states([""]), "pooled": clip.pooled([""])[:, None]}

    def unguided(self) -> dict[str, np.ndarray]:
        """As of every kind, with zeros for pictures: their embedding, and the tokens of the choice."""
        return self._unguided

    @functools.cached_property
    def _unguided(self) -> dict[str, np.ndarray]:
        widths, tokens = self.widths(), {"image": 1}
        if self.settings.retrieval:
            tokens["retrieval"] = self.parts["image_encoder"].vision_model.embeddings.num_positions
        zeros = {role: np.zeros((1, n, widths[role]), np.float32) for role, n in tokens.items()}
        return {**super().unguided(), **zeros}

    def latent_shape(self) -> tuple[int, int, int]:
        side = self.settings.size * 3 // 128
        return self.parts["prior"].config.in_channels, side, side

    def enlarged(self, base: np.ndarray) -> torch.Tensor:
        import torch

        from neural_recon.models.stable_cascade import enhanced

        how = self.settings
        keen = enhanced(base, how.size * 3 // 4, how.sharpness, how.contrast)
        return torch.from_numpy(keen).permute(0, 3, 1, 2).float() / 127.5 - 1

    def encode(self, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:  # noqa: ARG002
        return self.parts["effnet"](self.parts.images(pictures))

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        share, n = self.settings.text_strength, len(guides["text"])
        empty, pooled = unguided["text"], unguided["pooled"]
        # both weakened, and the empty caption faintly in the text again, as published
        text = share * guides["text"] + (1 - share) ** 5 * empty
        return {
            "clip_img": self.both((1 - share) * guides["image"], unguided["image"]),
            "clip_text": self.both(text, empty),
            "clip_text_pooled": self.both(pooled.expand(n, -1, -1), pooled),
        }

    def guide(self) -> Any:
        from neural_recon.models.denoising import rescaled

        return rescaled(self.settings.guidance_scale, self.settings.rho)

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        return self._stage("prior", rows, timestep, condition)

    def step(
        self,
        scheduler: Any,
        output: torch.Tensor,
        timestep: torch.Tensor,  # noqa: ARG002
        latents: torch.Tensor,
        generators: Sequence[torch.Generator],
    ) -> torch.Tensor:
        from neural_recon.core import random_streams

        return scheduler.step(output, latents, random_streams.normal(generators, latents.shape[1:]))

    def decode(self, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Stage B, from noise, guided by stage C's latents against zeros; then stage A."""
        import torch

        from neural_recon.core import random_streams
        from neural_recon.models import denoising
        from neural_recon.models.cosine_schedule import CosineSchedule
        from neural_recon.models.stable_cascade import SCALE

        how, schedule = self.settings, CosineSchedule()
        schedule.set_timesteps(how.stage_b_steps)
        pooled = torch.as_tensor(self.unguided()["pooled"], dtype=torch.float32)
        guides = {
            "effnet": self.parts.images(torch.cat([torch.zeros_like(latents), latents])),
            "clip_text_pooled": pooled.to(self.parts.device).expand(2 * len(latents), -1, -1),
        }
        channels = self.parts["decoder"].config.in_channels
        noise = random_streams.normal(generators, (channels, how.size // 4, how.size // 4))
        run = denoising.denoise(
            self.parts.images(noise),
            schedule,
            schedule.timesteps,
            lambda rows, timestep: self._stage("decoder", rows, timestep, guides),
            denoising.rescaled(how.stage_b_guidance_scale, how.rho),
            lambda output, timestep, now: self.step(schedule, output, timestep, now, generators),
        )
        last = deque(run, maxlen=1).pop()
        return self.parts["vqgan"].decode(last * SCALE).sample.clamp(0, 1) * 2 - 1

    def agreement(self, pictures: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Cosines (n,), means over tokens, between pictures' and predicted ones.

        Tokens are compared at unit length, as MIRAGE predicts them; in the published code those of pictures
        keep their lengths.
        """
        from neural_recon.models.clip_images import ClipImages
        from neural_recon.models.encoder_parts import pixel_statistics

        encoder = self.parts["image_encoder"]
        mean, std = pixel_statistics(Path(self.settings.prior), encoder.config.image_size)
        tokens = ClipImages(encoder, mean, std).states(pictures, unit_length=True, batch=self.settings.batch)
        wanted = np.asarray(predicted, np.float32).reshape(tokens.shape)
        lengths = np.maximum(np.linalg.norm(wanted, axis=2), np.finfo(np.float32).tiny)
        return ((tokens * wanted).sum(2) / lengths).mean(1)

    def _stage(
        self, name: str, rows: torch.Tensor, timestep: torch.Tensor, guides: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """What stage C or B says; latents and times are always float32, as times in half are too coarse."""
        import torch

        network = self.parts[name]
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=network.dtype != torch.float32):
            return network(rows, timestep.to(rows.device).expand(len(rows)), **guides).sample
