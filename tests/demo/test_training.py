"""Training of the demo's models: a few steps on a few scenes."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file

from neural_recon.core import random_streams
from neural_recon.demo import captions, scenes
from neural_recon.demo.classifier import SceneClassifier
from neural_recon.demo.training import __main__ as training
from neural_recon.demo.training import autoencoder, card, classifier, clip, generator, loop, pictures, vdvae
from neural_recon.demo.training.loop import Schedule, fit
from neural_recon.evaluation.metrics import resize_through
from neural_recon.models.clip import ClipContexts
from neural_recon.models.vdvae import VDVAE
from neural_recon.models.versatile import DualGuidedPipeline

STEPS, SCENES = 3, 12
CPU = torch.device("cpu")
# each stage's checkpoint, and what it writes
WEIGHTS = {
    "autoencoder": ("grown.pt", ["versatile/vae/diffusion_pytorch_model.safetensors"]),
    "clip": (
        "clip.pt",
        ["versatile/image_encoder/model.safetensors", "versatile/text_encoder/model.safetensors"],
    ),
    "vdvae": ("vdvae.pt", ["vdvae/model.safetensors"]),
    "classifier": ("classifier.pt", ["classifier/model.safetensors"]),
    "generator": (
        "generator.pt",
        [
            "versatile/image_unet/diffusion_pytorch_model.safetensors",
            "versatile/text_unet/diffusion_pytorch_model.safetensors",
        ],
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _short():
    """Schedules of a few steps, and one thread: sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (autoencoder, "CROPS"),
            (autoencoder, "WHOLE"),
            (autoencoder, "GROWN_CROPS"),
            (autoencoder, "GROWN_WHOLE"),
            (clip, "SCHEDULE"),
            (vdvae, "SCHEDULE"),
            (classifier, "SCHEDULE"),
            (generator, "SCHEDULE"),
        ):
            schedule = getattr(module, name)
            patch.setattr(module, name, dataclasses.replace(schedule, steps=STEPS, batch=2, warmup=1))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return pictures.load(tmp_path_factory.mktemp("scenes"), SCENES, processes=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    """All stages, one after the other: (checkpoints, shipped weights)."""
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("out")
    for stage in WEIGHTS:
        training.train(stage, *data, work, out, CPU)
    return work, out


def averaged(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["averaged"]


def test_scenes_are_drawn_once_and_belong_to_the_training_stream(data, tmp_path):
    images, texts = data
    assert images.shape == (SCENES, 64, 64, 3)
    assert len({image.tobytes() for image in images}) == SCENES
    for index in (0, SCENES - 1):
        scene = scenes.sample(pictures.TRAINING_STREAM, index)
        assert texts[index] == captions.captions(scene, pictures.TRAINING_STREAM)
        near = scenes.render(scene, 64).astype(int) - images[index]
        assert np.abs(near).mean() < 4
    again = pictures.load(tmp_path, 3, processes=1)
    np.testing.assert_array_equal(again[0], images[:3])
    before = (tmp_path / "pictures_3_64.npy").stat().st_mtime_ns
    pictures.load(tmp_path, 3)
    assert (tmp_path / "pictures_3_64.npy").stat().st_mtime_ns == before
    large = pictures.draw(tmp_path, 3, pictures.PAINTED, processes=1)
    assert large.shape == (3, 128, 128, 3)
    halved = resize_through(large, (64,), "bilinear").astype(int)
    assert np.abs(halved - images[:3]).mean() < 4


def test_learning_rate_warms_up_and_falls():
    schedule = Schedule(steps=1000, learning_rate=2.0, batch=1, warmup=100)
    assert schedule.rate(0) == pytest.approx(0.02)
    assert schedule.rate(49) == pytest.approx(1.0)
    assert schedule.rate(99) == schedule.rate(500) == schedule.rate(800) == 2.0
    assert schedule.rate(900) == pytest.approx(1.0)
    assert schedule.rate(999) == pytest.approx(0.01)


def test_training_lowers_the_loss_and_averages_the_weights(tmp_path):
    """A straight line through points: the answer is known."""
    line = torch.nn.Linear(2, 1)
    truth = torch.tensor([[2.0, -1.0]])

    def loss(_step, rng):
        x = torch.from_numpy(rng.standard_normal((32, 2)).astype(np.float32))
        error = (line(x) - x @ truth.T - 0.5).square().mean()
        return {"loss": error, "twice": 2 * error}

    found = fit("line", line, loss, Schedule(steps=600, learning_rate=0.05, batch=32, average=0.9), tmp_path)
    np.testing.assert_allclose(found.weight.detach(), truth, atol=0.01)
    assert float(found.bias.detach()) == pytest.approx(0.5, abs=0.01)
    assert found is not line
    assert not found.training
    log = np.genfromtxt(tmp_path / "line.tsv", names=True)
    assert log["step"].tolist() == list(range(50, 601, 50))
    assert log["loss"][-1] < 0.01 * log["loss"][0]
    np.testing.assert_allclose(log["twice"], 2 * log["loss"], atol=2e-5)


def test_average_of_the_weights_by_hand(tmp_path):
    """The decay rises with the step, as nothing is known of the average at first."""
    weight = torch.nn.Linear(1, 1, bias=False)
    history = [weight.weight.item()]

    def loss(_step, _rng):
        if _step:
            history.append(weight.weight.item())
        return {"loss": weight.weight.square().sum()}

    found = fit("one", weight, loss, Schedule(steps=4, learning_rate=0.1, batch=1, average=0.35), tmp_path)
    history.append(weight.weight.item())
    mean = history[0]
    for decay, value in zip((2 / 11, 3 / 12, 4 / 13, 0.35), history[1:], strict=True):
        mean = decay * mean + (1 - decay) * value
    assert len(set(history)) == 5
    assert found.weight.item() == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("stage", WEIGHTS)
def test_weights_are_written_in_half_precision(trained, stage):
    work, out = trained
    checkpoint, names = WEIGHTS[stage]
    kept = averaged(work / checkpoint)
    written = [load_file(out / name) for name in names]
    assert all(tensor.dtype == torch.float16 for part in written for tensor in part.values())
    # every number of the average is somewhere, CLIP's temperature apart
    count = sum(tensor.numel() for tensor in kept.values()) - (stage == "clip")
    assert sum(tensor.numel() for part in written for tensor in part.values()) == count
    moved = torch.load(work / checkpoint, weights_only=True)["module"]
    assert any((moved[name] != kept[name]).any() for name in kept)


def same(found: dict[str, torch.Tensor], kept: dict[str, torch.Tensor]) -> bool:
    """Whether a loaded model has the averaged weights, rounded to half precision."""
    return found.keys() == kept.keys() and all(torch.equal(found[n], kept[n].half().float()) for n in kept)


def test_vdvae_and_classifier_load_again(trained):
    work, out = trained
    hparams = json.loads((out / "vdvae/hparams.json").read_text())
    model = VDVAE.from_checkpoint(out / "vdvae/model.safetensors", hparams)
    assert same(model.state_dict(), averaged(work / "vdvae.pt"))
    judge = SceneClassifier.from_file(out / "classifier/model.safetensors")
    assert same(judge.state_dict(), averaged(work / "classifier.pt"))


def test_generator_loads_again_and_paints(trained, data):
    work, out = trained
    contexts = ClipContexts.from_pretrained(out / "versatile", device="cpu")
    kept = averaged(work / "clip.pt")
    for name, model in (("vision", contexts.image_encoder), ("text", contexts.text_encoder)):
        part = {k.removeprefix(f"{name}."): v for k, v in kept.items() if k.startswith(f"{name}.")}
        assert same(model.state_dict(), part)
    pipeline = DualGuidedPipeline.from_pretrained(out / "versatile", device="cpu")
    assert same(pipeline.unet.state_dict(), averaged(work / "generator.pt"))
    assert same(pipeline.vae.state_dict(), averaged(work / "grown.pt"))
    assert pipeline.image_size == 128
    images, texts = data
    base = autoencoder.to_tensor(pictures.draw(work, SCENES, pictures.PAINTED)[:2], CPU)
    vision, text = contexts.vision(images[:2]), contexts.text([five[0] for five in texts[:2]])
    assert vision.shape == (2, 65, 96)
    assert text.shape == (2, 32, 96)
    painted = pipeline(
        base,
        vision,
        text,
        *contexts.unconditional(),
        steps=2,
        generators=[random_streams.generator(0, i, "test") for i in range(2)],
    )
    assert painted.shape == (2, 3, 128, 128)
    assert torch.isfinite(painted).all()


def test_models_are_derived_from_what_was_trained(trained, data):
    work, out = trained
    training.train("derived", *data, work, out, CPU)
    for part in ("stable_diffusion/unet", "stable_diffusion/vae", "kandinsky/unet", "kandinsky/movq"):
        tensors = load_file(out / part / "diffusion_pytorch_model.safetensors")
        assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_latents_are_scaled_to_unit_spread(trained):
    work, out = trained
    vae = AutoencoderKL.from_pretrained(out / "versatile/vae")
    large = pictures.draw(work, SCENES, pictures.PAINTED)
    with torch.no_grad():
        latents = vae.encode(autoencoder.to_tensor(large, CPU)).latent_dist.mean
    # the factor was measured before the weights were rounded to half precision
    assert float(latents.std()) * vae.config.scaling_factor == pytest.approx(1, abs=0.02)


def test_a_larger_autoencoder_has_the_latents_of_the_smaller(tmp_path, data):
    """The blocks that see no pixels are the same, and its encoder comes nearer to the other's latents."""
    images, _ = data
    torch.manual_seed(0)
    inner, large = AutoencoderKL(**autoencoder.INNER), pictures.draw(tmp_path, SCENES, pictures.PAINTED)
    kept = autoencoder._taken_over(inner.state_dict())
    grown = AutoencoderKL(**autoencoder.CONFIG).state_dict()
    assert all(grown[name].shape == tensor.shape for name, tensor in kept.items())
    absent = {name.split(".")[0] + "." + name.split(".")[1] for name in grown.keys() - kept.keys()}
    assert absent == {
        *(f"{part}.{block}" for part, block in (("encoder", "conv_in"), ("encoder", "down_blocks"))),
        *(f"decoder.{block}" for block in ("up_blocks", "conv_out", "conv_norm_out")),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GROWN_CROPS", "GROWN_WHOLE"):
            patch.setattr(autoencoder, name, Schedule(steps=40, learning_rate=1e-3, batch=4, warmup=1))
        autoencoder.grow(inner, 1.0, large, tmp_path, CPU)
    log = np.genfromtxt(tmp_path / "grown.tsv", names=True)
    first = np.genfromtxt(tmp_path / "grown_crops.tsv", names=True)
    assert float(log["latents"]) < float(first["latents"])
    assert images.shape[1] * 2 == large.shape[1]


def test_generator_learns_from_contexts_of_its_own_encoders(trained, data):
    work, out = trained
    images, texts = data
    contexts = ClipContexts.from_pretrained(out / "versatile", device="cpu")
    with np.load(next(work.glob(f"contexts_{SCENES}_*.npz"))) as kept:
        np.testing.assert_allclose(kept["vision"][3], contexts.vision(images[3:4])[0], atol=5e-3)
        np.testing.assert_allclose(kept["text"][3], contexts.text(texts[3]).mean(0), atol=5e-3)
        assert kept["latents"].shape == (SCENES, 4, 16, 16)
        assert {kept[name].dtype for name in kept.files} == {np.dtype(np.float16)}


def test_tokenizer_knows_the_captions_and_any_letter(trained, data):
    _, out = trained
    tokenizer = clip.tokenizer(data[1], out / "versatile/tokenizer")
    assert (
        tokenizer.decode(tokenizer("A red car.")["input_ids"], skip_special_tokens=True).strip()
        == "a red car ."
    )
    ids = tokenizer("Zürich ☃ 42")["input_ids"]
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.eos_token_id not in ids[:-1]
    flat = [text for five in data[1] for text in five]
    assert max(len(row) for row in tokenizer(flat)["input_ids"]) <= clip.TOKENS


@pytest.mark.parametrize("stage", WEIGHTS)
def test_interrupted_training_ends_with_the_same_weights(trained, data, tmp_path, monkeypatch, stage):
    undisturbed, shipped = trained
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    # what the stage builds on
    shutil.copytree(shipped / "versatile/tokenizer", out / "versatile/tokenizer")
    if stage == "generator":
        for name in ("vae", "image_encoder", "text_encoder", "image_processor"):
            shutil.copytree(shipped / "versatile" / name, out / "versatile" / name)
    clip_gradient, calls = torch.nn.utils.clip_grad_norm_, []

    def interrupting(*arguments):
        calls.append(1)
        if len(calls) == STEPS:
            raise KeyboardInterrupt
        return clip_gradient(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
        patch.setattr(torch.nn.utils, "clip_grad_norm_", interrupting)
        with pytest.raises(KeyboardInterrupt):
            training.train(stage, *data, work, out, CPU)
    checkpoint, names = WEIGHTS[stage]
    interrupted = "autoencoder_crops.pt" if stage == "autoencoder" else checkpoint
    assert torch.load(work / interrupted, weights_only=True)["step"] == STEPS - 1
    assert not (out / names[0]).exists()

    torch.manual_seed(99)  # another process draws other numbers
    training.train(stage, *data, work, out, CPU)
    one, two = (torch.load(f / checkpoint, weights_only=True) for f in (undisturbed, work))
    assert one["step"] == two["step"] == STEPS
    for kind in ("module", "averaged"):
        assert all(torch.equal(one[kind][name], two[kind][name]) for name in one[kind]), kind
    for name in names:
        assert (out / name).read_bytes() == (shipped / name).read_bytes()


def test_finished_training_is_not_trained_again(trained, data, tmp_path):
    undisturbed, shipped = trained
    shutil.copy(undisturbed / "classifier.pt", tmp_path)
    training.train("classifier", *data, tmp_path, tmp_path / "out", CPU)
    name = WEIGHTS["classifier"][1][0]
    assert (tmp_path / "out" / name).read_bytes() == (shipped / name).read_bytes()
    assert not (tmp_path / "classifier.tsv").exists()


def test_card_tells_of_the_training(trained, data, monkeypatch):
    work, out = trained
    monkeypatch.setattr(card, "COUNT", 24)
    monkeypatch.setattr(card, "SETTINGS", {**card.SETTINGS, "steps": 2})
    training.train("card", *data, work, out, CPU)
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "{" not in text
    for name in card.SCHEDULES:
        assert f"| {name} | {STEPS} of " in text
    row = next(line for line in text.splitlines() if line.startswith("| scene |"))
    shares = [float(cell) for cell in row.strip("| ").split(" | ")[1:]]
    assert shares[0] == 1  # a scene is recognised among scenes
    assert all(0 <= share <= 1 for share in shares)
    # twice 12 scenes, each over its base image and its reconstruction
    assert Image.open(out / "samples.png").size == (12 * 128, 6 * 128)


def test_command_line(data, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(training, "train", lambda stage, *_: asked.append(stage))
    monkeypatch.setattr(training.pictures, "load", lambda _, count: asked.append(count) or data)
    arguments = ["training", "--work", str(tmp_path / "work"), "--scenes", "7", "--threads", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "clip", "vdvae"])
    training.main()
    monkeypatch.setattr("sys.argv", arguments)
    training.main()
    assert asked == [7, "clip", "vdvae", 7, *training.STAGES]
    monkeypatch.setattr("sys.argv", [*arguments, "clipp"])
    with pytest.raises(SystemExit):
        training.main()
    assert "'clipp'" in capsys.readouterr().err
