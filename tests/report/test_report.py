"""The report, built from made-up results."""

import base64
import dataclasses
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.made_up_results import (
    CONFIGURATION,
    IDS,
    LEVELS,
    SPACES,
    add_distances,
    control_tables,
    draw,
    write_benchmarks,
    write_contents,
    write_controls,
    write_single_stage,
    write_stimuli,
    write_subject,
)
from helpers.pages import Page, draw_no_figures
from helpers.places import ROOT
from PIL import Image

from neural_recon import __version__
from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.evaluation.controls.refit_null import by_metric
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.report import (
    album,
    controls,
    gallery,
    overview,
    penalties,
    plots,
    results,
    spaces,
    tables,
    variants,
    words,
)
from neural_recon.report.page import build, render


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Two subjects' report: the page, and the subjects' files."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("made")
    subjects = [write_subject(folder, rng, subject, ids) for subject, ids in IDS.items()]
    stimuli = write_stimuli(folder / "stimuli.hdf5", IDS["subj01"], draw(rng, 10, 425, 20))
    output = folder / "report.html"
    build(output, subjects, stimuli, write_benchmarks(folder / "benchmarks"), CONFIGURATION)
    return folder, (output, subjects, stimuli)


@pytest.fixture
def made(made_once, tmp_path):
    """A copy of it that a test may change."""
    folder, found = made_once
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)

    def moved(value):
        if isinstance(value, dict):
            return {name: moved(inner) for name, inner in value.items()}
        return tmp_path / value.relative_to(folder) if isinstance(value, Path) else value

    output, subjects, stimuli = found
    copies = [
        dataclasses.replace(files, **{name: moved(value) for name, value in vars(files).items()})
        for files in subjects
    ]
    return moved(output), copies, moved(stimuli)


@pytest.fixture
def no_plots(monkeypatch):
    """For tests that look at the page's words."""
    draw_no_figures(monkeypatch)


def first_ids(text, subject):
    """The images of a subject that are shown without any script."""
    section = text.split(f'<div class="cards" data-subject="{subject}">')[1].split("<h3>")[0]
    return [int(i) for i in re.findall(r'data-id="(\d+)"', section)]


def sheets_of(text):
    """(subject, kind) -> image id -> a picture as the page's script finds it."""
    found = {}
    for subject, kind, content in re.findall(
        r'class="sheet" data-subject="(\w*)" data-kind="(\w+)">(.*?)</script>', text
    ):
        sheet = json.loads(content)
        found[subject, kind] = {
            i: Image.open(io.BytesIO(base64.b64decode(sheet["pictures"][k])))
            for i, k in zip(sheet["ids"], sheet["index"], strict=True)
        }
    return found


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


def section(text):
    """The words of the section on controls."""
    return re.sub(r"<[^>]+>", " ", text.split('id="controls"')[1].split("<h2")[0])


@pytest.mark.usefixtures("no_plots")
def test_controls_answer_the_critic(made, tmp_path):
    output, subjects, stimuli = made
    page = Page(output.read_text(encoding="utf-8"))
    for sentence in (
        "1. Better than pictures that need no generator, or no brain?",
        "nearest training image 0.",
        "held out at random 0.834 held out by clusters 0.712 p = 0.012",
        "holds: 1 of 2 checks nothing to check: 1 of 2 checks",
        "0.857 ± 0.043 over 3 draws (n = 5)",
        "17 clusters of similar images",
    ):
        assert sentence in page.text, sentence
    assert "−0.122" in page.text  # clusters against random
    # every answer's details are on the page, but how much data, which these subjects lack
    text = output.read_text(encoding="utf-8")
    targets = re.findall(r'<a href="#(\w+)">', text.split('id="controls"')[1].split('id="leaks"')[0])
    assert len(targets) == 7
    assert all(f'id="{target}"' in text for target in targets)
    assert section(text).count("not measured") == 1 + len(subjects)
    # a subject without the tables says so, and without any the section is left out
    without = [dataclasses.replace(subjects[0], controls={}), subjects[1]]
    build(tmp_path / "one.html", without, stimuli, None, CONFIGURATION)
    assert section((tmp_path / "one.html").read_text(encoding="utf-8")).count("not measured") == 1 + 2 + 3
    build(tmp_path / "none.html", without[:1], stimuli, None, CONFIGURATION)
    assert "What a critic asks" not in (tmp_path / "none.html").read_text(encoding="utf-8")


