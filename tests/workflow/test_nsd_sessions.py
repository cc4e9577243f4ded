"""Decoders of the main experiment are scored on NSD-synthetic and NSD-Imagery, as the pages show it."""

import pytest
import yaml
from helpers import documented, made_once, nsd_sessions, tiny_run
from helpers.loaded_snakemake import run
from helpers.pages import of_other_sessions
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.core.tables import read_table
from neural_recon.report.generalisation import section

pytestmark = pytest.mark.slow

GROUPS = {"nsd_imagery": {"vision": 12, "imagery": 12}, "nsd_synthetic": {"grey": 6, "colour": 2}}


def test_decoders_of_the_main_experiment_are_scored_on_them(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("sessions") / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    monkeypatch.chdir(folder)
    nsd_sessions.nsd_imagery(folder / "nsd", gain=0.5)
    nsd_sessions.nsd_synthetic(folder / "nsd", subjects=["subj01"])
    for kind in GROUPS:
        done = CliRunner().invoke(command_line.app, ["import", kind, "nsd", f"data/{kind}", "--small"])
        assert done.exit_code == 0, done.output
    behind = [f"data/{kind}/generalisation.yaml" for kind in GROUPS]
    line = ["--configfile", "config.yaml", *behind, "--cores", "2", "--resources", "gpu=2"]
    done = run([*line, "--", "other_sessions"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind, groups in GROUPS.items():
        scores = read_table(folder / f"results/generalisation/{kind}/subj01/scores.tsv")
        measured = scores[scores["mean"].notna()]
        assert measured.groupby("group", sort=False)["n"].unique().explode().to_dict() == groups
        for group in groups:
            there = scores[scores["group"] == group].set_index(["variant", "picture", "metric"])
            for row in (("decoded", "final", "pixcorr"), ("shuffled", "final", "pixcorr"),
                        ("true_features", "base", "pixcorr"), ("decoded", "vdvae", "two_way"),
                        ("shuffled", "vdvae", "two_way")):  # fmt: skip
                assert there.loc[row, ["mean", "shuffled", "ci_low", "ci_high"]].notna().all(), (group, row)
        settings = yaml.safe_load((folder / f"data/{kind}/generalisation.yaml").read_text(encoding="utf-8"))
        (entry,) = section([of_other_sessions(folder / "results", kind, "subj01")], settings)
        (person,) = entry["people"]
        assert {group["name"]: group["n"] for group in person["groups"]} == groups
        assert person["left_out"] == []
        assert ("run" in person["zscore"]) == (kind == "nsd_imagery")
    said = [one for one in documented.differences(folder / "results")[0] if "generalisation/" in one]
    assert [one for one in said if "parameter" in one or "rows.tsv" in one] == []
