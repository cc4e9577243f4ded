"""The report, built from made-up results."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_results import (
    CONFIGURATION,
    IDS,
    add_distances,
    control_tables,
    draw,
    write_stimuli,
    write_subject,
)
from helpers.pages import Page, first_ids

from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.report import controls, plots, results, tables, words
from neural_recon.report.page import build


def test_page_is_whole_and_closed(made):
    output, _, _ = made
    text = output.read_text(encoding="utf-8")
    page = Page(text)
    failing = text.split('id="failures"')[1].split("<h2")[0].count('<figure class="card"')
    assert 0 < failing <= 2 * 2 * 5
    # eight of each subject's images, then the shared ones, then the swapped ones, then where it fails
    assert len(page.ids) == 2 * 8 + 6 + 2 * 5 + failing
    painted = [sum(i in IDS[s][:5] for i in first_ids(text, s)) for s in IDS]  # from the true features too
    assert page.images == 2 * 8 * 3 + sum(painted) + 6 * 3 + 2 * 5 * 4 + failing * 3 + 5 + 1 + 2 + 2 + 1
    assert all(link.startswith(("#", "data:image/")) for link in page.links)
    assert not re.search(r"@import|url\(", text)
    assert "undefined" not in page.text.lower()
    assert "nan" not in page.text.lower().split()


def test_introduction_says_how_the_recipe_paints():
    said = {
        entering: words.introduction(True, 1, False, *entering)
        for entering in itertools.product((True, False), repeat=2)
    }
    assert "visual cortex" in said[True, True]
    assert "visual cortex" not in words.introduction(False, 1, False, visual=False)
    assert said[True, True] == words.introduction(True, 1, False)
    assert "a second one the final image" in said[True, True]
    assert "under some of these, its guides" in said[False, True]
    assert "from that alone comes the final image" in said[True, False]
    assert len(set(said.values())) == len(said)


def test_distances_say_what_is_better(rng):
    """In paired tests and draws as in the tables of scores."""
    tests = pd.DataFrame({"subject": "subj01", "comparison": "final against base",
                          "metric": ["swav_distance", "ssim"], "p": 0.1})  # fmt: skip
    rows = tables.tests([types.SimpleNamespace(subject="subj01", tests=tests)])
    assert [row["metric"] for row in rows] == ["Structural similarity", "SwAV distance (lower is better)"]
    seeds = control_tables(rng)["seeds"].assign(metric="swav_distance")
    shown = controls._spread(types.SimpleNamespace(subject="subj01", controls={"seeds": seeds}))
    assert [row["metric"] for row in shown["rows"]] == ["SwAV distance (lower is better)"]


def test_notes_follow_networks_and_strata():
    """Nothing is missed that the page has."""
    wished = "would be the stronger evidence"
    alone = dict(words.notes(CONFIGURATION, ["clip_two_way", "pixcorr"], True))
    assert wished in alone["CLIP on both sides"]
    assert "profit from near twins" in alone["Not shown here"]
    for metric in ("inception_two_way", "swav_distance", "object"):
        notes = dict(words.notes(CONFIGURATION, ["clip_two_way", metric], True, strata=True))
        assert wished not in notes["CLIP on both sides"]
        assert "profit from near twins" not in notes["Not shown here"]
        assert "“Where it works and where not”" in notes["Not shown here"]


@pytest.mark.usefixtures("no_plots")
def test_quality_of_the_responses_is_said_and_linked(made, tmp_path):
    _, (files, _), stimuli = made
    sessions = {"session": [1, 2], "verdict": ["ok", "not checked"], "remark": "", "outlier": ""}
    write_table(tmp_path / "quality/subj01/sessions.tsv", pd.DataFrame(sessions))
    files = dataclasses.replace(
        files,
        quality=tmp_path / "quality/subj01/sessions.tsv",
        quality_page=tmp_path / "quality/subj01.html",
    )
    build(tmp_path / "report/all.html", [files], stimuli, None, CONFIGURATION)
    page = Page((tmp_path / "report/all.html").read_text(encoding="utf-8"))
    assert "1 of 2 sessions agree with each other; session 2 could not be checked." in page.text
    assert "../quality/subj01.html" in page.links


def test_numbers_of_the_summary_are_on_the_page(made):
    output, subjects, _ = made
    text = Page(output.read_text(encoding="utf-8")).text
    for files in subjects:
        summary = pd.read_csv(files.summary, sep="\t")
        for row in summary.itertuples():
            assert words.number(row.mean) in text, row
            assert f"[{words.number(row.ci_low)}, {words.number(row.ci_high)}]" in text, row
    assert "V1v" not in text  # only in the plot
    assert "10,000" in text  # the penalty chosen
    assert "< 0.001" in text
    assert "0.012" in text
    for fact in ("395", "not a number in a session", "3.00", "2 min 00 s", "900 MB", "resources/nsd <here>"):
        assert fact in text, fact


def test_same_results_same_file(made, tmp_path):
    output, subjects, stimuli = made
    again = tmp_path / "again.html"
    build(again, subjects, stimuli, tmp_path / "benchmarks", CONFIGURATION)
    assert again.read_bytes() == output.read_bytes()


@pytest.mark.usefixtures("no_plots")
def test_retrieval_and_what_was_not_measured(made, tmp_path):
    _, (files, _), stimuli = made
    summary = pd.read_csv(files.summary, sep="\t").assign(better="higher", not_measured="")
    row = {**summary.iloc[0].to_dict(), "variant": "decoded", "picture": "vision"}
    found = [
        {**row, "metric": f"retrieval_{way}", "mean": mean}
        for way, mean in (("image", 0.61), ("brain", 0.47))
    ]
    found += [
        {**row, "picture": "final", "metric": "efficientnet_distance", "mean": 0.713, "better": "lower"}
    ]
    reason = "evaluation.networks names no weights of swav"
    empty = {"subject": "subj01", "variant": "decoded", "picture": "final", "metric": "swav_distance"}
    found.append({**empty, "n": 10, "not_measured": reason})
    write_table(files.summary, pd.concat([summary, pd.DataFrame(found)]))
    build(tmp_path / "other.html", [files], stimuli, None, CONFIGURATION)
    text = Page((tmp_path / "other.html").read_text(encoding="utf-8")).text
    assert "among 10 test images (all there are)" in text
    for number in ("0.610", "0.470", "0.713"):
        assert number in text
    assert "EfficientNet distance (lower is better)" in text
    assert f"SwAV distance ({reason})." in text  # in the overview, and below the tables
    assert text.count("SwAV distance") == 2  # no column of dashes
    assert "nan" not in text.lower().split()


def test_real_data_without_controls(tmp_path, rng):
    ids = [5, 9, 200]
    files = write_subject(tmp_path, rng, "subj07", ids, judge=False, controls=False, cv=False, size=300)
    summary = pd.read_csv(files.summary, sep="\t")
    summary.loc[summary["metric"] == "ssim", "repairings"] = 20
    summary.loc[summary["picture"] == "base", ["mean", "ci_low", "ci_high", "shuffled", "p"]] = np.nan
    write_table(files.summary, summary)
    images = pd.read_parquet(files.images)
    images.loc[images["image_id"] == 9, "value"] = np.nan
    write_table(files.images, images)
    write_table(files.tests, pd.DataFrame(columns=results.TESTS))
    stimuli = write_stimuli(tmp_path / "stimuli.hdf5", ids, draw(rng, 3, 425, 20))
    configuration = {
        **CONFIGURATION,
        "demo": None,
        "decoder": {"kind": "ridge", "alpha": {"vdvae": 5e4}, "calibration": "published"},
        "evaluation": {"preset": "published", "classifier": None},
    }
    build(tmp_path / "report.html", [files], stimuli, None, configuration, title="A <b> & c")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert sorted(page.ids) == ids
    assert page.images == 3 * 3 + 3 + 1 + 1 + 2  # no plot of penalties
    assert "A <b> & c" in page.text
    assert "tuned on repeated trials" in page.text
    assert "not free of leakage" in page.text
    assert "simulated" not in page.text
    assert "50,000" in page.text
    assert "Swapped guides" not in page.text
    assert "Main object" not in page.text
    assert "judge" not in page.text.lower()
    # SSIM of large pictures: final image and mean image; the others have no score here
    assert page.text.count("(20 pairings)") == 2
    assert "1,000 random pairings" in page.text
    assert "chance was measured on that many only" in page.text


def test_demo_says_so_and_does_not_speak_of_published_betas(made):
    text = Page(made[0].read_text(encoding="utf-8")).text
    assert "simulated" in text
    assert "tuned on repeated trials" not in text
    assert "no statistic of the test set enters" in text
    for subject in IDS:
        assert re.search(rf"simulated voxels:.* {subject}: all voxels 0\.\d\d, V1 0\.\d\d, V2 ", text)
    assert "pairings)" not in text  # all scores have the usual number


def test_missing_file_is_one_sentence(made, tmp_path):
    _, subjects, stimuli = made
    subjects[0].summary.unlink()
    with pytest.raises(InputError, match=r"summary\.tsv: expected a table"):
        build(tmp_path / "r.html", subjects, stimuli, None, CONFIGURATION)
    with pytest.raises(InputError, match="at least one subject"):
        build(tmp_path / "r.html", [], stimuli, None, CONFIGURATION)
    assert not (tmp_path / "r.html").exists()


def test_missing_column_is_named(made, tmp_path):
    _, subjects, stimuli = made
    summary = pd.read_csv(subjects[1].summary, sep="\t")
    write_table(subjects[1].summary, summary.drop(columns="ci_low"))
    with pytest.raises(InputError, match="expected the columns ci_low"):
        build(tmp_path / "r.html", subjects, stimuli, None, CONFIGURATION)


def test_regions_take_the_ceilings_of_their_kept_voxels(tmp_path):
    path = tmp_path / "voxels.parquet"
    write_table(path, pd.DataFrame({
        "x": range(5), "y": range(5), "z": range(5),
        "prf-visualrois": ["V1v", "", "V1v", "hV4", "V1v"], "floc-words": ["", "mTL", "", "", ""],
    }))  # fmt: skip
    groups = results.by_region(np.array([0.1, 0.2, 0.3, np.nan]), np.array([0, 1, 2, 4]), path, {})
    assert {name: values.tolist() for name, values in groups.items()} == {
        "all voxels": [0.1, 0.2, 0.3],
        "V1v": [0.1, 0.3],
        "mTL (words)": [0.2],
    }


def test_medians_join_the_halves_of_an_area():
    ceilings = {
        "all voxels": [0.1, 0.2, 0.3, 0.4], "V1v": [0.1], "V1d": [0.3, 0.4], "hV4": [0.2], "ecc1": [0.9],
        "ventral": [0.9], "FFA-1 (faces)": [0.2], "mTL (faces)": [0.4], "mTL (words)": [0.3],
    }  # fmt: skip
    found = results.medians({name: np.array(values) for name, values in ceilings.items()})
    assert found == pytest.approx(
        {"all voxels": 0.25, "V1": 0.3, "hV4": 0.2, "face regions": 0.3, "word regions": 0.3}
    )


def test_numbers_as_written():
    assert words.number(0.8764) == "0.876"
    assert words.number(-0.0123) == "−0.012"
    assert words.number(-0.0001) == "0.000"
    assert words.number(float("nan")) == "–"
    assert words.p_value(0.0001) == "< 0.001"
    assert words.p_value(0.0215) == "0.021"
    assert words.duration(3725) == "1 h 02 min"


def test_report_needs_no_torch():
    code = "import sys, neural_recon.report.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("no_plots")
def test_scores_that_were_not_measured_say_why(made, tmp_path):
    _, subjects, stimuli = made
    files = subjects[0]
    add_distances(files)
    build(tmp_path / "r.html", [files], stimuli, None, CONFIGURATION)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "EfficientNet distance (lower is better)" in text
    assert text.count("SwAV distance (no weights named).") == 2  # in the overview, and below the tables
    assert "Inception two-way identification (not among the scores computed)." in text
    assert "All scores run upwards" not in text
    index = (tmp_path / "r.html").read_text(encoding="utf-8").split('id="index">')[1].split("</script>")[0]
    lower = {m["name"]: m["lower"] for m in json.loads(index)["metrics"]}
    assert lower["efficientnet_distance"] is True
    assert lower["clip_two_way"] is False
    assert "swav_distance" not in lower


@pytest.mark.usefixtures("no_plots")
def test_map_of_noise_ceilings_where_mask_and_voxels_are(made, tmp_path, monkeypatch):
    _, (files, _), stimuli = made
    drawn = []
    monkeypatch.setattr(plots, "uri", lambda figure: drawn.append(figure) or "data:image/svg+xml;base64,")
    labels = np.zeros((6, 6, 12), np.int16)
    labels[1:5, 1:5] = 1
    places = np.argwhere(labels == 1)
    voxels = pd.DataFrame(places, columns=list("xyz")).assign(noise_ceiling=0.3, dropped="")
    voxels.loc[3, ["noise_ceiling", "dropped"]] = [np.nan, "constant in a session"]
    sessions = pd.DataFrame({"session": [1, 2], "verdict": "ok", "remark": "", "outlier": ""})
    write_table(tmp_path / "quality/subj01/voxels.parquet", voxels)
    write_table(tmp_path / "quality/subj01/sessions.tsv", sessions)
    files = dataclasses.replace(files, quality_voxels=tmp_path / "quality/subj01/voxels.parquet")
    data = dataclasses.replace(stimuli, cortexes={"subj01": labels})
    build(tmp_path / "r.html", [files], data, None, CONFIGURATION)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "Noise ceiling in the brain of subj01" in text
    assert "orange: voxels left out" in text
    titles = [[axes.get_title() for axes in figure.axes] for figure in drawn]
    assert (
        sum(names[0].startswith("z = ") and len(names) == 6 for names in titles) == 1
    )  # five, and the scale
