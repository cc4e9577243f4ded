"""A feature space and a decoder of one's own: two files, and nothing of the package is edited."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import documented, made_once, tiny_run
from helpers.places import ROOT
from helpers.workflow import restored, snakemake, stale

from neural_recon.core import hdf5
from neural_recon.features.feature_files import FeatureTable

pytestmark = pytest.mark.slow

# the examples of the page on extending
PAGE = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
NAMES = ("colour", "training_mean")
PLUGINS = {name: re.search(rf"^# plugins/{name}.py\n(.*?)^```", PAGE, re.M | re.S)[1] for name in NAMES}
CONFIG = {
    **tiny_run.CONFIG,
    "spaces": {**tiny_run.CONFIG["spaces"], "colour": {"kind": "plugins/colour.py"}},
    "decoder": {"kind": "plugins/training_mean.py"},
    "generator": {"kind": "base_only"},
    "evaluation": {**tiny_run.CONFIG["evaluation"], "encoding": {"kind": "gabor", "cycles": [2]}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A tiny run with both."""
    folder = tmp_path_factory.mktemp("own") / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    (folder / "plugins").mkdir()
    for name, text in PLUGINS.items():
        (folder / f"plugins/{name}.py").write_text(text, encoding="utf-8")
    done = snakemake(folder, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_they_run_to_scores_and_page(project):
    results = project / "results"
    decoded = hdf5.read_hdf5(results / "predictions/subj01/colour/decoded.h5")
    chunks = sorted((results / "features/colour").glob("*.h5"))
    true = FeatureTable(chunks, decoded["paired_id"])
    assert true.parts.tolist() == [3] * 64
    np.testing.assert_allclose(decoded["predictions"][0], true[:, :].astype(np.float32).mean(0), rtol=1e-5)
    assert (decoded["predictions"] == decoded["predictions"][0]).all()
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    scores = summary[summary["metric"] == "two_way"].set_index(["picture", "variant"])["mean"]
    assert set(scores.index) == {(s, v) for s in CONFIG["spaces"] for v in ("decoded", "shuffled")}
    assert scores["colour", "decoded"] == pytest.approx(0.5)  # one guess for all
    assert "recalibrated" not in {path.stem for path in results.rglob("*.h5")}
    page = (results / "report/all.html").read_text(encoding="utf-8")
    assert "colours" in page
    assert not (results / "ridge").exists()
    assert stale(project, CONFIG) == {}


def test_encoding_models_are_scored_and_rerun_by_themselves(project):
    scores = pd.read_csv(project / "results/encoding/subj01/scores.tsv", sep="\t")
    pictures = [("seen", "seen"), ("decoded", "final"), ("shuffled", "final"), ("true_features", "final")]
    assert set(zip(scores["variant"], scores["picture"], strict=True)) == set(pictures)
    assert {"all voxels", "V1d"} <= set(scores["region"])  # no sets of regions: those of the atlases
    final = scores[(scores["variant"] == "decoded") & (scores["measure"] == "voxels")]
    assert (final["mean"] == 0).all()  # of one picture for all
    differing, _ = documented.differences(project / "results")
    assert [one for one in differing if one.startswith(("encoding/", "strata/"))] == []
    page = (project / "results/report/all.html").read_text(encoding="utf-8")
    assert "Does the reconstruction evoke the response?" in page
    other = {**CONFIG["evaluation"], "encoding": {"kind": "gabor", "cycles": [2, 3]}}
    assert set(stale(project, {**CONFIG, "evaluation": other})) == {"encoding", "report"}


@pytest.mark.parametrize(
    ("name", "old", "new", "first", "not_stale"),
    [
        ("colour", "/ 255", "/ 256", "features", "betas"),
        ("training_mean", ".mean(axis=0)", ".max(axis=0)", "predictions", "features"),
    ],
)
def test_a_change_of_one_reruns_what_it_makes(project, name, old, new, first, not_stale):
    with restored(project / f"plugins/{name}.py") as path:
        path.write_text(PLUGINS[name].replace(old, new), encoding="utf-8")
        found = stale(project, CONFIG)
    assert {first, "scores", "report"} <= set(found)
    assert not_stale not in found
    with restored(project / f"plugins/{name}.py") as path:
        path.write_text(f"{PLUGINS[name]}# a remark\n", encoding="utf-8")
        assert stale(project, CONFIG) == {}
