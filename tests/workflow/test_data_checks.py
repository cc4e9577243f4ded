"""Every mistake in a tree's files is found in one go."""

import gzip
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from helpers.places import ROOT
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from neural_recon.config.configuration import Config, resolve
from neural_recon.datasets.nsd import betas, nsd_tree
from neural_recon.demo import design
from neural_recon.workflow import data_checks
from neural_recon.workflow.plan import Plan

SHAPE = (4, 3, 5)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


@pytest.fixture
def plan(tmp_path, rng) -> Plan:
    """The plan of a small tree that is whole: six sessions of subj01 in NIfTI, one of subj02 in HDF5."""
    raw = {
        "recipe": "brain_diffuser_small",
        "dataset": {"kind": "nsd", "root": str(tmp_path), "atlases": ["streams"]},
        "subjects": {"subj01": {"sessions": 6}, "subj02": {"sessions": 1, "format": "hdf5"}},
    }
    plan = Plan(Config.model_validate(resolve(raw, ROOT)))
    tree = plan.config.data.tree
    design.write(tree.expdesign, design.make(5, 6, 120, 1380))
    for subject in raw["subjects"]:
        for atlas in ("nsdgeneral", "streams"):
            save(tree.roi(subject, atlas), np.ones(SHAPE, np.int16))
        for session in plan.config.sessions(subject):
            betas = rng.integers(-3000, 3000, (*SHAPE, 750)).astype(np.int16)
            save(tree.betas(subject, session), betas)
            with h5py.File(tree.betas(subject, session, "hdf5"), "w") as file:
                file["betas"] = betas.T
    tree.stimuli.parent.mkdir(parents=True)
    with h5py.File(tree.stimuli, "w") as file:
        file.create_dataset("imgBrick", (nsd_tree.N_IMAGES, 8, 8, 3), np.uint8, chunks=(1, 8, 8, 3))
    tree.captions.parent.mkdir()
    np.save(tree.captions, np.full((nsd_tree.N_IMAGES, 5), "a cat"))
    return plan


def mistakes(plan: Plan, thorough: bool = False) -> list[str]:
    found = list(data_checks.shared_mistakes(plan))
    for subject in plan.config.subjects:
        found += data_checks.subject_mistakes(plan, subject, thorough)
    assert not [sentence for sentence in found if "\n" in sentence]
    return found


@pytest.mark.parametrize("thorough", [False, True])
def test_a_whole_tree_has_none(plan, thorough):
    assert mistakes(plan, thorough) == []


def test_all_are_found_at_once(plan):
    tree = plan.config.data.tree
    first, second, third, fourth, fifth, sixth = (tree.betas("subj01", s) for s in range(1, 7))
    first.write_bytes(first.read_bytes()[:-500])
    save(second, np.zeros((*SHAPE, 749), np.int16))
    save(third, np.zeros((5, 5, 5, 750), np.int16))
    save(fourth, np.zeros((*SHAPE, 750), np.uint16))
    fifth.write_bytes(b"no gzip at all")
    content = bytearray(sixth.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = bytes(8)
    sixth.write_bytes(content)
    save(tree.roi("subj01", "streams"), np.ones((4, 3, 6), np.int16))
    with h5py.File(tree.betas("subj02", 1, "hdf5"), "w") as file:
        file["beta"] = np.zeros(3)
    with h5py.File(tree.stimuli, "w") as file:
        file["imgBrick"] = np.zeros((10, 8, 8, 3), np.uint8)
    captions = np.full((nsd_tree.N_IMAGES, 5), "a cat")
    captions[int(plan.trials("subj01")["image_id"].min())] = ""
    np.save(tree.captions, captions)

    expected = [
        (tree.stimuli, r"expected imgBrick (73000, height, width, 3), found imgBrick (10, 8, 8, 3)"),
        (tree.captions, "expected captions for every image, found none for NSD id"),
        (tree.roi("subj01", "streams"), "expected the mask's volume (4, 3, 5), found (4, 3, 6)"),
        (first, "cut short or damaged"),
        (second, "expected 750 trials, found 749"),
        (third, "expected betas of the mask's volume (4, 3, 5), found (5, 5, 5)"),
        (fourth, "expected betas as int16"),
        (fifth, "cannot be opened"),
        (tree.betas("subj02", 1, "hdf5"), "expected the dataset 'betas', found ['beta']"),
    ]
    found = mistakes(plan)
    assert len(found) == len(expected), found
    for (path, sentence), said in zip(expected, found, strict=True):
        assert str(path) in said
        assert sentence in said
    # damage in the middle shows only to who reads on
    [more] = set(mistakes(plan, thorough=True)) - set(found)
    assert str(sixth) in more
    assert "damaged" in more


def turned(path: Path, codes: str) -> None:
    """Save a volume again along other axes, its affine saying so."""
    image = nibabel.load(path)
    image = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine)
    nibabel.save(image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))), path)


@pytest.mark.parametrize("thorough", [False, True])
def test_what_is_turned_or_odd_is_noted(plan, thorough):
    """And is no mistake; what forty sessions share is said once."""
    tree = plan.config.data.tree
    turned(tree.mask("subj01"), "LAS")
    turned(tree.roi("subj01", "streams"), "PIR")
    for session in plan.config.sessions("subj01"):
        path = tree.betas("subj01", session)
        image = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), np.diag([1, 1, 1.8, 1])), path)
    notes: list[str] = []
    assert list(data_checks.subject_mistakes(plan, "subj01", thorough, notes)) == []
    assert len(notes) == 3, notes
    for path, said, note in zip(
        (tree.mask("subj01"), tree.roi("subj01", "streams"), tree.betas("subj01", 1)),
        ("stored as LAS", "stored as PIR", "and 5 more: its header differs from that of"),
        notes,
        strict=True,
    ):
        assert note.startswith(str(path))
        assert said in note


def test_masks_by_region_are_held_to_the_mask(plan, tmp_path):
    """Those of dataset.regions and of regions.sets; a mask of the user's that lies elsewhere ends the run."""
    good, moved, vague = (tmp_path / f"{name}_subj01.nii.gz" for name in ("good", "moved", "vague"))
    save(good, np.ones(SHAPE, np.uint8))
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), np.diag([2, 2, 2, 1])), moved)
    save(vague, np.full(SHAPE, 0.4, np.float32))
    names = [str(path).replace("subj01", "{subject}") for path in (good, moved, vague)]
    raw = plan.config.model_dump()
    raw["dataset"]["regions"], raw["regions"]["sets"] = names[:2], {"one": names[2:]}
    config = Config.model_validate(raw)
    found = list(data_checks.subject_mistakes(Plan(config), "subj01", False))
    assert len(found) == 2, found
    assert f"{moved}: expected a volume on the grid of {plan.config.data.tree.mask('subj01')}" in found[0]
    assert f"{vague}: expected whole numbers as labels, found 0.4" in found[1]


def test_uncompressed_betas_cut_short(plan):
    tree = plan.config.data.tree
    path = tree.betas("subj01", 1)
    whole = gzip.decompress(path.read_bytes())
    path.unlink()
    plain = path.with_suffix("")  # .nii
    plain.write_bytes(whole)
    betas.check_betas(plain, SHAPE, 750)
    plain.write_bytes(whole[:-2])
    with pytest.raises(nsd_tree.InputError, match="its end is missing"):
        betas.check_betas(plain, SHAPE, 750)
