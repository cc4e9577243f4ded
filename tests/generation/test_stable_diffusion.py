"""Stable Diffusion against two reference runs: diffusers' image to image, and Takagi & Nishimoto's code."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from helpers import reference_generators as runs
from helpers import tiny_generators
from transformers import CLIPTextModel

from neural_recon import generation
from neural_recon.core.errors import InputError


def settings(folder, **changes):
    spaces = {"base": "base", "text": "text"}
    return {"kind": "stable_diffusion", "weights": str(folder), **spaces, **changes}


@pytest.fixture(scope="module")
def places(reference):
    return reference / "generators"


@pytest.fixture(scope="module")
def plain(places, tmp_path_factory):
    """The run of diffusers, its model's folder, and what paints it."""
    info, arrays = runs.read(places, "sd_img2img")
    parts = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
    folder = runs.write_model(tmp_path_factory.mktemp("sd") / "model", info, **parts)
    how = {name: info["config"][name] for name in ("steps", "strength", "guidance_scale")}
    return info, arrays, settings(folder, **how)


def test_every_stored_point_of_image_to_image(plain):
    info, arrays, how = plain
    found = runs.stages(
        generation.load(how, "cpu"),
        arrays["base"],
        {"text": arrays["prompt_embeds"]},
        {"text": arrays["negative_prompt_embeds"][:1]},
        arrays["noise"],
    )
    assert found["timesteps"].tolist() == [info["config"]["first_timestep"], *info["config"]["timesteps"]]
    for name in ("base_latents", "start", "latents", "image"):
        runs.assert_close(found[name], arrays[name])


@pytest.fixture(scope="module")
def takagi(places, tmp_path_factory):
    """The published run, and what paints it."""
    info, arrays = runs.read(places, "takagi_img2img")
    folder = tmp_path_factory.mktemp("takagi") / "model"
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        with np.load(places / f"takagi_tiny_{part}.npz") as file:
            tensors = {name: torch.from_numpy(file[name]) for name in file.files}
        runs.write_part(folder / part, kind(**info[part]), tensors)
    runs.write_scheduler(folder / "scheduler", info["scheduler"])
    how = {name: info[name] for name in ("steps", "strength", "guidance_scale")}
    return info, arrays, settings(folder, **how, lead=1, posterior="sample", noise="shared")


@pytest.mark.parametrize("draw", [0, 1])
def test_every_stored_point_of_the_published_run(takagi, draw):
    info, arrays, how = takagi
    found = runs.stages(
        generation.load(how, "cpu"),
        arrays["u8_40"],
        {"text": arrays["c_predicted"]},
        {"text": arrays["uc"]},
        arrays["posterior_noise"],
        arrays["start_noise"][:, draw],
    )
    assert found["timesteps"][0] == info["noise_added_at_timestep"] == 801
    assert found["timesteps"][1:].tolist() == arrays["ddim_timesteps"][:40][::-1].tolist()
    for name, expected in (
        ("base_latents", arrays["init_latent"]),
        ("start", arrays["z_enc"][:, draw]),
        ("image", arrays["image"][:, draw]),
    ):
        runs.assert_close(found[name], expected)
    for step in (1, 20, 40):
        runs.assert_close(found["latents"][step - 1], arrays[f"x_after_{step}"][:, draw])


def test_the_released_ways_differ_from_the_default(takagi):
    _, arrays, how = takagi
    start = (arrays["u8_40"], {"text": arrays["c_predicted"]}, {"text": arrays["uc"]})
    noises = arrays["posterior_noise"], arrays["start_noise"][:, 0]
    later = runs.stages(generation.load({**how, "lead": 0}, "cpu"), *start, *noises)
    assert later["timesteps"][0] == later["timesteps"][1] == 781
    assert np.abs(later["latents"][-1] - arrays["x_after_40"][:, 0]).max() > 0.1
    mean = runs.stages(generation.load({**how, "posterior": "mean"}, "cpu"), *start, noises[1])
    runs.assert_close(mean["base_latents"], arrays["post_mean"] * 0.18215)


@pytest.fixture(scope="module")
def painted(plain):
    """What paints, and pictures of three images."""
    _, arrays, how = plain
    rows = [0, 1, 0]
    base, guides = arrays["base"][rows], {"text": arrays["prompt_embeds"][rows].reshape(3, -1)}

    def paint(order=(0, 1, 2), **changes):
        generator = generation.load({**how, "batch": 3, **changes}, "cpu")
        generator.unguided = lambda: {"text": arrays["negative_prompt_embeds"][:1]}
        order = list(order)
        return generator.paint(base[order], {"text": guides["text"][order]}, np.array([5, 9, 7])[order], 1)

    return paint


def test_neither_batch_nor_order_nor_memory_changes_a_picture(painted):
    runs.assert_alone_as_in_company(painted)


def test_noise_is_each_images_own_or_shared(painted):
    own, shared = painted(), painted(noise="shared")
    assert (own[0] != own[2]).any()  # the same base image and guide
    np.testing.assert_array_equal(shared[0], shared[2])


def test_without_a_base_image_all_steps_run_from_noise(plain):
    _, arrays, how = plain
    generator = generation.load(how, "cpu")
    generator.unguided = lambda: {"text": arrays["negative_prompt_embeds"][:1]}
    guides = {"text": arrays["prompt_embeds"].reshape(2, -1)}
    alone = generator.paint(None, guides, runs.IDS, 1)
    full = generation.load({**how, "strength": 1.0}, "cpu")
    full.unguided = generator.unguided
    np.testing.assert_array_equal(full.paint(arrays["base"], guides, runs.IDS, 1), alone)


def test_nothing_guides_is_the_states_of_the_empty_caption(tmp_path):
    """As transformers gives them: padded, without a mask, after the final norm."""
    folder = tiny_generators.write_stable_diffusion(tmp_path / "sd")
    found = generation.load(settings(folder), "cpu").unconditional()["text"]
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    ids = torch.tensor([[598, *[599] * 11]])  # the start, then ends
    with torch.no_grad():
        expected = encoder(ids).last_hidden_state
    assert found.shape == (1, 12, 24)
    runs.assert_close(found, expected.numpy(), 1e-5)


def test_guides_of_another_model_are_one_sentence(plain):
    _, arrays, how = plain
    generator = generation.load(how, "cpu")
    generator.unguided = lambda: {"text": np.zeros((1, 77, 16), np.float32)}
    with pytest.raises(InputError, match=r"text guides: expected 77 tokens of 16 values.*found 768 values"):
        generator.paint(arrays["base"], {"text": np.zeros((2, 768))}, runs.IDS, 0)
