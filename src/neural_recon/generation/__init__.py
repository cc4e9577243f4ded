"""Generators: from predicted features to pictures, and pictures on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from neural_recon.core.errors import InputError, first_mistake
from neural_recon.generation.generator import GENERATORS, Generator


def load(
    settings: Generator.Settings | Mapping[str, Any],
    device: str | None = None,
    unconditional: str | Path | None = None,
) -> Generator:
    """The generator that a section `generator` of the configuration describes.

    Models are loaded with the first picture, and nothing of torch is imported before.

    Args:
        settings: the section; `weights`, where the kind has any, as the path where they lie.
        device: torch's name; default: the GPU where there is one, else the CPU.
        unconditional: a file of what `Generator.unconditional` gives, which is else computed where needed.

    Raises:
        InputError: there is no such kind, or a setting is wrong.
    """
    try:
        checked = GENERATORS.settings(settings)
    except ValidationError as error:
        raise InputError(f"generator: {first_mistake(error)}.") from error
    except ValueError as error:
        raise InputError(f"generator: {error}.") from error
    return GENERATORS.load(checked.kind)(checked, device, unconditional)
