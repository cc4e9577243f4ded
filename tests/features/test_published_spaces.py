"""Spaces of published encoders and autoencoders, against the libraries' own loading and computing."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import AutoencoderKL
from helpers import published_layouts
from helpers.places import ROOT
from PIL import Image
from sentencepiece import SentencePieceProcessor
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection, T5EncoderModel

from neural_recon.core import random_streams
from neural_recon.core.errors import InputError
from neural_recon.features import load, space
from neural_recon.features.space import SPACES
from neural_recon.models import weights
from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD

CAPTIONS = [["a dog", "two cats and a dog sleep"], [], ["a"], ["cats", "dogs", "a b c d e f g h i j k l m"]]
IDS = np.arange(4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with all of a hub's parts that spaces read, small and random."""
    folder = tmp_path_factory.mktemp("hub")
    published_layouts.write_text_encoder(folder, projected=False)
    published_layouts.write_text_encoder(folder, "text_encoder_2", pad="!")
    published_layouts.write_image_encoder(folder / "image_encoder")
    published_layouts.write_image_encoder(folder / "sdxl_models/image_encoder")
    published_layouts.write_autoencoder(folder / "vae")
    published_layouts.write_t5(folder / "t5")
    return folder


KINDS = {
    "clip_text_states": {},
    "clip_image_embedding": {},
    "clip_image_tokens": {},
    "clip_patch_tokens": {},
    "autoencoder": {"size": 16},
    "t5_states": {"tokens": 6},
}


def loaded(folder, kind, **settings):
    where = folder / "t5" if kind == "t5_states" else folder
    return load("it", {"kind": kind, "weights": str(where), **KINDS[kind], **settings})


def batch_of(one, rng):
    return CAPTIONS if one.reads == "captions" else rng.integers(0, 256, (4, 40, 40, 3), np.uint8)


def close(found, expected, tolerance=1e-5):
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_widths_are_known_before_a_model_is_loaded(folder, rng, kind):
    one = loaded(folder, kind)
    values = one.encode(batch_of(one, rng), IDS)
    assert values.dtype == np.float32
    assert values.shape == (4, one.width)
    assert one.sizes(one.settings) == (one.width, 16 if one.decodes else 0)
    one.check("it", one.settings)


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_change_nothing(folder, rng, kind):
    one = loaded(folder, kind)
    batch = batch_of(one, rng)
    values = one.encode(batch, IDS)
    for k in range(4):
        close(one.encode(batch[k : k + 1], IDS[k : k + 1])[0], values[k])


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("clip_text_states", "text_encoder"),
        ("clip_image_embedding", "image_encoder"),
        ("clip_image_tokens", "image_encoder"),
        ("clip_patch_tokens", "image_encoder"),
        ("autoencoder", "vae"),
        ("t5_states", "t5/text_encoder"),
    ],
)
def test_a_wrong_or_missing_part_is_one_sentence(folder, tmp_path, kind, part):
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    one = SPACES.load(kind)
    where = copy / "t5" if kind == "t5_states" else copy
    settings = SPACES.settings({"kind": kind, "weights": str(where), **KINDS[kind]})
    files = sorted((copy / part).glob("*.safetensors"))
    tensors = safetensors.torch.load_file(files[0])
    name = next(name for name in tensors if tensors[name].ndim > 1)
    safetensors.torch.save_file({**tensors, name: torch.zeros(3)}, files[0])
    with pytest.raises(InputError, match=r"expected the tensor \S+ of shape \(.*\), found \(3,\)"):
        one.check("it", settings)
    files[0].unlink()
    with pytest.raises(InputError, match=r"expected a (weights file|file of weights)"):
        one.check("it", settings)
    shutil.rmtree(copy / part)
    with pytest.raises(InputError, match=f"{part}/config.json: expected"):
        one.check("it", settings)


def text_states(folder, texts, part="text_encoder", mask=False):
    """All layers' states, and the last one's after the norm, by transformers alone."""
    tokenizer = CLIPTokenizer.from_pretrained(folder / part.replace("text_encoder", "tokenizer"))
    model = CLIPTextModel.from_pretrained(folder / part).eval()
    given = tokenizer(texts, padding="max_length", max_length=12, truncation=True, return_tensors="pt")
    masked = given["attention_mask"] if mask else None
    with torch.no_grad():
        return model(given["input_ids"], attention_mask=masked, output_hidden_states=True)


@pytest.mark.parametrize("image", [0, 3])
def test_text_states_are_means_over_all_captions(folder, image):
    values = loaded(folder, "clip_text_states").encode(CAPTIONS, IDS)[image]
    states = text_states(folder, CAPTIONS[image]).last_hidden_state
    close(values.reshape(12, 24), states.mean(dim=0))
    assert np.abs(values.reshape(12, 24) - states[0].numpy()).max() > 0.1  # not the first caption alone


