"""All subjects' tables, the comparison with published figures, and the figure for papers."""

import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.evaluation import comparison, registry
from neural_recon.evaluation.folder_scores import write_scores
from neural_recon.report import paper_figure

RULE = {"rule": "best_median_worst", "score": "clip_two_way", "count": 9, "image_ids": []}


def summary(subject, value, metrics=("pixcorr", "clip_two_way"), variant="decoded"):
    return pd.DataFrame({"subject": subject, "variant": variant, "picture": "final", "metric": metrics,
                         "mean": value, "n": 10, "shuffled": 0.5})  # fmt: skip


@pytest.fixture
def responses(tmp_path):
    paths = {}
    for subject, counts in (("subj01", [3, 3, 3, 3]), ("subj02", [3, 2, 3, 2])):
        paths[subject] = tmp_path / f"{subject}.h5"
        write_hdf5(paths[subject], {"test_repetitions": np.array(counts)}, {})
    return paths


def test_published_figures_are_whole():
    table = comparison.published()
    assert tuple(table) == tuple(comparison.COLUMNS)
    assert len(table) == 6
    assert table[list(registry.PUBLISHED_TITLES)].notna().all().all()
    assert table[list(registry.PUBLISHED_TITLES)].lt(1).all().all()
    assert (table[comparison.DESCRIPTION].drop(columns="note") != "").all().all()
    mixed = table.set_index("line")["note"].str.contains("0.75 refined + 0.25 blurry", regex=False)
    assert mixed[mixed].index.tolist() == ["MindEye2", "MindEye2, 1 hour"]  # no other method's images are
    best = table.set_index("line").loc["MindEye2"]
    assert (best["pixcorr"], best["alexnet5_two_way"], best["swav_distance"]) == (0.322, 0.986, 0.344)


def test_our_lines_name_their_conditions(responses):
    ours = {"subj01": summary("subj01", 0.8), "subj02": summary("subj02", [0.6, np.nan])}
    args = (responses, {"subj01": 37, "subj02": 40}, "mindeye2", "brain_diffuser")
    one, two, mean = comparison.our_lines(ours, *args, False).to_dict("records")
    assert (one["line"], one["sessions"], one["repetitions"], one["test_images"]) == (
        "brain_diffuser, subj01", "37", "3", "4",
    )  # fmt: skip
    assert mean["line"] == "brain_diffuser, mean of subjects"
    assert (mean["sessions"], mean["repetitions"], mean["test_images"]) == ("37 to 40", "2.5 to 3", "4")
    assert mean["pixcorr"] == pytest.approx(0.7)
    # one of two subjects is no mean of both
    assert np.isnan([two["clip_two_way"], mean["clip_two_way"], one["ssim"]]).all()
    assert one["note"] == mean["note"] == ""
    native = comparison.our_lines(ours, *args[:2], "native", "x", True)
    assert (native["note"] == f"{comparison.SIMULATED}; {comparison.NATIVE}").all()
    alone = comparison.our_lines({"subj01": ours["subj01"]}, *args, False)
    assert alone["line"].tolist() == ["brain_diffuser, subj01"]


def test_other_methods_come_in(tmp_path):
    path = tmp_path / "theirs.tsv"
    rows = pd.DataFrame({"method": "theirs", "preset": "mindeye2", "metric": ["pixcorr", "clip_two_way"],
                         "mean": [0.25, np.nan], "n": 20, "not_measured": ["", "no model"]})  # fmt: skip
    write_scores(path, rows, rows)
    table = comparison.together([comparison.published(), comparison.other_lines([path])])
    shown = comparison.for_people(table).iloc[-1]
    assert (shown["line"], shown["kind"], shown["preset"]) == ("theirs", "other method", "mindeye2")
    assert (shown["test_images"], shown["sessions"]) == ("20", "unknown")
    assert (shown["pixcorr"], shown["clip_two_way"], shown["ssim"]) == (
        "0.25",
        "not measured",
        "not measured",
    )
    assert list(comparison.other_lines([])) == comparison.COLUMNS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty file"),
        ("a\tb\n1\t2\n", "no method, preset, metric"),
        ("method\tpreset\tmetric\tmean\tn\n", "no rows"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, found):
    (tmp_path / "x.tsv").write_text(text)
    with pytest.raises(InputError, match=rf"x.tsv: expected a table of neural-recon evaluate.*{found}"):
        comparison.other_lines([tmp_path / "x.tsv"])


def test_mean_over_subjects_has_its_spread():
    tables = [summary("subj01", [0.8, 0.9]), summary("subj02", [0.6, np.nan])]
    found = comparison.over_subjects(comparison.together(tables)).set_index("metric")
    assert found.loc["pixcorr", ["subjects", "n"]].tolist() == [2, 20]
    assert found.loc["pixcorr", "mean"] == pytest.approx(0.7)
    assert found.loc["pixcorr", "sd"] == pytest.approx(np.std([0.8, 0.6], ddof=1))
    assert found.loc["clip_two_way", ["subjects", "mean", "lowest", "highest"]].tolist() == [1, 0.9, 0.9, 0.9]
    assert np.isnan(found.loc["clip_two_way", "sd"])


