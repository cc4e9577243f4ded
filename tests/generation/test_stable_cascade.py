"""Stable Cascade against the reference run: MIRAGE's published sampler and the published stages, tiny."""

import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import StableCascadeUNet
from diffusers.loaders.single_file_utils import convert_stable_cascade_unet_single_file_to_diffusers
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel
from helpers import published_layouts
from helpers import reference_generators as runs
from pydantic import ValidationError
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionModelWithProjection

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.generation.generator import GENERATORS
from neural_recon.models import cascade_files, checkpoints, denoising, stable_cascade
from neural_recon.models.clip_images import ClipImages
from neural_recon.models.cosine_schedule import CosineSchedule

CLASSES = {"prior": StableCascadeUNet, "decoder": StableCascadeUNet, "vqgan": PaellaVQModel}


def draws(info, name):
    """What the reference drew and did not store."""
    tag = f"cascade.{name}"
    return runs.drawn(tag, info["draw_shapes"][tag])


@pytest.fixture(scope="module")
def run(reference):
    """The run's description and its arrays."""
    return runs.read(reference / "mirage", "cascade_published_img2img")


@pytest.fixture(scope="module")
def effnet(reference):
    """The encoder of pictures, and the arrays of its run."""
    with np.load(reference / "mirage/base_to_effnet.npz") as file:
        arrays = dict(file)
    module = stable_cascade.EffNet()
    module.load_state_dict(runs.named_weights(module, "cascade.effnet"))
    return module.eval(), arrays


@pytest.fixture(scope="module")
def folder(run, effnet, tmp_path_factory):
    """The run's model in the layout of diffusers, both models in one folder."""
    info, _ = run
    place = tmp_path_factory.mktemp("cascade") / "model"
    for part, kind in CLASSES.items():
        module = kind(**info[part])
        tensors = runs.named_weights(module, info["tags"][part])
        for change, values in (("times", info["weights_times"]), ("plus", info["weights_plus"])):
            for name, value in values.items():
                if name.startswith(f"{part}."):
                    own = name.removeprefix(f"{part}.")
                    tensors[own] = tensors[own] * value if change == "times" else tensors[own] + value
        runs.write_part(place / part, module, tensors)
    kept = {name: tensor.contiguous() for name, tensor in effnet[0].state_dict().items()}
    safetensors.torch.save_file(kept, place / cascade_files.EFFNET)
    return place


def settings(folder, **changes):
    spaces = {"base": "base", "image": "image", "text": "text"}
    weights = {"weights": str(folder), "prior": str(folder)}
    return {"kind": "stable_cascade", **weights, **spaces, "size": 128, **changes}


def over_the_batch(scale, share):
    """The published guidance: deviations of all pictures of a batch."""

    def guide(without, given):
        output = torch.lerp(without, given, scale)
        return share * (output * given.std() / (output.std() + 1e-9)) + output * (1 - share)

    return guide


class StoredTimes(CosineSchedule):
    """The schedule with the times of the stored run, as one rounding of them is seen in its pictures."""

    stored: dict[int, np.ndarray]

    def set_timesteps(self, steps):
        super().set_timesteps(steps)
        times, bars = self.stored[steps]
        np.testing.assert_allclose(self.timesteps[-len(times) + 1 :], times[:-1], atol=1e-6)
        np.testing.assert_allclose(self.alpha_bars[-len(bars) :], bars, atol=1e-6)
        self.timesteps[-len(times) + 1 :] = torch.from_numpy(times[:-1])


@pytest.fixture
def stored_times(run, monkeypatch):
    _, arrays = run

    def use(part="c"):
        names = {20: part, 10: "b"}
        StoredTimes.stored = {
            steps: (arrays[f"schedule_{name}_condition"], arrays[f"schedule_{name}_alpha_bar"])
            for steps, name in names.items()
        }
        monkeypatch.setattr("neural_recon.models.cosine_schedule.CosineSchedule", StoredTimes)

    return use


@pytest.fixture
def published(monkeypatch):
    monkeypatch.setattr(denoising, "rescaled", over_the_batch)


