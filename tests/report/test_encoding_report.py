"""The section on encoding models, and scores against the noise ceilings of the images."""

import dataclasses
import types

import numpy as np
import pandas as pd
import pytest

from neural_recon.core.tables import write_table
from neural_recon.evaluation import encoding as models
from neural_recon.evaluation import strata
from neural_recon.report import encoding, failures, page
from neural_recon.report.files import SubjectFiles
from neural_recon.report.results import Results

SETTINGS = {"evaluation": {"encoding": {"kind": "gabor", "cycles": [2]}}}
MEANS = {
    ("seen", "seen"): 0.4,
    ("decoded", "final"): 0.35,
    ("decoded", "base"): 0.2,
    ("shuffled", "final"): 0.01,
}


def tables(p_seen=0.001, pairs=tuple(MEANS)):
    """Scores and tests of two regions."""
    about = [(region, measure) for region in ("all voxels", "V1") for measure in models.MEASURES]
    scores = [
        {
            "subject": "subj01", "region": region, "voxels": 1200, "measure": measure, "variant": pair[0],
            "picture": pair[1], "n": 40, "mean": MEANS[pair], "ci_low": MEANS[pair] - 0.05,
            "ci_high": MEANS[pair] + 0.05, "chance": 0.001, "chance_sd": 0.01, "p": p_seen,
            "repairings": 100, "seen": 0.4, "noise_ceiling": 0.61 if measure == "voxels" else np.nan,
        }
        for region, measure in about
        for pair in pairs
    ]  # fmt: skip
    tests = [
        {
            "subject": "subj01", "region": region, "measure": measure, "comparison": "final against base",
            "first": 0.35, "second": 0.2, "n": 40, "p": 0.0001, "p_holm": 0.0421,
        }
        for region, measure in about
    ]  # fmt: skip
    return pd.DataFrame(scores)[models.SCORES], pd.DataFrame(tests)[models.TESTS]


def person(folder, scores, tests):
    files = types.SimpleNamespace(encoding_scores=folder / "s.tsv", encoding_tests=folder / "t.tsv")
    write_table(files.encoding_scores, scores)
    write_table(files.encoding_tests, tests)
    return types.SimpleNamespace(subject="subj01", files=files)


def shown(people):
    return page.render("encoding.html", {"encoding": encoding.section(people, SETTINGS)})


def test_every_figure_has_its_ceiling_its_chance_and_its_images(tmp_path):
    html = shown([person(tmp_path, *tables())])
    assert "Gabor energies" in html
    assert "<b>0.350</b> [0.300, 0.400]<small>chance 0.001 ± 0.010, re-paired p = 0.001</small>" in html
    assert "n = 40; seen, the same images 0.400" in html
    assert "0.350 − 0.200 = <b>0.150</b><small>p = 0.042 · n = 40</small>" in html
    assert html.count(">0.610</td>") == 2  # the ceiling of each region, and none over voxels
    assert html.count(">–</td>") == 2
    assert "means nothing" not in html
    titles = html.index("over voxels, image by image</td><th>V1"), html.index("voxel by voxel</td><th>all")
    assert titles[0] < titles[1]  # all regions of one kind of correlation, then of the other


def test_a_model_that_predicts_nothing_is_called_so(tmp_path):
    assert "says of others means nothing" in shown([person(tmp_path, *tables(p_seen=0.3))])


def test_pictures_that_were_not_made_have_no_column(tmp_path):
    scores, tests = tables(pairs=list(MEANS)[:2])
    html = shown([person(tmp_path, scores, tests[:0])])
    assert "base image" not in html
    assert "<th>final image</th>" in html


def test_without_tables_or_a_space_there_is_no_section(tmp_path):
    nobody = types.SimpleNamespace(
        subject="subj01", files=types.SimpleNamespace(encoding_scores=None, encoding_tests=None)
    )
    assert encoding.section([nobody], SETTINGS) is None
    assert encoding.section([person(tmp_path, *tables())], {"evaluation": {"encoding": None}}) is None


@pytest.fixture
def repeated(tmp_path, rng):
    """A subject of 30 images, two of which were shown once, whose scores rise with the ceilings."""
    ids = np.arange(30)
    ceilings = pd.DataFrame({"image_id": ids, "repetitions": 3, "noise_ceiling": np.linspace(0, 0.5, 30)})
    ceilings.loc[:1, ["repetitions", "noise_ceiling"]] = [1, np.nan]
    scores = pd.DataFrame({
        "subject": "subj01", "variant": "decoded", "picture": "final", "metric": "clip_two_way",
        "image_id": ids, "value": np.linspace(0.5, 1, 30) + rng.normal(0, 0.02, 30), "chance": 0.5,
    })  # fmt: skip
    files = {"ceilings": tmp_path / "c.tsv", "ceiling_trends": tmp_path / "t.tsv"}
    write_table(files["ceilings"], ceilings)
    write_table(files["ceiling_trends"], strata.by_ceiling("subj01", scores, ceilings, 0))
    none = {field.name: None for field in dataclasses.fields(SubjectFiles)}
    empty = {field.name: None for field in dataclasses.fields(Results)}
    return Results(
        **{**empty, "images": scores, "files": SubjectFiles(**{**none, **files, "subject": "subj01"})}
    )


def failing(people):
    content = {"failures": [], "by_ceiling": failures.by_ceiling(people)}
    return page.render("failures.html", content)


def test_scores_against_ceilings_say_their_trend_and_who_is_left_out(repeated):
    (entry,) = failures.by_ceiling([repeated])
    assert entry["trend"]["rho"] > 0.9
    assert entry["plot"].startswith("data:image/svg+xml")
    html = failing([repeated])
    assert "28 final images, a dot each" in html
    assert "2 of 30 test images were seen once" in html
    assert "p &lt; 0.001" in html


def test_where_each_image_was_seen_once_the_page_says_so(repeated):
    table = pd.read_csv(repeated.files.ceilings, sep="\t").assign(repetitions=1, noise_ceiling=np.nan)
    write_table(repeated.files.ceilings, table)
    write_table(repeated.files.ceiling_trends, strata.by_ceiling("subj01", repeated.images, table, 0))
    html = failing([repeated])
    assert "Too few images have a noise ceiling. 30 of 30 test images were seen once" in html
    assert "<img" not in html
