"""The second pass over MindEye2's pictures: the reference's loop, decoded captions, and blends."""

import json
import logging

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import published_layouts, tiny_unclip
from helpers import reference_generators as runs
from pydantic import ValidationError
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.generation.generator import GENERATORS
from neural_recon.generation.refinement import Refiner
from neural_recon.generation.sampling import resized
from neural_recon.models import sgm_files
from neural_recon.models.captions import Captions

CPU = torch.device("cpu")
IDS = np.array([31, 7, 4])


@pytest.fixture(scope="module")
def arrays(reference):
    with np.load(reference / "mindeye2/sgm_unclip_tiny.npz") as file:
        return dict(file)


@pytest.fixture(autouse=True)
def narrow_heads(monkeypatch):
    monkeypatch.setattr(sgm_files, "HEAD", tiny_unclip.HEAD)


@pytest.fixture(scope="module")
def models(arrays, tmp_path_factory):
    """A folder with all that a refined picture takes."""
    folder = tmp_path_factory.mktemp("models")
    tiny_unclip.write(folder / "unclip.ckpt", arrays)
    tiny_unclip.write_refiner(folder / "refiner")
    tiny_unclip.write_captioner(folder / "git")
    tiny_unclip.write_converter(folder / "converter.pth")
    return folder


def refiner(folder, **settings):
    how = {
        "kind": "refiner",
        "weights": str(folder),
        "size": 32,
        "negative_prompt": "blurry",
        "strength": 0.48,
    }
    return Refiner(
        Refiner.Settings.model_validate({"steps": 25, "guidance_scale": 5, **how, **settings}), "cpu"
    )


def test_the_published_refinement(arrays, tmp_path, monkeypatch):
    """From the 13th level from the end, on the reference's painter in the layout of diffusers."""
    tensors = tiny_unclip.tensors(arrays, "unet")
    config = sgm_files.unet_config(tensors)
    renamed = sgm_files.as_diffusers(tensors, config["layers_per_block"])
    published_layouts.write_tensors(tmp_path / "unet", renamed, "diffusion_pytorch_model")
    (tmp_path / "unet/config.json").write_text(json.dumps(config))
    published_layouts.write_autoencoder(tmp_path / "vae")
    generator = refiner(tmp_path, size=8)
    unet = generator.parts["unet"]
    vectors = np.concatenate([arrays["refine.uc_vector"], arrays["refine.c_vector"]])
    monkeypatch.setattr(unet, "get_aug_embed", lambda **_: unet.add_embedding(torch.from_numpy(vectors)))
    monkeypatch.setattr(generator, "widths", lambda: {"text": 12, "pooled": 16})
    monkeypatch.setattr(generator, "encode", lambda *_: torch.from_numpy(arrays["refine.z"]))
    pooled = np.zeros((1, 1, 16), np.float32)
    found = runs.stages(
        generator,
        np.zeros((1, 8, 8, 3), np.uint8),
        {"text": arrays["refine.c_crossattn"], "pooled": pooled},
        {"text": arrays["refine.uc_crossattn"], "pooled": pooled},
        arrays["refine.noise"],
        image_ids=IDS[:1],
    )
    assert len(found["latents"]) == len(arrays["refine.used_sigmas"][0]) - 1 == 12
    started = arrays["refine.z"] + arrays["refine.used_sigmas"][0, 0] * arrays["refine.noise"]
    runs.assert_close(found["start"], started, 1e-6)
    runs.assert_close(found["latents"][-1], arrays["refine.final"], 1e-5)


@torch.no_grad()
def test_it_is_told_captions_and_sizes_as_published(models):
    folder = models / "refiner"
    generator = refiner(folder, size=16)
    found = generator.texts(["a dog", "ab"])
    texts, pooled = [], None
    for number, kind in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
        tokenizer = CLIPTokenizer.from_pretrained(folder / f"tokenizer{number}")
        given = tokenizer("ab", padding="max_length", max_length=12, return_tensors="pt")["input_ids"]
        output = kind.from_pretrained(folder / f"text_encoder{number}")(given, output_hidden_states=True)
        texts.append(output.hidden_states[-2])
        pooled = getattr(output, "text_embeds", None)
    runs.assert_close(found["text"][1], torch.cat(texts, 2)[0].numpy(), 1e-5)
    runs.assert_close(found["pooled"][1], pooled.numpy(), 1e-5)
    given = {role: torch.from_numpy(rows) for role, rows in found.items()}
    away = {role: torch.from_numpy(rows) for role, rows in generator.unguided().items()}
    text, added = generator.condition(given, away)
    assert text.shape == (4, 12, 48)
    assert added["text_embeds"].shape == (4, 16)
    assert added["time_ids"].tolist() == [[16, 16, 0, 0, 32, 32]] * 4
    torch.testing.assert_close(text[2:], given["text"])
    torch.testing.assert_close(text[0], away["text"][0])


