"""Generators guided by a picture's embedding against the reference runs of diffusers."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    VQModel,
)
from helpers import published_layouts
from helpers import reference_generators as runs
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from neural_recon import generation
from neural_recon.core.errors import InputError


def write_sdxl(places, folder, kind):
    """The run, its arrays and settings of Stable Diffusion XL with an adapter in its published layout."""
    info, arrays = runs.read(places, f"sdxl_ip_adapter_{kind}_img2img")
    weights = runs.write_model(folder / "model", info, unet=UNet2DConditionModel, vae=AutoencoderKL)
    adapter = {
        name.removeprefix("adapter."): torch.from_numpy(values)
        for name, values in arrays.items()
        if name.startswith("adapter.")
    }
    safetensors.torch.save_file(adapter, folder / "adapter.safetensors")
    own = {
        "adapter": str(folder / "adapter.safetensors"),
        "adapter_scale": info["config"]["ip_adapter_scale"],
    }
    none = {
        "image": arrays["negative_image_embeds"][:1].reshape(1, -1, 20),
        "text": arrays["negative_prompt_embeds"][:1],
        "pooled": arrays["negative_pooled_prompt_embeds"][:1],
    }
    return info, arrays, {"kind": "sdxl", "weights": str(weights), **own}, none


def write_kandinsky(places, folder):
    """The run, its arrays and settings of Kandinsky."""
    info, arrays = runs.read(places, "kandinsky22_img2img")
    weights = runs.write_model(folder / "model", info, unet=UNet2DConditionModel, movq=VQModel)
    config = weights / "unet/config.json"  # the run left the side to the base images
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": 8}))
    own = {"image_encoder": "nowhere"}
    none = {"image": arrays["negative_image_embeds"][:1, None]}
    return info, arrays, {"kind": "kandinsky", "weights": str(weights), **own}, none


@pytest.fixture(scope="module", params=["plain", "plus", "kandinsky"])
def run(request, reference, tmp_path_factory):
    """A run: its description, its arrays, the settings that paint it, and what guides where nothing does."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "kandinsky":
        found = write_kandinsky(reference / "generators", folder)
    else:
        found = write_sdxl(reference / "generators", folder, request.param)
    info, arrays, how, none = found
    how |= {name: info["config"][name] for name in ("steps", "strength", "guidance_scale")}
    return info, arrays, {**how, "base": "base", "image": "image"}, none


