"""MindEye2's patch tokens against the reference: OpenCLIP's encoder, tiny, and the released preparation."""

import json

import numpy as np
import pytest
import torch

from neural_recon.core.errors import InputError
from neural_recon.features import load
from neural_recon.models import clip_images, open_clip
from neural_recon.models.clip_images import ClipImages
from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD

FILE = "open_clip_pytorch_model.bin"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 28,
        "layers": 2,
        "width": 24,
        "head_width": 12,
        "mlp_ratio": 4.9231,
        "patch_size": 14,
    },
}


@pytest.fixture(scope="module")
def arrays(reference):
    with np.load(reference / "mindeye2/openclip_vit_tiny.npz") as file:
        return dict(file)


@pytest.fixture
def folder(arrays, tmp_path):
    """OpenCLIP's file with both encoders, and its description."""
    tensors = {f"visual.{k[2:]}": torch.from_numpy(v) for k, v in arrays.items() if k.startswith("w.")}
    torch.save({**tensors, "logit_scale": torch.zeros(()), "ln_final.bias": torch.zeros(3)}, tmp_path / FILE)
    (tmp_path / open_clip.CONFIG).write_text(json.dumps({"model_cfg": CONFIG}))
    return tmp_path


def loaded(folder, **settings):
    how = {"kind": "clip_patch_tokens", "weights": str(folder), "image_encoder": FILE, **settings}
    return load("tokens", how)


def test_tokens_and_embedding_of_open_clip_s_file(arrays, folder):
    clip = loaded(folder).clip
    pixels = torch.from_numpy(arrays["x"])
    tokens = clip.states_of(pixels, "normed")[:, 1:]
    np.testing.assert_allclose(tokens.numpy(), arrays["tokens"], rtol=0, atol=2e-6)
    with torch.no_grad():
        pooled = clip.image_encoder(pixel_values=pixels).image_embeds
    np.testing.assert_allclose(pooled.numpy(), arrays["pooled"], rtol=0, atol=2e-6)


def test_the_space_prepares_as_released_and_leaves_the_class_token_out(folder, rng):
    pictures = rng.integers(0, 256, (2, 40, 40, 3), np.uint8)
    one = loaded(folder)
    values = one.encode(pictures, np.arange(2))
    assert one.parts == [24] * 4
    assert one.sizes(one.settings) == (one.width, 0) == (96, 0)
    assert one.parts_read(one.settings) == (FILE, open_clip.CONFIG)
    images = clip_images.shrunk(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, 28)
    mean, std = (torch.tensor(row).view(3, 1, 1) for row in (CLIP_MEAN, CLIP_STD))
    states = one.clip.states_of((images / 2 + 0.5 - mean) / std, "normed")
    np.testing.assert_allclose(values.reshape(2, 4, 24), states[:, 1:].numpy(), rtol=0, atol=1e-5)
    plain = loaded(folder, preparation="clip").encode(pictures, np.arange(2)).reshape(2, 4, 24)
    own = one.clip.states(pictures, "normed")
    np.testing.assert_array_equal(plain, own[:, 1:])
    assert np.abs(values.reshape(plain.shape) - plain).max() > 0.05


@pytest.mark.parametrize("side", [256, 224])
def test_pictures_are_prepared_as_released(reference, side):
    with np.load(reference / "mindeye2/clip_preprocess.npz") as file:
        arrays = dict(file)
    seed = torch.from_numpy(arrays["seed16"])
    images = torch.sigmoid(torch.nn.functional.interpolate(seed, (side, side), mode="bicubic"))
    clip = ClipImages.__new__(ClipImages)
    clip.mean, clip.std = np.float32(CLIP_MEAN), np.float32(CLIP_STD)
    clip.image_size = 224
    found = clip.half_range_pixels(images)
    np.testing.assert_allclose(found[:, :, ::8, ::8].numpy(), arrays[f"pre{side}_ds"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(found.mean((2, 3)).numpy(), arrays[f"pre{side}_mean"], rtol=0, atol=2e-6)


def test_a_file_that_is_not_that_encoder_is_one_sentence(folder):
    one = loaded(folder)
    tensors = torch.load(folder / FILE)
    torch.save({**tensors, "visual.ln_pre.bias": torch.zeros(3)}, folder / FILE)
    with pytest.raises(InputError, match=r"pre_layrnorm\.bias of shape \(24,\), found \(3,\)"):
        one.check("tokens", one.settings)
    torch.save({**tensors, "visual.odd": torch.zeros(3)}, folder / FILE)
    with pytest.raises(InputError, match=r"tensor visual\.odd of shape none, found \(3,\)"):
        one.check("tokens", one.settings)
    (folder / open_clip.CONFIG).write_text('{"model_cfg": {"vision_cfg": "resnet"}}')
    with pytest.raises(InputError, match="expected the numbers of a vision transformer"):
        one.check("tokens", one.settings)
    (folder / open_clip.CONFIG).write_text(json.dumps({"model_cfg": {"vision_cfg": CONFIG["vision_cfg"]}}))
    with pytest.raises(InputError, match=r"config\.json: expected a configuration that makes"):
        one.check("tokens", one.settings)
    (folder / open_clip.CONFIG).unlink()
    with pytest.raises(InputError, match=r"open_clip_config\.json: expected"):
        one.check("tokens", one.settings)
