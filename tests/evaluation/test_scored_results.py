"""The list of scores of one subject, from files."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.random_networks import random_tensors
from PIL import Image
from safetensors.torch import save_file

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.demo.classifier import SceneClassifier
from neural_recon.demo.judge import SceneJudge, read_judge
from neural_recon.demo.scenes import BACKGROUNDS, KINDS, render, sample
from neural_recon.evaluation import metrics, networks
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.evaluation.scored_results import score_subject
from neural_recon.features.feature_files import write_chunk

SPACES = ("vdvae", "vision", "text")

SIDE = 40
TRAIN, TEST = np.arange(20, 30), np.array([3, 5, 8, 11, 12, 13, 14, 17])
CONTROL = np.array([3, 8, 12, 17])
PARTNERS = np.array([17, 3, 8, 12])
EVALUATION = {"preset": "native", "repairings": 200}


class Thumbnail:
    """In place of CLIP: the mean colours of 64 fields."""

    def embedding(self, images):
        images = np.asarray(images, float)
        return (
            images.reshape(len(images), 8, SIDE // 8, 8, SIDE // 8, 3).mean((2, 4)).reshape(len(images), -1)
        )


@pytest.fixture(scope="module")
def stimuli() -> np.ndarray:
    return np.stack([render(sample(1, index), SIDE) for index in range(30)])


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    save_file(SceneClassifier().state_dict(), tmp_path / "judge.safetensors")
    return tmp_path / "judge.safetensors"


@pytest.fixture
def scenes(tmp_path):
    drawn = [sample(1, index) for index in range(30)]
    table = pd.DataFrame(
        {
            "image_id": np.arange(30),
            "main_kind": [scene.objects[0].kind for scene in drawn],
            "background": [scene.background for scene in drawn],
        }
    )
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "scenes.parquet")
    return tmp_path / "scenes.parquet"


@pytest.fixture
def subject(tmp_path, stimuli, weights, scenes, rng):
    """A subject with a perfect decoder, a useless shuffled one, and guides that decide the picture."""
    trials = pd.DataFrame({"image_id": np.r_[TEST, TRAIN, TRAIN, [0, 1]]})
    trials["split"] = ["test"] * 8 + ["train"] * 20 + ["unused"] * 2
    trials.to_parquet(tmp_path / "trials.parquet")
    ids, order = rng.permutation(TEST), rng.permutation(30)
    noise = rng.integers(0, 256, (8, SIDE, SIDE, 3), np.uint8)

    def pictures(kind, variant, **arrays):
        path = tmp_path / kind / f"{variant}.h5"
        write_hdf5(path, arrays, {})
        return path

    features, decoded, shuffled = [], [], []
    for space in SPACES:
        values = rng.standard_normal((30, 50))
        for k, part in enumerate(np.split(order, [12])):
            features.append(tmp_path / f"features/{space}/shared_{k:03d}.h5")
            write_chunk(features[-1], values[part], np.zeros(len(part), bool), part, {})
        decoded.append(tmp_path / f"predictions/{space}/decoded.h5")
        write_hdf5(decoded[-1], {"predictions": values[ids] + 0.1, "image_id": ids}, {})
        shuffled.append(tmp_path / f"predictions/{space}/shuffled.h5")
        write_hdf5(shuffled[-1], {"predictions": rng.standard_normal((8, 50)), "image_id": ids}, {})
    recalibrated = tmp_path / "predictions/vdvae/recalibrated.h5"
    arrays = {"predictions": rng.standard_normal((8, 50)), "image_id": ids}
    write_hdf5(recalibrated, arrays, {"calibration": "published"})
    write_hdf5(
        tmp_path / "baselines.h5",
        {
            "image_id": TEST,
            "random": stimuli[TRAIN[:8]],
            "nearest": stimuli[TEST],  # as good as any picture can be
            "mean": np.mean(stimuli[TRAIN], axis=0).round().astype(np.uint8),
        },
        {},
    )
    refits = []
    for space in SPACES:
        refits.append(tmp_path / f"ridge/{space}/shuffled_refits.tsv")
        names = ("two_way", "retrieval_image") if space == "vision" else ("two_way",)
        rows = [(k, name, score, 50) for name in names for k, score in enumerate((1.0, 0.6, 0.5, 0.4))]
        write_table(refits[-1], pd.DataFrame(rows, columns=["refit", "metric", "score", "features"]))
    return SimpleNamespace(
        refits=refits,
        trials=tmp_path / "trials.parquet",
        seen=stimuli.__getitem__,
        base=[
            pictures("base", "decoded", images=stimuli[ids] // 2, image_id=ids),
            pictures("base", "shuffled", images=noise, image_id=ids),
        ],
        final=[
            pictures("final", "decoded", images=stimuli[ids], image_id=ids),
            pictures("final", "swapped", images=stimuli[PARTNERS], image_id=CONTROL, guide_id=PARTNERS),
            pictures("final", "seed1", images=stimuli[CONTROL], image_id=CONTROL),
        ],
        baselines=tmp_path / "baselines.h5",
        predictions=[*decoded, *shuffled, recalibrated],
        features=features,
        judge=[weights, scenes],
    )


@pytest.fixture
def thumbnails(monkeypatch):
    """The networks of native, with thumbnails instead of CLIP's embedding."""
    monkeypatch.setattr(networks, "load_clip", lambda *_, **__: Thumbnail())
    return PresetNetworks("native", {"clip": "its folder"})


