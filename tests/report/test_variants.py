"""How the page names, orders and colours the run's pictures, its controls, and what a generator adds."""

import pandas as pd
import pytest

from neural_recon.generation.controls import CONTROLS
from neural_recon.report import gallery, plots, variants, words

MINE = """
from neural_recon.generation.controls import Painted
from neural_recon.generation.generator import Generator


class Mine(Generator):
    own_controls = (
        Painted("upside_down", "upside down", "#332288", response=False, card="the image"),
        Painted("mirror_image", "in a mirror", card="the image"),
    )

    def paint(self, base, guides, image_ids, seed, draw=0):
        return base
"""


@pytest.fixture
def mine(tmp_path):
    """A page of somebody's own generator."""
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    variants.use({"kind": str(path)})
    yield
    variants.use({})


def rows(*names):
    summary = pd.DataFrame({"variant": names, "picture": "final", "metric": "ssim", "mean": 0.5})
    return [variant for variant, _ in plots.rows_of(summary, "ssim")]


@pytest.mark.usefixtures("mine")
def test_a_control_that_a_generator_adds_is_named_coloured_and_placed():
    assert words.row_label("upside_down", "final") == "final, upside down"
    assert variants.colour("upside_down", "final") == "#332288"
    assert rows("unheard_of", "upside_down", "shuffled", "seed1", "decoded") == [
        "decoded", "seed1", "shuffled", "upside_down", "unheard_of",
    ]  # fmt: skip
    said = gallery.said_of(["seen", "final", "shuffled", "upside_down"])
    assert said.endswith(
        "the final image of a shuffled decoder, where painted and the image upside down, where painted"
    )
    assert gallery.said_of(["final", "mirror_image"]).endswith("the image in a mirror, where painted")


def test_on_another_page_it_is_known_by_its_name_alone():
    assert words.row_label("upside_down", "final") == "final, upside down"
    assert variants.colour("upside_down", "final") == variants.GREY
    assert rows("upside_down", "mean_image") == ["mean_image", "upside_down"]


def test_every_control_has_a_title_and_a_colour_or_is_of_base_images_alone():
    for one in CONTROLS.values():
        assert one.title
        assert one.colour or one.compared == ("base",)


def test_what_knows_the_response_is_first_on_cards():
    known = [one.response for one in variants.on_cards()]
    assert known == sorted(known, reverse=True)
    assert {True, False} == set(known)
