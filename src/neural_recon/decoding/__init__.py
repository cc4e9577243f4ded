"""Decoders from responses to features: the interface and its kinds, ridge regression, kept decoders."""

from collections.abc import Mapping
from typing import Any

from neural_recon.decoding.decoder import DECODERS, Decoder


def load(settings: Mapping[str, Any] | Decoder.Settings, seed: int = 0) -> Decoder:
    """The decoder that a section `decoder` of the configuration describes.

    Args:
        settings: the section.
        seed: of the run, for folds and samples.

    Raises:
        ValueError: there is no such kind, or a setting is wrong.
    """
    checked = DECODERS.settings(settings)
    return DECODERS.load(checked.kind)(checked, seed)
