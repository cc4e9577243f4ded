"""Energies of Gabor filters and mean colours: no network, so that no decoder or generator shares it."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from neural_recon.features.space import Space, blocks

SAMPLES = 4  # of a filter's energy per cycle, each way: twice what its highest frequencies need
COLOURS = 8  # cells a side
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma (ITU-R BT.601)
# Standard deviation of a filter's amplitude over frequencies, in its own frequency: an octave at half height.
BANDWIDTH = 1 / (3 * np.sqrt(2 * np.log(2)))


class Gabor(Space):
    """The pyramid of Kay et al. (2008, Nature 452:352): for `cycles` f per picture and each orientation the
    energy (root of the summed squares of a pair in quadrature) averaged over each of f x f cells.

    A filter's amplitude is Gaussian over frequencies, an octave wide in all directions, which is 37 degrees
    (Kay et al.: 41). Pictures count as periodic. The mean colours of a grid of 8 x 8 come first, for voxels
    that follow brightness or colour.
    """

    class Settings(Space.Settings):
        """Energies of Gabor filters."""

        cycles: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field(
            [1, 2, 4, 8, 16, 32],
            description="Of the filters, per picture; pictures are resized to four times the highest.",
        )
        orientations: Annotated[int, Field(ge=1)] = Field(8, description="Directions of each frequency.")

    title = "Gabor energies"
    part = "frequency"

    def encode(self, batch: np.ndarray, image_ids: np.ndarray) -> np.ndarray:  # noqa: ARG002
        # one by one: of several Fourier transforms at once the rounding depends on how many there are
        rows = [self._features(one) for part in blocks(len(batch)) for one in batch[part]]
        self.parts = [3 * COLOURS**2, *(self.settings.orientations * f**2 for f in self.settings.cycles)]
        return np.stack(rows)

    def _features(self, picture: np.ndarray) -> np.ndarray:
        """Of one picture, uint8 (H, W, 3): float32 (width,)."""
        side = SAMPLES * max(self.settings.cycles)
        small = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR)
        spectrum = np.fft.fft2((_unit(small) * GREY).sum(axis=2))
        found = [_unit(small.resize((COLOURS, COLOURS), Image.Resampling.BOX)).ravel()]
        for f, filters in self._filters.items():
            frequencies = _frequencies(f)
            # what lies beyond these frequencies the filter does not pass
            low = spectrum[frequencies[:, None], frequencies] * (SAMPLES * f / side) ** 2
            # of one sign of the frequency alone: the modulus of what comes out is the energy
            energies = np.abs(np.fft.ifft2(low * filters))
            found.append(energies.reshape(-1, f, SAMPLES, f, SAMPLES).mean(axis=(2, 4)).ravel())
        return np.concatenate(found, dtype=np.float32)

    @functools.cached_property
    def _filters(self) -> dict[int, np.ndarray]:
        """Frequency -> amplitudes of its filters, float32 (orientations, SAMPLES f, SAMPLES f)."""
        angles = np.pi * np.arange(self.settings.orientations) / self.settings.orientations
        return {f: np.stack([_filter(f, angle) for angle in angles]) for f in self.settings.cycles}

    @classmethod
    def sizes(cls, settings: Any) -> tuple[int, int]:
        return 3 * COLOURS**2 + sum(settings.orientations * f**2 for f in settings.cycles), 0


def _unit(picture: Image.Image) -> np.ndarray:
    """Float32 (H, W, 3) in [0, 1]."""
    return np.asarray(picture, np.float32) / 255


def _frequencies(f: int) -> np.ndarray:
    """Those that a filter of f cycles per picture passes, whole numbers in a transform's order."""
    return np.fft.fftfreq(SAMPLES * f, 1 / (SAMPLES * f)).astype(int)


def _filter(f: int, angle: float) -> np.ndarray:
    """Amplitudes of a filter of f cycles per picture along `angle`, none of it at frequency 0."""
    u, v = _frequencies(f), _frequencies(f)[:, None]
    distances = (u - f * np.cos(angle)) ** 2 + (v - f * np.sin(angle)) ** 2
    amplitudes = np.exp(-distances / (2 * (BANDWIDTH * f) ** 2)).astype(np.float32)
    amplitudes[0, 0] = 0
    return amplitudes
