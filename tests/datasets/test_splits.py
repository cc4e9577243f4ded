"""Test images of data sets that have none of their own."""

import numpy as np
import pandas as pd
import pytest

from neural_recon.core.errors import InputError
from neural_recon.datasets import splits

HOW = {"repetitions": 2, "share": 0.2, "category": "kind", "held_out": [], "seed": 0}


def design(images, **columns) -> pd.DataFrame:
    ids = np.asarray(images)
    return pd.DataFrame(
        {"session": 1, "trial": np.arange(1, len(ids) + 1), "image_id": ids, "shared": False, **columns}
    )


def held_out(table: pd.DataFrame) -> set[int]:
    return set(table.loc[table["split"] == "test", "image_id"])


def test_repeated_images_test():
    shown = design([*range(20), *[1, 2, 3, 4, 5] * 2])
    table = splits.with_split(shown, 30, drawn={**HOW, "name": "repeated", "repetitions": 3})
    assert held_out(table) == {1, 2, 3, 4, 5}
    assert set(table["split"]) == {"train", "test"}
    found = splits.with_split(shown, 30, drawn={**HOW, "name": "repeated", "repetitions": None})
    assert held_out(found) == {1, 2, 3, 4, 5}


def test_a_share_is_the_same_whoever_saw_it():
    """An image that tests in one subject trains in no other."""
    found = [
        splits.with_split(design(images), 100, drawn={**HOW, "name": "share"})
        for images in (np.arange(100), np.arange(30, 90))
    ]
    assert len(held_out(found[0])) == 20
    assert held_out(found[1]) == held_out(found[0]) & set(range(30, 90))


def test_whole_categories_test():
    kinds = np.repeat(["cat", "dog", "cup", "car", "sun"], 4)
    shown = design(np.arange(20), kind=kinds)
    how = {**HOW, "name": "categories"}
    assert held_out(splits.with_split(shown, 20, drawn={**how, "held_out": ["cup"]})) == {8, 9, 10, 11}
    drawn = held_out(splits.with_split(shown, 20, drawn={**HOW, "name": "categories"}))
    assert len({kinds[n] for n in drawn}) == 1
    assert len(drawn) == 4


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"name": "categories", "category": "colour"}, "expected a column of the trials, found 'colour'"),
        ({"name": "categories", "held_out": ["owl"]}, "found 'owl'; there are cat, dog"),
        ({"name": "repeated"}, "found no test image; what suits these is split: {name: share}"),
    ],
)
def test_what_cannot_be_chosen_is_one_sentence(how, said):
    shown = design(np.arange(8), kind=np.repeat(["cat", "dog"], 4))
    with pytest.raises(InputError) as error:
        splits.with_split(shown, 8, drawn={**HOW, **how})
    assert said in str(error.value)


def test_trials_without_a_picture_leave_nothing_to_choose_from():
    for drawn in ({}, {**HOW, "name": "share"}):
        with pytest.raises(InputError, match="expected some with a picture in these sessions, found none"):
            splits.with_split(design([]), 20, drawn=drawn)


def test_a_data_set_without_test_images_is_told_what_suits_it():
    shown = design([*range(20), *[1, 2, 3, 4, 5] * 3])
    with pytest.raises(InputError, match=r"none of its own.*split: {name: repeated} \(5 of 20 images"):
        splits.with_split(shown, 20)


@pytest.mark.parametrize(
    ("images", "name", "why"),
    [
        (np.arange(50), "share", "there is no noise ceiling"),
        (np.tile(np.arange(50), 3), "share", "no images were shown more often"),
        (
            np.r_[np.tile(np.arange(50), 3), np.repeat(np.arange(5), 9)],
            "repeated",
            "at least 12 times, 3 is usual",
        ),
        (np.r_[np.arange(50), 7], "share", "there is no noise ceiling"),  # one image again is no test set
    ],
)
def test_what_suits_depends_on_repetitions(images, name, why):
    settings, said = splits.recommended(design(images))
    assert settings["name"] == name
    assert why in said


def test_a_data_set_that_says_what_trains_is_taken_at_its_word():
    split = np.array(["train", "test", "", "val", "train"])
    shown = design(np.arange(5), split=split).assign(shared=split == "test")
    assert splits.with_split(shown, 5)["split"].tolist() == ["train", "test", "unused", "unused", "train"]
    assert splits.recommended(shown)[0] == {"name": "all"}
