"""PixArt against the reference run with both solvers, and the traps of its masks and its solver."""

import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from helpers import reference_generators as runs
from helpers import tiny_generators
from transformers import T5EncoderModel

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.models import denoising
from neural_recon.models.loading import META

SOLVERS = {"dpm++": "", "ddim": "ddim_"}  # to the names of their arrays


@pytest.fixture(scope="module")
def run(reference, tmp_path_factory):
    """The run, and what paints it."""
    info, arrays = runs.read(reference / "generators", "pixart_from_base")
    parts = {"transformer": PixArtTransformer2DModel, "vae": AutoencoderKL}
    folder = runs.write_model(tmp_path_factory.mktemp("pixart") / "model", info, **parts)
    how = {name: info["config"][name] for name in ("steps", "strength", "guidance_scale")}
    return info, arrays, {"kind": "pixart", "weights": str(folder), "base": "b", "text": "t", **how}


def stages(run, row, tokens=None, **changes):
    """One image's run, guided by its first tokens; default: those that its mask has."""
    _, arrays, how = run
    tokens = tokens or arrays["prompt_attention_mask"][row].sum()
    assert (arrays["negative_prompt_attention_mask"].sum(1) == 1).all()
    one = slice(row, row + 1)
    return runs.stages(
        generation.load({**how, **changes}, "cpu"),
        arrays["base"][one],
        {"text": arrays["prompt_embeds"][one, :tokens]},
        {"text": arrays["negative_prompt_embeds"][one, :1]},
        arrays["noise"][one],
        image_ids=runs.IDS[one],
    )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("row", [0, 1])
def test_every_stored_point_without_the_tokens_that_the_masks_hide(run, row, solver):
    info, arrays, _ = run
    prefix = SOLVERS[solver]
    found = stages(run, row, solver=solver)
    assert found["timesteps"][1:].tolist() == info["config"][f"{prefix}timesteps"]
    assert found["timesteps"][0] == found["timesteps"][1]
    runs.assert_close(found["base_latents"][0], arrays["base_latents"][row])
    for name in ("start", "image"):
        runs.assert_close(found[name][0], arrays[prefix + name][row])
    runs.assert_close(found["latents"][:, 0], arrays[f"{prefix}latents"][:, row])


def test_attending_to_padding_is_another_picture(run):
    _, arrays, _ = run
    masked = arrays["prompt_attention_mask"][1]
    assert 1 < masked.sum() < len(masked)
    found = stages(run, 1, tokens=len(masked))
    assert np.abs(found["latents"][-1, 0] - arrays["latents"][-1, 1]).max() > 0.01


def test_a_shortened_run_ends_at_the_end_of_the_solvers_schedule(run):
    """Where its timesteps alone were cut, the last step would be taken for another one."""
    how = run[2]
    scheduler = generation.load(how, "cpu").scheduler()
    assert isinstance(scheduler, DPMSolverMultistepScheduler)
    _, steps = denoising.timesteps(scheduler, how["strength"], how["steps"])
    assert scheduler.begin_index == 2
    for _ in denoising.denoise(torch.ones(1, 4, 8, 8), scheduler, steps, lambda rows, _: rows, None):
        pass
    assert scheduler.step_index == len(scheduler.sigmas) - 1 == how["steps"]
    assert scheduler.sigmas[-1] == 0


def test_rows_without_guidance_come_first(run):
    _, arrays, how = run
    generator = generation.load(how, "cpu")
    text, none = torch.from_numpy(arrays["prompt_embeds"]), torch.zeros(1, 1, 32)
    rows = generator.condition({"text": text}, {"text": none})
    assert rows.shape == (4, 12, 32)
    assert (rows[:2] == 0).all()
    assert torch.equal(rows[2:], text)
    assert torch.equal(generator.condition({"text": text}, {}), text)


@pytest.fixture(scope="module")
def painted(run):
    """What paints, and pictures of three images."""
    _, arrays, how = run
    rows = [0, 1, 0]
    base, text = arrays["base"][rows], arrays["prompt_embeds"][rows].reshape(3, -1)

    def paint(order=(0, 1, 2), **changes):
        generator = generation.load({**how, "batch": 3, **changes}, "cpu")
        generator.unguided = lambda: {"text": arrays["negative_prompt_embeds"][:1, :1]}
        order = list(order)
        return generator.paint(base[order], {"text": text[order]}, np.array([5, 9, 7])[order], 1)

    return paint


def test_neither_batch_nor_order_nor_memory_changes_a_picture(painted):
    """The solver keeps the outputs of earlier steps: none of another batch."""
    expected = runs.assert_alone_as_in_company(painted)
    assert (expected[0] != expected[2]).any()


def test_in_half_precision_it_paints_nearly_the_same(painted):
    found = painted(precision="bfloat16").astype(int)
    assert 0 < np.abs(found - painted()).mean() < 8


def test_nothing_guides_is_the_state_of_the_empty_captions_end(tmp_path):
    """What the published mask leaves of the empty caption, padded as transformers pads it."""
    folder = tiny_generators.write_pixart(tmp_path / "pixart")
    how = {"kind": "pixart", "weights": str(folder), "base": "b", "text": "t"}
    found = generation.load(how, "cpu").unconditional()["text"]
    encoder = T5EncoderModel.from_pretrained(folder / "text_encoder").eval()
    ids = torch.tensor([[1, *[0] * 11]])  # the end, then padding
    with torch.no_grad():
        states = encoder(ids, attention_mask=(ids != 0).long()).last_hidden_state
    assert found.shape == (1, 1, 16)
    runs.assert_close(found, states[:, :1].numpy(), 1e-5)


def test_the_table_of_positions_is_computed_as_in_no_file(run):
    info, _, how = run
    transformer = generation.load(how, "cpu").parts["transformer"]
    expected = PixArtTransformer2DModel(**info["config"]["transformer"]).pos_embed.pos_embed
    np.testing.assert_array_equal(transformer.pos_embed.pos_embed.numpy(), expected.numpy())
    generation.load(how, META.type).prepare()


def test_a_transformer_that_is_told_the_size_is_one_sentence(run, tmp_path):
    """Of PixArt-alpha at 1024 x 1024."""
    info, _, how = run
    shutil.copytree(how["weights"], tmp_path / "alpha")
    config = {**info["config"]["transformer"], "use_additional_conditions": True}
    transformer = PixArtTransformer2DModel(**config)
    shutil.rmtree(tmp_path / "alpha/transformer")
    runs.write_part(tmp_path / "alpha/transformer", transformer, transformer.state_dict())
    with pytest.raises(InputError, match=r"alpha/transformer: expected a transformer that is told no size"):
        generation.load({**how, "weights": str(tmp_path / "alpha")}, META.type).prepare()


def test_guides_of_another_model_are_one_sentence(run):
    _, arrays, how = run
    generator = generation.load(how, "cpu")
    generator.unguided = lambda: {"text": np.zeros((1, 1, 16), np.float32)}
    with pytest.raises(InputError, match=r"text guides: expected 12 tokens of 32 values.*found 384 values"):
        generator.paint(arrays["base"], {"text": np.zeros((2, 384))}, runs.IDS, 0)
