"""The demo's judge."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neural_recon.core.errors import InputError
from neural_recon.demo.classifier import SIZE, SceneClassifier
from neural_recon.demo.scenes import BACKGROUNDS, KINDS


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SceneClassifier().eval()


def test_probabilities_are_the_softmax_of_the_logits(model, rng):
    pictures = rng.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    kinds, places = model.probabilities(pictures)
    assert kinds.shape == (3, len(KINDS))
    assert places.shape == (3, len(BACKGROUNDS))
    x = torch.tensor(pictures.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    with torch.no_grad():
        logits = np.concatenate([part.numpy() for part in model(x)], axis=1)
    for found, expected in ((kinds, logits[:, : len(KINDS)]), (places, logits[:, len(KINDS) :])):
        powers = np.exp(expected)
        np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(model.probabilities(pictures[1:2])[0][0], kinds[1], rtol=1e-4)


def test_where_things_are_matters(model):
    picture = np.full((1, SIZE, SIZE, 3), 100, np.uint8)
    picture[:, :16] = 250
    upside_down = picture[:, ::-1]
    assert np.abs(model.probabilities(picture)[1] - model.probabilities(upside_down)[1]).max() > 1e-4


def test_weights_come_back(model, tmp_path, rng):
    path = tmp_path / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in model.state_dict().items()}, path)
    found = SceneClassifier.from_file(path)
    assert not found.training
    assert {tensor.dtype for tensor in found.state_dict().values()} == {torch.float32}
    pictures = rng.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    np.testing.assert_allclose(found.probabilities(pictures)[0], model.probabilities(pictures)[0], atol=2e-3)


def test_other_weights_are_named(model, tmp_path):
    with pytest.raises(InputError, match=r"none\.safetensors: expected a file of weights"):
        SceneClassifier.from_file(tmp_path / "none.safetensors")
    save_file(SceneClassifier(width=16).state_dict(), tmp_path / "narrow.safetensors")
    with pytest.raises(InputError, match=r"narrow\.safetensors: expected the tensor trunk\.0\.weight"):
        SceneClassifier.from_file(tmp_path / "narrow.safetensors")
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "head.bias"}
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=r"expected the tensor head\.bias .* found none"):
        SceneClassifier.from_file(tmp_path / "part.safetensors")
