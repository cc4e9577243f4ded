"""What a volume's header says of its axes: files are turned into the mask's or refused, never misread."""

import logging

import h5py
import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.datasets import volumes
from neural_recon.datasets.grids import Grid
from neural_recon.datasets.nsd.betas import check_betas, read_betas
from neural_recon.datasets.nsd.voxels import read_voxels
from neural_recon.decoding import kept_decoders, kept_voxels
from neural_recon.decoding.kernel import Kernel
from neural_recon.responses import new_scans
from neural_recon.responses.preparation import Responses, write_responses

SHAPE, MM = (6, 7, 8), 1.8
AFFINE = np.array([[MM, 0, 0, -4.5], [0, MM, 0, -5.4], [0, 0, MM, -6.3], [0, 0, 0, 1]])
TURNED = [
    "LAS",
    "RPS",
    "RAI",
    "LPI",
    "LPS",
    "ARS",
    "SRA",
    "PIL",
    "ILA",
]  # all but RAS; some with axes exchanged


@pytest.fixture
def labels(rng) -> np.ndarray:
    """A label volume without any symmetry."""
    return rng.integers(0, 5, SHAPE).astype(np.int16)


def turned(image, codes):
    wanted = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    return image.as_reoriented(wanted)


def codes_set(image, sform=True, qform=True):
    """The image with the codes of its two matrices set or not."""
    affine = image.affine.copy()  # setting one changes it
    image.set_sform(affine if sform else None, code=2 if sform else 0)
    image.set_qform(affine if qform else None, code=1 if qform else 0)
    return image


def save(path, values, affine=AFFINE, kind=nibabel.Nifti1Image, **codes):
    nibabel.save(codes_set(kind(values, affine), **codes), path)
    return path


def mask_file(tmp_path, affine=AFFINE, **codes):
    return save(tmp_path / "nsdgeneral.nii.gz", np.ones(SHAPE, np.int16), affine, **codes)


@pytest.fixture
def grid(tmp_path) -> Grid:
    return volumes.read_grid(mask_file(tmp_path))


@pytest.mark.parametrize("codes", TURNED)
@pytest.mark.parametrize(
    ("name", "kind", "which"),
    [
        ("mine.nii.gz", nibabel.Nifti1Image, {}),
        ("mine.nii", nibabel.Nifti1Image, {"qform": False}),
        ("mine.nii.gz", nibabel.Nifti2Image, {"sform": False}),
    ],
    ids=["gz, both", "nii, sform", "nifti 2, qform"],
)
def test_what_is_only_turned_is_brought_back(tmp_path, grid, labels, rng, caplog, codes, name, kind, which):
    """Labels, noise ceilings and betas, whatever order and direction their axes are stored in."""
    caplog.set_level(logging.INFO)
    image = turned(kind(labels, AFFINE), codes)
    assert image.shape == SHAPE or sorted(image.shape) == sorted(SHAPE)
    nibabel.save(codes_set(image, **which), tmp_path / name)
    for published in (True, False):
        np.testing.assert_array_equal(volumes.read_labels(tmp_path / name, grid, published), labels)
    assert f"stored as {codes}" in caplog.text
    assert str(tmp_path / "nsdgeneral.nii.gz") in caplog.text

    ncsnr = rng.random(SHAPE).astype(np.float32)
    nibabel.save(codes_set(turned(kind(ncsnr, AFFINE), codes), **which), tmp_path / name)
    places = np.argwhere(labels == 2)
    np.testing.assert_array_equal(volumes.read_ncsnr(tmp_path / name, places, grid), ncsnr[labels == 2])

    betas = rng.integers(-900, 900, (*SHAPE, 5)).astype(np.int16)
    nibabel.save(codes_set(turned(kind(betas, AFFINE), codes), **which), tmp_path / name)
    check_betas(tmp_path / name, grid, 5)
    expected = betas[labels == 2].T / np.float32(300)
    np.testing.assert_array_equal(read_betas(tmp_path / name, labels == 2, 5, grid), expected)
    found = new_scans.new_responses(tmp_path / name, places, grid)
    np.testing.assert_array_equal(found.values, expected)
    assert found.axes == f"{codes} in the file, brought into RAS"


def moved(mm):
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


def rotated(degrees):
    turn = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return matrix @ AFFINE


def resized(mm):
    affine = AFFINE.copy()
    affine[:3, :3] *= mm / MM
    return affine


