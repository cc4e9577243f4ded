"""A lab's responses on surfaces: GIFTI of two hemispheres, masks and labels."""

import gzip

import nibabel
import numpy as np
import pytest
from helpers.made_up_surfaces import LABELS, LEFT, RIGHT, on_surfaces, save
from helpers.workflow import make_project
from typer.testing import CliRunner

from neural_recon import datasets
from neural_recon.cli import command_line
from neural_recon.core.errors import InputError
from neural_recon.datasets.table.gifti import read_gifti
from neural_recon.datasets.table.look import look_at


@pytest.mark.parametrize("masked", [False, True])
def test_a_folder_of_surfaces_is_found_and_read(tmp_path, masked):
    values = on_surfaces(tmp_path / "lab", masked)
    found = look_at(tmp_path / "lab")
    pattern = "derivatives/{subject}/{subject}_{session}_hemi-L_betas.func.gii"
    assert found.settings["betas"] == [pattern, pattern.replace("hemi-L", "hemi-R")]
    assert found.settings["regions"]["visual"][1].endswith("hemi-R_visual.label.gii")
    assert ("mask" in found.settings) == masked
    assert found.settings["units"] == "percent"
    data = datasets.load({"dataset": found.settings})
    voxels = data.voxels("anna")
    inside = np.flatnonzero(LABELS > 0) if masked else np.arange(LEFT + RIGHT)
    np.testing.assert_array_equal(voxels["x"], inside)
    names = np.array(["", "V1", "V2", "elsewhere"])
    assert list(voxels["visual"]) == list(names[LABELS[inside]])
    assert data.grid("anna") is None
    assert data.cortex("anna") is None  # no map
    betas = data.betas("anna", 1, voxels).values
    trials = data.trials("anna", [1])["trial"].to_numpy() - 1
    np.testing.assert_allclose(betas, values["anna ses-01"][np.ix_(trials, inside)], rtol=1e-6)


def test_one_hemisphere_alone_is_a_file(tmp_path):
    values = on_surfaces(tmp_path / "lab")
    for path in (tmp_path / "lab").rglob("*hemi-R*"):
        path.unlink()
    found = look_at(tmp_path / "lab")
    assert found.settings["betas"].endswith("hemi-L_betas.func.gii")
    data = datasets.load({"dataset": found.settings})
    voxels = data.voxels("anna")
    assert len(voxels) == LEFT
    trials = data.trials("anna", [1])["trial"].to_numpy() - 1
    expected = values["anna ses-01"][trials, :LEFT]
    np.testing.assert_allclose(data.betas("anna", 1, voxels).values, expected, rtol=1e-6)


def test_labels_of_another_surface_are_refused(tmp_path):
    on_surfaces(tmp_path / "lab")
    settings = look_at(tmp_path / "lab").settings
    save(tmp_path / "lab/derivatives/anna/anna_hemi-R_visual.label.gii", np.ones(RIGHT + 1, np.int32))
    data = datasets.load({"dataset": settings})
    with pytest.raises(InputError, match=r"hemi-R_visual.label.gii: expected the shape \(120,\) .*\(121,\)"):
        data.voxels("anna")


def test_a_file_of_a_surface_itself_is_one_sentence(tmp_path):
    coordinates = nibabel.gifti.GiftiDataArray(np.zeros((9, 3), np.float32), intent="NIFTI_INTENT_POINTSET")
    triangles = nibabel.gifti.GiftiDataArray(np.zeros((9, 3), np.int32), intent="NIFTI_INTENT_TRIANGLE")
    path = tmp_path / "lh.white.surf.gii"
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[coordinates, triangles]), path)
    with pytest.raises(InputError, match=r"white.surf.gii: expected betas.*found coordinates"):
        read_gifti(path, "betas")


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "gzip"])
def test_a_broken_file_is_one_sentence(tmp_path, damage):
    path = tmp_path / "betas.func.gii"
    save(path, np.ones((5, 3), np.float32))
    whole = path.read_bytes()
    broken = {"cut": whole[: len(whole) // 2], "text": b"no XML", "empty": b"", "gzip": gzip.compress(whole)}
    path.write_bytes(broken[damage])
    with pytest.raises(InputError, match=r"betas.func.gii"):
        read_gifti(path, "betas")


def test_doctor_takes_surfaces(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    on_surfaces(folder / "lab", masked=True)
    line = ["config", "write", "--dataset", "table", "lab", "--small"]
    written = CliRunner().invoke(command_line.app, line)
    assert written.exit_code == 0, written.output
    examined = CliRunner().invoke(command_line.app, ["doctor", "--configfile", "config/lab.yaml"])
    assert examined.exit_code == 0, examined.output
