"""Scores of single targets: against theory on simulated linear targets, scikit-learn and NumPy."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge import predict
from neural_recon.decoding.target_scores import REPAIRINGS, by_part, chance_level, score_targets

REPETITIONS = 3


def simulate(rng, n_train=900, n=700, p=12, noise=2.0, repetitions=None):
    """Voxels that are p independent signals and noise; single trials of n test images with training ones.

    Targets: the signals themselves, the signals and as much of what no voxel holds, pure noise, a constant.
    """
    signal = rng.standard_normal((n_train + n, p))
    repetitions = np.full(n, REPETITIONS) if repetitions is None else repetitions
    image = rng.permutation(np.repeat(np.arange(n), repetitions))
    train = signal[:n_train] + noise / np.sqrt(REPETITIONS) * rng.standard_normal((n_train, p))
    trials = signal[n_train:][image] + noise * rng.standard_normal((len(image), p))
    hidden, alone = (rng.standard_normal((n_train + n, p)) for _ in range(2))
    targets = np.concatenate([signal, signal + hidden, alone, np.ones((len(signal), 1))], axis=1)
    mean = np.stack([trials[image == i].mean(0) for i in range(n)])
    targets = targets.astype(np.float32)
    return train, trials, image, mean, targets[:n_train], targets[n_train:]


def scored(train, trials, image, mean, y, y_test, alpha=1.0, calibration="train", **options):
    written = predict(train, mean, y, alpha, calibration)
    parts = options.pop("parts", [12, 12, 12, 1])
    kernel = Kernel.of(train, trials)
    return score_targets(kernel, image, y, y_test, written, alpha, parts, 0, **options), written


def test_r_and_ceiling_of_linear_targets_are_those_of_theory(rng):
    noise = 2.0
    table, _ = scored(*simulate(rng, noise=noise))
    # a voxel of averaged responses: signal 1, noise noise^2 / 3; the fit adds next to no error
    reliability = 1 / (1 + noise**2 / REPETITIONS)
    means = table.groupby("part")[["r", "ceiling"]].mean()
    assert means.loc[1, "r"] == pytest.approx(np.sqrt(reliability), abs=0.02)
    assert means.loc[2, "r"] == pytest.approx(np.sqrt(reliability / 2), abs=0.03)
    assert means.loc[[1, 2], "ceiling"].to_numpy() == pytest.approx(np.sqrt(reliability), abs=0.02)


def test_unequal_repetitions_and_other_noise(rng):
    repetitions = rng.integers(1, 4, 700)
    table, _ = scored(*simulate(rng, noise=1.0, repetitions=repetitions))
    expected = np.sqrt(1 / (1 + np.mean(1 / repetitions)))
    assert table.loc[:23, "ceiling"].mean() == pytest.approx(expected, abs=0.02)
    assert table.loc[:11, "r"].mean() == pytest.approx(expected, abs=0.02)


def test_ceiling_agrees_with_split_halves(rng):
    """Two repetitions: the Spearman-Brown correction of their correlation."""
    data = simulate(rng, n=2000, repetitions=np.full(2000, 2))
    train, trials, image, _, y, _ = data
    table, _ = scored(*data)
    single = predict(train, trials, y, 1.0, "none")
    order = np.argsort(image, kind="stable")
    halves = single[order][::2], single[order][1::2]
    for target in (0, 5, 13):
        r = np.corrcoef(halves[0][:, target], halves[1][:, target])[0, 1]
        assert table["ceiling"][target] == pytest.approx(np.sqrt(2 * r / (1 + r)), abs=0.01)


def test_pure_noise_stays_at_chance(rng):
    table, _ = scored(*simulate(rng))
    alone = by_part(table, 700).set_index("part").loc[3]
    assert abs(alone["r"]) < 0.04
    assert alone["above"] <= 0.25  # of 12 targets
    assert by_part(table, 700).set_index("part").loc[1, "above"] == 1
    assert alone["above_re_paired"] == pytest.approx(0.05, abs=0.03)
    assert alone["r2"] < -0.5  # calibrated: spread without relation
    assert abs(alone["r2_ridge"]) < 0.05


def test_scores_are_those_of_numpy_and_scikit_learn(rng):
    data = simulate(rng)
    table, written = scored(*data)
    train, _, _, mean, y, y_test = data
    plain = predict(train, mean, y, 1.0, "none")
    for target in (0, 12, 30):
        truth = y_test[:, target]
        assert table["r"][target] == pytest.approx(np.corrcoef(truth, written[:, target])[0, 1], abs=1e-5)
        assert table["r2"][target] == pytest.approx(r2_score(truth, written[:, target]), abs=1e-5)
        assert table["r2_ridge"][target] == pytest.approx(r2_score(truth, plain[:, target]), abs=1e-4)


@pytest.mark.parametrize("n", [20, 982])
def test_chance_level_is_that_of_permutations(rng, n):
    x, y = np.exp(rng.standard_normal((2, n)))  # skewed
    r = [np.corrcoef(x, rng.permutation(y))[0, 1] for _ in range(4000)]
    assert np.mean(np.array(r) > chance_level(n)) == pytest.approx(0.05, abs=0.025)
    assert np.var(r) == pytest.approx(1 / (n - 1), rel=0.15)


def test_targets_without_spread_are_left_out(rng):
    train, trials, image, mean, y, y_test = simulate(rng)
    y[:, 0] = 2.5  # predicted as a constant
    table, _ = scored(train, trials, image, mean, y, y_test)
    assert table.iloc[36].drop("part").isna().all()
    assert table["r"][0] == table["ceiling"][0] == 0
    parts = by_part(table, 700).set_index("part")
    assert parts["targets"].tolist() == [36, 12, 12, 12, 0]
    assert np.isnan(parts.loc[4, "r"])
    assert np.isnan(parts.loc[4, "above"])


def test_blocks_change_nothing_and_penalties_may_differ(rng):
    data = simulate(rng, n_train=200, n=60)
    alpha = np.where(np.arange(37) < 20, 1.0, 300.0)
    whole, _ = scored(*data, alpha=alpha)
    parts, _ = scored(*data, alpha=alpha, block=5)
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    other, _ = scored(*data, alpha=1.0)
    assert not np.allclose(whole["r2_ridge"][20:36], other["r2_ridge"][20:36])
    assert np.isin(np.round(whole["re_paired"].dropna() * REPAIRINGS, 3), np.arange(REPAIRINGS + 1)).all()


def test_no_ceiling_without_repetitions(rng):
    table, _ = scored(*simulate(rng, n=50, repetitions=np.ones(50, int)))
    assert table["ceiling"].isna().all()
    assert table["r"].notna().sum() == 36


def test_what_does_not_fit_is_named(rng):
    data = simulate(rng, n_train=50, n=20)
    with pytest.raises(ValueError, match="parts of 36 in all"):
        scored(*data, parts=[36])
    train, trials, image, *rest = data
    with pytest.raises(ValueError, match="a trial each, found 19"):
        scored(train, trials, np.where(image == 19, 18, image), *rest)
