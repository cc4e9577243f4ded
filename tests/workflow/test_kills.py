"""Killed anywhere, the next run ends with the same results. More kills: make test-kill."""

import pytest
from helpers import kills, made_once


@pytest.fixture(scope="module")
def peace(tmp_path_factory) -> kills.Undisturbed:
    """A run of all that needs no diffusion."""
    folder = tmp_path_factory.mktemp("kills") / "killed run"
    return kills.known(made_once.copied(tmp_path_factory, kills.decoded_run, folder))


# a job at any time, Snakemake itself when some job starts, and everything at once while a job writes
@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 6, 12])
def test_next_run_ends_with_the_same_results(peace, number):
    assert {"quality/subj01/sessions.tsv", "base_images/subj01/decoded.h5"} < set(peace.results)
    print(outcome := kills.disturb(peace, number, seed=0))
    assert outcome.unlocked == (outcome.kind in ("snakemake", "everything")) or outcome.too_late
