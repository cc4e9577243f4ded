"""MindEye2's painter: Stable Diffusion XL fine-tuned to be guided by CLIP's patch tokens (unCLIP)."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from neural_recon.generation.diffusion import FromBase, GuidanceScale, LatentDiffusion, Strength
from neural_recon.generation.generator import Inputs
from neural_recon.generation.refinement import Refiner
from neural_recon.models.denoising import steps_run

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

# What refined pictures are guided away from, as published.
NEGATIVE = (
    "painting, extra fingers, mutated hands, poorly drawn hands, poorly drawn face, deformed, ugly, blurry, "
    "bad anatomy, bad proportions, extra limbs, cloned face, skinny, glitchy, double torso, extra arms, "
    "extra hands, mangled fingers, missing lips, ugly face, distorted face, extra legs, anime"
)
BLENDED = 256  # side of blended pictures, as published
# The painter decodes to dark pictures of little contrast: they are scaled and lifted, as published.
CONTRAST, LIFT = 0.8, 0.2


class SDXLUnclip(LatentDiffusion):
    """The painter of MindEye2 (Scotti et al. 2024), Euler's steps, from noise as published or a base image.

    There is no text: the patch tokens of CLIP ViT-bigG/14 are what it attends to, and it is told the size of
    the picture and that it is not cropped.
    """

    class Settings(FromBase, LatentDiffusion.Settings):
        """MindEye2's painter."""

        roles: ClassVar[tuple[str, ...]] = ("image",)

        weights: str = Field(
            description="The painter in one file of generative-models (.ckpt, .safetensors): a name in "
            "config/weights.yaml, or a path."
        )
        image: str = Field(description="The feature space that guides it as CLIP's patch tokens.")
        base: str | None = Field(  # type: ignore[assignment]  # it may do without
            None, description="The feature space whose pictures it starts from; published: none."
        )
        strength: Strength = Field(
            1.0, description="Share of the noise steps run; 1: from noise alone (published)."
        )
        size: Annotated[int, Field(ge=64, multiple_of=32)] = Field(
            768, description="Side of the pictures in pixels."
        )
        guidance_scale: GuidanceScale = 5.0
        steps: Annotated[int, Field(ge=1, le=999)] = Field(38, description="Steps at strength 1.")
        unconditional: Literal["gaussian", "zeros"] = Field(
            "gaussian",
            description="Tokens where nothing guides: each picture's own standard normal draw (published), "
            "or zeros.",
        )
        offset_noise: Annotated[float, Field(ge=0)] = Field(
            0.04, description="Deviation of one more draw per picture, added to all of its noise; 0: none."
        )
        refiner: str | None = Field(
            None,
            description="A Stable Diffusion XL that goes over each picture under a caption: a name in "
            "config/weights.yaml, or a folder in the diffusers layout; default: none.",
        )
        refiner_guidance_scale: GuidanceScale = Field(5.0, description="Of the refiner.")
        refiner_steps: Annotated[int, Field(ge=1, le=999)] = Field(
            25, description="Of the refiner, at strength 1."
        )
        refiner_strength: Annotated[float, Field(gt=0, lt=1)] = Field(
            0.48, description="Share of the refiner's steps run; published: 12 of 25."
        )
        refiner_from: Annotated[int, Field(ge=64)] | None = Field(
            None,
            description="Side that pictures are reduced to before the refiner gets them enlarged; default: "
            "none; published: 256.",
        )
        captioner: str | None = Field(
            None,
            description="GIT, which writes the refiner's captions: a name in config/weights.yaml, or a "
            "folder; default: the caption is prompt.",
        )
        converter: str | None = Field(
            None,
            description="The converter from the guide's tokens to the captioner's: a name in "
            "config/weights.yaml, or a file.",
        )
        prompt: str = Field("", description="The refiner's caption of all pictures, without a captioner.")
        negative_prompt: str = Field(NEGATIVE, description="What refined pictures are guided away from.")
        blend: Annotated[float, Field(ge=0, lt=1)] = Field(
            0.0,
            description=f"Share of the base image in the final picture, both at {BLENDED} x {BLENDED} "
            "pixels; 0: none, at full size; published: 0.25.",
        )

        @model_validator(mode="after")
        def _complete(self) -> Self:
            if (self.captioner is None) != (self.converter is None) or (self.captioner and not self.refiner):
                raise ValueError(
                    f"captioner {self.captioner} with converter {self.converter} and refiner {self.refiner}: "
                    "captions take the first two, and are for the refiner; set all three, or refiner alone"
                )
            if steps_run(self.refiner_strength, self.refiner_steps) < 1:
                raise ValueError(
                    f"refiner_strength {self.refiner_strength} of {self.refiner_steps} steps is less than "
                    "one step; raise one"
                )
            if self.blend and self.base is None:
                raise ValueError(
                    f"blend {self.blend} without a base; name the space in base, or set blend to 0"
                )
            return self

        @property
        def captioned(self) -> bool:
            return self.captioner is not None

    settings: Settings
    any_tokens = True
    published_side = 768
    files: ClassVar = {
        "weights": (),
        "refiner": ("unet", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"),
        "captioner": ("config.json", "model.safetensors", "tokenizer.json"),  # models/captions.py
        "converter": (),
    }

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from neural_recon.models import sgm_files

        unet, vae = sgm_files.load(Path(self.settings.weights), dtype, home)
        return {"unet": unet, "vae": vae}

    def prepare(self) -> None:
        from neural_recon.models.captions import Captions
        from neural_recon.models.loading import choose_device

        super().prepare()
        how = self.settings
        if how.refiner:
            self.refiner.prepare()
        if how.captioner and how.converter:
            Captions.from_files(Path(how.captioner), Path(how.converter), choose_device(self.device))

    def side(self) -> int:
        return BLENDED if self.settings.blend else self.settings.size

    def enlarged(self, base: np.ndarray) -> torch.Tensor:
        from neural_recon.generation.sampling import enlarge

        return enlarge(base, self.settings.size)

    def latent_shape(self) -> tuple[int, int, int]:
        vae = self.parts["vae"].config
        side = self.settings.size // 2 ** (len(vae.block_out_channels) - 1)
        return vae.latent_channels, side, side

    def scheduler(self) -> Any:
        from neural_recon.models.legacy_schedule import LegacyEuler

        return LegacyEuler()

    def widths(self) -> Mapping[str, int]:
        return {"image": self.parts["unet"].config.cross_attention_dim}

    def unguided(self) -> dict[str, np.ndarray]:
        """A token of zeros, in whose place `away` draws."""
        return {"image": np.zeros((1, 1, self.widths()["image"]), np.float32)}

    def blank(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Normal draws, as published."""
        from neural_recon.core import random_streams

        return random_streams.normal(generators, self.latent_shape())

    def noise(self, generators: Sequence[torch.Generator], shape: Sequence[int]) -> torch.Tensor:
        """As of every kind, and offset noise."""
        from neural_recon.core import random_streams

        noise = super().noise(generators, shape)
        if self.settings.offset_noise:
            noise = noise + self.settings.offset_noise * random_streams.normal(generators, (1, 1, 1))
        return noise

    def away(
        self,
        guides: Mapping[str, torch.Tensor],
        unguided: Mapping[str, torch.Tensor],
        generators: Sequence[torch.Generator],
    ) -> Mapping[str, torch.Tensor]:
        from neural_recon.core import random_streams

        if "image" not in unguided or self.settings.unconditional == "zeros":
            return unguided
        return {"image": random_streams.normal(generators, guides["image"].shape[1:])}

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        import torch

        dtype, size = self.parts["unet"].dtype, self.settings.size
        tokens = self.both(guides["image"], unguided.get("image")).to(dtype)
        told = tokens.new_tensor([size, size, 0, 0], dtype=torch.float32).expand(len(tokens), 4)
        return tokens, {"text_embeds": tokens.new_zeros(len(tokens), 0), "time_ids": told}

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        unet = self.parts["unet"]
        tokens, added = condition
        return unet(
            rows.to(unet.dtype), timestep, encoder_hidden_states=tokens, added_cond_kwargs=added
        ).sample

    def encode(self, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:
        """As of every kind, of pictures brought to where `decode` takes them from."""
        return super().encode(((pictures + 1) / 2 - LIFT) / CONTRAST, generators)

    def decode(self, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        return (super().decode(latents, generators) * CONTRAST + LIFT).clamp(0, 1) * 2 - 1

    def pictures(self, inputs: Inputs) -> np.ndarray:
        """Then the refiner's pass, and the blend with the base image where there is one."""
        from neural_recon.generation.sampling import resized

        how = self.settings
        pictures = super().pictures(inputs)
        if how.refiner:
            reduced = resized(pictures, how.refiner_from) if how.refiner_from else pictures
            captions = self.captions(inputs.guides, inputs.image_ids) or [how.prompt] * len(pictures)
            pictures = self.refiner.refine(reduced, captions, inputs)
        if how.blend:
            pictures = resized(pictures, BLENDED)
            if inputs.base is not None:
                mixed = (1 - how.blend) * pictures + how.blend * resized(inputs.base, BLENDED)
                pictures = mixed.round().astype(np.uint8)
        return pictures

    @functools.cached_property
    def refiner(self) -> Refiner:
        """What goes over the pictures; of the same precision and effort."""
        how = self.settings
        settings = {
            "kind": "refiner",
            "weights": how.refiner,
            "size": how.size,
            "guidance_scale": how.refiner_guidance_scale,
            "steps": how.refiner_steps,
            "strength": how.refiner_strength,
            "negative_prompt": how.negative_prompt,
            **how.model_dump(include={"batch", "memory", "precision", "compile"}),
        }
        return Refiner(Refiner.Settings.model_validate(settings), self.device)

    _captioned: tuple[np.ndarray, list[str]] | None = None  # the last tokens, and their captions

    def captions(self, guides: Mapping[str, np.ndarray], image_ids: np.ndarray) -> list[str] | None:
        """The refiner's, written into the log when they are decoded; kept for who asks after painting."""
        how, tokens = self.settings, guides["image"]
        if not (how.captioner and how.converter):
            return None
        if self._captioned is None or self._captioned[0] is not tokens:
            from neural_recon.models.captions import Captions
            from neural_recon.models.loading import choose_device

            captioner = Captions.from_files(
                Path(how.captioner), Path(how.converter), choose_device(self.device)
            )
            self._captioned = tokens, captioner.of(tokens, how.batch)
            for image_id, caption in zip(image_ids, self._captioned[1], strict=True):
                logger.info("image %d: %s", image_id, caption)
        return self._captioned[1]
