"""The workflow itself: a small run from end to end, and what it says to mistakes."""

import json
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers import documented
from helpers.workflow import SMALL, changed, failing, jobs, restored, snakemake, stale
from PIL import Image

from neural_recon.config.configuration import Config, resolve
from neural_recon.core import hdf5
from neural_recon.workflow import disk_estimate
from neural_recon.workflow.plan import Plan
from neural_recon.workflow.verify import verify

pytestmark = pytest.mark.slow


def test_run_is_whole(project):
    """Everything a user looks for is there, and nothing half-written."""
    results = project / "results"
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    wanted = {("decoded", "base"), ("decoded", "final"), ("true_features", "final"), ("shuffled", "base"),
              ("mean_image", "baseline"), ("swapped", "final"), ("random_image", "baseline"),
              ("nearest_image", "baseline"), ("shuffled", "final"), ("seed1", "final"),
              ("guides_only", "final")}  # fmt: skip
    assert wanted <= set(zip(summary["variant"], summary["picture"], strict=True))
    assert (results / "report/all.html").stat().st_size > 100_000
    assert len(list((results / "pictures/subj01/final").glob("*.png"))) == 50
    assert Image.open(results / "pictures/all.png").size == (12 * 128, 24 + 2 * 128)  # of one subject
    assert not list(project.rglob(".part-*"))
    targets = pd.read_parquet(results / "targets/subj01/vdvae.parquet")
    with h5py.File(results / "predictions/subj01/vdvae/decoded.h5") as file:
        assert len(targets) == file["predictions"].shape[1]
    parts = pd.read_csv(results / "targets/subj01/vision.tsv", sep="\t")
    assert parts["part"].tolist() == list(range(66))
    assert (parts["r"] > parts["chance"]).all()
    assert (parts["ceiling"] < 1).all()
    amount = pd.read_csv(results / "data_amount/subj01.tsv", sep="\t")
    assert len(amount) == 3 * (1 + 2)  # all of both, and two draws of voxels, in each space
    strata = pd.read_csv(results / "strata/subj01.tsv", sep="\t")
    # no table of scenes: no content
    assert set(strata["by"]) == {"all images", "similarity to the nearest training image"}
    whole = strata[strata["by"] == "all images"].fillna({"not_measured": ""})
    assert (whole["mean"].notna() == (whole["n"] >= 8)).all()  # controls are painted for 6 images here
    assert (whole["mean"].isna() == (whole["not_measured"] == "fewer than 8 images")).all()
    tests = pd.read_csv(results / "regions/subj01/tests.tsv", sep="\t")
    assert len(tests) == 2 * 4 * 2  # regions, spaces, and what they are compared with
    compared = pd.read_csv(results / "scores/comparison.tsv", sep="\t").set_index("line")
    assert compared.loc["brain_diffuser_small, subj01", "swav_distance"] == "not measured"
    assert "9 of 50 test images" in (results / "figures/subj01.txt").read_text(encoding="utf-8")
    with h5py.File(results / "responses/subj01.h5") as file:
        assert file["train"].shape[0] == 200
        assert np.isfinite(file["train"][()]).all()
    stages = pd.read_csv(results / "controls/subj01/single_stage.tsv", sep="\t")
    assert set(stages["stage"]) == {"full recipe", "base image only", "guides only"}
    assert set(stages["n"]) == {6}
    assert "What each stage adds" in (results / "report/all.html").read_text(encoding="utf-8")
    logs = (project / "logs/trials/subj01.log").read_text(encoding="utf-8")
    assert "200 images, 600 trials" in logs


def test_every_result_has_its_record(project):
    """All rules that ran recorded all they wrote; the demo's data lie outside the results here."""
    verdict = verify(project / "results", thorough=True)
    assert (verdict.wrong, verdict.unchecked) == ([], [])
    records = (project / "results/provenance").rglob("*.json")
    made = [json.loads(path.read_text(encoding="utf-8")).get("made_by") for path in records]
    ran = {path.name for path in (project / "benchmarks").iterdir()}
    ran.add("report")  # which shows the other rules' benchmarks, and has none
    assert {by["rule"] for by in made if by} == {rule for rule in ran if not rule.startswith("demo_")}


