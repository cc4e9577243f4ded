"""The whole workflow on real responses: 22 and 25 regions of two NSD subjects, one value per trial."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.workflow import make_project, snakemake
from PIL import Image

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.decoding import ridge
from neural_recon.evaluation.metrics import two_way_identification

pytestmark = pytest.mark.slow

CONFIG = {
    "recipe": "brain_diffuser_small",
    "dataset": {"kind": "nsd", "root": "nsd"},
    "subjects": {"subj01": {"sessions": 40}, "subj02": {"sessions": 40, "format": "hdf5"}},
    "split": {"train": "nsd/splits/train_ids.txt", "test": "nsd/splits/test_ids.txt"},
    "features": {"chunk": 1000},
    # what guides the other generators
    "spaces": {
        "states": {"kind": "clip_text_states", "weights": "resources/demo_models/stable_diffusion"},
        "embedding": {"kind": "clip_image_embedding", "weights": "resources/demo_models/versatile"},
    },
    "decoder": {"alpha": {"states": "cv", "embedding": "cv"}},
    # final pictures are not what this is about: the small models never saw a photograph
    "generator": {"kind": "base_only", "chunk": 200},
    "evaluation": {
        "preset": "native",
        "networks": {"clip": "resources/demo_models/versatile"},
        "control_images": 8,
    },
    "pathvars": {"results": "out/results", "logs": "out/logs", "benchmarks": "out/benchmarks"},
}


@pytest.fixture(scope="module")
def project(nsd_mini, tmp_path_factory) -> Path:
    """A finished run from the files to the report."""
    project = make_project(tmp_path_factory.mktemp("real") / "run")
    build = [sys.executable, str(nsd_mini / "build.py"), str(project / "nsd")]
    subprocess.run(build, check=True, capture_output=True)
    done = snakemake(project, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "out/results/report/all.html").exists()
    return project


@pytest.fixture(scope="module")
def summary(project) -> pd.DataFrame:
    """The scores of both subjects."""
    tables = [
        pd.read_csv(project / f"out/results/scores/{subject}/summary.tsv", sep="\t")
        for subject in CONFIG["subjects"]
    ]
    return pd.concat(tables).set_index(["subject", "variant", "picture", "metric"])


def test_the_excerpts_own_figure(project):
    """Its README: from 22 regions of subj01 to 16 x 16 pixels, two-way identification 0.64."""
    responses = read_hdf5(project / "out/results/responses/subj01.h5")
    assert responses["train"].shape == (782, 22)
    train, test = (
        np.stack(
            [
                np.asarray(Image.fromarray(picture).convert("L").resize((16, 16), Image.Resampling.BOX))
                for picture in nsd_tree.read_stimuli(nsd_tree.Tree(project / "nsd").stimuli, responses[ids])
            ]
        ).reshape(len(responses[ids]), -1)
        for ids in ("train_ids", "test_ids")
    )
    found = ridge.predict(responses["train"], responses["test"], train.astype(np.float32), 1.0)
    assert two_way_identification(test, found).mean() == pytest.approx(0.64, abs=0.01)


@pytest.mark.parametrize("subject", ["subj01", "subj02"])
def test_features_are_identified_above_chance(summary, subject):
    """Predicted features of real trials find their pictures; a decoder of shuffled pairs does not."""
    for space in ("vdvae", "vision", "text", "states", "embedding"):
        decoded = summary.loc[(subject, "decoded", space, "two_way")]
        shuffled = summary.loc[(subject, "shuffled", space, "two_way")]
        print(subject, space, decoded.to_dict(), shuffled["mean"])
        assert decoded["n"] == 200
        assert decoded["p"] < 0.01
        assert decoded["mean"] > 0.55
        # one refit: by chance it may align with what many pictures share, more than re-pairings show
        assert abs(shuffled["mean"] - 0.5) < 0.12
        assert abs(decoded["shuffled"] - 0.5) < 0.01
        # no refit comes near the decoder; re-paired pictures call one of them better than chance at p = 0.004
        assert decoded["refits"] == 20
        assert decoded["refit_p"] == pytest.approx(1 / 21, abs=1e-5)
        assert decoded["refit_z"] > 4
        assert decoded["refit_score"] == pytest.approx(decoded["mean"], abs=1e-4)  # all features are scored
        assert abs(decoded["refit_mean"] - 0.5) < 0.03
        assert decoded["refit_sd"] > decoded["shuffled_sd"]
        assert shuffled["refits"] == 19
        assert shuffled["refit_p"] >= 0.05
        assert abs(shuffled["refit_z"]) < 2.5


@pytest.mark.parametrize("subject", ["subj01", "subj02"])
def test_the_best_penalty_lies_within_those_tried(project, subject):
    """Of 1e2 to 1e6 the smallest was the best in every space: for 22 voxels they are all large."""
    for space in ("vdvae", "vision", "text"):
        curve = pd.read_csv(project / f"out/results/ridge/{subject}/{space}/alpha.tsv", sep="\t")
        means = curve.groupby("alpha")["score"].mean()
        chosen = curve.loc[curve["chosen"], "alpha"].unique()
        print(subject, space, chosen, means.round(4).to_dict())
        assert chosen == [means.idxmax()]
        assert means.index.min() < chosen[0] < means.index.max()
        assert means.max() > 0
        assert chosen[0] <= 300


@pytest.mark.parametrize("subject", ["subj01", "subj02"])
def test_base_images_are_identified_above_chance(summary, subject):
    base = summary.loc[(subject, "decoded", "base", "clip_two_way")]
    print(subject, base.to_dict())
    assert base["p"] < 0.05
