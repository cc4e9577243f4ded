"""What the report says of how much comes from the brain."""

import base64
import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_results import CONFIGURATION, draw, write_stimuli, write_subject
from helpers.pages import draw_no_figures

from neural_recon.core.tables import write_table
from neural_recon.evaluation.shares import NO_ROOM, shares
from neural_recon.report import fidelity, results, spaces
from neural_recon.report.page import build

IDS = list(range(10))


def curve(scores, low=0.9, space="vision", every=500):
    """A table of a bottleneck: the scores of 1, 10, ... and, last, all components."""
    components = [*(10**k for k in range(len(scores) - 1)), every]
    rows = [
        {"space": space, "components": k, "variance": k / every, "whole": k == every, "fit": fit,
         "targets": 2048, "score": score if fit == "decoded" else 0.4321, "low": low, "high": 0.99,
         "chance": 0.5, "chance_sd": 0.02, "p": 0.001, "n": 10, "r": 0.1234}
        for k, score in zip(components, scores, strict=True) for fit in ("decoded", "shuffled")
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def person(tmp_path, rng):
    files = write_subject(tmp_path, rng, "subj01", IDS)
    path = tmp_path / "subj01"
    images = pd.read_parquet(files.images).assign(chance=0.05)
    write_table(path / "shares.tsv", shares(images, 0))
    write_table(path / "bottleneck.tsv", curve([0.6, 0.95, 0.8, 0.93]))
    return dataclasses.replace(files, shares=path / "shares.tsv", bottleneck=path / "bottleneck.tsv")


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split('id="fidelity"')[1].split("<h2")[0]))


def test_shares_and_components_are_on_the_page(person, tmp_path, rng):
    stimuli = write_stimuli(tmp_path / "stimuli.hdf5", IDS, draw(rng, 10, 425, 20))
    build(tmp_path / "page.html", [person], stimuli, None, CONFIGURATION)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<a href="#fidelity">' in page
    section, table = text_of(page), pd.read_csv(person.shares, sep="\t")
    own = table[(table["picture"] == "final") & (table["variant"] == "decoded")].set_index("metric")
    for share in own["share"]:
        assert f"{share * 100:.0f} %" in section
    assert "the largest share without the response" in section
    assert "is not painted here ( evaluation.prior )" in section
    assert "all 500" in section
    assert "shuffled decoder 0.432, median r 0.123" in section
    # 10 components are as good once, but 100 are not
    assert "within the interval of the whole decoder: subj01: CLIP vision all." in section


@pytest.mark.parametrize(
    ("scores", "said"), [([0.6, 0.91, 0.95], "10"), ([0.95, 0.91, 0.95], "1"), ([0.6, 0.7, 0.95], "all")]
)
def test_enough_is_where_no_larger_number_does_worse(scores, said):
    spaces.use({})
    assert fidelity._enough(curve(scores), ["vision"]) == f"vision {said}"


def test_without_tables_there_is_no_section(person):
    bare = dataclasses.replace(person, shares=None, bottleneck=None)
    assert fidelity.section([results.read(bare, {})], ["ssim"]) is None


def test_what_was_not_measured_says_so(person, tmp_path, monkeypatch):
    draw_no_figures(monkeypatch)
    table = pd.read_csv(person.shares, sep="\t")
    none = table["metric"] == "ssim"
    table.loc[none, ["share", "low", "high"]] = np.nan
    table["not_measured"] = np.where(none, NO_ROOM, "")
    write_table(tmp_path / "none.tsv", table)
    read = results.read(dataclasses.replace(person, shares=tmp_path / "none.tsv", bottleneck=None), {})
    found = fidelity.section([read], ["ssim", "pixcorr"])
    assert [plot["title"] for plot in found["shares"]["plots"]] == ["Pixel correlation"]
    [entry] = found["shares"]["tables"]
    [(_, cells), _] = entry["owed"]
    assert cells[0] == {}
    assert entry["rows"][0]["cells"][0]["not_measured"] == NO_ROOM
    assert found["bottleneck"] is None


def test_pictures_of_components_have_a_table(person, tmp_path):
    rows = [
        {"fit": fit, "picture": picture, "metric": "ssim", "mean": 0.3, "ci_low": 0.2, "ci_high": 0.4,
         "n": 10, "shuffled": 0.1, "shuffled_sd": 0.01}
        for picture in ("base", "final") for fit in ("components_3", "decoded")
    ]  # fmt: skip
    write_table(tmp_path / "pictures.tsv", pd.DataFrame(rows))
    read = results.read(dataclasses.replace(person, bottleneck_pictures=tmp_path / "pictures.tsv"), {})
    table = fidelity.section([read], ["ssim"])["bottleneck"]["pictures"]
    assert [(row["picture"], row["components"]) for row in table["rows"]] == [
        ("base", "3"),
        ("base", "all"),
        ("final", "3"),
        ("final", "all"),
    ]


def test_plots_are_the_same_of_the_same_numbers(person):
    read = results.read(person, {})
    one, other = (fidelity.section([read], ["ssim"]) for _ in range(2))
    assert one["shares"]["plots"] == other["shares"]["plots"]
    svg = base64.b64decode(one["bottleneck"]["plot"].split(",")[1]).decode()
    assert svg.startswith("<?xml")
