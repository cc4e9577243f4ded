"""Splits of trials into training and test."""

import logging

import numpy as np
import pandas as pd
import pytest

from neural_recon.core import texts
from neural_recon.core.errors import InputError
from neural_recon.datasets.trials import read_ids, read_lists, trial_table


@pytest.fixture
def design():
    ids = [10, 20, 30, 10, 40, 20]
    return pd.DataFrame(
        {
            "session": [1, 1, 1, 2, 2, 2],
            "trial": [1, 2, 3, 1, 2, 3],
            "image_id": ids,
            "shared": [image_id <= 20 for image_id in ids],
        }
    )


def test_shared_images_are_the_test_set(design):
    table = trial_table(design, 73_000)
    assert table["split"].tolist() == ["test", "test", "train", "test", "train", "test"]
    assert "split" not in design


def test_lists_are_taken_exactly(design, caplog):
    with caplog.at_level(logging.WARNING):
        table = trial_table(design, 73_000, train_ids=[20, 10, 999], test_ids=np.array([40]))
    assert table["split"].tolist() == ["train", "train", "unused", "train", "test", "train"]
    assert caplog.messages == ["1 of the 3 listed train images were not shown in these sessions"]


def test_one_list_leaves_the_other_split_without_its_images(design):
    table = trial_table(design, 73_000, train_ids=[10, 30])
    assert table["split"].tolist() == ["train", "test", "train", "train", "unused", "test"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train_ids": [10, 20, 30], "test_ids": [30, 20]}, "found 2, the first 20"),
        ({"train_ids": [73_000], "test_ids": [10]}, "within 0 to 72999, found 73000"),
        ({"test_ids": [-1]}, "found -1"),
        ({"train_ids": [5], "test_ids": [10]}, "train images: expected at least one"),
        ({"train_ids": [10, 20]}, "test images: expected at least one"),
    ],
)
def test_wrong_lists(design, lists, message):
    with pytest.raises(InputError, match=message):
        trial_table(design, 73_000, **lists)


def test_no_shared_image_shown(design):
    with pytest.raises(InputError, match=r"test images.*sessions \[1, 2\]"):
        trial_table(design.assign(shared=False), 73_000)


def test_lists_of_ids(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("17\n 4 \n72999\n")
    assert read_ids(path).tolist() == [17, 4, 72_999]
    for line in ("4.0", "one", "", "-3", "1 2"):
        path.write_text(f"17\n{line}\n5\n")
        with pytest.raises(InputError, match="line 2: expected one image id"):
            read_ids(path)
    path.write_text("")
    with pytest.raises(InputError, match="empty file"):
        read_ids(path)
    with pytest.raises(InputError, match="no such file"):
        read_ids(tmp_path / "none.txt")


def test_comments_and_a_blank_end_of_a_list(tmp_path):
    (tmp_path / "ids.txt").write_text("# image_id, from 0\n17\n # more\n4\n\n  \n\r\n")
    assert read_ids(tmp_path / "ids.txt").tolist() == [17, 4]
    for nothing in ("\n\n", "# ids\n"):
        (tmp_path / "ids.txt").write_text(nothing)
        with pytest.raises(InputError, match="found an empty file"):
            read_ids(tmp_path / "ids.txt")
    np.savetxt(tmp_path / "ids.txt", [17, 4])
    with pytest.raises(InputError, match=r"found '1.7.*e\+01'; write one whole number .*'%d'\) does"):
        read_ids(tmp_path / "ids.txt")
    np.savetxt(tmp_path / "ids.txt", [17, 4], "%d")
    assert read_ids(tmp_path / "ids.txt").tolist() == [17, 4]


@pytest.mark.parametrize(
    ("step", "words"), [(1, "30 of the ids one lower"), (-1, "30 of the ids one higher")]
)
def test_lists_that_count_from_elsewhere(step, words):
    """They keep what lies by chance on images that were shown, so that a range or a count finds nothing."""
    rng = np.random.default_rng(0)
    seen = np.sort(rng.permutation(73_000)[:10_000])
    design = pd.DataFrame({"session": 1, "trial": 1, "image_id": seen, "shared": np.arange(10_000) < 1000})
    given = seen[5::333][:30]
    assert (trial_table(design, 73_000, test_ids=given)["split"] == "test").sum() == 30
    with pytest.raises(
        InputError, match=rf"test ids: .* of 30, and {words}; ids count from 0, names of files"
    ):
        trial_table(design, 73_000, test_ids=given + step)
    # a list may name other subjects' images as well
    others = np.setdiff1d(np.arange(73_000), seen)[::2]
    assert (
        trial_table(design, 73_000, train_ids=np.r_[seen[100:], others])["split"] == "train"
    ).sum() == 9900


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_is_no_part_of_a_list(tmp_path, mark):
    (tmp_path / "ids.txt").write_text(f"{mark}17\r\n4\r\n", encoding="utf-8", newline="")
    (tmp_path / "clusters.tsv").write_text(f"{mark}image_id\tsplit\n3\ttrain\n5\ttest\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(f'{mark}{{"a": 1}}', encoding="utf-8")
    (tmp_path / "a.yaml").write_text(f"{mark}a: 1\n", encoding="utf-8")
    assert read_ids(tmp_path / "ids.txt").tolist() == [17, 4]
    assert [part.tolist() for part in read_lists(None, None, tmp_path / "clusters.tsv")] == [[3], [5]]
    assert texts.read_json(tmp_path / "a.json", "x") == texts.read_yaml(tmp_path / "a.yaml", "x") == {"a": 1}
    (tmp_path / "ids.txt").write_text("17\n4\n", encoding="utf-16")
    with pytest.raises(InputError, match=r"found text in UTF-16, .*; save it as UTF-8\."):
        read_ids(tmp_path / "ids.txt")


def test_lists_from_clusters(tmp_path):
    path = tmp_path / "subj01.tsv"
    with pytest.raises(InputError, match=r"subj01.tsv: expected the clusters .* -- clusters"):
        read_lists(None, None, path)
    path.write_text("image_id\tcluster\n3\t1\n")
    with pytest.raises(InputError, match="expected the columns image_id and split"):
        read_lists(None, None, path)
    path.write_text("image_id\tcluster\tsplit\n3\t1\ttrain\n5\t2\ttest\n8\t1\ttrain\n")
    train, test = read_lists(None, None, path)
    assert (train.tolist(), test.tolist()) == ([3, 8], [5])
    assert read_lists(None, None) == (None, None)
