"""The scenes the demo's models learn from: rendered once, kept as arrays."""

import json
import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from neural_recon.core.files import atomic, write_text
from neural_recon.demo import captions, scenes

logger = logging.getLogger(__name__)

# The stream of training scenes; the demo's subjects look at scenes of another stream (`demo.seed`).
TRAINING_STREAM = 1_000_003
SIZE = 64


def picture(index: int) -> np.ndarray:
    """Scene `index` of the training stream, uint8 (64, 64, 3), reduced like real stimuli (PIL bilinear)."""
    large = scenes.render(scenes.sample(TRAINING_STREAM, index), 2 * SIZE)
    return np.asarray(Image.fromarray(large).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def load(folder: Path, count: int, processes: int = 2) -> tuple[np.ndarray, list[list[str]]]:
    """The first `count` training scenes: uint8 (count, 64, 64, 3) and their five captions each.

    They are drawn at the first call and kept in `folder`: remove them there after a change of the drawings.
    """
    path, texts_path = folder / f"pictures_{count}.npy", folder / f"captions_{count}.json"
    if not path.exists():
        logger.info("drawing %d scenes", count)
        with ProcessPoolExecutor(processes) as pool:
            pictures = np.stack(list(pool.map(picture, range(count), chunksize=256)))
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.save(file, pictures)
    if not texts_path.exists():
        texts = [captions.captions(scenes.sample(TRAINING_STREAM, i), TRAINING_STREAM) for i in range(count)]
        write_text(texts_path, json.dumps(texts))
    return np.load(path), json.loads(texts_path.read_text(encoding="utf-8"))