ELSEWHERE = {
    "half a voxel": (moved(MM / 2), "the first voxel at -3.6, -5.4, -6.3 mm instead of -4.5, -5.4, -6.3 mm"),
    "whole voxels": (moved(3 * MM), "the first voxel at 0.9, -5.4, -6.3 mm instead of"),
    "5 mm": (moved(5), "the first voxel at 0.5, -5.4, -6.3 mm instead of"),
    "voxel size": (resized(2), "voxels of 2, 2, 2 mm instead of 1.8, 1.8, 1.8 mm"),
    "one voxel size": (AFFINE @ np.diag([1, 1, 1.1, 1]), "voxels of 1.8, 1.8, 1.98 mm instead of"),
    "oblique": (rotated(5), "axes turned by 5 degrees"),
    "slightly oblique": (rotated(0.5), "axes turned by 0.5 degrees"),
    "sheared": (
        AFFINE @ np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
        "axes turned",
    ),
    "identity": (np.eye(4), "voxels of 1, 1, 1 mm instead of 1.8, 1.8, 1.8 mm"),
}


@pytest.mark.parametrize(("affine", "said"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_another_place_is_refused(tmp_path, grid, labels, affine, said):
    """Of the user's own files; the sentence names both and what differs."""
    path = save(tmp_path / "mine.nii.gz", labels, affine, qform=False)
    with pytest.raises(InputError) as caught:
        volumes.read_labels(path, grid)
    for part in (str(path), str(tmp_path / "nsdgeneral.nii.gz"), said, "resample it", "save it again"):
        assert part in str(caught.value)
    scan = save(tmp_path / "scan.nii.gz", np.ones((*SHAPE, 2), np.int16), affine, qform=False)
    with pytest.raises(InputError, match=r"scan.nii.gz: expected a volume on the grid of .*nsdgeneral"):
        new_scans.new_responses(scan, np.argwhere(labels == 2), grid)


@pytest.mark.parametrize(("affine", "said"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_another_place_in_the_tree_is_a_warning(tmp_path, grid, labels, caplog, affine, said):
    """The tree's own files are taken voxel by voxel where their axes run alike and their shape fits."""
    path = save(tmp_path / "streams.nii.gz", labels, affine, qform=False)
    np.testing.assert_array_equal(volumes.read_labels(path, grid, published=True), labels)
    assert "its header differs from that of" in caplog.text
    assert said in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    caplog.clear()
    betas = save(
        tmp_path / "betas_session01.nii.gz", np.full((*SHAPE, 3), 600, np.int16), affine, qform=False
    )
    assert (read_betas(betas, labels == 2, 3, grid) == 2).all()
    assert said in caplog.text
    notes = []
    check_betas(betas, grid, 3, notes=notes)
    assert len(notes) == 1
    assert said in notes[0]


@pytest.mark.parametrize("published", [True, False])
def test_turned_and_elsewhere_is_refused(tmp_path, grid, labels, published):
    """Nobody knows whether the axes or the place are right, in the tree or not."""
    image = turned(nibabel.Nifti1Image(labels, AFFINE), "LAS")
    affine = image.affine.copy()
    affine[0, 3] += 7
    path = save(tmp_path / "mine.nii.gz", np.asarray(image.dataobj), affine, qform=False)
    with pytest.raises(InputError, match="axes that run to LAS instead of RAS; the first voxel at"):
        volumes.read_labels(path, grid, published)


@pytest.mark.parametrize(
    "affine", [AFFINE + 1e-4, np.round(AFFINE, 4) * (1 + 1e-5), moved(0.05), rotated(0.01)]
)
def test_what_is_rounded_off_in_a_header_is_nothing(tmp_path, grid, labels, caplog, affine):
    affine = np.vstack([affine[:3], [0, 0, 0, 1]])
    path = save(tmp_path / "mine.nii.gz", labels, affine, qform=False)
    np.testing.assert_array_equal(volumes.read_labels(path, grid), labels)
    assert not caplog.records


@pytest.mark.parametrize("published", [True, False])
def test_a_header_without_axes_is_taken_with_a_warning(tmp_path, grid, labels, caplog, published):
    path = save(tmp_path / "mine.nii.gz", labels, sform=False, qform=False)
    np.testing.assert_array_equal(volumes.read_labels(path, grid, published), labels)
    assert (
        "mine.nii.gz: its header says nothing of its axes; they are taken to run as those of" in caplog.text
    )
    save(tmp_path / "mine.nii.gz", labels.transpose(1, 0, 2), sform=False, qform=False)
    with pytest.raises(InputError, match=r"expected the mask's volume \(6, 7, 8\), found \(7, 6, 8\)"):
        volumes.read_labels(path, grid, published)


def spoilt(path, values, **fields):
    image = codes_set(nibabel.Nifti1Image(values, AFFINE))
    for name, value in fields.items():
        image.header[name] = value
    with path.open("wb") as file:  # nibabel would write the matrices anew
        file.write(image.header.binaryblock + bytes(4) + values.tobytes(order="F"))
    return path


def test_a_matrix_that_is_none_is_no_word(tmp_path, grid, labels, caplog):
    """As some converters leave behind: the other one is taken, or neither."""
    none = {"srow_x": 0, "srow_y": np.nan, "vox_offset": 352, "magic": b"n+1"}
    path = spoilt(tmp_path / "mine.nii", labels, **none)
    np.testing.assert_array_equal(volumes.read_labels(path, grid), labels)
    assert "the header's sform is no affine of a volume; its qform is taken." in caplog.text
    caplog.clear()
    path = spoilt(tmp_path / "mine.nii", labels, **none, quatern_b=3)
    np.testing.assert_array_equal(volumes.read_labels(path, grid), labels)
    assert "sform and qform is no affine of a volume; its axes are not known." in caplog.text
    assert "says nothing of its axes" in caplog.text


def test_of_two_matrices_that_disagree_the_sform_is_taken(tmp_path, grid, labels, caplog):
    image = turned(nibabel.Nifti1Image(labels, AFFINE), "LAS")
    image.set_sform(image.affine, code=2)
    image.set_qform(AFFINE, code=1)
    nibabel.save(image, tmp_path / "mine.nii.gz")
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "mine.nii.gz", grid), labels)
    assert "sform (LAS) and qform (RAS) disagree on where the voxels lie; the sform is taken." in caplog.text


def test_another_shape_names_both_files(tmp_path, grid):
    path = save(tmp_path / "func1mm.nii.gz", np.ones((11, 12, 14), np.int16), np.diag([1, 1, 1, 1.0]))
    with pytest.raises(InputError) as caught:
        volumes.read_labels(path, grid)
    for part in (str(path), str(tmp_path / "nsdgeneral.nii.gz"), "(6, 7, 8), found (11, 12, 14)"):
        assert part in str(caught.value)


# ---- the mask itself


@pytest.mark.parametrize("codes", TURNED)
def test_a_mask_saved_again_along_other_axes_selects_the_same(tmp_path, labels, rng, codes):
    """In NSD's axes again, for HDF5 says nothing of its own, and for the maps that name left and right."""
    path = tmp_path / "nsdgeneral.nii.gz"
    nibabel.save(turned(nibabel.Nifti1Image((labels == 2).astype(np.int16), AFFINE), codes), path)
    grid = volumes.read_grid(path)
    assert grid.shape == SHAPE
    np.testing.assert_allclose(grid.affine, AFFINE, atol=1e-5)
    np.testing.assert_array_equal(volumes.read_mask(path), labels == 2)
    betas = rng.integers(-900, 900, (*SHAPE, 5)).astype(np.int16)
    with h5py.File(tmp_path / "betas.hdf5", "w") as file:
        file["betas"] = betas.T
    save(tmp_path / "betas.nii.gz", betas)
    for name in ("betas.hdf5", "betas.nii.gz"):
        check_betas(tmp_path / name, grid, 5)
        found = read_betas(tmp_path / name, volumes.read_mask(path), 5, grid)
        np.testing.assert_array_equal(found, betas[labels == 2].T / np.float32(300))


def test_a_mask_without_axes_has_nsds(tmp_path, labels, caplog):
    path = save(tmp_path / "nsdgeneral.nii.gz", labels, sform=False, qform=False)
    grid = volumes.read_grid(path)
    assert grid.affine is None
    assert "its header says nothing of its axes; they are taken to run as RAS." in caplog.text
    # nothing to compare origin and voxel size with, but left and right are known
    nibabel.save(turned(nibabel.Nifti1Image(labels, AFFINE), "LAS"), tmp_path / "mine.nii.gz")
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "mine.nii.gz", grid), labels)


