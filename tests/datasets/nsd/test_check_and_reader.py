"""The check of a session's betas accepts and refuses what their reader does, in every format."""

import gzip
import struct
import zlib

import h5py
import nibabel
import numpy as np
import pytest

from neural_recon.core.errors import InputError
from neural_recon.datasets import nifti
from neural_recon.datasets.grids import Grid
from neural_recon.datasets.nsd import betas

SHAPE, TRIALS = (6, 5, 4), 9
AFFINE = np.diag([1.8, 1.8, 1.8, 1])
GRID = Grid("the mask", SHAPE, AFFINE)
MASK = np.random.default_rng(7).random(SHAPE) < 0.4
BETAS = np.random.default_rng(8).integers(-900, 900, (*SHAPE, TRIALS)).astype(np.int16)


def plain(values=BETAS, kind=nibabel.Nifti1Image, slope=None, affine=AFFINE):
    image = kind(values, affine)
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    return image.to_bytes()


def members(data=None, size=500, between=b"", last=b""):
    """The same bytes as several gzip members."""
    data = plain() if data is None else data
    parts = [gzip.compress(data[start : start + size], 1) for start in range(0, len(data), size)]
    return between.join(parts) + last


def bgzf(data=None, end=True):
    """As bgzip writes: members that carry their size, and an empty one at the end."""
    data = plain() if data is None else data
    blocks = [data[start : start + 700] for start in range(0, len(data), 700)] + ([b""] if end else [])
    found = b""
    for block in blocks:
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(block) + deflate.flush()
        extra = b"BC" + struct.pack("<HH", 2, len(body) + 25)
        found += b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H", len(extra)) + extra
        found += body + struct.pack("<II", zlib.crc32(block), len(block))
    return found


GZ = gzip.compress(plain(), 1)
ENDS_AT_A_MEMBER = b"".join(gzip.compress(plain()[start : start + 500], 1) for start in range(0, 2000, 500))

