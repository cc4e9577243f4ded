"""The page that shows recipes side by side."""

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_results import draw, write_stimuli
from helpers.pages import Page

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.evaluation import recipe_scores
from neural_recon.report import recipes

IDS = list(range(3, 123, 4))
SUBJECTS = ("subj01", "subj02")
METRICS = {"clip_two_way": "higher", "pixcorr": "higher", "ssim": "higher", "efficientnet_distance": "lower"}
ABOUT = {
    "brain_diffuser": "spaces vdvae, vision, text; decoder ridge; results in results",
    "takagi": "spaces z, text; decoder ridge; generator stable_diffusion; results in results/compare/takagi",
    "mine": "spaces vdvae; decoder ridge; generator base_only; results in results/compare/mine",
}


def write_page(folder, about=ABOUT, simulated=False):
    """A page of recipes with made-up scores and pictures; what it was made from."""
    rng = np.random.default_rng(0)
    summaries, single, files = {}, {}, {}
    for k, recipe in enumerate(about):
        for subject in SUBJECTS:
            rows, images = [], []
            for metric, better in METRICS.items():
                values = rng.uniform(0.1, 0.9, len(IDS)) * (1 - 0.2 * k)
                who = {"subject": subject, "variant": "decoded", "picture": "final", "metric": metric}
                images.append(pd.DataFrame({**who, "image_id": IDS, "value": values}))
                rows.append({**who, "mean": values.mean(), "ci_low": values.mean() - 0.05,
                             "ci_high": values.mean() + 0.05, "n": len(IDS), "shuffled": 0.1, "p": 0.001,
                             "better": better, "not_measured": ""})  # fmt: skip
            none = {"metric": "swav_distance", "mean": np.nan, "not_measured": "no weights named"}
            summaries[recipe, subject] = pd.DataFrame([*rows, rows[0] | none])
            single[recipe, subject] = pd.concat(images)
            files[recipe, subject] = folder / f"{recipe}_{subject}.h5"
            write_hdf5(
                files[recipe, subject],
                {"image_id": np.array(IDS), "images": draw(rng, len(IDS), 64, 5 + 5 * k)},
                {},
            )
    images, scores = recipe_scores.images(single), recipe_scores.scores(summaries)
    scores = pd.concat([scores, recipe_scores.published_beside("brain_diffuser", 982)], ignore_index=True)
    tests = recipe_scores.tests(images, seed=0)
    stimuli = write_stimuli(folder / "stimuli.hdf5", IDS, draw(rng, len(IDS), 425, 20))
    preset = "native" if simulated else "brain_diffuser"
    recipes.build(
        folder / "recipes.html", about, scores, tests, images, files, stimuli.pictures, preset, simulated
    )
    return folder / "recipes.html", scores, tests


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path, scores, tests = write_page(tmp_path_factory.mktemp("recipes"))
    return path.read_text(encoding="utf-8"), scores, tests


def test_every_row_of_pictures_has_the_seen_one_and_each_recipes(written):
    text, *_ = written
    page = Page(text)
    cards = len(page.ids)
    assert cards == len(SUBJECTS) * recipes.SHOWN
    assert page.images == cards * (1 + len(ABOUT))
    for name in ABOUT:
        assert text.count(f'alt="{name}, image id') == cards
    assert all(link.startswith(("data:", "#")) for link in page.links)  # nothing outside the file


def test_scores_tests_and_published_figures_are_there(written):
    text, scores, tests = written
    words = Page(text).text
    row = scores[(scores["recipe"] == "takagi") & (scores["subject"] == "subj02")].iloc[1]
    assert f"{row['mean']:.3f} [ {row['ci_low']:.3f}, {row['ci_high']:.3f}]".replace("[ ", "[") in words
    assert recipe_scores.MEAN in words
    assert "Brain-Diffuser, original" in words
    assert "brain_diffuser takagi" in words.split("Paired tests")[-1]
    assert "corrected for 3 pairs of recipes (Holm)" in words
    assert "SwAV" in words
    assert "no weights named" in words
    smallest = tests.loc[tests["p_holm"].idxmin()]
    assert f"<b>{'+' if smallest['difference'] > 0 else '−'}{abs(smallest['difference']):.3f}</b>" in text


def test_the_best_of_a_distance_is_the_lowest(written):
    text, scores, _ = written
    mine = scores[(scores["subject"] == "subj01") & (scores["metric"] == "efficientnet_distance")]
    best, worst = f"{mine['mean'].min():.3f}", f"{mine['mean'].max():.3f}"
    assert f"<b>{best}</b>" in text
    assert f"<b>{worst}</b>" not in text


def test_one_recipe_has_a_page_without_tests(tmp_path):
    path, *_ = write_page(tmp_path, {"mine": ABOUT["mine"]}, simulated=True)
    page = Page(path.read_text(encoding="utf-8"))
    assert "simulated data" in page.text
    assert "Paired tests" not in page.text
    assert page.images == 2 * len(page.ids)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_in_a_browser(browser, tmp_path, width):
    path, *_ = write_page(tmp_path)
    page = browser.new_page(viewport={"width": width, "height": 900})
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        "Promise.all([...document.images].map(i => (i.loading = 'eager', i.decode().then(() => i.width))))"
    )
    assert len(sizes) == len(SUBJECTS) * recipes.SHOWN * (1 + len(ABOUT))
    assert min(sizes) > 0
    assert said == []
    page.close()
