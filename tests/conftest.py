"""Fixtures all tests share."""

import os
import shutil
from pathlib import Path

# the models of the tests are so small that more threads only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from helpers import made_once
from helpers.places import SHARED
from helpers.workflow import finished_run

# before any test imports transformers, which imports torchvision
import neural_recon  # noqa: F401

# Those that take longest; the first one makes what two others start from (`made_once`).
FIRST = (
    *("test_workflow", "test_slurm", "test_real_excerpt", "test_changed_runs", "test_reruns", "test_kills"),
    *("test_fetch_workflow", "test_benchmarks", "test_docs"),
)


@pytest.fixture
def rng() -> np.random.Generator:
    """One seeded generator per test."""
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


BROWSER = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here to open the page with")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=chromium, args=BROWSER)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A finished small run, of the test's file alone."""
    return made_once.copied(tmp_path_factory, finished_run, tmp_path_factory.mktemp("a run") / "my project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that none is left alone at the end."""
    order = dict(zip(FIRST, range(len(FIRST)), strict=True))
    items.sort(
        key=lambda item: (order.get(item.path.stem, len(FIRST)), item.get_closest_marker("slow") is None)
    )
