"""Projects in odd places: folders of any name, inputs that cannot be written, clocks that were wrong."""

import os
import re
import shutil
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest
from helpers.workflow import SMALL, make_project, snakemake

from neural_recon.core.errors import InputError
from neural_recon.core.files import write_text
from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.datasets import volumes
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.generation.png_files import write_folder
from neural_recon.workflow.verify import verify

DESIGN = "nsd/nsddata/experiments/nsd/nsd_expdesign.mat"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in a folder that nobody expects: all of a keyboard but braces and the slash."""
    name = "größe π;`c`#d:e,f=g>h<?i!j\tk(l) m~ 'n' \"o\" $HOME &p\nq*[r]\\ %j |^"
    return make_project(tmp_path_factory.mktemp("places") / name)


@pytest.mark.slow
def test_a_folder_of_any_name(project):
    done = snakemake(project, "--dry-run", config=SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    done = snakemake(project, "results/trials/subj01.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "results/trials/subj01.parquet").is_file()
    assert len(nsd_tree.design_table(*nsd_tree.read_experiment(project / DESIGN), "subj01", [1])) == 750


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a {b} c", "a {{b}}", "a {", "}"])
def test_braces_in_the_project_s_path_are_refused(tmp_path, name):
    """Snakemake would end in a NameError, or leave results without their records."""
    folder = make_project(tmp_path / name)
    done = snakemake(folder, "--dry-run", config=SMALL)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert (
        f"folder of the project: expected no braces, which Snakemake takes for wildcards, found '{folder}'"
        in said
    )
    assert "Traceback" not in said


@pytest.mark.slow
def test_braces_in_the_working_folder_do_no_harm(project, tmp_path):
    folder = tmp_path / "a {b} {{c}}"
    folder.mkdir()
    target = "results/trials/subj01.parquet"
    (folder / "resources").symlink_to(project / "resources")
    done = snakemake(project, target, "--directory", str(folder), config=SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verify(folder / "results").wrong == []
    assert (folder / target).is_file()


@pytest.mark.slow
def test_a_clock_that_was_wrong_reruns_nothing_for_ever(project):
    """Results that are there stay; what must be made from a file of tomorrow says which one that is."""
    target = "results/trials/subj01.parquet"
    assert snakemake(project, target, config=SMALL).returncode == 0
    design = project / DESIGN
    tomorrow = time.time() + 86400
    os.utime(design, (tomorrow, tomorrow))
    done = snakemake(project, target)
    assert done.returncode == 0, done.stdout + done.stderr
    again = snakemake(project, target, "--dry-run")
    assert again.returncode == 0
    # Snakemake goes by what files contain where it knows it, not by their times alone
    assert "Nothing to be done" in again.stdout + again.stderr

    (project / target).unlink()
    done = snakemake(project, target)
    assert done.returncode == 1
    assert re.search(rf"has older modification time \(.*\) than input {DESIGN}", done.stdout + done.stderr)
    design.touch()
    assert snakemake(project, target).returncode == 0
    assert verify(project / "results").wrong == []


@pytest.mark.slow
def test_the_second_of_two_runs_at_once_ends_and_the_first_goes_on(project):
    target = "results/voxels/subj01.parquet"
    command = [sys.executable, "-m", "snakemake", target, "--cores", "1"]
    first = subprocess.Popen(
        [*command, "--configfile", "config.yaml"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(project.glob(".snakemake/locks/*")) and first.poll() is None:
        time.sleep(0.01)
    assert first.poll() is None
    second = snakemake(project, target)
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stdout + second.stderr
    assert first.wait(120) == 0
    assert (project / target).is_file()
    assert snakemake(project, target).returncode == 0


# as a share whose listing is old: Snakemake, not the job that writes it, sees a file seconds late
LATE = """
import os, sys, time
if sys.argv[0] == "-m":
    stat = os.stat
    def late(path, *given, **more):
        found = stat(path, *given, **more)
        if str(path).endswith("trials/subj01.parquet") and time.time() - found.st_mtime < 6:
            raise FileNotFoundError(2, "not seen yet", str(path))
        return found
    os.stat = late
"""


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "status"), [(1, 1), (30, 0)])
def test_files_that_come_late(project, tmp_path, monkeypatch, patience, status):
    """Waited for, or the run ends and says so; the next one continues, and the result is right."""
    target = "results/trials/subj01.parquet"
    shutil.rmtree(project / "results/trials", ignore_errors=True)
    (tmp_path / "sitecustomize.py").write_text(LATE, encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path))
        done = snakemake(project, target, "--latency-wait", str(patience))
    assert done.returncode == status, done.stdout + done.stderr
    if status:
        assert "MissingOutputException" in done.stdout + done.stderr
        assert snakemake(project, target).returncode == 0
    verdict = verify(project / "results", thorough=True)
    assert verdict.wrong == []
    assert (project / target).is_file()


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
        volumes.read_mask(tmp_path / "mask.nii.gz")
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
        write_folder(inside / "pictures", {"final": {"images": images, "image_id": [3]}})
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
        with pytest.raises(InputError, match=r"no permission to write in the folder .*Read-only"):
            write_text(folder / "a.json", "{}")
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)
