"""Networks of several subjects on random toy data: they learn, resume, and hand on what is shared."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.places import ROOT

from neural_recon.config.recipe_files import read_recipe
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.decoding.shared_subject import prediction, runs, training, weights
from neural_recon.decoding.shared_subject.data import Order, Trained, read_trained
from neural_recon.decoding.shared_subject.losses import Moment
from neural_recon.decoding.shared_subject.losses import losses as step_losses
from neural_recon.decoding.shared_subject.network import Layout, Network
from neural_recon.evaluation.metrics import two_way_identification
from neural_recon.features.feature_files import write_chunk
from neural_recon.models import checkpoints, contrastive

LATENT, IMAGES, TEST, TOKENS, WIDTH, SIDE = 6, 60, 24, 3, 8, 4
TEXT = [WIDTH] * TOKENS
PARTS = {"text": TEXT, "projected": TEXT, "colour": [5, 7], "latents": [SIDE**2] * 4}
HEADS = {"text": "prior", "projected": "projector", "latents": "low_level"}


def settings(**changes) -> SharedSubject.Settings:
    small = {
        "kind": "shared_subject",
        "heads": HEADS,
        "hidden": 32,
        "blocks": 1,
        "prior": {"depth": 1, "heads": 2, "head_width": 4, "steps": 4},
        "projector": 8,
        "low_level": {"decoder": [8, 8]},
        "pretrain": {"epochs": 3, "batch": 24},
        "finetune": {"epochs": 3, "batch": 16},
        "validation": {"share": 0.2},
        "checkpoint_every": 1,
    }
    return SharedSubject.Settings.model_validate(small | changes)


class World:
    """Images with a few hidden causes, that features and every subject's voxels follow."""

    def __init__(self, rng):
        self.rng = rng
        self.ways = {space: rng.standard_normal((LATENT, sum(parts))) for space, parts in PARTS.items()}
        self.ways["projected"] = self.ways["text"]

    def features(self, causes: np.ndarray) -> dict[str, np.ndarray]:
        return {space: (causes @ way / 2).astype(np.float16) for space, way in self.ways.items()}

    def person(self, subject: str, n_voxels: int, images: int = IMAGES, noise: float = 0.5):
        """Training trials (two of each image), test trials (three of each), and the test images' features."""
        voxels = self.rng.standard_normal((LATENT, n_voxels)) / np.sqrt(LATENT)
        train, test = (self.rng.standard_normal((n, LATENT)) for n in (images, TEST))

        def trials(causes, repetitions):
            which = np.tile(np.arange(len(causes)), repetitions)
            clean = causes[which] @ voxels
            return (clean + noise * self.rng.standard_normal(clean.shape)).astype(np.float32), which

        rows, image = trials(train, 2)
        trained = Trained(subject, rows, image, self.features(train), PARTS)
        return trained, trials(test, 3), self.features(test)


@pytest.fixture
def world(rng) -> World:
    return World(rng)


def identified(network, test, true) -> dict[str, float]:
    found = prediction.predicted(network, *test, np.arange(TEST), seed=0)
    return {
        space: float(two_way_identification(true[space].astype(np.float32), found[space]).mean())
        for space in true
    }


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_head_learns_and_the_control_does_not(world, tmp_path):
    how = settings(finetune={"epochs": 40, "batch": 16}, learning_rate=3e-3)
    one, test, true = world.person("anna", 40)
    network, losses = runs.finetune(how, one, 0, tmp_path / "one.pt")
    scores = identified(network, test, true)
    assert scores["colour"] > 0.75 < scores["latents"], scores
    assert scores["projected"] > 0.65, scores  # as the contrastive loss compares them
    total = losses.query("loss == 'total'").pivot_table(index="epoch", columns="images", values="value")
    assert (total.iloc[-1] < 0.8 * total.iloc[0]).all()
    shuffled = {space: np.roll(rows, 7, axis=0) for space, rows in one.features.items()}
    control = Trained(one.subject, one.responses, one.image, shuffled, PARTS)
    network, losses = runs.finetune(how, control, 0, tmp_path / "two.pt", control=True)
    chance = identified(network, test, true)
    assert all(score < 0.66 for score in chance.values()), chance
    assert set(losses["training"]) == {"shuffled pairs"}


def test_the_prior_learns_which_tokens_belong_to_a_response(world, tmp_path):
    prior = {"depth": 1, "heads": 4, "head_width": 8, "steps": 10}
    heads = {"text": "prior", "colour": "regression", "latents": "regression", "projected": "regression"}
    how = settings(
        heads=heads, prior=prior, finetune={"epochs": 60, "batch": 32}, learning_rate=3e-3, mixing=0
    )
    one, test, true = world.person("anna", 40, images=250, noise=0.2)
    network, _ = runs.finetune(how, one, 0, tmp_path / "one.pt")
    scores = identified(network, test, true)
    assert scores["text"] > 0.65, scores


