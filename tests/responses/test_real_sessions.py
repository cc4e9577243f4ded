"""The checks of sessions on NSD's own responses."""

import re

import numpy as np
import pandas as pd
import pytest

from neural_recon.responses import session_verdicts
from neural_recon.responses.quality import examine


@pytest.fixture(scope="module", params=["subj01", "subj02"])
def real(nsd_mini, request):
    """Real responses of the cortical regions, 12 sessions, one value per region."""
    data = np.load(nsd_mini / "roi_betas.npz")
    values = data[request.param].astype(np.float32)[: 12 * 750]
    cortical = [not re.search("amygdala|hippocampus", name) and np.isfinite(values[:, k]).all()
                for k, name in enumerate(data["rois"])]  # fmt: skip
    ids = data["masterordering0"][: len(values)].astype(int)
    table = pd.DataFrame({"session": np.repeat(np.arange(1, 13), 750), "image_id": ids})
    table["split"] = np.where(ids < 1000, "test", "train")
    names = data["rois"][cortical]
    voxels = pd.DataFrame({"x": np.arange(len(names)), "y": 0, "z": 0})
    voxels["floc-bodies"] = np.where(names == "EBA", "EBA", "")
    return np.split(values[:, cortical], 12), table, voxels


@pytest.fixture(scope="module")
def expected(real):
    """EBA's correlation between first and second presentation, and its reliability, image by image."""
    betas, table, voxels = real
    values = np.concatenate([(b - b.mean(0)) / b.std(0) for b in betas])
    shown = (
        table.assign(value=values[:, voxels["floc-bodies"] == "EBA"][:, 0])
        .groupby("image_id")["value"]
        .apply(list)
    )
    pairs = np.array([values[:2] for values in shown if len(values) > 1])
    r = np.corrcoef(pairs.T)[0, 1]
    return r, 2 * r / (1 + r)


def eba(found) -> pd.Series:
    return found.regions.set_index("region").loc["EBA"]


def test_real_sessions_agree(real, expected):
    betas, table, voxels = real
    found = examine(betas, table, voxels)
    print(found.sessions.to_string(), eba(found).to_string(), sep="\n")
    assert found.sessions["verdict"].tolist() == ["ok"] * 12
    assert not found.sessions["outlier"].str.contains("mean").any()  # they were z-scored before
    r, reliability = expected
    assert 0.25 < r < 0.45
    assert eba(found)["r_halves"] == pytest.approx(r, abs=0.01)
    assert eba(found)["reliability"] == pytest.approx(reliability, abs=0.01)


def test_real_shifts_are_named(real):
    betas, table, voxels = real
    found = examine([np.roll(session, 1, axis=0) for session in betas], table, voxels)
    assert set(found.sessions["verdict"]) == {"shifted by 1 trial"}
    print(eba(found).to_string())
    assert abs(eba(found)["r_halves"]) < 0.1
    for by in (-1, 1):
        one = [np.roll(session, by, axis=0) if k == 4 else session for k, session in enumerate(betas)]
        expected = ["ok"] * 12
        expected[4] = f"shifted by {by} trial"
        sessions = examine(one, table, voxels).sessions
        assert sessions["verdict"].tolist() == expected
        assert f"Session 5 is shifted by {by} trial" in session_verdicts.sentence(sessions)


def test_real_swaps_are_named(real):
    betas, table, voxels = real
    betas = list(betas)
    betas[2], betas[7] = betas[7], betas[2]
    found = examine(betas, table, voxels).sessions["verdict"].tolist()
    assert found[2] == "holds the trials of session 8"
    assert found[7] == "holds the trials of session 3"
    assert found.count("ok") == 10
