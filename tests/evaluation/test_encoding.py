"""Brain correlation by an encoding model, against scikit-learn's ridge and correlations taken one by one."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.datasets.dataset import DataSet
from neural_recon.decoding.cross_validation import STEPS, make_folds
from neural_recon.decoding.kernel import Kernel
from neural_recon.evaluation import encoding
from neural_recon.features.space import Space

N_TRAIN, N_TEST, N_VOXELS, N_FEATURES = 60, 24, 30, 12


@pytest.fixture
def problem(rng):
    """Pictures of features, and voxels of which each follows some of them; the last one none."""
    weights = rng.normal(size=(N_FEATURES, N_VOXELS)) * (rng.random((N_FEATURES, N_VOXELS)) < 0.4)
    weights[:, -1] = 0
    features = rng.normal(size=(N_TRAIN + N_TEST, N_FEATURES)) * np.linspace(0.1, 5, N_FEATURES) + 3
    signal = (features - 3) @ weights
    noise = rng.normal(size=(3, *signal.shape)) * 3
    return SimpleNamespace(
        train=features[:N_TRAIN],
        test=features[N_TRAIN:],
        responses=(signal + noise.mean(axis=0))[:N_TRAIN].astype(np.float32),
        trials=(signal + noise)[:, N_TRAIN:].astype(np.float32),
        noise_ceiling=signal.var(axis=0) / (signal.var(axis=0) + 3),
    )


def test_predictions_are_those_of_a_ridge_per_voxel_with_its_own_penalty(problem):
    found, alphas = encoding.predict_responses(problem.train, problem.responses, problem.test, seed=3)
    scaler = StandardScaler().fit(problem.train)
    x, others = scaler.transform(problem.train), scaler.transform(problem.test)
    scale = Kernel.of(x.astype(np.float32), others.astype(np.float32)).scale
    tried = [float(f"{scale * 10 ** (step / 2):.2g}") for step in STEPS]
    folds = np.empty(N_TRAIN, int)
    for number, (_, rows) in enumerate(make_folds(N_TRAIN, 5, 3)):
        folds[rows] = number
    for voxel, alpha in enumerate(alphas[:6]):
        y = problem.responses[:, voxel]
        errors = [
            np.mean([
                np.mean((Ridge(one).fit(x[train], y[train]).predict(x[held_out]) - y[held_out]) ** 2)
                for train, held_out in PredefinedSplit(folds).split()
            ])
            for one in tried
        ]  # fmt: skip
        assert alpha == tried[int(np.argmin(errors))]
        expected = Ridge(alpha).fit(x, y).predict(others)
        np.testing.assert_allclose(found[:, voxel], expected, rtol=1e-3, atol=1e-3)


def test_a_feature_that_never_varied_in_training_changes_no_prediction(problem):
    def with_column(features, value):
        return np.column_stack([features, np.full(len(features), value)])

    expected, _ = encoding.predict_responses(problem.train, problem.responses, problem.test)
    found, _ = encoding.predict_responses(
        with_column(problem.train, 0.1), problem.responses, with_column(problem.test, 9.0)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_both_measures_are_means_of_plain_correlations(rng):
    measured = rng.normal(size=(20, 15))
    predicted = 0.5 * measured + rng.normal(size=measured.shape)
    predicted[:, 3] = 7  # a voxel whose prediction never varies
    patterns, voxels = encoding.of_patterns(measured, predicted), encoding.of_voxels(measured, predicted)
    over_voxels = [np.corrcoef(measured[i], predicted[i])[0, 1] for i in range(20)]
    over_images = [np.corrcoef(measured[:, v], predicted[:, v])[0, 1] if v != 3 else 0 for v in range(15)]
    np.testing.assert_allclose(patterns.values, over_voxels)
    assert voxels.values.mean() == pytest.approx(np.mean(over_images))
    for score in (patterns, voxels):
        assert np.diagonal(score.matrix).mean() == pytest.approx(score.values.mean())
    order = rng.permutation(20)
    again = [np.corrcoef(measured[:, v], predicted[order, v])[0, 1] if v != 3 else 0 for v in range(15)]
    assert voxels.matrix[np.arange(20), order].mean() == pytest.approx(np.mean(again))


def test_what_an_image_adds_gives_the_spread_of_a_bootstrap_that_correlates_anew(rng):
    measured = rng.normal(size=(150, 6))
    predicted = 1.5 * measured + rng.normal(size=measured.shape)
    values = encoding.of_voxels(measured, predicted).values
    drawn = [rng.integers(0, 150, 150) for _ in range(2000)]
    anew = np.std([encoding.of_voxels(measured[rows], predicted[rows]).values.mean() for rows in drawn])
    assert np.std([values[rows].mean() for rows in drawn]) == pytest.approx(anew, rel=0.05)


def scored(problem, pictured):
    """Scores and tests of pictures with these features, of all voxels and a region."""
    features = {pair: part for pair, (_, part) in pictured.items()}
    predicted, _ = encoding.predict_responses(
        problem.train, problem.responses, np.concatenate(list(features.values()))
    )
    parts = np.split(predicted, np.cumsum([len(part) for part in features.values()])[:-1])
    ids = np.arange(N_TEST)
    responses = {
        "test": problem.trials.mean(axis=0),
        "trials": problem.trials.reshape(-1, N_VOXELS),
        "trial_ids": np.tile(ids, 3),
        "noise_ceiling": problem.noise_ceiling,
    }
    columns = {"all voxels": np.arange(N_VOXELS), "half": np.arange(15)}
    found = {
        pair: encoding.Pictured(rows, part)
        for (pair, (rows, _)), part in zip(pictured.items(), parts, strict=True)
    }
    return encoding.score_regions("subj01", columns, responses, found, 0, 300)


def test_ceiling_chance_and_the_shuffled_control_are_where_they_must_be(problem, rng):
    every, some = np.arange(N_TEST), np.arange(0, N_TEST, 2)
    near = problem.test + rng.normal(size=problem.test.shape)
    pictured = {
        encoding.SEEN: (every, problem.test),
        encoding.FINAL: (every, near),
        ("decoded", "base"): (every, near + 3 * rng.normal(size=near.shape)),
        ("shuffled", "final"): (some, rng.permutation(problem.test)[some]),
    }
    scores, tests = scored(problem, pictured)
    assert list(scores) == encoding.SCORES
    assert list(tests) == encoding.TESTS
    table = scores.set_index(["region", "measure", "variant", "picture"]).sort_index()
    for region in ("all voxels", "half"):
        for measure in encoding.MEASURES:
            seen, final, base, shuffled = (table.loc[(region, measure, *pair)] for pair in pictured)
            assert seen["noise_ceiling"] > seen["mean"] > final["mean"] > base["mean"] > shuffled["mean"]
            np.testing.assert_allclose([seen["seen"], final["seen"]], seen["mean"])
            assert abs(seen["chance"]) < 0.1
            assert seen["p"] == pytest.approx(1 / 301)
            assert shuffled["p"] > 0.05
            assert (shuffled["n"], seen["n"]) == (len(some), N_TEST)
            assert final["ci_low"] < final["mean"] < final["ci_high"]
    by_name = tests[tests["region"] == "all voxels"].set_index(["measure", "comparison"])
    assert set(tests["comparison"]) == {
        "final against base", "final against the shuffled decoder", "final against the picture seen",
    }  # fmt: skip
    assert (by_name.xs("final against the shuffled decoder", level="comparison")["p_holm"] < 0.05).all()
    assert (by_name.xs("final against base", level="comparison")["n"] == N_TEST).all()


def test_images_of_one_trial_have_no_ceiling_over_voxels(problem):
    ids = np.arange(N_TEST)
    predicted, _ = encoding.predict_responses(problem.train, problem.responses, problem.test)
    responses = {
        "test": problem.trials[0], "trials": problem.trials[0], "trial_ids": ids,
        "noise_ceiling": np.full(N_VOXELS, np.nan, np.float32),
    }  # fmt: skip
    found = {encoding.SEEN: encoding.Pictured(ids, predicted)}
    scores, tests = encoding.score_regions("s", {"all voxels": np.arange(N_VOXELS)}, responses, found, 0, 100)
    assert scores["noise_ceiling"].isna().all()
    assert scores["mean"].notna().all()
    assert len(tests) == 0


class Lines(Space):
    """The mean of each row of a picture."""

    def encode(self, batch, image_ids):  # noqa: ARG002
        self.parts = [batch.shape[1]]
        return batch.mean(axis=(2, 3), dtype=np.float32)


class Table(DataSet):
    """No data, but regions by the columns of a table of voxels."""

    subjects, n_images = (), 0
    sessions = trials = voxels = betas = pictures = files = None

    def __init__(self):
        pass


def test_a_subject_s_files_give_scores_of_every_picture_and_region(tmp_path, rng):
    pictures = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    lines = pictures.mean(axis=(2, 3))
    signal = (lines - lines.mean(axis=0)) / lines.std(axis=0) @ rng.normal(size=(8, 25))
    trials = (signal[40:, None] + rng.normal(size=(20, 2, 25))).astype(np.float32)
    responses, voxels = tmp_path / "responses.h5", tmp_path / "voxels.parquet"
    write_hdf5(
        responses,
        {
            "train": signal[:40].astype(np.float32), "train_ids": np.arange(40), "test": trials.mean(axis=1),
            "test_ids": np.arange(40, 60), "trials": trials.reshape(40, 25),
            "trial_ids": np.repeat(np.arange(40, 60), 2), "voxel": np.arange(1, 26),
            "noise_ceiling": np.full(25, 0.5, np.float32),
        },
        {},
    )  # fmt: skip
    region = ["", *["V1"] * 12, *["V2"] * 9, *["tMTL"] * 4]
    write_table(voxels, pd.DataFrame({"x": 0, "y": 0, "z": 0, "area": region, "other": ["tMTL"] * 26}))
    (tmp_path / "base").mkdir()
    for name, made in (("decoded", pictures[40:]), ("base/decoded", pictures[40:][:, ::-1])):
        write_hdf5(tmp_path / f"{name}.h5", {"images": made[::-1], "image_id": np.arange(59, 39, -1)}, {})
    files = SimpleNamespace(
        responses=responses, voxels=voxels, final=[tmp_path / "decoded.h5"],
        base=[tmp_path / "base/decoded.h5"],
    )  # fmt: skip
    columns = encoding.region_columns(Table(), files, {}, "s")
    assert {name: len(found) for name, found in columns.items()} == {
        "all voxels": 25, "V1": 12, "other/tMTL": 25,
    }  # fmt: skip
    assert columns["V1"].tolist() == list(range(12))
    scores, tests, table = encoding.score_subject(
        "s", files, lambda ids: pictures[ids], Lines("it", None, 0), columns, 0, 100
    )
    means = scores.set_index(["region", "measure", "variant", "picture"])["mean"]
    assert (
        means["all voxels", "patterns", "decoded", "final"] == means["all voxels", "patterns", "seen", "seen"]
    )
    assert means["V1", "voxels", "decoded", "final"] > 0.6 > means["V1", "voxels", "decoded", "base"]
    assert set(tests["comparison"]) == {"final against base", "final against the picture seen"}
    assert table["voxel"].tolist() == list(range(1, 26))
    assert table["r"].mean() == pytest.approx(means["all voxels", "voxels", "seen", "seen"])
