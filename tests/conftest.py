"""Fixtures all tests share."""

import os
from pathlib import Path

# the models of the tests are so small that more threads only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from sklearn.linear_model import Ridge

# before any test imports transformers, which imports torchvision
import neural_recon  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
ONE_RUN = ("test_reruns", "test_workflow")  # share the fixture `project`, which takes minutes
FIRST = (*ONE_RUN, "test_slurm", "test_real_excerpt")  # those that take longest
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


def ridge_problem(rng, n, p, n_test=7, n_targets=11):
    """Responses that carry some of the targets: X, X_test, Y. One constant voxel, two identical rows."""
    X = rng.standard_normal((n + n_test, p)).astype(np.float32)
    Y = (
        X[:, : min(p, 5)] @ rng.standard_normal((min(p, 5), n_targets)) + rng.standard_normal((n + n_test, 1))
    ) * 3
    X[:, p // 2] = 0.1
    X[1], Y[1] = X[0], Y[0]
    return X[:n], X[n:], (Y[:n] + 20).astype(np.float32)


def scikit_ridge(X, X_test, Y, alpha):
    """Predictions of scikit-learn's Ridge in float64."""
    model = Ridge(alpha=alpha, solver="svd").fit(X.astype(float), Y.astype(float))
    return model.predict(X_test.astype(float))


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


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A finished small run."""
    from test_workflow import SMALL, make_project, snakemake

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