def test_notes_follow_the_controls():
    several = {**CONFIGURATION, "evaluation": {"draws": 4}}
    with_them = dict(words.notes(several, ["ssim"], True, True, {"clusters", "seeds"}))
    assert "painted 4 times" in with_them["One draw per picture"]
    assert "vary between" not in with_them["Not shown here"]
    assert "Clusters held out" in with_them["Not shown here"]
    for notes in (
        dict(words.notes({**CONFIGURATION, "evaluation": {"draws": 1}}, ["ssim"], True, True, {"seeds"})),
        dict(words.notes(several, ["ssim"], True)),
    ):
        assert "painted" not in notes["One draw per picture"].split("none was")[1]
        assert "vary between draws" in notes["Not shown here"]


def test_scores_below_chance_are_on_the_axis(rng, monkeypatch):
    drawn = []
    monkeypatch.setattr(controls, "uri", drawn.append)
    for low in (0.05, 0.6):
        table = control_tables(rng)["clusters"].assign(low=low)
        controls._cluster_plot({"subj01": table})
        bottom = drawn[-1].axes[0].get_ylim()[0]
        assert bottom < min(low, 0.5)


@pytest.mark.usefixtures("no_plots")
def test_single_stages_stand_beside_the_full_recipe(made, rng, tmp_path):
    output, subjects, stimuli = made
    without = output.read_text(encoding="utf-8")
    assert "What each stage adds" not in Page(without).text
    files = [write_single_stage(tmp_path, rng, f, IDS[f.subject]) for f in subjects]
    configuration = {
        **CONFIGURATION,
        "generator": {
            **{"kind": "versatile_diffusion", "weights": "v", "base": "vdvae", "vision": "vision"},
            **{"text": "text", "strength": 0.58, "steps": 50},
        },
    }
    build(tmp_path / "r.html", files, stimuli, None, configuration)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    part = text.split('id="stages">')[1].split("</h2>", 1)[1].split("<h2")[0]
    said = Page(part).text
    for sentence in (
        "subj01: the same 5 test images",
        "0.700 [0.650, 0.750] chance 0.500 full recipe +0.201, p < 0.001",
        "0.950 [0.900, 1.000] chance 0.500 full recipe −0.049, p = 0.042",
        "over 5 images of subj01, 5 images of subj02, a part of the test images, with one draw each",
        "runs all 50 steps where the full recipe runs 29 of them",
    ):
        assert sentence in said, sentence
    assert part.count("<img") == 2 * 4 * 5
    sheets = sheets_of(text)
    for subject, ids in IDS.items():
        assert set(sheets[subject, "guides_only"]) == set(ids[:5])


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


def test_one_draw_has_no_section_of_several(rng):
    table = control_tables(rng)["seeds"]
    for draws, there in ((table, True), (table.drop(columns=["seed1", "seed2"]).assign(sd=np.nan), False)):
        person = types.SimpleNamespace(subject="subj01", controls={"seeds": draws})
        assert bool(controls._spread(person)) == there


def test_each_subject_has_its_own_leak_texts(rng):
    leaks, people = control_tables(rng)["leaks"], []
    for subject, text in (("subj01", "900 training"), ("subj02", "700 training")):
        table = leaks.assign(compared=text)
        people.append(types.SimpleNamespace(subject=subject, controls={"leaks": table}))
    section = {"subjects": [], "questions": [], "tuned": False, "draws": [], "clusters": None,
               "leaks": controls._leaks(people)}  # fmt: skip
    text = Page(render("controls.html", {"controls": section})).text
    assert text.count("900 training") == text.count("700 training") == 2


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


