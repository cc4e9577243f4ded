"""Versatile Diffusion against the original implementation's numbers."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

from neural_recon.core.errors import InputError
from neural_recon.models.dual_unet import DualUNet
from neural_recon.models.versatile import DualGuidedPipeline


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference / "vd_tiny.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files if name != "settings"}


@pytest.fixture(scope="module")
def settings(reference):
    with np.load(reference / "vd_tiny.npz") as file:
        return json.loads(str(file["settings"]))


@pytest.fixture(scope="module")
def pipeline(reference):
    return DualGuidedPipeline.from_pretrained(reference / "vd_tiny", device="cpu")


@pytest.fixture
def contexts(numbers):
    return {name: numbers[name] for name in ("vision", "text", "uncond_vision", "uncond_text")}


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> bool:
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


def doubled(numbers, kind):
    return torch.cat([numbers[f"uncond_{kind}"].expand(len(numbers[kind]), -1, -1), numbers[kind]])


def test_schedule_noises_one_step_above_the_first_denoised_one(pipeline, settings):
    start, timesteps = pipeline.schedule(settings["strength"], settings["steps"])
    assert (start, timesteps[0]) == (settings["noise_timestep"], settings["timestep_first"])
    assert timesteps == list(range(721, 0, -20))


def test_schedule_of_full_strength_runs_all_steps_from_pure_noise(pipeline):
    assert pipeline.schedule(1.0, 50) == (None, list(range(981, 0, -20)))
    assert pipeline.schedule(0.58, 50)[0] == 29 * 20 + 1


def test_every_stored_point_of_the_reference_run(pipeline, numbers, contexts, settings):
    start, timesteps = pipeline.schedule(settings["strength"], settings["steps"])
    z0 = pipeline.encode(numbers["base"])
    assert close(z0, numbers["z0"])
    first = pipeline.scheduler.add_noise(z0, numbers["noise"], torch.tensor([start]))
    assert close(first, numbers["latents_first"])
    with torch.no_grad():
        prepared = pipeline.unet.contexts(doubled(numbers, "vision"), doubled(numbers, "text"))
        eps = pipeline.unet(
            torch.cat([first, first]), torch.tensor(timesteps[0]), prepared, settings["mixing"]
        )
    assert close(eps, numbers["eps_first"])
    run = {name: settings[name] for name in ("strength", "mixing", "guidance_scale", "steps")}
    chain = list(pipeline.denoise(first, tuple(contexts.values()), **run))
    assert close(chain[timesteps.index(361)], numbers["latents_mid"])
    assert close(chain[-1], numbers["latents_last"])
    # the stored image is what the autoencoder gives, before it is clamped
    assert close(pipeline.decode(chain[-1]), numbers["image"].clamp(-1, 1))


def test_call_makes_the_reference_run(pipeline, numbers, contexts):
    latents = pipeline(numbers["base"], **contexts, noise=numbers["noise"], output="latents")
    assert close(latents, numbers["latents_last"])
    image = pipeline(numbers["base"], **contexts, noise=numbers["noise"])
    assert image.dtype == torch.float32
    assert close(image, numbers["image"].clamp(-1, 1))


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


@pytest.mark.parametrize("from_base", [True, False])
def test_an_image_depends_on_neither_batch_nor_order(pipeline, numbers, contexts, from_base):
    base = numbers["base"] if from_base else None
    both = pipeline(base, **contexts, steps=4, generators=seeds(3, 4))
    for index, seed in enumerate((3, 4)):
        part = slice(index, index + 1)
        alone = contexts | {"vision": contexts["vision"][part], "text": contexts["text"][part]}
        one = pipeline(None if base is None else base[part], **alone, steps=4, generators=seeds(seed))
        assert close(one, both[part], 1e-4)
    assert not close(both[:1], both[1:], 1e-2)


def test_generators_draw_the_posterior_first_then_the_noise(pipeline, numbers, contexts):
    drawn = pipeline(numbers["base"], **contexts, steps=4, generators=seeds(3, 4), output="latents")
    generators = seeds(3, 4)
    z0 = pipeline.encode(numbers["base"], generators)
    assert not close(z0, numbers["z0"], 1e-3)
    noise = torch.stack([torch.randn(4, 8, 8, generator=generator) for generator in generators])
    start, _ = pipeline.schedule(0.75, 4)
    latents = pipeline.scheduler.add_noise(z0, noise, torch.tensor([start]))
    chain = pipeline.denoise(latents, tuple(contexts.values()), 0.75, 0.4, 7.5, steps=4)
    assert close(list(chain)[-1], drawn)


def test_guidance_of_one_needs_no_unconditional_context(pipeline, numbers, contexts):
    one = {"vision": contexts["vision"], "text": contexts["text"], "noise": numbers["noise"], "steps": 4}
    without = pipeline(numbers["base"], **one, guidance_scale=1, output="latents")
    # 1 + 1e-7 goes through both passes: uncond + scale * (cond - uncond)
    nearly = pipeline(
        numbers["base"],
        **one,
        guidance_scale=1 + 1e-7,
        uncond_vision=contexts["uncond_vision"],
        uncond_text=contexts["uncond_text"],
        output="latents",
    )
    assert close(without, nearly, 1e-3)


def test_mixing_is_the_weight_of_text(pipeline, numbers):
    latents, vision, text = numbers["latents_first"], numbers["vision"], numbers["text"]
    when = torch.tensor([721, 21])
    with torch.no_grad():

        def predicted(vision, text, mixing):
            return pipeline.unet(latents, when, pipeline.unet.contexts(vision, text), mixing)

        picture_only = predicted(vision, text, 0.0)
        assert close(predicted(vision, text.flip(0), 0.0), picture_only, 1e-6)
        assert not close(predicted(vision.flip(0), text, 0.0), picture_only, 1e-3)
        each = predicted(vision, text, torch.tensor([0.0, 1.0]))
        assert close(each[:1], picture_only[:1], 1e-6)
        assert close(each[1:], predicted(vision, text, 1.0)[1:], 1e-6)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"strength": 0.0}, "strength"),
        ({"strength": 0.01}, "strength"),
        ({"mixing": 1.2}, "mixing"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"steps": 0}, "steps"),
        ({"output": "pil"}, "output"),
        ({"noise": None}, "noise"),
        ({"noise": torch.zeros(2, 4, 4, 4)}, "noise"),
        ({"generators": []}, "generators"),
        ({"uncond_text": None}, "uncond_text"),
        ({"text": torch.zeros(1, 77, 16)}, "text"),
        ({"vision": torch.full((2, 257, 16), torch.nan)}, "vision"),
        ({"base": torch.full((2, 3, 64, 64), 255.0)}, "base"),
        ({"base": torch.zeros(2, 3, 64, 60)}, "base"),
    ],
)
def test_arguments_are_checked(pipeline, numbers, contexts, change, name):
    arguments = {"base": numbers["base"], "noise": numbers["noise"], **contexts, **change}
    with pytest.raises(ValueError, match=rf"^{name}: expected .*, found "):
        pipeline(**arguments)


def test_training_reaches_both_transformers_and_weights_round_trip(reference, numbers, tmp_path):
    config = json.loads((reference / "vd_tiny/image_unet/config.json").read_text())
    torch.manual_seed(0)
    unet = DualUNet(config)
    contexts = unet.contexts(numbers["vision"], numbers["text"])
    eps = unet(numbers["noise"], torch.tensor([1, 500]), contexts, torch.tensor([0.2, 0.9]))
    eps.square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in unet.named_parameters()}
    for kind in ("vision", "text"):
        assert any(
            grad is not None and grad.abs().sum() > 0
            for name, grad in gradients.items()
            if f".{kind}." in name
        )

    shutil.copytree(reference / "vd_tiny", tmp_path / "vd")
    for folder, state in (("image_unet", unet.image_unet_state()), ("text_unet", unet.text_unet_state())):
        path = tmp_path / "vd" / folder / "diffusion_pytorch_model.safetensors"
        path.chmod(0o644)
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    loaded = DualGuidedPipeline.from_pretrained(tmp_path / "vd", device="cpu")
    loaded.unet.to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        arguments = (numbers["noise"], torch.tensor([1, 500]), contexts, 0.4)
        assert torch.equal(loaded.unet(*arguments), unet.eval()(*arguments))


def rewritten(reference, tmp_path, branch, change, name="diffusion_pytorch_model.safetensors", save=None):
    """A copy of the tiny model in which `change` has edited the tensors of one branch."""
    folder = tmp_path / "vd"
    shutil.copytree(reference / "vd_tiny", folder, copy_function=shutil.copyfile)
    path = folder / branch / "diffusion_pytorch_model.safetensors"
    tensors = change(safetensors.torch.load_file(path))
    path.unlink()
    (save or safetensors.torch.save_file)(tensors, folder / branch / name)
    return folder


def without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("branch", "change", "message"),
    [
        ("image_unet", without("conv_in.bias"), r"tensor conv_in.bias of shape \(16,\), found none"),
        ("image_unet", lambda t: t | {"foo": torch.zeros(2)}, r"foo of shape none, found \(2,\)"),
        ("text_unet", without("mid_block.attentions.0.norm.bias"), "mid_block.attentions.0.norm.bias"),
        (
            "vae",
            lambda t: t | {"quant_conv.bias": torch.zeros(3)},
            r"quant_conv.bias of shape \(8,\), found \(3,\)",
        ),
    ],
)
def test_wrong_tensors_are_named(reference, tmp_path, branch, change, message):
    folder = rewritten(reference, tmp_path, branch, change)
    with pytest.raises(InputError, match=message):
        DualGuidedPipeline.from_pretrained(folder)


@pytest.mark.parametrize(
    "missing", ["scheduler/scheduler_config.json", "text_unet", "image_unet/config.json"]
)
def test_missing_files_are_named(reference, tmp_path, missing):
    folder = tmp_path / "vd"
    shutil.copytree(reference / "vd_tiny", folder, copy_function=shutil.copyfile)
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=missing):
        DualGuidedPipeline.from_pretrained(folder)


def test_half_precision_torch_files_and_old_attention_names_load(reference, tmp_path, numbers):
    def old(tensors):
        renamed = {}
        for name, tensor in tensors.items():
            if ".attentions." in name:
                for new, before in (
                    ("to_q", "query"),
                    ("to_k", "key"),
                    ("to_v", "value"),
                    ("to_out.0", "proj_attn"),
                ):
                    name = name.replace(f".{new}.", f".{before}.")
            renamed[name] = tensor.half()
        return renamed

    folder = rewritten(reference, tmp_path, "vae", old, "diffusion_pytorch_model.fp16.bin", torch.save)
    half = DualGuidedPipeline.from_pretrained(folder, device="cpu")
    assert half.vae.dtype == torch.float32
    assert close(half.encode(numbers["base"]), numbers["z0"], 1e-2)
