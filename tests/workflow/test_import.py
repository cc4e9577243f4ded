"""A published data set's files become scores by the commands that docs/other_data.md shows."""

import re
import shlex

import pytest
from helpers import published_data_sets as published
from helpers.loaded_snakemake import run
from helpers.places import ROOT
from helpers.workflow import make_project
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.core.tables import read_table

# of one person, with as few pictures as there can be
LESS = ["--config", "evaluation={control_images: 2, repairings: 100, draws: 1, shuffled_refits: 2}"]
SCORES = "scores/sub-01/summary.tsv"


@pytest.mark.slow
def test_three_commands_end_in_scores(tmp_path, monkeypatch):
    project = make_project(tmp_path / "project")
    page = (ROOT / "docs/other_data.md").read_text(encoding="utf-8")
    block = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)[0]
    write, doctor, snakemake = (shlex.split(line) for line in block.splitlines())
    monkeypatch.chdir(project)
    published.things_fmri(project / "THINGS-fMRI", brain_mask=True, catch=True)
    for command in (write, doctor):
        done = CliRunner().invoke(command_line.app, command[1:])
        assert done.exit_code == 0, done.output
    assert "4 of them without a picture" in " ".join(done.output.split())
    done = run([*snakemake[1:], *LESS, "--", f"results/things/{SCORES}"], project)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = read_table(project / "results/things" / SCORES)
    assert {"decoded", "shuffled"} <= set(scores["variant"])
    images = read_table(project / "results/things/scores/sub-01/images.parquet")
    _, test = published.things_names()
    assert {f"{name}.jpg" for name in images["image"]} == set(test)
