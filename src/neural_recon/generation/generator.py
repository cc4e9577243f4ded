"""What paints the final pictures: the interface, and the kinds there are (`generator.kind`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.kinds import Kinds, KindSettings
from neural_recon.generation.controls import Painted

# The settings that change no picture: how many are painted at once and per file, and with what effort.
EFFORT = ("chunk", "batch", "memory", "compile")
Parts = Mapping[str, tuple[str, ...]]  # by the setting that names their folder


class Generator(ABC):
    """What every kind says of itself, and what it does.

    Attributes:
        draws: it draws noise, so that another draw is another picture.
        published_side: `side` of its published weights, for estimates before they are there.
        base_is_final: its pictures are the base images at another size, and are not compared with these.
        files: what painting reads of the weights, by the setting that names them: parts of a folder in the
            layout of diffusers, or without parts all that it names. Settings that a kind lacks do not count.
        encoders: what `unconditional` reads in the same way; empty: the kind has no such method.
        own_controls: what is painted, scored and shown of its pictures only, besides `controls.CONTROLS`.
    """

    class Settings(KindSettings):
        """What paints the final pictures.

        `chunk`, `batch`, `memory` and `compile` change no picture; every other setting may. A setting that
        names weights (`files`, `encoders`) is a name of config/weights.yaml, or a path.
        """

        # the settings that name the feature spaces whose predictions guide the generator, its roles; one that
        # may be None is a role where it is not
        roles: ClassVar[tuple[str, ...]] = ()

        base: str | None = Field(None, description="The feature space whose pictures it starts from.")
        chunk: Annotated[int, Field(ge=1)] = Field(50, description="Images per job and file.")
        batch: Annotated[int, Field(ge=1)] = Field(
            16, description="Images at once; changes no picture, and halves where memory runs out."
        )
        memory: Literal["fast", "low"] = Field(
            "fast",
            description="low: one image at once and only the part in use on the GPU, for GPUs of 4 GB; "
            "changes no picture.",
        )
        precision: Literal["auto", "float16", "bfloat16", "float32"] = Field(
            "auto", description="Of the network; auto is float16 on a GPU and float32 on the CPU."
        )
        compile: bool = Field(
            False, description="Pass the network through torch.compile: minutes at the start, then faster."
        )

        @property
        def guides(self) -> dict[str, str]:
            """The space that guides it in each role."""
            named = {role: getattr(self, role) for role in self.roles}
            return {role: space for role, space in named.items() if space is not None}

        @property
        def two_stages(self) -> bool:
            """Whether base images and guides both enter, so that one can ask what each of them adds."""
            return self.base is not None and bool(self.roles)

        @property
        def captioned(self) -> bool:
            """Whether it decodes captions of its pictures (`Generator.captions`)."""
            return False

        @property
        def changing(self) -> dict[str, Any]:
            """The settings that change pictures."""
            return self.model_dump(mode="json", exclude=set(EFFORT))

    draws: ClassVar[bool] = False
    published_side: ClassVar[int] = 512
    base_is_final: ClassVar[bool] = False
    files: ClassVar[Parts] = {"weights": ()}
    encoders: ClassVar[Parts] = {}
    own_controls: ClassVar[tuple[Painted, ...]] = ()

    def __init__(
        self, settings: Settings, device: str | None = None, unconditional: str | Path | None = None
    ) -> None:
        self.settings, self.device, self._unconditional = settings, device, unconditional

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """The same with some settings changed."""
        if not settings:
            return self
        checked = type(self.settings).model_validate({**self.settings.model_dump(), **settings})
        return type(self)(checked, self.device, self._unconditional)

    @classmethod
    def parts_read(cls, settings: Any) -> tuple[Parts, Parts]:  # noqa: ARG003
        """`files` and `encoders` of a run, where the settings, as a recipe has them, say which."""
        return cls.files, cls.encoders

    def side(self) -> int | None:
        """The side of its pictures in pixels, without loading a model; None: that of the base images.

        A kind's weights or its setting `size` say so, and no other setting.

        Raises:
            InputError: a file that says so is not there.
        """
        return getattr(self.settings, "size", None)

    def prepare(self) -> None:
        """Load what painting takes; on the device "meta" files are compared with what they must hold.

        Raises:
            InputError: a file is missing or not what it must be.
        """
        self.side()

    def unconditional(self) -> dict[str, np.ndarray]:
        """What guides it where nothing does: an array (1, ...) for each role, and what else the kind wants.

        The workflow computes it once. Of kinds with `encoders` only.
        """
        raise NotImplementedError(f"{self.settings.kind} has no encoders.")

    def unguided(self) -> dict[str, np.ndarray]:
        """The same, from its file where there is one."""
        if self._unconditional:
            return read_hdf5(self._unconditional)
        return self.unconditional()

    def captions(self, guides: Mapping[str, np.ndarray], image_ids: np.ndarray) -> list[str] | None:  # noqa: ARG002
        """The captions, decoded from guides, that it paints pictures under; None where there are none
        (`Settings.captioned`). Arguments as of `paint`."""
        return None

    def check(self, base: np.ndarray | None, guides: Mapping[str, np.ndarray]) -> None:
        """Raise an InputError where `paint` lacks a guide, or base images where nothing else is there."""
        if base is None and self.settings.base is not None and not self.settings.roles:
            raise InputError(f"{self.settings.kind}: expected base images, found none.")
        if missing := [role for role in self.settings.guides if role not in guides]:
            raise InputError(
                f"{self.settings.kind}: expected predicted features as the guides "
                f"{', '.join(self.settings.guides)}, found no {', '.join(missing)}."
            )

    def paint_from(
        self, base: np.ndarray | None, features: Mapping[str, np.ndarray], image_ids: np.ndarray, seed: int
    ) -> np.ndarray:
        """As `paint`, from base images and predicted features (n, width) by the names of their spaces."""
        guides = {role: features[space] for role, space in self.settings.guides.items()}
        return self.paint(base if self.settings.base else None, guides, image_ids, seed)

    @abstractmethod
    def paint(
        self,
        base: np.ndarray | None,
        guides: Mapping[str, np.ndarray],
        image_ids: np.ndarray,
        seed: int,
        draw: int = 0,
    ) -> np.ndarray:
        """Paint final pictures.

        Args:
            base: uint8 (n, H, W, 3) base images, or None: of kinds without `settings.base`, and of those that
                have guides, too, where a control asks what these paint alone.
            guides: predicted features of the same n images, float32 (n, width), by role.
            image_ids: (n,): with `seed` and `draw` they fix every picture, whatever is painted alongside it.
            seed: of the run.
            draw: which of a picture's draws: the run's pictures are draw 0.

        Returns:
            uint8 (n, S, S, 3), S the side of the generator's pictures.

        Raises:
            InputError: an input is missing or of another model, or what came out is no picture.
        """


class Inputs(NamedTuple):
    """The arguments of `Generator.paint`, for what hands them on."""

    base: np.ndarray | None
    guides: Mapping[str, np.ndarray]
    image_ids: np.ndarray
    seed: int
    draw: int


GENERATORS = Kinds("a generator", Generator, "neural_recon.generation.generators")