def test_all_test_images_are_in_the_page(made):
    output, subjects, _ = made
    text = output.read_text(encoding="utf-8")
    sheets = sheets_of(text)
    kinds = ("base", "final", "true_features")
    assert set(sheets) == {("", "seen"), *((s, kind) for s in IDS for kind in kinds)}  # stimuli once for all
    assert set(sheets["", "seen"]) == set(IDS["subj01"])
    index = json.loads(text.split('id="index">')[1].split("</script>")[0])
    assert [m["name"] for m in index["metrics"]] == [
        "clip_two_way", "object", "background", "pixcorr", "ssim",
    ]  # fmt: skip
    for files, entry in zip(subjects, index["subjects"], strict=True):
        assert set(sheets[files.subject, "final"]) == set(IDS[files.subject]) == set(entry["ids"])
        assert set(sheets[files.subject, "true_features"]) == set(IDS[files.subject][:5])
        for image_id, image in results.each_picture(files.final, IDS[files.subject]):
            small = np.asarray(sheets[files.subject, "final"][image_id].convert("RGB"), float)
            assert np.abs(small - image).mean() < 8
        person = results.read(files, {})
        for metric, values in entry["scores"].items():
            expected = person.per_image("decoded", "final", metric)
            assert dict(zip(entry["ids"], values, strict=True)) == pytest.approx(expected, abs=1e-4)


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


def test_first_view_spreads_from_best_to_worst(made):
    output, subjects, _ = made
    text = output.read_text(encoding="utf-8")
    person = results.read(subjects[0], {})
    scores = person.per_image("decoded", "final", "clip_two_way")
    ranked = gallery.best_first(IDS["subj01"], scores, {})
    shown = first_ids(text, "subj01")
    assert shown == [ranked[k] for k in np.linspace(0, 9, 8).round().astype(int)]


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


@pytest.mark.usefixtures("no_plots")
def test_versions_are_those_of_the_files(made, tmp_path):
    output, subjects, stimuli = made
    text = Page(output.read_text(encoding="utf-8")).text
    assert f"written by neural-recon, version {__version__}." in text
    assert "Libraries installed when this report was made" in text
    with h5py.File(subjects[0].base, "a") as file:
        file.attrs["neural_recon_version"] = "0.0.7"
    with h5py.File(subjects[1].final, "a") as file:
        del file.attrs["neural_recon_version"]
    build(tmp_path / "r.html", subjects, stimuli, None, CONFIGURATION)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "several versions of neural-recon: 0.0.7 (subj01: base images); " in text
    assert "unknown (subj02: final images)" in text


def test_times_of_the_subjects_shown(tmp_path):
    folder = write_benchmarks(tmp_path / "subj02" / "benchmarks")  # only names inside the folder count

    def times(*shown, subjects=("subj01", "subj02")):
        found = results.benchmarks(folder, shown, subjects)
        return {row["rule"]: (row["jobs"], row["seconds"]) for row in found}

    assert times("subj01") == {"ridge": (1, 100.5), "features_vdvae": (2, 7.0)}
    assert times("subj02") == {"ridge": (1, 20.0), "scores": (1, 7.0), "features_vdvae": (1, 3.0)}
    assert times("subj01", "subj02")["ridge"] == (2, 120.5)
    for old, new in (("subj01", "anna"), ("subj02", "anna_2")):  # names may begin alike
        (folder / f"ridge/{old}_vdvae.tsv").rename(folder / f"ridge/{new}_vdvae.tsv")
    assert times("anna", subjects=("anna", "anna_2"))["ridge"] == (1, 100.5)
    assert times("anna_2", subjects=("anna", "anna_2"))["ridge"] == (1, 20.0)