def test_an_image_without_captions_gets_the_empty_caption(folder):
    values = loaded(folder, "clip_text_states").encode(CAPTIONS, IDS)[1]
    close(values.reshape(12, 24), text_states(folder, [""]).last_hidden_state[0])


@pytest.mark.parametrize(("layer", "which"), [("last", None), ("unnormed", -1), ("penultimate", -2)])
@pytest.mark.parametrize("mask", [False, True])
def test_layers_and_padding_of_published_text_encoders(folder, layer, which, mask):
    one = loaded(folder, "clip_text_states", text_encoder="text_encoder_2", layer=layer, mask=mask)
    assert one.model.tokenizer.pad_token == "!"
    assert one.parts_read(one.settings) == ("text_encoder_2", "tokenizer_2")
    output = text_states(folder, ["a dog"], "text_encoder_2", mask)
    expected = output.last_hidden_state if which is None else output.hidden_states[which]
    close(one.encode([["a dog"]], IDS[:1]).reshape(12, 24), expected[0])
    every = [output.last_hidden_state, *output.hidden_states[-2:]]
    assert sum(torch.allclose(states, expected, atol=1e-3) for states in every) == 1


def vision_output(folder, pictures):
    """By transformers alone, of pictures brought to 16 x 16 by PIL."""
    small = [Image.fromarray(one).resize((16, 16), Image.Resampling.BICUBIC) for one in pictures]
    pixels = (np.stack([np.asarray(one) for one in small]) / 255 - CLIP_MEAN) / CLIP_STD
    model = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(torch.tensor(pixels, dtype=torch.float32).permute(0, 3, 1, 2), output_hidden_states=True)


def test_image_embedding_is_projected_and_keeps_its_length(folder, rng):
    pictures = rng.integers(0, 256, (3, 40, 40, 3), np.uint8)
    one = loaded(folder, "clip_image_embedding", image_encoder="sdxl_models/image_encoder")
    values = one.encode(pictures, IDS[:3])
    close(values, vision_output(folder / "sdxl_models/image_encoder", pictures).image_embeds)
    assert one.parts == [20]
    assert np.abs(np.linalg.norm(values, axis=1) - 1).min() > 1e-3
    assert one.parts_read(one.settings) == ("sdxl_models/image_encoder", "sdxl_models/image_processor")


@pytest.mark.parametrize(("layer", "which"), [("last", -1), ("penultimate", -2)])
def test_image_tokens_are_states_of_a_layer(folder, rng, layer, which):
    pictures = rng.integers(0, 256, (3, 40, 40, 3), np.uint8)
    one = loaded(folder, "clip_image_tokens", layer=layer)
    expected = vision_output(folder / "image_encoder", pictures).hidden_states[which].numpy()
    close(one.encode(pictures, IDS[:3]).reshape(3, 5, 24), expected)
    unit = loaded(folder, "clip_image_tokens", layer=layer, unit_length=True).encode(pictures, IDS[:3])
    close(unit.reshape(3, 5, 24), expected / np.linalg.norm(expected, axis=2, keepdims=True))
    assert one.parts == [24] * 5


def autoencoder(folder):
    return AutoencoderKL.from_pretrained(folder / "vae").eval()


@torch.no_grad()
def test_autoencoder_latents_are_scaled_and_of_lanczos_pictures(folder, rng):
    pictures = rng.integers(0, 256, (2, 40, 40, 3), np.uint8)
    small = [Image.fromarray(one).resize((16, 16), Image.Resampling.LANCZOS) for one in pictures]
    images = torch.tensor(np.stack([np.asarray(one) for one in small])).permute(0, 3, 1, 2) / 127.5 - 1
    posterior = autoencoder(folder).encode(images).latent_dist
    one = loaded(folder, "autoencoder")
    close(one.encode(pictures, IDS[:2]), 0.3 * posterior.mean.flatten(1))
    assert one.parts == [64] * 4
    drawn = loaded(folder, "autoencoder", latents="sample")
    assert (drawn.draws(drawn.settings), one.draws(one.settings)) == (True, False)
    noise = random_streams.generator(0, 7, "autoencoder posterior")
    noise = torch.randn((4, 8, 8), generator=noise)
    expected = 0.3 * (posterior.mean[1] + posterior.std[1] * noise)
    close(drawn.encode(pictures[1:], np.array([7]))[0], expected.flatten())


@torch.no_grad()
def test_autoencoder_pictures_are_rounded_or_as_published_truncated(folder, rng):
    values = rng.standard_normal((3, 256)).astype(np.float16)
    latents = torch.tensor(values.astype(np.float32)).reshape(3, 4, 8, 8) / 0.3
    images = (autoencoder(folder).decode(latents).sample.clamp(-1, 1) + 1) * 127.5
    images = images.permute(0, 2, 3, 1).numpy()
    rounded = loaded(folder, "autoencoder").pictures(values)
    truncated = loaded(folder, "autoencoder", pixels="truncated").pictures(values)
    assert rounded.dtype == np.uint8
    assert np.abs(rounded - images).max() < 0.51
    assert -1e-3 < (images - truncated).min() < (images - truncated).max() < 1.001
    assert 0.3 < (rounded != truncated).mean() < 0.7
    values[1, 3] = np.inf
    with pytest.raises(InputError, match="expected latents of finite numbers, found others in 1 of 3"):
        loaded(folder, "autoencoder").pictures(values)


