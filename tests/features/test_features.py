"""Features in chunk files, against plain arrays; and the models they come from."""

import h5py
import numpy as np
import pytest

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.features import feature_files
from neural_recon.features.feature_files import FeatureTable

WIDTH = 1500  # more than one block of columns


@pytest.fixture
def chunks(tmp_path, rng):
    """Three chunk files of 5, 4 and 1 images, the ids in no order; (paths, ids, features as stored)."""
    ids = rng.permutation(1000)[:10]
    values = rng.standard_normal((10, WIDTH)).astype(np.float32)
    missing = np.zeros(10, bool)
    missing[[2, 7]] = True
    paths = [tmp_path / f"shared_{k:03d}.h5" for k in range(3)]
    for path, part in zip(paths, np.split(np.arange(10), [5, 9]), strict=True):
        feature_files.write_chunk(path, values[part], missing[part], ids[part], {"space": "test"})
    return paths, ids, values.astype(np.float16)


def test_table_is_the_plain_array_in_any_order(chunks, rng):
    paths, ids, values = chunks
    there = np.array([0, 1, 3, 4, 5, 6, 8, 9])
    for _ in range(5):
        rows = rng.choice(there, 12)  # duplicates too
        table = FeatureTable(paths, ids[rows])
        assert table.shape == (12, WIDTH)
        expected = values[rows]
        for part in (slice(None), slice(0, 1), slice(1000, 1100), slice(WIDTH - 1, WIDTH), slice(0, 0)):
            np.testing.assert_array_equal(table[:, part], expected[:, part])
        np.testing.assert_array_equal(table[3:7, 10:20], expected[3:7, 10:20])
        np.testing.assert_array_equal(table[rows > 4, 10:20], expected[rows > 4, 10:20])
    found = FeatureTable(paths[::-1], ids[there])[:, :]
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, values[there])


def test_means_of_columns_are_those_of_the_rows(chunks):
    paths, ids, values = chunks
    rows = [0, 3, 9]
    found = feature_files.column_means(FeatureTable(paths, ids[rows]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values[rows].astype(np.float64).mean(axis=0), rtol=1e-6)


def test_row_without_picture_is_an_error(chunks):
    paths, ids, _ = chunks
    with pytest.raises(InputError, match=f"^image {ids[7]}: expected a picture"):
        FeatureTable(paths, ids[[0, 7, 2]])


def test_absent_image_is_an_error(chunks):
    paths, ids, _ = chunks
    with pytest.raises(InputError, match=r"shared_000.h5.*image 1234.*2 images are missing"):
        FeatureTable(paths, np.array([ids[0], 1234, 1235]))
    with pytest.raises(InputError, match=f"image {ids[9]}"):
        FeatureTable(paths[:2], ids[[0, 9]])


def test_files_of_different_width(chunks, tmp_path):
    paths, ids, _ = chunks
    feature_files.write_chunk(tmp_path / "other.h5", np.ones((1, 3)), np.array([False]), np.array([5000]), {})
    with pytest.raises(InputError, match=r"one width, found \[3, 1500\]"):
        FeatureTable([*paths, tmp_path / "other.h5"], ids[:1])


def test_chunk_file_that_cannot_be_read(chunks):
    paths, ids, _ = chunks
    paths[1].write_bytes(paths[1].read_bytes()[:5000])
    with pytest.raises(InputError, match=r"shared_001.h5: expected a whole HDF5 file"):
        FeatureTable(paths, ids[:1])
    paths[1].unlink()
    with pytest.raises(InputError, match=r"shared_001.h5: expected an HDF5 file, found none"):
        FeatureTable(paths, ids[:1])
    write_hdf5(paths[1], {"predictions": np.ones((2, 2))}, {})
    with pytest.raises(InputError, match=r"shared_001.h5: expected the datasets features.*'predictions'"):
        FeatureTable(paths, ids[:1])


def test_chunk_is_stored_for_reading_by_columns(chunks):
    paths, ids, values = chunks
    with h5py.File(paths[0]) as file:
        assert file["features"].chunks == (5, 1024)
        assert file["features"].dtype == np.float16
        assert file["image_id"][()].tolist() == ids[:5].tolist()
        assert file["missing"][()].tolist() == [False, False, True, False, False]
        assert np.isnan(file["features"][2]).all()
        np.testing.assert_array_equal(file["features"][3], values[3])


def test_parts_are_tokens_or_as_given(tmp_path, rng):
    tokens, none = rng.standard_normal((2, 3, 4)).astype(np.float16), np.zeros(2, bool)
    feature_files.write_chunk(tmp_path / "tokens.h5", tokens, none, np.arange(2), {})
    table = FeatureTable([tmp_path / "tokens.h5"], [1, 0])
    assert table.parts.tolist() == [4, 4, 4]
    np.testing.assert_array_equal(table[:, :], tokens[::-1].reshape(2, 12))
    feature_files.write_chunk(tmp_path / "layers.h5", tokens[:, 0], none, np.arange(2), {}, [1, 3])
    assert FeatureTable([tmp_path / "layers.h5"], [0]).parts.tolist() == [1, 3]


@pytest.mark.parametrize("value", [1e5, -1e5, np.inf, np.nan])
def test_features_beyond_float16(tmp_path, value):
    rows = np.zeros((3, 4))
    rows[1, 2] = value
    ids, path = np.arange(3), tmp_path / "chunk.h5"
    with pytest.raises(InputError, match=r"chunk.h5: expected features within the range of float16"):
        feature_files.write_chunk(path, rows, np.zeros(3, bool), ids, {})
    assert not path.exists()
    feature_files.write_chunk(path, rows, np.array([False, True, False]), ids, {})  # that row is not used
    assert FeatureTable([path], ids[[0, 2]])[:, :].tolist() == [[0] * 4] * 2


def test_rows_of_predictions_and_of_chunks(chunks, tmp_path, rng):
    paths, ids, values = chunks
    found = feature_files.read_rows(paths, ids[[4, 0]])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values[[4, 0]].astype(np.float32))
    predictions = rng.standard_normal((3, 5)).astype(np.float32)
    path = tmp_path / "decoded.h5"
    write_hdf5(path, {"predictions": predictions, "image_id": np.array([30, 10, 20])}, {})
    np.testing.assert_array_equal(feature_files.read_rows(path, [10, 20, 10]), predictions[[1, 2, 1]])
    with pytest.raises(InputError, match=r"decoded.h5: expected a row for image 40"):
        feature_files.read_rows(str(path), [10, 40])