@pytest.mark.usefixtures("no_plots")
def test_page_of_one_subject_says_whose_times(made, tmp_path):
    _, subjects, stimuli = made
    build(tmp_path / "one.html", subjects[:1], stimuli, tmp_path / "benchmarks", CONFIGURATION)
    text = Page((tmp_path / "one.html").read_text(encoding="utf-8")).text
    assert "last run of each job, from the benchmark files present: those of subj01 and" in text
    assert "1 min 40 s" in text
    assert "2 min 00 s" not in text
    assert text.count("subj02") == 1  # in the configuration


def test_every_score_has_its_colour():
    asked_for = {("prior", "base"), ("prior", "final")}  # painted where the configuration says so
    for variant, picture in set(LEVELS) | asked_for:
        assert variants.colour(variant, picture) != plots.GREY
        assert variants.label(variant) != variant or variant == "decoded"
    assert variants.colour("components_3", "final") == plots.GREY


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


def test_evenly_keeps_both_ends():
    assert gallery.evenly(100, 5) == [0, 25, 50, 74, 99]
    assert gallery.evenly(3, 8) == [0, 1, 2]
    assert gallery.evenly(0, 8) == []


def test_best_first_puts_the_unscored_last():
    scores = {1: 0.5, 2: 0.9, 3: 0.5}
    assert gallery.best_first([4, 1, 2, 3], scores, {}) == [2, 1, 3, 4]
    assert gallery.best_first([4, 1, 2, 3], scores, {1: 0.1, 3: 0.2}) == [2, 3, 1, 4]
    assert gallery.ties(scores) == ""
    assert gallery.ties({**scores, 4: 0.9}) == "2 of 4 have the best score, 0.900"


def test_thumbnails_are_small_and_true(rng):
    large = draw(rng, 1, 512, 4)[0]
    uri = gallery.data_uri(large)
    assert uri.startswith("data:image/webp;base64,")
    small = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert small.size == (160, 160)
    reference = np.asarray(Image.fromarray(large).resize((160, 160), Image.Resampling.LANCZOS), float)
    assert np.abs(np.asarray(small, float) - reference).mean() < 3


def test_numbers_as_written():
    assert words.number(0.8764) == "0.876"
    assert words.number(-0.0123) == "−0.012"
    assert words.number(-0.0001) == "0.000"
    assert words.number(float("nan")) == "–"
    assert words.p_value(0.0001) == "< 0.001"
    assert words.p_value(0.0215) == "0.021"
    assert words.duration(3725) == "1 h 02 min"


def test_no_curve_where_every_penalty_was_fixed():
    fixed = pd.DataFrame({"group": [1], "alpha": [5e4], "fold": [0], "score": [np.nan], "chosen": [True]})
    assert plots.alpha_curves({"subj01": {"vdvae": fixed}}) is None


def test_groups_of_features_have_a_line_and_a_penalty_each(made, tmp_path):
    output, subjects, stimuli = made
    rows = [
        {"group": g, "features": 10 * g, "alpha": a, "fold": f, "score": s + 0.002 * f, "chosen": s > 0.3}
        for g, scores in ((1, (0.5, 0.2, 0.1)), (2, (0.1, 0.2, 0.8)))
        for a, s in zip((10, 300, 7000), scores, strict=True)
        for f in (1, 2)
    ]
    write_table(tmp_path / "alpha.tsv", pd.DataFrame(rows))
    files = dataclasses.replace(subjects[0], alphas={"vdvae": tmp_path / "alpha.tsv"})
    build(output, [files], stimuli, tmp_path / "benchmarks", CONFIGURATION)
    text = " ".join(Page(output.read_text(encoding="utf-8")).text.split())
    assert "10 to 7,000" in text
    assert (
        "cross-validated, 2 folds, 2 groups of features; best at the end of the range in 2 of 2 groups"
        in text
    )
    assert words.number((10 * 0.503 + 20 * 0.803) / 30) in text


