"""The page of results that were handed in."""

import pandas as pd
import pytest
from helpers import made_up_bundles
from helpers.made_up_bundles import bundle, others
from helpers.pages import Page

from neural_recon.cli import command_line
from neural_recon.core.errors import InputError
from neural_recon.evaluation import bundles
from neural_recon.report import board


def hand_in(folder, *ones):
    for k, one in enumerate(ones):
        bundles.write(folder / f"{k}.json", one)
    with pytest.raises(SystemExit) as end:
        command_line.app(["board", str(folder)])
    assert not end.value.code
    return folder / board.PAGE


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Five results that compare, and two that do not."""
    folder = tmp_path_factory.mktemp("board")
    rest = (
        bundle("<b>other preset</b>", "subj01", preset="mindeye2"),
        others(
            "unknown repetitions", "subj01", 0.5, repetitions=None, questioned="names look like positions"
        ),
    )
    return hand_in(folder, *made_up_bundles.five(), *rest)


def test_groups_scores_tests_and_badges_are_there(written):
    text = written.read_text(encoding="utf-8")
    page = Page(text)
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "7 results in 3 groups" in page.text
    assert text.count(">leak-free</span>") == 2 * (4 + 1)  # in scores, and in what was handed in
    assert "p corrected for 3 pairs" in page.text
    assert "repetitions of each: unknown" in page.text
    assert "questioned: names look like positions" in page.text
    assert "stated: trained on sessions 1 to 40" in page.text
    assert "<b>other preset</b>" not in text  # nothing that is handed in is markup
    assert "Brain-Diffuser, original" in page.text
    assert text.count(">as printed</span>") == 6


def test_tables_have_what_the_page_has(written):
    scores = pd.read_csv(written.with_name(board.TABLE), sep="\t")
    assert scores["group"].nunique() == 3
    assert set(scores.loc[scores["group"] == 1, "name"]) == {"brain_diffuser", "takagi", "a lab's pictures"}
    free = scores[scores["leaks"] == "leak-free"]
    assert set(free["name"]) == {"brain_diffuser", "takagi", "<b>other preset</b>"}
    tests = pd.read_csv(written.with_name(board.TESTED), sep="\t")
    assert set(tests["group"]) == {1}
    assert (tests["p_holm"] > 0.999 * tests["p"]).all()


def test_published_figures_of_the_same_preset_and_images_are_alongside_real_data_only(tmp_path, monkeypatch):
    assert "its paper (2023)" in hand_in(tmp_path, bundle("one", "subj01")).read_text(encoding="utf-8")
    monkeypatch.setattr(board, "published_beside", _beside)
    real = hand_in(tmp_path, bundle("one", "subj01")).read_text(encoding="utf-8")
    assert "published: made up" in real
    simulated = hand_in(tmp_path, bundle("one", "subj01", simulated=True)).read_text(encoding="utf-8")
    assert "published: made up" not in simulated
    assert "simulated data" in simulated


def _beside(preset, n):
    assert (preset, n) == ("brain_diffuser", len(made_up_bundles.IDS))
    row = {"recipe": "a paper", "source": "made up", "subject": "1, 2", "metric": "ssim", "mean": 0.4}
    return pd.DataFrame([row])


def test_a_folder_without_results_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="expected files of neural-recon submit"):
        command_line.app(["board", str(tmp_path)])


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_in_a_browser(browser, written, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(written.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    page.close()