def ran(run, folder, picture, strength=0.7, **changes):
    """One picture's samples, through the one loop with the run's noises."""
    info, arrays = run
    k = info["samples"]
    noise = draws(info, "noise_c" if strength < 1 else "noise_c_strength_1")[picture]
    generator = generation.load(
        settings(folder, **{"start_shift": 1, "strength": strength, **changes}), "cpu"
    )
    base = np.zeros((k, 8, 8, 3), np.uint8)
    generator.encode = lambda *_: torch.from_numpy(arrays["base_latents"][[picture] * k])
    unguided = {
        "image": np.zeros((1, 1, 12), np.float32),
        "text": arrays["empty_prompt_embeds"],
        "pooled": arrays["empty_pooled"],
    }
    guides = {"image": arrays["image_embeds"], "text": arrays["prompt_embeds"]}
    guides = {role: rows[[picture] * k] for role, rows in guides.items()}
    return runs.stages(generator, base, guides, unguided, *noise, *draws(info, "noise_b")[picture])


@pytest.mark.parametrize("picture", [0, 1])
@pytest.mark.usefixtures("published")
def test_every_stored_point_of_the_published_run(run, folder, stored_times, picture):
    _, arrays = run
    stored_times()
    found = ran(run, folder, picture)
    for name, expected in (("start", arrays["start"]), ("latents", arrays["latents_c"])):
        runs.assert_close(found[name], expected[picture])
    runs.assert_close(found["latents_2"][[0, 4, 9]], arrays["latents_b_after_1_5_10"][picture])
    runs.assert_close(found["image"][:1], arrays["image_first_sample"][[picture]])


@pytest.mark.usefixtures("published")
def test_the_published_run_from_noise(run, folder, stored_times):
    stored_times("c_strength_1")
    found = ran(run, folder, 0, strength=1)
    runs.assert_close(found["latents"][-1], run[1]["strength_1_latents_c_last"][0])


# What each costs, as measured with the published run: largest differences in final latents, and in pictures
@pytest.mark.parametrize(
    ("changes", "latents", "image"),
    [
        ({}, 0, 0),
        ({"start_shift": None}, 4.3, 0.080),
        ({"shift": 1}, 11.4, 0.155),
        ({"rho": 0}, 0.65, 0.023),
        ({"text_strength": 0.4}, 0.47, 0.020),
        ({"stage_b_guidance_scale": 1.5}, 0, 0.13),
        ("rescaled per picture", 0.091, 0.0031),
        ("another model's scale", 0, 0.075),
    ],
    ids=str,
)
def test_what_another_setting_changes(run, folder, monkeypatch, changes, latents, image):
    if changes != "rescaled per picture":
        monkeypatch.setattr(denoising, "rescaled", over_the_batch)
    if changes == "another model's scale":
        monkeypatch.setattr(stable_cascade, "SCALE", 0.3764)
    most = {"latents": 0.0, "image": 0.0}
    expected = {"latents": run[1]["latents_c"][:, -1], "image": run[1]["image_first_sample"]}
    for picture in range(2):
        found = ran(run, folder, picture, **(changes if isinstance(changes, dict) else {}))
        for name, rows in (("latents", found["latents"][-1]), ("image", found["image"][0])):
            most[name] = max(most[name], np.abs(rows - expected[name][picture]).max())
    # one rounding of the times, which are not the stored ones here, is seen in the picture's third digit
    assert most["latents"] == pytest.approx(latents, rel=0.02, abs=2e-3)
    assert most["image"] == pytest.approx(image, rel=0.03, abs=2e-3)


