"""Fixtures all tests share."""

import os
from pathlib import Path

# the models of the tests are so small that more threads only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# a VDVAE small enough for any test
TINY_VDVAE = {
    "image_size": 8,
    "width": 8,
    "zdim": 2,
    "enc_blocks": "8x1,8d2,4d4,1x1",
    "dec_blocks": "1x1,4m1,8m4",
    "num_mixtures": 2,
}


@pytest.fixture
def rng() -> np.random.Generator:
    """One seeded generator a test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with numbers of the original implementations."""
    if not (SHARED / "reference").is_dir():
        pytest.skip("the reference numbers (../shared/reference) are not here")
    return SHARED / "reference"


@pytest.fixture(scope="session")
def nsd_mini() -> Path:
    """The folder with the real NSD excerpt."""
    if not (SHARED / "nsd_mini").is_dir():
        pytest.skip("the real excerpt (../shared/nsd_mini) is not here")
    return SHARED / "nsd_mini"
