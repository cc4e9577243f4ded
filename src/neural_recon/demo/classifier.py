"""The demo's independent judge: a small network that names a picture's main object and background."""

import os

import numpy as np
import torch
from torch import nn

from neural_recon.demo.scenes import BACKGROUNDS, KINDS
from neural_recon.models import checkpoints

SIZE = 64


class SceneClassifier(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] to logits over kinds of object (B, 14) and backgrounds (B, 8)."""

    def __init__(self, width: int = 24):
        super().__init__()
        layers, channels = [], 3
        for wider in (width, 2 * width, 4 * width, 4 * width):
            layers += [
                nn.Conv2d(channels, wider, 3, padding=1),
                nn.GroupNorm(8, wider),
                nn.GELU(),
                nn.MaxPool2d(2),
            ]
            channels = wider
        self.trunk = nn.Sequential(*layers)
        # where things are matters for the background, so the last 4 x 4 places stay apart
        self.head = nn.Linear(channels * 16, len(KINDS) + len(BACKGROUNDS))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.head(self.trunk(x).flatten(1))
        return logits[:, : len(KINDS)], logits[:, len(KINDS) :]

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "SceneClassifier":
        """Load the weights that ship with the demo.

        Raises:
            InputError: the file is missing or holds other tensors.
        """
        model = checkpoints.empty(cls)
        checkpoints.load_tensors(model, checkpoints.read_tensors(path), path)
        return model.eval()

    @torch.no_grad()
    def probabilities(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (n, 64, 64, 3) -> probabilities of kinds (n, 14) and backgrounds (n, 8)."""
        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        kinds, places = self(x)
        return kinds.softmax(1).numpy(), places.softmax(1).numpy()
