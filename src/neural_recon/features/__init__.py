"""Feature spaces: the interface and its kinds, the store of chunks, clusters of similar images."""

from collections.abc import Mapping
from typing import Any

from neural_recon.features.space import SPACES, Space


def load(name: str, settings: Mapping[str, Any] | Space.Settings, seed: int = 0) -> Space:
    """A feature space, its model loaded: on the GPU where there is one, else on the CPU.

    Args:
        name: that a recipe gives it.
        settings: the recipe's entry: its kind, and what that kind is told; weights as a path.
        seed: of the run, for kinds that draw.

    Raises:
        InputError: a file of the model is missing, or not what it must be.
        ValueError: there is no such kind, or a setting is wrong.
    """
    checked = SPACES.settings(settings)
    return SPACES.load(checked.kind)(name, checked, seed)
