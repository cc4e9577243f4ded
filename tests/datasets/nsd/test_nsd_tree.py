"""Readers of NSD's files: against the real excerpt, nibabel and h5py, and on broken files."""

import json
import shutil
import subprocess
import sys

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
from helpers.places import ROOT
from PIL import Image

from neural_recon.config.configuration import Config, resolve
from neural_recon.core.errors import InputError
from neural_recon.datasets import volumes
from neural_recon.datasets.nsd import betas, nsd_tree
from neural_recon.datasets.nsd.betas import read_betas
from neural_recon.workflow.plan import Plan

SHAPE = (4, 3, 5)


@pytest.fixture(scope="module")
def mini(nsd_mini, tmp_path_factory):
    """The tree of the real excerpt, two sessions."""
    out = tmp_path_factory.mktemp("nsd_mini")
    subprocess.run([sys.executable, nsd_mini / "build.py", out, "--sessions", "2"], check=True)
    yield nsd_tree.Tree(out)
    shutil.rmtree(out)  # half a gigabyte of stimuli


def write_nifti(path, array, **kwargs):
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4), **kwargs), path)
    return path


def write_betas(folder, array, chunks=None):
    """A session (x, y, z, trials) in both formats."""
    nifti = write_nifti(folder / "betas.nii.gz", array)
    with h5py.File(folder / "betas.hdf5", "w") as file:
        file.create_dataset("betas", data=array.T, chunks=chunks)
    return nifti, folder / "betas.hdf5"


@pytest.fixture
def session(rng):
    return rng.integers(-3000, 3000, (*SHAPE, 11)).astype(np.int16)


def test_design_of_the_real_experiment(mini):
    design = nsd_tree.design_table(*nsd_tree.read_experiment(mini.expdesign), "subj01", range(1, 38))
    assert len(design) == 27_750
    assert design["position"][:3].tolist() == [626, 5013, 4850]
    images = design.drop_duplicates("image_id")
    assert (~images["shared"]).sum() == 8859
    assert images["shared"].sum() == 982
    assert (design["shared"] == (design["position"] <= 1000)).all()


@pytest.mark.parametrize("subject", ["subj01", "subj02", "subj05", "subj07"])
def test_published_split_by_name(mini, subject):
    raw = {
        "recipe": "brain_diffuser_small",
        "dataset": {"kind": "nsd", "root": str(mini.root)},
        "split": {"name": "published"},
    }
    trials = Plan(Config.model_validate(resolve({**raw, "subjects": {subject: {}}}, ROOT))).trials(subject)
    assert len(trials) == 27_750
    assert trials.groupby("split")["image_id"].nunique().to_dict() == {"test": 982, "train": 8859}


def test_published_split_of_another_design_is_refused(mini, monkeypatch):
    raw = {
        "recipe": "brain_diffuser_small",
        "dataset": {"kind": "nsd", "root": str(mini.root)},
        "split": {"name": "published"},
    }
    plan = Plan(Config.model_validate(resolve({**raw, "subjects": {"subj01": {}}}, ROOT)))
    design = plan.data.trials("subj01", list(range(1, 38)))
    monkeypatch.setattr(plan.data, "trials", lambda *_: design[design["session"] < 37])
    with pytest.raises(
        InputError, match=r"expected the published split of subj01, .*is it the data set's own design"
    ):
        plan.trials("subj01")


def test_whole_design_shows_every_image_three_times(mini):
    design = nsd_tree.design_table(*nsd_tree.read_experiment(mini.expdesign), "subj02", range(1, 41))
    assert design.groupby("image_id").size().value_counts().to_dict() == {3: 10_000}
    assert design.groupby("image_id")["repetition"].agg(list).map(tuple).unique().tolist() == [(1, 2, 3)]