@pytest.fixture
def knowing(monkeypatch, stimuli):
    """A judge that knows every stimulus, and nothing else."""

    def names_of(self, pictures):
        nearest = [
            np.abs(stimuli.astype(int) - picture.astype(int)).sum((1, 2, 3)).argmin() for picture in pictures
        ]
        return self.truth(np.array(nearest))

    monkeypatch.setattr(SceneJudge, "names_of", names_of)


def scored(subject, compared_by, evaluation=EVALUATION):
    """All scores of a subject."""
    how = {"seed": 0, "spaces": SPACES, "retrieved": "vision", "judge": read_judge(subject.judge)}
    return score_subject("subj01", subject, subject.seen, compared_by, evaluation, **how)


@pytest.mark.usefixtures("knowing")
def test_every_score_of_a_subject(subject, stimuli, scenes, thumbnails):
    scores = scored(subject, thumbnails)
    table = scores.summary_table().set_index(["variant", "picture", "metric"])
    assert table.index.is_unique
    mean = table["mean"]
    for metric in ("pixcorr", "ssim", "clip_two_way", "object", "background"):
        assert mean["decoded", "final", metric] == pytest.approx(1), metric
        assert {("decoded", "base", metric), ("shuffled", "base", metric)} <= set(table.index)
        assert ("mean_image", "baseline", metric) in table.index
    # each swapped picture shows the guide's image, not its own
    assert mean["swapped", "final", "guide_two_way"] == 1
    assert mean["swapped", "final", "guide_object"] == 1
    assert mean["swapped", "final", "clip_two_way"] < 0.7
    truth = pd.read_parquet(scenes).set_index("image_id")["main_kind"]
    same = np.mean(truth[CONTROL].to_numpy() == truth[PARTNERS].to_numpy())
    assert mean["swapped", "final", "object"] == pytest.approx(same)
    assert ("calibration_published", "vdvae", "two_way") in table.index
    assert "recalibrated" not in table.index.get_level_values("variant")
    for space in SPACES:
        assert mean["decoded", space, "two_way"] == 1
        assert 0.2 < mean["shuffled", space, "two_way"] < 0.8
        # alongside them what refits on shuffled pairs reach; the shuffled decoder is one of these
        decoder, painted = (table.loc[variant, space, "two_way"] for variant in ("decoded", "shuffled"))
        assert decoder[["refits", "refit_score", "refit_p"]].tolist() == [3, 1.0, 0.25]
        assert decoder["refit_mean"] == pytest.approx(0.5)
        assert decoder["refit_z"] == pytest.approx(5)
        assert painted[["refits", "refit_score"]].tolist() == [2, 0.6]
        assert painted["refit_p"] == pytest.approx(1 / 3)
    assert table.loc["decoded", "vision", "retrieval_image"]["refits"] == 3
    assert pd.isna(table.loc["decoded", "vision", "retrieval_brain"]["refits"])
    assert table[~table.index.get_level_values("picture").isin(SPACES)]["refits"].isna().all()
    assert table["n"]["swapped"].tolist() == [4] * len(table["n"]["swapped"])
    assert table["n"]["mean_image", "baseline", "pixcorr"] == 8
    # the mean of the training images, not of the test images
    small = [p / 255 for p in stimuli[TRAIN]]
    expected = np.mean([np.corrcoef(stimuli[i].ravel(), np.mean(small, axis=0).ravel())[0, 1] for i in TEST])
    assert mean["mean_image", "baseline", "pixcorr"] == pytest.approx(expected, abs=2e-3)
    for metric in ("pixcorr", "clip_two_way", "object"):
        assert mean["nearest_image", "baseline", metric] == pytest.approx(1)
        assert mean["random_image", "baseline", metric] < 0.9
    assert {
        "final against base",
        "final against the mean image",
        "final against the nearest training image",
        "final against a random training image",
        "final against another draw",
    } <= set(scores.comparisons()["comparison"])


def test_without_a_judge(subject, thumbnails):
    subject.judge = []
    scores = scored(subject, thumbnails)
    table = scores.summary_table()
    assert set(table.loc[table["not_measured"] == "", "metric"]) == {
        "pixcorr",
        "ssim",
        "clip_two_way",
        "guide_two_way",
        "two_way",
        "retrieval_image",
        "retrieval_brain",
    }


