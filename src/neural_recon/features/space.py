"""The interface of a feature space: what decoders predict, from pictures or from captions.

Its kinds are modules of `features/spaces/`, one class each; a recipe names the spaces it predicts, each with
a kind and what that kind is told. Nothing of torch is imported before a space is loaded.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from neural_recon.core import random_streams
from neural_recon.core.errors import InputError
from neural_recon.core.kinds import Kinds, KindSettings
from neural_recon.models import weights

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

BLOCK = 64  # images between two lines in the log
WEIGHTS = "The model: a name in config/weights.yaml, or a folder in the layout of diffusers (vdvae: a file)."


class Space(ABC):
    """One feature space. A kind says what it is in these attributes, and computes in `encode`.

    Attributes:
        title: as headings of the report name it.
        part: what its parts are called there: "layer", "token".
        reads: what features are computed from.
        decodes: whether `pictures` makes pictures of features: such a space gives base images.
        summary: how many of its parts, from the first, say which pictures are alike (of CLIP the class
            token); None: all of them.
        grid: whether its parts but the first lie on a square grid over the picture.
        folder_parts: of a kind with `weights` in its settings: the parts that are read of that folder; none:
            the weights are one file.
        parts: (per loaded space) widths of the parts that make up the values of an image, in order.
    """

    class Settings(KindSettings):
        """A feature space that the decoder predicts."""

    title: ClassVar[str]
    part: ClassVar[str] = "value"
    reads: ClassVar[Literal["pictures", "captions"]] = "pictures"
    decodes: ClassVar[bool] = False
    summary: ClassVar[int | None] = None
    grid: ClassVar[bool] = False
    folder_parts: ClassVar[tuple[str, ...]] = ()
    parts: Sequence[int]

    def __init__(self, name: str, settings: Any, seed: int) -> None:
        """Load what `encode` takes; arguments as of `features.load`."""
        self.name, self.settings, self.seed = name, settings, seed

    @property
    def width(self) -> int:
        """Values per image."""
        return int(sum(self.parts))

    def by_token(self, values: np.ndarray) -> np.ndarray:
        """Features (n, tokens, width) as rows (n, tokens * width), with one part per token."""
        self.parts = [values.shape[2]] * values.shape[1]
        return values.reshape(len(values), -1)

    @abstractmethod
    def encode(self, batch: Any, image_ids: np.ndarray) -> np.ndarray:
        """Features of images.

        Args:
            batch: pictures, uint8 (n, H, W, 3), or per image its captions (n lists of strings, of which some
                may be empty), as `reads` says.
            image_ids: (n,); with the seed they fix what is drawn, whatever is computed alongside it.

        Returns:
            float32 (n, width).
        """

    def pictures(self, values: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """Pictures uint8 (n, H, W, 3) of features (n, width); None for a kind without a decoder."""
        return None

    def generators(self, image_ids: np.ndarray, purpose: str) -> list[torch.Generator] | None:
        """Each image's own random numbers for one purpose, on the CPU; None where the space draws nothing."""
        if not self.draws(self.settings):
            return None
        return [random_streams.generator(self.seed, int(i), purpose) for i in image_ids]

    @classmethod
    def draws(cls, settings: Any) -> bool:  # noqa: ARG003
        """Whether features depend on the run's seed."""
        return False

    @classmethod
    def parts_read(cls, settings: Any) -> tuple[str, ...]:  # noqa: ARG003
        """The parts that are read of the folder `weights`, where the settings say which."""
        return cls.folder_parts

    @classmethod
    def locate(cls, key: str, settings: Any, table: weights.Table) -> Any:
        """The settings with the path of their weights instead of a name of the table.

        Args:
            key: of the configuration that describes the space, for sentences.

        Raises:
            InputError: the weights are neither an entry of the `table` nor there.
        """
        value = getattr(settings, "weights", None)
        if value is None:
            return settings
        parts = cls.parts_read(settings)
        wanted: Literal["folder", "file"] = "folder" if parts else "file"
        path = weights.locate(f"{key}.weights", value, table, wanted, parts)
        return settings.model_copy(update={"weights": str(path)})

    @classmethod
    def files(cls, settings: Any, table: weights.Table) -> list[str]:
        """What a space is loaded from, there or still to be fetched; `settings` as the recipe has them."""
        value = getattr(settings, "weights", None)
        return [] if value is None else weights.model_files(value, table, cls.parts_read(settings))

    @classmethod  # noqa: B027 - what has no model has nothing to check
    def check(cls, name: str, settings: Any) -> None:
        """Compare the files of located `settings` with what the model needs, without loading it in full.

        Raises:
            InputError: they do not fit.
        """

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int] | None:  # noqa: ARG003
        """Values per image, and the side in pixels of what they decode to (0 without a decoder), of located
        settings without loading the model; None where that is not known."""
        return None


