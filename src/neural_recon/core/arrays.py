"""NumPy's arrays in files."""

from pathlib import Path

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import NUMPY, look
from neural_recon.core.refusals import refusal, require_file


def open_array(path: Path, what: str = "an array (.npy)") -> np.ndarray:
    """The array of a `.npy` file, still on disk; nothing pickled is opened.

    Raises:
        InputError: the file is missing, cut short, or no array.
    """
    require_file(path, what)
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a broken header raises many kinds
        if (said := refusal(path, error, what)) is not None:
            raise said from error
        found = look(path)
        reason = str(error) if found.kind == NUMPY else found.text
        raise InputError(
            f"{path}: expected a whole array as numpy.save writes it, found another kind of file, or one "
            f"that is cut short ({reason}); write it again."
        ) from error