def test_design_rows_are_those_of_the_matlab_formula(mini):
    content = scipy.io.loadmat(mini.expdesign)
    design = nsd_tree.design_table(*nsd_tree.read_experiment(mini.expdesign), "subj02", [7, 3])
    assert design["session"].tolist() == [7] * 750 + [3] * 750
    ordering = content["masterordering"][0].astype(int)
    for row in (0, 749, 750, 1200):
        one = design.iloc[row]
        t = (one["session"] - 1) * 750 + one["trial"] - 1
        assert one["image_id"] == content["subjectim"][1, ordering[t] - 1] - 1
        # counted from session 1 on, though session 3 comes last here
        assert one["repetition"] == (ordering[: t + 1] == ordering[t]).sum()


@pytest.mark.parametrize(
    ("subject", "sessions", "message"),
    [
        ("subj09", [1], "expected one of subj01"),
        ("subj01", [0, 1], "1 to 40"),
        ("subj01", [41], "1 to 40"),
        ("subj01", [], "1 to 40"),
        ("subj01", [2, 2], "different ones"),
    ],
)
def test_unknown_subjects_and_sessions(mini, subject, sessions, message):
    with pytest.raises(InputError, match=message):
        nsd_tree.design_table(*nsd_tree.read_experiment(mini.expdesign), subject, sessions)


def test_broken_design(tmp_path):
    path = tmp_path / "nsd_expdesign.mat"
    with pytest.raises(InputError, match="no such file"):
        nsd_tree.design_table(*nsd_tree.read_experiment(path), "subj01", [1])
    path.write_bytes(b"not MATLAB")
    with pytest.raises(InputError, match="cannot be read"):
        nsd_tree.design_table(*nsd_tree.read_experiment(path), "subj01", [1])
    scipy.io.savemat(path, {"masterordering": np.ones((1, 750))})
    with pytest.raises(InputError, match="found no subjectim, sharedix"):
        nsd_tree.design_table(*nsd_tree.read_experiment(path), "subj01", [1])


@pytest.mark.parametrize("subject", ["subj01", "subj02"])
def test_real_betas_equal_in_both_formats_and_to_nibabel(mini, subject):
    mask = volumes.read_mask(mini.mask(subject))
    betas = read_betas(mini.betas(subject, 2), mask, trials=750)
    other = read_betas(mini.betas(subject, 2, "hdf5"), mask, trials=750)
    assert betas.dtype == np.float32
    assert betas.tobytes() == other.tobytes()
    image = nibabel.load(mini.betas(subject, 2))
    np.testing.assert_allclose(betas, (image.get_fdata() / 300)[mask].T, rtol=1e-6)


def test_real_stimuli_and_captions(mini, nsd_mini):
    entries = {entry["nsd_id"]: entry for entry in json.loads((nsd_mini / "stimuli.json").read_text())}
    ids = list(entries)[5:8]
    asked = [ids[2], ids[0], ids[2], ids[1]]
    pictures = nsd_tree.read_stimuli(mini.stimuli, asked)
    captions = nsd_tree.read_captions(mini.captions, asked)
    for image_id, picture, texts in zip(asked, pictures, captions, strict=True):
        assert (picture == np.asarray(Image.open(nsd_mini / f"images/{image_id:05d}.jpg"))).all()
        assert texts == entries[image_id]["captions"][:5]
    empty = min(set(range(73_000)) - set(entries))
    with pytest.raises(InputError, match=f"picture for NSD id {empty}"):
        nsd_tree.read_stimuli(mini.stimuli, [empty])
    with pytest.raises(InputError, match=f"none for NSD id {empty}"):
        nsd_tree.read_captions(mini.captions, [empty])
    for reader, path in ((nsd_tree.read_stimuli, mini.stimuli), (nsd_tree.read_captions, mini.captions)):
        for outside in (-1, 73_000):
            with pytest.raises(InputError, match=f"within 0 to 72999, found {outside}"):
                reader(path, [ids[0], outside])


