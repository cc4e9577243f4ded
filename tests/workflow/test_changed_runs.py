"""A finished run with something changed: what is computed again, and that it is right."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import documented
from helpers.workflow import SMALL, changed, failing, snakemake, stale

from neural_recon.core import hdf5
from neural_recon.decoding import kept_decoders
from neural_recon.evaluation.metrics import two_way_identification
from neural_recon.features.feature_files import read_rows
from neural_recon.generation.sampling import resized

SPACES = ("vdvae", "vision", "text")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def another(project, tmp_path_factory) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(project, tmp_path_factory.mktemp("another") / "run", symlinks=True))


def test_decoders_are_kept_for_new_scans(project):
    """Only by option; they predict as the run did, and a session of the run decodes with them."""
    config = changed(decoder={**SMALL["decoder"], "keep": "kernel"})
    rules = stale(project, config)
    assert rules.pop("ridge_decoder") == 3
    assert set(rules) <= {"decoder_responses", "report", "subj01"}
    kept, ran = project / "results/decoders/subj01", project / "results/predictions/subj01"
    targets = [f"results/decoders/subj01/{space}.h5" for space in SPACES]
    done = snakemake(project, "--", *targets, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    test = hdf5.read_hdf5(project / "results/responses/subj01.h5", "test")["test"]
    scores = kept_decoders.project(kept / "responses.h5", test)
    for space in SPACES:
        expected = hdf5.read_hdf5(ran / space / "decoded.h5", "predictions")["predictions"]
        found = kept_decoders.predict(kept / f"{space}.h5", kept / "responses.h5", scores)
        spread = expected.std(axis=0)
        moving = spread > 0
        assert np.sqrt(np.mean(((found - expected)[:, moving] / spread[moving]) ** 2)) < 0.003

    conditions = pd.DataFrame({"trial": [1, 2, 3], "condition": ["a", "b", "a"]})
    conditions.to_csv(project / "conditions.tsv", sep="\t", index=False)
    (betas,) = (project / "nsd").rglob("betas_session01.hdf5")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "neural_recon.cli.command_line", "decode", "--configfile", "config.yaml"),
            *("--subject", "subj01", "--betas", str(betas), "--average", "conditions.tsv"),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert documented.differences(project / "results")[0] == []
    pictures = project / "results/decoded/subj01/betas_session01/pictures"
    assert sorted(path.name for path in pictures.rglob("*.png")) == ["a.png", "a.png", "b.png", "b.png"]


def test_neither_chunk_nor_batch_nor_memory_changes_a_picture(project, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(project, folder, symlinks=True)
    path = "results/reconstructions/subj01/decoded.h5"
    effort = {"chunk": 30, "batch": 7, "memory": "low"}  # one job painted all, 16 at once
    done = snakemake(folder, path, config=changed(generator=effort))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((folder / path).parent.glob("decoded_*.h5"))) == 2
    pictures, others = (hdf5.read_hdf5(where / path, "images", "image_id") for where in (project, folder))
    np.testing.assert_array_equal(pictures["image_id"], others["image_id"])
    assert np.abs(pictures["images"].astype(int) - others["images"]).max() <= 1


def test_published_calibration_is_found_to_look_at_the_test_set(another):
    ridge = {**SMALL["decoder"], "calibration": "published"}
    path = "results/controls/subj01/leaks.tsv"
    # the same split and penalties: predictions and what depends on them are made again
    done = snakemake(another, path, config=changed(decoder=ridge))
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = pd.read_csv(another / path, sep="\t").set_index("check")["verdict"]
    looking = verdicts[verdicts == "looks at the test set"].index.tolist()
    assert looking == ["predictions, others removed", "predictions, others replaced"]
    assert set(verdicts.drop(looking)) == {"holds"}


def test_training_on_single_trials(another):
    config = {**SMALL, "responses": {"average": False}}
    names = ("decoded", "shuffled")
    ridge = [f"results/predictions/subj01/{space}/{name}.h5" for space in SPACES for name in names]
    done = snakemake(another, "--", *ridge, "results/data_amount/subj01.tsv", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    kernel = hdf5.read_hdf5(another / "results/ridge/subj01/kernel.h5", "images", "train_ids", "test_ids")
    assert len(kernel["train_ids"]) == 600
    assert np.unique(kernel["images"], return_counts=True)[1].tolist() == [3] * 200
    chunks = sorted((another / "results/features/vision").glob("*.h5"))
    scores = {}
    for name in names:
        path = another / f"results/predictions/subj01/vision/{name}.h5"
        found = hdf5.read_hdf5(path, "predictions")["predictions"]
        scores[name] = two_way_identification(read_rows(chunks, kernel["test_ids"]), found).mean()
    assert scores["decoded"] > 0.8
    assert abs(scores["shuffled"] - 0.5) < 0.2
    amount = pd.read_csv(another / "results/data_amount/subj01.tsv", sep="\t")
    assert set(amount["training_images"]) == {200}
    assert set(amount["training_trials"]) == {600}


def test_whole_clusters_are_held_out(another):
    split = {"name": "clusters", "clusters": {"count": 12, "test_share": 0.2}}
    trials, table = "results/trials/subj01.parquet", another / "results/clusters/subj01.tsv"
    said = failing(another, {**SMALL, "split": split}, trials)
    assert "results/clusters/subj01.tsv: expected the clusters of this subject's images" in said
    done = snakemake(another, "--", "clusters", config={**SMALL, "split": {**split, "name": "all"}})
    assert done.returncode == 0, done.stdout + done.stderr
    clusters = pd.read_csv(table, sep="\t").set_index("image_id")
    assert len(clusters) == 250
    said, unused = documented.differences(another / "results")
    assert said == []
    assert "clusters/SUBJECT.tsv" not in unused
    done = snakemake(another, "--", trials, config={**SMALL, "split": split})
    assert done.returncode == 0, done.stdout + done.stderr
    shown = pd.read_parquet(another / trials)
    assert shown["split"].tolist() == clusters.loc[shown["image_id"], "split"].tolist()
    assert "features" not in str(stale(another, {**SMALL, "split": split}, "results/responses/subj01.h5"))


@pytest.fixture(scope="module")
def single(project, tmp_path_factory) -> Path:
    """Another copy, for recipes of one stage."""
    return Path(shutil.copytree(project, tmp_path_factory.mktemp("single") / "run", symlinks=True))


@pytest.mark.parametrize("kind", ["guides_only", "base_only"])
def test_recipe_of_one_stage_is_reported_whole(project, single, kind):
    targets = ("results/report/subj01.html", "results/figures/subj01.png")
    generator = {"kind": kind, **(SMALL["generator"] if kind == "guides_only" else {})}
    done = snakemake(single, "--", *targets, config={**SMALL, "generator": generator})
    assert done.returncode == 0, done.stdout + done.stderr
    results = single / "results"
    painted = hdf5.read_hdf5(results / "reconstructions/subj01/decoded.h5", "images", "image_id")
    if kind == "guides_only":  # what stood alongside the full recipe
        path = project / "results/reconstructions/subj01/guides_only.h5"
        known = hdf5.read_hdf5(path, "images", "image_id")
        rows = np.isin(painted["image_id"], known["image_id"])
        assert np.abs(painted["images"][rows].astype(int) - known["images"]).max() <= 1
    else:
        base = hdf5.read_hdf5(results / "base_images/subj01/decoded.h5", "images")["images"]
        np.testing.assert_array_equal(painted["images"], resized(base, painted["images"].shape[1]))

    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    variants = set(summary.loc[summary["picture"] == "final", "variant"])
    draws = {"seed1"} if kind == "guides_only" else set()  # nothing is drawn for base images
    assert variants == {"decoded", "true_features", "shuffled", "prior", *draws}
    tests = set(pd.read_csv(results / "scores/subj01/tests.tsv", sep="\t")["comparison"])
    assert ("final against base" in tests) == (kind == "guides_only")  # else with itself
    assert "final against guides only" not in tests
    assert "final against the mean image" in tests

    page = (results / "report/subj01.html").read_text(encoding="utf-8")
    assert ("its guides" if kind == "guides_only" else "from that alone comes the final image") in page
    for absent in ('id="stages"', 'id="swapped"', 'data-kind="guides_only"'):
        assert absent not in page
    assert 'data-kind="shuffled"' in page
    caption = (results / "figures/subj01.txt").read_text(encoding="utf-8")
    assert "Rows: the picture seen, the final image" in caption
