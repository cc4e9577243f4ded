"""A full disk ends a job in one sentence, and nothing half is left; on a small disk of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neural_recon.core import hdf5

# Each way of writing fills more than the disk has; HDF5 fails at different places for different layouts.
WRITERS = {
    "whole.h5": 'hdf5.write_hdf5(path, {"x": noise}, {})',
    "chunks.h5": 'hdf5.write_hdf5(path, {"x": noise}, {}, chunks={"x": (50, 50)})',
    "many.h5": 'hdf5.write_hdf5(path, {f"x{k}": noise[:50, :50] for k in range(200)}, {})',
    "texts.h5": 'hdf5.write_hdf5(path, {"x": np.array([str(v) * 50 for v in noise[:10].ravel()])}, {})',
    "blocks.h5": """
with hdf5.new_hdf5(path, {}) as file:
    blocks = file.create_dataset("x", noise.shape, float, chunks=(20, 20))
    for start in range(0, 1000, 100):
        blocks[:, start : start + 100] = noise[:, start : start + 100]""",
    "table.parquet": 'tables.write_table(path, pd.DataFrame({"x": noise.ravel()}))',
    "table.tsv": 'tables.write_table(path, pd.DataFrame({"x": noise.ravel()}))',
    "page.html": 'files.write_text(path, "x" * 5_000_000)',
    "image.nii.gz": "tree._save(path, noise.reshape(100, 100, 100))",
    "captions.npy": 'tree.write_captions(path, np.arange(20_000), np.full((20_000, 5), "a caption " * 2))',
    "pictures": """
images = noise.astype(np.uint8).reshape(10, 200, 500)[..., None].repeat(3, axis=3)
png_files.write_folder(path, {"final": {"images": images, "image_id": np.arange(10)}})""",
}
BEGIN = """
import sys
from pathlib import Path
import numpy as np
import pandas as pd
from neural_recon.core import files, hdf5, tables
from neural_recon.generation import png_files
from neural_recon.demo import tree
from neural_recon.core.errors import InputError

noise = np.random.default_rng(0).normal(0, 1000, (1000, 1000))
"""
TRY = """
path = Path(sys.argv[1]) / {name!r}
try:
    exec({writer!r})
    print("no error")
except InputError as error:
    print(error)
"""
JOB = """
from types import SimpleNamespace
from neural_recon.workflow.jobs import start
config = {"seed": 0, "dataset": {"kind": "nsd", "root": "nsd"}, "pathvars": {"results": sys.argv[1]}}
path = Path(sys.argv[1]) / "out/a.h5"
job = SimpleNamespace(log=["job.log"], rule="responses", wildcards={}, input={}, params={}, config=config)
job.output = [str(path)]
start(job)
hdf5.write_hdf5(path, {"x": np.arange(2000)}, {})
fill = Path(sys.argv[1]) / "fill"
if len(sys.argv) > 2:  # the record itself finds no room
    with fill.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(512))
            except OSError:
                break
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Iterator[Path]:
    """A disk of 1.2 MB."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def run(program: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", BEGIN + program, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_every_writer_ends_in_a_sentence_and_leaves_nothing(disk):
    program = "".join(TRY.format(name=name, writer=writer) for name, writer in WRITERS.items())
    done = run(program, disk)
    assert (done.returncode, done.stderr) == (0, "")  # HDF5 by itself: a segmentation fault
    assert done.stdout.splitlines() == [
        f"No space left on device: {disk / name}; free some space on the disk of {disk} and run again."
        for name in WRITERS
    ]
    assert list(disk.iterdir()) == []
    # with room the same disk takes files
    hdf5.write_hdf5(disk / "small.h5", {"x": np.arange(3)}, {})
    (disk / "small.h5").unlink()


def test_job_without_room_for_its_record_fails_in_a_sentence(disk, tmp_path):
    done = run(JOB, disk, "fill", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error in responses: No space left on device: {disk}/provenance/")
    assert done.stderr.endswith(f"free some space on the disk of {disk} and run again.\n")
    assert done.stderr.count("\n") == 1
    assert not list(disk.rglob("*.json"))
    assert not list(disk.rglob(".part-*"))
    (disk / "fill").unlink()
    done = run(JOB, disk, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (disk / "provenance/out/a.h5.json").is_file()