GOOD = {
    "one member": ("nii.gz", GZ),
    "several members": ("nii.gz", members()),
    "one member a byte": ("nii.gz", members(size=1)),
    "several of equal size": ("nii.gz", members(size=len(plain()) // 2)),
    "an empty member first": ("nii.gz", gzip.compress(b"") + GZ),
    "an empty member last": ("nii.gz", GZ + gzip.compress(b"")),
    "zeros behind": ("nii.gz", GZ + bytes(512)),
    "zeros behind several": ("nii.gz", members(last=bytes(3))),
    "zeros between": ("nii.gz", members(between=bytes(7))),
    "blocks of bgzip": ("nii.gz", bgzf()),
    "blocks of bgzip, no end block": ("nii.gz", bgzf(end=False)),
    "stored, not deflated": ("nii.gz", gzip.compress(plain(), 0)),
    "NIfTI-2 in members": ("nii.gz", members(plain(kind=nibabel.Nifti2Image))),
    "floats": ("nii.gz", gzip.compress(plain(BETAS.astype(np.float32) / 300))),
    "floats in members": ("nii.gz", members(plain(BETAS / 300.0))),
    "scaled": ("nii.gz", gzip.compress(plain(slope=1 / 256))),
    "mirrored": ("nii.gz", members(plain(BETAS[::-1], affine=[[-1.8, 0, 0, 9], *AFFINE[1:]]))),
    "not packed": ("nii", plain()),
    "NIfTI-2, not packed": ("nii", plain(kind=nibabel.Nifti2Image)),
}
BAD = {
    "no end": ("nii.gz", GZ[:-200]),
    "no last byte": ("nii.gz", GZ[:-1]),
    "no size": ("nii.gz", GZ[:-4]),
    "no checksum": ("nii.gz", GZ[:-8]),
    "another size": ("nii.gz", GZ[:-4] + struct.pack("<I", 5)),
    "half": ("nii.gz", GZ[: len(GZ) // 2]),
    "several members, cut": ("nii.gz", members()[:-30]),
    "cut at the end of a member": ("nii.gz", ENDS_AT_A_MEMBER),
    "blocks of bgzip, cut": ("nii.gz", bgzf()[:-60]),
    "other bytes behind": ("nii.gz", GZ + b"more"),
    "zeros and other bytes behind": ("nii.gz", GZ + bytes(8) + b"more"),
    "more data": ("nii.gz", gzip.compress(plain() + b"1234")),
    "more data in a member": ("nii.gz", GZ + gzip.compress(b"1234")),
    "header only": ("nii.gz", gzip.compress(plain()[:352])),
    "empty": ("nii.gz", b""),
    "three bytes": ("nii.gz", b"\x1f\x8b\x08"),
    "not gzip": ("nii.gz", plain()),
    "no NIfTI": ("nii.gz", gzip.compress(b"text" * 500)),
    "gzip under the other name": ("nii", GZ),
    "not packed, cut": ("nii", plain()[:-2]),
    "not packed, more": ("nii", plain() + b"12"),
    "another type": ("nii.gz", gzip.compress(plain(BETAS.astype(np.uint16)))),
    "complex": ("nii.gz", gzip.compress(plain(BETAS.astype(np.complex64)))),
    "another volume": ("nii.gz", gzip.compress(plain(BETAS[:-1]))),
    "other trials": ("nii.gz", gzip.compress(plain(BETAS[..., 1:]))),
    "one volume": ("nii.gz", gzip.compress(plain(BETAS[..., 0]))),
    "declares too much": ("nii.gz", gzip.compress(plain(np.zeros_like(BETAS)))),
}


def betas_hdf5(path, data=None, name="betas", **how):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=BETAS.T if data is None else data, **how)


def half_filled(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", BETAS.T.shape, np.int16, chunks=(1, *SHAPE[::-1]))[:4] = 1


def cut(path, n_bytes):
    betas_hdf5(path, chunks=(1, *SHAPE[::-1]), compression="gzip")
    path.write_bytes(path.read_bytes()[:-n_bytes])


GOOD_HDF5 = {
    "in one piece": betas_hdf5,
    "a chunk a trial": lambda path: betas_hdf5(path, chunks=(1, *SHAPE[::-1]), compression="gzip"),
    "a chunk a voxel": lambda path: betas_hdf5(path, chunks=(TRIALS, 1, 1, 1), compression="gzip"),
    "floats": lambda path: betas_hdf5(path, BETAS.T.astype(np.float32) / 300),
}
BAD_HDF5 = {
    "a byte short": lambda path: cut(path, 1),
    "cut": lambda path: cut(path, 600),
    "half filled": half_filled,
    "no betas": lambda path: betas_hdf5(path, name="beta"),
    "GLMsingle's": lambda path: betas_hdf5(path, BETAS / 300.0, name="betasmd"),
    "axes not reversed": lambda path: betas_hdf5(path, BETAS),
    "another type": lambda path: betas_hdf5(path, BETAS.T.astype(np.uint16)),
    "other trials": lambda path: betas_hdf5(path, BETAS.T[1:]),
    "text": lambda path: path.write_text("betas"),
}


def verdict(call, *arguments):
    """What a call says against a file; nothing where it accepts it."""
    try:
        call(*arguments)
    except InputError as error:
        return str(error)
    return ""


def both(path):
    said = verdict(betas.check_betas, path, GRID, TRIALS), verdict(betas.read_betas, path, MASK, TRIALS, GRID)
    assert bool(said[0]) == bool(said[1]), said
    assert all(str(path) in sentence for sentence in said if sentence)
    return said[0]


@pytest.mark.parametrize(("suffix", "content"), GOOD.values(), ids=GOOD)
def test_both_accept_a_whole_file(tmp_path, suffix, content):
    path = tmp_path / f"betas_session01.{suffix}"
    path.write_bytes(content)
    assert both(path) == ""
    found = betas.read_betas(path, MASK, TRIALS, GRID)
    expected = BETAS[MASK].T / np.float32(256 if content == GOOD["scaled"][1] else 300)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("suffix", "content"), BAD.values(), ids=BAD)
def test_both_refuse_a_file_that_is_not(tmp_path, monkeypatch, suffix, content):
    if content == BAD["declares too much"][1]:
        monkeypatch.setattr(nifti, "SMALL", 0)
        monkeypatch.setattr(nifti, "LARGEST_RATIO", 2)
    path = tmp_path / f"betas_session01.{suffix}"
    path.write_bytes(content)
    assert both(path)


@pytest.mark.parametrize("write", GOOD_HDF5.values(), ids=GOOD_HDF5)
def test_both_accept_a_whole_hdf5_file(tmp_path, write):
    path = tmp_path / "betas_session01.hdf5"
    write(path)
    assert both(path) == ""
    np.testing.assert_allclose(
        betas.read_betas(path, MASK, TRIALS, GRID), BETAS[MASK].T / np.float32(300), rtol=1e-6
    )


@pytest.mark.parametrize("write", BAD_HDF5.values(), ids=BAD_HDF5)
def test_both_refuse_an_hdf5_file_that_is_not(tmp_path, write):
    path = tmp_path / "betas_session01.hdf5"
    write(path)
    assert both(path)


def test_a_whole_file_of_one_member_is_not_read_through(tmp_path, monkeypatch):
    """Forty sessions of 233 MB are checked in the time it takes to open them."""
    path = tmp_path / "betas_session01.nii.gz"
    path.write_bytes(GZ)
    opened = []
    stream = nifti.stream
    monkeypatch.setattr(nifti, "stream", lambda path: opened.append(path) or stream(path))
    betas.check_betas(path, GRID, TRIALS)
    assert len(opened) == 1  # for its header