@torch.no_grad()
def test_captions_are_those_of_the_captioner_s_own_encoder(tmp_path, rng):
    """Of states that its encoder makes of pictures, through a converter that leaves them."""
    model = tiny_unclip.write_captioner(tmp_path / "git")
    same = {"linear1.weight": torch.eye(5), "linear1.bias": torch.zeros(5), "linear2.weight": torch.eye(16),
            "linear2.bias": torch.zeros(16)}  # fmt: skip
    torch.save({"model_state_dict": same}, tmp_path / "same.pth")
    captions = Captions.from_files(tmp_path / "git", tmp_path / "same.pth", CPU)
    pictures = torch.from_numpy(rng.standard_normal((4, 3, 16, 16)).astype(np.float32))
    states = model.git.image_encoder(pictures).last_hidden_state
    written = model.generate(pixel_values=pictures, max_length=20, do_sample=False)
    expected = [" ".join(f"word{k - 4}" for k in row.tolist() if k > 3) for row in written]
    found = captions.of(states.numpy())
    assert found == expected
    assert len(set(found)) > 1
    assert captions.of(states.numpy(), batch=1) == expected
    assert not any("image_encoder" in name for name in captions.decoder.state_dict())


@torch.no_grad()
def test_the_converter_is_linear_over_tokens_then_values(models, rng):
    captions = Captions.from_files(models / "git", models / "converter.pth", CPU)
    tokens = rng.standard_normal((2, 5, 12)).astype(np.float32)
    weights = {name: value.numpy() for name, value in captions.converter.state_dict().items()}
    over_tokens = (
        np.einsum("ntc,ut->nuc", tokens, weights["linear1.weight"]) + weights["linear1.bias"][:, None]
    )
    expected = over_tokens @ weights["linear2.weight"].T + weights["linear2.bias"]
    runs.assert_close(captions.converter(torch.from_numpy(tokens)).numpy(), expected, 1e-6)


