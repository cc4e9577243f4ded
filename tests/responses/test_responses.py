"""Z-scored responses: against plain pandas and a simulation with known truth."""

import logging

import h5py
import numpy as np
import pandas as pd
import pytest

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_parameters
from neural_recon.responses.noise_ceilings import of_images
from neural_recon.responses.preparation import prepare, write_responses


def make_trials(rng, n_sessions=3, per_session=20, n_images=15):
    """Images 0, 7, 14 ...; the first third is the test set, the last one unused."""
    ids = 7 * rng.permutation(np.arange(n_sessions * per_session) % n_images)
    return pd.DataFrame(
        {
            "session": np.repeat(np.arange(1, n_sessions + 1), per_session),
            "trial": np.tile(np.arange(1, per_session + 1), n_sessions),
            "image_id": ids,
            "split": np.select([ids < 35, ids < 98], ["test", "train"], "unused"),
        }
    )


def sessions_of(trials, betas):
    return [betas[(trials["session"] == s).to_numpy()] for s in trials["session"].unique()]


def voxel_table(n):
    return pd.DataFrame({"x": np.arange(n), "y": 0, "z": 0})


def expected_rows(trials, betas, split):
    """Mean over repetitions by pandas: (ids, rows, repetitions)."""
    groups = pd.DataFrame(betas).groupby(trials["image_id"].where(trials["split"] == split))
    return groups.mean().index.to_numpy(int), groups.mean().to_numpy(), groups.size().to_numpy()


def test_averages_and_training_statistics(rng):
    trials = make_trials(rng)
    betas = rng.normal(2, 3, (60, 5)).astype(np.float32)
    result = prepare(iter(sessions_of(trials, betas)), trials, voxel_table(5))
    train_ids, train, train_n = expected_rows(trials, betas, "train")
    test_ids, test, test_n = expected_rows(trials, betas, "test")
    assert result.train_ids.tolist() == train_ids.tolist()
    assert result.test_ids.tolist() == test_ids.tolist()
    assert result.train_repetitions.tolist() == train_n.tolist()
    assert result.test_repetitions.tolist() == test_n.tolist()
    mean, std = train.mean(0), train.std(0, ddof=1)
    np.testing.assert_allclose(result.train, (train - mean) / std, atol=1e-5)
    np.testing.assert_allclose(result.test, (test - mean) / std, atol=1e-5)
    np.testing.assert_allclose(result.std, std, rtol=1e-5)
    assert result.train.dtype == result.test.dtype == result.trials.dtype == np.float32
    in_test = (trials["split"] == "test").to_numpy()
    assert result.trial_ids.tolist() == trials.loc[in_test, "image_id"].tolist()
    np.testing.assert_allclose(result.trials, (betas[in_test] - mean) / std, atol=1e-5)


@pytest.mark.parametrize("zscore", ["train", "session"])
def test_mean_of_the_single_trials_is_the_test_response(rng, zscore):
    trials = make_trials(rng)
    betas = rng.normal(2, 3, (60, 5)).astype(np.float32)
    result = prepare(sessions_of(trials, betas), trials, voxel_table(5), zscore)
    means = np.stack([result.trials[result.trial_ids == i].mean(0) for i in result.test_ids])
    np.testing.assert_allclose(means, result.test, atol=1e-5)


