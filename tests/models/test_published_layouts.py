"""The published checkpoints' layouts, small and with random weights: each loads, and none is wholly read."""

import numpy as np
import pytest
import torch
from helpers import published_generators, published_layouts

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints
from neural_recon.models.clip import ClipContexts
from neural_recon.models.vdvae import VDVAE
from neural_recon.models.versatile import DualGuidedPipeline

FORMS = [{"half": half, "safetensors": tensors} for half in (False, True) for tensors in (False, True)]
# 70 pairs of keys and values for the picture, and its embedding of 1,280 made into four tokens of 2,048
SDXL_ADAPTER = 340_787_200 + 4 * 2048 * (1280 + 1) + 2 * 2048
PAINTING = {"strength": 0.75, "mixing": 0.4, "guidance_scale": 2.0, "steps": 4, "batch": 2}


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
    guides = {"vision": vision.reshape(2, -1), "text": text.reshape(2, -1)}
    base = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    pictures = painter(folder).paint(base, guides, np.array([3, 4]), seed=0)
    assert pictures.shape == (2, 64, 64, 3)
    assert pictures.std() > 1


@pytest.mark.parametrize(
    ("kind", "parameters", "gibibytes"),
    [
        ("stable_diffusion", {"unet": 859_520_964, "vae": 83_653_863}, 1.8),
        ("versatile_image", {"image_unet": 859_520_964, "vae": 83_653_863}, 1.8),
        ("sdxl", {"unet": 2_567_463_684 + SDXL_ADAPTER, "vae": 83_653_863}, 5.6),
        ("kandinsky", {"unet": 1_253_057_288, "movq": 67_832_495}, 2.5),
        ("pixart", {"transformer": 610_856_096, "vae": 83_653_863}, 1.3),
        (
            "stable_cascade",
            {
                "prior": 3_589_103_632,
                "decoder": 1_562_941_136,
                "vqgan": 18_406_894,
                "effnet": 20_197_968,
            },
            9.7,
        ),
    ],
)
def test_generators_have_the_published_sizes(kind, parameters, gibibytes):
    """So that what is measured at true size (benchmarks/generators.py) is the published model."""
    layout = published_generators.LAYOUTS[kind](small=False)
    built = {part: published_generators.build(layout, part, "meta") for part in layout.parts}
    found = {part: sum(one.numel() for one in module.parameters()) for part, module in built.items()}
    assert found == parameters
    assert round(2 * sum(found.values()) / 2**30, 1) == gibibytes


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


def painter(folder, **changes):
    spaces = {"base": "base", "vision": "vision", "text": "text"}
    return generation.load(
        {"kind": "versatile_diffusion", "weights": str(folder), **spaces, **PAINTING, **changes}, "cpu"
    )


def test_generator_as_the_configuration_asks(folder, rng):
    full, half = painter(folder), painter(folder, precision="bfloat16", memory="low")
    base = rng.integers(0, 256, (1, 64, 64, 3), np.uint8)
    guides = {
        "vision": rng.standard_normal((1, 257 * 32), np.float32),
        "text": rng.standard_normal((1, 77 * 32), np.float32),
    }
    pictures, expected = (one.paint(base, guides, np.array([7]), 0) for one in (half, full))
    assert np.abs(pictures.astype(int) - expected).mean() < 3
    assert full.pipeline.unet.image_unet.dtype == torch.float32
    assert half.pipeline.unet.image_unet.dtype == torch.bfloat16
    assert (half.pipeline.vae.dtype, half.parts.memory) == (torch.float32, "low")


def test_a_generator_too_large_for_the_device_waits_in_the_hosts_memory(folder, monkeypatch, caplog):
    tried = []
    generator = painter(folder)
    whole = generator.load

    def limited(home, dtype):
        tried.append(home)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(home, dtype)

    monkeypatch.setattr(generator, "load", limited)
    assert generator.parts.memory == "low"
    assert "too little memory" in caplog.text
