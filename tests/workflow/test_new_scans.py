"""Files of new scans, their units, and how their rows are z-scored."""

import gzip
import logging
import pickle
import re
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
import scipy.io
from helpers.kept_run import POSITIONS, VOLUME, shared_of, write_betas

from neural_recon.core.errors import InputError
from neural_recon.responses.new_scans import new_responses, read_conditions
from neural_recon.workflow.decode_scans import prepare


def test_rows_are_zscored_by_training_or_by_their_own(rng):
    betas = (3 + 2 * rng.standard_normal((12, 5))).astype(np.float32)
    shared = {"mean": np.full(5, 1, np.float32), "std": np.full(5, 4, np.float32)}
    found = prepare(betas, shared, "train", "train")
    np.testing.assert_allclose(found.rows, (betas - 1) / 4, rtol=1e-5)
    assert found.names[:2] == ["00001", "00002"]
    own = prepare(betas, shared, "train", "session").rows
    np.testing.assert_allclose(own, (betas - betas.mean(0)) / betas.std(0, ddof=1), rtol=1e-4, atol=1e-6)
    # sessions z-scored by themselves in training: so is this one, then as the training images
    np.testing.assert_allclose(
        prepare(betas, shared, "session", "session").rows, (own - 1) / 4, rtol=1e-4, atol=1e-5
    )
    with pytest.raises(InputError, match=r"use --zscore session"):
        prepare(betas, shared, "session", "train")
    with pytest.raises(InputError, match=r"at least 10 rows.*found 9"):
        prepare(betas[:9], shared, "train", "session")


