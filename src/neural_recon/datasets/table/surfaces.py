"""Surfaces: values per vertex in GIFTI (`.gii`), or per grayordinate in CIFTI (`.dscalar.nii`).

Grayordinates are vertices of both hemispheres and, behind them, voxels of other structures. All of these are
places in a list.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import refusal, require_file

GIFTI = ".gii"
# dense files, and those of parcels
CIFTI = (".dscalar.nii", ".dtseries.nii", ".dlabel.nii", ".pscalar.nii", ".ptseries.nii", ".plabel.nii")
SURFACES = (GIFTI, *CIFTI)
IN_WORDS = f"GIFTI ({GIFTI}) or CIFTI ({', '.join(CIFTI[:3])})"


def is_surface(path: str | Path) -> bool:
    """Whether a file is called as surfaces in GIFTI or CIFTI are."""
    return str(path).endswith(SURFACES)


def read_surface(path: Path, what: str) -> np.ndarray:
    """The values (places, maps) of a file: a column per map, as of trials or of one map of labels.

    Those of CIFTI stay on disk until they are asked for.

    Raises:
        InputError: the file is missing, cut short, of another kind, or one of coordinates or connections.
    """
    require_file(path, what)
    return _cifti(path, what) if str(path).endswith(CIFTI) else _gifti(path, what)


def _gifti(path: Path, what: str) -> np.ndarray:
    import nibabel

    try:
        image = nibabel.load(path)
        arrays = [np.asarray(one.data) for one in image.darrays]
    except Exception as error:  # nibabel and expat raise many kinds on a broken file
        raise _unread(path, error, what, "GIFTI") from error
    shapes = {one.shape for one in arrays}
    if len(shapes) != 1 or len(next(iter(shapes))) not in (1, 2):
        raise InputError(
            f"{path}: expected {what}, values per vertex, found arrays of the shapes "
            f"{', '.join(map(str, sorted(shapes))) or 'none'}; name the file with the values."
        )
    if arrays[0].ndim == 2 and (len(arrays) > 1 or any(_is_geometry(one) for one in image.darrays)):
        raise InputError(
            f"{path}: expected {what}, values per vertex, found coordinates, as of the surface itself; name "
            "the file with the values."
        )
    return arrays[0] if arrays[0].ndim == 2 else np.stack(arrays, axis=1)


def _cifti(path: Path, what: str) -> np.ndarray:
    import nibabel

    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Cifti2Image):
            raise InputError(
                f"{path}: expected {what} in CIFTI, as its name says, found another kind of NIfTI file; "
                "if it is a volume, name it .nii."
            )
        axes = [type(image.header.get_axis(n)).__name__ for n in range(image.ndim)]
        if image.ndim != 2 or axes[1] not in ("BrainModelAxis", "ParcelsAxis"):
            raise InputError(
                f"{path}: expected {what}, maps by grayordinates or parcels, found the axes "
                f"{', '.join(axes)}; name a file of maps."
            )
        values = np.asanyarray(image.dataobj)  # mapped into memory
    except InputError:
        raise
    except Exception as error:  # nibabel and expat raise many kinds on a broken file
        raise _unread(path, error, what, "CIFTI") from error
    return values.T


def _unread(path: Path, error: Exception, what: str, kind: str) -> InputError:
    return refusal(path, error, what) or InputError(
        f"{path}: expected {what} in {kind}, found a file that does not read ({error}); save it again."
    )


def _is_geometry(array: object) -> bool:
    import nibabel

    codes = nibabel.nifti1.intent_codes
    return getattr(array, "intent", 0) in (codes["NIFTI_INTENT_POINTSET"], codes["NIFTI_INTENT_TRIANGLE"])