@pytest.mark.parametrize("chunks", [None, (11, 1, 1, 1), (4, 5, 3, 4), (1, 5, 3, 4)])
@pytest.mark.parametrize("block_bytes", [1, 300, 2**20])
def test_blocks_do_not_change_betas(tmp_path, monkeypatch, rng, session, chunks, block_bytes):
    monkeypatch.setattr(betas, "_BLOCK_BYTES", block_bytes)
    mask = rng.random(SHAPE) < 0.4
    expected = (session[mask].T / 300).astype(np.float32)
    for path in write_betas(tmp_path, session, chunks):
        assert (read_betas(path, mask) == expected).all()


def test_big_endian_betas(tmp_path, session):
    mask = np.ones(SHAPE, bool)
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    path = write_nifti(tmp_path / "betas.nii.gz", session, header=header)
    assert nibabel.load(path).header.endianness == ">"
    np.testing.assert_allclose(read_betas(path, mask), session[mask].T / 300, rtol=1e-6)


@pytest.mark.parametrize("form", [0, 1], ids=["nifti", "hdf5"])
def test_broken_betas(tmp_path, session, form):
    mask = np.ones(SHAPE, bool)
    path = write_betas(tmp_path, session)[form]
    with pytest.raises(InputError, match="no such file"):
        read_betas(tmp_path / f"missing{path.suffix}", mask)
    with pytest.raises(InputError, match="empty one"):
        read_betas(path, np.zeros(SHAPE, bool))
    with pytest.raises(InputError, match=r"mask's volume \(5, 3, 4\), found \(4, 3, 5\)"):
        read_betas(path, np.ones(SHAPE[::-1], bool))
    with pytest.raises(InputError, match="expected 750 trials, found 11"):
        read_betas(path, mask, trials=750)
    with pytest.raises(TypeError, match="bool"):
        read_betas(path, mask.astype(int))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"cut short|cannot be opened") as error:
        read_betas(path, mask)
    assert str(path) in str(error.value)
    write_betas(tmp_path, session.astype(np.uint16))
    with pytest.raises(InputError, match=r"int16.*found uint16"):
        read_betas(path, mask)


def test_damaged_checksum_of_nifti(tmp_path, session):
    mask = np.ones(SHAPE, bool)
    path = write_betas(tmp_path, session)[0]
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # the checksum
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_betas(path, mask)


def test_masks_and_labels(tmp_path, rng):
    labels = rng.integers(-1, 4, SHAPE).astype(np.int16)
    path = write_nifti(tmp_path / "roi.nii.gz", labels)
    assert (volumes.read_labels(path) == labels).all()
    assert (volumes.read_mask(path, (1, 3)) == ((labels == 1) | (labels == 3))).all()
    with pytest.raises(InputError, match=r"label \[9\], found none"):
        volumes.read_mask(path, (9,))
    with pytest.raises(InputError, match="no such file"):
        volumes.read_mask(tmp_path / "other.nii.gz")
    write_nifti(path, labels + np.float32(0.5))
    with pytest.raises(InputError, match="whole numbers"):
        volumes.read_labels(path)
    write_nifti(path, labels[None])
    with pytest.raises(InputError, match=r"shape \(1, 4, 3, 5\)"):
        volumes.read_labels(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"cut short|cannot be opened"):
        volumes.read_labels(path)


def test_broken_stimuli_and_captions(tmp_path):
    stimuli, captions = tmp_path / "nsd_stimuli.hdf5", tmp_path / "captions.npy"
    with pytest.raises(InputError, match="found none"):
        nsd_tree.read_stimuli(stimuli, [0])
    with h5py.File(stimuli, "w") as file:
        file.create_dataset("imgBrick", data=np.ones((4, 9, 9, 3), np.uint8), chunks=(1, 9, 9, 3))
    assert nsd_tree.read_stimuli(stimuli, [3, 0]).shape == (2, 9, 9, 3)
    stimuli.write_bytes(stimuli.read_bytes()[:-100])
    with pytest.raises(InputError, match="whole HDF5 file"):
        nsd_tree.read_stimuli(stimuli, [0])
    with pytest.raises(InputError, match="no such file"):
        nsd_tree.read_captions(captions, [0])
    np.save(captions, np.array([["a", "", "b"], ["", "c", ""]]))
    assert nsd_tree.read_captions(captions, [1, 0]) == [["c"], ["a", "b"]]
    np.save(captions, np.array([["a", None]], object))  # a pickle: never loaded
    with pytest.raises(InputError, match="cannot be read"):
        nsd_tree.read_captions(captions, [0])
    np.save(captions, np.zeros((2, 5)))
    with pytest.raises(InputError, match="expected strings"):
        nsd_tree.read_captions(captions, [0])