MAPS = 4  # places of the low-level head's stack


def with_maps(world, n_voxels: int, views: int = 1):
    """A person whose images also have a teacher's maps, and those of altered copies: near the former."""
    one, test, _ = world.person("anna", n_voxels, images=40)
    clean = world.rng.standard_normal((40, 1, MAPS, 512))
    copies = clean + 0.3 * world.rng.standard_normal((40, views, MAPS, 512))
    maps = np.concatenate([clean, copies], axis=1).astype(np.float16).reshape(40, -1)
    parts = PARTS | {"maps": [512] * MAPS * (1 + views)}
    return Trained("anna", one.responses, one.image, dict(one.features) | {"maps": maps}, parts), test


def test_the_low_level_head_learns_from_a_teacher(world, tmp_path):
    heads = HEADS | {"maps": "teacher"}
    one, test = with_maps(world, 30)
    how = settings(
        heads=heads, finetune={"epochs": 15, "batch": 32}, mixing=0, validation={}, learning_rate=3e-3
    )
    taught, losses = runs.finetune(how, one, 0, tmp_path / "taught.pt")
    maps = losses[losses["loss"] == "maps"].groupby("epoch")["value"].mean()
    assert maps.iloc[-1] < maps.iloc[0] - 0.1
    found = prediction.predicted(taught, *test, np.arange(TEST), 0)["maps"].reshape(TEST, 2, -1)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])  # a copy's maps are predicted like the picture's
    assert np.abs(np.diff(found, axis=0)).max() > 0


@pytest.mark.parametrize("views", [0, 3])
def test_the_teachers_loss_is_the_published_one(world, views):
    one, _ = with_maps(world, 30, views)
    how = settings(heads={"latents": "low_level", "maps": "teacher"}, mixing=0)
    layout = Layout.of(how, {space: one.parts[space] for space in how.heads}, {"anna": 30})
    network, trials = weights.made(layout, 0).eval(), np.arange(10)
    tensors = training.tensors(network, [(one, trials)], torch.device("cpu"))
    moment = Moment(0, 1, 0, 5)
    with torch.no_grad():
        found = step_losses(network, *tensors, how, moment)
        student = network(tensors[0])["maps"]
    true = tensors[1]["maps"].reshape(10, 1 + views, MAPS, 512)
    rows = [torch.nn.functional.normalize(each.reshape(-1, 512), dim=1) for each in (student, true[:, 0])]
    draws = (
        torch.randint(1, 1 + views, (10,), generator=moment.generator("view 0")) if views else torch.zeros(10)
    )
    drawn = torch.stack([true[k, int(view)] for k, view in enumerate(draws)])
    rows.append(torch.nn.functional.normalize(drawn.reshape(-1, 512), dim=1))
    assert not views or len(set(draws.tolist())) > 1
    expected = contrastive.soft_contrast(*rows)
    assert found["maps"].item() == pytest.approx(expected.item(), abs=1e-6)
    total = 0.5 * found["latents"] + 0.05 * found["maps"]
    assert found["total"].item() == pytest.approx(total.item(), abs=1e-6)


# few epochs of one step or two
SHORT = {"finetune": {"epochs": 4, "batch": 40}, "pretrain": {"epochs": 2, "batch": 40}}


class Killed(BaseException):
    """As a signal would end a training."""


@pytest.mark.parametrize(("step", "every"), [(0, 1), (3, 1), (5, 2), (7, 3)])
def test_a_training_killed_at_any_step_ends_with_the_same_weights(world, tmp_path, monkeypatch, step, every):
    stop = {"share": 0.2, "stop": "early", "patience": 2}
    how = settings(**SHORT, checkpoint_every=every, validation=stop)
    one, *_ = world.person("anna", 20)
    undisturbed, losses = runs.finetune(how, one, 3, tmp_path / "undisturbed.pt")
    whole, done = training._step, 0

    def killed(*arguments):
        nonlocal done
        done += 1
        if done > step:
            raise Killed
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_step", killed)
        with pytest.raises(Killed):
            runs.finetune(how, one, 3, tmp_path / "killed.pt")
    torch.manual_seed(99)  # another process
    resumed, again = runs.finetune(how, one, 3, tmp_path / "killed.pt")
    assert same(undisturbed, resumed)
    pd.testing.assert_frame_equal(losses, again)