def test_regions_of_a_mirrored_file_are_those_of_the_file(tmp_path, labels):
    """The table of voxels is the same, whichever way atlas and region are stored."""
    mask = mask_file(tmp_path)
    region = (labels == 4).astype(np.int16)
    tables = []
    for codes in ("RAS", "LAS", "PIL"):
        nibabel.save(turned(nibabel.Nifti1Image(labels, AFFINE), codes), tmp_path / "streams.nii.gz")
        nibabel.save(turned(nibabel.Nifti1Image(region, AFFINE), codes), tmp_path / "mine.nii.gz")
        files = {"mine.nii.gz": tmp_path / "mine.nii.gz"}
        tables.append(read_voxels(mask, {"streams": tmp_path / "streams.nii.gz"}, ["mine.nii.gz"], files))
    np.testing.assert_array_equal(tables[0][list("xyz")], np.argwhere(labels == 4))
    assert set(tables[0]["streams"]) == {"midparietal"}
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


# ---- what is stored


def kept(tmp_path, rng, positions, **affine):
    train = rng.standard_normal((6, len(positions))).astype(np.float32)
    responses = {"train": train, "mean": train.mean(0), "std": train.std(0)}
    path = tmp_path / "responses.h5"
    kept_decoders.write_shared(path, responses, positions, SHAPE, Kernel.of(train, train[:2]), "kernel",
                          {"zscore": "train"}, **affine)  # fmt: skip
    return path


