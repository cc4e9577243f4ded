"""From predicted features to pictures, with tiny random models."""

import gc
import weakref

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from PIL import Image

from neural_recon.core import random_streams
from neural_recon.core.errors import InputError
from neural_recon.generation.generators.versatile_diffusion import VersatileDiffusion
from neural_recon.generation.sampling import enlarge
from neural_recon.models.denoising import STABLE_DIFFUSION
from neural_recon.models.dual_unet import DualUNet
from neural_recon.models.versatile import DualGuidedPipeline

SETTINGS = {"strength": 0.75, "mixing": 0.4, "guidance_scale": 3.0, "steps": 4}
IDS = np.array([31, 7, 72999, 400, 5])


class Small(VersatileDiffusion):
    """Pictures of 16 x 16, latents of 4 x 8 x 8, contexts of 12 numbers per token; random weights."""

    none: dict[str, np.ndarray]

    def load(self, home, dtype):  # noqa: ARG002
        self._pipeline = random_pipeline()
        return self._pipeline.parts.modules

    def unguided(self):
        return self.none

    def side(self):
        return 16

    def latent_shape(self):
        return 4, 8, 8


def random_pipeline() -> DualGuidedPipeline:
    torch.manual_seed(0)
    unet = DualUNet(
        {
            "sample_size": 8,
            "in_channels": 4,
            "out_channels": 4,
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
            "block_out_channels": [16, 16],
            "layers_per_block": 1,
            "cross_attention_dim": 12,
            "attention_head_dim": 2,
            "norm_num_groups": 4,
        }
    )
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 8],
        norm_num_groups=4,
        mid_block_add_attention=False,
        scaling_factor=0.5,
    )
    return DualGuidedPipeline(unet.eval(), vae.eval(), DDIMScheduler(**STABLE_DIFFUSION))


@pytest.fixture(scope="module")
def pipeline():
    return random_pipeline()


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "base": rng.integers(0, 256, (5, 8, 8, 3), np.uint8),
        "vision": normal(5, 3 * 12),
        "text": normal(5, 2 * 12),
        "unconditional": (normal(1, 3, 12), normal(1, 2, 12)),
    }


def generator(pipeline, inputs, **settings):
    """The generator that paints with this pipeline."""
    named = {"kind": "versatile_diffusion", "weights": "-", "base": "b", "vision": "v", "text": "t"}
    found = Small(Small.Settings(**{**named, **SETTINGS, "batch": 10, **settings}))
    found.pipeline, found.parts = pipeline, pipeline.parts
    found.none = dict(zip(("vision", "text"), inputs["unconditional"], strict=True))
    return found


def paint(pipeline, inputs, rows, seed=0, draw=0, **settings):
    """The pictures of some rows."""
    rows = np.asarray(rows)
    guides = {role: inputs[role][rows] for role in ("vision", "text")}
    return generator(pipeline, inputs, **settings).paint(inputs["base"][rows], guides, IDS[rows], seed, draw)


@pytest.fixture(scope="module")
def painted(pipeline, inputs):
    return paint(pipeline, inputs, range(5))


