"""The demo's judge at work: what its pictures show, against the table of its scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.tables import read_table
from neural_recon.evaluation.metrics import resize


class SceneJudge:
    """Names main objects and backgrounds; knows the truth from the table of scenes.

    Raises:
        InputError: the weights or the table are missing, or not what they must be.
    """

    def __init__(self, weights: str | Path, scenes: str | Path):
        from neural_recon.demo.classifier import SIZE, SceneClassifier
        from neural_recon.demo.scenes import BACKGROUNDS, KINDS

        self.model, self.size = SceneClassifier.from_file(weights), SIZE
        self.names = {"object": np.array(KINDS), "background": np.array(BACKGROUNDS)}
        self.path, columns = scenes, ["image_id", "main_kind", "background"]
        what = f"a table (Parquet) with the columns {', '.join(columns)}"
        self.table = read_table(scenes, what=what)
        if not set(columns) <= set(self.table):
            raise InputError(f"{scenes}: expected {what}, found {', '.join(map(str, self.table))}.")
        self.table = self.table[columns].set_index("image_id")

    def truth(self, image_ids: np.ndarray) -> dict[str, np.ndarray]:
        """The main object and the background of images.

        Raises:
            InputError: an image that the table of scenes lacks.
        """
        absent = np.setdiff1d(image_ids, self.table.index)
        if len(absent):
            raise InputError(
                f"{self.path}: expected one row for each test image, found none for image {absent[0]} "
                f"({len(absent)} are missing); it belongs to other stimuli."
            )
        rows = self.table.loc[image_ids]
        return {"object": rows["main_kind"].to_numpy(), "background": rows["background"].to_numpy()}

    def names_of(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """What the judge sees in pictures uint8 (n, H, W, 3)."""
        small = (resize(pictures, self.size, "bilinear") * 255).round().astype(np.uint8)
        kinds, places = self.model.probabilities(small)
        return {
            "object": self.names["object"][kinds.argmax(1)],
            "background": self.names["background"][places.argmax(1)],
        }


def read_judge(files: Sequence[str | Path]) -> SceneJudge | None:
    """The judge of two files, weights and table of scenes; None without any.

    Raises:
        InputError: one of them alone, or as for `SceneJudge`.
    """
    if len(files) == 1:
        raise InputError(
            f"evaluation: expected both classifier and scenes, or neither, found {files[0]} alone."
        )
    return SceneJudge(*files) if files else None