def test_conditions_are_averaged_first(rng):
    betas = rng.standard_normal((6, 4)).astype(np.float32)
    conditions = pd.Series(["b", "a", "b"], [5, 0, 2])  # others are left out
    found = prepare(betas, shared_of(betas), "train", "train", conditions)
    assert found.names == ["b", "a"]
    assert found.trials == [2, 1]
    shared = shared_of(betas)
    expected = (np.stack([(betas[5] + betas[2]) / 2, betas[0]]) - shared["mean"]) / shared["std"]
    np.testing.assert_allclose(found.rows, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("zscore", ["train", "session"])
def test_voxels_without_signal_are_zero(rng, caplog, zscore):
    betas = rng.standard_normal((12, 5)).astype(np.float32)
    shared = shared_of(betas)
    betas[4, 1], betas[:, 3] = np.nan, 7
    with caplog.at_level(logging.WARNING):
        found = prepare(betas, shared, "train", zscore)
    assert (found.not_finite, found.constant) == (1, 1)
    assert (found.rows[:, [1, 3]] == 0).all()
    assert (found.rows[:, [0, 2, 4]] != 0).all()
    assert "1 of 5 voxels set to 0: not a number in a trial" in caplog.text
    assert "1 of 5 voxels set to 0: constant" in caplog.text
    with pytest.raises(InputError, match="found none among 5"):
        prepare(np.full((12, 5), np.nan), shared, "train", zscore)
    # of one row nobody knows which voxels are constant
    assert prepare(betas[:1], shared, "train", "train").constant == 0


def test_betas_and_tables_give_the_same_rows(rng, tmp_path):
    betas = rng.standard_normal((4, *VOLUME))
    for name in ("new.nii.gz", "new.hdf5"):
        expected = write_betas(tmp_path / name, betas)
        np.testing.assert_array_equal(new_responses(tmp_path / name, POSITIONS, VOLUME).values, expected)
    frame = pd.DataFrame(expected, columns=[f"voxel{k}" for k in range(len(POSITIONS))])
    frame.to_csv(tmp_path / "new.tsv", sep="\t", index=False)
    frame.to_parquet(tmp_path / "new.parquet")
    for name in ("new.tsv", "new.parquet"):
        np.testing.assert_allclose(
            new_responses(tmp_path / name, POSITIONS, VOLUME).values, expected, rtol=1e-6
        )


def test_files_that_do_not_fit_are_one_sentence(rng, tmp_path):
    frame = pd.DataFrame(rng.standard_normal((3, len(POSITIONS) - 1)))
    frame.to_csv(tmp_path / "short.tsv", sep="\t", index=False)
    whole = pd.DataFrame(rng.standard_normal((3, len(POSITIONS))))
    whole.to_csv(tmp_path / "headless.tsv", sep="\t", index=False, header=False)
    frame.assign(more="word").to_csv(tmp_path / "word.tsv", sep="\t", index=False)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "betas.mat").touch()
    write_betas(tmp_path / "whole.nii.gz", rng.standard_normal((30, *VOLUME)))
    content = (tmp_path / "whole.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    write_betas(tmp_path / "whole.hdf5", rng.standard_normal((30, *VOLUME)))
    (tmp_path / "cut.hdf5").write_bytes((tmp_path / "whole.hdf5").read_bytes()[:3000])
    for name, message in {
        "short.tsv": rf"{len(POSITIONS)} columns.*found 3 rows and {len(POSITIONS) - 1} columns",
        "word.tsv": "expected numbers only",
        "headless.tsv": "expected a header of voxels' names, found numbers",
        "cut.parquet": "expected a whole table",
        "betas.mat": "expected betas .* or a table",
        "cut.nii.gz": "cut short",
        "cut.hdf5": "expected a whole HDF5 file",
        "none.tsv": "no such file",
        "none.nii.gz": "no such file",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            new_responses(tmp_path / name, POSITIONS, VOLUME)
        assert "\n" not in str(caught.value)
    nibabel.save(nibabel.Nifti1Image(np.zeros(VOLUME, np.int16), np.eye(4)), tmp_path / "one.nii.gz")
    with pytest.raises(InputError, match=r"expected betas \(x, y, z, trials\), found the shape \(5, 4, 6\)"):
        new_responses(tmp_path / "one.nii.gz", POSITIONS, VOLUME)
    with pytest.raises(InputError, match=r"expected betas of the mask's volume \(5, 4, 7\)"):
        new_responses(tmp_path / "whole.nii.gz", POSITIONS, (5, 4, 7))


def write_nifti(path, values, slope=None, inter=0.0, affine=None):
    """Betas (x, y, z, n) as they are, or stored as integers under a scale."""
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    content = bytearray(image.to_bytes())
    if slope is not None:
        content[112:120] = np.array([slope, inter], np.float32).tobytes()
    path.write_bytes(gzip.compress(bytes(content)) if path.suffix == ".gz" else bytes(content))


def expected_percent(values):
    return values[tuple(POSITIONS.T)].T


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("name", ["new.nii.gz", "new.nii", "new.hdf5", "new.h5", "new.npy"])
def test_floats_are_percent_signal_change(rng, tmp_path, caplog, dtype, name):
    caplog.set_level(logging.INFO)
    values = rng.standard_normal((*VOLUME, 4)).astype(dtype)
    if name.endswith((".hdf5", ".h5")):
        with h5py.File(tmp_path / name, "w") as file:
            file["betas"] = values.T
    elif name.endswith(".npy"):
        np.save(tmp_path / name, values)
    else:
        write_nifti(tmp_path / name, values)
    found = new_responses(tmp_path / name, POSITIONS, VOLUME)
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, expected_percent(values).astype(np.float32))
    assert found.units.startswith("percent signal change, as stored (")
    assert found.units in caplog.text
    assert found.axes in caplog.text


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.uint16, np.float32])
def test_a_scale_in_the_header_gives_percent_signal_change(rng, tmp_path, dtype):
    """And is not divided by 300 again."""
    stored = rng.integers(0, 200, (*VOLUME, 4)).astype(dtype)
    write_nifti(tmp_path / "new.nii.gz", stored, 0.03, -3.0)
    found = new_responses(tmp_path / "new.nii.gz", POSITIONS, VOLUME)
    np.testing.assert_allclose(found.values, expected_percent(stored) * 0.03 - 3, rtol=1e-5, atol=1e-5)
    assert (
        found.units == f"percent signal change: {np.dtype(dtype)} x 0.0299999993 + -3, by the header's scale"
    )


@pytest.mark.parametrize("name", ["new.nii.gz", "new.hdf5", "new.npy"])
def test_int16_without_a_scale_is_nsds(rng, tmp_path, name):
    stored = rng.integers(-900, 900, (*VOLUME, 4)).astype(np.int16)
    if name.endswith(".npy"):
        np.save(tmp_path / name, stored)
    else:
        write_betas(tmp_path / name, stored.transpose(3, 0, 1, 2) / 300)
    found = new_responses(tmp_path / name, POSITIONS, VOLUME)
    np.testing.assert_allclose(found.values, expected_percent(stored) / 300, rtol=1e-6)
    assert found.units == "NSD's integers, percent signal change x 300"