def test_all_files_are_as_described(project):
    """Every dataset, column and parameter of the run stands in docs/stages, and none that is not there."""
    said, unused = documented.differences(project / "results")
    assert said == []
    optional = {"captions/", "clusters/", "compare/", "content.parquet", "features/DIGEST/", "decoded/",
                "decoders/", "demo_nsd/", "encoding/", "generalisation/", "others/",
                "reconstructions/SUBJECT/captions.tsv", "ridge/SUBJECT/SPACE/kernel.h5", "single_trials/",
                "losses/", "session_trials/", "shared_subject/"}  # fmt: skip
    assert [one for one in unused if not one.startswith(tuple(optional))] == []


def test_estimate_of_the_disk_is_near(project, monkeypatch):
    monkeypatch.chdir(project)
    plan = Plan(Config.model_validate(resolve(SMALL, project)))
    parts = disk_estimate.estimate(plan, {})
    written = {folder: sum(path.stat().st_size for path in Path("results", folder).rglob("*.h5"))
               for folder in ("betas", "responses", "features", "ridge", "predictions")}  # fmt: skip
    # fewer voxels have data than the mask holds, so that the estimate is on the safe side
    assert 0.8 < (written["betas"] + written["responses"]) / parts["betas"] <= 1.02
    assert written["features"] / parts["features"] == pytest.approx(1, abs=0.1)
    decoded = written["ridge"] + written["predictions"]
    assert decoded / (parts["kernels"] + parts["predictions"]) == pytest.approx(1, abs=0.1)


def test_second_run_does_nothing(project):
    assert stale(project, SMALL) == {}


def test_controls_are_computed(project):
    folder = project / "results/controls/subj01"
    leaks, clusters, seeds = (
        pd.read_csv(folder / f"{t}.tsv", sep="\t") for t in ("leaks", "clusters", "seeds")
    )
    assert len(leaks) == 8
    assert set(leaks["verdict"]) == {"holds"}
    assert clusters["held_out"].tolist() == ["clusters", "random"] * 3
    assert (clusters["score"] > clusters["chance"] + 3 * clusters["chance_sd"]).all()
    known = pd.read_parquet(project / "results/scores/subj01/images.parquet")
    known = known[(known["picture"] == "final") & (known["metric"] == "pixcorr")]
    means = known[known["variant"] == "seed1"]["value"].mean()
    row = seeds.set_index("metric").loc["pixcorr"]
    assert row["n"] == 6
    assert row["seed1"] == pytest.approx(means, abs=1e-5)
    assert row["seed0"] != row["seed1"]


def test_regions_are_scored(project):
    folder = project / "results/regions/subj01"
    table = pd.read_csv(folder / "scores.tsv", sep="\t")
    assert list(dict.fromkeys(table["region"])) == ["all voxels", "V1", "places"]
    assert len(table) == 4 * (1 + 2 + 2)
    # V1 of prf-visualrois, among the voxels that have data
    voxels = pd.read_parquet(project / "results/voxels/subj01.parquet")
    kept = hdf5.read_hdf5(project / "results/responses/subj01.h5", "voxel")["voxel"]
    inside = voxels["prf-visualrois"].iloc[kept].isin(["V1v", "V1d"]).sum()
    assert set(table.loc[table["region"] == "V1", "voxels"]) == {inside}
    summary = pd.read_csv(project / "results/scores/subj01/summary.tsv", sep="\t")
    known = summary.set_index(["variant", "picture", "metric"])["mean"]
    own = table[table["region"] == "all voxels"].set_index("space")["score"]
    assert own["text"] == known["decoded", "text", "two_way"]
    pictures = hdf5.read_hdf5(folder / "synthetic.h5")
    assert pictures["region"].tolist() == ["no region", "random voxels", "V1", "places"]
    assert len(pictures["final"]) == 4
    assert (folder / "synthetic.png").is_file()
    assert "No brain produced these patterns" in (project / "results/report/all.html").read_text("utf-8")