def test_conditions_are_mixed_as_published(run, folder):
    info, arrays = run
    generator = generation.load(settings(folder), "cpu")
    guides = {"image": arrays["image_embeds"], "text": arrays["prompt_embeds"]}
    none = {
        "image": np.zeros((1, 1, 12)),
        "text": arrays["empty_prompt_embeds"],
        "pooled": arrays["empty_pooled"],
    }
    tensors = [{name: torch.tensor(rows, dtype=torch.float32) for name, rows in given.items()}
               for given in (guides, none)]  # fmt: skip
    found = generator.condition(*tensors)
    n = info["pictures"]
    runs.assert_close(found["clip_img"][n:], arrays["conditions_clip_img"][:, 0], 1e-6)
    runs.assert_close(found["clip_text"][n:], arrays["conditions_clip_text"][:, 0], 1e-6)
    assert not found["clip_img"][:n].any()
    for row in found["clip_text"][:n]:
        np.testing.assert_array_equal(row, arrays["empty_prompt_embeds"][0])
    assert (found["clip_text_pooled"].numpy() == arrays["empty_pooled"]).all()


def test_the_base_image_is_enlarged_enhanced_and_encoded_as_published(folder, effnet):
    module, arrays = effnet
    assert len(module.state_dict()) == 784
    generator = generation.load(settings(folder), "cpu")
    large = generator.enlarged(arrays["small"])
    pixels = ((large + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(pixels, arrays["enhanced"])
    with torch.no_grad():
        runs.assert_close(generator.encode(large, None).numpy(), arrays["latents"])
    plain = generation.load(settings(folder, sharpness=1, contrast=1), "cpu").enlarged(arrays["small"])
    np.testing.assert_array_equal(((plain + 1) * 127.5).round().permute(0, 2, 3, 1), arrays["base96"])


def test_start_noise_is_that_of_its_own_shift(run):
    schedule = CosineSchedule(2, 1)
    denoising.timesteps(schedule, 0.7, 20)
    clean, noise = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    found = schedule.add_noise(clean, noise, schedule.timesteps[:1]).item() ** 2
    assert found == pytest.approx(run[1]["start_alpha_bar"].item(), rel=1e-5)
    same = CosineSchedule(2)
    denoising.timesteps(same, 0.7, 20)
    found = same.add_noise(clean, noise, same.timesteps[:1]).item() ** 2
    assert found == pytest.approx(same.alpha_bars[6].item(), rel=1e-5)


IDS = np.array([5, 9, 7])
SHORT = {"steps": 4, "stage_b_steps": 2, "batch": 3}


@pytest.fixture(scope="module")
def painted(run, folder, effnet):
    """What paints three images, of which the first and the last have the same base image and guides."""
    _, arrays = run
    rows = [0, 1, 0]
    base = effnet[1]["small"][rows]
    guides = {"image": arrays["image_embeds"][rows], "text": arrays["prompt_embeds"][rows]}
    guides = {role: values.reshape(3, -1) for role, values in guides.items()}
    none = {"text": arrays["empty_prompt_embeds"], "pooled": arrays["empty_pooled"]}

    def paint(order=(0, 1, 2), start=True, place=folder, draw=0, **changes):
        generator = generation.load(settings(place, **{**SHORT, **changes}), "cpu")
        generator.unconditional = lambda: none
        order = list(order)
        given = {role: values[order] for role, values in guides.items()}
        if "retrieval" in changes:
            given["retrieval"] = np.random.default_rng(4).standard_normal((3, 5 * 24))[order]
        return generator.paint(base[order] if start else None, given, IDS[order], 1, draw)

    return paint


@pytest.fixture(scope="module")
def plain(painted):
    """The three pictures, painted together."""
    return painted()


def test_neither_batch_nor_order_nor_memory_changes_a_picture(painted):
    expected = runs.assert_alone_as_in_company(painted)
    assert expected.shape == (3, 128, 128, 3)
    assert (expected[0] != expected[2]).mean() > 0.5  # each has noise of its own


def test_without_a_base_image_all_steps_run_from_noise(painted, plain):
    alone = painted(start=False)
    np.testing.assert_array_equal(painted(strength=1.0), alone)
    assert (plain != alone).mean() > 0.5


def test_half_precision_leaves_times_latents_and_noise_whole(run, folder):
    _, arrays = run
    found = {}
    for precision in ("float32", "bfloat16"):
        generator = generation.load(settings(folder, precision=precision), "cpu")
        rows = torch.from_numpy(arrays["start"][0])
        guides = {
            "clip_img": torch.from_numpy(arrays["conditions_clip_img"][0]).expand(2, -1, -1),
            "clip_text": torch.from_numpy(arrays["conditions_clip_text"][0]).expand(2, -1, -1),
            "clip_text_pooled": torch.from_numpy(arrays["empty_pooled"]).expand(2, -1, -1),
        }
        with torch.no_grad():
            found[precision] = generator.predict(rows, torch.tensor(0.8413), guides).float()
        assert generator.parts.modules["decoder"].dtype == getattr(torch, precision)
        assert next(generator.parts.modules["effnet"].parameters()).dtype == torch.float32
        assert next(generator.parts.modules["vqgan"].parameters()).dtype == torch.float32
    off = (found["bfloat16"] - found["float32"]).std() / found["float32"].std()
    assert 0 < off < 0.02  # with times in half precision 0.25 to 0.84


def as_published(tensors):
    """A stage's tensors of diffusers under the names of published files."""
    found = {}
    for name, tensor in tensors.items():
        head, attention, tail = name.partition("to_q.")
        if attention:
            parts = [tensors[f"{head}to_{which}.{tail}"] for which in "qkv"]
            found[f"{head}attn.in_proj_{tail}"] = torch.cat(parts)
        elif not re.search(r"\.to_[kv]\.", name):
            name = name.replace("to_out.0.", "attn.out_proj.").replace(
                "quantizer.embedding", "quantizer.codebook"
            )
            found[name] = tensor
    if "clip_txt_mapper.weight" not in tensors:
        found = {name.replace("clip_txt_pooled_mapper", "clip_mapper"): rows for name, rows in found.items()}
    return {name: tensor.contiguous() for name, tensor in found.items()}


@pytest.fixture
def single_files(run, folder, tmp_path, monkeypatch):
    """The same model as published files, in the small sizes of theirs."""
    info, _ = run
    for part, name in (("prior", "stage_c_bf16"), ("decoder", "stage_b_bf16"), ("vqgan", "stage_a")):
        tensors = safetensors.torch.load_file(folder / part / "diffusion_pytorch_model.safetensors")
        safetensors.torch.save_file(as_published(tensors), tmp_path / f"{name}.safetensors")
    shutil.copyfile(folder / cascade_files.EFFNET, tmp_path / cascade_files.EFFNET)
    tiny = {"C lite": info["prior"], "B": info["decoder"]}
    monkeypatch.setattr(stable_cascade, "PUBLISHED", {**stable_cascade.PUBLISHED, **tiny})
    monkeypatch.setattr(stable_cascade, "PaellaVQModel", partial(PaellaVQModel, **info["vqgan"]))
    return tmp_path


def test_published_files_paint_as_the_layout_of_diffusers(plain, single_files, painted):
    np.testing.assert_array_equal(painted(place=single_files), plain)


def test_published_names_are_those_that_diffusers_reads(single_files):
    for name in ("stage_c_bf16", "stage_b_bf16"):
        tensors = safetensors.torch.load_file(single_files / f"{name}.safetensors")
        assert any("in_proj_weight" in key for key in tensors)
        expected = convert_stable_cascade_unet_single_file_to_diffusers(tensors)
        found = stable_cascade._as_diffusers(tensors)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in found)


def test_a_file_of_another_size_is_one_sentence(single_files):
    path = single_files / "stage_b_bf16.safetensors"
    shutil.copyfile(single_files / "stage_a.safetensors", path)
    with pytest.raises(InputError, match=r"stage_b_bf16.safetensors: expected the tensor \S+ of shape"):
        generation.load(settings(single_files), "meta").prepare()


@pytest.mark.parametrize(
    ("name", "parameters", "entries"),
    [
        ("C", 3_589_103_632, 1550),
        ("C lite", 1_030_785_040, None),
        ("B", 1_562_941_136, 1726),
        ("B lite", 699_471_248, None),
    ],
)
def test_published_sizes(name, parameters, entries):
    module = checkpoints.empty(lambda: StableCascadeUNet(**stable_cascade.PUBLISHED[name]))
    assert sum(tensor.numel() for tensor in module.parameters()) == parameters
    assert entries in (None, len(module.state_dict()))


def test_what_is_read_of_either_layout(folder, single_files):
    read = GENERATORS.load("stable_cascade").parts_read
    encoders = {"prior": ("text_encoder", "tokenizer")}
    stages = (
        "effnet_encoder.safetensors",
        "stage_c_bf16.safetensors",
        "stage_b_bf16.safetensors",
        "stage_a.safetensors",
    )
    for place in (single_files, Path("stabilityai/stable-cascade")):
        assert read(GENERATORS.settings(settings(place))) == ({"weights": stages}, encoders)
    (single_files / "stage_c_bf16.safetensors").rename(single_files / "stage_c_lite.safetensors")
    lite = read(GENERATORS.settings(settings(single_files)))[0]["weights"]
    assert lite == tuple(name.replace("stage_c_bf16", "stage_c_lite") for name in stages)
    chosen = settings(folder, retrieval="retrieval", choose_from=2)
    painted, _ = read(GENERATORS.settings(chosen))
    assert painted == {
        "weights": ("effnet_encoder.safetensors", "decoder", "vqgan"),
        "prior": ("prior", "image_encoder", "image_processor"),
    }


def test_the_empty_caption_is_encoded_as_published(folder, tmp_path):
    published_layouts.write_text_encoder(tmp_path, pad="!")
    found = generation.load(settings(folder, prior=str(tmp_path)), "cpu").unconditional()
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    model = CLIPTextModelWithProjection.from_pretrained(tmp_path / "text_encoder").eval()
    given = tokenizer([""], padding="max_length", max_length=12, return_tensors="pt")
    with torch.no_grad():
        output = model(**given, output_hidden_states=True)
    runs.assert_close(found["text"], output.hidden_states[-1].numpy(), 1e-5)
    runs.assert_close(found["pooled"], output.text_embeds[:, None].numpy(), 1e-5)


@pytest.fixture(scope="module")
def with_encoder(folder):
    published_layouts.write_image_encoder(folder / "image_encoder")
    return folder


def test_a_draw_is_chosen_by_the_predicted_tokens_alone(painted, with_encoder):
    chosen = painted(retrieval="retrieval", choose_from=3)
    draws = np.stack([painted(draw=draw) for draw in range(3)])
    model = CLIPVisionModelWithProjection.from_pretrained(with_encoder / "image_encoder").eval()
    generator = generation.load(settings(with_encoder, retrieval="retrieval", choose_from=3), "cpu")
    wanted = np.random.default_rng(4).standard_normal((3, 5 * 24))
    agreement = np.stack([generator.agreement(pictures, wanted) for pictures in draws])
    for picture, best in enumerate(agreement.argmax(0)):
        assert np.abs(chosen[picture].astype(int) - draws[best, picture]).max() <= 1
    assert len(set(agreement.argmax(0))) > 1  # else the choice would not be seen
    with torch.no_grad():
        tokens = model.vision_model(ClipImages(model).pixels(draws[0])).last_hidden_state.numpy()
    tokens = tokens / np.linalg.norm(tokens, axis=2, keepdims=True)
    unit = wanted.reshape(3, 5, 24) / np.linalg.norm(wanted.reshape(3, 5, 24), axis=2, keepdims=True)
    np.testing.assert_allclose(agreement[0], (tokens * unit).sum((1, 2)) / 5, atol=1e-5)
    # another draw of the run chooses among others
    others = painted(retrieval="retrieval", choose_from=3, draw=1, order=[1])
    assert all((others[0] != draws[k, 1]).any() for k in range(3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choose_from": 2}, "a choice takes two draws or more and the space retrieval"),
        ({"retrieval": "retrieval"}, "a choice takes two draws or more"),
        ({"precision": "float16"}, "precision"),
        ({"size": 512 + 64}, "multiple of 128"),
        ({"strength": 0.04}, "less than one step"),
    ],
)
def test_settings_that_make_no_picture_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        GENERATORS.settings(settings("models", **changes))
