"""The kinds of feature spaces that come along, and what a recipe's spaces are for."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.tiny_vdvae import TINY_VDVAE
from PIL import Image

from neural_recon.core import random_streams
from neural_recon.core.errors import InputError
from neural_recon.features import load, space
from neural_recon.features.spaces import vdvae, versatile_text
from neural_recon.models.vdvae import VDVAE

RECIPE = {
    "text": {"kind": "versatile_text", "weights": "a"},
    "latents": {"kind": "vdvae", "weights": "b", "hparams": "c", "layers": 2},
    "vision": {"kind": "versatile_vision", "weights": "a"},
}


def test_what_a_recipe_s_spaces_are_for():
    assert space.base_space(RECIPE) == "latents"
    assert space.similarity_space(RECIPE) == "vision"
    without = {"text": RECIPE["text"]}
    assert space.base_space(without) is None
    assert space.similarity_space(without) == "text"
    described = space.described(RECIPE)
    assert list(described) == list(RECIPE)
    assert [name for name, one in described.items() if one.alike] == ["vision"]
    assert described["latents"].title == "VDVAE latents"


VISION = {"kind": "versatile_vision", "weights": "a"}
LATENTS = {"kind": "vdvae", "weights": "b", "hparams": "c", "layers": 2}


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({"kind": "gabor"}, {"kind": "gabor", "cycles": [2]}, True),
        ({"kind": "gabor"}, VISION, False),
        (VISION, VISION, True),
        ({"kind": "clip_image_embedding", "weights": "a"}, VISION, True),
        ({"kind": "clip_image_embedding", "weights": "b"}, VISION, False),
        ({"kind": "autoencoder", "weights": "a", "size": 8}, VISION, False),
        (LATENTS, {**LATENTS, "layers": 3}, True),
    ],
)
def test_two_spaces_share_a_model_where_they_read_one_network(one, other, shared):
    both = [space.SPACES.settings(settings) for settings in (one, other)]
    assert space.share_a_model(*both) == space.share_a_model(*both[::-1]) == shared


class Letters:
    """In place of CLIP: two tokens of three numbers, the counts of letters a, b and c, and their squares."""

    def text(self, captions):
        counts = np.array([[text.count(letter) for letter in "abc"] for text in captions], np.float32)
        return np.stack([counts, counts**2], axis=1)


def test_text_features_are_means_over_captions(monkeypatch):
    monkeypatch.setattr("neural_recon.models.loading.load_clip", lambda *_, **__: Letters())
    captions = [["aab", "c"], [], ["bbb"], ["a", "b", "c", "aa", "bb"]]
    expected = [
        [1, 0.5, 0.5, 2, 0.5, 0.5],
        [0, 0, 0, 0, 0, 0],  # the empty caption
        [0, 3, 0, 0, 9, 0],
        [0.6, 0.6, 0.2, 1, 1, 0.2],
    ]
    text = versatile_text.VersatileText("text", SimpleNamespace(weights="somewhere"), 0)
    found = text.encode(captions, np.arange(4))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (text.parts, text.width) == ([3, 3], 6)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = VDVAE(TINY_VDVAE).eval()
    for block in model.decoder.dec_blocks:  # else latents hardly matter
        torch.nn.init.normal_(block.z_proj.weight)
    return model


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vdvae")
    safetensors.torch.save_file(model.state_dict(), folder / "weights.safetensors")
    (folder / "hparams.json").write_text(json.dumps(TINY_VDVAE), encoding="utf-8")
    return {"weights": str(folder / "weights.safetensors"), "hparams": str(folder / "hparams.json")}


def latents(files, layers, drawn="mean", seed=0) -> vdvae.Vdvae:
    return load("latents", {"kind": "vdvae", **files, "layers": layers, "latents": drawn}, seed)


def test_vdvae_features_are_latents_of_reduced_pictures(model, files, rng):
    pictures = rng.integers(0, 256, (3, 20, 20, 3), np.uint8)
    found = latents(files, 2)
    values = found.encode(pictures, np.array([7, 8, 9]))
    small = np.stack(
        [np.asarray(Image.fromarray(p).resize((8, 8), Image.Resampling.BILINEAR)) for p in pictures]
    )
    assert found.parts == [2, 2 * 4 * 4]
    assert values.shape == (3, found.width)
    np.testing.assert_allclose(values, model.encode(small, 2), rtol=1e-5, atol=1e-6)
    assert found.sizes(found.settings) == (found.width, 8)


def test_drawn_latents_belong_to_run_and_image(model, files, rng):
    picture = rng.integers(0, 256, (1, 8, 8, 3), np.uint8)
    pictures, ids = np.repeat(picture, 3, axis=0), np.array([7, 8, 7])
    space = latents(files, 3, "sample")
    drawn = space.encode(pictures, ids)
    np.testing.assert_allclose(drawn[0], drawn[2], atol=1e-5)
    assert np.abs(drawn[0] - drawn[1]).max() > 0.1
    alone = space.encode(picture, ids[1:2])
    np.testing.assert_allclose(alone[0], drawn[1], atol=1e-5)
    other = latents(files, 3, "sample", seed=1).encode(picture, ids[:1])
    assert np.abs(other[0] - drawn[0]).max() > 0.1
    expected = model.encode(picture, 3, generators=[random_streams.generator(0, 8, "vdvae posterior")])
    np.testing.assert_allclose(alone, expected, rtol=1e-5, atol=1e-6)
    assert space.draws(space.settings)
    assert not space.draws(latents(files, 3).settings)


def test_base_images_are_decoded_latents(model, files):
    space = latents(files, 2)
    values = np.random.default_rng(0).standard_normal((3, 2 + 32)).astype(np.float16)
    images = space.pictures(values)
    assert images.dtype == np.uint8
    assert images.shape == (3, 8, 8, 3)
    assert np.abs(images.astype(int) - model.decode(values.astype(np.float32))).max() <= 1
    assert (images[0] != images[1]).any()
    np.testing.assert_array_equal(images[1:], space.pictures(values[1:]))
    values[1, 5] = np.nan
    with pytest.raises(InputError, match=r"expected latents of finite numbers, found others in 1 of 3 rows"):
        space.pictures(values)
