"""Fixtures all tests share."""

import os
from pathlib import Path

# the models of the tests are so small that more threads only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


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
