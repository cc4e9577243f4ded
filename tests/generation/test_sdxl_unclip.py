"""MindEye2's painter against the reference: the published code on a tiny engine."""

import json

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.embeddings import Timesteps
from helpers import reference_generators as runs
from helpers import tiny_unclip

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints, sgm_files
from neural_recon.models.legacy_schedule import LegacyEuler

GUIDE, SIDE = {"image": np.zeros((1, 1, 12), np.float32)}, 768


def read(reference, name):
    with np.load(reference / "mindeye2" / f"{name}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def arrays(reference):
    return read(reference, "sgm_unclip_tiny")


@pytest.fixture(autouse=True)
def narrow_heads(monkeypatch):
    monkeypatch.setattr(sgm_files, "HEAD", tiny_unclip.HEAD)


@pytest.fixture(scope="module")
def weights(arrays, tmp_path_factory):
    return tiny_unclip.write(tmp_path_factory.mktemp("unclip") / "unclip.ckpt", arrays)


def loaded(weights, device="cpu", **settings):
    how = {"kind": "sdxl_unclip", "weights": str(weights), "image": "tokens", **settings}
    return generation.load(how, device)


def told(unet, vector, monkeypatch):
    """Give the UNet a vector as it is, whatever sizes it is told."""
    monkeypatch.setattr(unet, "get_aug_embed", lambda **_: unet.add_embedding(torch.from_numpy(vector)))


def eps(unet, x, t, context):
    added = {"text_embeds": torch.zeros(len(x), 0), "time_ids": torch.zeros(len(x), 4)}
    with torch.no_grad():
        return unet(x, t, encoder_hidden_states=context, added_cond_kwargs=added).sample


def test_the_unet_gives_the_published_output(arrays, weights, monkeypatch):
    unet = loaded(weights).parts["unet"]
    told(unet, arrays["unet.y"], monkeypatch)
    x, t, context = (torch.from_numpy(arrays[f"unet.{name}"]) for name in ("x", "t", "context"))
    runs.assert_close(eps(unet, x, t, context).numpy(), arrays["unet.out"], 1e-5)


@pytest.mark.parametrize("sigma", ["14.6146", "3.3", "0.05"])
def test_the_denoiser_takes_the_nearest_level_of_the_training(arrays, weights, monkeypatch, sigma):
    unet, table = loaded(weights).parts["unet"], arrays["sigmas_table_1000"]
    told(unet, arrays["unet.y"], monkeypatch)
    nearest = int(np.abs(table - float(sigma)).argmin())
    assert nearest == arrays[f"denoiser.sigma{sigma}.idx"][0]
    schedule = LegacyEuler()
    schedule.set_timesteps(999)
    (place,) = (schedule.timesteps == nearest).nonzero()[0]
    schedule.set_begin_index(int(place))
    t = schedule.timesteps[place]
    x, context = (torch.from_numpy(arrays[f"unet.{name}"]) for name in ("x", "context"))
    output = eps(unet, schedule.scale_model_input(x, t), t, context)
    found = schedule.step(output, t, x).pred_original_sample
    runs.assert_close(found.numpy(), arrays[f"denoiser.sigma{sigma}.out"], 1e-5)
    quantized = arrays[f"denoiser.sigma{sigma}.quantized"][0]
    np.testing.assert_allclose(schedule.sigmas[place], quantized, rtol=1e-5)


def test_noise_levels_are_the_published_ones(arrays):
    schedule = LegacyEuler()
    levels = ((1 - schedule.alphas_cumprod) / schedule.alphas_cumprod) ** 0.5  # sigmas
    np.testing.assert_allclose(levels, arrays["sigmas_table_1000"], rtol=1e-6)
    for steps, name in ((38, "recon.sigmas"), (25, "refine.sigmas25")):
        schedule.set_timesteps(steps)
        np.testing.assert_allclose(schedule.sigmas, arrays[name], rtol=1e-6)
    assert schedule.timesteps[0] == 999


def test_sizes_are_told_as_published(arrays, weights):
    generator = loaded(weights)
    tokens = torch.zeros(1, 5, 12)
    _, added = generator.condition({"image": tokens}, {"image": tokens})
    assert added["text_embeds"].shape == (2, 0)
    sizes = added["time_ids"][0]
    assert sizes.tolist() == [SIDE, SIDE, 0, 0]
    vector = generator.parts["unet"].add_time_proj(sizes).flatten()
    np.testing.assert_allclose(vector, arrays["vector"][0], atol=1e-6)
    full = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)(sizes).flatten()
    np.testing.assert_allclose(full, arrays["full.vector_suffix_1024"][0], atol=1e-4)


