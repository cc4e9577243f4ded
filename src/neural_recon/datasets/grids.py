"""Where the voxels of a volume lie, as its header says, and how they come into another volume's axes.

An affine (4, 4) takes voxel indices (x, y, z), from 0, to millimetres to the right, to anterior and to
superior. A name such as "RAS" says where the three axes run to; these are taken where nothing else is said.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_recon.core.errors import InputError

# Two grids are the same within these. Together they move no voxel of NSD's volumes by half its size, and what
# programs round off in headers is far below.
SIZE = 1e-3  # of the voxel size, relative
ANGLE = 0.1  # degrees, between axes
ORIGIN = 0.1  # voxels, of the first voxel

AS_IT_IS = np.array([[0, 1], [1, 1], [2, 1]], float)  # nibabel's orientation that changes nothing


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxels that all volumes of a subject share: those of the mask, in the axes RAS."""

    source: str  # the file it is from, for messages
    shape: tuple[int, ...]
    affine: np.ndarray | None = None  # None: not known

    def arrays(self) -> dict[str, np.ndarray]:
        """As it is stored with what lies on it: `volume` int32 (3,), `affine` (4, 4), NaN where not known."""
        affine = np.full((4, 4), np.nan) if self.affine is None else self.affine
        return {"volume": np.array(self.shape, np.int32), "affine": affine.astype(np.float64)}

    @classmethod
    def of_arrays(cls, source: str, volume: np.ndarray, affine: np.ndarray) -> Grid:
        """The grid of stored `arrays`; an affine that is none counts as not known."""
        fits = affine.shape == (4, 4) and affine.dtype.kind == "f" and usable(affine)
        return cls(source, tuple(volume.tolist()), affine.astype(np.float64) if fits else None)

    @classmethod
    def of(cls, volume: Grid | Sequence[int]) -> Grid:
        """The grid itself; or of a shape alone a grid that nothing else is known of."""
        return volume if isinstance(volume, Grid) else cls("the mask", tuple(int(n) for n in volume))


@dataclass(frozen=True, eq=False)
class Placement:
    """How the voxels of a file come to lie in a grid: by reversing and exchanging axes, nothing else."""

    orientation: (
        np.ndarray
    )  # (3, 2), of nibabel.orientations: for each axis of the file its new place and sign
    stored: tuple[int, ...]  # shape in the file
    axes: str  # what was done, for records
    remarks: tuple[str, ...] = ()  # sentences on what the header lacks or says of other places
    turned: str = ""  # a sentence, where axes were reversed or exchanged

    @property
    def shape(self) -> tuple[int, ...]:
        """In the grid's axes."""
        return _turned_shape(self.orientation, self.stored)

    def indices(self, places: np.ndarray) -> np.ndarray:
        """Where the file has the voxels at `places` (n, 3) of the grid: int64 (n, 3)."""
        back = _back(self.orientation, self.stored)
        return np.rint(places @ back[:3, :3].T + back[:3, 3]).astype(np.int64)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The values (x, y, z) of the file in the grid's axes."""
        from nibabel.orientations import apply_orientation

        return np.ascontiguousarray(apply_orientation(values, self.orientation))

    def say(self, logger: logging.Logger, notes: list[str] | None) -> None:
        """Log what was done and what is odd; or add it to `notes`."""
        if notes is not None:
            notes += [*([self.turned] if self.turned else []), *self.remarks]
            return
        if self.turned:
            logger.info("%s", self.turned)
        for remark in self.remarks:
            logger.warning("%s", remark)


def usable(affine: np.ndarray) -> bool:
    """Whether a matrix is an affine of voxels with a volume."""
    with np.errstate(all="ignore"):  # a broken header may hold anything
        sizes = _sizes(affine)
        return bool(
            np.isfinite(affine).all()
            and (sizes > 0).all()
            and abs(np.linalg.det(affine[:3, :3])) > 0.1 * np.prod(sizes)  # or its axes nearly coincide
        )