def test_reasons_and_images_are_those_of_what_was_measured():
    """One subject's reason is none for the mean of the others, nor are its images."""
    tables = [
        summary("subj01", [np.nan, np.nan], ("swav_distance", "ssim")).assign(not_measured=["no file", "x"]),
        summary("subj02", [0.6, np.nan], ("swav_distance", "ssim")).assign(not_measured=[np.nan, "y"]),
    ]
    found = comparison.over_subjects(comparison.together(tables)).set_index("metric")
    wanted = ["subjects", "n", "not_measured", "better"]
    assert found.loc["swav_distance", wanted].tolist() == [1, 10, "", "lower"]
    assert found.loc["ssim", wanted].tolist() == [0, 0, "x", "higher"]


SCORES = pd.Series(np.r_[np.linspace(1, 0, 20), 0.5], np.arange(100, 121))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, {"best": [100, 101, 102], "median": [109, 120, 110], "worst": [117, 118, 119]}),
        ({"count": 4}, {"best": [100], "median": [109, 120], "worst": [119]}),
        ({"rule": "evenly", "count": 3}, {"evenly over the ranks": [100, 120, 119]}),
        ({"rule": "first", "count": 3}, {"lowest image ids": [100, 101, 102]}),
        ({"image_ids": [119, 103]}, {"chosen by hand": [119, 103]}),
    ],
)
def test_columns_follow_the_rule(change, wanted):
    assert paper_figure.choose(SCORES, 0 * SCORES, RULE | change, "higher", "subj01") == wanted
    lower = paper_figure.choose(-SCORES, 0 * SCORES, RULE | change, "lower", "subj01")
    assert lower == wanted


def test_equal_scores_are_ordered_by_their_margins():
    scores = pd.Series([1.0, 1.0, 0.2, 1.0, 0.2], [5, 6, 7, 8, 9])
    margins = pd.Series([0.1, 0.3, 0.2, np.nan, 0.4], scores.index)
    found = paper_figure.choose(scores, margins, RULE | {"rule": "evenly", "count": 5}, "higher", "subj01")
    assert found == {"evenly over the ranks": [6, 5, 8, 9, 7]}


def test_columns_chosen_by_hand_must_be_there():
    with pytest.raises(InputError, match="image_ids: expected test images of subj01, found 7"):
        paper_figure.choose(SCORES, 0 * SCORES, RULE | {"image_ids": [101, 7]}, "higher", "subj01")


@pytest.fixture
def files(tmp_path, rng):
    ids = np.arange(100, 121)
    paths = {name: tmp_path / f"{name}.h5" for name in ("base", "final", "true_features")}
    for name in ("base", "final", "true_features"):
        some = ids[:2] if name == "true_features" else ids[::-1]
        images = rng.integers(0, 255, (len(some), 16, 16, 3), np.uint8)
        write_hdf5(paths[name], {"images": images, "image_id": some}, {})
    pictures = rng.integers(1, 255, (130, 20, 20, 3), np.uint8)
    scores = pd.DataFrame({"variant": "decoded", "picture": "final", "metric": "clip_two_way",
                           "image_id": SCORES.index, "value": SCORES.to_numpy(), "margin": 0.1})  # fmt: skip
    write_table(tmp_path / "images.parquet", scores)
    write_table(tmp_path / "summary.tsv", summary("subj01", 0.5))
    paths |= {"scores": tmp_path / "images.parquet", "summary": tmp_path / "summary.tsv"}
    paths["seen"] = pictures.__getitem__
    return types.SimpleNamespace(**paths)


def test_figure_says_what_it_shows(files, tmp_path):
    output = types.SimpleNamespace(**{name: tmp_path / f"out.{name}" for name in ("pdf", "png", "text")})
    paper_figure.draw(output, "subj01", files, files.seen, RULE, "native", True)
    text = output.text.read_text()
    for said in ("subj01 (simulated responses)", "9 of 21 test images", "the best, those about the median",
                 "by clip_two_way", "100 (1.000)", "119 (0.000)", "preset native"):  # fmt: skip
        assert said in text
    with Image.open(output.png) as image:
        assert image.size[0] == pytest.approx(paper_figure.WIDTH * 300, abs=1)
        assert image.info["dpi"][0] == pytest.approx(300, abs=1)
    pdf = output.pdf.read_bytes()
    assert b"/FontFile2" in pdf  # TrueType, embedded
    assert b"/Type3" not in pdf
    assert pdf.count(b"/Width 16") == 2 * 9  # every picture with its own pixels; no row with holes
    assert pdf.count(b"/Width 20") == 9
    assert "Rows: the picture seen, the base image, the final image." in text
    # a recipe of one stage: the base image is none, or the final image itself
    files.base = []
    paper_figure.draw(output, "subj01", files, files.seen, RULE, "native", True)
    assert "Rows: the picture seen, the final image." in output.text.read_text()
    assert output.pdf.read_bytes().count(b"/Width 16") == 9
    by_hand = RULE | {"image_ids": [100, 101]}
    paper_figure.draw(output, "subj01", files, files.seen, by_hand, "native", True)
    assert "and the generator's picture from the true features" in output.text.read_text()
    assert output.pdf.read_bytes().count(b"/Width 16") == 2 + 2
    default = RULE | {"score": "x", "otherwise": "clip_two_way"}  # a network that was named, not measured by
    paper_figure.draw(output, "subj01", files, files.seen, default, "native", True)
    assert "by clip_two_way" in output.text.read_text()
    with pytest.raises(
        InputError, match=r"figure.score: expected a score of subj01.*clip_two_way\), found 'x'"
    ):
        paper_figure.draw(output, "subj01", files, files.seen, RULE | {"score": "x"}, "native", True)
