"""Spaces that are predicted from regions, single trials, without an intercept, by rows of unit length."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers import documented, made_once, tiny_run
from helpers.workflow import snakemake, stale

from neural_recon.config.configuration import Config, resolve
from neural_recon.core.hdf5 import read_hdf5, read_parameters
from neural_recon.decoding import ridge
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.features.feature_files import FeatureTable
from neural_recon.workflow import subject_decoders
from neural_recon.workflow.decode_scans import decode

pytestmark = pytest.mark.slow

CONFIG = {
    **tiny_run.CONFIG,
    "decoder": {
        "alpha": {"vdvae": "cv", "vision": 1000, "text": 10},
        "cross_validation": {
            "alphas": [10, 1000, 100000], "folds": 3, "groups": "targets", "contiguous": True,
        },
        "regions": {"vdvae": ["V1"], "text": ["PPA", "OPA"]},
        "intercept": {"vdvae": False},
        "responses": {"vision": "single"},
        "normalise": {"text": "rows"},
        "keep": "kernel",
    },
    "data_amount": {"sessions": [1], "voxels": [0.5], "draws": 1, "targets": 64},
    "regions": {"sets": {"V1": ["V1"], "places": ["PPA", "OPA"]}},
}  # fmt: skip

V1 = ("V1v", "V1d")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("options") / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    done = snakemake(folder, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def inside(results: Path, *regions: str) -> np.ndarray:
    """The columns of the responses that lie in some regions."""
    voxels = pd.read_parquet(results / "voxels/subj01.parquet")
    kept = read_hdf5(results / "responses/subj01.h5", "voxel")["voxel"]
    return np.flatnonzero(voxels.iloc[kept].isin(regions).any(axis=1).to_numpy())


def test_each_space_is_predicted_as_it_asks(project):
    results = project / "results"
    averages = read_hdf5(results / "responses/subj01.h5", "train", "test", "train_ids", "test_ids")
    single = read_hdf5(results / "single_trials/subj01.h5", "train", "test", "train_ids", "test_ids")
    assert len(single["train"]) > len(averages["train"]) == tiny_run.TRAIN
    assert not read_parameters(results / "single_trials/subj01.h5")["average"]

    def features(space: str, ids: np.ndarray) -> FeatureTable:
        return FeatureTable(sorted((results / f"features/{space}").glob("*.h5")), ids)

    def predicted(space: str) -> np.ndarray:
        return read_hdf5(results / f"predictions/subj01/{space}/decoded.h5", "predictions")["predictions"]

    # single trials, an image's repetitions together
    kernel = Kernel.of(single["train"], single["test"], images=single["train_ids"])
    found = ridge.predict_blocks(kernel, features("vision", single["train_ids"]), 1000)
    np.testing.assert_allclose(predicted("vision"), ridge.together(found), rtol=1e-3, atol=1e-4)
    # one region, no intercept, an alpha per feature
    early = inside(results, *V1)
    assert 0 < len(early) < averages["train"].shape[1]
    alpha = read_chosen(results / "ridge/subj01/vdvae/alpha.tsv")
    assert len(np.unique(alpha)) > 1
    train, test = averages["train"][:, early], averages["test"][:, early]
    kernel = Kernel.of(train, test, intercept=False)
    found = ridge.predict_blocks(kernel, features("vdvae", averages["train_ids"]), alpha)
    np.testing.assert_allclose(predicted("vdvae"), ridge.together(found), rtol=1e-3, atol=1e-3)
    # rows of unit length, and tokens
    parts = features("text", averages["train_ids"]).parts
    tokens = np.split(predicted("text"), np.cumsum(parts)[:-1], axis=1)
    for token in tokens:
        np.testing.assert_allclose(np.linalg.norm(token, axis=1), 1, rtol=1e-3)
    with h5py.File(results / "ridge/subj01/text/kernel.h5") as file:
        np.testing.assert_array_equal(file["columns"], inside(results, "PPA", "OPA"))
    assert not (results / "ridge/subj01/kernel.h5").exists()  # nobody uses all voxels' averages


def test_scores_and_controls_are_there(project):
    results = project / "results"
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    assert {"vdvae", "vision", "text"} <= set(summary["picture"])
    leaks = pd.read_csv(results / "controls/subj01/leaks.tsv", sep="\t")
    assert set(leaks["verdict"]) <= {"holds", "nothing to check"}
    everything = pd.read_csv(results / "regions/subj01/scores.tsv", sep="\t").query("region == 'all voxels'")
    voxels = everything.groupby("space")["voxels"].first()
    assert voxels["vdvae"] == len(inside(results, *V1)) == voxels["base"]
    assert voxels["vision"] > voxels["text"] == len(inside(results, "PPA", "OPA"))
    amount = pd.read_csv(results / "data_amount/subj01.tsv", sep="\t")
    assert set(amount["space"]) == {"vdvae", "vision", "text"}
    whole = amount.query("share == 1").set_index("space")["voxels"]
    assert whole["vdvae"] == len(inside(results, *V1))
    # a synthetic response of a region that a space does not see changes nothing in it
    synthetic = read_hdf5(results / "regions/subj01/synthetic_features.h5")
    place = [name.decode() if isinstance(name, bytes) else name for name in synthetic["region"]]
    none, v1, places = (place.index(name) for name in ("no region", "V1", "places"))
    np.testing.assert_array_equal(synthetic["vdvae"][none], synthetic["vdvae"][places])
    assert np.any(synthetic["vdvae"][none] != synthetic["vdvae"][v1])
    assert documented.differences(results)[0] == []
    assert stale(project, CONFIG) == {}


def test_kept_decoders_predict_the_test_images_as_the_run_did(project, monkeypatch):
    results = project / "results"
    trials = pd.read_parquet(results / "trials/subj01.parquet")
    voxel = read_hdf5(results / "responses/subj01.h5", "voxel")["voxel"]
    test = np.flatnonzero(trials["split"] == "test")
    betas = read_hdf5(results / "betas/subj01/session01.h5", "betas")["betas"][np.ix_(test, voxel)]
    np.save(project / "new.npy", betas)
    shown = trials["image_id"].to_numpy()[test]
    table = pd.DataFrame({"trial": np.arange(1, len(test) + 1), "condition": [f"i{i}" for i in shown]})
    table.to_csv(project / "average.tsv", sep="\t", index=False)
    monkeypatch.chdir(project)
    config = Config.model_validate(resolve(CONFIG, project))
    decoders = subject_decoders.of_run(config, Path("config.yaml"), "subj01")
    folder = decode(decoders, Path("new.npy"), average=Path("average.tsv"))
    found = read_hdf5(folder / "features.h5")
    names = [name.decode() if isinstance(name, bytes) else name for name in found["name"]]
    for space in ("vdvae", "vision", "text"):
        run = read_hdf5(results / f"predictions/subj01/{space}/decoded.h5", "predictions", "image_id")
        rows = [run["image_id"].tolist().index(int(name[1:])) for name in names]
        expected = run["predictions"][rows]
        difference = np.abs(found[space].astype(np.float32) - expected)
        assert np.median(difference) < 0.02 * expected.std(), space
