"""A lab's folder becomes a report by the commands that docs/own_data.md shows, and no file is edited."""

import re
import shlex
from pathlib import Path

import pytest
from helpers import made_up_lab
from helpers.loaded_snakemake import run
from helpers.places import ROOT
from helpers.workflow import make_project
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.core.tables import read_table

# of one person, with as few pictures as there can be
LESS = ["--config", "evaluation={control_images: 2, repairings: 100, draws: 1, shuffled_refits: 2}"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("own") / "project")
    made_up_lab.write(folder / "lab")
    return folder


@pytest.fixture(scope="module")
def commands() -> list[list[str]]:
    page = (ROOT / "docs/own_data.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    return [shlex.split(line) for line in block.splitlines()]


@pytest.mark.slow
def test_three_commands_end_in_a_report(project, commands, monkeypatch):
    write, doctor, snakemake = commands
    monkeypatch.chdir(project)
    written = CliRunner().invoke(command_line.app, write[1:])
    assert written.exit_code == 0, written.output
    assert "dataset.units: not said by the files" in written.output
    text = (project / "config/lab.yaml").read_text(encoding="utf-8")
    assert "# CHECK: not said by the files" in text
    assert "EDIT" not in text
    examined = CliRunner().invoke(command_line.app, doctor[1:])
    assert examined.exit_code == 0, examined.output
    assert "without a picture" in " ".join(examined.output.split())
    done = run([*snakemake[1:], *LESS, "--", "anna"], project)
    assert done.returncode == 0, done.stdout + done.stderr
    results = project / "results/lab"
    assert "anna" in (results / "report/anna.html").read_text(encoding="utf-8")
    quality = (results / "quality/anna.html").read_text(encoding="utf-8")
    assert "V1" in quality
    images = read_table(results / "scores/anna/images.parquet")
    assert set(images.loc[images["picture"] == "final", "image"]) == set(made_up_lab.REPEATED)
    assert "trials, 2 of them without a picture" in (project / "logs/lab/trials/anna.log").read_text(
        encoding="utf-8"
    )