def made_up(affine: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether an affine is what programs such as nibabel take for a file that says nothing of its axes.

    It runs from right to left, with its origin in the middle, and becomes the header's own word once such a
    file is saved again.
    """
    steps = _sizes(affine) * [-1, 1, 1]
    default = np.eye(4)
    default[:3, :3], default[:3, 3] = np.diag(steps), -steps * (np.array(shape) - 1) / 2
    return not differences(affine, default)


def axis_names(affine: np.ndarray) -> str:
    """Where the axes run to, roughly, such as "RAS"."""
    import nibabel

    return "".join(nibabel.aff2axcodes(affine))


def differences(affine: np.ndarray, other: np.ndarray) -> list[str]:
    """What keeps two affines of volumes of one shape from being the same grid, in words; empty: nothing."""
    found = []
    sizes, wanted = _sizes(affine), _sizes(other)
    if (np.abs(sizes / wanted - 1) > SIZE).any():
        found.append(f"voxels of {_numbers(sizes)} mm instead of {_numbers(wanted)} mm")
    cosines = np.sum(affine[:3, :3] / sizes * other[:3, :3] / wanted, axis=0)
    angle = np.degrees(np.arccos(np.clip(cosines, -1, 1))).max()
    if angle > ANGLE:
        found.append(f"axes turned by {angle:.3g} degrees")
    moved = np.linalg.solve(other[:3, :3], affine[:3, 3] - other[:3, 3])
    if (np.abs(moved) > ORIGIN).any():
        found.append(
            f"the first voxel at {_numbers(affine[:3, 3])} mm instead of {_numbers(other[:3, 3])} mm"
        )
    return found


def place(
    path: str | Path,
    shape: Sequence[int],
    affine: np.ndarray | None,
    grid: Grid | None,
    published: bool = False,
    what: str = "the mask's volume",
) -> Placement:
    """How a file's voxels come to lie in a grid.

    A file whose axes run otherwise, but over the same voxels, is only turned. One whose header says nothing
    of its axes is taken as it lies, with a remark.

    Args:
        path: of the file, for messages.
        shape: the file's own, (x, y, z).
        affine: what its header says, if anything.
        grid: None: the axes RAS, of whatever grid.
        published: one of the NSD tree's own files. Where such a header names other places for axes that run
            alike the file is taken as it lies, with a remark: its shape and its name say what it is.
        what: was expected, for the message on another shape.

    Raises:
        InputError: the file is of another shape; or its header tells of another origin, voxel size or
            rotation.
    """
    from nibabel.orientations import io_orientation

    stored = tuple(int(n) for n in shape)
    reference = None if grid is None else grid.affine
    orientation = AS_IT_IS
    if affine is not None:
        orientation = io_orientation(affine if reference is None else np.linalg.solve(reference, affine))
    turned = not np.array_equal(orientation, AS_IT_IS)
    before = "" if affine is None else axis_names(affine)
    after = "RAS" if reference is None else axis_names(reference)
    source = "" if grid is None else grid.source
    found = _turned_shape(orientation, stored)
    if grid is not None and found != tuple(grid.shape):
        so = f" (stored as {stored}, {before})" if turned else ""
        raise InputError(
            f"{path}: expected {what} {tuple(grid.shape)}, found {found}{so}; it and {source} must be of one "
            "subject and space."
        )
    remarks = []
    if affine is None:
        remarks.append(
            f"{path}: its header says nothing of its axes; they are taken to run as those of {source}."
            if grid is not None
            else f"{path}: its header says nothing of its axes; they are taken to run as {after}."
        )
    elif reference is not None:
        differs = differences(affine @ _back(orientation, stored), reference)
        if differs and published and not turned:
            remarks.append(
                f"{path}: its header differs from that of {source} ({'; '.join(differs)}); as its shape fits "
                "and it is one of the tree's own files it is taken voxel by voxel."
            )
        elif differs:
            if turned:
                differs.insert(0, f"axes that run to {before} instead of {after}")
            raise InputError(
                f"{path}: expected a volume on the grid of {source}, found {'; '.join(differs)}; resample it "
                "to that grid, or, if its voxels are the same and only its header is wrong, save it again "
                f"with the affine of {source}."
            )
    done = ""
    if turned:
        done = (
            f"{path}: stored as {before} (shape {stored}), brought into {after}."
            if grid is None
            else f"{path}: stored as {before} (shape {stored}), brought into the axes of {source} ({after})."
        )
        axes = f"{before} in the file, brought into {after}"
    else:
        axes = f"{before}, as they are" if before else f"not said by the file, taken as {after}"
    return Placement(orientation, stored, axes, tuple(remarks), done)


def placed_affine(affine: np.ndarray, placement: Placement) -> np.ndarray:
    """The affine of a file once its voxels are placed."""
    return affine @ _back(placement.orientation, placement.stored)


def _back(orientation: np.ndarray, stored: tuple[int, ...]) -> np.ndarray:
    """The matrix (4, 4) from indices in the grid to those in the file."""
    from nibabel.orientations import inv_ornt_aff

    return inv_ornt_aff(orientation, stored)


def _turned_shape(orientation: np.ndarray, stored: tuple[int, ...]) -> tuple[int, ...]:
    shape = [0, 0, 0]
    for axis, length in zip(orientation[:, 0].astype(int), stored, strict=True):
        shape[axis] = length
    return tuple(shape)


def _sizes(affine: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0))


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.5g}" for value in np.round(values, 4) + 0.0)