def loaded(how, arrays):
    """What paints, of the run's texts: without guidance another one than with it."""
    generator = generation.load(how, "cpu")
    if how["kind"] == "sdxl":
        stored = {"text": "prompt_embeds", "pooled": "pooled_prompt_embeds"}

        def texts(name, unguided, rows):  # noqa: ARG001
            guided = torch.from_numpy(arrays[stored[name]][0])
            away = torch.from_numpy(arrays[f"negative_{stored[name]}"][0])
            return torch.stack([away] * (rows // 2) + [guided] * (rows // 2))

        generator.texts = texts
    return generator


def test_every_stored_point(run):
    info, arrays, how, none = run
    guides = {"image": arrays["image_embeds"]}
    found = runs.stages(loaded(how, arrays), arrays["base"], guides, none, arrays["noise"])
    steps = info["config"]["timesteps"]
    assert found["timesteps"].tolist() == [steps[0], *steps]
    for name in ("base_latents", "start", "latents", "image"):
        runs.assert_close(found[name], arrays[name])


@pytest.mark.parametrize("run", ["plain", "plus"], indirect=True)
def test_sigmas_and_tokens_of_the_adapter(run):
    _, arrays, how, _ = run
    generator = loaded(how, arrays)
    scheduler = generator.scheduler()
    scheduler.set_timesteps(how["steps"])
    runs.assert_close(scheduler.sigmas.numpy(), arrays["sigmas"])
    with torch.no_grad():
        given = torch.from_numpy(arrays["image_embeds"])
        (tokens,) = generator.parts["unet"].encoder_hid_proj([given])
    runs.assert_close(tokens.numpy(), arrays["image_tokens_of_adapter"])


def test_pictures_of_a_batch_are_those_painted_alone(run):
    """The embeddings of one batch are never mixed."""
    _, arrays, how, none = run

    def latents(rows):
        found = runs.stages(
            loaded(how, arrays), arrays["base"][rows], {"image": arrays["image_embeds"][rows]}, none,
            arrays["noise"][rows], image_ids=runs.IDS[rows],
        )  # fmt: skip
        return found["latents"][-1], found["image"]

    together = latents([0, 1])
    for k in range(2):
        for found, alone in zip(together, latents([k]), strict=True):
            runs.assert_close(found[k], alone[0])
    assert np.abs(together[1][0] - together[1][1]).max() > 0.1


def test_rows_without_guidance_come_first(run):
    """Taken for each other, the negative and the positive embedding give another picture."""
    _, arrays, how, none = run
    given = arrays["image_embeds"][[0, 0]]
    swapped = {**none, "image": given[:1].reshape(none["image"].shape)}
    away = np.concatenate([none["image"]] * 2)
    found = runs.stages(loaded(how, arrays), arrays["base"], {"image": away}, swapped, arrays["noise"])
    assert np.abs(found["image"][0] - arrays["image"][0]).max() > 0.01


def test_without_guidance_only_the_picture_guides(run):
    """At scale 1 there is one row per image, and what holds for all rows is still there."""
    _, arrays, how, none = run
    generator = generation.load({**how, "guidance_scale": 1}, "cpu")
    generator.unguided = lambda: none
    seen = []
    whole = generator.predict
    generator.predict = lambda rows, *others: seen.append(len(rows)) or whole(rows, *others)
    guides = {"image": arrays["image_embeds"].reshape(2, -1)}
    painted = generator.paint(arrays["base"], guides, runs.IDS, 1)
    assert painted.shape == (2, 16, 16, 3)
    assert set(seen) == {2}


def test_neither_batch_nor_memory_nor_order_changes_a_picture(run):
    _, arrays, how, none = run
    guides = arrays["image_embeds"].reshape(2, -1)

    def paint(order=(0, 1), **changes):
        generator = generation.load({**how, "batch": 2, **changes}, "cpu")
        generator.unguided = lambda: none
        rows = list(order)
        return generator.paint(arrays["base"][rows], {"image": guides[rows]}, runs.IDS[rows], 1).astype(int)

    expected = paint()
    for found, wanted in (
        (paint(batch=1), expected),
        (paint(memory="low"), expected),
        (paint([1, 0]), expected[[1, 0]]),
    ):
        assert np.abs(found - wanted).max() <= 1
    assert np.abs(paint(strength=1.0) - expected).max() > 1


@pytest.mark.parametrize("run", ["plain", "plus", "kandinsky"], indirect=True)
def test_files_are_compared_before_anything_is_painted(run):
    """On the device "meta", as doctor does it."""
    generation.load(run[2], "meta").prepare()


@pytest.mark.parametrize("run", ["plain", "plus"], indirect=True)
def test_a_file_that_is_no_adapter_of_the_model_is_one_sentence(run, tmp_path):
    how = run[2]
    tensors = safetensors.torch.load_file(how["adapter"])

    def refused(path, **changed):
        kept = {name: value for name, value in {**tensors, **changed}.items() if value is not None}
        safetensors.torch.save_file(kept, path)
        generation.load({**how, "adapter": str(path)}, "meta").prepare()

    first = next(
        f"image_proj.{name}.weight" for name in ("proj", "proj_in") if f"image_proj.{name}.weight" in tensors
    )
    key = "ip_adapter.1.to_k_ip.weight"
    for name, changed, said in (
        ("a.safetensors", {key: torch.zeros(3, 3)}, r"ip_adapter\.0\.to_k_ip.*\(64, 24\), found \(3, 3\)"),
        ("b.safetensors", {key: None}, r"ip_adapter\.0\.to_k_ip.*found none"),
        ("c.safetensors", {"ip_adapter.17.to_k_ip.weight": torch.zeros(64, 24)}, r"ip_adapter\.8\..*found"),
        ("d.safetensors", dict.fromkeys(k for k in tensors if k.startswith("image_proj.proj")), "neither"),
        ("f.safetensors", {first: torch.zeros(3)}, r"plain or plus"),
    ):
        with pytest.raises(InputError, match=said):
            refused(tmp_path / name, **changed)
    with pytest.raises(InputError, match=r"gone.safetensors: expected"):
        generation.load({**how, "adapter": str(tmp_path / "gone.safetensors")}, "meta").prepare()
    with pytest.raises(InputError, match="safetensors, found another kind"):  # before anything is fetched
        generation.load({**how, "adapter": "e.bin"}, "meta")


@pytest.mark.parametrize("run", ["plain", "plus"], indirect=True)
def test_the_empty_caption_is_encoded_as_diffusers_does(run, tmp_path):
    _, _, how, _ = run
    published_layouts.write_text_encoder(tmp_path, projected=False)
    published_layouts.write_text_encoder(tmp_path, "text_encoder_2", pad="!")
    published_layouts.write_image_encoder(tmp_path / "models/image_encoder")
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(block_out_channels=[32]),
        text_encoder=CLIPTextModel.from_pretrained(tmp_path / "text_encoder"),
        text_encoder_2=CLIPTextModelWithProjection.from_pretrained(tmp_path / "text_encoder_2"),
        tokenizer=CLIPTokenizer.from_pretrained(tmp_path / "tokenizer", model_max_length=12),
        tokenizer_2=CLIPTokenizer.from_pretrained(tmp_path / "tokenizer_2", model_max_length=12),
        unet=UNet2DConditionModel(block_out_channels=[32], down_block_types=["DownBlock2D"],
                                  up_block_types=["UpBlock2D"]),
        scheduler=EulerDiscreteScheduler(),
        force_zeros_for_empty_prompt=False,
    )  # fmt: skip
    with torch.no_grad():
        text, _, pooled, _ = pipeline.encode_prompt("", do_classifier_free_guidance=False)
    own = {"weights": str(tmp_path), "image_encoder": str(tmp_path)}
    found = generation.load({**how, **own}, "cpu").unconditional()
    runs.assert_close(found["text"], text.numpy(), 1e-5)
    runs.assert_close(found["pooled"], pooled.numpy(), 1e-5)
    if "plus" in how["adapter"]:
        encoder = CLIPVisionModelWithProjection.from_pretrained(tmp_path / "models/image_encoder")
        with torch.no_grad():
            expected = encoder(torch.zeros(1, 3, 16, 16), output_hidden_states=True).hidden_states[-2]
        runs.assert_close(found["image"], expected.numpy(), 1e-5)
        with pytest.raises(InputError, match=r"image_encoder: expected the weights.*plus adapter"):
            generation.load({**how, "weights": str(tmp_path)}, "cpu").unconditional()
    else:
        np.testing.assert_array_equal(found["image"], np.zeros((1, 1, 20)))


@pytest.mark.parametrize("run", ["kandinsky"], indirect=True)
def test_nothing_guides_kandinsky_as_the_embedding_of_zeros(run, tmp_path):
    published_layouts.write_image_encoder(tmp_path / "image_encoder")
    encoder = CLIPVisionModelWithProjection.from_pretrained(tmp_path / "image_encoder")
    with torch.no_grad():
        expected = encoder(torch.zeros(1, 3, 16, 16)).image_embeds
    found = generation.load({**run[2], "image_encoder": str(tmp_path)}, "cpu").unconditional()
    runs.assert_close(found["image"], expected.numpy()[:, None], 1e-5)


@pytest.mark.parametrize("run", ["kandinsky"], indirect=True)
def test_kandinskys_own_scheduler_gives_its_noise_levels_alone(run, tmp_path):
    """The published folder describes DDPM, which clips and draws."""
    weights = shutil.copytree(run[2]["weights"], tmp_path / "model")
    published = {"_class_name": "DDPMScheduler", "beta_end": 0.011, "beta_schedule": "linear",
                 "clip_sample": True, "thresholding": True, "variance_type": "learned_range"}  # fmt: skip
    (weights / "scheduler/scheduler_config.json").write_text(json.dumps(published))
    found = generation.load({**run[2], "weights": str(weights)}, "cpu").scheduler()
    assert type(found).__name__ == "DDIMScheduler"
    assert (found.config.beta_end, found.config.clip_sample, found.config.thresholding) == (
        0.011,
        False,
        False,
    )
