"""The report's sections on strata and on published figures, from made-up tables."""

import types

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_strata import person
from helpers.pages import Page

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.evaluation import comparison
from neural_recon.report import published
from neural_recon.report import strata as shown
from neural_recon.report.page import render


def test_strata_stand_with_their_controls(tmp_path, rng):
    people = [person(tmp_path, rng, "subj01", regions=True), person(tmp_path, rng, "subj02")]
    section = shown.section(people)
    page = Page(render("strata.html", {"strata": section}))
    table = pd.read_csv(people[0].files.strata, sep="\t")
    means = table[(table["picture"] == "final") & table["mean"].notna()]
    assert len(means) > 10
    for row in means.itertuples():
        assert f"{row.mean:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]" in page.text
    assert page.text.count("chance 0.500") > 2 * len(means)
    assert "not measured fewer than 8 images" in page.text  # rare has 5
    assert "and the nearest training image scores as well as the decoder," in page.text
    assert "places" in page.text
    assert "corrected" in page.text
    assert page.images == 3
    assert "nothing says what the pictures show" not in page.text


def test_without_content_the_reason_stands(tmp_path, rng):
    section = shown.section([person(tmp_path, rng, "subj01", content=False)])
    text = Page(render("strata.html", {"strata": section})).text
    assert "not measured, as nothing says what the pictures show" in text
    assert "Do single regions help?" not in text
    assert shown.section([types.SimpleNamespace(files=types.SimpleNamespace(strata=None))]) is None


@pytest.mark.parametrize("preset", ["native", "mindeye2"])
def test_published_figures_stand_beside_ours(tmp_path, preset):
    write_hdf5(tmp_path / "r.h5", {"test_repetitions": np.full(7, 3)}, {})
    final = pd.DataFrame({"variant": "decoded", "picture": "final", "metric": ["pixcorr"], "mean": [0.123]})
    ours = comparison.our_lines(
        {"subj01": final}, {"subj01": tmp_path / "r.h5"}, {"subj01": 4}, preset, "x", preset == "native"
    )
    write_table(tmp_path / "c.parquet", comparison.together([comparison.published(), ours]))
    people = [types.SimpleNamespace(files=types.SimpleNamespace(comparison=tmp_path / "c.parquet"))]
    text = Page(render("published.html", {"published": published.section(people)})).text
    assert "0.123" in text
    assert text.count(comparison.NOT_MEASURED) - 1 == 7  # the paragraph says it too
    assert "0.986" in text
    assert text.count("0.75 refined + 0.25 blurry") == 2
    assert (comparison.NATIVE in text) == (comparison.SIMULATED in text) == (preset == "native")
    assert comparison.QUESTIONED not in text
    theirs = pd.DataFrame(
        {"method": "theirs", "preset": preset, "metric": ["pixcorr"], "mean": [0.01], "n": 9}
    )
    write_table(tmp_path / "t.tsv", theirs.assign(questioned="the names are 0 to 8; nothing fits"))
    lines = [comparison.published(), ours, comparison.other_lines([tmp_path / "t.tsv"])]
    write_table(tmp_path / "c.parquet", comparison.together(lines))
    html = render("published.html", {"published": published.section(people)})
    assert "<b>questioned: the names are 0 to 8</b>" in html
    assert "may have been scored against the wrong images" in html
    people[0].files.comparison = None
    assert published.section(people) is None
