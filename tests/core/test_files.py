"""Files that appear only when whole."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from neural_recon import __version__
from neural_recon.core import files, hdf5, tables
from neural_recon.core.errors import InputError


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole_renames_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "deep/er/result.tsv"
    with files.atomic(path) as temporary:
        temporary.write_text("content")
        # the same suffix (writers look at it) and the same file system
        assert (temporary.suffix, temporary.parent) == (".tsv", path.parent)
        assert not path.exists()
    assert path.read_text() == "content"
    assert listed(path.parent) == ["result.tsv"]


@pytest.mark.parametrize("old", [None, "old"])
def test_whole_leaves_nothing_when_the_block_fails(tmp_path, old):
    path = tmp_path / "result.txt"
    if old:
        path.write_text(old)
    with pytest.raises(TypeError), files.atomic(path) as temporary, temporary.open("w") as file:
        file.writelines(["half of it", None])
    assert listed(tmp_path) == (["result.txt"] if old else [])
    assert not old or path.read_text() == old


def test_block_that_writes_nothing_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), files.atomic(path):
        pass
    assert path.read_text() == "old"


def test_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.h5"
    hdf5.write_hdf5(path, {"a": np.arange(3)}, {})
    before = path.read_bytes()
    program = """
import sys, time
from neural_recon.core.files import atomic
with atomic(sys.argv[1]) as temporary, temporary.open("wb") as file:
    file.write(b"half of the new file")
    file.flush()
    print("written", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "written\n"
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert path.read_bytes() == before


def test_hdf5_gives_back_arrays_and_parameters(tmp_path, rng):
    path = tmp_path / "data.h5"
    arrays = {
        "x": rng.standard_normal((6, 5)).astype(np.float16),
        "ids": np.arange(6, dtype=np.int32),
        "flags": np.array([True, False]),
        "names": np.array(["", "V1v", "größer"]),
    }
    parameters = {"seed": 3, "alphas": [1.5, 2], "none": None}
    hdf5.write_hdf5(path, arrays, parameters, chunks={"x": (6, 2)})
    found = hdf5.read_hdf5(path)
    assert set(found) == set(arrays)
    for name in ("x", "ids", "flags"):
        assert found[name].dtype == arrays[name].dtype
        np.testing.assert_array_equal(found[name], arrays[name])
    assert found["names"].tolist() == ["", "V1v", "größer"]
    assert hdf5.read_parameters(path) == parameters
    with h5py.File(path) as file:
        assert file["x"].chunks == (6, 2)
        assert file.attrs["neural_recon_version"] == __version__
    assert list(hdf5.read_hdf5(path, "ids")) == ["ids"]


def test_hdf5_has_the_same_bytes_for_the_same_content(tmp_path, rng):
    x = rng.standard_normal((50, 7))
    names = np.array(["a", "bc"])
    hdf5.write_hdf5(tmp_path / "one.h5", {"x": x, "s": names}, {"a": 1, "b": 2}, chunks={"x": (10, 7)})
    hdf5.write_hdf5(tmp_path / "two.h5", {"x": x.copy(), "s": names}, {"b": 2, "a": 1}, chunks={"x": (10, 7)})
    hdf5.write_hdf5(tmp_path / "other.h5", {"x": x + 1, "s": names}, {"a": 1, "b": 2}, chunks={"x": (10, 7)})
    one, two, other = ((tmp_path / f"{name}.h5").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_failing_hdf5_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        hdf5.write_hdf5(tmp_path / "data.h5", {"x": np.arange(3)}, {"not JSON": {1, 2}})
    assert listed(tmp_path) == []


def test_hdf5_that_cannot_be_read(tmp_path):
    path = tmp_path / "data.h5"
    with pytest.raises(InputError, match=r"data\.h5: expected an HDF5 file, found none"):
        hdf5.read_hdf5(path)
    path.write_text("no HDF5")
    with pytest.raises(InputError, match="expected a whole HDF5 file"):
        hdf5.read_hdf5(path)
    hdf5.write_hdf5(path, {"x": np.zeros((1000, 100))}, {})
    with pytest.raises(InputError, match=r"expected the dataset 'y', found \['x'\]"):
        hdf5.read_hdf5(path, "y")
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match="expected a whole HDF5 file"):
        hdf5.read_parameters(path)


def test_parameters_of_a_file_of_another_program(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["made by"] = "hand"
    with pytest.raises(
        InputError, match=r"other\.h5: expected the attribute 'parameters', found \['made by'\]"
    ):
        hdf5.read_parameters(tmp_path / "other.h5")


def test_tables(tmp_path):
    frame = pd.DataFrame({"subject": ["subj01", "subj02"], "value": [0.123456789, np.nan], "n": [1, 2]})
    frame.attrs["source"] = "a test"
    tables.write_table(tmp_path / "t.parquet", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), frame)
    stored = pyarrow.parquet.read_schema(tmp_path / "t.parquet").metadata[b"PANDAS_ATTRS"]
    assert json.loads(stored) == {"source": "a test", "neural_recon_version": __version__}
    assert frame.attrs == {"source": "a test"}  # the caller's own stays as it was
    tables.write_table(tmp_path / "t.tsv", frame)
    assert (tmp_path / "t.tsv").read_text() == "subject\tvalue\tn\nsubj01\t0.123457\t1\nsubj02\t\t2\n"


def test_text(tmp_path):
    files.write_text(tmp_path / "a/t.txt", "größer\n")
    assert (tmp_path / "a/t.txt").read_bytes() == "größer\n".encode()


ELSEWHERE = {
    "a link to x in the file y.hdf5": {"betas": h5py.ExternalLink("y.hdf5", "x")},
    "a link to /z": {"betas": h5py.SoftLink("/z")},
    "a group with runs": {"betas/runs": [1]},
    "an empty one, without a shape": {"betas": h5py.Empty("f4")},
    "none at all; ": {},
    "['data'] (a group with betas); ": {"data/betas": [1]},
    "['a', 'b'] ((1,), a link to /c); ": {"a": [1], "b": h5py.SoftLink("/c")},
}


@pytest.mark.parametrize(("said", "content"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_another_layout_is_described(tmp_path, said, content):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for name, value in content.items():
            file[name] = value
    with hdf5.open_hdf5(tmp_path / "a.hdf5") as file, pytest.raises(InputError) as caught:
        hdf5.dataset(tmp_path / "a.hdf5", file, "betas")
    assert f"found {said}" in str(caught.value)
    assert "fetch" not in str(caught.value)
