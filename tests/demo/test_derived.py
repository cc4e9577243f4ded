"""The demo's models that are computed from its Versatile Diffusion do nearly what its flows do."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, VQModel
from helpers.places import ROOT

from neural_recon.demo import captions, scenes
from neural_recon.models import autoencoders
from neural_recon.models.clip import ClipContexts
from neural_recon.models.device_memory import load_part
from neural_recon.models.text_states import ClipTextStates
from neural_recon.models.versatile import DualGuidedPipeline

MODELS = ROOT / "resources/demo_models"
STREAM, COUNT = 5, 4
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def drawn():
    """Scenes nobody trained on: pictures, and a caption each."""
    found = [scenes.sample(STREAM, index) for index in range(COUNT)]
    pictures = np.stack([scenes.render(scene, 64) for scene in found])
    return pictures, [captions.captions(scene, STREAM)[0] for scene in found]


@pytest.fixture(scope="module")
def versatile():
    folder = MODELS / "versatile"
    return DualGuidedPipeline.from_pretrained(folder, device="cpu"), ClipContexts.from_pretrained(folder, CPU)


@pytest.fixture(scope="module")
def noisy():
    return torch.randn(COUNT, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def flow(versatile, noisy, vision, text, mixing: float) -> torch.Tensor:
    """What one flow of Versatile Diffusion predicts."""
    unet = versatile[0].unet
    prepared = unet.contexts(torch.from_numpy(vision), torch.from_numpy(text))
    return unet(noisy, torch.tensor(500), prepared, mixing)


def unet_of(folder: Path) -> UNet2DConditionModel:
    return load_part(UNet2DConditionModel, folder / "unet")


@torch.no_grad()
def test_stable_diffusion_is_the_flow_of_captions(versatile, noisy, drawn):
    pictures, texts = drawn
    clip = versatile[1]
    expected = flow(versatile, noisy, clip.vision(pictures), clip.text(texts), 1.0)
    unguided = flow(versatile, noisy, clip.vision(pictures), clip.text([""] * COUNT), 1.0)
    states = ClipTextStates.from_folder(MODELS / "stable_diffusion", CPU).states(texts)
    unet = unet_of(MODELS / "stable_diffusion")
    found = unet(noisy, torch.tensor(500), encoder_hidden_states=torch.from_numpy(states)).sample
    assert (found - expected).std() < 0.1 * (expected - unguided).std()


@torch.no_grad()
def test_kandinsky_is_nearly_the_flow_of_pictures(versatile, noisy, drawn):
    pictures, texts = drawn
    clip = versatile[1]
    text = clip.text(texts)
    expected = flow(versatile, noisy, clip.vision(pictures), text, 0.0)
    other = flow(versatile, noisy, clip.vision(pictures[::-1].copy()), text, 0.0)
    added = {"image_embeds": torch.from_numpy(clip.embedding(pictures))}
    unet = unet_of(MODELS / "kandinsky")
    found = unet(noisy, torch.tensor(500), encoder_hidden_states=None, added_cond_kwargs=added).sample
    assert (found - expected).std() < 0.7 * (other - expected).std()


@torch.no_grad()
def test_its_autoencoder_gives_the_mean_scaled(drawn):
    pixels = torch.from_numpy(drawn[0]).permute(0, 3, 1, 2) / 127.5 - 1
    movq = load_part(VQModel, MODELS / "kandinsky/movq")
    vae: AutoencoderKL = autoencoders.load(MODELS / "versatile/vae", CPU)
    latents = autoencoders.encode(vae, pixels, None)
    torch.testing.assert_close(movq.encode(pixels).latents, latents, atol=5e-3, rtol=0)
    torch.testing.assert_close(
        movq.decode(latents, force_not_quantize=True).sample.clamp(-1, 1),
        autoencoders.decode(vae, latents),
        atol=5e-3,
        rtol=0,
    )


def test_captions_are_in_the_words_that_the_shipped_clip_was_trained_on():
    """Another wording would be other features, and other figures than README's."""
    known = json.loads((MODELS / "versatile/tokenizer/vocab.json").read_text(encoding="utf-8"))
    drawn = [scenes.sample(STREAM, index) for index in range(100)]
    words = {word for scene in drawn for text in captions.captions(scene, STREAM) for word in text.split()}
    assert {word.strip(".,").lower() for word in words} <= {word.removesuffix("</w>") for word in known}