@pytest.mark.parametrize(
    ("score", "said"), [(-0.0123, "is −0.0123:"), (-2e-5, "is between −0.0001 and 0:"), (0.0, ""), (2e-5, "")]
)
def test_a_best_score_just_below_0_is_not_said_to_be_0(score, said):
    row = {"group": 1, "features": 9, "fold": 1, "alpha": 10.0, "score": score, "chosen": True}
    sentences = [sentence for _, sentence in penalties._of_curve(pd.DataFrame([row]))]
    assert len(sentences) == bool(said)
    assert said in " ".join(sentences)
    whole = pd.DataFrame([{"part": 0, "r2_ridge": score}])
    assert said in " ".join(sentence for _, sentence in penalties._of_test(None, whole))


def test_scores_of_single_targets_stand_beside_ceiling_and_control(made):
    output, subjects, _ = made
    text = Page(output.read_text(encoding="utf-8")).text
    for path in subjects[1].targets.values():
        whole = pd.read_csv(path, sep="\t").iloc[0]
        for name in ("r", "ceiling", "r2", "r2_ridge"):
            assert words.number(whole[name]) in text, name
    assert "0.625 images re-paired 0.047" in text
    assert "CLIP vision tokens in the picture" in text
    assert "How much data is enough" not in text
    assert "with fewer voxels or trials" in text


def write_refits(path, decoder=0.71, null=(0.55, 0.48, 0.52, 0.46)):
    """Scores of refits as `shuffled_refits` writes them; the first is the painted control's."""
    rows = [
        {"refit": k, "metric": metric, "score": score - shift, "features": 96}
        for metric, shift in (("two_way", 0), ("r", 0.5), ("above", 0.4))
        for k, score in enumerate((decoder, *null))
    ]
    write_table(path, pd.DataFrame(rows))
    return path


@pytest.mark.usefixtures("no_plots")
def test_scores_of_features_stand_beside_refits_on_shuffled_pairs(made, tmp_path):
    _, (files, _), stimuli = made
    refits = {space: write_refits(tmp_path / f"{space}.tsv") for space in SPACES}
    scores = Scores("subj01", 0, 100)
    scores.summary = pd.read_csv(files.summary, sep="\t").assign(not_measured="").to_dict("records")
    for space, path in refits.items():
        table = pd.read_csv(path, sep="\t")
        for variant in ("decoded", "shuffled"):
            scores.add_refits(variant, space, by_metric(table, variant))
    for row in scores.summary:  # of one space all features are scored, of the others a sample
        if (row["variant"], row["picture"], row["metric"]) == ("decoded", "vdvae", "two_way"):
            row["mean"] = 0.71
    write_table(files.summary, scores.summary_table())
    found = pd.read_csv(files.summary, sep="\t").set_index(["variant", "picture", "metric"])
    assert found["refits"].notna().sum() == 6
    files = dataclasses.replace(files, refits=refits)
    build(tmp_path / "r.html", [files], stimuli, None, CONFIGURATION)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    sd, others = np.std([0.55, 0.48, 0.52, 0.46], ddof=1), np.std([0.48, 0.52, 0.46], ddof=1)
    z, z_painted = (0.71 - 0.5025) / sd, (0.55 - 0.4867) / others
    assert f"4 shuffled refits 0.502 ± {sd:.3f}: none reaches it, z = {z:.1f}, p = 0.200" in text
    assert text.count("(by a sample of features, by which this is 0.710): none reaches it") == 2
    assert f"one of 4 shuffled refits, the others 0.487 ± {others:.3f}" in text
    assert f"none reaches it, z = {z_painted:.1f}, p = 0.250" in text
    assert "4 times; mean ± standard deviation of their scores" in text
    assert "0.200 at the least" in text
    # of r, where the decodable features stand
    assert len(re.findall(rf"4 shuffled refits 0\.00[23] ± {sd:.3f}", text)) == 3
    # and where pictures painted from one of them are scored
    assert "The shuffled decoder's pictures are painted from one of 4 refits" in text
    assert f"VDVAE latents 0.550 among 3 others of 0.487 ± {others:.3f} (z = {z_painted:.1f}); CLIP" in text
    assert "re-paired p = 0.001" in text  # what the other p-value is
    assert not re.search(r"(?<!re-paired )p = 0\.001", text)
    assert "nan" not in text.lower().split()


