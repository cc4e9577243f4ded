"""Digests of large files."""

import os
import zlib

import numpy as np
import pytest

from neural_recon.workflow import fingerprints


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that is too large to be read whole."""
    monkeypatch.setattr(fingerprints, "WHOLE", 1_000_000)
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * 20_000)
    return path


def test_a_touched_file_is_the_same(large):
    before = fingerprints.digest(large)
    os.utime(large, (1, 1))
    assert fingerprints.digest(large) == before


def test_another_size_or_block_is_another_content(large):
    found = {fingerprints.digest(large)}
    data = large.read_bytes()
    for changed in (data + b"x", b"x" + data[1:], data[:-1] + b"x", data[::-1]):
        large.write_bytes(changed)
        found.add(fingerprints.digest(large))
    assert len(found) == 5


def test_all_of_a_small_file_counts(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(bytes(1_000_000))
    before = fingerprints.digest(path)
    path.write_bytes(bytes(777_777) + b"x" + bytes(222_222))
    assert fingerprints.digest(path) != before


def test_any_change_of_a_gzip_file_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "WHOLE", 1000)

    def write(data):
        # stored, not deflated: the same size, and a change far from the sampled blocks
        packer = zlib.compressobj(0, zlib.DEFLATED, 31)
        (tmp_path / "betas.nii.gz").write_bytes(packer.compress(data) + packer.flush())
        return fingerprints.digest(tmp_path / "betas.nii.gz")

    data = bytearray(3_000_000)
    before = write(data)
    data[1_510_000] = 1
    assert write(data) != before


def test_any_change_of_captions_shows(tmp_path, monkeypatch):
    """One caption mended in an array of fixed width: the same size, and no sampled block differs."""
    monkeypatch.setattr(fingerprints, "WHOLE", 1000)
    captions = np.full((20_000, 5), "a dog", dtype="<U20")
    found = set()
    for text in ("a dog", "a cat"):
        captions[7_777, 3] = text
        np.save(tmp_path / "captions.npy", captions)
        found.add(fingerprints.digest(tmp_path / "captions.npy"))
    assert len(found) == 2


def test_a_file_to_come_has_no_content(tmp_path):
    assert fingerprints.digest(tmp_path / "none") == ""
