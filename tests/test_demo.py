"""What the demo promises, looked up in its results (`make demo` first; skipped without them)."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

SCORES = ROOT / "results/scores"
SUBJECTS = ("subj01", "subj02")
pytestmark = pytest.mark.skipif(
    not all((SCORES / f"{subject}/summary.tsv").exists() for subject in SUBJECTS),
    reason="the demo has not run here (make demo)",
)


@pytest.fixture(params=SUBJECTS)
def subject(request) -> str:
    return request.param


def score(subject: str, variant: str, picture: str, metric: str) -> pd.Series:
    table = pd.read_csv(SCORES / subject / "summary.tsv", sep="\t")
    return table.set_index(["variant", "picture", "metric"]).loc[(variant, picture, metric)]


def test_enough_test_images(subject):
    assert score(subject, "decoded", "final", "clip_two_way")["n"] >= 50


def test_final_images_are_identified(subject):
    found = score(subject, "decoded", "final", "clip_two_way")
    assert found["mean"] >= 0.80
    assert found["p"] < 0.01
    assert found["shuffled"] == pytest.approx(0.5, abs=0.02)


def test_true_features_are_painted_well(subject):
    assert score(subject, "true_features", "final", "clip_two_way")["mean"] >= 0.95


def test_final_images_beat_base_images_for_the_judge(subject):
    tests = pd.read_csv(SCORES / subject / "tests.tsv", sep="\t")
    found = tests.set_index(["comparison", "metric"]).loc[("final against base", "object")]
    assert found["first"] > found["second"]
    assert found["p"] < 0.01


def test_object_follows_the_contexts(subject):
    """With another image's contexts the judge names that image's object, far more often than the own one."""
    other = score(subject, "swapped", "final", "context_object")["mean"]
    own = score(subject, "swapped", "final", "object")["mean"]
    assert other > 0.5
    assert other > 2 * own


def test_shuffled_decoder_is_at_chance(subject):
    for space in ("vdvae", "clip_vision", "clip_text"):
        found = score(subject, "shuffled", space, "two_way")
        # identification of n images scatters by about 1 / sqrt(12 n) around one half
        assert abs(found["mean"] - 0.5) < 4 / np.sqrt(12 * found["n"])
