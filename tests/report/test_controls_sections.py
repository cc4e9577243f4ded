"""The report's sections on controls: what a critic asks, single stages, draws."""

import dataclasses
import re
import types

import numpy as np
import pytest
from helpers.made_up_results import CONFIGURATION, IDS, LEVELS, control_tables, write_single_stage
from helpers.pages import Page, sheets_of

from neural_recon.report import controls, plots, variants, words
from neural_recon.report.page import build, render


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
    text = output.read_text(encoding="utf-8")
    rivals = re.findall(r"(\w+ training image|shuffled decoder) +0\.", section(text))[:4]
    assert rivals == [
        *(f"{which} training image" for which in ("nearest", "random", "mean")),
        "shuffled decoder",
    ]
    # every answer's details are on the page, but how much data, which these subjects lack
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


def test_every_score_has_its_colour():
    asked_for = {("prior", "base"), ("prior", "final")}  # painted where the configuration says so
    for variant, picture in set(LEVELS) | asked_for:
        assert variants.colour(variant, picture) != plots.GREY
        assert variants.label(variant) != variant or variant == "decoded"
    assert variants.colour("components_3", "final") == plots.GREY
