"""Surfaces in GIFTI (`.gii`): values per vertex, of a functional file one array per trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import refusal, require_file

GIFTI = ".gii"


def is_gifti(path: str | Path) -> bool:
    """Whether a file is called as surfaces in GIFTI are."""
    return str(path).endswith(GIFTI)


def read_gifti(path: Path, what: str) -> np.ndarray:
    """The values (vertices, arrays) of a file: a column per array, as of trials or of one map of labels.

    Raises:
        InputError: the file is missing, cut short, no GIFTI, or one of coordinates, as surfaces are.
    """
    import nibabel

    require_file(path, what)
    try:
        image = nibabel.load(path)
        arrays = [np.asarray(one.data) for one in image.darrays]
    except Exception as error:  # nibabel and expat raise many kinds on a broken file
        damaged = InputError(
            f"{path}: expected {what} in GIFTI, found a file that does not read ({error}); save it again."
        )
        raise (refusal(path, error, what) or damaged) from error
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


def _is_geometry(array: object) -> bool:
    import nibabel

    codes = nibabel.nifti1.intent_codes
    return getattr(array, "intent", 0) in (codes["NIFTI_INTENT_POINTSET"], codes["NIFTI_INTENT_TRIANGLE"])
