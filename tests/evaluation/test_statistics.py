"""Intervals, permutation tests and re-pairings against SciPy and enumeration."""

import itertools

import numpy as np
import pytest
from scipy import stats

from neural_recon.evaluation import metrics, statistics


def test_bootstrap_interval_agrees_with_scipy_and_its_seed(rng):
    values = rng.gamma(2, size=80)
    low, high = statistics.bootstrap_interval(values, seed=1, resamples=20000)
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=rng)
    width = high - low
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.03 * width)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.03 * width)
    assert statistics.bootstrap_interval(values, 1, 20000) == (low, high)
    narrow = statistics.bootstrap_interval(values, seed=1, level=0.5)
    assert low < narrow[0] < values.mean() < narrow[1] < high
    assert statistics.bootstrap_interval(np.full(5, 2.0), 0) == (2.0, 2.0)
    with pytest.raises(ValueError, match="finite"):
        statistics.bootstrap_interval([1.0, np.nan], 0)


def test_paired_permutation_agrees_with_enumeration_and_scipy(rng):
    a = rng.standard_normal(10)
    b = a + np.array([0.9, -0.4, 1.3, 0.2, 0.7, -1.1, 0.5, 1.0, -0.3, 0.6])
    flips = np.array(list(itertools.product([-1, 1], repeat=10)))
    exact = np.mean(np.abs(flips @ (a - b)) >= np.abs((a - b).sum()) - 1e-12)
    p = statistics.paired_permutation(a, b, seed=0, permutations=20000)
    assert 0.02 < exact < 0.5
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20000))
    assert p == statistics.paired_permutation(b, a, seed=0, permutations=20000)
    scipy_p = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert p == pytest.approx(scipy_p.pvalue, abs=0.02)


def test_paired_permutation_is_uniform_without_a_difference_and_never_zero(rng):
    pairs = rng.standard_normal((200, 2, 15))
    p = [statistics.paired_permutation(a, b, seed, 200) for seed, (a, b) in enumerate(pairs)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert statistics.paired_permutation(np.arange(50) + 1, np.zeros(50), 0, 999) == 1 / 1000
    assert statistics.paired_permutation(np.ones(5), np.ones(5), 0) == 1
    with pytest.raises(ValueError, match="same images"):
        statistics.paired_permutation(np.ones(5), np.ones(4), 0)


def test_repairings_agree_with_all_permutations(rng):
    scores = rng.standard_normal((6, 6)) + 0.4 * np.eye(6)
    everything = np.array([scores[np.arange(6), order].mean() for order in itertools.permutations(range(6))])
    true = np.diag(scores).mean()
    for better, exact in (("higher", np.mean(everything >= true)), ("lower", np.mean(everything <= true))):
        result = statistics.repairings(scores, seed=0, n=20000, better=better)
        assert result.score == pytest.approx(true)
        assert result.mean == pytest.approx(scores.mean(), abs=5 * result.sd / np.sqrt(20000))
        assert result.sd == pytest.approx(everything.std(), rel=0.03)
        assert result.p == pytest.approx(exact, abs=0.02)


def test_repairings_of_two_way_identification_find_chance_and_the_signal(rng):
    truth = rng.standard_normal((30, 40))
    r = metrics.correlation_matrix(truth, 0.4 * truth + rng.standard_normal(truth.shape))
    result = statistics.repairings(metrics.two_way_matrix(r), seed=0, n=500)
    assert result.score > 0.8
    assert result.mean == pytest.approx(0.5, abs=0.02)
    assert result.p == 1 / 501
    distances = statistics.repairings(1 - r, seed=0, n=500, better="lower")
    assert distances.p == 1 / 501
    assert statistics.repairings(1 - r, seed=0, n=500, better="higher").p == 1


def test_repairings_count_ties_as_at_least_as_good():
    assert statistics.repairings(np.full((5, 5), 0.1), seed=0, n=100).p == 1
    with pytest.raises(ValueError, match="at least 2"):
        statistics.repairings(np.ones((1, 1)), seed=0)
    with pytest.raises(ValueError, match="better"):
        statistics.repairings(np.ones((3, 3)), seed=0, better="larger")
    with pytest.raises(ValueError, match="finite"):
        statistics.repairings(np.full((3, 3), np.nan), seed=0)
