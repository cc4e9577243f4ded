"""Model files and folders: found, or named in one sentence."""

import json

import numpy as np
import pytest
import torch
from helpers.tiny_vdvae import TINY_VDVAE
from safetensors.torch import save_file

from neural_recon.core.errors import InputError
from neural_recon.models import loading, model_folders
from neural_recon.models.vdvae import VDVAE


@pytest.fixture
def files(tmp_path):
    """Weights and hyper-parameters of a small VDVAE."""
    torch.manual_seed(0)
    model = VDVAE(TINY_VDVAE)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "hparams.json").write_text(json.dumps(TINY_VDVAE))
    return tmp_path / "model.safetensors", tmp_path / "hparams.json", model


def test_vdvae_of_two_files(files, rng):
    weights, hparams, model = files
    pictures = rng.integers(0, 256, (2, 8, 8, 3), np.uint8)
    found = loading.load_vdvae(weights, hparams)
    np.testing.assert_allclose(found.encode(pictures, 3), model.encode(pictures, 3), atol=1e-5)
    assert not found.training


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected the VDVAE's hyper-parameters.*found no such file"),
        ('{"image_size": 8,', "expected the VDVAE's hyper-parameters"),
        ("[1, 2]", "expected the VDVAE's hyper-parameters"),
        ("3", "expected the VDVAE's hyper-parameters"),
        ('{"image_size": 8}', "expected the VDVAE's hyper-parameters.*'width'"),
        (json.dumps({**TINY_VDVAE, "width": "wide"}), "expected the VDVAE's hyper-parameters"),
        (json.dumps({**TINY_VDVAE, "dec_blocks": "1x"}), "expected the VDVAE's hyper-parameters"),
    ],
)
def test_hyperparameters_that_are_none(files, content, message):
    weights, hparams, _ = files
    hparams.unlink()
    if content is not None:
        hparams.write_text(content)
    with pytest.raises(InputError, match=rf"hparams\.json: {message}"):
        loading.load_vdvae(weights, hparams)


def test_weights_of_another_model(files):
    weights, hparams, _ = files
    hparams.write_text(json.dumps({**TINY_VDVAE, "width": 12}))
    with pytest.raises(InputError, match=r"model\.safetensors: expected the tensor .* of shape"):
        loading.load_vdvae(weights, hparams)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: expected a whole file"):
        loading.load_vdvae(weights, hparams)


def test_configuration_of_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: expected the model's configuration"):
        model_folders.read_config(tmp_path)
    for text in ("{", "[]", "\xff"):
        (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError, match=r"config\.json: expected"):
            model_folders.read_config(tmp_path)
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert model_folders.read_config(tmp_path, "other.json") == {"a": 1}


def test_weights_of_a_folder_by_preference(tmp_path):
    with pytest.raises(InputError, match=r"expected a weights file.*found nothing"):
        model_folders.find_weights(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"found \['config.json'\]"):
        model_folders.find_weights(tmp_path)
    # each preferred over all before it
    for name in (
        "pytorch_model.fp16.bin",
        "pytorch_model.bin",
        "model.fp16.safetensors",
        "model.safetensors",
    ):
        (tmp_path / name).touch()
        assert model_folders.find_weights(tmp_path).name == name
