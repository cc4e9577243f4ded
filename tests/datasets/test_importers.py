"""Published data sets become folders that `dataset.kind: table` reads, with their quirks."""

from pathlib import Path

import numpy as np
import pytest
from helpers import published_data_sets as published
from helpers.workflow import make_project
from typer.testing import CliRunner

from neural_recon import datasets
from neural_recon.cli import command_line
from neural_recon.config.configuration import read_config
from neural_recon.datasets.dataset import DataSet
from neural_recon.datasets.importer import IMPORTERS, import_into
from neural_recon.datasets.trials import trial_table


def imported(kind: str, folder: Path, split: str | None = None) -> DataSet:
    """The data set that an import makes of `folder / "published"`."""
    found = import_into(IMPORTERS.load(kind)(folder / "published", split), folder / "out")
    subjects = {name: {} for name in found.subjects}
    return datasets.load({"dataset": found.settings, "subjects": subjects})


def sessions(data: DataSet, subject: str) -> tuple[np.ndarray, list[str]]:
    """All responses of a subject, and the names of the pictures."""
    table, voxels = data.trials(subject, data.sessions(subject)), data.voxels(subject)
    values = [data.betas(subject, session, voxels).values for session in data.sessions(subject)]
    return np.concatenate(values), list(table["image"])


def no_copies(folder: Path) -> None:
    """What is larger than labels is a link."""
    large = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.parent.name for path in large} <= {"out", "masks", "atlases"}


@pytest.mark.parametrize("brain_mask", [False, True])
def test_things_fmri(tmp_path, brain_mask):
    published.things_fmri(tmp_path / "published", brain_mask)
    data = imported("things_fmri", tmp_path)
    no_copies(tmp_path / "out")
    assert data.subjects == ["sub-01", "sub-02"]
    assert data.sessions("sub-01") == [1, 2]
    values, names = sessions(data, "sub-02")
    np.testing.assert_array_equal(values, published.responses(names, len(published.INSIDE), 2))
    split = trial_table(data.trials("sub-01", [1, 2]), data.n_images)
    assert split.groupby("split")["image"].nunique().to_dict() == {"test": 4, "train": 16}
    voxels = data.voxels("sub-01")
    regions = ["V1", "LO1 (prf)", "lLOC"]
    found = [data.in_regions("sub-01", voxels, [name]) for name in regions]
    expected = [voxels["x"] < 2, voxels["x"] == 3, voxels["x"] > 2]
    np.testing.assert_array_equal(found, expected)
    assert (data.cortex("sub-01") is not None) == brain_mask
    assert data.n_images == 20  # of those that were shown
    assert data.tuned == "of THINGS-fMRI"


def test_catch_trials_of_things_fmri_are_left_out(tmp_path):
    published.things_fmri(tmp_path / "published", catch=True)
    data = imported("things_fmri", tmp_path)
    values, names = sessions(data, "sub-01")
    assert len(names) == 2 * (published.N_TRAIN // 2 + 2 * published.N_TEST)
    with_catch = published.tables(tmp_path / "published")
    everything = published.responses(with_catch, len(published.INSIDE), 1)
    np.testing.assert_array_equal(values, everything[[not name.startswith("catch") for name in with_catch]])


def test_an_import_passes_doctor(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    published.things_fmri(folder / "published", brain_mask=True)
    line = ["import", "things_fmri", "published", "things", "--small"]
    written = CliRunner().invoke(command_line.app, line)
    assert written.exit_code == 0, written.output
    assert "THINGS-fMRI (Hebart et al. 2023): responses CC0" in written.output
    config = read_config(Path("things/config.yaml"), Path.cwd())
    assert config.terms.responses
    assert config.results.name == "things"
    examined = CliRunner().invoke(command_line.app, ["doctor", "--configfile", "things/config.yaml"])
    assert examined.exit_code == 0, examined.output