def test_autoencoder_of_another_factor_is_refused(folder):
    with pytest.raises(InputError, match=r"a multiple of 2, by which .*, found 15; change `size`"):
        loaded(folder, "autoencoder", size=15)


def test_published_pictures_of_latents(reference, tmp_path):
    """The first stage of Takagi & Nishimoto's run, as their own code computed it."""
    made = json.loads((reference / "generators/takagi_img2img.json").read_text(encoding="utf-8"))
    with np.load(reference / "generators/takagi_tiny_vae.npz") as file:
        tensors = {name: torch.from_numpy(file[name]) for name in file.files}
    published_layouts.write_tensors(tmp_path / "vae", tensors, "diffusion_pytorch_model")
    (tmp_path / "vae/config.json").write_text(json.dumps(made["vae"]))
    with np.load(reference / "generators/takagi_img2img.npz") as file:
        numbers = dict(file)
    settings = {"kind": "autoencoder", "weights": str(tmp_path), "pixels": "truncated"}
    found = load("z", {**settings, "size": 40}).pictures(numbers["z_predicted"])
    differing = found != numbers["u8_40"]
    assert differing.mean() < 1e-3
    assert np.abs(found.astype(int) - numbers["u8_40"])[differing].max(initial=0) <= 1
    latents = load("z", {**settings, "size": 64}).encode(numbers["u8_64"], np.arange(2))
    close(latents, 0.18215 * numbers["post_mean"].reshape(2, -1), 1e-4)


def test_t5_states_repeat_a_caption_s_end_instead_of_padding(folder):
    one = loaded(folder, "t5_states")
    model = T5EncoderModel.from_pretrained(folder / "t5/text_encoder").eval()
    vocabulary = SentencePieceProcessor(model_file=str(folder / "t5/tokenizer/spiece.model"))
    ids = [[*vocabulary.encode(text), vocabulary.eos_id()] for text in ("a dog", "two")]
    assert max(map(len, ids)) < 6
    with torch.no_grad():
        first, second = (model(torch.tensor([row])).last_hidden_state[0] for row in ids)
    places = [[min(k, len(row) - 1) for k in range(6)] for row in ids]
    expected = (first[places[0]] + second[places[1]]) / 2
    close(one.encode([["a dog", " TWO"]], IDS[:1]).reshape(6, 16), expected)
    longer = one.model.tokenizer("two dogs a cats a", truncation=True, max_length=6)["input_ids"]
    assert len(longer) == 6
    assert longer[-1] == 1  # cut captions end, too
    assert one.parts == [16] * 6


def test_means_in_blocks_are_the_means(rng, monkeypatch):
    monkeypatch.setattr(space, "BLOCK", 3)
    table = {f"{k}": rng.standard_normal((2, 3)).astype(np.float32) for k in range(20)} | {
        "": np.ones((2, 3))
    }
    batch = [[str(k) for k in range(n)] for n in (2, 0, 5, 1, 20, 3, 1)]
    found = space.averaged(batch, lambda texts: np.stack([table[text] for text in texts]))
    expected = [np.mean([table[text] for text in texts or [""]], axis=0) for texts in batch]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_only_the_parts_that_are_read_are_fetched(monkeypatch, tmp_path):
    table = weights.read_table(ROOT / weights.TABLE)
    monkeypatch.chdir(tmp_path)
    reads = {
        ("autoencoder", "CompVis/stable-diffusion-v1-4"): ({"size": 320}, 2, (6400, 320)),
        ("clip_text_states", "CompVis/stable-diffusion-v1-4"): ({}, 6, (59136, 0)),
        ("clip_image_embedding", "h94/IP-Adapter"): ({"image_encoder": "sdxl_models/image_encoder"}, 2, None),
        ("clip_image_embedding", "kandinsky-community/kandinsky-2-2-prior"): ({}, 3, None),
        ("clip_image_tokens", "stabilityai/stable-cascade-prior"): ({}, 3, (263168, 0)),
        ("clip_patch_tokens", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"): (
            {"image_encoder": "open_clip_pytorch_model.bin"},
            2,
            (425984, 0),
        ),
        ("t5_states", "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS"): ({"tokens": 20}, 7, (81920, 0)),
    }
    for (kind, name), (settings, files, sizes) in reads.items():
        one, given = SPACES.load(kind), SPACES.settings({"kind": kind, "weights": name, **settings})
        found = one.files(given, table)
        assert len(found) == files, name
        assert len(weights.missing(found, table)) == files
        located = one.locate("it", given, table)
        assert sizes in (None, one.sizes(located))
