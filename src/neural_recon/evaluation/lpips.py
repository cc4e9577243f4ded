"""LPIPS: how different two pictures look to people, by AlexNet's features (Zhang et al. 2018).

The values of each place in a layer are scaled to length 1; squared differences are weighed by channel, as
people's judgements taught, averaged over places and summed over layers. Each picture therefore has a vector
such that LPIPS is the squared distance of two of them, and all pairs are compared without another pass.
"""

from pathlib import Path

import torch
from torch import nn

from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints

LAYERS = tuple(f"features.{k}" for k in (1, 4, 7, 9, 11))  # torchvision's names of AlexNet's ReLUs
CHANNELS = (64, 192, 384, 256, 256)
EPSILON = 1e-10  # as published


class Lpips(nn.Module):
    """Pictures, normalised as for ImageNet, to vectors whose squared distance is LPIPS.

    Args:
        trunk: AlexNet's `LAYERS` by name.
        weights: of each layer's channels, not negative: (C,) each.
    """

    def __init__(self, trunk: nn.Module, weights: list[torch.Tensor]):
        super().__init__()
        self.trunk = trunk
        for layer, weight in enumerate(weights):
            self.register_buffer(f"root{layer}", weight.sqrt()[None, :, None, None])

    def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """(n, 3, S, S) to (n, d), under the name of no layer."""
        features = self.trunk(inputs)
        parts = []
        for k, layer in enumerate(LAYERS):
            values = features[layer]
            scale = values.norm(dim=1, keepdim=True) + EPSILON
            places = values.shape[2] * values.shape[3]
            parts.append((values / scale * self.get_buffer(f"root{k}") / places**0.5).flatten(1))
        return {"": torch.cat(parts, dim=1)}


def read_weights(path: str | Path) -> list[torch.Tensor]:
    """The published weights of AlexNet's channels, (C,) per layer.

    Raises:
        InputError: the file is missing, of another network, or has negative weights.
    """
    tensors, found = checkpoints.read_tensors(path), []
    for k, channels in enumerate(CHANNELS):
        name = f"lin{k}.model.1.weight"
        shape = tuple(tensors[name].shape) if name in tensors else None
        if shape != (1, channels, 1, 1):
            raise InputError(
                f"{path}: expected LPIPS's weights of AlexNet, {name} of the shape 1 x {channels} x 1 x 1, "
                f"found {shape or 'no such tensor'}; name alex.pth, version 0.1."
            )
        weight = tensors[name].float().reshape(-1)
        if not (weight >= 0).all():
            raise InputError(f"{path}: expected weights of 0 or more in {name}, found others; name alex.pth.")
        found.append(weight)
    return found
