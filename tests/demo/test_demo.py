"""What the demo promises, looked up in its results (`make demo` first; skipped without them)."""

import numpy as np
import pandas as pd
import pytest
from helpers.places import ROOT
from PIL import Image

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.demo.brain import _PREFERRED
from neural_recon.features.feature_files import read_rows
from neural_recon.workflow.verify import verify

SCORES = ROOT / "results/scores"
SUBJECTS = ("subj01", "subj02")
pytestmark = pytest.mark.skipif(
    not all((SCORES / f"{subject}/summary.tsv").exists() for subject in SUBJECTS),
    reason="the demo has not run here (make demo)",
)


@pytest.fixture(params=SUBJECTS)
def subject(request) -> str:
    return request.param


def score(subject: str, variant: str, picture: str, metric: str) -> pd.Series:
    table = pd.read_csv(SCORES / subject / "summary.tsv", sep="\t")
    return table.set_index(["variant", "picture", "metric"]).loc[(variant, picture, metric)]


# rows of README's table by how they begin: whose pictures, and in which metrics
FIGURES = {
    "| final image, ": ("decoded", "final", ("clip_two_way", "object")),
    "| base image |": ("decoded", "base", ("clip_two_way", "object")),
    "| guides only": ("guides_only", "final", ("clip_two_way", "object")),
    "| ceiling": ("true_features", "final", ("clip_two_way", "object")),
    "| final image of a decoder refitted": ("shuffled", "final", ("clip_two_way", "object")),
    "| base image of a decoder refitted": ("shuffled", "base", ("clip_two_way", "object")),
    "| another image's guides": ("swapped", "final", (None, "guide_object")),
    "| the same: ": ("swapped", "final", (None, "object")),
}


@pytest.mark.parametrize("begin", FIGURES)
def test_figures_of_the_readme_are_these(begin):
    variant, picture, metrics = FIGURES[begin]
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith(begin))
    for metric, cell in zip(metrics, line.split("|")[2:4], strict=True):
        if metric is None:
            continue
        for subject, said in zip(SUBJECTS, cell.split("/"), strict=True):
            digits = len(said.strip().partition(".")[2])
            found = score(subject, variant, picture, metric)["mean"]
            # other processors round sums in other ways
            assert found == pytest.approx(float(said), abs=1.5 * 10**-digits), (subject, metric)


def test_the_sheet_of_the_readme_is_this_one():
    made, shown = (
        np.asarray(Image.open(path).convert("RGB")).astype(int)
        for path in (ROOT / "results/pictures/all.png", ROOT / "docs/result.png")
    )
    assert made.shape == shown.shape
    rows = np.abs(made - shown).reshape(4, -1).mean(axis=1)  # of each subject: seen, final images
    assert rows.max() < 0.5


def test_enough_test_images(subject):
    assert score(subject, "decoded", "final", "clip_two_way")["n"] >= 50


def test_final_images_are_identified(subject):
    found = score(subject, "decoded", "final", "clip_two_way")
    assert found["mean"] >= 0.80
    assert found["p"] < 0.01
    assert found["shuffled"] == pytest.approx(0.5, abs=0.02)


def test_true_features_are_painted_well(subject):
    assert score(subject, "true_features", "final", "clip_two_way")["mean"] >= 0.95


def test_final_images_beat_base_images_for_the_judge(subject):
    tests = pd.read_csv(SCORES / subject / "tests.tsv", sep="\t")
    found = tests.set_index(["comparison", "metric"]).loc[("final against base", "object")]
    assert found["first"] > found["second"]
    assert found["p"] < 0.01


def test_object_follows_the_guides(subject):
    """With another image's guides the judge names that image's object, far more often than the own one."""
    other = score(subject, "swapped", "final", "guide_object")["mean"]
    own = score(subject, "swapped", "final", "object")["mean"]
    assert other > 0.5
    assert other > 2 * own


def test_shuffled_decoder_is_at_chance(subject):
    for space in ("vdvae", "vision", "text"):
        found = score(subject, "shuffled", space, "two_way")
        # identification of n images scatters by about 1 / sqrt(12 n) around one half
        assert abs(found["mean"] - 0.5) < 4 / np.sqrt(12 * found["n"])


@pytest.mark.parametrize("space", ["vision", "text"])
def test_synthetic_response_moves_towards_the_region_s_category(subject, space):
    """The response of one category region alone, less that of no region, points at the kinds it prefers.

    How much nearer to that direction (cosine) training pictures of preferred main objects are than others:
    above zero, and more than for any other region or random voxels.
    """
    decoded = read_hdf5(ROOT / f"results/regions/{subject}/synthetic_features.h5", space, "region")
    rows = dict(zip(decoded["region"], decoded[space], strict=True))
    none = rows.pop("no region")
    changes = np.stack([row - none for row in rows.values()])

    ids = read_hdf5(ROOT / f"results/responses/{subject}.h5", "train_ids")["train_ids"]
    features = read_rows(sorted((ROOT / f"results/features/{space}").glob("*.h5")), ids)
    features -= features.mean(0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    cosine = features @ (changes / np.linalg.norm(changes, axis=1, keepdims=True)).T
    scenes = pd.read_parquet(ROOT / "results/demo_nsd/annots/scenes.parquet").set_index("image_id")
    shown = scenes.loc[ids, "main_kind"].to_numpy()
    for atlas, preferred in _PREFERRED.items():
        own = np.isin(shown, preferred)
        contrast = dict(zip(rows, cosine[own].mean(0) - cosine[~own].mean(0), strict=True))
        region = atlas.removeprefix("floc-")
        assert contrast[region] > 0.02
        assert max(contrast, key=contrast.get) == region, contrast


def test_results_are_as_recorded():
    verdict = verify(ROOT / "results")
    assert (verdict.wrong, verdict.unchecked) == ([], [])
