"""Numbers that are none: what is not measured says so, on every page, in every table and log."""

import dataclasses
import re
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
from made_up_results import (
    CONFIGURATION,
    SPACES,
    add_distances,
    draw,
    write_benchmarks,
    write_single_stage,
    write_stimuli,
    write_subject,
)
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_regions import write_regions
from test_strata_report import person as write_strata

from neural_recon import report
from neural_recon.files import read_table, write_table

IDS = list(range(3, 43, 4))
# statistics of each table; ids, counts and sizes are never missing
SUMMARY = ["mean", "ci_low", "ci_high", "shuffled", "shuffled_sd", "p"]
SCORED = ["score", "low", "high", "chance", "chance_sd"]
TARGETS = ["r", "r_q25", "r_q75", "ceiling", "r2", "r2_ridge", "above", "above_re_paired"]
TESTED = ["first", "second", "p"]
STRATUM = ["mean", "ci_low", "ci_high", "chance"]


def bare(text: str) -> list[str]:
    """What a reader would stumble over, with its surroundings."""
    text = re.sub(r"data:[\w/+;-]*base64,[\w+/=]*", "", text)
    text = re.sub(r'<script type="application/json" class="sheet".*?</script>', "", text, flags=re.S)
    word = re.finditer(r"(?<![A-Za-z_])(?:nan|inf|infinity)(?![A-Za-z_])", text, re.I)
    return [text[max(0, found.start() - 60) : found.end() + 20] for found in word]


@pytest.fixture
def drawn(monkeypatch):
    """The texts of all figures, ticks included, as they are saved."""
    found = []
    save = Figure.savefig

    def spy(figure, *arguments, **settings):
        save(figure, *arguments, **settings)
        found.extend(text.get_text() for text in figure.findobj(Text) if text.get_visible())

    monkeypatch.setattr(Figure, "savefig", spy)
    return found


@pytest.fixture(autouse=True)
def strict():
    """A warning of numpy in a job's log is a number that was not looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def test_the_helper_finds_what_it_is_for():
    assert bare("median ceiling nan over") == ["median ceiling nan over"]
    assert len(bare('left: inf%; class="x">NaN<b>-inf</b>')) == 3
    assert bare("Nanjing, infinite, banana, dominant, data:image/png;base64,nan/inf=") == []


def plant(path, columns, how):
    """NaN in a row of each column, or in all rows, or infinities in all."""
    table = read_table(path)
    for k, name in enumerate(columns):
        values = table[name].to_numpy(float).copy()
        if how == "some":
            values[k % len(values)] = np.nan
        else:
            values[:] = np.nan if how == "all" else (-np.inf if k % 2 else np.inf)
        table[name] = values
    write_table(path, table)


def amount_table():
    """Scores as `data_amount.learning_curves` gives them."""
    sizes = pd.DataFrame(
        {"sessions": [1, 4, 4, 4], "training_images": [30, 120, 120, 120], "voxels": [400, 400, 200, 200],
         "share": [1.0, 1.0, 0.5, 0.5], "draw": [0, 0, 1, 2]}
    )  # fmt: skip
    scores = dict(zip(SCORED, (0.8, 0.7, 0.9, 0.5, 0.03), strict=True))
    return sizes.assign(targets=64, n=10, **scores).merge(pd.DataFrame({"space": SPACES}), how="cross")


@pytest.fixture
def whole(tmp_path, rng):
    """A subject with every section of the page, and the function that plants in all of its tables."""
    files = write_subject(tmp_path, rng, "subj01", IDS)
    add_distances(files)
    files = write_single_stage(tmp_path, rng, files, IDS)
    amount = tmp_path / "amount.tsv"
    write_table(amount, amount_table())
    regions = write_regions(tmp_path / "regions", rng, IDS)
    strata = write_strata(tmp_path, rng, "subj01", regions=True).files
    (strata.regions / "strata.tsv").rename(regions / "strata.tsv")
    files = dataclasses.replace(files, data_amount=amount, regions=regions, strata=strata.strata)
    stimuli = write_stimuli(tmp_path / "stimuli.h5", IDS, draw(rng, len(IDS), 425, 9))

    def spoil(how):
        plant(files.summary, SUMMARY, how)
        plant(files.tests, TESTED, how)
        plant(files.images, ["value"], how)
        for path in files.targets.values():
            plant(path, TARGETS, how)
        for path in files.alphas.values():
            plant(path, ["score"], how)
        plant(amount, SCORED, how)
        plant(files.controls["clusters"], [*SCORED, "p_difference"], how)
        plant(files.controls["leaks"], ["difference"], how)
        plant(files.controls["seeds"], ["seed0", "seed1", "mean", "sd"], how)
        plant(files.controls["single_stage"], [*STRATUM, "difference", "p"], how)
        plant(regions / "scores.tsv", SCORED, how)
        plant(regions / "tests.tsv", [*TESTED, "p_holm"], how)
        plant(regions / "strata.tsv", [*STRATUM, "all_voxels", "p", "p_holm"], how)
        plant(regions / "synthetic.tsv", ["norm", "norm_ratio", "mean_sd"], how)
        plant(files.strata, STRATUM, how)
        plant(files.strata.with_name("subj01_trends.tsv"), ["effect", "p"], how)
        with h5py.File(files.responses, "r+") as file:
            ceiling = file["noise_ceiling"][()]
            ceiling[: 7 if how == "some" else None] = np.nan
            file["noise_ceiling"][...] = ceiling

    return files, stimuli, spoil


@pytest.mark.parametrize("how", ["some", "all", "infinite"])
def test_no_page_shows_a_number_that_is_none(whole, drawn, tmp_path, caplog, how):
    files, stimuli, spoil = whole
    spoil(how)
    caplog.set_level("INFO")
    folder = write_benchmarks(tmp_path / "benchmarks")
    (folder / "scores/subj01.tsv").write_text("s\th:m:s\tmax_rss\n-\t-\t-\n")
    report.build(tmp_path / "page.html", [files], stimuli, folder, CONFIGURATION)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert bare(page) == []
    assert bare("\n".join(drawn)) == []
    assert bare(caplog.text) == []
    assert len(drawn) > 200
    assert "voxels kept, without a noise ceiling" in page
    if how != "some":
        assert "no CLIP two-way identification was computed" in page