@pytest.mark.parametrize("zscore", ["train", "session"])
def test_training_on_single_trials(rng, zscore):
    trials = make_trials(rng)
    betas = rng.normal(2, 3, (60, 5)).astype(np.float32)
    averaged = prepare(sessions_of(trials, betas), trials, voxel_table(5), zscore)
    result = prepare(sessions_of(trials, betas), trials, voxel_table(5), zscore, average=False)
    in_train = (trials["split"] == "train").to_numpy()
    assert result.train_ids.tolist() == trials.loc[in_train, "image_id"].tolist()
    assert set(result.train_repetitions) == {1}
    np.testing.assert_allclose(result.train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(result.train.std(0, ddof=1), 1, rtol=1e-5)
    # the same responses in another unit: the spread of single trials is larger
    raw = result.train * result.std + result.mean
    means = np.stack([raw[result.train_ids == i].mean(0) for i in averaged.train_ids])
    np.testing.assert_allclose(means, averaged.train * averaged.std + averaged.mean, atol=1e-4)
    np.testing.assert_allclose(
        result.test * result.std + result.mean, averaged.test * averaged.std + averaged.mean, atol=1e-4
    )
    assert (result.std > averaged.std).all()


def test_noise_ceiling_from_ncsnr(rng):
    trials = make_trials(rng)
    betas = rng.normal(size=(60, 4)).astype(np.float32)
    betas[:, 1] = 0  # dropped
    ncsnr = np.array([0.5, 9.0, 0.0, 2.0])
    result = prepare(sessions_of(trials, betas), trials, voxel_table(4), ncsnr=ncsnr)
    repetitions = result.test_repetitions
    expected = [x**2 / (x**2 + np.mean(1 / repetitions)) for x in (0.5, 0.0, 2.0)]
    np.testing.assert_allclose(result.noise_ceiling, expected, rtol=1e-6)


def test_test_trials_change_nothing_about_training(rng):
    trials = make_trials(rng)
    betas = rng.normal(size=(60, 5)).astype(np.float32)
    other = betas.copy()
    other[(trials["split"] != "train").to_numpy()] += 100
    for zscore in ("train", "session"):
        one = prepare(sessions_of(trials, betas), trials, voxel_table(5), zscore)
        two = prepare(sessions_of(trials, other), trials, voxel_table(5), zscore)
        assert (one.train == two.train).all()
        assert (one.mean == two.mean).all()
        assert not np.allclose(one.test, two.test)


def test_zscore_by_session_removes_drift(rng):
    trials = make_trials(rng)
    betas = rng.normal(size=(60, 4))
    drift = np.array([0.0, 30.0, -5.0])[trials["session"] - 1][:, None]
    gain = np.array([1.0, 2.0, 0.5])[trials["session"] - 1][:, None]
    plain = prepare(sessions_of(trials, betas), trials, voxel_table(4), "session")
    drifting = prepare(sessions_of(trials, betas * gain + drift), trials, voxel_table(4), "session")
    np.testing.assert_allclose(plain.test, drifting.test, atol=1e-4)

    scaled = betas.copy()
    for s in (1, 2, 3):
        rows = (trials["session"] == s).to_numpy()
        training = betas[rows & (trials["split"] == "train").to_numpy()]
        scaled[rows] = (betas[rows] - training.mean(0)) / training.std(0, ddof=1)
    _, train, _ = expected_rows(trials, scaled, "train")
    np.testing.assert_allclose(plain.train, (train - train.mean(0)) / train.std(0, ddof=1), atol=1e-4)


@pytest.mark.parametrize("zscore", ["train", "session"])
def test_voxels_without_signal_are_dropped_and_counted(rng, caplog, zscore):
    trials = make_trials(rng)
    betas = rng.normal(size=(60, 7)).astype(np.float32)
    betas[3, 0] = np.nan  # one trial
    betas[20:40, 2] = np.nan  # one session
    betas[25, 3] = np.inf
    betas[40:, 5] = 0  # constant in one session
    betas[:, 6] = 1.5
    with caplog.at_level(logging.WARNING):
        result = prepare(sessions_of(trials, betas), trials, voxel_table(7), zscore)
    assert result.voxel.tolist() == [1, 4]
    assert list(result.dropped.values()) == [3, 2]
    assert "3 of 7 voxels dropped: not a number in a session" in caplog.messages
    assert "2 of 7 voxels dropped: constant in a session" in caplog.messages
    clean = prepare(sessions_of(trials, betas[:, [1, 4]]), trials, voxel_table(2), zscore)
    for name in ("train", "test", "trials", "mean", "std", "noise_ceiling"):
        assert np.isfinite(getattr(result, name)).all()
        assert (getattr(result, name) == getattr(clean, name)).all()


def test_constant_training_responses_are_dropped(rng):
    trials = make_trials(rng)
    betas = rng.normal(size=(60, 2))
    betas[(trials["split"] == "train").to_numpy(), 0] = 1
    assert prepare(sessions_of(trials, betas), trials, voxel_table(2)).voxel.tolist() == [1]
    with pytest.raises(InputError, match="voxels with signal"):
        prepare(sessions_of(trials, betas[:, :1]), trials, voxel_table(1))


def test_noise_ceiling_of_known_signal_and_noise(rng):
    n_images, n_voxels = 600, 40
    trials = make_trials(rng, n_sessions=3, per_session=n_images, n_images=n_images)
    trials["split"] = np.where(trials["image_id"] < 7 * 100, "test", "train")
    # every test image has 3 repetitions; drop some trials of the first ten
    lost = trials[(trials["image_id"] < 70) & (trials["session"] == 3)].index
    trials.loc[lost, "split"] = "unused"
    ncsnr = rng.uniform(0.3, 1.5, n_voxels)
    signal = rng.normal(size=(n_images, n_voxels)) * ncsnr
    betas = 5 + 2 * (signal[trials["image_id"] // 7] + rng.normal(size=(len(trials), n_voxels)))
    result = prepare(sessions_of(trials, betas), trials, voxel_table(n_voxels))
    inverse = np.mean(1 / result.test_repetitions)
    assert inverse > 1 / 3
    expected = ncsnr**2 / (ncsnr**2 + inverse)
    assert np.abs(result.noise_ceiling - expected).max() < 0.12
    assert abs((result.noise_ceiling - expected).mean()) < 0.01


def test_noise_ceiling_of_pure_noise_and_of_pure_signal(rng):
    trials = make_trials(rng, per_session=200, n_images=200)
    trials["split"] = np.where(trials["image_id"] < 700, "test", "train")
    noise = rng.normal(size=(600, 50))
    ceiling = prepare(sessions_of(trials, noise), trials, voxel_table(50)).noise_ceiling
    assert ceiling.min() == 0
    assert ceiling.mean() < 0.1
    signal = rng.normal(size=(200, 50))[trials["image_id"] // 7] + 1e-3 * noise
    assert prepare(sessions_of(trials, signal), trials, voxel_table(50)).noise_ceiling.min() > 0.999


def test_no_noise_ceiling_without_repetitions(rng, caplog):
    trials = make_trials(rng, n_sessions=1, per_session=15)
    result = prepare([rng.normal(size=(15, 3))], trials, voxel_table(3))
    assert np.isnan(result.noise_ceiling).all()
    assert "no noise ceiling" in caplog.text


def test_sessions_that_do_not_fit(rng):
    trials = make_trials(rng)
    sessions = sessions_of(trials, rng.normal(size=(60, 3)))
    with pytest.raises(InputError, match="session 2: expected betas of 20 trials and 3 voxels"):
        prepare([sessions[0], sessions[1][:19], sessions[2]], trials, voxel_table(3))
    with pytest.raises(InputError, match="3 sessions, found 2"):
        prepare(sessions[:2], trials, voxel_table(3))
    with pytest.raises(InputError, match="3 sessions, found more"):
        prepare([*sessions, sessions[0]], trials, voxel_table(3))
    with pytest.raises(InputError, match='expected "train" or "session"'):
        prepare(sessions, trials, voxel_table(3), "test")
    trials.loc[(trials["session"] == 2) & (trials["split"] == "train"), "split"] = "unused"
    with pytest.raises(InputError, match="session 2: expected at least 2 training trials"):
        prepare(sessions, trials, voxel_table(3), "session")


def test_written_file(tmp_path, rng):
    trials = make_trials(rng)
    betas = rng.normal(size=(60, 4))
    betas[:, 1] = 0
    result = prepare(sessions_of(trials, betas), trials, voxel_table(4))
    path = tmp_path / "subj01.h5"
    write_responses(path, result, {"subject": "subj01"})
    with h5py.File(path) as file:
        assert (file["train"][()] == result.train).all()
        assert file["voxel"][()].tolist() == [0, 2, 3]
        assert file["test_repetitions"].shape == result.test_ids.shape
    assert read_parameters(path)["dropped"]["constant in a session"] == 1


def test_noise_ceiling_of_an_image_is_the_share_that_its_repetitions_have_in_common(rng):
    """As known signal and noise over voxels have it, and as Spearman and Brown's formula makes it of the
    correlations between repetitions."""
    n_voxels = 20_000
    signal = rng.normal(size=(3, n_voxels)) * np.array([0, 1, 2])[:, None]
    ids = np.array([0] * 3 + [1] * 3 + [2] * 2)
    offsets = rng.normal(size=(8, 1))  # of a trial's mean, which no correlation sees
    trials = signal[ids] + rng.normal(size=(8, n_voxels)) * 2 + offsets
    table = of_images(np.concatenate([trials, trials[:1]]), np.append(ids, 9))
    assert table["image_id"].tolist() == [0, 1, 2, 9]
    assert table["repetitions"].tolist() == [3, 3, 2, 1]
    np.testing.assert_allclose(table["noise_ceiling"][:3], [0, 1 / (1 + 4 / 3), 4 / (4 + 4 / 2)], atol=0.03)
    assert np.isnan(table["noise_ceiling"][3])
    between = np.corrcoef(trials[ids == 1])[np.triu_indices(3, 1)].mean()
    assert table["noise_ceiling"][1] == pytest.approx(3 * between / (1 + 2 * between), abs=0.005)
    measured, noiseless = trials[ids == 2].mean(axis=0), signal[2]
    expected = np.corrcoef(measured, noiseless)[0, 1]
    assert np.sqrt(table["noise_ceiling"][2]) == pytest.approx(expected, abs=0.01)
