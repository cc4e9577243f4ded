"""The demo's NSD tree, read back with the readers for the real one."""

import json

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
import scipy.io

from neural_recon.config.sections import Demo
from neural_recon.core.errors import InputError
from neural_recon.datasets import volumes
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.datasets.nsd.betas import read_betas
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import brain, design, tree
from neural_recon.demo.scenes import render

SUBJECTS = ["subj01", "subj02"]
DEMO = Demo(seed=3, sessions=1, shared_images=10, own_images=240, rendered_shared=12)
SIDE = 40


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One session of one subject, with small pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "SIDE", SIDE)
        where = Tree(tmp_path_factory.mktemp("demo"))
        tree.write_experiment(where, DEMO)
        tree.write_stimuli(where, DEMO, processes=2)
        tree.write_subject(where, DEMO, "subj01")
        tree.write_signals(where, DEMO, "subj01")
        tree.write_betas(where, DEMO, "subj01", 1)
    return where


def test_design_shows_the_first_images_three_times_in_the_first_sessions():
    plan = design.make(0, 4, 100, 900)
    first = plan.masterordering[:3000]
    positions, counts = np.unique(first, return_counts=True)
    assert positions.tolist() == [*range(1, 101), *range(1001, 1901)]
    assert (counts == 3).all()
    assert (np.bincount(plan.masterordering, minlength=10_001)[1:] == 3).all()
    spread = plan.trials("subj01", [1, 2, 3, 4]).groupby("image_id")["session"].nunique()
    assert (spread > 1).mean() > 0.8  # most across sessions
    assert (spread < 3).mean() > 0.4  # some within one
    assert 20 < (first[:750] <= 1000).sum() < 130  # the shared images come in every session


def test_design_gives_every_image_once():
    plan = design.make(0, 4, 100, 900)
    assert (plan.subjectim[:, :1000] == plan.sharedix).all()
    assert (np.diff(plan.sharedix) > 0).all()
    everything = np.concatenate([plan.sharedix, plan.subjectim[:, 1000:].ravel()])
    assert np.sort(everything).tolist() == list(range(1, 73_001))
    assert (design.make(0, 4, 100, 900).masterordering == plan.masterordering).all()
    assert (design.make(1, 4, 100, 900).masterordering != plan.masterordering).any()


def test_whole_experiment_of_nsd_is_a_design_too():
    plan = design.make(0, 40, 1000, 9000)
    assert (np.bincount(plan.masterordering)[1:] == 3).all()


@pytest.mark.parametrize(("sessions", "shared", "own"), [(4, 100, 800), (41, 1000, 9250), (4, 0, 1001)])
def test_design_that_does_not_add_up(sessions, shared, own):
    with pytest.raises(InputError, match="demo: expected"):
        design.make(0, sessions, shared, own)


def test_design_file_has_the_format_of_nsd(written, tmp_path):
    content = scipy.io.loadmat(written.expdesign)
    shapes = {name: value.shape for name, value in content.items() if not name.startswith("__")}
    assert shapes == {"masterordering": (1, 30_000), "subjectim": (8, 10_000), "sharedix": (1, 1000)}
    assert all(content[name].dtype == float for name in shapes)
    plan = design.of(DEMO)
    read = nsd_tree.design_table(*nsd_tree.read_experiment(written.expdesign), "subj02", [1, 3])
    pd.testing.assert_frame_equal(read, plan.trials("subj02", [1, 3]))
    design.write(tmp_path / "again.mat", plan)
    assert (tmp_path / "again.mat").read_bytes() == written.expdesign.read_bytes()


def test_stimuli_are_the_rendered_scenes_and_nothing_else(written):
    ids = tree.rendered_ids(DEMO)
    assert len(ids) == 12 + 2 * 240
    plan = design.of(DEMO)
    for subject in SUBJECTS:
        assert set(plan.trials(subject, [1])["image_id"]) <= set(ids)
    pictures = nsd_tree.read_stimuli(written.stimuli, ids[[40, 3]])
    assert (pictures[0] == render(tree.scene(DEMO, ids[40]), SIDE)).all()
    assert (pictures[1] == render(tree.scene(DEMO, ids[3]), SIDE)).all()
    with h5py.File(written.stimuli) as file:
        brick = file["imgBrick"]
        assert brick.shape[0] == 73_000
        assert brick.chunks == (1, *brick.shape[1:])
        assert brick.id.get_num_chunks() == len(ids)
    absent = np.setdiff1d(np.arange(73_000), ids)[0]
    with pytest.raises(InputError, match="found an empty one"):
        nsd_tree.read_stimuli(written.stimuli, [absent])


