"""Every mistake in a tree's files is found in one go."""

import gzip
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from conftest import ROOT

from neural_recon import nsd, tree_checks
from neural_recon.config import Config, resolve
from neural_recon.demo import design
from neural_recon.plan import Plan

SHAPE = (4, 3, 5)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


@pytest.fixture
def plan(tmp_path, rng) -> Plan:
    """The plan of a small tree that is whole: six sessions of subj01 in NIfTI, one of subj02 in HDF5."""
    raw = {
        "recipe": "brain_diffuser_small",
        "nsd": {"root": str(tmp_path), "atlases": ["streams"]},
        "subjects": {"subj01": {"sessions": 6}, "subj02": {"sessions": 1, "format": "hdf5"}},
    }
    plan = Plan(Config.model_validate(resolve(raw, ROOT)))
    tree = plan.config.tree
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
        file.create_dataset("imgBrick", (nsd.N_IMAGES, 8, 8, 3), np.uint8, chunks=(1, 8, 8, 3))
    tree.captions.parent.mkdir()
    np.save(tree.captions, np.full((nsd.N_IMAGES, 5), "a cat"))
    return plan


def mistakes(plan: Plan, thorough: bool = False) -> list[str]:
    found = list(tree_checks.shared_mistakes(plan))
    for subject in plan.config.subjects:
        found += tree_checks.subject_mistakes(plan, subject, thorough)
    assert not [sentence for sentence in found if "\n" in sentence]
    return found


@pytest.mark.parametrize("thorough", [False, True])
def test_a_whole_tree_has_none(plan, thorough):
    assert mistakes(plan, thorough) == []


def test_all_are_found_at_once(plan):
    tree = plan.config.tree
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
    captions = np.full((nsd.N_IMAGES, 5), "a cat")
    captions[int(plan.trials("subj01")["nsd_id"].min())] = ""
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


def test_uncompressed_betas_cut_short(plan):
    tree = plan.config.tree
    path = tree.betas("subj01", 1)
    whole = gzip.decompress(path.read_bytes())
    path.unlink()
    plain = path.with_suffix("")  # .nii
    plain.write_bytes(whole)
    nsd.check_betas(plain, SHAPE, 750)
    plain.write_bytes(whole[:-2])
    with pytest.raises(nsd.InputError, match="its end is missing"):
        nsd.check_betas(plain, SHAPE, 750)
