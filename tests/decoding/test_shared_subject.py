"""Networks of several subjects on random toy data: they learn, resume, and hand on what is shared."""

import numpy as np
import pandas as pd
import pytest
import torch

from neural_recon.core.errors import InputError
from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.decoding.shared_subject import prediction, runs, training, weights
from neural_recon.decoding.shared_subject.data import Order, Trained
from neural_recon.evaluation.metrics import two_way_identification

LATENT, IMAGES, TEST, TOKENS, WIDTH, SIDE = 6, 60, 24, 3, 8, 4
PARTS = {"text": [WIDTH] * TOKENS, "colour": [5, 7], "latents": [SIDE**2] * 4}
HEADS = {"text": "prior", "latents": "low_level"}


def settings(**changes) -> SharedSubject.Settings:
    small = {
        "kind": "shared_subject",
        "heads": HEADS,
        "hidden": 32,
        "blocks": 1,
        "prior": {"depth": 1, "heads": 2, "head_width": 4, "steps": 4},
        "projector": 8,
        "low_level": {"decoder": [8, 8]},
        "pretrain": {"epochs": 3, "batch": 24},
        "finetune": {"epochs": 3, "batch": 16},
        "validation": {"share": 0.2},
        "checkpoint_every": 1,
    }
    return SharedSubject.Settings.model_validate(small | changes)


class World:
    """Images with a few hidden causes, that features and every subject's voxels follow."""

    def __init__(self, rng):
        self.rng = rng
        self.ways = {space: rng.standard_normal((LATENT, sum(parts))) for space, parts in PARTS.items()}

    def features(self, causes: np.ndarray) -> dict[str, np.ndarray]:
        return {space: (causes @ way / 2).astype(np.float16) for space, way in self.ways.items()}

    def person(self, subject: str, n_voxels: int, images: int = IMAGES, noise: float = 0.5):
        """Training trials (two of each image), test trials (three of each), and the test images' features."""
        voxels = self.rng.standard_normal((LATENT, n_voxels)) / np.sqrt(LATENT)
        train, test = (self.rng.standard_normal((n, LATENT)) for n in (images, TEST))

        def trials(causes, repetitions):
            which = np.tile(np.arange(len(causes)), repetitions)
            clean = causes[which] @ voxels
            return (clean + noise * self.rng.standard_normal(clean.shape)).astype(np.float32), which

        rows, image = trials(train, 2)
        trained = Trained(subject, rows, image, self.features(train), PARTS)
        return trained, trials(test, 3), self.features(test)


@pytest.fixture
def world(rng) -> World:
    return World(rng)


def identified(network, test, true) -> dict[str, float]:
    found = prediction.predicted(network, *test, np.arange(TEST), seed=0)
    return {
        space: float(two_way_identification(true[space].astype(np.float32), found[space]).mean())
        for space in true
    }


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_head_learns_and_the_control_does_not(world, tmp_path):
    how = settings(finetune={"epochs": 40, "batch": 16}, learning_rate=3e-3)
    one, test, true = world.person("anna", 40)
    network, losses = runs.finetune(how, one, 0, tmp_path / "one.pt")
    scores = identified(network, test, true)
    assert all(score > 0.75 for score in scores.values()), scores
    total = losses.query("loss == 'total'").pivot_table(index="epoch", columns="images", values="value")
    assert (total.iloc[-1] < 0.8 * total.iloc[0]).all()
    shuffled = {space: np.roll(rows, 7, axis=0) for space, rows in one.features.items()}
    control = Trained(one.subject, one.responses, one.image, shuffled, PARTS)
    network, losses = runs.finetune(how, control, 0, tmp_path / "two.pt", control=True)
    chance = identified(network, test, true)
    assert all(score < 0.65 for score in chance.values()), chance
    assert set(losses["training"]) == {"shuffled pairs"}
