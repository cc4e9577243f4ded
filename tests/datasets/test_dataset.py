"""What a data set has that says little of itself."""

# ruff: noqa: ARG002 - it answers the same whatever is asked

import numpy as np
import pandas as pd
import pytest

from neural_recon.core.errors import InputError
from neural_recon.datasets.dataset import DataSet
from neural_recon.datasets.grids import Grid


class Plain(DataSet):
    """The least there can be."""

    subjects = ("anna",)
    n_images = 5

    def sessions(self, subject):
        return [1]

    def trials(self, subject, sessions):
        return pd.DataFrame()

    def pictures(self, image_ids, empty_ok=False):
        return np.zeros((len(image_ids), 2, 2, 3), np.uint8)

    def voxels(self, subject):
        return pd.DataFrame(
            {"x": [0, 1, 2, 3], "area": ["V1", "V2", "", "V1"], "words": ["", "V1", "", "new"]}
        )

    def betas(self, subject, session, table):
        raise NotImplementedError

    def files(self, part, subject="", session=0):
        return {}


@pytest.fixture
def data() -> Plain:
    return Plain(Plain.Settings(kind="plain.py"))


@pytest.mark.parametrize(
    ("regions", "inside"),
    [
        (["V1"], [True, True, False, True]),
        (["area/V1"], [True, False, False, True]),
        (["words"], [False, True, False, True]),
        (["V2", "new"], [False, True, False, True]),
    ],
)
def test_regions_are_the_labels_of_its_atlases(data, regions, inside):
    assert data.in_regions("anna", data.voxels("anna"), regions).tolist() == inside


def test_a_region_that_it_has_not_is_named_with_those_it_has(data):
    with pytest.raises(InputError, match="expected one of area/V1, area/V2, words/V1, words/new, found 'V9'"):
        data.in_regions("anna", data.voxels("anna"), ["V9"])


def test_its_images_are_one_list_in_chunks(data):
    assert data.lists("anna") == ("images",)
    assert data.chunk_ids("images", 1, 3).tolist() == [3, 4]


def test_captions_that_it_has_not_are_refused(data):
    assert "captions" not in data.offers
    with pytest.raises(InputError, match="expected captions, found a data set that has none"):
        data.captions([0])


def test_voxels_without_a_volume_lie_in_rows_in_their_order(data):
    places, grid = data.places("anna", pd.DataFrame({"area": ["V1"] * 2500}))
    assert grid.affine is None
    assert grid.shape == (3, 1000, 1)
    assert (np.ravel_multi_index(tuple(places.T), grid.shape) == np.arange(2500)).all()


def test_voxels_of_a_volume_lie_where_their_table_says(data):
    data.grid = lambda _: Grid("mask", (4, 4, 4))
    places, grid = data.places(
        "anna", pd.DataFrame({"x": [1, 2], "y": [0, 3], "z": [3, 1], "area": ["", ""]})
    )
    assert grid.shape == (4, 4, 4)
    assert places.tolist() == [[1, 0, 3], [2, 3, 1]]
