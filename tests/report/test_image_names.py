"""Images are called what the lab calls them: on cards, in the figure, in names of files."""

import json
import re
import types

import numpy as np
import pandas as pd
import pytest
from helpers import made_up_lab as lab
from helpers.made_up_results import CONFIGURATION, draw, write_controls, write_subject
from helpers.pages import draw_no_figures

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.datasets.kinds.table import Table
from neural_recon.generation.png_files import file_names, write_folder
from neural_recon.report import image_names, paper_figure
from neural_recon.report.page import build

FIGURE = {"rule": "evenly", "score": "clip_two_way", "count": 4, "image_ids": []}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Table:
    folder = tmp_path_factory.mktemp("a lab")
    lab.write(folder)
    return Table(Table.Settings.model_validate({**lab.SETTINGS, "folder": str(folder)}))


@pytest.fixture
def page(data, tmp_path, rng, monkeypatch) -> str:
    """The page of a subject whose test images are the lab's first ten."""
    draw_no_figures(monkeypatch)
    ids = list(range(10))
    files = write_controls(tmp_path, rng, write_subject(tmp_path, rng, "P-07", ids), ids)
    build(tmp_path / "page.html", [files], data, None, CONFIGURATION)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_cards_have_the_labs_names(data, page):
    titles = re.findall(r'<figure class="card" data-id="(\d+)">\s*<figcaption>.*?<b>(.*?)</b>', page)
    assert titles
    for image_id, title in titles:
        assert title == data.image_names([int(image_id)])[0]
    assert not re.search(r"image id \d|<b>image \d", page)
    assert f'alt="seen, {data.image_names([0])[0]}, P-07"' in page
    # and those that the page's script makes
    index = json.loads(re.search(r'id="index">(.*?)</script>', page)[1])
    assert index["names"] == {str(i): name for i, name in enumerate(data.image_names(range(10)))}


def test_images_without_names_keep_their_ids():
    image_names.use(None)
    assert (image_names.title(7), image_names.said(7), image_names.names([7])) == (
        "image 7",
        "image id 7",
        {},
    )
    image_names.use(lambda ids: [str(i) for i in ids])  # rows of an HDF5 file are no names
    assert image_names.title(7) == "image 7"
    image_names.use(lambda ids: ["3" for _ in ids])
    assert image_names.title(7) == "3"


def test_the_figure_has_the_labs_names(data, tmp_path, rng):
    ids = np.arange(6)
    names = data.image_names(ids)
    scores = {"variant": "decoded", "picture": "final", "metric": "clip_two_way", "image_id": ids,
              "value": np.linspace(1, 0, 6), "margin": 0.1}  # fmt: skip
    write_table(tmp_path / "images.parquet", pd.DataFrame(scores))
    for name in ("final", "true_features"):
        write_hdf5(tmp_path / f"{name}.h5", {"images": draw(rng, 6, 16, 4), "image_id": ids}, {})
    files = types.SimpleNamespace(base=[], final=tmp_path / "final.h5", scores=tmp_path / "images.parquet",
                                  true_features=tmp_path / "true_features.h5")  # fmt: skip
    output = types.SimpleNamespace(**{name: tmp_path / f"out.{name}" for name in ("pdf", "png", "text")})
    paper_figure.draw(output, "P-07", files, data.pictures, FIGURE, "native", False, data.image_names)
    said = output.text.read_text(encoding="utf-8")
    assert f"Image and clip_two_way (higher is better): {names[0]} (1.000)" in said
    assert "image id and" not in said


def test_files_of_pictures_have_the_labs_names(data, tmp_path):
    called = file_names(range(5), data.image_names(range(5)))
    images = np.zeros((5, 4, 4, 3), np.uint8)
    write_folder(tmp_path / "pictures", {"final": {"images": images, "image_id": list(called.values())}})
    written = sorted(path.name for path in (tmp_path / "pictures/final").iterdir())
    assert written == sorted(f"{name}.png" for name in data.image_names(range(5)))


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (None, ["00004", "00017"]),
        (["4", "17"], ["00004", "00017"]),  # rows of an HDF5 file
        (["cats/one", "dogs/two"], ["one", "two"]),
        (["cats/one", "dogs/one"], ["cats_one", "dogs_one"]),
        (["a/b", "a_B"], ["b", "a_B"]),
        (["Dog", "dog"], ["Dog_00004", "dog_00017"]),  # one file on a Mac
        (["../../etc/x", "/y"], ["x", "y"]),
        (["..", ".hidden"], ["_.", "_hidden"]),
        (["a:b?", "Café (1)"], ["a_b_", "Café (1)"]),
        (["one.JPG", "a.b"], ["one", "a.b"]),  # names in HDF5 files may have an ending
    ],
)
def test_names_become_files_that_any_system_takes(names, files):
    assert list(file_names([4, 17], names).values()) == files


def test_long_names_that_begin_alike_stay_apart():
    found = list(file_names([4, 17], ["x" * 300 + "a", "x" * 300 + "b"]).values())
    assert len(set(found)) == 2
    assert max(map(len, found)) < 100