def test_a_training_that_stopped_early_stays_so(world, tmp_path):
    """Killed after its last checkpoint, before its network was stored."""
    how = settings(
        finetune={"epochs": 30, "batch": 40},
        learning_rate=0.1,
        mixing=0,
        validation={"share": 0.2, "stop": "early", "patience": 2},
    )
    one, *_ = world.person("anna", 20)
    stopped, losses = runs.finetune(how, one, 3, tmp_path / "checkpoint.pt")
    assert losses["epoch"].max() < 30
    resumed, again = runs.finetune(how, one, 3, tmp_path / "checkpoint.pt")
    assert same(stopped, resumed)
    pd.testing.assert_frame_equal(losses, again)


def test_a_checkpoint_of_another_training_is_ignored(world, tmp_path):
    how = settings(**SHORT)
    one, *_ = world.person("anna", 20)
    fresh, _ = runs.finetune(how, one, 4, tmp_path / "fresh.pt")
    runs.finetune(how, one, 3, tmp_path / "checkpoint.pt")
    assert (tmp_path / "checkpoint.pt").exists()
    found, _ = runs.finetune(how, one, 4, tmp_path / "checkpoint.pt")
    assert same(fresh, found)
    (tmp_path / "checkpoint.pt").write_bytes(b"not whole")
    with pytest.raises(InputError, match=r"checkpoint\.pt: expected a checkpoint .* remove it"):
        runs.finetune(how, one, 4, tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_shared_is_handed_on_from_any_number_of_subjects(world, tmp_path, count):
    how = settings(**SHORT)
    others = [world.person(f"other{k}", 15 + k)[0] for k in range(count)]
    network, _ = runs.pretrain(how, others, 0, tmp_path / "pre.pt")
    path = tmp_path / "others.safetensors"
    weights.write(path, network, {})
    assert same(weights.read(path), network)
    one, test, _ = world.person("anna", 40)
    start = weights.transferred(path, runs.layout_of(how, [one]), 0)
    ours, theirs = start.state_dict(), network.state_dict()
    own = {name for name in ours if name.startswith(weights.MAPS)}
    assert {name for name in ours if not torch.equal(ours[name], theirs.get(name, ours[name]))} == set()
    assert own == {f"{weights.MAPS}anna.weight", f"{weights.MAPS}anna.bias"}
    assert torch.equal(ours[f"{weights.MAPS}anna.bias"], theirs[f"{weights.MAPS}other0.bias"])
    tuned, _ = runs.finetune(how, one, 0, tmp_path / "one.pt", path)
    assert prediction.predicted(tuned, *test, np.arange(TEST), 0)["colour"].shape == (TEST, 12)


def test_mistakes_are_one_sentence(world, tmp_path, monkeypatch):
    how = settings(**SHORT)
    one, test, _ = world.person("anna", 20)
    network, _ = runs.pretrain(how, [one], 0, tmp_path / "one.pt")
    path = tmp_path / "network.safetensors"
    weights.write(path, network, {})
    # a checkpoint of another voxel count, of other sizes, of something else
    with pytest.raises(InputError, match=r"anna: expected responses of the 20 voxels .* found 19"):
        prediction.predicted(network, test[0][:, 1:], test[1], np.arange(TEST), 0)
    with pytest.raises(InputError, match=r"network\.safetensors: expected a network whose sizes are"):
        runs.finetune(settings(**SHORT, hidden=16), one, 0, tmp_path / "two.pt", path)
    (tmp_path / "other.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match="expected a whole file of named tensors"):
        weights.read(tmp_path / "other.safetensors")
    # not a number among the responses, and among the losses
    broken = one.responses.copy()
    broken[3, 4] = np.nan
    with pytest.raises(InputError, match="anna: expected finite numbers in the responses"):
        Trained("anna", broken, one.image, one.features, PARTS)
    with pytest.raises(InputError, match=r"anna: expected finite losses, found (nan|inf) in step"):
        runs.finetune(settings(**SHORT, learning_rate=1e30), one, 0, tmp_path / "three.pt")
    # features that are no tokens, or no latents
    with pytest.raises(InputError, match=r"expected tokens of one width .* found parts of \[5, 7\]"):
        runs.finetune(settings(**SHORT, heads={"colour": "prior"}), one, 0, tmp_path / "four.pt")
    with pytest.raises(InputError, match="expected for low_level latents of 4 channels"):
        runs.finetune(settings(**SHORT, heads={"text": "low_level"}), one, 0, tmp_path / "five.pt")
    heads = {"latents": "low_level", "text": "teacher"}
    with pytest.raises(InputError, match=r"expected for teacher 4 places with 512 values, .* found 3 places"):
        runs.finetune(settings(**SHORT, heads=heads), one, 0, tmp_path / "five.pt")

    # a GPU that runs out of memory
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training, "_step", full)
    with pytest.raises(InputError, match=r"too little of it; raise decoder\.accumulate"):
        runs.finetune(how, one, 0, tmp_path / "six.pt")


def test_predictions_do_not_depend_on_batch_or_order(world, tmp_path):
    how = settings(**SHORT)
    one, (rows, which), _ = world.person("anna", 20)
    network, _ = runs.finetune(how, one, 0, tmp_path / "one.pt")
    ids = np.arange(100, 100 + TEST)
    whole = prediction.predicted(network, rows, which, ids, 0)
    small = prediction.predicted(network, rows, which, ids, 0, batch=5)
    turned = prediction.predicted(network, rows, TEST - 1 - which, ids[::-1], 0)
    other = prediction.predicted(network, rows, which, ids, 1)
    for space in PARTS:
        np.testing.assert_allclose(small[space], whole[space], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(turned[space][::-1], whole[space], rtol=1e-4, atol=1e-4)
    assert not np.allclose(other["text"], whole["text"], atol=1e-3)  # the prior's noise
    np.testing.assert_array_equal(other["colour"], whole["colour"])


def test_a_gpu_that_runs_out_of_memory_predicts_fewer_images_at_a_time(world, tmp_path, monkeypatch):
    one, (rows, which), _ = world.person("anna", 20)
    network, _ = runs.finetune(settings(**SHORT), one, 0, tmp_path / "one.pt")
    ids, whole, room = np.arange(TEST), Network.features, 3
    expected = prediction.predicted(network, rows, which, ids, 0)

    def of_little_room(self, outputs, image_ids, seed):
        if len(image_ids) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, outputs, image_ids, seed)

    monkeypatch.setattr(Network, "features", of_little_room)
    found = prediction.predicted(network, rows, which, ids, 0)
    for space, values in expected.items():
        np.testing.assert_allclose(found[space], values, rtol=1e-4, atol=1e-4)
    room = 0
    with pytest.raises(InputError, match="expected the features of one image to fit into the GPU's memory"):
        prediction.predicted(network, rows, which, ids, 0)


def test_calibration_gives_back_the_spread(world, tmp_path):
    one, test, true = world.person("anna", 20, noise=2)
    spread = {}
    for calibration in ("none", "train"):
        how = settings(finetune={"epochs": 15, "batch": 16}, learning_rate=3e-3, calibration=calibration)
        network, _ = runs.finetune(how, one, 0, tmp_path / f"{calibration}.pt")
        spread[calibration] = prediction.predicted(network, *test, np.arange(TEST), 0)["colour"].std()
    assert spread["none"] < 0.8 * true["colour"].std() < spread["train"] < 1.5 * true["colour"].std()


def test_parts_of_a_batch_give_the_gradient_of_the_whole(world, tmp_path):
    # without losses that compare trials with each other, mixing or dropout
    one, *_ = world.person("anna", 20)
    alone = {"heads": {}, "mixing": 0, "finetune": {"epochs": 1, "batch": 40}}
    found = []
    for accumulate in (1, 2):
        how = settings(**alone, accumulate=accumulate)
        network = weights.made(runs.layout_of(how, [one]), 0)
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        course = training.Course("one", 1, 40, 0)
        found.append((network, training.train(network, [one], how, course, tmp_path / f"{accumulate}.pt")))
    for (name, a), b in zip(found[0][0].state_dict().items(), found[1][0].state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-4), name


def test_images_that_the_decoder_is_tested_on_do_not_train_it(tmp_path, rng, caplog):
    """Whoever saw them: of another subject's trials they are left out."""
    ids = np.repeat(np.arange(10), 2)
    responses, trials, chunk = (tmp_path / name for name in ("responses.h5", "trials.tsv", "chunk.h5"))
    rows = rng.standard_normal((20, 5)).astype(np.float32)
    write_hdf5(responses, {"train": rows, "train_ids": ids}, {})
    features = rng.standard_normal((10, 3)).astype(np.float32)
    write_chunk(chunk, features, np.zeros(10, bool), np.arange(10), {}, [3])
    caplog.set_level("INFO")
    one = read_trained("bert", responses, trials, {"colour": [chunk]}, without=np.array([2, 7, 99]))
    assert (one.n_images, one.responses.shape) == (8, (16, 5))
    np.testing.assert_array_equal(one.responses, rows[~np.isin(ids, [2, 7])])
    kept = np.setdiff1d(np.arange(10), [2, 7])
    np.testing.assert_array_equal(one.features["colour"], features[kept].astype(np.float16))
    assert "bert: 4 trials left out" in caplog.text
    with pytest.raises(InputError, match="bert: expected at least 2 training images, found 1"):
        read_trained("bert", responses, trials, {"colour": [chunk]}, without=np.arange(9))


def test_every_pass_shows_every_image_once(world):
    one, *_ = world.person("anna", 10)
    held = one.held_out(0.2, 5)
    assert held.sum() == round(0.2 * IMAGES)
    order = Order.of(one, held, 12, 5)
    steps = [one.image[order.trials(step)] for step in range(8)]
    for start in (0, 4):
        images = np.concatenate(steps[start : start + 4])
        assert sorted(images) == np.flatnonzero(~held).tolist()
    assert not np.array_equal(steps[0], steps[4])
    np.testing.assert_array_equal(order.trials(6), Order.of(one, held, 12, 5).trials(6))


def test_settings_that_do_not_fit_are_refused():
    for wrong, said in (
        ({"validation": {"stop": "early"}}, "set share"),
        ({"heads": {"text": "projector"}}, "projector needs a space whose head is prior"),
        ({"heads": {"text": "prior", "colour": "prior"}}, "prior for one space at most"),
        ({"heads": {"text": "teacher"}}, "teacher needs a space whose head is low_level"),
        ({"calibration": "train", "validation": {}}, "needs validation.share"),
    ):
        with pytest.raises(ValueError, match=said):
            settings(**wrong)
    with pytest.raises(ValueError, match=r"heads\.text: no such space"):
        settings().check_spaces(["colour"])
    how = settings(pretrain={"subjects": ["bert"]})
    with pytest.raises(ValueError, match=r"pretrain\.subjects: bert is not among .* anna"):
        how.check_subjects(["anna"])
    how.check_subjects(["anna", "bert"])
    assert how.pretrained(["anna", "bert"], ["anna", "bert"]) == {
        "anna": ["bert"]
    }  # bert has nobody to learn from
    assert settings().pretrained(["bert"], ["anna", "bert", "carl"])["bert"] == ["anna", "carl"]
    assert settings(pretrain={"subjects": "none"}).pretrained(["anna"], ["anna", "bert"]) == {}


def test_mindeye1s_recipe_has_about_the_published_number_of_parameters():
    recipe = read_recipe("mindeye1", ROOT)
    how = SharedSubject.Settings.model_validate(recipe["decoder"])
    layout = Layout.of(how, {"vision": [768] * 257, "latents": [64**2] * 4}, {"subj01": 15724})
    network = checkpoints.empty(lambda: Network(layout)).shared
    parts = network.ridge, network.backbone.trunk, network.backbone.backbone_linear
    assert sum(p.numel() for part in parts for p in part.parameters()) == pytest.approx(940e6, rel=0.01)
    outputs = network({"subj01": torch.empty(2, 15724, device="meta")})
    assert outputs.tokens.shape == (2, 257, 768)
    assert outputs.low_level.shape == (2, 4, 64, 64)


def test_a_fitted_model_of_the_authors_takes_the_place_of_training(world, tmp_path):
    """A file with their names (`published_checkpoints`) gives the network that it was written from."""
    heads = {"text": "prior", "projected": "projector"}
    how = settings(heads=heads, backbone="published")
    _, test, _ = world.person("anna", 20)
    tokens = {space: PARTS[space] for space in heads}
    layout = weights.Layout.of(how, tokens, {"anna": 20})
    network = weights.made(layout, 1).eval()

    def released(name: str) -> str:
        name = name.replace("linears.anna", "linears.0").replace("backbone.trunk.", "backbone.")
        for k, end in enumerate((".0", ".0", "")):
            name = name.replace(f"net.time.{2 * k}.", f"net.to_time_embeds.0.1.net.{k}{end}.")
        return name

    state = {released(name): values for name, values in network.shared.state_dict().items()}
    torch.save({"model_state_dict": state}, tmp_path / "last.pth")
    found = weights.published(tmp_path / "last.pth", layout)
    ids = np.arange(TEST)
    expected, got = (prediction.predicted(each, *test, ids, 0) for each in (network, found))
    for space in heads:
        np.testing.assert_array_equal(got[space], expected[space])
    with pytest.raises(InputError, match=r"decoder\.published: expected spaces whose heads are .* colour"):
        weights.published(tmp_path / "last.pth", weights.Layout.of(how, PARTS, {"anna": 20}))
