"""The whole workflow on real responses: 22 and 25 regions of two NSD subjects, one value a trial."""

import subprocess
import sys

import pandas as pd
import pytest
from test_workflow import make_project, snakemake

pytestmark = pytest.mark.slow

CONFIG = {
    "recipe": "brain_diffuser_small",
    "nsd": {"root": "nsd"},
    "subjects": {"subj01": {"sessions": 40}, "subj02": {"sessions": 40, "format": "hdf5"}},
    "split": {"train": "nsd/splits/train_ids.txt", "test": "nsd/splits/test_ids.txt"},
    "features": {"chunk": 1000},
    # pictures are not what this is about: the small models never saw a photograph
    "generator": {"steps": 4, "chunk": 200},
    "evaluation": {"preset": "native", "control_images": 8},
    "pathvars": {"results": "out/results", "logs": "out/logs", "benchmarks": "out/benchmarks"},
}


@pytest.fixture(scope="module")
def summary(nsd_mini, tmp_path_factory) -> pd.DataFrame:
    """The scores of both subjects after a run from the files to the report."""
    project = make_project(tmp_path_factory.mktemp("real") / "run")
    build = [sys.executable, str(nsd_mini / "build.py"), str(project / "nsd")]
    subprocess.run(build, check=True, capture_output=True)
    done = snakemake(project, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "out/results/report/all.html").exists()
    tables = [
        pd.read_csv(project / f"out/results/scores/{subject}/summary.tsv", sep="\t")
        for subject in CONFIG["subjects"]
    ]
    return pd.concat(tables).set_index(["subject", "variant", "picture", "metric"])


@pytest.mark.parametrize("subject", ["subj01", "subj02"])
def test_features_are_identified_above_chance(summary, subject):
    """Predicted features of real trials find their pictures; a decoder of shuffled pairs does not."""
    for space in ("vdvae", "clip_vision", "clip_text"):
        decoded = summary.loc[(subject, "decoded", space, "two_way")]
        shuffled = summary.loc[(subject, "shuffled", space, "two_way")]
        print(subject, space, decoded.to_dict(), shuffled["mean"])
        assert decoded["n"] == 200
        assert decoded["p"] < 0.01
        assert decoded["mean"] > 0.55
        # one refit: by chance it may align with what many pictures share, more than re-pairings show
        assert abs(shuffled["mean"] - 0.5) < 0.12
        assert abs(decoded["shuffled"] - 0.5) < 0.01


@pytest.mark.parametrize("subject", ["subj01", "subj02"])
def test_base_images_are_identified_above_chance(summary, subject):
    base = summary.loc[(subject, "decoded", "base", "clip_two_way")]
    print(subject, base.to_dict())
    assert base["p"] < 0.05
