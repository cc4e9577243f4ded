"""A lab's responses on surfaces: GIFTI of two hemispheres, CIFTI, masks and labels."""

import gzip

import nibabel
import numpy as np
import pytest
from helpers.made_up_surfaces import LABELS, LEFT, RIGHT, at_grayordinates, on_surfaces, save, save_cifti
from helpers.workflow import make_project
from nibabel import cifti2
from typer.testing import CliRunner

from neural_recon import datasets
from neural_recon.cli import command_line
from neural_recon.core.errors import InputError
from neural_recon.datasets.table.arrays import Stated
from neural_recon.datasets.table.betas import open_betas
from neural_recon.datasets.table.look import look_at
from neural_recon.datasets.table.path_patterns import hemispheres
from neural_recon.datasets.table.surfaces import read_surface


def connections() -> cifti2.Cifti2Image:
    """A CIFTI file whose columns are no places."""
    names = cifti2.ScalarAxis(["a", "b"])
    return cifti2.Cifti2Image(np.zeros((2, 2), np.float32), (names, names))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("write", [on_surfaces, at_grayordinates])
def test_a_folder_of_surfaces_is_found_and_read(tmp_path, write, masked):
    values = write(tmp_path / "lab", masked)
    found = look_at(tmp_path / "lab")
    place, regions = "derivatives/{subject}/{subject}_", found.settings["regions"]["visual"]
    if write is on_surfaces:
        names = [f"{place}{{session}}_hemi-{side}_betas.func.gii" for side in "LR"]
        assert found.settings["betas"] == names
        assert regions[1] == f"{place}hemi-R_visual.label.gii"
    else:
        assert found.settings["betas"] == f"{place}{{session}}_betas.dscalar.nii"
        assert regions == f"{place}visual.dlabel.nii"
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
    np.testing.assert_allclose(betas, values["anna", "ses-01"][np.ix_(trials, inside)], rtol=1e-6)


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
    expected = values["anna", "ses-01"][trials, :LEFT]
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
        read_surface(path, "betas")


@pytest.mark.parametrize("damage", ["cut", "short", "text", "empty", "gzip"])
@pytest.mark.parametrize("name", ["betas.func.gii", "betas.dscalar.nii"])
def test_a_broken_file_is_one_sentence(tmp_path, name, damage):
    path = tmp_path / name
    if name.endswith(".gii"):
        save(path, np.ones((5, 3), np.float32))
    else:
        save_cifti(path, np.ones((3, LEFT + RIGHT), np.float32))
    whole = path.read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2], "short": whole[:-9], "text": b"no XML", "empty": b"",
        "gzip": gzip.compress(whole),
    }  # fmt: skip
    path.write_bytes(broken[damage])
    with pytest.raises(InputError, match=rf"{name}: expected betas .*save it again"):
        read_surface(path, "betas")


@pytest.mark.parametrize("kind", ["dscalar", "dtseries", "pscalar", "ptseries"])
def test_maps_and_series_of_grayordinates_and_parcels_are_read(tmp_path, kind):
    places = cifti2.BrainModelAxis.from_surface(np.arange(5), 5, "CIFTI_STRUCTURE_CORTEX_LEFT")
    if kind.startswith("p"):
        places = cifti2.ParcelsAxis.from_brain_models([(f"parcel {n}", places[[n]]) for n in range(5)])
    maps = cifti2.ScalarAxis(list("abc")) if kind.endswith("scalar") else cifti2.SeriesAxis(0, 1, 3)
    values = np.arange(15, dtype=np.float32).reshape(3, 5)
    nibabel.save(cifti2.Cifti2Image(values, (maps, places)), tmp_path / f"a.{kind}.nii")
    np.testing.assert_array_equal(read_surface(tmp_path / f"a.{kind}.nii", "betas"), values.T)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("lh.betas.npy", "rh.betas.npy"),
        ("hemi-L_betas.func.gii", "hemi-R_betas.func.gii"),
        ("a.L.func.gii", "a.R.func.gii"),
        ("betas_left.npy", "betas_right.npy"),
    ],
)
def test_hemispheres_are_found_by_the_names_of_their_files(left, right):
    assert hemispheres(left) == hemispheres(right) == (left, right)


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        (
            "a.dscalar.nii",
            nibabel.Nifti1Image(np.zeros((3, 3, 3, 4)), np.eye(4)),
            "another kind of NIfTI file",
        ),
        ("a.dtseries.nii", connections(), "found the axes ScalarAxis, ScalarAxis; name a file of maps"),
    ],
)
def test_another_file_under_the_name_of_cifti_is_one_sentence(tmp_path, name, image, message):
    nibabel.save(image, tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_surface(tmp_path / name, "betas")


def test_cifti_under_the_name_of_a_volume_says_how_it_is_called(tmp_path):
    save_cifti(tmp_path / "betas.dscalar.nii", np.ones((3, LEFT + RIGHT), np.float32))
    path = (tmp_path / "betas.dscalar.nii").rename(tmp_path / "betas.nii")
    with pytest.raises(InputError, match=r"a file of CIFTI must end in \.dscalar\.nii"):
        open_betas(path, Stated("percent"), [3])


def test_doctor_takes_surfaces(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    on_surfaces(folder / "lab", masked=True)
    line = ["config", "write", "--dataset", "table", "lab", "--small"]
    written = CliRunner().invoke(command_line.app, line)
    assert written.exit_code == 0, written.output
    examined = CliRunner().invoke(command_line.app, ["doctor", "--configfile", "config/lab.yaml"])
    assert examined.exit_code == 0, examined.output