@torch.no_grad()
def test_the_autoencoder_encodes_and_decodes_as_published(arrays, weights):
    vae = loaded(weights).parts["vae"]
    moments = vae.encode(torch.from_numpy(arrays["vae.x"])).latent_dist.parameters
    runs.assert_close(moments.numpy(), arrays["vae.moments"], 1e-5)
    decoded = vae.decode(torch.from_numpy(arrays["vae.z"]) / vae.config.scaling_factor).sample
    runs.assert_close(decoded.numpy(), arrays["vae.decode_first_stage"], 1e-5)


def painted(generator, *noises, tokens):
    return runs.stages(
        generator, None, {"image": tokens}, GUIDE, *noises, image_ids=np.array([7])
    )  # fmt: skip


@pytest.mark.slow
def test_the_published_reconstruction(arrays, weights):
    """The whole picture of 768 x 768."""
    noises = [arrays[f"recon.{name}"] for name in ("z_init", "noise")]
    noises += [arrays["recon.offset"].reshape(1, 1, 1, 1), arrays["recon.uc_tokens"]]
    found = painted(loaded(weights), *noises, tokens=arrays["recon.tokens"])
    assert len(found["timesteps"]) == 38
    latents = [found["start"], *found["latents"]]
    for step in (0, 18):
        runs.assert_close(latents[step][..., ::4, ::4], arrays[f"recon.step{step}.x_ds"], 1e-5)
    runs.assert_close(latents[37][..., ::4, ::4], arrays["recon.step37.x_ds"], 1e-5)
    runs.assert_close(latents[38][..., ::4, ::4], arrays["recon.final_latent_ds"], 1e-5)
    assert np.abs(latents[38] - arrays["recon.final_latent_f16"]).max() < 0.04
    # group norms over half a million numbers, channels last on the CPU, are summed in single precision
    runs.assert_close(found["image"][..., ::16, ::16], arrays["recon.image_ds"], 2e-4)
    np.testing.assert_allclose(found["image"].mean((2, 3)), arrays["recon.image_mean"], atol=1e-4)


def test_every_stored_point_of_the_small_reconstruction(reference, weights, monkeypatch):
    small = read(reference, "sgm_unclip_tiny_small")
    generator = loaded(weights)
    monkeypatch.setattr(generator, "latent_shape", lambda: (4, 16, 24))
    noises = [small["z_init"], small["noise_before_offset"], small["offset_draw"].reshape(1, 1, 1, 1)]
    found = painted(generator, *noises, small["uc_tokens"], tokens=small["tokens"])
    latents = [found["start"], *found["latents"]]
    for step in (0, 1, 18, 37):
        runs.assert_close(latents[step], small[f"step{step}.x"], 1e-5)
        now, sigma = latents[step], small["sigmas"][step]
        after = small["sigmas"][step + 1]
        denoised = now - sigma * (latents[step + 1] - now) / (after - sigma)
        runs.assert_close(denoised, small[f"step{step}.denoised"], 1e-4)
    runs.assert_close(latents[38], small["final_latent"], 1e-5)
    runs.assert_close(found["image"], small["image"], 1e-4)


def shaped(names, part):
    """Tensors of these shapes without storage, named without their beginning."""
    return {
        name.removeprefix(part): torch.empty(shape, device="meta")
        for name, shape in names.items()
        if name.startswith(part)
    }


