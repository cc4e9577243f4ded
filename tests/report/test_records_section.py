"""What the report says of its making: versions, times, records."""

import json

import h5py
import pytest
from helpers.made_up_results import CONFIGURATION, write_benchmarks
from helpers.pages import Page

from neural_recon import __version__
from neural_recon.report import results
from neural_recon.report.page import build


@pytest.mark.usefixtures("no_plots")
def test_versions_are_those_of_the_files(made, tmp_path):
    output, subjects, stimuli = made
    text = Page(output.read_text(encoding="utf-8")).text
    assert f"written by neural-recon, version {__version__}." in text
    assert "Libraries installed when this report was made" in text
    with h5py.File(subjects[0].base, "a") as file:
        file.attrs["neural_recon_version"] = "0.0.7"
    with h5py.File(subjects[1].final, "a") as file:
        del file.attrs["neural_recon_version"]
    build(tmp_path / "r.html", subjects, stimuli, None, CONFIGURATION)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "several versions of neural-recon: 0.0.7 (subj01: base images); " in text
    assert "unknown (subj02: final images)" in text


def test_times_of_the_subjects_shown(tmp_path):
    folder = write_benchmarks(tmp_path / "subj02" / "benchmarks")  # only names inside the folder count

    def times(*shown, subjects=("subj01", "subj02")):
        found = results.benchmarks(folder, shown, subjects)
        return {row["rule"]: (row["jobs"], row["seconds"]) for row in found}

    assert times("subj01") == {"ridge": (1, 100.5), "features_vdvae": (2, 7.0)}
    assert times("subj02") == {"ridge": (1, 20.0), "scores": (1, 7.0), "features_vdvae": (1, 3.0)}
    assert times("subj01", "subj02")["ridge"] == (2, 120.5)
    for old, new in (("subj01", "anna"), ("subj02", "anna_2")):  # names may begin alike
        (folder / f"ridge/{old}_vdvae.tsv").rename(folder / f"ridge/{new}_vdvae.tsv")
    assert times("anna", subjects=("anna", "anna_2"))["ridge"] == (1, 100.5)
    assert times("anna_2", subjects=("anna", "anna_2"))["ridge"] == (1, 20.0)


@pytest.mark.usefixtures("no_plots")
def test_page_of_one_subject_says_whose_times(made, tmp_path):
    _, subjects, stimuli = made
    build(tmp_path / "one.html", subjects[:1], stimuli, tmp_path / "benchmarks", CONFIGURATION)
    text = Page((tmp_path / "one.html").read_text(encoding="utf-8")).text
    assert "last run of each job, from the benchmark files present: those of subj01 and" in text
    assert "1 min 40 s" in text
    assert "2 min 00 s" not in text
    assert text.count("subj02") == 1  # in the configuration


@pytest.mark.usefixtures("no_plots")
def test_records_of_the_jobs_are_shown(made, tmp_path):
    _, subjects, stimuli = made
    folder = tmp_path / "provenance"
    weights = {"of": "weights", "path": "resources/models/vdvae.th", "size": 123_456_789, "sha256": "ab" * 32}
    made_by = {
        "rule": "features_vdvae", "seed": 7, "inputs": [weights, {"of": "data", "path": "nsd/betas.hdf5"}],
        "versions": {"neural_recon": "0.3", "modified": False, "packages": {"torch": "9.9.1"}},
    }  # fmt: skip
    for name, rule in (("features/vdvae/a.h5", "features_vdvae"), ("scores/subj03/summary.tsv", "hidden")):
        output = {"path": name, "size": 2_000_000, "sha256": "cd" * 32}
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"output": output, "made_by": {**made_by, "rule": rule}}), encoding="utf-8"
        )
    (folder / "configuration.json").write_text('{"seed": 7}', encoding="utf-8")
    (folder / "damaged.json").write_text("{", encoding="utf-8")
    configuration = {**CONFIGURATION, "subjects": dict.fromkeys(("subj01", "subj02", "subj03"))}
    build(tmp_path / "r.html", subjects, stimuli, None, configuration, provenance=folder)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    for expected in (
        "Records of 1 results", "resources/models/vdvae.th", "123.5 MB", "ab" * 32, "cd" * 8, "9.9.1",
    ):  # fmt: skip
        assert expected in text, expected
    assert "hidden" not in text
    assert "nsd/betas.hdf5" not in text
    assert "was not recorded" not in text
    without = Page(made[0].read_text(encoding="utf-8")).text
    assert "Which weight files were read, and their hashes, was not recorded." in without
    assert "Hashes of the results were not recorded." in without