def test_captions_and_scenes_tell_of_the_same_pictures(written):
    table = pd.read_parquet(tree.scenes_path(written))
    ids = tree.rendered_ids(DEMO)
    assert table["image_id"].tolist() == ids.tolist()
    captions = nsd_tree.read_captions(written.captions, ids)
    assert all(len(five) == 5 for five in captions)
    for row in table.iloc[::50].itertuples():
        scene = tree.scene(DEMO, row.image_id)
        assert (row.background, row.n_objects) == (scene.background, len(scene.objects))
        assert (row.main_kind, row.main_size) == (scene.objects[0].kind, scene.objects[0].size)
        assert row.second_kind == (scene.objects[1].kind if row.n_objects == 2 else "")
        assert np.isnan(row.second_x) == (row.n_objects == 1)
    colours = table["main_colour"]
    named = [any(colour in text for text in five) for colour, five in zip(colours, captions, strict=True)]
    assert np.mean(named) > 0.95
    assert np.load(written.captions, mmap_mode="r").shape == (73_000, 5)


def test_betas_are_the_simulation_in_both_formats(written):
    subject = brain.grow(DEMO.seed, "subj01")
    mask = volumes.read_mask(written.mask("subj01"))
    assert (mask == subject.cortex.volume(subject.cortex.labels["nsdgeneral"] == 1, False)).all()
    betas = read_betas(written.betas("subj01", 1), mask, trials=750)
    other = read_betas(written.betas("subj01", 1, "hdf5"), mask, trials=750)
    assert betas.tobytes() == other.tobytes()

    with h5py.File(tree.signals_path(written, "subj01")) as file:
        signals, ids = file["signals"][()], file["image_id"][()]
        assert json.loads(file.attrs["parameters"])["subject"] == "subj01"
    shown = design.of(DEMO).trials("subj01", [1])["image_id"].to_numpy()
    rows = [ids.tolist().index(image_id) for image_id in shown]
    simulated = brain.betas(subject, signals[rows], DEMO.seed, "subj01", 1)
    general = subject.cortex.labels["nsdgeneral"] == 1
    np.testing.assert_allclose(betas, simulated[:, general], atol=0.5 / 300 + 1e-5)

    image = nibabel.load(written.betas("subj01", 1))
    assert image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.header.get_zooms()[:3], 1.8, rtol=1e-6)
    outside = volumes.read_labels(written.mask("subj01")) == -1
    assert not np.asarray(image.dataobj[..., 0])[outside].any()


def test_regions_and_ncsnr_of_a_subject(written):
    subject = brain.grow(DEMO.seed, "subj01")
    mask = volumes.read_labels(written.mask("subj01"))
    assert set(np.unique(mask)) == {-1, 0, 1}
    for atlas, regions in nsd_tree.REGIONS.items():
        labels = volumes.read_labels(written.roi("subj01", atlas))
        assert labels.shape == mask.shape
        assert set(np.unique(labels)) <= {-1, 0, *regions.values()}
        assert ((labels == -1) == (mask == -1)).all()
    ncsnr = nibabel.load(written.ncsnr("subj01")).get_fdata()
    np.testing.assert_allclose(ncsnr[mask >= 0], subject.ncsnr, rtol=1e-6)


def test_writing_again_gives_the_same_bytes(written, tmp_path):
    again = Tree(tmp_path)
    tree.write_subject(again, DEMO, "subj01")
    target = tree.signals_path(again, "subj01")
    target.parent.mkdir(parents=True)
    target.symlink_to(tree.signals_path(written, "subj01"))
    tree.write_betas(again, DEMO, "subj01", 1)
    for one, other in (
        (again.mask("subj01"), written.mask("subj01")),
        (again.betas("subj01", 1), written.betas("subj01", 1)),
        (again.betas("subj01", 1, "hdf5"), written.betas("subj01", 1, "hdf5")),
    ):
        assert one.read_bytes() == other.read_bytes()
