"""The network of a recipe: subjects' maps, a backbone, and for each space a head with its loss.

A space whose head is "regression" is predicted by a linear map from the backbone's rows, as z-scored
features; the other heads are MindEye's (`models.shared_subject`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from neural_recon.core import random_streams
from neural_recon.core.errors import InputError
from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.models.diffusion_prior import DiffusionPrior
from neural_recon.models.low_level import LowLevelSizes
from neural_recon.models.prior_transformer import PriorSizes
from neural_recon.models.shared_subject import NetworkSizes, SharedSubjectNetwork

PROJECTED = "projected "  # among outputs; no space has such a name
CHANNELS = 4  # of an autoencoder's latents
NOISE = "diffusion prior"  # purpose of an image's random numbers


@dataclass(frozen=True)
class Layout:
    """What a network is built from: stored with its weights, plain values.

    Attributes:
        settings: of the decoder, those that say its sizes.
        parts: space -> widths of its parts.
        voxels: subject -> voxels.
    """

    settings: dict[str, Any]
    parts: dict[str, list[int]]
    voxels: dict[str, int]

    @classmethod
    def of(
        cls, settings: SharedSubject.Settings, parts: Mapping[str, Sequence[int]], voxels: Mapping[str, int]
    ) -> Layout:
        sizes = settings.model_dump(mode="json", include=SIZES)
        heads = {space: settings.head(space) for space in parts}
        return cls({**sizes, "heads": heads}, {k: list(v) for k, v in parts.items()}, dict(voxels))


SIZES = {"backbone", "hidden", "blocks", "prior", "projector", "low_level"}


class Network(nn.Module):
    """All that is trained.

    `mean` and `std` of regressed features, and what calibrates their predictions, are buffers: they belong
    to the weights.
    """

    def __init__(self, layout: Layout):
        super().__init__()
        self.layout = layout
        self.heads: dict[str, str] = layout.settings["heads"]
        self.regressed = [space for space, head in self.heads.items() if head == "regression"]
        self.shared = SharedSubjectNetwork(layout.voxels, _sizes(layout))
        widths = {space: sum(layout.parts[space]) for space in self.regressed}
        hidden = layout.settings["hidden"]
        self.regressions = nn.ModuleDict({f"of_{space}": nn.Linear(hidden, n) for space, n in widths.items()})
        for space, n in widths.items():
            for name, value in (("mean", 0.0), ("std", 1.0), ("offset", 0.0), ("scale", 1.0)):
                self.register_buffer(f"{name}_of_{space}", torch.full((n,), value))

    def space(self, head: str) -> str | None:
        """The space that has a head which one space at most has."""
        return next((space for space, one in self.heads.items() if one == head), None)

    def forward(self, voxels: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """{subject: (n, voxels)} -> what the heads make of the rows, in the subjects' order.

        By space, its own (of the prior's space the condition), and "projected" where there is a prior.
        Outputs of an image's repetitions may be averaged before `features`.
        """
        made = self.shared(voxels)
        found = {space: self.regressions[f"of_{space}"](made.features) for space in self.regressed}
        for head, values in (
            ("prior", made.tokens),
            ("projector", made.projected),
            ("low_level", made.low_level),
            ("teacher", made.auxiliary),
        ):
            if space := self.space(head):
                found[space] = values
        return found if made.projected is None else found | {PROJECTED: made.projected}

    def features(
        self, outputs: Mapping[str, torch.Tensor], image_ids: np.ndarray, seed: int
    ) -> dict[str, torch.Tensor]:
        """Predicted features float32 (n, ...) of each space, from outputs of `forward`.

        Args:
            image_ids: (n,); with the seed they fix the prior's noise, whatever is computed alongside it.
        """
        found = {space: outputs[space].float() for space in self.heads}
        for space in self.regressed:
            values = found[space] * self.of(space, "scale") + self.of(space, "offset")
            found[space] = values * self.of(space, "std") + self.of(space, "mean")
        if maps := self.space("teacher"):
            copies = sum(self.layout.parts[maps]) // found[maps][0].numel()
            found[maps] = found[maps].repeat(
                1, copies, 1
            )  # altered copies of a picture have maps like its own
        if tokens := self.space("prior"):
            generators = [random_streams.generator(seed, int(one), NOISE) for one in image_ids]
            steps = self.layout.settings["prior"]["steps"]
            found[tokens] = self.prior.sample(found[tokens], generators, steps)
        return found

    @property
    def prior(self) -> DiffusionPrior:
        assert self.shared.diffusion_prior is not None
        return self.shared.diffusion_prior

    def of(self, space: str, name: str) -> torch.Tensor:
        """A buffer of a regression head."""
        return self.get_buffer(f"{name}_of_{space}")

    def standardised(self, space: str, features: torch.Tensor) -> torch.Tensor:
        """Features (n, width) of a regression head, float32, z-scored as the head learns them."""
        mean, std = self.of(space, "mean"), self.of(space, "std")
        return (features.to(mean) - mean) / std

    def set_statistics(self, features: Mapping[str, Sequence[np.ndarray]]) -> None:
        """Mean and std of regressed features, over the training images of all subjects."""
        for space in self.regressed:
            count = sum(len(rows) for rows in features[space])
            total = sum(rows.sum(axis=0, dtype=np.float64) for rows in features[space])
            mean = total / count
            squares = sum(((rows - mean) ** 2).sum(axis=0, dtype=np.float64) for rows in features[space])
            std = np.sqrt(squares / max(count - 1, 1))
            self.of(space, "mean").copy_(torch.from_numpy(mean))
            self.of(space, "std").copy_(torch.from_numpy(np.where(std > 0, std, 1)))


def _sizes(layout: Layout) -> NetworkSizes:
    """The sizes of MindEye's part of a network.

    Raises:
        InputError: features that are no tokens, or no latents, where a head wants them.
    """
    how, heads = layout.settings, layout.settings["heads"]
    by_head = {head: layout.parts[space] for space, head in heads.items() if head != "regression"}
    tokens, width = 0, 0
    if "prior" in by_head:
        parts = by_head["prior"]
        tokens, width = len(parts), parts[0]
        if set(parts) != {width} or by_head.get("projector", parts) != parts:
            raise InputError(
                "decoder.heads: expected tokens of one width for prior, the same for projector, found parts "
                f"of {sorted(set(parts))}; choose regression for other features."
            )
    prior = {key: value for key, value in how["prior"].items() if key != "steps"}
    low_level = _low_level(how["low_level"], by_head["low_level"]) if "low_level" in by_head else None
    if low_level and "teacher" in by_head:
        parts, places = by_head["teacher"], low_level.side**2
        if set(parts) != {low_level.teacher} or len(parts) % places:
            raise InputError(
                f"decoder.heads: expected for teacher {places} places with {low_level.teacher} values, "
                f"as the low-level head has, found {len(parts)} places with {sorted(set(parts))}; "
                "change the size of the space's pictures, or take it out."
            )
    return NetworkSizes(
        hidden=how["hidden"],
        tokens=tokens,
        width=width,
        backbone=how["backbone"],
        blocks=how["blocks"],
        projector=how["projector"],
        low_level=low_level,
        prior=PriorSizes(tokens=tokens, width=width, **prior) if tokens else None,
    )


def _low_level(how: Mapping[str, Any], parts: Sequence[int]) -> LowLevelSizes:
    widths, side = how["decoder"], math.isqrt(parts[0])
    factor = 2 ** (len(widths) - 1)
    if list(parts) != [side**2] * CHANNELS or side % factor:
        raise InputError(
            f"decoder.heads: expected for low_level latents of {CHANNELS} channels whose side is a multiple "
            f"of {factor}, found parts of {sorted(set(parts))}; change decoder.low_level.decoder, or choose "
            "regression."
        )
    own = how["blocks"] > 0  # as in MindEye1
    return LowLevelSizes(
        side=side // factor,
        decoder=tuple(widths),
        groups=math.gcd(32, *widths),
        blocks=how["blocks"],
        bias=not own,
        dropout=0.0 if own else LowLevelSizes.dropout,
    )
