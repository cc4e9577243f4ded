"""The report's sections on the decoder: penalties, single targets, refits, amount of data."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.made_up_results import CONFIGURATION, SPACES
from helpers.pages import Page
from helpers.places import ROOT

from neural_recon.core.tables import write_table
from neural_recon.evaluation.controls.refit_null import by_metric
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.report import overview, penalties, plots, spaces, words
from neural_recon.report.page import build


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