@pytest.mark.parametrize(
    ("count", "reach", "said"), [(20, 0, "none reaches it"), (20, 1, "1 reaches it"), (3, 2, "2 reach it")]
)
def test_how_many_refits_reach_a_score(count, reach, said):
    row = {"mean": 0.6, "refits": count, "refit_score": 0.6, "refit_mean": 0.5, "refit_sd": np.nan,
           "refit_z": np.nan, "refit_p": round((1 + reach) / (1 + count), 6)}  # fmt: skip
    assert said in words.refits(row)
    assert "± –" in words.refits(row)
    assert words.refits({"mean": 0.6, "refits": np.nan}) == words.refits({"mean": 0.6}) == ""


def penalty_curve(path, scores, alphas=(10.0, 300.0, 7000.0), groups=1):
    best = np.argmax(scores)
    write_table(path, pd.DataFrame([
        {"group": g + 1, "features": 10, "alpha": a, "fold": f, "score": s, "chosen": k == best}
        for g in range(groups) for k, (a, s) in enumerate(zip(alphas, scores, strict=True)) for f in (1, 2)
    ]))  # fmt: skip
    return path


def bare(text):
    """The words of a part of a page."""
    return " ".join(
        re.sub(r"</?(?:b|small)\b[^>]*>", "", re.sub(r"</?(?!b>|small)[^>]+>", " ", text)).split()
    )


@pytest.mark.usefixtures("no_plots")
def test_a_penalty_at_an_edge_or_below_zero_is_said_in_words(made, tmp_path):
    """Alongside the scores of its subject and space, and at the head of the page."""
    _, (files, other), stimuli = made
    fixed = pd.DataFrame(
        [{"group": 1, "features": None, "alpha": 5e4, "fold": 0, "score": None, "chosen": True}]
    )
    write_table(tmp_path / "fixed.tsv", fixed)
    targets = pd.read_csv(files.targets["text"], sep="\t")
    write_table(tmp_path / "targets.tsv", targets.assign(r2_ridge=-0.0312))
    alphas = {
        "vdvae": penalty_curve(tmp_path / "below.tsv", [-0.009, -0.0021, -0.004]),
        "vision": penalty_curve(tmp_path / "edge.tsv", [0.08, 0.03, 0.01]),
        "text": tmp_path / "fixed.tsv",
    }
    people = [
        dataclasses.replace(
            files, alphas=alphas, targets={**files.targets, "text": tmp_path / "targets.tsv"}
        ),
        dataclasses.replace(
            other,
            alphas={**other.alphas, "vdvae": penalty_curve(tmp_path / "parts.tsv", [-3, -2, -1], groups=4)},
        ),
    ]
    build(tmp_path / "r.html", people, stimuli, None, CONFIGURATION)
    html_text = (tmp_path / "r.html").read_text(encoding="utf-8")
    text = Page(html_text).text
    sentences = (
        "subj01, VDVAE latents: The best held-out R² is −0.0021: with every penalty tried, held-out training "
        "images are predicted worse than by their mean.",
        "subj01, CLIP vision: The best penalty is the smallest of those tried (10 to 7,000); a smaller one "
        "may predict better.",
        "subj01, CLIP text: The penalty is fixed by the configuration, and the median R² of uncalibrated "
        "predictions over the test images is −0.0312",
        "subj02, VDVAE latents: In 4 of 4 groups the best penalty is the largest of those tried",
        "subj02, VDVAE latents: In 4 of 4 groups the best held-out R² is below 0, −1.0000 at the lowest",
    )
    for sentence in sentences:
        assert sentence in text, sentence
        for anchor in ("metrics", "decodable"):
            assert sentence in bare(html_text.split(f'id="{anchor}"')[1].split("<h2")[0]), anchor
    head = bare(html_text.split('class="caveats">')[1].split("</dl>")[0])
    assert "subj01, VDVAE latents: best R² below 0; subj01, CLIP vision: best at the end of the range" in head
    assert "subj01, CLIP text: test R² below 0" in head
    build(tmp_path / "good.html", [other], stimuli, None, CONFIGURATION)
    text = Page((tmp_path / "good.html").read_text(encoding="utf-8")).text
    assert not any(word in text for word in ("below 0;", "at the end of the range", "may predict better"))


