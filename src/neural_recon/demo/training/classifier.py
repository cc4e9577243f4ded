"""A judge trained apart: names the main object and the background of a picture, and is used nowhere else."""

from pathlib import Path

import numpy as np
import torch

from neural_recon.demo.classifier import SceneClassifier
from neural_recon.demo.scenes import BACKGROUNDS, KINDS, sample
from neural_recon.demo.training.autoencoder import to_tensor
from neural_recon.demo.training.loop import Schedule, autocast, fit
from neural_recon.demo.training.pictures import TRAINING_STREAM

SCHEDULE = Schedule(steps=1500, learning_rate=2e-3, batch=64, weight_decay=0.01)


def train(pictures: np.ndarray, folder: Path, device: torch.device) -> SceneClassifier:
    """Train on clean, blurred and noisy scenes alike, so that blur alone does not decide a score."""
    scenes = [sample(TRAINING_STREAM, index) for index in range(len(pictures))]
    kinds = torch.tensor([KINDS.index(scene.objects[0].kind) for scene in scenes], device=device)
    places = torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes], device=device)
    model = SceneClassifier().to(device)

    def loss(_step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = rng.integers(len(pictures), size=SCHEDULE.batch)
        x = to_tensor(pictures[rows], device)
        blur = int(rng.choice([1, 1, 2, 4]))
        if blur > 1:
            small = torch.nn.functional.avg_pool2d(x, blur)
            x = torch.nn.functional.interpolate(small, size=x.shape[-2:], mode="bilinear")
        x = x + float(rng.choice([0, 0.1, 0.3])) * torch.randn_like(x)
        with autocast(device):
            kind, place = model(x)
        kind, place = kind.float(), place.float()
        entropy = torch.nn.functional.cross_entropy
        total = entropy(kind, kinds[rows], label_smoothing=0.05) + entropy(place, places[rows])
        right = (kind.argmax(1) == kinds[rows]).float().mean()
        return {
            "loss": total,
            "object": right,
            "background": (place.argmax(1) == places[rows]).float().mean(),
        }

    return fit("classifier", model, loss, SCHEDULE, folder)