def test_what_does_not_belong_together_is_one_sentence(models, tmp_path):
    with pytest.raises(InputError, match=r"gone\.pth: expected"):
        Captions.from_files(models / "git", tmp_path / "gone.pth", CPU)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "odd.pth")
    with pytest.raises(InputError, match=r"a converter of tokens .*, found weight; name its file"):
        Captions.from_files(models / "git", tmp_path / "odd.pth", CPU)
    other = {"linear1.weight": torch.zeros(7, 5), "linear1.bias": torch.zeros(7),
             "linear2.weight": torch.zeros(16, 12), "linear2.bias": torch.zeros(16)}  # fmt: skip
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"5 x 16 image states, found one to 7 x 16"):
        Captions.from_files(models / "git", tmp_path / "other.pth", CPU)
    captions = Captions.from_files(models / "git", models / "converter.pth", CPU)
    with pytest.raises(InputError, match=r"5 x 12 predicted tokens, as the converter takes, found 48 values"):
        captions.of(np.zeros((2, 48)))
    folder = tmp_path / "git"
    tiny_unclip.write_captioner(folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    safetensors.torch.save_file({**tensors, "output.bias": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"output\.bias of shape \(40,\), found \(3,\)"):
        Captions.from_files(folder, models / "converter.pth", CPU)
    for name in ("tokenizer.json", "config.json"):
        tiny_unclip.write_captioner(folder)
        (folder / name).unlink()
        with pytest.raises(InputError, match=f"{name}: expected"):
            Captions.from_files(folder, models / "converter.pth", CPU)


def paint(models, order=(0, 1, 2), base=None, seed=1, **changes):
    how = {"kind": "sdxl_unclip", "weights": str(models / "unclip.ckpt"), "image": "tokens", "size": 64}
    how |= {"steps": 2, "refiner_steps": 5, "batch": 3, "refiner": str(models / "refiner")}
    how |= {} if base is None else {"base": "base"}
    generator = generation.load({**how, **changes}, "cpu")
    rows = list(order)
    guides = np.random.default_rng(0).standard_normal((3, 60)).astype(np.float32)
    return generator.paint(None if base is None else base[rows], {"image": guides[rows]}, IDS[rows], seed)


def captioned(models):
    return {"captioner": str(models / "git"), "converter": str(models / "converter.pth")}


def test_neither_batch_nor_order_nor_memory_changes_a_refined_picture(models, caplog):
    with caplog.at_level(logging.INFO, "neural_recon.generation"):
        expected = runs.assert_alone_as_in_company(lambda **how: paint(models, **captioned(models), **how))
    assert expected.shape == (3, 64, 64, 3)
    assert any(message.startswith("image 31: word") for message in caplog.messages)
    unrefined = paint(models, refiner=None)
    assert np.abs(unrefined.astype(int) - expected).max() > 10
    assert np.abs(paint(models, prompt="a dog").astype(int) - expected).max() > 1
    assert np.abs(paint(models, **captioned(models), refiner_from=64).astype(int) - expected).max() <= 1
    assert (
        np.abs(paint(models, prompt="a", refiner_from=128).astype(int) - paint(models, prompt="a")).max() > 0
    )


def test_the_two_passes_draw_different_noise(models, monkeypatch):
    drawn = []
    from neural_recon.core import random_streams

    whole = random_streams.normal
    monkeypatch.setattr(
        random_streams, "normal", lambda *arguments: drawn.append(whole(*arguments)) or drawn[-1]
    )
    paint(models, order=(0,))
    images = [noise for noise in drawn if noise.numel() > 60]
    assert len(images) == 3  # in place of a base image, its noise, and the refiner's
    flat = [noise.flatten()[:256] for noise in images]
    assert all((flat[a] - flat[b]).abs().max() > 0.1 for a in range(3) for b in range(a))


def test_published_blends_by_their_share(models, rng):
    """Both at 256 x 256; a control without a base image has the same size."""
    base = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    pictures = paint(models, refiner=None)
    blended = paint(models, base=base, refiner=None, blend=0.25)
    assert blended.shape == (3, 256, 256, 3)
    expected = 0.75 * resized(pictures, 256) + 0.25 * resized(base, 256)
    assert np.abs(blended - expected).max() <= 0.51
    generator = generation.load(
        {"kind": "sdxl_unclip", "weights": str(models / "unclip.ckpt"), "image": "tokens", "size": 64,
         "steps": 2, "base": "base", "blend": 0.25, "batch": 3}, "cpu",
    )  # fmt: skip
    assert generator.side() == 256
    guides = np.random.default_rng(0).standard_normal((3, 60)).astype(np.float32)
    alone = generator.paint(None, {"image": guides}, IDS, 1)
    np.testing.assert_array_equal(alone, resized(pictures, 256))


def test_files_are_compared_before_anything_is_painted(models):
    how = {"kind": "sdxl_unclip", "weights": str(models / "unclip.ckpt"), "image": "tokens"}
    how_all = {**how, "refiner": str(models / "refiner"), **captioned(models)}
    generation.load(how_all, "meta").prepare()
    with pytest.raises(InputError, match=r"unclip\.ckpt: expected a state dict"):
        generation.load({**how_all, "converter": how["weights"]}, "meta").prepare()
    with pytest.raises(InputError, match=r"git/unet/config\.json: expected"):
        generation.load({**how, "refiner": str(models / "git")}, "meta").prepare()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"captioner": "git"}, "captions take the first two, and are for the refiner"),
        ({"captioner": "git", "converter": "file"}, "and refiner None"),
        ({"blend": 0.25}, "blend 0.25 without a base"),
        ({"size": 100}, "multiple of 32"),
        ({"strength": 0.01}, "less than one step"),
        ({"refiner_strength": 0.01}, "refiner_strength 0.01 of 25 steps is less than one step"),
    ],
)
def test_settings_that_make_no_picture_are_refused(changes, said):
    how = {"kind": "sdxl_unclip", "weights": "nowhere", "image": "tokens", **changes}
    with pytest.raises(ValidationError, match=said):
        GENERATORS.settings(how)
