"""Projects in odd places: folders of any name, inputs that cannot be written, clocks that were wrong."""

import os
import subprocess
import time

import nibabel
import numpy as np
import pytest
from test_workflow import SMALL, make_project, snakemake

from neural_recon import nsd
from neural_recon.errors import InputError
from neural_recon.files import read_hdf5, write_hdf5, write_text
from neural_recon.pictures import write_folder

DESIGN = "nsd/nsddata/experiments/nsd/nsd_expdesign.mat"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in a folder that nobody expects."""
    return make_project(tmp_path_factory.mktemp("places") / "größe π x")


@pytest.mark.slow
def test_a_folder_of_any_name(project):
    done = snakemake(project, "--dry-run", config=SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    done = snakemake(project, "results/trials/subj01.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "results/trials/subj01.parquet").is_file()
    assert len(nsd.read_design(project / DESIGN, "subj01", [1])) == 750


@pytest.mark.slow
def test_a_clock_that_was_wrong_reruns_nothing_for_ever(project):
    """An input of tomorrow makes its job run once more at most, and never fails it."""
    target = "results/trials/subj01.parquet"
    assert snakemake(project, target, config=SMALL).returncode == 0
    tomorrow = time.time() + 86400
    os.utime(project / DESIGN, (tomorrow, tomorrow))
    done = snakemake(project, target)
    assert done.returncode == 0, done.stdout + done.stderr
    again = snakemake(project, target, "--dry-run")
    assert again.returncode == 0
    # Snakemake goes by what files contain where it knows it, not by their times alone
    assert "Nothing to be done" in again.stdout + again.stderr


def test_inputs_are_only_read(tmp_path):
    """Readers open files for reading: the bytes and times of what they read stay."""
    volume = np.ones((3, 3, 3), np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "mask.nii.gz")
    write_hdf5(tmp_path / "a.h5", {"x": np.arange(3)}, {})
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    for path in before:
        path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        nsd.read_mask(tmp_path / "mask.nii.gz")
        read_hdf5(tmp_path / "a.h5")
    finally:
        tmp_path.chmod(0o755)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_outputs_do_not_go_through_links(tmp_path, rng):
    """A link in the place of an output is replaced; what it points to stays."""
    outside, inside = tmp_path / "outside", tmp_path / "results"
    outside.mkdir()
    inside.mkdir()
    (outside / "mine").write_text("mine")
    (inside / "a.h5").symlink_to(outside / "mine")
    (inside / "a.json").symlink_to(outside / "mine")
    write_hdf5(inside / "a.h5", {"x": np.arange(3)}, {})
    write_text(inside / "a.json", "{}")
    assert not (inside / "a.h5").is_symlink()
    assert (outside / "mine").read_text() == "mine"
    images = rng.integers(0, 255, (1, 4, 4, 3), dtype=np.uint8)
    (inside / "pictures").symlink_to(outside)
    with pytest.raises((InputError, OSError)):
        write_folder(inside / "pictures", {"final": {"images": images, "nsd_id": [3]}})
    assert [path.name for path in outside.iterdir()] == ["mine"]


def read_only(folder) -> bool:
    """Make a folder read-only, even for root; False where that is not allowed."""
    mounts = (["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder])
    return all(subprocess.run(m, capture_output=True, check=False).returncode == 0 for m in mounts)


def test_results_that_cannot_be_written_are_an_error(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    if not read_only(folder):
        subprocess.run(["umount", folder], capture_output=True, check=False)
        pytest.skip("neither mount nor unprivileged: a read-only folder cannot be made here")
    try:
        with pytest.raises(OSError, match="Read-only"):
            write_text(folder / "a.json", "{}")
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)
