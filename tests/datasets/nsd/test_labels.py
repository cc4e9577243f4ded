"""Label volumes as other programs save them: whole within rounding, or refused with the cause."""

import logging
import re

import nibabel
import numpy as np
import pytest
from helpers.places import SHARED

from neural_recon.core.errors import InputError
from neural_recon.datasets import volumes

SHAPE = (5, 6, 7)


def save(path, values, dtype=None):
    """Save values; nibabel scales floats to integers by itself."""
    image = nibabel.Nifti1Image(values, np.eye(4))
    if dtype is not None:
        image.set_data_dtype(dtype)
    nibabel.save(image, path)
    return path


@pytest.fixture
def labels(rng):
    values = rng.integers(-1, 8, SHAPE)
    values[0, 0, :3] = -1, 0, 7
    return values


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_labels_computed_in_floats_are_read(tmp_path, labels, dtype):
    path = save(tmp_path / "roi.nii.gz", labels.astype(np.float64), dtype)
    raw = nibabel.load(path).get_fdata()
    assert (np.dtype(dtype).kind == "f") == bool((raw == labels).all())  # integers are stored scaled
    found = volumes.read_labels(path)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(volumes.read_mask(path, (3,)), labels == 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_a_mask_scaled_to_the_whole_range_is_read(tmp_path, labels, dtype):
    mask = (labels > 3).astype(np.float64)
    path = save(tmp_path / "nsdgeneral.nii.gz", mask, dtype)
    np.testing.assert_array_equal(volumes.read_mask(path), labels > 3)


def test_what_rounding_left_in_floats_is_read(tmp_path, labels):
    """1.00003 of a scaled file, saved as floats by the next program."""
    path = save(tmp_path / "roi.nii.gz", (labels * 1.00003 + 1.5e-5).astype(np.float32))
    np.testing.assert_array_equal(volumes.read_labels(path), labels)


def test_a_fourth_axis_of_one_is_none(tmp_path, labels):
    path = save(tmp_path / "roi.nii.gz", labels[..., None].astype(np.int16))
    np.testing.assert_array_equal(volumes.read_labels(path), labels)
    with pytest.raises(InputError, match=r"expected a volume \(x, y, z\), found the shape \(5, 6, 7, 2\)"):
        volumes.read_labels(save(path, np.stack([labels, labels], -1).astype(np.int16)))


def test_a_mask_of_0_and_255_is_one(tmp_path, labels, caplog):
    caplog.set_level(logging.INFO)
    path = save(tmp_path / "nsdgeneral.nii.gz", np.where(labels > 3, 255, 0).astype(np.uint8))
    np.testing.assert_array_equal(volumes.read_mask(path), labels > 3)
    assert "a mask of 0 and 255, taken as 0 and 1" in caplog.text
    # of three values nobody knows which is meant
    path = save(path, np.choose(labels % 3, [0, 128, 255]).astype(np.uint8))
    with pytest.raises(InputError, match=r"the label \[1\], found none \(its labels are 0, 128, 255\)"):
        volumes.read_mask(path)


def blurred(labels):
    """As linear interpolation leaves labels."""
    return (labels + np.roll(labels, 1, 0)) / 2


PROBABLE, INTERPOLATED = (
    "a map of probabilities, or a mask that was interpolated",
    "labels that were interpolated",
)


@pytest.mark.parametrize(
    ("make", "dtype", "value", "cause"),
    [
        (lambda labels: np.clip(labels / 7, 0, 1), np.float32, "found 0.", PROBABLE),
        (lambda labels: np.clip(labels / 7, 0, 1), np.uint8, "found 0.", PROBABLE),
        (lambda labels: np.clip(labels / 7, 0, 1), np.int16, "found 0.", PROBABLE),
        (blurred, np.float32, ".5 (and others", INTERPOLATED),
        (blurred, np.int16, ".", INTERPOLATED),
        (lambda labels: labels + 0.002, np.float64, " (and others: 210 of 210 voxels)", INTERPOLATED),
        (lambda labels: np.where(labels == 7, np.nan, labels), np.float32, "found nan", "numpy.nan_to_num"),
        (
            lambda labels: np.where(labels == 7, np.inf, labels),
            np.float32,
            "found inf",
            "set these voxels to 0",
        ),
        (
            lambda labels: np.where(labels == 7, 3e9, labels),
            np.float32,
            "found 3e+09",
            "is this a volume of labels?",
        ),
    ],
)
def test_what_is_not_whole_is_said_with_its_cause(tmp_path, labels, make, dtype, value, cause):
    path = save(tmp_path / "roi.nii.gz", make(labels.astype(np.float64)), dtype)
    with pytest.raises(InputError, match="expected whole numbers as labels, found") as caught:
        volumes.read_labels(path)
    for part in (str(path), value, cause):
        assert part in str(caught.value)


def test_labels_at_the_edge_of_what_is_whole(tmp_path, labels):
    """A float32 of 1.001 is a little more than that."""
    path = save(tmp_path / "roi.nii.gz", labels + 0.001, np.float32)
    np.testing.assert_array_equal(volumes.read_labels(path), labels)
    with pytest.raises(InputError, match="found"):
        volumes.read_labels(save(path, labels + 0.0011, np.float32))


def test_what_is_advised_for_labels_that_are_not_finite_works(tmp_path, labels):
    spoilt = np.where(labels == 7, np.inf, np.where(labels == 6, np.nan, labels))
    path = save(tmp_path / "roi.nii.gz", spoilt, np.float32)
    with pytest.raises(InputError, match=re.escape("numpy.nan_to_num(values, posinf=0, neginf=0)")):
        volumes.read_labels(path)
    save(path, np.nan_to_num(spoilt, posinf=0, neginf=0), np.float32)
    np.testing.assert_array_equal(volumes.read_labels(path), np.where(labels > 5, 0, labels))


@pytest.mark.parametrize("slope", [0.1, 0.25, 0.5])
def test_a_coarse_scale_makes_no_labels_of_fractions(tmp_path, slope):
    stored = np.zeros(SHAPE, np.uint8)
    stored[:, :, 0] = np.arange(5)[:, None]
    content = bytearray(nibabel.Nifti1Image(stored, np.eye(4)).to_bytes())
    content[112:116] = np.float32(slope).tobytes()  # scl_slope
    path = tmp_path / "roi.nii"
    path.write_bytes(content)
    assert nibabel.load(path).get_fdata()[1, 0, 0] == pytest.approx(slope)
    with pytest.raises(InputError, match="expected whole numbers as labels"):
        volumes.read_labels(path)


def test_the_files_that_went_wrong():
    """A tree's own volumes, saved again by a program that computes in floats."""
    cases = SHARED / "cases/scaled_labels"
    if not cases.is_dir():
        pytest.skip("the cases (../shared/cases) are not here")
    assert set(np.unique(volumes.read_labels(cases / "nsdgeneral_resaved.nii.gz"))) == {-1, 0, 1}
    assert set(np.unique(volumes.read_labels(cases / "prf_resaved.nii.gz"))) == set(range(-1, 8))
    assert set(np.unique(volumes.read_labels(cases / "binary_resaved.nii.gz"))) == {0, 1}