NO_UNITS = [np.uint8, np.uint16, np.int32, np.uint32, np.complex64]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *(("new.nii.gz", dtype) for dtype in NO_UNITS),
        *(("new.npy", dtype) for dtype in (*NO_UNITS, np.int64, bool, "f2,f2")),
    ],
)
def test_numbers_that_say_nothing_of_their_units_are_refused(tmp_path, name, dtype):
    values = np.zeros((*VOLUME, 2), dtype)
    if name.endswith(".npy"):
        np.save(tmp_path / name, values)
    else:
        write_nifti(tmp_path / name, values)
    with pytest.raises(
        InputError, match=r"int16 \(percent signal change x 300\), as floats .*save them as float32"
    ):
        new_responses(tmp_path / name, POSITIONS, VOLUME)


def test_units_that_cannot_be_are_questioned(rng, tmp_path, caplog):
    """NSD's integers read as floats and saved so, or percent signal change rounded to integers."""
    percent = 2 * rng.standard_normal((*VOLUME, 12))
    write_nifti(tmp_path / "times300.nii.gz", (percent * 300).astype(np.float32))
    new_responses(tmp_path / "times300.nii.gz", POSITIONS, VOLUME)
    assert (
        "% signal change (taken: percent signal change, as stored (float32)), 1 to 3 would be" in caplog.text
    )
    caplog.clear()
    np.save(tmp_path / "rounded.npy", percent.astype(np.int16))
    new_responses(tmp_path / "rounded.npy", POSITIONS, VOLUME)
    assert "rounded.npy: the median response is 0.00667 % signal change" in caplog.text
    caplog.clear()
    np.save(tmp_path / "right.npy", percent)
    new_responses(tmp_path / "right.npy", POSITIONS, VOLUME)
    assert not caplog.records


def test_arrays_of_voxels_or_of_the_volume(rng, tmp_path):
    p = len(POSITIONS)
    values = rng.standard_normal((*VOLUME, 3)).astype(np.float32)
    rows = expected_percent(values)
    for name, array in {
        "rows": rows,
        "volume": values,
        "fortran": np.asfortranarray(values),
        "half": rows,
    }.items():
        array = array.astype(np.float16) if name == "half" else array
        np.save(tmp_path / f"{name}.npy", array)
        found = new_responses(tmp_path / f"{name}.npy", POSITIONS, VOLUME)
        np.testing.assert_allclose(found.values, rows, rtol=1e-3 if name == "half" else 0)
    np.save(tmp_path / "one.npy", values[..., :1])  # one trial, as GLMsingle has it
    np.testing.assert_array_equal(new_responses(tmp_path / "one.npy", POSITIONS, VOLUME).values, rows[:1])
    for array, cure in (
        (rows.T, rf"found \({p}, 3\); save it with a row for each trial: betas.reshape\({p}, -1\).T"),
        (rows.T.reshape(p, 1, 1, 3), r"save it with a row for each trial"),
        (rows[0], r"save one trial as a row"),
        (values[..., 0], r"save one trial with a fourth axis"),
        (np.moveaxis(values, -1, 0), r"save it with the trials last"),
        (values.T, r"save it with its axes reversed"),
        (
            rows[:, 1:],
            rf"expected \(trials, {p}\), .* or \(x, y, z, trials\) with the volume \(5, 4, 6\), found",
        ),
        (values[1:], r"found \(4, 4, 6, 3\)\."),
        (rows[:0], r"found \(0, "),
        (np.float32(3), r"found \(\)"),
    ):
        np.save(tmp_path / "other.npy", array)
        with pytest.raises(InputError, match=cure):
            new_responses(tmp_path / "other.npy", POSITIONS, VOLUME)


