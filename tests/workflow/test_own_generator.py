"""A generator of one's own: one file alongside the configuration, and nothing of the package is edited."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import made_once, tiny_run
from helpers.places import ROOT
from helpers.workflow import failing, restored, snakemake, stale

from neural_recon.core import hdf5

pytestmark = pytest.mark.slow

# the example of the page on extending
PAGE = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
MINE = re.search(r"^# plugins/mine.py\n(.*?)^```", PAGE, re.M | re.S)[1]
CONFIG = {**tiny_run.CONFIG, "generator": {"kind": "plugins/mine.py", "chunk": 4}}
PICTURES = {"reconstruct", "collect_reconstructions", "control_pictures", "pictures", "picture_sheet"}
FOLLOWING = {
    *("baselines", "scores", "score_tables", "comparison", "draws", "strata", "leaks", "report"),
    *("figure_subject",),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A tiny run whose pictures the generator of one's own painted."""
    folder = tmp_path_factory.mktemp("own") / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    (folder / "plugins").mkdir()
    (folder / "plugins/mine.py").write_text(MINE, encoding="utf-8")
    done = snakemake(folder, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_paints_and_is_scored_and_shown(project):
    results = project / "results"
    painted = hdf5.read_hdf5(results / "reconstructions/subj01/decoded.h5")
    base = hdf5.read_hdf5(results / "base_images/subj01/decoded.h5", "images")["images"]
    np.testing.assert_array_equal(painted["images"], 255 - base)
    known = hdf5.read_parameters(results / "reconstructions/subj01/decoded.h5")
    assert (known["kind"], known["white"]) == ("plugins/mine.py", 255)
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    final = summary[summary["picture"] == "final"]
    assert set(final["variant"]) == {"decoded", "true_features", "shuffled"}
    # training images are shown as large as its pictures
    nearest = hdf5.read_hdf5(results / "baselines/subj01.h5", "nearest")["nearest"]
    assert nearest.shape[1:] == base.shape[1:]
    page = (results / "report/all.html").read_text(encoding="utf-8")
    assert "from that alone comes the final image" in page
    assert not (results / "generator").exists()
    assert stale(project, CONFIG) == {}


def test_a_change_of_it_paints_again_and_nothing_upstream(project):
    with restored(project / "plugins/mine.py") as path:
        path.write_text(MINE.replace("self.settings.white - base", "base // 2"), encoding="utf-8")
        found = set(stale(project, CONFIG))
    assert found >= {*PICTURES, "scores", "report"}
    assert found <= PICTURES | FOLLOWING
    # but not of a remark
    with restored(project / "plugins/mine.py") as path:
        path.write_text(f"{MINE}# inverted\n", encoding="utf-8")
        assert stale(project, CONFIG) == {}


def test_a_setting_of_it_paints_again(project):
    config = {**CONFIG, "generator": {**CONFIG["generator"], "white": 254}}
    found = set(stale(project, config))
    assert found >= {*PICTURES, "scores", "report"}
    assert found <= PICTURES | FOLLOWING


def test_mistakes_in_it_are_one_sentence(project):
    config = {**CONFIG, "generator": {**CONFIG["generator"], "strength": 0.5}}
    assert "unknown key generator.strength" in failing(project, config, "--dry-run")
    for text, said in (
        (MINE.replace("def paint", "def draw"), "has all its methods, found 0"),
        ("1 / 0\n", "ZeroDivisionError"),
    ):
        with restored(project / "plugins/mine.py") as path:
            path.write_text(text, encoding="utf-8")
            found = failing(project, CONFIG, "--dry-run")
        assert "plugins/mine.py: expected" in found
        assert said in found
        assert "Traceback" not in found


def test_a_control_of_it_is_painted_scored_tested_and_shown(project):
    control = """
    own_controls = (
        Painted("half_white", "white halved", "#332288", against="white halved", response=False,
                card="the image with", settings={"white": 128}),
    )

    def paint("""
    text = MINE.replace("\n    def paint(", control)
    text = text.replace(
        "import Generator\n", "import Generator\nfrom neural_recon.generation.controls import Painted\n"
    )
    results = project / "results"
    (project / "plugins/mine.py").write_text(text, encoding="utf-8")
    done = snakemake(project, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    painted = hdf5.read_hdf5(results / "reconstructions/subj01/half_white.h5")
    base = hdf5.read_hdf5(results / "base_images/subj01/decoded.h5")
    rows = np.flatnonzero(np.isin(base["image_id"], painted["image_id"]))
    np.testing.assert_array_equal(painted["images"], 128 - base["images"][rows])
    for name in ("summary", "shares"):
        assert "half_white" in set(pd.read_csv(results / f"scores/subj01/{name}.tsv", sep="\t")["variant"])
    tests = pd.read_csv(results / "scores/subj01/tests.tsv", sep="\t")
    assert "final against white halved" in set(tests["comparison"])
    page = (results / "report/all.html").read_text(encoding="utf-8")
    assert "the image with white halved, where painted" in page  # said of the cards
    assert 'data-subject="subj01" data-kind="half_white">' in page
    assert "final, white halved</th>" in page  # in the table of scores
    assert "final against white halved" in page