def test_a_kept_decoder_knows_its_grid(tmp_path, rng, labels):
    """So that a new scan is compared without the tree."""
    path = kept(tmp_path, rng, np.argwhere(labels == 2), affine=AFFINE)
    grid = kept_voxels.grid(path)
    assert grid.shape == SHAPE
    np.testing.assert_array_equal(grid.affine, AFFINE)
    scan = save(tmp_path / "scan.nii.gz", np.ones((*SHAPE, 2), np.int16), moved(5))
    with pytest.raises(
        InputError, match=r"scan.nii.gz: .*the grid of the decoder .*responses.h5, found the first"
    ):
        new_scans.new_responses(scan, np.argwhere(labels == 2), grid)


def test_a_decoder_of_an_earlier_version_compares_what_it_can(tmp_path, rng, labels, caplog):
    path = kept(tmp_path, rng, np.argwhere(labels == 2))
    with h5py.File(path, "a") as file:
        del file["affine"]
    grid = kept_voxels.grid(path)
    assert grid.affine is None
    assert "origin and voxel size of new scans are not compared" in caplog.text
    betas = rng.integers(-900, 900, (*SHAPE, 5)).astype(np.int16)
    nibabel.save(turned(nibabel.Nifti1Image(betas, AFFINE), "LAS"), tmp_path / "scan.nii.gz")
    found = new_scans.new_responses(tmp_path / "scan.nii.gz", np.argwhere(labels == 2), grid).values
    np.testing.assert_array_equal(found, betas[labels == 2].T / np.float32(300))


@pytest.mark.parametrize("affine", [AFFINE, None])
def test_responses_say_where_their_voxels_lie(tmp_path, affine):
    fields = dict.fromkeys(Responses.__dataclass_fields__, np.zeros(3)) | {"dropped": {}}
    write_responses(tmp_path / "subj01.h5", Responses(**fields), {}, Grid("mask", SHAPE, affine))
    found = read_hdf5(tmp_path / "subj01.h5", "volume", "affine")
    assert tuple(found["volume"]) == SHAPE
    np.testing.assert_array_equal(found["affine"], np.full((4, 4), np.nan) if affine is None else affine)


def test_a_header_that_programs_make_up_is_doubted_where_it_turns_a_file(tmp_path, labels, caplog):
    """A file without a word on its axes, saved again with what nibabel takes for its affine."""
    silent = save(tmp_path / "silent.nii.gz", labels, AFFINE, sform=False, qform=False)
    made_up = nibabel.load(silent).affine
    assert nibabel.aff2axcodes(made_up) == ("L", "A", "S")
    again = save(tmp_path / "again.nii.gz", labels, made_up)
    np.testing.assert_array_equal(volumes.read_labels(again), labels[::-1])  # the header's word is taken
    assert "again.nii.gz: its header, whose word is taken, is the one that nibabel makes up" in caplog.text
    caplog.clear()
    elsewhere = turned(nibabel.Nifti1Image(labels, moved(9)), "LAS")
    nibabel.save(elsewhere, tmp_path / "elsewhere.nii.gz")
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "elsewhere.nii.gz"), labels)
    volumes.read_labels(save(tmp_path / "ras.nii.gz", labels))
    assert not caplog.text


def test_one_of_a_pair_of_files_is_named_as_such(tmp_path, labels):
    nibabel.save(nibabel.Nifti1Pair(labels, AFFINE), tmp_path / "roi.hdr")
    with pytest.raises(InputError, match=r"one of a pair, .hdr and .img: save it as one file, .nii.gz\)"):
        volumes.read_labels(tmp_path / "roi.hdr")