def test_pickled_and_broken_arrays_are_refused_with_the_way_out(rng, tmp_path):
    """GLMsingle saves a dictionary of results as a .npy: a pickle, which is never opened."""
    values = rng.standard_normal((*VOLUME, 3)).astype(np.float32)
    path = tmp_path / "TYPED_FITHRF_GLMDENOISE_RR.npy"
    np.save(path, {"betasmd": values, "payload": Trap(tmp_path / "canary")})
    with pytest.raises(
        InputError, match=r"pickled Python objects.*numpy.load\(FILE, allow_pickle=True\).item\(\)"
    ):
        new_responses(path, POSITIONS, VOLUME)
    np.save(path, np.array([[1, None]], object))
    with pytest.raises(InputError, match="pickled Python objects"):
        new_responses(path, POSITIONS, VOLUME)
    path.write_bytes(pickle.dumps({"betasmd": values, "payload": Trap(tmp_path / "canary")}))
    with pytest.raises(InputError, match=r"expected a whole array as numpy.save writes it") as caught:
        new_responses(path, POSITIONS, VOLUME)
    assert "allow_pickle" not in str(caught.value)
    assert not (tmp_path / "canary").exists()
    np.savez(tmp_path / "archive.npz", betas=values)
    with pytest.raises(InputError, match=r"expected betas \(.nii.gz, .*an array \(.npy\) or a table"):
        new_responses(tmp_path / "archive.npz", POSITIONS, VOLUME)
    np.save(path, values)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="cut short"):
        new_responses(path, POSITIONS, VOLUME)
    for content in (b"", b"\x93NUMPY", b"text", path.read_bytes()[:60]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="expected a whole array"):
            new_responses(path, POSITIONS, VOLUME)
    with pytest.raises(InputError, match="no such file"):
        new_responses(tmp_path / "none.npy", POSITIONS, VOLUME)


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_voxels_that_are_not_numbers_in_floats_are_zero(rng, tmp_path):
    """As outside the brain in GLMsingle's betas."""
    values = rng.standard_normal((*VOLUME, 12)).astype(np.float32)
    values[tuple(POSITIONS[3])] = np.nan
    write_nifti(tmp_path / "new.nii.gz", values)
    betas = new_responses(tmp_path / "new.nii.gz", POSITIONS, VOLUME).values
    p = len(POSITIONS)
    found = prepare(betas, {"mean": np.zeros(p), "std": np.ones(p)}, "train", "train")
    assert found.not_finite == 1
    assert (found.rows[:, 3] == 0).all()
    assert np.isfinite(found.rows).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trial\tcondition\n1\ta\n9\tb\n", "within 1 to 5, found 9"),
        ("trial\tcondition\n1\ta\n1\tb\n", "each trial once.*found 1 again"),
        ("trial\tcondition\nx\ta\n", "each trial once.*found x"),
        ("trial\tcondition\n1\t../a\n", r"found '\.\./a'"),
        ("trial\tcondition\n1\t\n", "found ''"),
        ("trial\tname\n1\ta\n", "columns trial and condition"),
        ("trial\tcondition\n", "found 0 rows"),
        ("", "expected a table"),
    ],
)
def test_conditions_that_do_not_fit_are_one_sentence(tmp_path, text, message):
    path = tmp_path / "conditions.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_conditions(path, 5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["npz", "mat", "mat 7.3", "nothing known"])
def test_other_files_of_responses_are_refused_with_the_way_that_works(rng, tmp_path, monkeypatch, kind):
    """What the sentence advises is done, and gives the same responses."""
    monkeypatch.chdir(tmp_path)
    values = rng.standard_normal((*VOLUME, 3))
    path = tmp_path / f"betas.{'npz' if kind == 'npz' else 'mat' if 'mat' in kind else 'rda'}"
    if kind == "npz":
        np.savez(path, betasmd=values)
    elif kind == "mat":
        scipy.io.savemat(path, {"betasmd": values})
    elif kind == "mat 7.3":
        with h5py.File(path, "w", userblock_size=512) as file:
            file["betasmd"] = values.T  # MATLAB stores its axes reversed
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(128))
    else:
        path.write_bytes(b"RDX3")
    with pytest.raises(InputError, match=r"expected betas \(.*or a table") as caught:
        new_responses(path, POSITIONS, VOLUME)
    advice = re.search(r"numpy.save\(.*?\)(?=[.,]( |$)|$)", str(caught.value))
    if kind == "nothing known":
        assert advice is None
        assert "save the responses in one of these" in str(caught.value)
        return
    known = {"numpy": np, "scipy": scipy, "h5py": h5py, "FILE": str(path), "NAME": "betasmd"}
    exec(advice[0], known)
    found = new_responses(Path("betas.npy"), POSITIONS, VOLUME)
    np.testing.assert_allclose(found.values, values[tuple(POSITIONS.T)].T, rtol=1e-6)


def test_hdf5_with_its_axes_the_other_way_is_named_so(rng, tmp_path):
    values = rng.standard_normal((*VOLUME, 3)).astype(np.float32)
    with h5py.File(tmp_path / "betas.hdf5", "w") as file:
        file["betas"] = values
    with pytest.raises(InputError, match=r"found \(x, y, z, trials\), .*; save them reversed, .* betas.T."):
        new_responses(tmp_path / "betas.hdf5", POSITIONS, VOLUME)
    with h5py.File(tmp_path / "betas.hdf5", "w") as file:
        file["betas"] = values.T
    found = new_responses(tmp_path / "betas.hdf5", POSITIONS, VOLUME)
    np.testing.assert_array_equal(found.values, values[tuple(POSITIONS.T)].T)
