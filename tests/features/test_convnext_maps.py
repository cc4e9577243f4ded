"""The low-level head's teacher as a feature space: maps of pictures, and of altered copies of them."""

import numpy as np
import pytest
import torch
from PIL import Image

from neural_recon.core import random_streams
from neural_recon.features import load
from neural_recon.models.altered_pictures import altered
from neural_recon.models.convnext_teacher import ConvNextTeacher

TINY = {"depths": (1, 1, 1, 1), "widths": (4, 8, 8, 16), "maps": (8, 8, 512)}


@pytest.fixture
def space(monkeypatch, tmp_path):
    monkeypatch.setattr(ConvNextTeacher.__init__, "__defaults__", tuple(TINY.values()))
    torch.manual_seed(0)
    teacher = ConvNextTeacher()
    torch.save({"model": teacher.state_dict()}, tmp_path / "teacher.pth")
    how = {"kind": "convnext_maps", "weights": str(tmp_path / "teacher.pth"), "size": 64}
    return lambda seed=0, **settings: load("maps", {**how, **settings}, seed)


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (3, 40, 40, 3), np.uint8)


def test_maps_are_the_teachers_then_those_of_copies(space, pictures):
    plain, twice = space(), space(views=2)
    values, more = (one.encode(pictures, np.arange(3)) for one in (plain, twice))
    assert plain.parts == [512] * 4
    assert plain.sizes(plain.settings) == (plain.width, 0) == (values.shape[1], 0)
    assert twice.sizes(twice.settings) == (twice.width, 0) == (more.shape[1], 0) == (3 * plain.width, 0)
    small = [np.array(Image.fromarray(p).resize((64, 64), Image.Resampling.LANCZOS)) for p in pictures]
    images = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = plain.teacher(images).flatten(1).numpy()
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(more[:, : plain.width], values, rtol=0, atol=1e-5)
    first, second = more[:, plain.width :].reshape(3, 2, -1).transpose(1, 0, 2)
    assert (np.abs(first - values).max(axis=1) > 1e-3).all()
    assert (np.abs(first - second).max(axis=1) > 1e-3).all()


def test_copies_belong_to_the_image_and_the_seed(space, pictures):
    ids = np.array([7, 8, 9])
    whole = space(views=1).encode(pictures, ids)
    np.testing.assert_allclose(space(views=1).encode(pictures[1:], ids[1:]), whole[1:], rtol=0, atol=1e-6)
    assert np.abs(space(5, views=1).encode(pictures, ids) - whole).max() > 1e-3
    assert space(views=1).draws(space(views=1).settings)
    assert not space().draws(space().settings)


def test_altered_pictures_are_pictures_altered_as_often_as_published(rng):
    image = torch.from_numpy(rng.random((3, 32, 32), np.float32))
    copies = torch.stack([altered(image, random_streams.generator(0, k, "copies")) for k in range(400)])
    assert copies.shape == (400, 3, 32, 32)
    assert copies.min() >= -1e-6
    assert copies.max() <= 1 + 1e-6
    grey = (copies.std(dim=1).amax(dim=(1, 2)) < 1e-3).float().mean()
    assert 0.05 < grey < 0.16
    # negatives where it was bright: the brightest tenth of the picture is not bright
    bright = image.mean(dim=0) > image.mean(dim=0).quantile(0.97)
    solarised = (copies.mean(dim=1)[:, bright].mean(dim=1) < copies.mean(dim=(1, 2, 3)) - 0.02).float().mean()
    assert 0.04 < solarised < 0.2
