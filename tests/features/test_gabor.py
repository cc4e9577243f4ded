"""Gabor energies, against filters written out in space and gratings that only one of them is for."""

import numpy as np
import pytest

from neural_recon.features import load
from neural_recon.features.space import SPACES
from neural_recon.features.spaces.gabor import BANDWIDTH

SETTINGS = {"kind": "gabor", "cycles": [2, 4], "orientations": 4}
SIDE = 16


def grating(cycles, angle, side=64):
    """A grating of so many cycles per picture, uint8 (side, side, 3)."""
    y, x = np.mgrid[:side, :side] / side
    wave = np.cos(2 * np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle)))
    return np.repeat((127.5 + 100 * wave)[..., None], 3, axis=2).round().astype(np.uint8)


def test_a_grating_excites_the_filter_of_its_frequency_and_orientation():
    pictures = [(2, 0), (2, np.pi / 2), (4, 0), (4, np.pi / 2)]
    features = load("it", SETTINGS).encode(np.stack([grating(*one) for one in pictures]), np.arange(4))
    energies = features[:, 192:208].reshape(4, 4, 4), features[:, 208:].reshape(4, 4, 16)
    means = np.stack([part.mean(axis=2) for part in energies], axis=1)  # picture, frequency, orientation
    assert [np.unravel_index(one.argmax(), one.shape) for one in means] == [(0, 0), (0, 2), (1, 0), (1, 2)]


def test_energies_are_those_of_filters_convolved_in_space(rng):
    """The moduli of the products with a complex Gabor that is moved about, averaged by cell."""
    picture = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    space = load("it", {**SETTINGS, "cycles": [4]})
    energies = space.encode(picture[None], np.arange(1))[0, 192:].reshape(4, 4, 4)
    grey = picture / 255 @ np.array([0.299, 0.587, 0.114])
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = np.fft.fftfreq(SIDE, 1 / SIDE)
    for k, angle in enumerate(np.arange(4) * np.pi / 4):
        gabor = np.zeros((SIDE, SIDE), complex)
        for v in waves:
            for u in waves:
                apart = (u - 4 * np.cos(angle)) ** 2 + (v - 4 * np.sin(angle)) ** 2
                amplitude = np.exp(-apart / (2 * (4 * BANDWIDTH) ** 2)) if u or v else 0
                gabor += amplitude * np.exp(2j * np.pi * (u * x + v * y) / SIDE) / SIDE**2
        moved = [
            abs(np.sum(grey * np.roll(gabor[::-1, ::-1], (row + 1, column + 1), (0, 1))))
            for row in range(SIDE)
            for column in range(SIDE)
        ]
        cells = np.reshape(moved, (4, 4, 4, 4)).mean(axis=(1, 3))
        np.testing.assert_allclose(energies[k], cells, rtol=1e-4)


def test_colours_come_first_and_sizes_are_known_beforehand(rng):
    pictures = np.tile(rng.integers(0, 256, (3, 1, 1, 3), dtype=np.uint8), (1, 40, 40, 1))
    space = load("it", SETTINGS)
    features = space.encode(pictures, np.arange(3))
    expected = np.repeat(pictures[:, 0, :1] / 255, 64, axis=1).reshape(3, -1)
    np.testing.assert_allclose(features[:, :192], expected, rtol=1e-6)
    np.testing.assert_allclose(features[:, 192:], 0, atol=1e-6)  # plain pictures have no contrast
    assert features.shape == (3, space.width) == (3, space.sizes(SPACES.settings(SETTINGS))[0])


def test_a_picture_s_features_depend_on_nothing_alongside_it(rng):
    pictures = rng.integers(0, 256, (70, 20, 20, 3), dtype=np.uint8)
    space = load("it", SETTINGS)
    alone = np.concatenate([space.encode(one[None], np.arange(1)) for one in pictures[60:]])
    np.testing.assert_array_equal(space.encode(pictures, np.arange(70))[60:], alone)


def test_without_a_frequency_it_is_refused():
    with pytest.raises(ValueError, match="cycles"):
        SPACES.settings({"kind": "gabor", "cycles": []})
