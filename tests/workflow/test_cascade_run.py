"""The recipe mirage on small random models: a whole run."""

import numpy as np
import pandas as pd
import pytest
from helpers import made_once, tiny_cascade, tiny_run
from helpers.places import ROOT
from helpers.workflow import failing, snakemake, stale

from neural_recon.core import hdf5

pytestmark = pytest.mark.slow

MODEL = "models/cascade"
SPACES = {
    "vdvae": tiny_run.CONFIG["spaces"]["vdvae"],
    "image": {"weights": MODEL},
    "text": {"weights": MODEL},
    "retrieval": {"kind": "clip_image_tokens", "weights": MODEL, "unit_length": True},
}
CONFIG = {
    **tiny_run.CONFIG,
    "recipe": "mirage",
    "spaces": SPACES,
    "decoder": {"alpha": dict.fromkeys(SPACES, 1000)},
    "generator": {
        "weights": MODEL,
        "prior": MODEL,
        "size": 128,
        "retrieval": "retrieval",
        "choose_from": 2,
        "steps": 3,
        "stage_b_steps": 2,
        "chunk": 4,
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirage") / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    tiny_cascade.write(folder / MODEL)
    done = snakemake(folder, tiny_run.SCORES, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_paints_chooses_and_is_scored(project):
    results = project / "results"
    painted = hdf5.read_hdf5(results / "reconstructions/subj01/decoded.h5")
    assert painted["images"].shape == (tiny_run.TEST, 128, 128, 3)
    assert (np.ptp(painted["images"].reshape(tiny_run.TEST, -1), axis=1) > 0).all()
    known = hdf5.read_parameters(results / "reconstructions/subj01/decoded.h5")
    assert (known["choose_from"], known["retrieval"], known["rho"]) == (2, "retrieval", 0.7)
    none = hdf5.read_hdf5(results / "generator/unconditional.h5")
    assert {name: rows.shape for name, rows in none.items()} == {"text": (1, 12, 24), "pooled": (1, 1, 16)}
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    final = summary[summary["picture"] == "final"]
    assert set(final["variant"]) >= {"decoded", "true_features", "shuffled", "guides_only", "swapped"}
    assert stale(project, CONFIG, "--", tiny_run.SCORES) == {}


def test_a_setting_of_it_paints_again_and_computes_no_features(project):
    config = {**CONFIG, "generator": {**CONFIG["generator"], "start_shift": 1}}
    found = set(stale(project, config, "--", tiny_run.SCORES))
    assert found >= {"reconstruct", "control_pictures", "scores"}
    assert not found & {"features", "base_images", "unconditional", "ridge"}


def test_a_choice_by_nothing_is_one_sentence(project):
    generator = {key: value for key, value in CONFIG["generator"].items() if key != "retrieval"}
    said = failing(project, {**CONFIG, "generator": generator}, "--dry-run")
    assert "generator: choose_from 2 with retrieval None" in said
    assert "Traceback" not in said


def test_published_files_are_fetched_and_their_terms_said(project):
    recipe = (ROOT / "config/recipes/mirage.yaml").read_text(encoding="utf-8")
    assert "weights: stabilityai/stable-cascade\n" in recipe
    spaces = {name: {"weights": MODEL} for name in ("image", "text")} | {"vdvae": SPACES["vdvae"]}
    generator = {**CONFIG["generator"], "weights": "stabilityai/stable-cascade"}
    generator |= {"retrieval": None, "choose_from": 1}
    config = {**CONFIG, "spaces": spaces, "generator": generator}
    config["decoder"] = {"alpha": dict.fromkeys(spaces, 1000)}
    done = snakemake(project, "--dry-run", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "non-commercial" in said
    for name in ("stage_c_bf16", "stage_b_bf16", "stage_a", "effnet_encoder"):
        assert f"stabilityai--stable-cascade/{name}.safetensors" in said
    assert "stable-cascade-prior" not in said
