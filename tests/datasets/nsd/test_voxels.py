"""Which voxels are decoded from, and the regions they lie in."""

import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers.labelled_voxels import SHAPE, labelled

from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.datasets.nsd.voxels import in_regions, read_voxels, select_voxels, voxel_mask

SMALL = (3, 2, 4)


def test_select_voxels(rng):
    mask = rng.random(SMALL) < 0.7
    visual = rng.integers(-1, 8, SMALL)
    faces = rng.integers(0, 3, SMALL)
    table = select_voxels(mask, {"prf-visualrois": visual, "floc-faces": faces})
    assert (table[["x", "y", "z"]].to_numpy() == np.argwhere(mask)).all()
    names = ["", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"]
    assert table["prf-visualrois"].tolist() == [names[max(label, 0)] for label in visual[mask]]
    assert (voxel_mask(table, SMALL) == mask).all()

    some = select_voxels(mask, {"prf-visualrois": visual, "floc-faces": faces}, ["hV4", "floc-faces/OFA"])
    assert (voxel_mask(some, SMALL) == (mask & ((visual == 7) | (faces == 1)))).all()


def test_select_voxels_names_the_mistake():
    mask, labels = np.ones(SMALL, bool), np.zeros(SMALL, int)
    atlases = {"prf-visualrois": labels}
    with pytest.raises(InputError, match="expected a known region, found 'V9'"):
        select_voxels(mask, atlases, ["V9"])
    with pytest.raises(InputError, match="needs the atlas floc-places"):
        select_voxels(mask, atlases, ["PPA"])
    with pytest.raises(InputError, match="voxels of V1v in the mask, found none"):
        select_voxels(mask, atlases, ["V1v"])
    with pytest.raises(InputError, match="mask: expected at least one voxel"):
        select_voxels(~mask, atlases)
    with pytest.raises(InputError, match=r"mask's volume \(3, 2, 4\), found \(4, 2, 3\)"):
        select_voxels(mask, {"prf-visualrois": labels.T})


@pytest.fixture
def voxels(rng) -> pd.DataFrame:
    return labelled(rng)


@pytest.mark.parametrize(
    ("name", "atlas", "members"),
    [
        ("V1", "prf-visualrois", {"V1v", "V1d"}),
        ("prf-visualrois/V3", "prf-visualrois", {"V3v", "V3d"}),
        ("hV4", "prf-visualrois", {"hV4"}),
        ("streams/ventral", "streams", {"ventral"}),
        ("floc-faces", "floc-faces", set(nsd_tree.REGIONS["floc-faces"])),
        ("floc-bodies/mTL", "floc-bodies", {"mTL"}),
    ],
)
def test_regions_come_from_their_own_atlas(voxels, name, atlas, members):
    """Labels repeat from atlas to atlas (V1v and OFA are both 1), and the published code mixed them up."""
    inside = in_regions(voxels, [name], {}, SHAPE)
    np.testing.assert_array_equal(inside, voxels[atlas].isin(members))
    assert inside.any()
    for other in set(voxels.columns[3:]) - {atlas}:
        assert (inside & (voxels[other] == "")).any()
        assert (~inside & (voxels[other] != "")).any()


def test_regions_add_up_and_take_masks(voxels):
    volume = np.zeros(SHAPE, int)
    volume[1] = 3
    volume[2] = -1  # outside the cortex
    either = in_regions(voxels, ["V1v", "hV4", "mine.nii.gz"], {"mine.nii.gz": volume}, SHAPE)
    wanted = voxels["prf-visualrois"].isin(["V1v", "hV4"]) | (voxels["x"] == 1)
    np.testing.assert_array_equal(either, wanted)
    with pytest.raises(InputError, match=r"mine.nii.gz: expected the mask's volume \(6, 7, 8\), found"):
        in_regions(voxels, ["mine.nii.gz"], {"mine.nii.gz": volume.T}, SHAPE)
    with pytest.raises(InputError, match="PPA needs the atlas floc-places, found only prf-visualrois"):
        in_regions(voxels, ["PPA"], {}, SHAPE)


def test_a_run_can_be_limited_to_a_mask(tmp_path, rng):
    mask = rng.integers(0, 2, SHAPE).astype(np.int16)
    for name, volume in (("nsdgeneral", np.ones(SHAPE, np.int16)), ("mine_subj01", mask)):
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / f"{name}.nii.gz")
    name = str(tmp_path / "mine_{subject}.nii.gz")
    files = nsd_tree.mask_files([name, "V1"], "subj01")
    assert files == {name: str(tmp_path / "mine_subj01.nii.gz")}
    table = read_voxels(tmp_path / "nsdgeneral.nii.gz", {}, [name], files)
    np.testing.assert_array_equal(table[list("xyz")], np.argwhere(mask))
