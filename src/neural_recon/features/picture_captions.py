"""Captions of a data set's pictures by a captioning model: input of spaces that read captions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.datasets.captioned import COLUMNS
from neural_recon.datasets.dataset import DataSet
from neural_recon.models import model_folders, weights

logger = logging.getLogger(__name__)

BLOCK = 200  # pictures read at once


def caption_table(
    data: DataSet, stimuli: str, folder: str | Path, captioner: Mapping[str, Any]
) -> pd.DataFrame:
    """The captions of a list of stimuli, one row per image: `captioned.COLUMNS`.

    Args:
        data: whose pictures.
        stimuli: the list.
        folder: the model's.
        captioner: the configuration's section.

    Raises:
        InputError: a file is missing, or not what it must be.
    """
    from neural_recon.models.blip import Blip
    from neural_recon.models.loading import choose_device

    model, ids = Blip.from_folder(Path(folder), choose_device()), data.list_ids(stimuli)
    by = f"{captioner['weights']}, {captioner['beams']} beams"
    rows: list[tuple[int, str, str]] = []
    for start in range(0, len(ids), BLOCK):
        some = ids[start : start + BLOCK]
        pictures = data.pictures(some, empty_ok=True)
        shown = np.asarray(pictures.any(axis=(1, 2, 3)))
        texts = iter(model.captions(pictures[shown], captioner["beams"], captioner["batch"]))
        rows += [
            (int(i), next(texts) if there else "", by) for i, there in zip(some, shown.tolist(), strict=True)
        ]
        logger.info("%d of %d pictures", len(rows), len(ids))
    return pd.DataFrame(rows, columns=COLUMNS)


def model_files(value: str, table: weights.Table) -> list[str]:
    """What captioning reads of a model, there or still to be fetched; `value` as the configuration has it.

    Raises:
        InputError: a local folder without weights.
    """
    if value in table:
        return weights.model_files(value, table, ())
    folder = Path(value)
    return [
        str(folder / "config.json"),
        str(model_folders.find_weights(folder)),
        str(folder / model_folders.TOKENIZER),
    ]
