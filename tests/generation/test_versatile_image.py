"""Versatile Diffusion's image flow against a loop of diffusers' parts, and how MindEye chooses a draw."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UniPCMultistepScheduler
from helpers import published_layouts
from helpers import reference_generators as runs
from PIL import Image
from pydantic import ValidationError

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.generation.generator import GENERATORS
from neural_recon.models.dual_unet import DualUNet
from neural_recon.models.loading import META, load_clip

TOKENS, WIDTH = 257, 32
IDS = np.array([5, 9, 7])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published_layouts.write_versatile(tmp_path_factory.mktemp("models"), safetensors=True)


def settings(folder, **changes):
    return {"kind": "versatile_image", "weights": str(folder), "base": "low", "vision": "vision", **changes}


@pytest.fixture(scope="module")
def inputs():
    """Base images, and guides on another scale than CLIP's tokens have."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (3, 4, 4, 3), np.uint8)
    base = np.stack([np.asarray(Image.fromarray(one).resize((16, 16))) for one in small])
    return base, 3 * rng.standard_normal((3, TOKENS, WIDTH), np.float32)


def in_the_open(folder, pictures, guides, noises, strength=0.85, steps=20, scale=3.5):
    """The published steps, by diffusers' parts alone: latents of the base, those after each step."""
    unet = UNet2DConditionModel.from_pretrained(folder / "image_unet", use_safetensors=True).eval()
    vae = AutoencoderKL.from_pretrained(folder / "vae", use_safetensors=True).eval()
    solver = UniPCMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", final_sigmas_type="sigma_min"
    )
    solver.set_timesteps(steps)
    times = solver.timesteps[steps - int(steps * strength) :]
    tokens = guides / (guides[:, :1].norm(dim=-1, keepdim=True) + 1e-6)
    tokens = torch.cat([torch.zeros_like(tokens), tokens])
    with torch.no_grad():
        posterior = vae.encode(pictures).latent_dist
        base = vae.config.scaling_factor * (posterior.mean + posterior.std * noises[0])
        latents = solver.add_noise(base, noises[1], times[:1].repeat(len(base)))
        chain = []
        for time in times:
            without, given = unet(torch.cat([latents] * 2), time, encoder_hidden_states=tokens).sample.chunk(
                2
            )
            latents = solver.step(without + scale * (given - without), time, latents).prev_sample
            chain.append(latents)
    return base, torch.stack(chain), times


@pytest.mark.parametrize("base_scaling", ["pixels", "clip"])
def test_every_step_is_that_of_a_loop_with_diffusers(folder, inputs, base_scaling):
    base, guides = (values[:2] for values in inputs)
    noises = np.random.default_rng(1).standard_normal((2, 2, 4, 8, 8), np.float32)
    generator = generation.load(settings(folder, base_scaling=base_scaling), "cpu")
    found = runs.stages(generator, base, {"vision": guides}, generator.unguided(), *noises)
    large = np.stack([np.asarray(Image.fromarray(one).resize((64, 64), 3)) for one in base])
    pixels = torch.from_numpy(large).permute(0, 3, 1, 2) / 255
    if base_scaling == "clip":
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
        pixels = (pixels - mean) / torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    else:
        pixels = 2 * pixels - 1
    expected, chain, times = in_the_open(folder, pixels, torch.from_numpy(guides), torch.from_numpy(noises))
    assert len(times) == 17
    assert found["timesteps"].tolist() == [times[0].item(), *times.tolist()]
    runs.assert_close(found["base_latents"], expected.numpy())
    runs.assert_close(found["latents"], chain.numpy())


def test_the_last_step_ends_at_the_first_noise_level(folder):
    scheduler = generation.load(settings(folder), "cpu").scheduler()
    scheduler.set_timesteps(20)
    first = scheduler.alphas_cumprod[0]
    assert scheduler.sigmas[-1] == pytest.approx(((1 - first) / first).sqrt().item())
    assert scheduler.config.solver_order == 2
    assert scheduler.timesteps.tolist() == np.linspace(0, 999, 21).round()[:0:-1].tolist()


