"""Training images in the place of reconstructions."""

import numpy as np
import pytest
from PIL import Image

from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.evaluation.controls import baselines
from neural_recon.evaluation.controls.baselines import (
    mean_picture,
    nearest_images,
    random_images,
    write_baselines,
)
from neural_recon.features.feature_files import write_chunk

SIDE = 12
TRAIN, TEST = np.arange(20, 30), np.array([3, 5, 8, 11])


@pytest.fixture
def stimuli(rng):
    return rng.integers(0, 256, (30, SIDE, SIDE, 3), np.uint8)


def test_nearest_is_what_every_pair_says(rng):
    predicted, true = rng.standard_normal((6, 50)), 3 + 2 * rng.standard_normal((9, 50))
    true[4] = 7.0  # constant: related to nothing
    best, r = nearest_images(predicted.astype(np.float32), true.astype(np.float16), block=7)
    true = true.astype(np.float16).astype(float)
    for i in range(6):
        each = [np.corrcoef(predicted[i], row)[0, 1] if np.ptp(row) else 0 for row in true]
        assert best[i] == np.argmax(each)
        assert r[i] == pytest.approx(max(each), abs=1e-5)
    with pytest.raises(ValueError, match="same features"):
        nearest_images(predicted, true[:, :49])


def test_random_image_belongs_to_its_test_image():
    ids = random_images(np.arange(500), TRAIN, seed=1)
    assert set(ids) == set(TRAIN)
    # neither order nor company changes what an image gets
    assert random_images(np.array([400, 7]), TRAIN, seed=1).tolist() == ids[[400, 7]].tolist()
    assert random_images(np.arange(500), TRAIN, seed=2).tolist() != ids.tolist()


def test_mean_picture(monkeypatch, stimuli):
    monkeypatch.setattr(baselines, "READ_AT_ONCE", 3)
    found = mean_picture(stimuli.__getitem__, TRAIN, 6)
    small = [np.asarray(Image.fromarray(stimuli[i]).resize((6, 6), Image.Resampling.BILINEAR)) for i in TRAIN]
    assert np.abs(found - np.mean(small, axis=0)).max() <= 0.5 + 1e-4


def test_file_holds_training_images(monkeypatch, tmp_path, stimuli, rng):
    monkeypatch.setattr(baselines, "READ_AT_ONCE", 3)
    features = rng.standard_normal((30, 40))
    write_chunk(tmp_path / "chunk.h5", features, np.zeros(30, bool), np.arange(30), {})
    wanted = {3: 25, 5: 20, 8: 29, 11: 25}
    order = np.array([8, 3, 11, 5])  # the predictions' rows
    decoded = np.stack([features[wanted[int(i)]] for i in order]) + 0.5 * rng.standard_normal((4, 40))
    write_hdf5(tmp_path / "decoded.h5", {"predictions": decoded, "image_id": order}, {})
    path = tmp_path / "baselines.h5"
    write_baselines(
        path,
        stimuli.__getitem__,
        tmp_path / "decoded.h5",
        [tmp_path / "chunk.h5"],
        TRAIN,
        TEST,
        SIDE,
        0,
    )
    found = read_hdf5(path)
    assert found["nearest_id"].tolist() == [wanted[int(i)] for i in TEST]
    assert (found["nearest_r"] > 0.7).all()
    for kind in ("random", "nearest"):
        np.testing.assert_array_equal(found[kind], stimuli[found[f"{kind}_id"]])
    assert found["mean"].shape == (SIDE, SIDE, 3)