def test_amounts_of_data_rerun_their_refits_and_the_report(project):
    rules = stale(project, changed(data_amount={"sessions": [1, 2]}))
    assert rules == {"data_amount_subject": 1, "report": 1}
    # without the section it is left out of the report, and made only when asked for
    without = {name: value for name, value in SMALL.items() if name != "data_amount"}
    assert stale(project, without) == {"report": 1}
    assert stale(project, without, "data_amount") == {"data_amount": 1, "data_amount_subject": 1}


def test_touched_session_reruns_from_that_session_on(project):
    """A session's new file reruns that session and what is computed from it, and no feature."""
    with restored(next((project / "nsd/nsddata_betas").rglob("*session01.hdf5"))) as path:
        with h5py.File(path, "r+") as file:
            file["betas"][0, 0, 0, 0] += 1
        rules = stale(project, SMALL)
    assert rules["betas"] == 1
    assert {"responses", "ridge", "scores"} <= set(rules)
    assert not [rule for rule in rules if rule.startswith(("features", "demo"))]


def test_subject_target(project):
    assert stale(project, SMALL, "subj01")["report"] == 1


def test_snakemake_s_report_holds_ours(project):
    done = snakemake(project, "--report", "report.zip", config=SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(project / "report.zip") as packed:
        names = [Path(name).name for name in packed.namelist()]
    assert {"all.html", "subj01.html"} <= set(names)


def test_unknown_key_is_named(project):
    said = failing(project, {**SMALL, "subject": {}}, "--dry-run")
    assert "unknown key subject" in said
    assert "Traceback" not in said


def test_truncated_session_is_named_and_leaves_nothing(project):
    """A cut file ends the run in one sentence and writes no file of its own."""
    source = next((project / "nsd/nsddata_betas").rglob("*session01.nii.gz"))
    target = project / "results/betas/subj01/session01.h5"
    config = {**SMALL, "subjects": {"subj01": {"sessions": 1, "format": "nii.gz"}}}
    with restored(source), restored(target):
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        said = failing(project, config, str(target.relative_to(project)), "--forcerun", "betas")
        assert "betas_session01.nii.gz: the file is cut short" in said
        assert not target.exists()


def test_missing_session_is_named(project):
    # outside the demo the workflow reads what lies there
    config = {name: value for name, value in SMALL.items() if name != "demo"}
    config["subjects"] = {"subj01": {"sessions": 2, "format": "hdf5"}}
    said = failing(project, config, "--dry-run")
    assert "betas_session02.hdf5" in said


def test_image_in_both_splits_is_named(project):
    (project / "train.txt").write_text("1\n2\n", encoding="utf-8")
    (project / "test.txt").write_text("2\n3\n", encoding="utf-8")
    config = {**SMALL, "split": {"train": "train.txt", "test": "test.txt"}}
    said = failing(project, config, "--dry-run")
    assert re.search(r"(train|test|2).*both|both.*2", said)
    assert "Traceback" not in said


def test_other_checkpoint_is_named(project):
    """Weights of another architecture end the run in one sentence."""
    config = {**SMALL, "spaces": {"vdvae": {"weights": "resources/demo_models/classifier/model.safetensors"}}}
    said = failing(project, config, "results/features/vdvae/shared_000.h5")
    assert "classifier/model.safetensors: expected the tensor" in said


def test_only_what_a_kind_needs_runs_for_its_pictures(project):
    path = "results/reconstructions/subj01/decoded.h5"
    runs = [
        snakemake(project, "--dry-run", path, "--forceall", config={**SMALL, "generator": {"kind": kind}})
        for kind in ("base_only", "guides_only")
    ]
    assert [planned.returncode for planned in runs] == [0, 0]
    base, alone = (set(jobs(planned.stdout)) for planned in runs)
    assert base - alone == {"base_images"}
    assert alone - base == {"unconditional"}