def test_the_published_file_is_named_and_sized_by_rule(reference, monkeypatch):
    """All names and shapes of the published checkpoint, against the maps made from it."""
    monkeypatch.undo()
    read_json = lambda name: json.loads((reference / f"mindeye2/{name}.json").read_text())  # noqa: E731
    names = read_json("sgm_unclip6_names")
    unet, vae = (shaped(names, part) for part in (sgm_files.UNET, sgm_files.AUTOENCODER))
    config = sgm_files.unet_config(unet)
    known = read_json("sgm_to_diffusers_unet_map")
    assert {key: known["config_text_time"][key] for key in config} == config
    found = {sgm_files.UNET + name: sgm_files.unet_name(name, 2) for name in unet}
    assert len(found) == 1680
    assert found == known["key_map"]
    known = read_json("sgm_to_diffusers_vae_map")["key_map"]
    found = {sgm_files.AUTOENCODER + name: sgm_files.autoencoder_name(name, 3) for name in vae}
    assert len(found) == 248
    assert found == known
    for kind, how, tensors in (
        (UNet2DConditionModel, config, sgm_files.as_diffusers(unet, 2)),
        (AutoencoderKL, sgm_files.autoencoder_config(vae), sgm_files.autoencoder_as_diffusers(vae)),
    ):
        model = checkpoints.empty(lambda kind=kind, how=how: kind(**how))
        checkpoints.load_tensors(model, tensors, "unclip6", device="meta")


def test_what_is_no_painter_is_one_sentence(weights, tmp_path):
    checkpoint = torch.load(weights)
    key = sgm_files.UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    path = tmp_path / "odd.ckpt"
    for changed, said in (
        ({key: torch.zeros(3, 12)}, r"attn2\.to_k\.weight of shape \(64, 12\), found \(3, 12\)"),
        ({sgm_files.UNET + "odd.weight": torch.zeros(3)}, r"tensor odd\.weight of shape none"),
    ):
        torch.save({"state_dict": {**checkpoint["state_dict"], **changed}}, path)
        with pytest.raises(InputError, match=said):
            loaded(path, "meta").prepare()
    torch.save({"state_dict": {"text.weight": torch.zeros(3)}}, path)
    with pytest.raises(InputError, match=r"one file of generative-models .* found 0 and 0 tensors"):
        loaded(path, "meta").prepare()
    torch.save({"state_dict": {"text": "weights"}}, path)
    with pytest.raises(InputError, match="expected a state dict"):
        loaded(path, "meta").prepare()
    with pytest.raises(InputError, match=r"gone.ckpt: expected"):
        loaded(tmp_path / "gone.ckpt", "meta").prepare()


SMALL = {"size": 64, "steps": 3}


def paint(weights, order=(0, 1, 2), base=None, **changes):
    named = {} if base is None else {"base": "base"}
    generator = loaded(weights, **{**SMALL, "batch": 3, **named, **changes})
    rows = list(order)
    guides = np.random.default_rng(0).standard_normal((3, 60)).astype(np.float32)
    ids = np.array([31, 7, 4])
    return generator.paint(None if base is None else base[rows], {"image": guides[rows]}, ids[rows], 1)


def test_neither_batch_nor_order_nor_memory_changes_a_picture(weights):
    """Tokens where nothing guides and offset noise are each picture's own, too."""
    expected = runs.assert_alone_as_in_company(lambda **how: paint(weights, **how))
    assert expected.shape == (3, 64, 64, 3)
    assert len({picture.tobytes() for picture in expected}) == 3


def test_every_published_quirk_changes_pictures(weights):
    expected = paint(weights).astype(int)
    assert np.abs(paint(weights) - expected).max() == 0
    for changes in ({"unconditional": "zeros"}, {"offset_noise": 0.0}, {"guidance_scale": 1}, {"steps": 4}):
        assert np.abs(paint(weights, **changes) - expected).max() > 1, changes
    same = paint(weights, guidance_scale=1, unconditional="zeros")
    np.testing.assert_array_equal(same, paint(weights, guidance_scale=1))  # nothing is unguided


@torch.no_grad()
def test_a_base_image_is_where_it_starts(weights, rng):
    """Its latents are those that decode to it; at strength 1 there is noise alone, as published."""
    pictures = rng.integers(60, 255, (3, 64, 64, 3), np.uint8)
    generator = loaded(weights, **SMALL, strength=0.4, base="base")
    images = generator.enlarged(pictures)
    seen = (images / 2 + 0.5 - 0.2) / 0.8
    expected = generator.parts["vae"].encode(seen).latent_dist.mean * 0.13025
    runs.assert_close(generator.encode(images, None).numpy(), expected.numpy(), 1e-6)
    pure = paint(weights)
    np.testing.assert_array_equal(paint(weights, base=pictures, strength=1.0), pure)
    assert np.abs(paint(weights, base=pictures, strength=0.4).astype(int) - pure).max() > 1
