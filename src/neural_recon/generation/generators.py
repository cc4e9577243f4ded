"""What paints the final pictures: one class a kind (`generator.kind` of a recipe), listed in `KINDS`.

config/recipes/README.md says how to add one. The workflow reads here what each kind needs: nothing of torch
is imported before something is painted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.files import read_hdf5
from neural_recon.features.feature_files import read_rows, select_rows
from neural_recon.models.model_folders import picture_size, read_config


@dataclass(frozen=True)
class Contexts:
    """What diffusion is guided by, and away from."""

    vision: np.ndarray  # (n, tokens * C), predicted
    text: np.ndarray  # (n, tokens * C), predicted
    unconditional: tuple[np.ndarray, np.ndarray]  # of a grey image and the empty caption, (1, tokens, C) each


class Generator(ABC):
    """What every kind says of itself, and its one method.

    Attributes:
        needs_base: it starts from base images.
        needs_contexts: it is guided by contexts. A kind that needs both must also paint without base images,
            from the contexts alone, for the report shows what each of the two stages adds.
        draws: it draws noise, so that another draw is another picture.
        parts: the parts of the folder `weights.versatile` whose weights it reads.
        settings: the keys of the section `generator` that change its pictures.
    """

    needs_base: ClassVar[bool]
    needs_contexts: ClassVar[bool]
    draws: ClassVar[bool]
    parts: ClassVar[tuple[str, ...]]
    settings: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        """Load what painting takes.

        Args:
            folder: of Versatile Diffusion, in the layout of diffusers.
            settings: the whole section `generator` of the configuration.

        Raises:
            InputError: a file is missing or not what it must be.
        """

    @abstractmethod
    def paint(
        self,
        base: np.ndarray | None,
        contexts: Contexts | None,
        image_ids: np.ndarray,
        seed: int,
        draw: int = 0,
    ) -> np.ndarray:
        """Paint final pictures.

        Args:
            base: uint8 (n, H, W, 3) base images, or None.
            contexts: of the same n images, or None. What a kind does not need it passes over.
            image_ids: (n,): with `seed` and `draw` they fix every picture, whatever is painted beside it.
            seed: of the run.
            draw: which of a picture's draws: the run's pictures are draw 0.

        Returns:
            uint8 (n, S, S, 3), S the side of the generator's pictures.

        Raises:
            InputError: an input is missing or of another model, or what came out is no picture.
        """

    @classmethod
    def two_stages(cls) -> bool:
        """Whether base images and contexts both enter, so that one can ask what each of them adds."""
        return cls.needs_base and cls.needs_contexts


class VersatileDiffusion(Generator):
    """Image-to-image diffusion from the base image under both contexts (Ozcelik & VanRullen 2023)."""

    needs_base = True
    needs_contexts = True
    draws = True
    parts = ("image_unet", "text_unet", "vae", "scheduler")
    settings: ClassVar[tuple[str, ...]] = ("strength", "mixing", "guidance_scale", "steps", "precision")

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        from neural_recon.models.loading import load_generator

        self.pipeline = load_generator(folder, settings["precision"], settings["memory"], settings["compile"])
        names = ("strength", "mixing", "guidance_scale", "steps", "batch")
        self.how = {name: settings[name] for name in names}

    def paint(
        self,
        base: np.ndarray | None,
        contexts: Contexts | None,
        image_ids: np.ndarray,
        seed: int,
        draw: int = 0,
    ) -> np.ndarray:
        from neural_recon.generation.reconstruct import reconstruct

        if contexts is None:
            raise InputError("versatile_diffusion: expected contexts to be guided by, found none.")
        given = (contexts.vision, contexts.text, contexts.unconditional)
        start = base if self.needs_base else None
        return reconstruct(self.pipeline, start, *given, image_ids, seed, **self.how, draw=draw)


class ContextsOnly(VersatileDiffusion):
    """The same from pure noise: all steps, under both contexts, without a base image."""

    needs_base = False
    settings = ("mixing", "guidance_scale", "steps", "precision")


class BaseOnly(Generator):
    """The base image itself, enlarged as the image-to-image generator would start from it."""

    needs_base = True
    needs_contexts = False
    draws = False
    parts = ()
    settings = ()

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:  # noqa: ARG002
        unet, vae = (read_config(Path(folder) / part) for part in ("image_unet", "vae"))
        self.size = picture_size(unet, vae)

    def paint(
        self,
        base: np.ndarray | None,
        contexts: Contexts | None,  # noqa: ARG002
        image_ids: np.ndarray,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        draw: int = 0,  # noqa: ARG002
    ) -> np.ndarray:
        from neural_recon.generation.reconstruct import resized

        if base is None:
            raise InputError("base_only: expected base images, found none.")
        return resized(base, self.size)


# the values of `generator.kind`
KINDS: dict[str, type[Generator]] = {
    "versatile_diffusion": VersatileDiffusion,
    "contexts_only": ContextsOnly,
    "base_only": BaseOnly,
}


def load(folder: str | Path, settings: Mapping[str, Any]) -> Generator:
    """The generator that the section `generator` asks for; arguments as for a kind's class."""
    return KINDS[settings["kind"]](folder, settings)


def unread_parts(kind: str) -> set[str]:
    """The parts of the folder `weights.versatile` whose weights some kind reads, and this one does not."""
    return {part for other in KINDS.values() for part in other.parts} - set(KINDS[kind].parts)


def unread_settings(kind: str, given: Mapping[str, Any]) -> list[str]:
    """A sentence for each key given in a section `generator` that changes pictures of other kinds only."""
    unread = {name for other in KINDS.values() for name in other.settings} - set(KINDS[kind].settings)
    return [
        f"generator.{name}: given, but the kind {kind} does not read it." for name in given if name in unread
    ]


def changing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of the section `generator` changes a picture: its kind, and the settings that kind reads."""
    return {name: settings[name] for name in ("kind", *KINDS[settings["kind"]].settings)}


def read_base(path: str | Path, image_ids: np.ndarray) -> np.ndarray | None:
    """The base images uint8 (n, H, W, 3) of some images; None without a path (a kind that needs none).

    Raises:
        InputError: an image that is not there.
    """
    if not path:
        return None
    arrays = read_hdf5(path, "images", "image_id")
    return select_rows(path, arrays["images"], arrays["image_id"], image_ids)


def read_contexts(
    vision: str | Path | Sequence[str | Path],
    text: str | Path | Sequence[str | Path],
    unconditional: str | Path,
    image_ids: np.ndarray,
) -> Contexts | None:
    """The contexts of some images; None without a path of unconditional ones (a kind that needs none).

    Args:
        vision, text: a file of predictions, or the chunks with the true features.

    Raises:
        InputError: an image that is not there.
    """
    if not unconditional:
        return None
    return contexts_of(read_rows(vision, image_ids), read_rows(text, image_ids), unconditional)


def contexts_of(vision: np.ndarray, text: np.ndarray, unconditional: str | Path) -> Contexts | None:
    """Predicted contexts (n, tokens * C) with the unconditional ones of a file; None without its path."""
    if not unconditional:
        return None
    none = read_hdf5(unconditional, "vision", "text")
    return Contexts(vision, text, (none["vision"], none["text"]))