def off_by(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_pictures_are_what_the_pipeline_gives_one_by_one(pipeline, inputs, painted):
    assert painted.dtype == np.uint8
    assert painted.shape == (5, 16, 16, 3)
    for row in range(5):
        image = Image.fromarray(inputs["base"][row]).resize((16, 16), Image.Resampling.BICUBIC)
        found = pipeline(
            torch.tensor(np.asarray(image).transpose(2, 0, 1)[None] / np.float32(127.5) - 1),
            # tokens one after the other, each with all of its numbers
            torch.tensor(np.stack(np.split(inputs["vision"][row], 3))[None]),
            torch.tensor(np.stack(np.split(inputs["text"][row], 2))[None]),
            *map(torch.tensor, inputs["unconditional"]),
            **SETTINGS,
            generators=[random_streams.generator(0, IDS[row], "reconstruction")],
        )
        expected = np.round((found[0].numpy().transpose(1, 2, 0) + 1) / 2 * 255).astype(np.uint8)
        assert off_by(painted[row], expected) <= 1


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_no_batch_changes_a_picture(pipeline, inputs, painted, batch):
    assert off_by(paint(pipeline, inputs, range(5), batch=batch), painted) <= 1


def test_no_order_and_no_company_changes_a_picture(pipeline, inputs, painted):
    order = [3, 0, 4, 1, 2]
    assert off_by(paint(pipeline, inputs, order, batch=2), painted[order]) <= 1
    assert off_by(paint(pipeline, inputs, [4]), painted[[4]]) <= 1


def test_another_draw_has_noise_of_its_own(pipeline, inputs, painted):
    first, second = (paint(pipeline, inputs, range(5), draw=draw) for draw in (1, 2))
    for one, other in ((painted, first), (painted, second), (first, second)):
        assert all(off_by(a, b) > 5 for a, b in zip(one, other, strict=True))
    assert off_by(paint(pipeline, inputs, [3], draw=2), second[[3]]) <= 1
    np.testing.assert_array_equal(paint(pipeline, inputs, [3], draw=0), painted[[3]])


def test_every_setting_changes_pictures(pipeline, inputs, painted):
    for change in (
        {"seed": 1},
        {"strength": 0.5},
        {"mixing": 0.9},
        {"guidance_scale": 1.5},
        {"steps": 8},
    ):
        assert off_by(paint(pipeline, inputs, range(5), **change), painted) > 3, change


def test_low_memory_changes_no_picture(pipeline, inputs, painted, monkeypatch):
    monkeypatch.setattr(pipeline.parts, "memory", "low")
    assert off_by(paint(pipeline, inputs, range(5)), painted) <= 1


@pytest.fixture
def limited(pipeline, monkeypatch):
    """A function that leaves the pipeline memory for so many images at once; gives the batches tried."""
    tried = []

    def limit(images: int, low: int, error=None):
        for name in ("encode", "condition", "decode"):
            whole = getattr(Small, name)

            def stage(self, values, *rest, whole=whole, name=name):
                n = len(values["vision"] if name == "condition" else values)
                tried.append((name, n))
                if n > (low if pipeline.parts.memory == "low" else images):
                    raise error or torch.OutOfMemoryError("CUDA out of memory")
                return whole(self, values, *rest)

            monkeypatch.setattr(Small, name, stage)
        return tried

    monkeypatch.setattr(pipeline.parts, "memory", "fast")
    return limit


def test_out_of_memory_halves_the_batch(pipeline, inputs, painted, limited, caplog):
    tried = limited(images=2, low=2)
    with caplog.at_level("WARNING"):
        assert off_by(paint(pipeline, inputs, range(5), batch=5), painted) <= 1
    assert [size for name, size in tried if name == "condition"] == [5, 2, 2, 1]
    assert "out of memory at 5 images at once: 2 from now on" in caplog.text
    assert pipeline.parts.memory == "fast"


def test_out_of_memory_at_one_image_goes_low(pipeline, inputs, painted, limited, caplog):
    limited(images=0, low=1, error=RuntimeError("CUDNN_STATUS_ALLOC_FAILED"))
    assert off_by(paint(pipeline, inputs, range(5), batch=2), painted) <= 1
    assert pipeline.parts.memory == "low"
    assert "out of memory at one image" in caplog.text


def test_out_of_memory_in_low_is_one_sentence(pipeline, inputs, limited):
    limited(images=0, low=0)
    with pytest.raises(InputError, match=r"cpu: expected memory enough for one image.*found too little"):
        paint(pipeline, inputs, range(5))


def test_other_errors_are_not_taken_for_memory(pipeline, inputs, limited):
    limited(images=0, low=0, error=RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        paint(pipeline, inputs, range(5))


@pytest.mark.parametrize(
    ("stage", "bad", "message"),
    [
        ("decode", -1.0, "reconstruction of image 7: expected a picture, found black"),
        ("decode", torch.nan, "reconstruction of image 7: expected a picture of finite numbers"),
        ("step", torch.inf, "reconstruction of image 7: expected latents of finite numbers"),
    ],
)
def test_black_and_broken_pictures_are_named(pipeline, inputs, monkeypatch, stage, bad, message):
    whole = getattr(Small, stage)

    def spoilt(*arguments):
        found = whole(*arguments)
        found[1] = bad
        return found

    monkeypatch.setattr(Small, stage, spoilt)
    with pytest.raises(InputError, match=message):
        paint(pipeline, inputs, range(5))


def test_contexts_of_another_model_are_one_sentence(pipeline, inputs):
    with pytest.raises(InputError, match=r"vision guides: expected 3 tokens of 12 values.*found 33 values"):
        paint(pipeline, {**inputs, "vision": inputs["vision"][:, :33]}, range(5))
    narrow = tuple(none[:, :, :6] for none in inputs["unconditional"])
    with pytest.raises(InputError, match=r"vision guides: .*6 a token"):
        paint(pipeline, {**inputs, "unconditional": narrow}, range(5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision": ("row", np.nan)}, "image 7: expected vision guides of finite numbers, found others"),
        ({"text": ("row", np.inf)}, "image 7: expected text guides of finite numbers, found others"),
        ({"vision": slice(4)}, r"vision guides: expected one row for each of 5 images.*found 4"),
        ({"text": [0, 1, 2, 3, 4, 4]}, r"text guides: expected one row for each of 5 images.*found 6"),
        ({"base": slice(4)}, r"base images: expected uint8 \(5, H, W, 3\).*found uint8 \(4, 8, 8, 3\)"),
        ({"base": [0, 1, 2, 3, 4, 4]}, r"base images: expected uint8 \(5, H, W, 3\)"),
        ({"base": "float"}, r"base images: expected uint8 .*found float32"),
    ],
)
def test_what_does_not_belong_to_these_images_is_one_sentence(pipeline, inputs, change, message):
    given = dict(inputs)
    for name, how in change.items():
        values = given[name].copy()
        if how == "float":
            values = values.astype(np.float32) / 255
        elif isinstance(how, tuple):
            values[1, 3] = how[1]
        else:
            values = values[how]
        given[name] = values
    guides = {role: given[role] for role in ("vision", "text")}
    with pytest.raises(InputError, match=message):
        generator(pipeline, given, batch=2).paint(given["base"], guides, IDS, seed=0)


def test_a_context_without_guidance_that_is_no_number_is_one_sentence(pipeline, inputs):
    vision, text = inputs["unconditional"]
    with pytest.raises(InputError, match="text guides: expected finite numbers where nothing guides"):
        paint(pipeline, {**inputs, "unconditional": (vision, text * np.nan)}, range(5))


@pytest.fixture
def stages(inputs):
    """The three stages with what they take, to be changed."""
    contexts = [torch.tensor(inputs["vision"]).view(5, 3, 12), torch.tensor(inputs["text"]).view(5, 2, 12)]
    contexts += [torch.tensor(none) for none in inputs["unconditional"]]
    guided = {"contexts": contexts, **SETTINGS}
    return {
        "denoise": guided | {"latents": torch.zeros(5, 4, 8, 8)},
        "decode": {"latents": torch.zeros(5, 4, 8, 8)},
        "encode": {"base": torch.zeros(5, 3, 16, 16)},
    }


@pytest.mark.parametrize(
    ("stage", "change", "name"),
    [
        ("encode", {"base": torch.zeros(5, 3, 16, 15)}, "base"),
        ("encode", {"base": torch.zeros(0, 3, 16, 16)}, "base"),
        ("encode", {"generators": [None] * 4}, "generators"),
        ("decode", {"latents": torch.zeros(5, 3, 8, 8)}, "latents"),
        ("decode", {"latents": torch.full((5, 4, 8, 8), torch.nan)}, "latents"),
        *(
            (stage, change, name)
            for stage in ("denoise",)
            for change, name in (
                ({"latents": torch.zeros(4, 4, 8, 8)}, "vision"),
                ({"latents": torch.full((5, 4, 8, 8), torch.nan)}, "latents"),
                ({"strength": 0.0}, "strength"),
                ({"mixing": -0.1}, "mixing"),
                ({"contexts": (0, torch.full((5, 3, 12), torch.nan))}, "vision"),
                ({"contexts": (1, torch.zeros(5, 2, 6))}, "text"),
                ({"contexts": (2, None)}, "uncond_vision"),
                ({"contexts": (3, torch.zeros(1, 3, 12))}, "uncond_text"),
            )
        ),
    ],
)
def test_each_stage_checks_what_it_takes(pipeline, stages, stage, change, name):
    given = stages[stage] | change
    if "contexts" in change:
        place, other = change["contexts"]
        given["contexts"] = [other if k == place else c for k, c in enumerate(stages[stage]["contexts"])]
    with pytest.raises(ValueError, match=rf"^{name}: expected .*, found "):
        getattr(pipeline, stage)(**given)


def test_stages_take_what_the_checks_are_for(pipeline, stages):
    for stage, given in stages.items():
        found = list(getattr(pipeline, stage)(**given))
        assert len(found) == (3 if stage == "denoise" else 5)


@pytest.fixture
def few_objects():
    """To `gc.collect` only what is made from here on counts, not all that was imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_objects")
@pytest.mark.parametrize("path", ["generator", "call"])
def test_of_all_steps_latents_only_those_in_use_are_kept(pipeline, inputs, stages, monkeypatch, path):
    references, most = [], []
    whole = pipeline.scheduler.step

    def step(*arguments, **settings):
        gc.collect()
        most.append(sum(reference() is not None for reference in references))
        found = whole(*arguments, **settings)
        references.append(weakref.ref(found.prev_sample))
        return found

    monkeypatch.setattr(pipeline.scheduler, "step", step)
    if path == "generator":
        paint(pipeline, inputs, range(5), steps=24)
    else:
        contexts = stages["denoise"]["contexts"]
        pipeline(None, *contexts, **SETTINGS | {"steps": 18}, noise=torch.zeros(5, 4, 8, 8))
    assert len(most) == 18
    # at each step those that go in, and none of those before
    assert max(most) == 1


def test_keys_and_values_of_contexts_are_computed_once(pipeline, inputs, monkeypatch):
    calls = []
    whole = pipeline.unet.contexts
    monkeypatch.setattr(
        pipeline.unet, "contexts", lambda *given: calls.append(len(given[0])) or whole(*given)
    )
    paint(pipeline, inputs, range(5), steps=8)
    # of the five contexts, and of the one they are guided away from
    assert calls == [5, 1]


def test_each_image_has_its_own_noise(pipeline, inputs):
    same = {name: inputs[name][[0] * 5] for name in ("base", "vision", "text")}
    pictures = paint(pipeline, {**inputs, **same}, range(5))
    assert min(off_by(pictures[a], pictures[b]) for a in range(5) for b in range(a)) > 3


def test_enlarged_pictures():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 4, 4, 3), np.uint8)
    images[1] = 255, 0, 51
    large = enlarge(images, 12)
    assert large.dtype == torch.float32
    assert large.shape == (2, 3, 12, 12)
    np.testing.assert_allclose(large[1].amax((1, 2)), [1, -1, -0.6], atol=1e-6)
    np.testing.assert_allclose(large[1].amin((1, 2)), [1, -1, -0.6], atol=1e-6)
    np.testing.assert_allclose(enlarge(images, 4).permute(0, 2, 3, 1), images / 127.5 - 1, atol=1e-6)
    blue = np.asarray(Image.fromarray(images[0, ..., 2]).resize((12, 12), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(large[0, 2], blue / 127.5 - 1, atol=1e-6)
