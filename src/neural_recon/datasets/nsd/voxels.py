"""The voxels of a subject: those of nsdgeneral or of some regions, with the names of their regions."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.datasets import volumes
from neural_recon.datasets.nsd import nsd_tree

logger = logging.getLogger(__name__)


def select_voxels(
    mask: np.ndarray,
    atlases: Mapping[str, np.ndarray],
    regions: Sequence[str] = (),
    files: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """List the voxels of a mask, or of some regions within it, with the names of their regions.

    Args:
        mask: bool (x, y, z).
        atlases: atlas name -> label volume (x, y, z), read by `volumes.read_labels`.
        regions: names as of `in_regions`; a voxel in any of them is kept. Empty: the mask.
        files: for `in_regions`.

    Returns:
        One row per voxel in the mask's C order: x, y, z (0-based) and one column an atlas with the region's
        name, "" where the voxel has none.

    Raises:
        InputError: an unknown region, one of an atlas not given, an atlas of another shape, no voxel left.
    """
    for name, labels in atlases.items():
        _check_volume(name, labels, mask.shape)
    if not mask.any():
        raise InputError("mask: expected at least one voxel, found none.")
    places = np.nonzero(mask)
    table = pd.DataFrame({axis: place.astype(np.int32) for axis, place in zip("xyz", places, strict=True)})
    for name, labels in atlases.items():
        names = {label: region for region, label in nsd_tree.REGIONS[name].items()}
        table[name] = [names.get(label, "") for label in labels[places].tolist()]
    if regions:
        table = table[in_regions(table, regions, files or {}, mask.shape)].reset_index(drop=True)
        if table.empty:
            raise InputError(f"regions: expected voxels of {', '.join(regions)} in the mask, found none.")
    logger.info("%d of the mask's %d voxels selected", len(table), mask.sum())
    return table


def in_regions(
    voxels: pd.DataFrame,
    regions: Sequence[str],
    files: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
) -> np.ndarray:
    """Which voxels of a table of `select_voxels` lie in any of some regions, bool (n_voxels,).

    Args:
        regions: names as of `nsd_tree.find_region`, or of `files`.
        files: name -> volume (x, y, z) that is above 0 in the region.
        shape: of the subject's volume.

    Raises:
        InputError: an unknown region, one of an atlas that the table lacks, a file of another shape.
    """
    inside = np.zeros(len(voxels), bool)
    for name in regions:
        if name in files:
            _check_volume(name, files[name], shape)
            inside |= files[name][tuple(voxels[list("xyz")].to_numpy().T)] > 0
            continue
        atlas, members = nsd_tree.find_region(name)
        if atlas not in voxels:
            atlases = ", ".join(voxels.columns.drop(list("xyz")))
            raise InputError(f"regions: {name} needs the atlas {atlas}, found only {atlases}.")
        # by atlas and name: mTL, for one, stands in several atlases
        inside |= voxels[atlas].isin(members).to_numpy()
    return inside


def _check_volume(name: str, volume: np.ndarray, shape: tuple[int, ...]) -> None:
    if volume.shape != shape:
        raise InputError(
            f"{name}: expected the mask's volume {shape}, found {volume.shape}; "
            "mask and atlas must be of one subject and space."
        )


def read_voxels(
    mask: str | Path,
    atlases: Mapping[str, str | Path],
    regions: Sequence[str],
    files: Mapping[str, str | Path] | None = None,
    notes: list[str] | None = None,
) -> pd.DataFrame:
    """`select_voxels` from files: the mask `nsdgeneral`, label volumes by atlas name, masks by region.

    All are brought into NSD's axes. Atlases are the NSD tree's own files, masks by region are the user's.
    `notes` gets what there is to say of their headers, which is logged otherwise.

    Raises:
        InputError: as of `select_voxels` and `volumes.read_labels`.
    """
    inside = volumes.read_mask(mask, notes=notes)
    grid = volumes.read_grid(mask, notes=[])  # said already
    labels = {name: volumes.read_labels(path, grid, True, notes) for name, path in atlases.items()}
    masks = {name: volumes.read_labels(path, grid, notes=notes) for name, path in (files or {}).items()}
    try:
        return select_voxels(inside, labels, regions, masks)
    except InputError as error:
        raise InputError(f"{mask} and the atlases alongside it: {error}") from error


def voxel_mask(voxels: pd.DataFrame, shape: tuple[int, ...]) -> np.ndarray:
    """The bool volume (x, y, z) of a table of `select_voxels`."""
    mask = np.zeros(shape, bool)
    mask[tuple(voxels[list("xyz")].to_numpy().T)] = True
    return mask
