"""Recipes whose generator is another than Brain-Diffuser's, each a whole run on small random models."""

import numpy as np
import pandas as pd
import pytest
from helpers import made_once, tiny_generators, tiny_run
from helpers.workflow import failing, snakemake, stale

from neural_recon.core import hdf5

pytestmark = pytest.mark.slow

NSD = {**tiny_run.CONFIG["dataset"], "atlases": ["streams"]}
VDVAE = tiny_run.CONFIG["spaces"]["vdvae"]
STEPS = {"steps": 3, "chunk": 4}


def configured(recipe, spaces, generator, **decoder):
    """The tiny run's configuration with another recipe."""
    common = {key: value for key, value in tiny_run.CONFIG.items() if key not in ("spaces", "decoder")}
    common |= {"recipe": recipe, "dataset": NSD, "spaces": spaces}
    penalties = {"alpha": dict.fromkeys(spaces, 1000)}
    return {**common, "decoder": {**penalties, **decoder}, "generator": {**generator, **STEPS}}


SD, PIXART = "models/sd", "models/pixart"
RUNS = {
    "takagi": configured(
        "takagi",
        {"z": {"weights": SD, "size": 32}, "text": {"weights": SD}},
        {"weights": SD, "lead": 1, "posterior": "sample", "noise": "shared"},
        responses={"z": "single", "text": "single"},
        intercept={"z": False, "text": False},
        calibration="none",
    ),
    "pixart": configured(
        "pixart", {"vdvae": VDVAE, "text": {"weights": PIXART, "tokens": 5}}, {"weights": PIXART}
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    """A finished run: its recipe and its folder."""
    folder = tmp_path_factory.mktemp(request.param) / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    tiny_generators.write_stable_diffusion(folder / SD)
    tiny_generators.write_pixart(folder / PIXART)
    done = snakemake(folder, tiny_run.SCORES, config=RUNS[request.param])
    assert done.returncode == 0, done.stdout + done.stderr
    return request.param, folder


def test_it_paints_and_is_scored(run):
    recipe, folder = run
    results, config = folder / "results", RUNS[recipe]
    painted = hdf5.read_hdf5(results / "reconstructions/subj01/decoded.h5")
    assert painted["images"].shape == (tiny_run.TEST, 32, 32, 3)
    assert (np.ptp(painted["images"].reshape(tiny_run.TEST, -1), axis=1) > 0).all()
    known = hdf5.read_parameters(results / "reconstructions/subj01/decoded.h5")
    for key in ("weights", "steps"):
        assert known[key] == config["generator"][key]
    assert known["base"] in config["spaces"]
    none = hdf5.read_hdf5(results / "generator/unconditional.h5")
    assert {role: array.shape for role, array in none.items()} == {
        "text": {"takagi": (1, 12, 24), "pixart": (1, 1, 16)}[recipe]
    }
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    final = summary[summary["picture"] == "final"]
    assert set(final["variant"]) >= {"decoded", "true_features", "shuffled", "guides_only", "swapped"}
    assert stale(folder, config, "--", tiny_run.SCORES) == {}


def test_a_setting_of_it_paints_again_and_computes_no_features(run):
    recipe, folder = run
    changed = {"takagi": {"lead": 0}, "pixart": {"solver": "ddim"}}[recipe]
    config = {**RUNS[recipe], "generator": {**RUNS[recipe]["generator"], **changed}}
    found = set(stale(folder, config, "--", tiny_run.SCORES))
    assert found >= {"reconstruct", "control_pictures", "scores"}
    assert not found & {"features", "base_images", "unconditional", "ridge"}


def test_guides_of_another_model_are_one_sentence(run):
    recipe, folder = run
    other = {"takagi": PIXART, "pixart": SD}[recipe]
    config = {**RUNS[recipe], "generator": {**RUNS[recipe]["generator"], "weights": other}}
    said = failing(folder, config)
    assert "expected" in said
    assert "Traceback" not in said