def test_what_goes_the_released_way_is_said_at_the_head():
    recipe = yaml.safe_load((ROOT / "config/recipes/takagi.yaml").read_text(encoding="utf-8"))
    spaces.use(recipe["spaces"])
    how = dict(overview.caveats([], recipe, ""))
    assert "As released" not in how
    assert how["Voxels"] == "Autoencoder latents from streams/early; CLIP text states from streams/ventral."
    recipe["spaces"]["z"]["latents"] = "sample"
    recipe["decoder"] |= {"intercept": {"text": False}, "calibration": "published"}
    recipe["decoder"]["cross_validation"] = {"contiguous": True}
    recipe["generator"] |= {"lead": 1}
    assert dict(overview.caveats([], recipe, ""))["As released"].startswith(
        "spaces.z.latents: sample; decoder.cross_validation.contiguous: true; decoder.intercept.text: false; "
        "decoder.calibration: published; generator.lead: 1. "
    )


@pytest.mark.usefixtures("no_plots")
def test_no_token_map_where_tokens_fill_no_square(made, tmp_path):
    output, subjects, stimuli = made
    table = pd.read_csv(subjects[0].targets["vision"], sep="\t")
    write_table(tmp_path / "some.tsv", table.iloc[:-1])
    files = dataclasses.replace(subjects[0], targets={"vision": tmp_path / "some.tsv"})
    build(output, [files], stimuli, None, CONFIGURATION)
    text = Page(output.read_text(encoding="utf-8")).text
    assert "What is decodable" in text
    assert "tokens in the picture" not in text


def amount_table(sizes, space_scores):
    """Scores as `data_amount.learning_curves` gives them: sizes are (sessions, share, draw)."""
    return pd.DataFrame([
        {"sessions": k, "training_images": 400 * k, "voxels": round(300 * share), "share": share,
         "draw": draw, "space": space, "targets": 96, "score": score + 0.02 * k * share + 0.001 * draw,
         "low": 0.6, "high": 0.95, "chance": 0.5, "chance_sd": 0.03, "n": 10}
        for k, share, draw in sizes for space, score in space_scores.items()
    ])  # fmt: skip