def test_weights_without_scenes(subject, thumbnails):
    subject.judge = subject.judge[:1]
    with pytest.raises(InputError, match=r"both classifier and scenes.*judge\.safetensors alone"):
        scored(subject, thumbnails)


def test_judge_answers_with_names(weights, scenes, stimuli):
    judge = SceneJudge(weights, scenes)
    truth = judge.truth(np.array([7, 2, 7]))
    drawn = [sample(1, index) for index in (7, 2, 7)]
    assert truth["object"].tolist() == [scene.objects[0].kind for scene in drawn]
    assert truth["background"].tolist() == [scene.background for scene in drawn]
    found = judge.names_of(stimuli[:6])
    model = SceneClassifier.from_file(weights)
    small = [np.asarray(Image.fromarray(p).resize((64, 64), Image.Resampling.BILINEAR)) for p in stimuli[:6]]
    kinds, places = model.probabilities(np.stack(small))
    assert found["object"].tolist() == [KINDS[k] for k in kinds.argmax(1)]
    assert found["background"].tolist() == [BACKGROUNDS[k] for k in places.argmax(1)]


def test_table_of_scenes_that_does_not_fit(weights, scenes, tmp_path):
    with pytest.raises(InputError, match=r"scenes\.parquet: expected one row.*image 40 \(2 are missing\)"):
        SceneJudge(weights, scenes).truth(np.array([3, 50, 40]))
    pd.DataFrame({"image_id": [1], "kind": ["cat"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: expected a table .* main_kind"):
        SceneJudge(weights, tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("image_id")
    for name in ("text.parquet", "none.parquet"):
        with pytest.raises(InputError, match=rf"{name}: expected a table"):
            SceneJudge(weights, tmp_path / name)


@pytest.mark.usefixtures("knowing")
def test_networks_of_a_published_preset(subject, tmp_path, monkeypatch):
    """Random weights under mindeye2: two layers of a network, a distance of another, and what is missing."""
    files = {}
    for name in ("alexnet", "efficientnet"):
        files[name] = tmp_path / f"{name}.pth"
        torch.save(random_tensors(name), files[name])
    preset = metrics.PRESETS["mindeye2"]
    small = {**preset.networks, "alexnet": 64, "efficientnet": 32}  # for time
    monkeypatch.setitem(metrics.PRESETS, "mindeye2", dataclasses.replace(preset, networks=small))
    evaluation = {**EVALUATION, "preset": "mindeye2"}
    scores = scored(subject, PresetNetworks("mindeye2", files), evaluation)
    table = scores.summary_table().set_index(["variant", "picture", "metric"])
    measured = table[table["not_measured"] == ""]
    variants = [
        *(("decoded", "base"), ("shuffled", "base"), ("decoded", "final")),
        *(("swapped", "final"), ("mean_image", "baseline")),
    ]
    for metric in ("pixcorr", "ssim", "alexnet2_two_way", "alexnet5_two_way", "efficientnet_distance"):
        assert {(*variant, metric) for variant in variants} <= set(measured.index)
        assert (measured.xs(metric, level="metric")["better"] == "lower").all() == ("distance" in metric)
    # the reconstructions are the stimuli, but for their ways through the stores
    decoded = measured.sort_index().loc["decoded", "final"]
    assert decoded.loc["alexnet2_two_way", "mean"] == 1
    assert decoded.loc["efficientnet_distance", "mean"] < 0.05
    assert decoded.loc["efficientnet_distance", "p"] == pytest.approx(1 / 201, abs=0.01)
    assert decoded.loc["efficientnet_distance", "shuffled"] > decoded.loc["efficientnet_distance", "mean"]
    other = measured.loc[("swapped", "final", "efficientnet_distance")]
    assert other["n"] == 4
    assert other["mean"] > decoded.loc["efficientnet_distance", "mean"]
    missing = table[table["not_measured"] != ""]
    metrics_missing = [
        "inception_two_way",
        "clip_two_way",
        "swav_distance",
        "lpips_two_way",
        "lpips_distance",
    ]
    assert missing.index.tolist() == [("decoded", "final", metric) for metric in metrics_missing]
    assert missing["mean"].isna().all()
    assert "evaluation.networks names no weights of lpips" in missing["not_measured"].iloc[-1]
    assert measured.loc[("decoded", "vision", "retrieval_image"), "mean"] == 1
    assert measured.loc[("decoded", "vision", "retrieval_brain"), "mean"] == 1
    assert measured.loc[("shuffled", "vision", "retrieval_image"), "shuffled"] == pytest.approx(
        1 / 8, abs=0.05
    )
    tests = scores.comparisons().set_index(["comparison", "metric"])["better"]
    assert tests["final against base", "efficientnet_distance"] == "lower"
    assert tests["final against base", "alexnet5_two_way"] == "higher"
