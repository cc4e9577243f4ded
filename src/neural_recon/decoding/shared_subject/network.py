"""The network of a recipe: subjects' maps, a backbone, and for each space a head with its loss.

A space whose head is "regression" is predicted by a linear map from the backbone's rows, as z-scored
features; the other heads are MindEye's (`models.shared_subject`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from neural_recon.core import random_streams
from neural_recon.decoding.decoders.shared_subject import SharedSubject

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

    def plain(self) -> dict[str, Any]:
        return asdict(self)


SIZES = {"backbone", "hidden", "blocks", "prior", "projector"}


class Network(nn.Module):
    """All that is trained.

    `mean` and `std` of regressed features, and what calibrates their predictions, are buffers: they belong
    to the weights.
    """

    def __init__(self, layout: Layout):
        super().__init__()
        how = layout.settings
        self.layout, hidden = layout, how["hidden"]
        self.heads: dict[str, str] = how["heads"]
        self.regressed = [space for space, head in self.heads.items() if head == "regression"]
        self.ridge = nn.ModuleDict({name: nn.Linear(n, hidden) for name, n in layout.voxels.items()})
        self.trunk = nn.Sequential(nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, hidden))
        widths = {space: sum(layout.parts[space]) for space in self.regressed}
        self.regressions = nn.ModuleDict({space: nn.Linear(hidden, n) for space, n in widths.items()})
        for space, n in widths.items():
            for name, value in (("mean", 0.0), ("std", 1.0), ("offset", 0.0), ("scale", 1.0)):
                self.register_buffer(f"{space}_{name}", torch.full((n,), value))

    def forward(self, voxels: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """{subject: (n, voxels)} -> space -> what its head makes of the rows, in the subjects' order.

        Outputs of an image's repetitions may be averaged before `features`.
        """
        rows = self.trunk(torch.cat([self.ridge[name](values) for name, values in voxels.items()]))
        return {space: head(rows) for space, head in self.regressions.items()}

    def features(
        self, outputs: Mapping[str, torch.Tensor], image_ids: np.ndarray, seed: int
    ) -> dict[str, torch.Tensor]:
        """Predicted features float32 (n, width) of each space, from outputs of `forward`.

        Args:
            image_ids: (n,); with the seed they fix the prior's noise, whatever is computed alongside it.
        """
        found = {}
        for space in self.regressed:
            values = outputs[space].float() * self.of(space, "scale") + self.of(space, "offset")
            found[space] = values * self.of(space, "std") + self.of(space, "mean")
        return found

    def of(self, space: str, name: str) -> torch.Tensor:
        """A buffer of a regression head."""
        return self.get_buffer(f"{space}_{name}")

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
