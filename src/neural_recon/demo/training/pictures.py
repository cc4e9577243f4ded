"""The scenes the demo's models learn from: rendered once, kept as arrays."""

import json
import logging
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from neural_recon.core.files import atomic, write_text
from neural_recon.demo import captions, scenes

logger = logging.getLogger(__name__)

# The stream of training scenes; the demo's subjects look at scenes of another stream (`demo.seed`).
TRAINING_STREAM = 1_000_003
SIZE = 64  # what the encoders, the VDVAE and the judge see
PAINTED = 128  # what the generator paints


def picture(index: int, side: int = SIZE) -> np.ndarray:
    """Scene `index` of the training stream, uint8 (side, side, 3), reduced like stimuli (PIL bilinear)."""
    large = scenes.render(scenes.sample(TRAINING_STREAM, index), 2 * side)
    return np.asarray(Image.fromarray(large).resize((side, side), Image.Resampling.BILINEAR))


def draw(folder: Path, count: int, side: int, processes: int = 2) -> np.ndarray:
    """The first `count` training scenes, uint8 (count, side, side, 3), read as they are needed.

    They are drawn at the first call and kept in `folder`: remove them there after a change of the drawings.
    """
    path = folder / f"pictures_{count}_{side}.npy"
    if not path.exists():
        logger.info("drawing %d scenes of %d x %d", count, side, side)
        drawn = np.empty((count, side, side, 3), np.uint8)
        with ProcessPoolExecutor(processes) as pool:
            for index, one in enumerate(pool.map(partial(picture, side=side), range(count), chunksize=256)):
                drawn[index] = one
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.save(file, drawn)
    return np.load(path, mmap_mode="r")


def load(folder: Path, count: int, processes: int = 2) -> tuple[np.ndarray, list[list[str]]]:
    """The first `count` training scenes as of `draw`, uint8 (count, 64, 64, 3), and five captions of each."""
    texts_path = folder / f"captions_{count}.json"
    if not texts_path.exists():
        texts = [captions.captions(scenes.sample(TRAINING_STREAM, i), TRAINING_STREAM) for i in range(count)]
        write_text(texts_path, json.dumps(texts))
    return draw(folder, count, SIZE, processes), json.loads(texts_path.read_text(encoding="utf-8"))