@pytest.mark.usefixtures("no_plots")
def test_how_much_data_is_enough(made, tmp_path):
    output, subjects, stimuli = made
    sizes = [(1, 1, 0), (2, 1, 0), (40, 1, 0), (40, 0.1, 1), (40, 0.1, 2), (40, 0.1, 3)]
    for files, some in zip(subjects, (sizes, sizes[:1]), strict=True):  # one subject has one session
        write_table(tmp_path / f"{files.subject}.tsv", amount_table(some, dict.fromkeys(SPACES, 0.6123)))
    files = [dataclasses.replace(f, data_amount=tmp_path / f"{f.subject}.tsv") for f in subjects]
    build(output, files, stimuli, None, CONFIGURATION)
    text = Page(output.read_text(encoding="utf-8")).text
    assert "How much data is enough" in text
    assert "with fewer voxels or trials" not in text
    # the mean of three draws, from the lowest to the highest
    assert "30 3 draws 0.694 [0.693, 0.695] chance 0.500 ± 0.030" in text
    assert "0.632 [0.600, 0.950]" in text
    build(output, files[1:], stimuli, None, CONFIGURATION)
    assert "random draws of voxels" not in Page(output.read_text(encoding="utf-8")).text


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
def test_controls_and_contents_where_they_are(made, rng, tmp_path):
    _, subjects, stimuli = made
    files = [write_controls(tmp_path, rng, f, IDS[f.subject]) for f in subjects]
    contents = write_contents(tmp_path / "content.parquet", IDS["subj01"])
    build(tmp_path / "r.html", files, stimuli, None, CONFIGURATION, contents=contents)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    sheets = sheets_of(text)
    assert set(sheets["subj02", "nearest"]) == set(sheets["subj02", "shuffled"]) == set(IDS["subj02"])
    # several test images have the same neighbour: its picture is there once
    stored = text.split('data-subject="subj01" data-kind="nearest">')[1].split("</script>")[0]
    assert len(json.loads(stored)["pictures"]) == 3
    page = Page(text)
    assert "nearest training image, image id 3, subj01" in text
    assert "</script><b>" not in text  # a category's name stays text
    assert "animal (5)" in page.text
    assert "6 or more" in page.text


def test_pictures_shrink_until_they_fit(monkeypatch, tmp_path, rng):
    large = write_subject(tmp_path / "large", rng, "subj01", IDS["subj01"], size=200)
    stimuli = write_stimuli(tmp_path / "stimuli.hdf5", IDS["subj01"], draw(rng, 10, 425, 20))
    sizes = {}
    for budget in (10**7, 60_000):
        monkeypatch.setattr(album, "BUDGET", budget)
        found = album.build([results.read(large, {})], stimuli.pictures, [], None)
        written = sum(len(pictures) for _, _, pictures in found["sheets"])
        assert written < budget * 1.1
        sizes[budget] = found["side"]
    assert sizes[10**7] == 160
    assert sizes[60_000] < 160


@pytest.mark.usefixtures("no_plots")
def test_records_of_the_jobs_are_shown(made, tmp_path):
    _, subjects, stimuli = made
    folder = tmp_path / "provenance"
    weights = {"of": "weights", "path": "resources/models/vdvae.th", "size": 123_456_789, "sha256": "ab" * 32}
    made_by = {
        "rule": "features_vdvae", "seed": 7, "inputs": [weights, {"of": "data", "path": "nsd/betas.hdf5"}],
        "versions": {"neural_recon": "0.3", "modified": False, "packages": {"torch": "9.9.1"}},
    }  # fmt: skip
    for name, rule in (("features/vdvae/a.h5", "features_vdvae"), ("scores/subj03/summary.tsv", "hidden")):
        output = {"path": name, "size": 2_000_000, "sha256": "cd" * 32}
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"output": output, "made_by": {**made_by, "rule": rule}}), encoding="utf-8"
        )
    (folder / "configuration.json").write_text('{"seed": 7}', encoding="utf-8")
    (folder / "damaged.json").write_text("{", encoding="utf-8")
    configuration = {**CONFIGURATION, "subjects": dict.fromkeys(("subj01", "subj02", "subj03"))}
    build(tmp_path / "r.html", subjects, stimuli, None, configuration, provenance=folder)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    for expected in (
        "Records of 1 results", "resources/models/vdvae.th", "123.5 MB", "ab" * 32, "cd" * 8, "9.9.1",
    ):  # fmt: skip
        assert expected in text, expected
    assert "hidden" not in text
    assert "nsd/betas.hdf5" not in text
    assert "was not recorded" not in text
    without = Page(made[0].read_text(encoding="utf-8")).text
    assert "Which weight files were read, and their hashes, was not recorded." in without
    assert "Hashes of the results were not recorded." in without


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
