"""Sessions that are shifted, swapped or of another subject are named, and right ones never."""

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_sessions import TRIALS, cortex, measure, plan, verdict

from neural_recon.responses import session_agreement, session_verdicts
from neural_recon.responses.quality import examine


def test_correct_sessions_agree(rng):
    table = plan(rng, 5)
    found = examine(measure(rng, table), table, cortex()).sessions
    assert found["verdict"].tolist() == ["ok"] * 5
    assert (found["agreement_z"] > 5).all()
    assert found["trials"].tolist() == [TRIALS] * 5
    assert session_verdicts.sentence(found) == "All 5 sessions agree with each other."


def test_z_is_standard_normal_without_signal():
    """The re-pairings' standard deviation is right though voxels share noise that drifts."""
    z = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        table = plan(rng, 3)
        z += examine(measure(rng, table, 20, 0), table, cortex(20)).sessions["agreement_z"].tolist()
    assert abs(np.mean(z)) < 0.3
    assert 0.8 < np.std(z) < 1.2


@pytest.mark.parametrize("ncsnr", [0, 0.03, 0.1])
def test_no_false_alarm_where_there_is_hardly_a_signal(ncsnr):
    for seed in range(15):
        rng = np.random.default_rng(seed)
        table = plan(rng, 4)
        assert set(verdict(measure(rng, table, 20, ncsnr), table)) <= {"ok", "not checked"}


@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_one_shifted_session_is_named(rng, by):
    table = plan(rng, 4)
    betas = measure(rng, table)
    betas[2] = np.roll(betas[2], by, axis=0)
    name = f"shifted by {by} trial{'s' * (abs(by) > 1)}"
    assert verdict(betas, table) == ["ok", "ok", name, "ok"]


@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_a_shift_of_all_sessions_is_named(rng, by):
    table = plan(rng, 3)
    betas = [np.roll(session, by, axis=0) for session in measure(rng, table)]
    found = examine(betas, table, cortex()).sessions
    assert set(found["verdict"]) == {f"shifted by {by} trial{'s' * (abs(by) > 1)}"}
    assert (found["agreement_z"].abs() < 4).all()
    assert (found["reading_z"] > 5).all()


def test_the_one_right_session_among_shifted_ones_is_right(rng):
    table = plan(rng, 6)
    betas = [np.roll(b, 1 if k != 3 else 0, axis=0) for k, b in enumerate(measure(rng, table))]
    expected = ["shifted by 1 trial"] * 6
    expected[3] = "ok"
    assert verdict(betas, table) == expected


def test_swapped_sessions_are_named(rng):
    table = plan(rng, 5)
    betas = measure(rng, table)
    betas[1], betas[3] = betas[3], betas[1]
    swapped = ["ok", "holds the trials of session 4", "ok", "holds the trials of session 2", "ok"]
    assert verdict(betas, table) == swapped
    betas[1] = betas[3]  # the same file twice, once under the wrong name
    assert verdict(betas, table)[3] == "holds the trials of session 2"


def test_a_session_of_another_subject_is_named(rng):
    table = plan(rng, 5)
    betas, other = measure(rng, table), measure(rng, table)
    betas[0] = other[0]
    assert verdict(betas, table) == ["agrees with no other session", *["ok"] * 4]


def test_overlapping_trials_are_no_shift(rng):
    """A third of each response leaks into the next trial, as slow responses do."""
    table = plan(rng, 4)
    betas = [b + 0.33 * np.roll(b, 1, axis=0) for b in measure(rng, table)]
    assert verdict(betas, table) == ["ok"] * 4
    # and does not hide one
    assert set(verdict([np.roll(b, -1, axis=0) for b in betas], table)) == {"shifted by -1 trial"}


def test_two_sessions_suffice(rng):
    table = plan(rng, 2)
    betas = measure(rng, table)
    assert verdict(betas, table) == ["ok", "ok"]
    betas[1] = np.roll(betas[1], 1, axis=0)
    assert verdict(betas, table) == ["ok", "shifted by 1 trial"]


@pytest.mark.parametrize(("sessions", "repeats"), [(1, 3), (3, 1)])
def test_without_repetitions_nothing_is_checked(rng, sessions, repeats):
    table = plan(rng, sessions, repeats)
    found = examine(measure(rng, table), table, cortex())
    assert set(found.sessions["verdict"]) == {"not checked"}
    assert set(found.sessions["remark"]) == {"only 0 trials of images that other sessions repeat"}
    assert found.voxels["reliability"].isna().all() == (repeats == 1)
    assert "could not be checked" in session_verdicts.sentence(found.sessions)


def test_the_sample_of_voxels_is_seeded(rng, monkeypatch):
    monkeypatch.setattr("neural_recon.responses.quality.SAMPLE", 20)
    table = plan(rng, 3)
    betas = measure(rng, table)
    first, again, other = (examine(betas, table, cortex(), seed).sessions for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["agreement"] != other["agreement"]).all()


def test_agreement_of_a_pairing_is_that_of_all_permutations(rng):
    """Mean and standard deviation over re-pairings, against drawn ones."""
    a, b = rng.standard_normal((2, 60, 7))
    b = b + a + rng.standard_normal((60, 1))
    found = session_agreement.agreement(a, b)
    a, b = a - a.mean(0), b - b.mean(0)
    size = np.sqrt((a**2).sum() * (b**2).sum())
    drawn = [(a * b[rng.permutation(60)]).sum() / size for _ in range(4000)]
    assert found.r == pytest.approx((a * b).sum() / size)
    assert found.sd == pytest.approx(np.std(drawn), rel=0.05)
    assert abs(np.mean(drawn)) < 0.1 * found.sd
