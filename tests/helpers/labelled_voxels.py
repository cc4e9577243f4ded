"""Voxels with labels of NSD's atlases drawn at random."""

import numpy as np
import pandas as pd

from neural_recon.datasets.nsd.voxels import select_voxels

SHAPE = (6, 7, 8)


def labelled(rng: np.random.Generator) -> pd.DataFrame:
    """A table of all voxels of a volume of `SHAPE`, labels of four atlases from 1 on."""
    atlases = {
        "prf-visualrois": rng.integers(0, 8, SHAPE),
        "floc-faces": rng.integers(0, 6, SHAPE),
        "floc-bodies": rng.integers(0, 5, SHAPE),
        "streams": rng.integers(0, 8, SHAPE),
    }
    return select_voxels(np.ones(SHAPE, bool), atlases)
