"""A small cortex: two ellipsoid sheets two voxels thick, with regions where a visual brain has them.

The posterior part of each hemisphere is described by two angles on the unit sphere: alpha, away from the
occipital pole (0) towards the front, and psi around it (0 medial, 90 ventral, -90 dorsal, 180 lateral).
The early areas are sectors around the pole, as around the foveal confluence: eccentricity grows with alpha,
the polar angle runs along psi and turns back at each border (Wandell et al. 2007, Neuron).
"""

from dataclasses import dataclass

import numpy as np

from neural_recon.datasets.nsd.nsd_tree import REGIONS, SESSIONS

VOXEL_MM = 1.8
HALF_FIELD = 4.2  # degrees: NSD's pictures were 8.4 degrees wide
THICKNESS = 2.1  # voxels

# atlas -> region -> (psi from, psi to, alpha from, alpha to), degrees
_EARLY = {
    "V1d": (-30, 0, 0, 75),
    "V1v": (0, 30, 0, 75),
    "V2d": (-52, -30, 0, 75),
    "V2v": (30, 52, 0, 75),
    "V3d": (-72, -52, 0, 75),
    "V3v": (52, 72, 0, 75),
    "hV4": (72, 112, 6, 66),
}
_SECTORS = {
    "prf-visualrois": _EARLY,
    "floc-faces": {
        "OFA": (112, 140, 30, 60),
        "FFA-1": (84, 116, 68, 86),
        "FFA-2": (84, 116, 88, 104),
        "mTL": (110, 140, 105, 120),
        "aTL": (85, 110, 122, 135),
    },
    "floc-bodies": {
        "EBA": (-180, -130, 30, 75),
        "FBA-1": (116, 142, 64, 82),
        "FBA-2": (116, 142, 84, 102),
        "mTL": (140, 160, 105, 120),
    },
    "floc-places": {"OPA": (-128, -82, 28, 66), "PPA": (28, 76, 78, 106), "RSC": (-26, 22, 76, 98)},
    "floc-words": {
        "OWFA": (142, 168, 30, 60),
        "VWFA-1": (142, 168, 62, 80),
        "VWFA-2": (142, 168, 82, 100),
        "mfs": (76, 84, 68, 100),
        "mTL": (160, 178, 105, 120),
    },
    "streams": {
        "early": (-72, 72, 0, 75),
        "midventral": (72, 112, 0, 66),
        "midlateral": (112, 180, 0, 52),
        "midparietal": (-128, -72, 0, 45),
        "ventral": (22, 142, 66, 108),
        "lateral": (142, 180, 52, 104),
        "parietal": (-128, -72, 45, 80),
    },
}
_GENERAL = ((-180, 180, 0, 78), (20, 170, 78, 108), (-30, 20, 78, 98))
# pRF size in degrees: at the fovea, and growth per degree of eccentricity (after Kay et al. 2013)
_PRF_SIZE = {"V1": (0.30, 0.10), "V2": (0.35, 0.17), "V3": (0.45, 0.25), "hV4": (0.9, 0.40)}
_ECCENTRICITY_BORDERS = (0.5, 1, 2, 4)


@dataclass(frozen=True)
class Cortex:
    """The cortical voxels of a subject, in the C order of its volume."""

    shape: tuple[int, int, int]
    voxels: np.ndarray  # int64 (n, 3)
    labels: dict[str, np.ndarray]  # atlas -> int16 (n,), as in `nsd_tree.REGIONS`, 0: none
    prf: np.ndarray  # float32 (n, 3): x (right), y (up) and size in degrees from fixation

    def volume(self, values: np.ndarray, outside: float = 0) -> np.ndarray:
        """Lay values (n,) out in the subject's volume (x, y, z)."""
        volume = np.full(self.shape, outside, np.asarray(values).dtype)
        volume[tuple(self.voxels.T)] = values
        return volume

    def region(self, atlas: str, name: str) -> np.ndarray:
        """bool (n,)"""
        return self.labels[atlas] == REGIONS[atlas][name]


