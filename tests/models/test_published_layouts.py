"""The published checkpoints' layouts, small and with random weights: each loads, and none is wholly read."""

import numpy as np
import pytest
import torch
from helpers import published_layouts

from neural_recon.core.errors import InputError
from neural_recon.generation.sampling import reconstruct
from neural_recon.models import checkpoints, loading
from neural_recon.models.clip import ClipContexts
from neural_recon.models.vdvae import VDVAE
from neural_recon.models.versatile import DualGuidedPipeline

FORMS = [{"half": half, "safetensors": tensors} for half in (False, True) for tensors in (False, True)]
PAINTING = {"strength": 0.75, "mixing": 0.4, "guidance_scale": 7.5, "steps": 4, "batch": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published_layouts.write_versatile(tmp_path_factory.mktemp("published"))


def test_vdvae_as_published(tmp_path, rng):
    path, hparams = published_layouts.write_vdvae(tmp_path)
    model = VDVAE.from_checkpoint(path, hparams)
    written = torch.load(path, weights_only=True)
    assert set(written) == {f"module.{name}" for name in model.state_dict()}
    pictures = rng.integers(0, 256, (3, 64, 64, 3), np.uint8)
    latents = model.encode(pictures, 4)
    assert latents.shape == (3, 2 * (1 + 16 + 64 + 256))
    assert model.decode(latents).shape == pictures.shape
    with pytest.raises(InputError, match="not the checkpoint that the configuration names"):
        VDVAE.from_checkpoint(path, {**hparams, "width": 16})


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_versatile_diffusion_in_every_form(tmp_path, folder, form):
    other = published_layouts.write_versatile(tmp_path, **form)
    expected = DualGuidedPipeline.from_pretrained(folder, device="cpu")
    found = DualGuidedPipeline.from_pretrained(other, device="cpu")
    for mine, theirs in zip(found.unet.parameters(), expected.unet.parameters(), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_from_weights_to_pictures(folder, rng):
    clip = ClipContexts.from_pretrained(folder, device="cpu")
    seen = rng.integers(0, 256, (2, 425, 425, 3), np.uint8)
    vision, text = clip.vision(seen), clip.text(["a cab", "an ab"])
    assert vision.shape == (2, 257, 32)
    assert text.shape == (2, 77, 32)
    pictures = reconstruct(
        DualGuidedPipeline.from_pretrained(folder, device="cpu"),
        rng.integers(0, 256, (2, 64, 64, 3), np.uint8),
        vision.reshape(2, -1),
        text.reshape(2, -1),
        clip.unconditional(),
        np.array([3, 4]),
        seed=0,
        **PAINTING,
    )
    assert pictures.shape == (2, 64, 64, 3)
    assert pictures.std() > 1


def test_of_the_text_unet_only_attention_is_read(folder):
    path = folder / "text_unet/diffusion_pytorch_model.bin"
    every, attention = checkpoints.read_tensors(path), checkpoints.read_tensors(path, "attentions.")
    assert 0 < len(attention) < len(every)
    unet = DualGuidedPipeline.from_pretrained(folder, device="cpu").unet
    assert set(unet.text_unet_state()) == set(attention)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_broken_tokenizer_is_one_sentence(tmp_path, name):
    folder = published_layouts.write_versatile(tmp_path)
    (folder / "tokenizer" / name).write_text("{" if name == "vocab.json" else "#version\nq w x\n")
    with pytest.raises(InputError, match="tokenizer: expected CLIP's vocabulary and merges"):
        ClipContexts.from_pretrained(folder, device="cpu")


def test_generator_as_the_configuration_asks(folder, rng, monkeypatch):
    monkeypatch.setattr(loading, "device", lambda: torch.device("cpu"))
    assert loading.load_generator(folder).unet.image_unet.dtype == torch.float32
    half = loading.load_generator(folder, "bfloat16", "low")
    assert half.unet.image_unet.dtype == torch.bfloat16
    assert (half.vae.dtype, half.memory) == (torch.float32, "low")
    base, none = rng.integers(0, 256, (1, 64, 64, 3), np.uint8), np.zeros((1, 2, 32), np.float32)
    contexts = rng.standard_normal((2, 1, 2 * 32))
    settings = {**PAINTING, "strength": 0.5, "guidance_scale": 2.0}
    pictures = reconstruct(half, base, *contexts, (none, none), np.array([7]), 0, **settings)
    full = reconstruct(
        loading.load_generator(folder), base, *contexts, (none, none), np.array([7]), 0, **settings
    )
    assert np.abs(pictures.astype(int) - full).mean() < 3


def test_a_generator_too_large_for_the_device_waits_in_the_hosts_memory(folder, monkeypatch, caplog):
    whole = DualGuidedPipeline.from_pretrained

    def limited(path, dtype, device, memory):
        if memory == "fast":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(path, dtype, device, memory)

    monkeypatch.setattr(DualGuidedPipeline, "from_pretrained", limited)
    assert loading.load_generator(folder).memory == "low"
    assert "too little memory" in caplog.text
