"""A published data set's files become scores by the commands that docs/other_data.md shows."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from helpers import published_data_sets as published
from helpers.loaded_snakemake import run
from helpers.places import ROOT
from helpers.workflow import BASE_ONLY, make_project
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.config.configuration import read_config
from neural_recon.core.tables import read_table
from neural_recon.datasets.importer import IMPORTERS

# of one person, with as few pictures as there can be
LESS = ["--config", "evaluation={control_images: 2, repairings: 100, draws: 1, shuffled_refits: 2}"]
# what the kinds that the page does not show are run to; a surface without a noise ceiling to the report
ENDS = dict.fromkeys(("bold5000", "cneuromod_things", "god", "laion_fmri"), "scores/{who}/summary.tsv")
ENDS["algonauts2023"] = "report/{who}.html"
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


def test_every_kind_is_run_by_a_test_here():
    """Those that are no sessions to test the decoders of NSD on."""
    kinds = {kind for kind in IMPORTERS.names if IMPORTERS.load(kind).generalisation is None}
    assert kinds == {"things_fmri", *ENDS}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return make_project(tmp_path_factory.mktemp("imports") / "project", BASE_ONLY)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENDS)
def test_every_kind_runs_to_scores(project, monkeypatch, kind):
    """From a folder with a space in its name."""
    monkeypatch.chdir(project)
    getattr(published, kind)(project / f"source of {kind}")
    line = ["import", kind, f"source of {kind}", f"data/{kind}", "--small", "--recipe", "recipe.yaml"]
    done = CliRunner().invoke(command_line.app, line)
    assert done.exit_code == 0, done.output
    configuration = f"data/{kind}/config.yaml"
    who = next(iter(read_config(project / configuration, project).subjects))
    results, end = project / f"results/{kind}", ENDS[kind].format(who=who)
    line = ["--configfile", configuration, "--cores", "2", "--max-threads", "1", *LESS, "--"]
    done = run([*line, f"results/{kind}/{end}"], project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (results / end).is_file()
    scores = read_table(results / f"scores/{who}/summary.tsv").set_index(["variant", "picture", "metric"])
    for variant in ("decoded", "shuffled"):
        rows = (("vdvae", "two_way"), ("final", "pixcorr"))
        features, pixels = (scores.loc[(variant, *row)] for row in rows)
        assert features["n"] >= 3
        assert features["repairings"] == 100
        assert np.isfinite([features["mean"], pixels["mean"]]).all()
