"""Snakemake's between-workflow cache: what one folder made, another takes (docs/cache.md)."""

import shutil

import h5py
import numpy as np
import pytest
from helpers.places import ROOT
from helpers.server import CONTENT, VDVAE, serving, use_server
from helpers.workflow import SMALL, make_project, snakemake

from neural_recon.config.sections import Demo
from neural_recon.datasets.nsd.nsd_tree import N_IMAGES, Tree
from neural_recon.demo import tree as demo_tree

pytestmark = pytest.mark.slow

DEMO = Demo(seed=5, sessions=1, shared_images=50, own_images=200, rendered_shared=50)
REAL = {
    **{name: section for name, section in SMALL.items() if name != "demo"},
    "features": {"chunk": 250},
    "spaces": {"vdvae": {"weights": "vdvae-imagenet64"}},
}
CHUNKS = ["text/shared_000", "text/subj01_000", "vision/shared_000"]
FEATURES = [f"results/features/{chunk}.h5" for chunk in CHUNKS]


@pytest.fixture(scope="module")
def nsd(tmp_path_factory):
    """A tree that no rule makes; features read neither masks nor sessions."""
    folder = tmp_path_factory.mktemp("tree") / "nsd"
    tree = Tree(str(folder), preparation="betas_fithrf")
    demo_tree.write_experiment(tree, DEMO)
    tree.stimuli.parent.mkdir(parents=True)
    with h5py.File(tree.stimuli, "w") as file:  # of pictures that are still to come
        file.create_dataset("imgBrick", (N_IMAGES, 425, 425, 3), np.uint8, chunks=(1, 425, 425, 3))
    demo_tree.write_subject(tree, DEMO, "subj01")
    tree.betas("subj01", 1, "hdf5").write_bytes(b"betas")
    return folder


@pytest.fixture
def folders(tmp_path, nsd, monkeypatch):
    """Two projects, each with a copy of the tree, and the cache they share."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "cache"))
    projects = []
    for name in ("one", "two"):
        project = make_project(tmp_path / name / "project")
        (project / "resources").unlink()
        (project / "resources").mkdir()
        (project / "resources/demo_models").symlink_to(ROOT / "resources/demo_models")
        shutil.copytree(nsd, project / "nsd")
        projects.append(project)
    return projects


def test_second_folder_takes_features_and_weights_of_the_first(folders, tmp_path):
    one, two = folders
    with serving({f"/{VDVAE.rpartition('/')[2]}": CONTENT}) as server:
        for project in folders:
            use_server(project, server.address)
            done = snakemake(project, "--cache", "--", VDVAE, *FEATURES, config=REAL)
            assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.asked) == 1
    entries = list((tmp_path / "cache").iterdir())
    # chunks of the same rule have entries of their own
    assert len(entries) == 1 + len(FEATURES)
    for path in (VDVAE, *FEATURES):
        assert (two / path).read_bytes() == (one / path).read_bytes()
        assert (two / path).resolve() in entries
    first, second = ([log.stat().st_size > 0 for log in (p / "logs").rglob("*.log")] for p in folders)
    assert first == [True] * (1 + len(FEATURES))
    assert not any(second)  # no script ran
    # what is there is as good as made here, and a folder that stops using the cache makes nothing again
    for project, arguments in ((two, ["--cache"]), (one, [])):
        planned = snakemake(project, *arguments, "--dry-run", "--", *FEATURES, config=REAL)
        assert "Nothing to be done" in planned.stdout + planned.stderr
    # other pictures are another entry, though this key is made without reading them all
    with h5py.File(two / "nsd/nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", "r+") as file:
        file["imgBrick"][0] = 1
    planned = snakemake(two, "--cache", "--dry-run", "--", *FEATURES, config=REAL)
    said = planned.stdout + planned.stderr
    assert "vision/shared_000.h5 will be written to global between-workflow cache" in said
    assert "text/shared_000.h5 will be" not in said
