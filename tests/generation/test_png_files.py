"""Pictures as PNG files."""

import numpy as np
import pytest
from PIL import Image

from neural_recon.generation.png_files import write_folder, write_groups, write_sheet


@pytest.fixture
def kinds(rng):
    return {
        "base": {
            "images": rng.integers(0, 256, (3, 6, 6, 3), np.uint8),
            "image_id": np.array([4, 72999, 100]),
        },
        "final": {"images": rng.integers(0, 256, (2, 9, 9, 3), np.uint8), "image_id": np.array([100, 4])},
    }


def test_every_picture_under_its_id(tmp_path, kinds):
    folder = tmp_path / "a folder/subj01"
    write_folder(folder, kinds)
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert found == [
        "base/00004.png",
        "base/00100.png",
        "base/72999.png",
        "final/00004.png",
        "final/00100.png",
    ]
    np.testing.assert_array_equal(
        np.asarray(Image.open(folder / "final/00004.png")), kinds["final"]["images"][1]
    )
    np.testing.assert_array_equal(
        np.asarray(Image.open(folder / "base/72999.png")), kinds["base"]["images"][1]
    )
    assert [path.name for path in folder.parent.iterdir()] == ["subj01"]


def test_second_writing_leaves_no_picture_of_the_first(tmp_path, kinds):
    folder = tmp_path / "subj01"
    write_folder(folder, kinds)
    write_folder(folder, {"final": kinds["final"]})
    assert sorted(path.name for path in folder.rglob("*")) == ["00004.png", "00100.png", "final"]


def test_failure_leaves_the_old_folder_and_nothing_else(tmp_path, kinds):
    folder = tmp_path / "subj01"
    write_folder(folder, {"final": kinds["final"]})
    kinds["base"]["image_id"] = kinds["base"]["image_id"][:2]  # a picture without id
    with pytest.raises(ValueError, match="longer"):
        write_folder(folder, kinds)
    assert [path.name for path in tmp_path.iterdir()] == ["subj01"]
    assert sorted(path.name for path in folder.rglob("*")) == ["00004.png", "00100.png", "final"]


def test_sheet_has_a_row_of_stimuli_and_of_each_kind(tmp_path, rng):
    grey = {"images": np.full((3, 64, 64, 3), 100, np.uint8), "image_id": np.array([1, 2, 3])}
    grey["images"][1] = 200
    stimuli = rng.integers(0, 256, (2, 425, 425, 3), np.uint8)
    write_sheet(tmp_path / "sheet.png", stimuli, {"base": grey, "final": grey}, np.array([3, 2]))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (3 * 128, 2 * 128, 3)
    assert (sheet[128:, :128] == 100).all()
    assert (sheet[128:, 128:] == 200).all()


def test_groups_of_rows_below_their_words(tmp_path):
    rows = [np.full((3, 8, 8, 3), grey, np.uint8) for grey in (10, 20, 30, 40)]
    write_groups(tmp_path / "all.png", {"one": rows[:2], "another": [rows[2][:2], rows[3][:2]]}, size=16)
    sheet = np.asarray(Image.open(tmp_path / "all.png"))
    band = 24
    assert sheet.shape == (2 * (band + 2 * 16), 3 * 16, 3)
    second = band + 2 * 16
    for top, rest in ((0, 48), (second, 32)):
        words = sheet[top : top + band]
        assert words.min() == 0
        assert (words == 255).mean() > 0.5
        for row in range(2):
            start = top + band + 16 * row
            grey = 10 + 10 * row + (20 if top else 0)
            assert (sheet[start : start + 16, :rest] == grey).all()
            assert (sheet[start : start + 16, rest:] == 255).all()