def test_it_is_the_model_of_two_flows_without_text(folder):
    """`versatile_diffusion` at mixing 0 says the same noise."""
    rng = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 8, 8, generator=rng)
    vision = torch.randn(2, TOKENS, WIDTH, generator=rng)
    config = generation.load(settings(folder), "cpu").config("image_unet")
    both = DualUNet(config)
    both.load(folder)
    time = torch.tensor(481)
    with torch.no_grad():
        contexts = both.contexts(vision, torch.zeros(2, 77, WIDTH))
        expected = both.eval()(latents, time, contexts, 0.0)
        found = generation.load(settings(folder), "cpu").predict(latents, time, vision)
    runs.assert_close(found.numpy(), expected.numpy())


@pytest.fixture(scope="module")
def painted(folder, inputs):
    """What paints three images, with three steps."""
    base, guides = inputs

    def paint(order=(0, 1, 2), start=True, draw=0, **changes):
        generator = generation.load(settings(folder, **{"steps": 4, "batch": 3, **changes}), "cpu")
        order = list(order)
        given = {"vision": guides.reshape(3, -1)[order]}
        if "retrieval" in changes:
            given["retrieval"] = wanted()[order]
        return generator.paint(base[order] if start else None, given, IDS[order], 1, draw)

    return paint


def wanted():
    return np.random.default_rng(4).standard_normal((3, TOKENS * WIDTH), np.float32)


def test_neither_batch_nor_order_nor_memory_changes_a_picture(painted):
    expected = runs.assert_alone_as_in_company(painted)
    assert expected.shape == (3, 64, 64, 3)
    assert (painted(start=False) != expected).mean() > 0.5
    assert (painted(draw=1) != expected).mean() > 0.5


def test_the_length_of_guides_changes_nothing(folder, inputs):
    guides = torch.from_numpy(inputs[1])
    generator = generation.load(settings(folder), "cpu")
    rows, same = (generator.condition({"vision": one}, {}) for one in (guides, guides / 7))
    torch.testing.assert_close(rows, same, atol=1e-5, rtol=0)
    torch.testing.assert_close(rows[:, 0].norm(dim=1), torch.ones(3), atol=1e-5, rtol=0)
    without, _ = generator.condition({"vision": guides}, {"vision": torch.zeros(1, 1, 1)}).chunk(2)
    assert (without == 0).all()


def test_a_draw_is_chosen_by_the_predicted_tokens_alone(folder, painted):
    among = {"retrieval": "retrieval", "choose_from": 3}
    chosen = painted(**among)
    draws = np.stack([painted(draw=draw) for draw in range(3)])
    generator = generation.load(settings(folder, **among), "cpu")
    agreement = np.stack([generator.agreement(pictures, wanted()) for pictures in draws])
    best = agreement.argmax(0)
    assert len(set(best)) > 1  # else the choice would not be seen
    for picture, draw in enumerate(best):
        assert np.abs(chosen[picture].astype(int) - draws[draw, picture]).max() <= 1
    tokens = load_clip(folder, torch.device("cpu"), text=False).vision(draws[1]).reshape(3, -1)
    expected = [
        np.dot(*pair) / np.prod([np.linalg.norm(one) for one in pair])
        for pair in zip(tokens, wanted(), strict=True)
    ]
    np.testing.assert_allclose(agreement[1], expected, atol=1e-5)


def test_tokens_of_another_model_are_one_sentence(folder, inputs):
    base, guides = inputs
    generator = generation.load(settings(folder, retrieval="r", choose_from=2), "cpu")
    short = {"vision": guides.reshape(3, -1), "retrieval": wanted()[:, : 50 * WIDTH]}
    with pytest.raises(InputError, match="retrieval guides: expected 257 tokens of 32 values"):
        generator.paint(base, short, IDS, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choose_from": 2}, "a choice takes two draws or more and the space retrieval"),
        ({"retrieval": "retrieval"}, "a choice takes two draws or more"),
        ({"strength": 0.04}, "less than one step"),
        ({"text": "text"}, "text"),
    ],
)
def test_settings_that_make_no_picture_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        GENERATORS.settings(settings("models", **changes))


def test_defaults_are_those_published_and_files_are_compared(folder):
    how = GENERATORS.settings(settings(folder))
    assert (how.strength, how.guidance_scale, how.steps) == (0.85, 3.5, 20)
    assert how.guides == {"vision": "vision"}
    generation.load(settings(folder, retrieval="r", choose_from=16), META.type).prepare()
