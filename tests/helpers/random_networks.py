"""The networks of the metrics, with random weights."""

import torch
from torchvision import models

from neural_recon.evaluation.lpips import CHANNELS
from neural_recon.models import checkpoints

ARCHITECTURES = {
    "alexnet": models.alexnet,
    "inception": lambda: models.inception_v3(init_weights=False),  # with the input as it was trained
    "efficientnet": models.efficientnet_b1,
    "swav": models.resnet50,
}
LARGE = ("classifier.", "fc.", "AuxLogits.")  # behind the layers that are compared


def random_tensors(name: str) -> dict[str, torch.Tensor]:
    """A network's tensors, drawn so that features vary; what lies behind them takes no room on disk."""
    generator = torch.Generator().manual_seed(len(name))
    tensors = {}
    for key, tensor in checkpoints.empty(ARCHITECTURES[name]).state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue  # old files have none
        if key.startswith(LARGE):
            tensors[key] = torch.zeros(1).expand(tensor.shape)
        elif key.endswith("running_var") or (tensor.dim() == 1 and key.endswith("weight")):
            tensors[key] = torch.rand(tensor.shape, generator=generator) + 0.5
        else:
            fan_in = max(1, tensor[0].numel()) if tensor.dim() > 1 else 100
            tensors[key] = torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5
    return tensors


def random_lpips() -> dict[str, torch.Tensor]:
    """LPIPS's weights of AlexNet's channels, in the published layout."""
    generator = torch.Generator().manual_seed(5)
    return {
        f"lin{k}.model.1.weight": torch.rand((1, channels, 1, 1), generator=generator)
        for k, channels in enumerate(CHANNELS)
    }
