"""Refits on less data: on a simulated subject, against the whole chain by hand."""

import numpy as np
import pandas as pd
import pytest

from neural_recon.core.errors import InputError
from neural_recon.decoding.ridge import predict
from neural_recon.evaluation.controls.data_amount import (
    Decoder,
    Sample,
    first_sessions,
    learning_curves,
    responses_of,
    sample_features,
)
from neural_recon.evaluation.metrics import two_way_identification
from neural_recon.features.feature_files import write_chunk
from neural_recon.responses.preparation import prepare

SESSIONS, PER_SESSION, IMAGES, TEST = 4, 120, 160, 40
CV = {"alphas": [10.0, 1000.0], "folds": 3, "targets": 20, "groups": "space", "contiguous": False}


@pytest.fixture
def subject(rng):
    """Betas by session, trials, voxels, features: 160 images shown three times, 40 of them for testing."""
    ids = 5 * np.concatenate([rng.permutation(IMAGES) for _ in range(3)])
    trials = pd.DataFrame(
        {
            "session": np.repeat(np.arange(1, SESSIONS + 1), PER_SESSION),
            "image_id": ids,
            "split": np.where(ids < 5 * TEST, "test", "train"),
        }
    )
    latent = rng.standard_normal((IMAGES, 25))
    signal = latent @ rng.standard_normal((25, 60))
    betas = (signal[ids // 5] + 12 * rng.standard_normal((len(ids), 60))).astype(np.float32)
    values = latent @ rng.standard_normal((25, 90)) + 0.5 * rng.standard_normal((IMAGES, 90))
    image_ids = 5 * np.arange(IMAGES)
    features = {
        "vdvae": Sample(values.astype(np.float16), image_ids),
        "text": Sample(rng.standard_normal((IMAGES, 30)).astype(np.float16), image_ids),  # no relation
    }
    voxels = pd.DataFrame({"x": np.arange(60), "y": 0, "z": 0})
    return [betas[trials["session"] == s] for s in range(1, SESSIONS + 1)], trials, voxels, features


def curves(subject, alpha=("cv", 50.0), sessions=(1, 2, 4, 9), shares=(0.1, 0.5, 1), draws=2, zscore="train"):
    betas, trials, voxels, features = subject
    decoder = Decoder(dict(zip(features, alpha, strict=True)), CV, "train", 3)
    found = learning_curves(
        lambda: iter(betas), trials, voxels, zscore, features, decoder, sessions, shares, draws
    )
    return found


def test_more_data_score_better_and_noise_stays_at_chance(subject):
    table = curves(subject)
    related = table[table["space"] == "vdvae"]
    sizes = related[related["draw"] == 0]
    assert sizes["sessions"].tolist() == [1, 2, 4]  # 9 there are none of, and all come once
    assert sizes["score"].is_monotonic_increasing
    assert sizes["score"].iloc[-1] > sizes["score"].iloc[0] + 0.05
    assert sizes["training_trials"].iloc[-1] == 3 * (IMAGES - TEST)
    voxels = related[related["sessions"] == 4].groupby("voxels")["score"].mean()
    assert voxels.index.tolist() == [6, 30, 60]
    assert voxels.is_monotonic_increasing
    assert (related["low"] < related["score"]).all()
    assert (related["high"] > related["score"]).all()
    unrelated = table[table["space"] == "text"]
    assert unrelated["score"].mean() == pytest.approx(0.5, abs=0.05)
    assert np.abs(table["chance"] - 0.5).max() < 0.01


def test_all_sessions_are_the_workflow_itself(subject):
    betas, trials, voxels, features = subject
    full = curves(subject, alpha=(70.0, 50.0), sessions=(), shares=())
    assert len(full) == 2
    data = prepare(iter(betas), trials, voxels)
    for space, alpha in (("vdvae", 70.0), ("text", 50.0)):
        sample = features[space]
        found = predict(data.train, data.test, sample.rows(data.train_ids), alpha, "train", seed=3)
        expected = two_way_identification(sample.rows(data.test_ids), found).mean()
        assert full.set_index("space").loc[space, "score"] == pytest.approx(expected, abs=1e-6)


def test_fewer_sessions_take_their_own_statistics_and_all_test_trials(subject):
    betas, trials, voxels, _ = subject
    data = responses_of(iter(betas), trials, voxels, "train", 2)
    early = (trials["session"] <= 2) & (trials["split"] == "train")
    shown = trials.loc[early, "image_id"]
    assert data.train_ids.tolist() == sorted(set(shown))
    assert data.train_repetitions.sum() == len(shown)
    assert (data.test_repetitions == 3).all()
    means = pd.DataFrame(np.concatenate(betas)[early.to_numpy()]).groupby(shown.to_numpy()).mean()
    np.testing.assert_allclose(data.mean, means.mean(), atol=1e-4)
    np.testing.assert_allclose(data.std, means.std(), atol=1e-4)
    # nothing of the later sessions' training trials is in it
    late = trials["session"].gt(2) & (trials["split"] == "train")
    other = np.concatenate(betas)
    other[late.to_numpy()] += 100
    again = responses_of(np.split(other, SESSIONS), trials, voxels, "train", 2)
    assert (again.train == data.train).all()
    assert (again.test == data.test).all()


def test_sessions_z_scored_each_by_its_own_trials(subject):
    betas, trials, voxels, _ = subject
    for sessions in (betas, [k + 1 + (k + 1) * part for k, part in enumerate(betas)]):  # drift and gain
        whole = responses_of(iter(sessions), trials, voxels, "session", SESSIONS)
        np.testing.assert_allclose(whole.test, prepare(betas, trials, voxels, "session").test, atol=1e-4)
    fewer = responses_of(iter(betas), trials, voxels, "session", 1)
    drifting = [betas[0], *(3 * part + 7 for part in betas[1:])]
    np.testing.assert_allclose(
        responses_of(drifting, trials, voxels, "session", 1).test, fewer.test, atol=1e-4
    )


def test_first_sessions_keep_every_test_trial(subject):
    trials = subject[1]
    found = first_sessions(trials, 1)
    assert (found["split"] == "test").equals(trials["split"] == "test")
    assert set(found.loc[found["split"] == "train", "session"]) == {1}
    assert first_sessions(trials, SESSIONS).equals(trials)


def test_penalty_is_chosen_anew_or_stays(subject):
    table = curves(subject)
    assert set(table.loc[table["space"] == "text", "alpha"]) == {50.0}
    assert set(table.loc[table["space"] == "vdvae", "alpha"]) <= set(CV["alphas"])
    alone = curves(subject, alpha=(10.0, "cv"), sessions=(), shares=())
    assert alone.set_index("space").loc["text", "alpha"] == 1000.0  # nothing to learn


def test_draws_are_seeded_and_differ(subject):
    options = {"sessions": (), "shares": (0.5,)}
    table = curves(subject, **options)
    assert table.equals(curves(subject, **options))
    drawn = table[(table["space"] == "vdvae") & (table["draw"] > 0)]
    assert drawn["draw"].tolist() == [1, 2]
    assert drawn["score"].nunique() == 2


def test_session_without_training_trials_is_named(subject):
    betas, trials, voxels, _ = subject
    trials = trials.assign(split=trials["split"].mask(trials["session"] == 1, "unused"))
    with pytest.raises(InputError, match="train images: expected at least 2"):
        responses_of(iter(betas), trials, voxels, "train", 1)


def test_sample_has_the_columns_of_all_images(tmp_path, rng):
    values = rng.standard_normal((6, 3000)).astype(np.float16)
    ids = np.array([40, 10, 30, 20, 60, 50])
    for k in (0, 1):
        part = slice(3 * k, 3 * k + 3)
        write_chunk(tmp_path / f"{k}.h5", values[part], np.zeros(3, bool), ids[part], {})
    paths = [tmp_path / "0.h5", tmp_path / "1.h5"]
    sample = sample_features(paths, np.sort(ids), 128, seed=1)
    assert sample.values.shape == (6, 128)
    by_id = values[np.argsort(ids)]
    columns = [np.flatnonzero((by_id == column[:, None]).all(0)) for column in sample.values.T]
    assert len(np.unique(np.concatenate(columns))) == 128
    np.testing.assert_array_equal(sample.rows(np.array([20, 60])), sample.values[[1, 5]])
    whole = sample_features(paths, np.sort(ids), 5000, seed=1)
    np.testing.assert_array_equal(whole.values, by_id)