def test_regions_and_paths():
    names = ["V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"]
    assert nsd_tree.REGIONS["prf-visualrois"] == dict(zip(names, range(1, 8), strict=True))
    assert nsd_tree.REGIONS["streams"]["parietal"] == 7
    assert nsd_tree.find_region("V1v") == ("prf-visualrois", ("V1v",))
    assert nsd_tree.find_region("floc-bodies/mTL") == ("floc-bodies", ("mTL",))
    with pytest.raises(InputError, match="floc-faces/mTL, floc-bodies/mTL, floc-words/mTL"):
        nsd_tree.find_region("mTL")
    with pytest.raises(InputError, match=r"found 'floc-faces/V1v' .*OFA"):
        nsd_tree.find_region("floc-faces/V1v")
    tree = nsd_tree.Tree("/nsd")
    folder = "/nsd/nsddata_betas/ppdata/subj05/func1pt8mm/betas_fithrf_GLMdenoise_RR"
    assert str(tree.betas("subj05", 3)) == f"{folder}/betas_session03.nii.gz"
    assert str(tree.ncsnr("subj05")) == f"{folder}/ncsnr.nii.gz"
    assert str(tree.mask("subj05")) == "/nsd/nsddata/ppdata/subj05/func1pt8mm/roi/nsdgeneral.nii.gz"


def test_empty_stimuli_are_all_counted(tmp_path, rng):
    """However far apart they are asked for; a picture with a black middle line is none of them."""
    pictures = rng.integers(1, 255, (20, 9, 9, 3), np.uint8)
    pictures[[4, 7, 11]], pictures[2, 4] = 0, 0
    with h5py.File(tmp_path / "stimuli.hdf5", "w") as file:
        file["imgBrick"] = pictures
    said = r"expected a picture for NSD id 4, found an empty one \(all zero\), as are 3 of the 10 asked for"
    for reader in (nsd_tree.read_stimuli, nsd_tree.check_filled):
        with pytest.raises(InputError, match=rf"{said}; .*fetch it again"):
            reader(tmp_path / "stimuli.hdf5", [11, 2, 7, *range(9), 4])
    nsd_tree.check_filled(tmp_path / "stimuli.hdf5", [2, 3, 19])
    assert not nsd_tree.read_stimuli(tmp_path / "stimuli.hdf5", [7], empty_ok=True).any()
    with pytest.raises(InputError, match="within 0 to 19, found 20"):
        nsd_tree.check_filled(tmp_path / "stimuli.hdf5", [20])


def test_one_empty_picture_is_not_counted(tmp_path, rng):
    """Among forty it is no "as are 1 of the 40"."""
    pictures = rng.integers(1, 255, (6, 9, 9, 3), np.uint8)
    pictures[4] = 0
    with h5py.File(tmp_path / "stimuli.hdf5", "w") as file:
        file["imgBrick"] = pictures
    said = r"NSD id 4, found an empty one \(all zero\); the file's download .* or leave this image out\.$"
    with pytest.raises(InputError, match=said):
        nsd_tree.read_stimuli(tmp_path / "stimuli.hdf5", range(6))
    np.save(tmp_path / "captions.npy", np.array([["a"], [""], ["b"]]))
    with pytest.raises(InputError, match=r"NSD id 1; take a file .* or leave this image out\.$"):
        nsd_tree.read_captions(tmp_path / "captions.npy", [0, 1, 2])
