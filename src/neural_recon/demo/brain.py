"""Simulated voxels that see pictures, as far as one can without a scanner.

Nothing here knows the decoder's features. Every voxel mixes three populations:

- contrast energy: quadrature pairs of log-Gabor filters, weighted by the voxel's orientation and frequency,
  summed over its receptive field and compressed (Kay et al. 2008, Nature; 2013, J. Neurophysiology);
- colour: the two sides of each opponent channel (lighter and darker than grey, reddish and greenish, bluish
  and yellowish) over the receptive field, weighted by the voxel's preferred colour;
- categories: kinds of objects and backgrounds, each voxel a random smooth mixture of all of them, scaled by
  where and how large the objects are; objects in one scene normalise each other.

Responses have unit noise, a signal of `ncsnr` standard deviations, a mean level, drifts between sessions
and a few voxels that are dead in some of them. Median noise ceilings of three averaged trials
(`noise_ceilings`; demo seed 20): V1 to V3 28 to 38 %, hV4 23 to 28 %, places and faces 20 to 26 %,
nsdgeneral 23 %. Ridge on 900 training images then names the background of all of 100 test images, the kind
of the main object (of 14) of 98 % and its colour (of 7) of 60 to 69 %.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from neural_recon.datasets.nsd.nsd_tree import REGIONS, SESSIONS
from neural_recon.demo.cortex import HALF_FIELD, Cortex, build
from neural_recon.demo.scenes import BACKGROUNDS, KINDS, Scene

PIXELS = 80  # side of the pictures the voxels see
_MARGIN = 8  # mirrored around them, so that no edge is an artefact
_GRID = 20  # side of the maps that receptive fields sum over
_FREQUENCIES = np.array([5, 10, 20])  # cycles a picture: 0.6, 1.2 and 2.4 a degree
_ORIENTATIONS = np.arange(6) * np.pi / 6

# What the higher regions prefer, on top of each voxel's random mixture.
_PREFERRED = {
    "floc-faces": ("cat", "bird", "snowman", "fish"),
    "floc-bodies": ("cat", "bird", "fish", "flower"),
    "floc-places": ("house", "tree", "sailboat", "mushroom"),
    "floc-words": ("cup", "umbrella", "car", "rocket", "balloon"),
}
# (energy, colour, category) in the mixture, and the median ncsnr
_MIXTURES = {
    "V1": ((1.0, 0.45, 0.0), 0.50),
    "V2": ((1.0, 0.5, 0.1), 0.48),
    "V3": ((1.0, 0.45, 0.2), 0.45),
    "hV4": ((0.6, 1.0, 0.5), 0.40),
    "category": ((0.2, 0.4, 1.0), 0.36),
    "between": ((0.5, 0.35, 0.8), 0.27),
    "outside": ((0.3, 0.3, 1.0), 0.03),
}
_SPREAD = 0.45  # of log ncsnr between the voxels of a region
_WEAK = 0.2  # share of the voxels that hardly respond to pictures
_SHARED_NOISE = 0.1  # share of the noise variance that neighbours have in common
_DEAD = 0.008  # share of the voxels without data in about half of the sessions


@dataclass(frozen=True)
class Brain:
    """One simulated subject; arrays by cortical voxel."""

    cortex: Cortex
    mixture: np.ndarray  # (n, 3): weights of energy, colour, category
    ncsnr: np.ndarray  # (n,) standard deviation of the signal over that of the noise
    level: np.ndarray  # (n,) mean response, percent signal change
    scale: np.ndarray  # (n,) standard deviation of the noise, percent signal change
    dead: np.ndarray  # bool (n,): no data in some sessions
    channels: np.ndarray  # (n, 18) weights of orientations x frequencies
    colours: np.ndarray  # (n, 6) weights of light, dark, red, green, blue, yellow
    kinds: np.ndarray  # (n, kinds) >= 0
    backgrounds: np.ndarray  # (n, backgrounds)
    background_share: np.ndarray  # (n,) 0 to 1
    fields: np.ndarray  # (n, 3): x, y and log2 of the size at which objects drive a voxel most


def grow(seed: int, subject: str) -> Brain:
    """Draw a subject: cortex, receptive fields, tuning and noise are its own, the space of tunings is not."""
    cortex = build(seed, subject)
    rng = np.random.default_rng([seed, list(SESSIONS).index(subject), 3])
    n = len(cortex.voxels)
    group = _groups(cortex)
    weights = np.stack([np.array(_MIXTURES[g][0]) for g in group]) * rng.lognormal(0, 0.5, (n, 3))
    ncsnr = np.array([_MIXTURES[g][1] for g in group]) * rng.lognormal(0, _SPREAD, n)
    ncsnr[rng.random(n) < _WEAK] *= 0.1

    eccentricity = np.hypot(cortex.prf[:, 0], cortex.prf[:, 1])
    best = np.log2(18) - 0.3 * eccentricity + rng.normal(0, 0.5, n)  # finer at the fovea
    spatial = np.exp(-((np.log2(_FREQUENCIES) - best[:, None]) ** 2) / 2)
    angle = rng.uniform(0, np.pi, n)
    oriented = np.exp(rng.uniform(0, 2.0, n)[:, None] * np.cos(2 * (_ORIENTATIONS - angle[:, None])))
    channels = (oriented[:, :, None] * spatial[:, None, :]).reshape(n, -1)

    kinds, backgrounds = _tuning(seed, rng, cortex)
    places = cortex.labels["floc-places"] > 0
    fields = np.stack([rng.normal(0.5, 0.15, n), rng.normal(0.58, 0.1, n), rng.normal(-1, 0.5, n)], -1)
    return Brain(
        cortex=cortex,
        mixture=weights,
        ncsnr=ncsnr,
        level=rng.normal(1.0, 0.7, n),
        scale=rng.lognormal(np.log(1.3), 0.25, n),
        dead=rng.random(n) < _DEAD,
        channels=channels / channels.sum(1, keepdims=True),
        colours=rng.normal(size=(n, 6)) * (0.5, 0.5, 1, 1, 1, 1),
        kinds=kinds,
        backgrounds=backgrounds,
        background_share=np.where(places, rng.uniform(0.5, 0.95, n), rng.uniform(0.05, 0.6, n)),
        fields=fields,
    )


def _groups(cortex: Cortex) -> list[str]:
    """The row of `_MIXTURES` for each voxel."""
    group = np.where(cortex.labels["nsdgeneral"] == 1, "between", "outside").astype(object)
    for atlas in _PREFERRED:
        group[cortex.labels[atlas] > 0] = "category"
    for name in REGIONS["prf-visualrois"]:
        group[cortex.region("prf-visualrois", name)] = name if name == "hV4" else name[:2]
    return group.tolist()


def _tuning(seed: int, rng: np.random.Generator, cortex: Cortex) -> tuple[np.ndarray, np.ndarray]:
    """Tuning to kinds and backgrounds: mixtures of a few dimensions that all subjects share."""
    common = np.random.default_rng([seed, 4])
    kind_space = common.normal(size=(10, len(KINDS))) / np.sqrt(10)
    background_space = common.normal(size=(6, len(BACKGROUNDS))) / np.sqrt(6)
    n = len(cortex.voxels)
    kinds = 1.2 * rng.normal(size=(n, 10)) @ kind_space
    for atlas, preferred in _PREFERRED.items():
        labels = cortex.labels[atlas]
        for label in np.unique(labels[labels > 0]):
            # regions of one category prefer its members to different degrees
            liking = common.uniform(0.3, 1.5, len(KINDS)) * np.isin(KINDS, preferred)
            kinds[labels == label] += liking
    return np.logaddexp(0, 2 * kinds), rng.normal(size=(n, 6)) @ background_space


def signals(brain: Brain, pictures: np.ndarray, scenes: list[Scene]) -> np.ndarray:
    """Noise-free responses of all voxels, each with mean 0 and variance 1 over the given images.

    Args:
        pictures: uint8 (n, PIXELS, PIXELS, 3).
        scenes: what they show.

    Returns:
        float32 (n, n_voxels).
    """
    if pictures.shape[1:] != (PIXELS, PIXELS, 3) or len(pictures) != len(scenes):
        raise ValueError(f"pictures: expected {(len(scenes), PIXELS, PIXELS, 3)}, got {pictures.shape}")
    x = (np.arange(_GRID) + 0.5) / _GRID * 2 * HALF_FIELD - HALF_FIELD
    column, row, size = (value[:, None] for value in brain.cortex.prf.T)
    pooling = (
        np.exp(-((x - column) ** 2) / (2 * size**2))[:, None, :]
        * np.exp(
            -((-x - row) ** 2) / (2 * size**2)  # rows of a picture run downwards, y upwards
        )[:, :, None]
    )
    pooling = pooling.reshape(len(column), -1)
    pooling = (pooling / pooling.sum(1, keepdims=True)).astype(np.float32)

    maps = contrast_energy(pictures)
    energy = sum(
        (maps[:, channel] @ pooling.T) * brain.channels[:, channel].astype(np.float32)
        for channel in range(maps.shape[1])
    )
    sides = opponent_colours(pictures)
    colour = sum(
        (sides[:, side] @ pooling.T) * brain.colours[:, side].astype(np.float32)
        for side in range(sides.shape[1])
    )
    total = np.zeros(energy.shape, np.float32)
    for weight, part in zip(
        brain.mixture.T,
        (energy**0.25, np.tanh(_standard(colour)), category_drive(brain, scenes)),
        strict=True,
    ):
        total += weight.astype(np.float32) * _standard(part)
    return _standard(total)


def _standard(responses: np.ndarray) -> np.ndarray:
    std = responses.std(0)
    return ((responses - responses.mean(0)) / np.where(std > 0, std, 1)).astype(np.float32)


def contrast_energy(pictures: np.ndarray) -> np.ndarray:
    """Energy of oriented contrast on a coarse grid: float32 (n, orientations x frequencies, grid x grid)."""
    import scipy.fft  # takes long to import, and of the jobs that grow a brain one filters pictures

    frequency = scipy.fft.fftfreq(PIXELS + 2 * _MARGIN) * PIXELS  # cycles a picture
    radius, angle = np.hypot(frequency[:, None], frequency), np.arctan2(frequency[:, None], frequency)
    radius[0, 0] = 1e-6
    filters = [
        # one side of the spectrum only: real and imaginary part are the quadrature pair
        best
        * np.exp(-(np.log2(radius / best) ** 2) / (2 * 0.5**2))
        * np.exp(-(((angle - turn + np.pi) % (2 * np.pi) - np.pi) ** 2) / (2 * 0.35**2))
        for turn in _ORIENTATIONS
        for best in _FREQUENCIES
    ]
    energy = np.empty((len(pictures), len(filters), _GRID * _GRID), np.float32)
    inner = slice(_MARGIN, _MARGIN + PIXELS)
    for start in range(0, len(pictures), 32):
        grey = pictures[start : start + 32].mean(-1, dtype=np.float32) / 255
        grey = np.pad(grey, ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN)), mode="reflect")
        spectrum = scipy.fft.fft2(grey)
        for channel, taps in enumerate(filters):
            response = scipy.fft.ifft2(spectrum * taps.astype(np.float32))[:, inner, inner]
            energy[start : start + 32, channel] = _pool(response.real**2 + response.imag**2)
    return energy


def opponent_colours(pictures: np.ndarray) -> np.ndarray:
    """Light, dark, red, green, blue and yellow on a coarse grid: float32 (n, 6, grid x grid), all >= 0."""
    to_opponent = np.array([[1 / 3, 1 / 3, 1 / 3], [1, -1, 0], [-0.5, -0.5, 1]], np.float32)
    sides = []
    for weights, neutral in zip(to_opponent, (0.5, 0, 0), strict=True):
        channel = pictures @ weights / np.float32(255) - np.float32(neutral)
        # rectified before pooling: otherwise a red thing on green ground would leave nothing
        sides += [_pool(np.maximum(channel, 0)), _pool(np.maximum(-channel, 0))]
    return np.stack(sides, 1)


def _pool(maps: np.ndarray) -> np.ndarray:
    """Mean over the cells of the coarse grid: (n, side, side) to (n, grid x grid)."""
    cell = maps.shape[-1] // _GRID
    return maps.reshape(len(maps), _GRID, cell, _GRID, cell).mean((2, 4)).reshape(len(maps), -1)


def category_drive(brain: Brain, scenes: list[Scene]) -> np.ndarray:
    """Responses to what the scenes contain, float32 (n, n_voxels)."""
    image = np.array([k for k, scene in enumerate(scenes) for _ in scene.objects])
    things = [thing for scene in scenes for thing in scene.objects]
    kind = [KINDS.index(thing.kind) for thing in things]
    x, y, size = np.array([(thing.x, thing.y, np.log2(thing.size)) for thing in things]).T
    distance = (x[:, None] - brain.fields[:, 0]) ** 2 + (y[:, None] - brain.fields[:, 1]) ** 2
    strength = np.exp(-distance / (2 * 0.3**2) - (size[:, None] - brain.fields[:, 2]) ** 2 / 2)
    first = np.flatnonzero(np.diff(image, prepend=-1))  # the first object of each scene
    drive = np.add.reduceat(brain.kinds[:, kind].T * strength, first)
    drive /= 0.3 + np.add.reduceat(strength, first)
    background = brain.backgrounds[:, [BACKGROUNDS.index(scene.background) for scene in scenes]].T
    share = brain.background_share
    return np.sqrt(1 - share) * _standard(drive) + np.sqrt(share) * _standard(background)


def betas(brain: Brain, signal: np.ndarray, seed: int, subject: str, session: int) -> np.ndarray:
    """Single-trial responses of one session, percent signal change, float32 (n_trials, n_voxels).

    Args:
        signal: float32 (n_trials, n_voxels), rows of `signals`.
        seed, subject, session: every triple has its own noise, always the same one.
    """
    n_trials, n = signal.shape
    rng = np.random.default_rng([seed, list(SESSIONS).index(subject), 5, session])
    smooth = _smooth_patterns(brain.cortex.voxels, seed, n_patterns=8)
    noise = np.sqrt(1 - _SHARED_NOISE) * rng.standard_normal((n_trials, n), np.float32)
    noise += np.sqrt(_SHARED_NOISE) * rng.standard_normal((n_trials, len(smooth)), np.float32) @ smooth
    gain = (1 + 0.04 * rng.standard_normal() + 0.03 * rng.standard_normal((n,))).astype(np.float32)
    drift = 0.1 * rng.standard_normal() + 0.15 * rng.standard_normal(len(smooth)) @ smooth
    drift += 0.1 * rng.standard_normal(n)
    response = gain * (signal * brain.ncsnr.astype(np.float32) + noise) + drift.astype(np.float32)
    response = response * brain.scale.astype(np.float32) + brain.level.astype(np.float32)
    response[:, brain.dead & (rng.random(n) < 0.5)] = 0
    return response


def _smooth_patterns(voxels: np.ndarray, seed: int, n_patterns: int) -> np.ndarray:
    """Waves over the brain, float32 (n_patterns, n_voxels), squares summing to 1 in every voxel."""
    rng = np.random.default_rng([seed, 6])
    waves = rng.normal(size=(n_patterns, 3)) * 2 * np.pi / 20  # about 20 voxels long
    patterns = np.cos(waves @ voxels.T + rng.uniform(0, 2 * np.pi, (n_patterns, 1)))
    return (patterns / np.linalg.norm(patterns, axis=0)).astype(np.float32)


def noise_ceilings(brain: Brain, repetitions: int = 3) -> pd.DataFrame:
    """Median noise ceiling by region for averages of `repetitions` trials: atlas, region, voxels, ceiling."""
    ceiling = brain.ncsnr**2 / (brain.ncsnr**2 + 1 / repetitions)
    rows = []
    for atlas, regions in REGIONS.items():
        for name in regions:
            inside = brain.cortex.region(atlas, name)
            if inside.any():
                rows.append((atlas, name, int(inside.sum()), float(np.median(ceiling[inside]))))
    return pd.DataFrame(rows, columns=["atlas", "region", "voxels", "ceiling"])
