"""Generators by diffusion over an autoencoder's latents: encode, condition, predict, decode, and one loop.

A kind says these four, and where its parts are loaded from; `generation/sampling.py` runs all kinds in the
same way: seeds per image, batches, memory, and the checks of what goes in and comes out.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from neural_recon.core.kinds import Section
from neural_recon.generation.generator import Generator, Inputs
from neural_recon.models.denoising import Guide, classifier_free, steps_run
from neural_recon.models.model_folders import picture_size, read_config

if TYPE_CHECKING:
    import torch

    from neural_recon.models.device_memory import ModelParts

# settings of several kinds, each with its own default
Strength = Annotated[float, Field(gt=0, le=1, description="Share of the noise steps run.")]
GuidanceScale = Annotated[float, Field(ge=1, description="Classifier-free guidance.")]
Steps = Annotated[int, Field(ge=1, le=1000, description="Steps at strength 1.")]


class FromBase(Section):
    """Settings of kinds that start from base images, alongside those of `Diffusion`."""

    base: str = Field(description="The feature space whose pictures it starts from.")
    strength: Strength = 0.75

    @model_validator(mode="after")
    def _at_least_one_step(self) -> Self:
        steps: int = self.steps  # type: ignore[attr-defined]  # of the diffusion's settings
        if steps_run(self.strength, steps) < 1:
            raise ValueError(f"strength {self.strength} of {steps} steps is less than one step; raise one")
        return self


class Diffusion(Generator):
    """A diffusion model from base images or from noise, guided by predicted features.

    Attributes:
        network: the part of `settings.weights` that predicts, as its folder is called.
        autoencoder: the part whose latents it predicts.
        any_tokens: it takes any number of tokens, and one where nothing guides stands for as many.
        half: what `precision` auto is on a GPU.
        purpose: of its random numbers, in their names: two passes over a picture draw different ones.
    """

    class Settings(Generator.Settings):
        """A diffusion model."""

        weights: str = Field(
            description="The model: a name in config/weights.yaml, or a folder in the diffusers layout."
        )
        guidance_scale: GuidanceScale = 7.5
        steps: Steps = 50

    settings: Settings
    draws = True
    network: ClassVar[str] = "unet"
    autoencoder: ClassVar[str] = "vae"
    any_tokens: ClassVar[bool] = False
    half: ClassVar[str] = "float16"
    purpose: ClassVar[str] = "reconstruction"

    # what a kind says

    @abstractmethod
    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        """Its parts by name, on `home`; of what predicts in the precision `dtype`.

        Raises:
            InputError: a file is missing or not what it must be.
        """

    @abstractmethod
    def scheduler(self) -> Any:
        """A new scheduler of diffusers, or what has its methods; one is made for every batch."""

    @abstractmethod
    def widths(self) -> Mapping[str, int]:
        """Values per token that its network takes, by role."""

    @abstractmethod
    def encode(self, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:
        """Scaled latents (n, C, h, w) of pictures (n, 3, S, S) in [-1, 1]: the mean of the autoencoder's
        posterior, or with one CPU generator per image a draw from it."""

    @abstractmethod
    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        """What `predict` needs of n images' guides.

        Args:
            guides: (n, tokens, width) float32 by role.
            unguided: as `away` gives them; without roles at guidance scale 1. Else the rows without guidance
                come first, then those with it.
        """

    @abstractmethod
    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        """The network's output for latents (B, C, h, w): n of them, or with guidance twice n."""

    @abstractmethod
    def decode(self, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Pictures (n, 3, S, S) in [-1, 1] of scaled latents; `generators` for kinds that draw here, too."""

    # what a kind may change

    @property
    def lead(self) -> int:
        """How many noise steps above the first denoised one the start is noised to."""
        return 0

    @property
    def posterior(self) -> bool:
        """Whether base images are encoded to a draw of the autoencoder's posterior, not to its mean."""
        return False

    def enlarged(self, base: np.ndarray) -> torch.Tensor:
        """What `encode` gets of base images uint8 (n, H, W, 3)."""
        from neural_recon.generation.sampling import enlarge

        return enlarge(base, self.side())

    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one image's latents."""
        network, vae = self.config(self.network), self.config(self.autoencoder)
        side = network.get("sample_size") or 64
        return vae.get("latent_channels", 4), side, side

    def noise(self, generators: Sequence[torch.Generator], shape: Sequence[int]) -> torch.Tensor:
        """What the start is noised with, (n, *shape), from each image's own generator."""
        from neural_recon.core import random_streams

        return random_streams.normal(generators, shape)

    def blank(self, generators: Sequence[torch.Generator]) -> torch.Tensor | None:  # noqa: ARG002
        """Latents (n, C, h, w) that are noised where there is no base image; None: it starts from noise."""
        return None

    def away(
        self,
        guides: Mapping[str, torch.Tensor],  # noqa: ARG002 - of kinds that draw one value for each of theirs
        unguided: Mapping[str, torch.Tensor],
        generators: Sequence[torch.Generator],  # noqa: ARG002
    ) -> Mapping[str, torch.Tensor]:
        """What guides n images where nothing does: `unguided`, (1, ...), or each image's own, (n, ...)."""
        return unguided

    def guide(self) -> Guide | None:
        """How outputs without and with guidance become one."""
        return classifier_free(self.settings.guidance_scale)

    def step(
        self,
        scheduler: Any,
        output: torch.Tensor,
        timestep: torch.Tensor,
        latents: torch.Tensor,
        generators: Sequence[torch.Generator],  # noqa: ARG002 - of kinds that draw at every step
    ) -> torch.Tensor:
        """The next latents."""
        return scheduler.step(output, timestep, latents).prev_sample

    def noise_ids(self, image_ids: np.ndarray) -> np.ndarray:
        """Whose noise each image gets: its own."""
        return image_ids

    def pictures(self, inputs: Inputs) -> np.ndarray:
        """What `paint` gives of checked inputs: the pictures of one pass of the loop."""
        from neural_recon.generation.sampling import sample

        return sample(self, inputs)

    # what all kinds have

    @functools.cached_property
    def parts(self) -> ModelParts:
        """The loaded model."""
        from neural_recon.models.device_memory import load_where_it_fits, where_to_compute

        how = self.settings
        where, dtype = where_to_compute(self.device, how.precision, self.half)
        found = load_where_it_fits(lambda home: self.load(home, dtype), where, how.memory)
        if how.compile:
            found.modules[self.network].compile()
        return found

    def prepare(self) -> None:
        self.scheduler()
        _ = self.parts

    def both(self, guided: torch.Tensor, unguided: torch.Tensor | None) -> torch.Tensor:
        """Rows without guidance, (1, ...) for all images or (n, ...), before those with it, on the device."""
        import torch

        rows = [guided] if unguided is None else [unguided.expand_as(guided), guided]
        return torch.cat(rows).to(self.parts.device)

    def side(self) -> int:
        return picture_size(self.config(self.network), self.config(self.autoencoder))

    def paint(
        self,
        base: np.ndarray | None,
        guides: Mapping[str, np.ndarray],
        image_ids: np.ndarray,
        seed: int,
        draw: int = 0,
    ) -> np.ndarray:
        self.check(base, guides)
        return self.pictures(Inputs(base, guides, image_ids, seed, draw))

    def config(self, part: str) -> dict[str, Any]:
        """The configuration of a part, without loading it.

        Raises:
            InputError: it is not there.
        """
        return read_config(Path(self.settings.weights) / part)


class LatentDiffusion(Diffusion):
    """A network and an autoencoder of diffusers in one folder, as most models since Rombach et al. (2022).

    Attributes:
        network_class: the network's name in diffusers.
    """

    network_class: ClassVar[str] = "UNet2DConditionModel"

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        import diffusers

        from neural_recon.models import autoencoders
        from neural_recon.models.device_memory import load_part

        folder = Path(self.settings.weights)
        return {
            self.network: load_part(
                getattr(diffusers, self.network_class), folder / self.network, dtype, home
            ),
            self.autoencoder: autoencoders.load(folder / self.autoencoder, home),
        }

    def encode(self, pictures: torch.Tensor, generators: Sequence[torch.Generator] | None) -> torch.Tensor:
        from neural_recon.models import autoencoders

        return autoencoders.encode(self.parts[self.autoencoder], self.parts.images(pictures), generators)

    def decode(self, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:  # noqa: ARG002
        from neural_recon.models import autoencoders

        return autoencoders.decode(self.parts[self.autoencoder], self.parts.images(latents))
