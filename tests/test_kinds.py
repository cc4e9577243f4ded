"""Recipes of one stage in the workflow: what runs for their pictures, and a whole run of each."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_run
from PIL import Image
from test_workflow import snakemake, stale

from neural_recon.files import read_hdf5

pytestmark = pytest.mark.slow
PICTURES = "results/reconstructions/subj01/decoded.h5"


def config(kind: str) -> dict:
    changed = copy.deepcopy(tiny_run.CONFIG)
    changed["generator"]["kind"] = kind
    changed["evaluation"]["seeds"] = 2
    return changed


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return tiny_run.make(tmp_path_factory.mktemp("kinds") / "project")


def test_only_what_a_kind_needs_runs_for_its_pictures(project):
    base, alone = ({*stale(project, config(kind), PICTURES)} for kind in ("base_only", "contexts_only"))
    assert base - alone == {"features_vdvae", "base_images"}
    assert alone - base == {"features_clip_text", "features_clip_vision", "unconditional_contexts"}


@pytest.mark.parametrize("kind", ["contexts_only", "base_only"])
def test_run_of_one_stage_is_whole(project, kind):
    done = snakemake(project, "--", "subj01", config=config(kind))
    assert done.returncode == 0, done.stdout + done.stderr
    results = project / "results"
    base, final, control = (
        read_hdf5(results / f"{name}.h5", "images", "nsd_id")
        for name in ("base_images/subj01/decoded", "reconstructions/subj01/decoded",
                     "reconstructions/subj01/shuffled")
    )  # fmt: skip
    assert final["nsd_id"].tolist() == base["nsd_id"].tolist()
    enlarged = [
        np.asarray(Image.fromarray(i).resize((64, 64), Image.Resampling.BICUBIC)) for i in base["images"]
    ]
    assert np.array_equal(enlarged, final["images"]) == (kind == "base_only")
    assert len(control["images"]) == 2

    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    variants = set(summary.loc[summary["picture"] == "final", "variant"])
    draws = {"seed1"} if kind == "contexts_only" else set()
    assert variants == {"decoded", "true_features", "shuffled", *draws}
    tests = set(pd.read_csv(results / "scores/subj01/tests.tsv", sep="\t")["comparison"])
    assert ("final against base" in tests) == (kind == "contexts_only")
    assert "final against contexts only" not in tests
    assert "final against the mean image" in tests

    page = (results / "report/subj01.html").read_text(encoding="utf-8")
    assert ("out of noise" if kind == "contexts_only" else "the final image is that, enlarged") in page
    for absent in ('id="stages"', 'id="swapped"', 'data-kind="contexts_only"'):
        assert absent not in page
    assert 'data-kind="shuffled"' in page
    caption = (results / "figures/subj01.txt").read_text(encoding="utf-8")
    assert "Rows: the picture seen, the final image" in caption
