"""Fixtures all tests share."""

import os
import shutil
from pathlib import Path

# the models of the tests are so small that more threads only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from helpers.places import SHARED
from helpers.workflow import SMALL, make_project, snakemake

# before any test imports transformers, which imports torchvision
import neural_recon  # noqa: F401

ONE_RUN = ("test_reruns", "test_workflow")  # share the fixture `project`, which takes minutes
FIRST = (*ONE_RUN, "test_slurm", "test_real_excerpt")  # those that take longest


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


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A finished small run."""
    folder = make_project(tmp_path_factory.mktemp("a run") / "my project")
    done = snakemake(folder, config=SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """On several cores (`make test`) the tests of a file run on one of them, and those of one run, too."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "one run" if Path(file).stem in ONE_RUN else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that none is left alone at the end."""
    order = dict(zip(FIRST, range(len(FIRST)), strict=True))
    items.sort(
        key=lambda item: (order.get(item.path.stem, len(FIRST)), item.get_closest_marker("slow") is None)
    )