def build(seed: int, subject: str) -> Cortex:
    """Grow a subject's cortex; size, borders and receptive fields differ between subjects and seeds."""
    rng = np.random.default_rng([seed, list(SESSIONS).index(subject), 2])
    axes = np.array([8.0, 15.5, 11.5]) + rng.uniform(-0.5, 0.5, 3)  # semi-axes of a hemisphere in voxels
    n_x, n_y, n_z = (int(n) for n in np.ceil(2 * axes * np.array([2.1, 1, 1])) + 3)
    shape = (n_x, n_y, n_z)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    middle = (np.array(shape) - 1) / 2
    side = np.where(grid[:, 0] < middle[0], -1, 1)  # -1: left hemisphere
    offset = grid - middle - side[:, None] * np.array([axes[0] + 0.8, 0, 0])
    cortical = (np.linalg.norm(offset / axes, axis=1) <= 1) & (
        np.linalg.norm(offset / (axes - THICKNESS), axis=1) > 1
    )
    side, offset, voxels = side[cortical], offset[cortical], grid[cortical]

    medial, front, up = (offset / axes / np.linalg.norm(offset / axes, axis=1, keepdims=True)).T
    medial = -medial * side
    alpha = np.degrees(np.arccos(np.clip(-front, -1, 1))) * rng.uniform(0.95, 1.05)
    psi = np.degrees(np.arctan2(-up, medial))
    warp = rng.uniform(2, 5) * np.sin(np.radians(2 * psi + rng.uniform(0, 360)))
    psi = psi + warp  # every subject's borders lie a little elsewhere

    labels = {atlas: np.zeros(len(voxels), np.int16) for atlas in ("nsdgeneral", "prf-eccrois", *_SECTORS)}
    for sector in _GENERAL:
        labels["nsdgeneral"][_inside(psi, alpha, sector)] = 1
    for atlas, sectors in _SECTORS.items():
        for name, sector in sectors.items():
            labels[atlas][_inside(psi, alpha, sector)] = REGIONS[atlas][name]
    prf, eccentricity = _receptive_fields(rng, side, psi, alpha)
    early = labels["prf-visualrois"] > 0
    labels["prf-eccrois"][early] = 1 + np.digitize(eccentricity[early], _ECCENTRICITY_BORDERS)
    return Cortex(shape, voxels, labels, prf)


def _inside(psi: np.ndarray, alpha: np.ndarray, sector: tuple[float, float, float, float]) -> np.ndarray:
    start, end, near, far = sector
    return ((psi - start) % 360 < end - start) & (alpha >= near) & (alpha < far)


def _receptive_fields(
    rng: np.random.Generator, side: np.ndarray, psi: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """pRFs (n, 3) and eccentricities (n,): retinotopic in the early areas, large and scattered elsewhere."""
    n = len(psi)
    growth = 2.2  # cortical magnification: eccentricity grows exponentially with cortical distance
    eccentricity = 0.1 + 5.2 * np.expm1(growth * np.minimum(alpha, 75) / 75) / np.expm1(growth)
    eccentricity *= rng.lognormal(0, 0.08, n)
    angle = rng.uniform(-80, 80, n)  # from the horizontal meridian of the contralateral field, up positive
    scattered = rng.uniform(0.2, 2.2, n)
    size = rng.uniform(1.5, 3.0, n)
    early = np.zeros(n, bool)
    for name, sector in _EARLY.items():
        inside = _inside(psi, alpha, sector)
        early |= inside
        along = ((psi[inside] - sector[0]) % 360) / (sector[1] - sector[0])
        # V1 and V3 run from the horizontal to the vertical meridian, V2 back, away from psi = 0
        away = along if sector[0] >= 0 else 1 - along
        if name == "hV4":
            angle[inside] = 90 - 180 * along
        else:
            away = 1 - away if name.startswith("V2") else away
            angle[inside] = 90 * away * (1 if name.endswith("v") else -1)
        base, slope = _PRF_SIZE[name if name == "hV4" else name[:2]]
        size[inside] = (base + slope * eccentricity[inside]) * rng.lognormal(0, 0.15, inside.sum())
    angle[early] += rng.normal(0, 4, early.sum())
    radius = np.where(early, eccentricity, scattered)
    # the left hemisphere sees the right half of the visual field
    x, y = -side * radius * np.cos(np.radians(angle)), radius * np.sin(np.radians(angle))
    return np.stack([x, y, size], -1).astype(np.float32), eccentricity
