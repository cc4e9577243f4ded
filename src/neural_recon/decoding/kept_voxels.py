"""Where the voxels of a kept decoder lie, and what new scans are z-scored by."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neural_recon.core.hdf5 import open_hdf5, read_hdf5
from neural_recon.datasets.grids import Grid

if TYPE_CHECKING:
    import pandas as pd

    from neural_recon.datasets.dataset import DataSet

logger = logging.getLogger(__name__)


def of_subject(
    data: DataSet, subject: str, table: pd.DataFrame, responses: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The `arrays` of a subject of a data set, whose voxels need not lie in a volume.

    Args:
        table: of the subject's voxels.
        responses: as of `arrays`, and `voxel` (p,), their rows of the table.
    """
    places, grid = data.places(subject, table)
    return arrays(responses, places[responses["voxel"]], grid)


def arrays(responses: Mapping[str, np.ndarray], positions: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
    """The datasets that say so in a kept file.

    Args:
        responses: the `mean` and `std` (p,) that training responses were z-scored with.
        positions: (p, 3) places x, y, z of the voxels, in C order, within the volume of the grid.
    """
    scale = {name: responses[name].astype(np.float32) for name in ("mean", "std")}
    return {"x_y_z": positions.astype(np.int16), **grid.arrays(), **scale}


def grid(shared: str | Path) -> Grid:
    """Where the voxels of a subject's kept decoders lie: what a new scan is compared with.

    Raises:
        InputError: a file that is missing, cut short or without these datasets.
    """
    with open_hdf5(shared) as file:
        has_affine = "affine" in file  # versions before wrote none
    arrays = read_hdf5(shared, "volume", *(["affine"] if has_affine else []))
    found = Grid.of_arrays(f"the decoder {shared}", arrays["volume"], arrays.get("affine", np.zeros((4, 4))))
    if found.affine is None:
        logger.warning(
            "%s: where the decoder's voxels lie is not known, so origin and voxel size of new scans are not "
            "compared.",
            shared,
        )
    return found
