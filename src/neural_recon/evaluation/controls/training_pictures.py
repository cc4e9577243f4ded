"""Which pictures a decoder was trained on, among those of other sessions: by what they show, not by name.

Pictures are compared at SIDE x SIDE pixels, where another size or compression makes hardly any difference.
Another crop and other colours make one: most pictures that were changed in this way are not found.
"""

import numpy as np
from PIL import Image

from neural_recon.datasets.dataset import Pictures

SIDE = 16  # pixels
# Root mean square difference, in standard deviations of the picture that varies more. Resizing and JPEG leave
# a photograph below this, and two photographs are further apart.
ALIKE = 0.2
BATCH = 256  # pictures read at once


def small(pictures: Pictures, image_ids: np.ndarray) -> np.ndarray:
    """What `among` compares of pictures: float32 (n, SIDE * SIDE * 3)."""
    found = np.zeros((len(image_ids), SIDE * SIDE * 3), np.float32)
    for start in range(0, len(image_ids), BATCH):
        for row, picture in enumerate(pictures(image_ids[start : start + BATCH]), start=start):
            reduced = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX)
            found[row] = np.asarray(reduced).reshape(-1)
    return found


def among(pictures: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Which pictures show the same as a training picture, bool (n,).

    Args:
        pictures: (n, d) and
        training: (n_training, d) of `small`.
    """
    found = np.zeros(len(pictures), bool)
    others = training.astype(np.float64)
    squares, spread = (others**2).mean(axis=1), others.std(axis=1)
    for start in range(0, len(pictures), BATCH):
        mine = pictures[start : start + BATCH].astype(np.float64)
        square = (mine**2).mean(axis=1)[:, None] + squares - 2 * mine @ others.T / mine.shape[1]
        # of pictures of one colour alone a grey level is enough to differ
        scale = np.maximum(np.maximum(mine.std(axis=1)[:, None], spread), 1 / ALIKE)
        found[start : start + BATCH] = (np.sqrt(np.maximum(square, 0)) < ALIKE * scale).any(axis=1)
    return found