def blocks(n: int) -> Iterator[slice]:
    """Blocks of n images to encode at once, with a line in the log after each."""
    for start in range(0, n, BLOCK):
        yield slice(start, start + BLOCK)
        logger.info("%d of %d pictures", min(start + BLOCK, n), n)


def caption_means(batch: Sequence[Sequence[str]], states: Callable[[list[str]], np.ndarray]) -> np.ndarray:
    """Means over each image's captions (n, tokens, dim) of the `states` of captions.

    An image without captions gets those of the empty caption.
    """
    counts = [max(1, len(texts)) for texts in batch]
    tokens = states([text for texts in batch for text in (texts or [""])])
    starts = np.cumsum([0, *counts[:-1]])
    return np.add.reduceat(tokens, starts, axis=0) / np.array(counts, np.float32)[:, None, None]


def averaged(batch: Sequence[Sequence[str]], states: Callable[[list[str]], np.ndarray]) -> np.ndarray:
    """`caption_means` in blocks of images: the states of all captions at once can be larger than memory."""
    return np.concatenate([caption_means(batch[part], states) for part in blocks(len(batch))])


def require_finite(latents: np.ndarray) -> None:
    """Raise an InputError where latents (n, width) are not finite: pictures of nothing."""
    wrong = int((~np.isfinite(latents).all(axis=1)).sum())
    if wrong:
        raise InputError(
            f"base images: expected latents of finite numbers, found others in {wrong} of "
            f"{len(latents)} rows; predict the features again."
        )


SPACES = Kinds("a feature space", Space, "neural_recon.features.spaces")


class Described(NamedTuple):
    """What the report has to know of a recipe's space."""

    title: str
    part: str
    grid: bool
    alike: bool  # whether it is the space that says which pictures are alike


def space_kinds(spaces: Mapping[str, Any]) -> dict[str, type[Space]]:
    """The classes of a recipe's spaces, by the names that it gives them."""
    return {name: SPACES.load(SPACES.settings(settings).kind) for name, settings in spaces.items()}


def share_a_model(one: Space.Settings, other: Space.Settings) -> bool:
    """Whether two spaces are computed by one network, or by one kind that needs none; weights that are named
    differently count as different."""
    weights_of = [getattr(settings, "weights", None) for settings in (one, other)]
    if weights_of[0] != weights_of[1]:
        return False
    if one.kind == other.kind or weights_of[0] is None:
        return one.kind == other.kind
    parts = [set(SPACES.load(settings.kind).parts_read(settings)) for settings in (one, other)]
    return not all(parts) or bool(parts[0] & parts[1])


def described(spaces: Mapping[str, Any]) -> dict[str, Described]:
    """A recipe's spaces for the report."""
    alike = similarity_space(spaces) if spaces else ""
    return {
        name: Described(kind.title, kind.part, kind.grid, name == alike)
        for name, kind in space_kinds(spaces).items()
    }


def similarity_space(spaces: Mapping[str, Any]) -> str:
    """The space that says which pictures are alike: the first with a summary, else the first."""
    kinds = space_kinds(spaces)
    return next((name for name, kind in kinds.items() if kind.summary is not None), next(iter(kinds)))


def text_space(spaces: Mapping[str, Any]) -> str | None:
    """The first space that reads captions; None where no space does."""
    return next((name for name, kind in space_kinds(spaces).items() if kind.reads == "captions"), None)


def base_space(spaces: Mapping[str, Any]) -> str | None:
    """The first space that decodes to pictures; None where no space does."""
    return next((name for name, kind in space_kinds(spaces).items() if kind.decodes), None)
