"""Pictures as PNG files, for people and other programs."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neural_recon.core.files import atomic, part_of
from neural_recon.core.refusals import refusals_named
from neural_recon.features.feature_files import select_rows

logger = logging.getLogger(__name__)


def write_folder(folder: str | Path, kinds: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `folder`/KIND/ID.png for every kind's `images` uint8 (n, H, W, 3) and `image_id` (n,).

    An `image_id` that is a string is a name instead, for pictures that have no id.

    The folder appears under its name only when all of its pictures are written.
    """
    folder = Path(folder)
    temporary = part_of(folder)
    try:
        with refusals_named(folder):
            for kind, arrays in kinds.items():
                (temporary / kind).mkdir(parents=True)
                for image_id, image in zip(arrays["image_id"], arrays["images"], strict=True):
                    name = image_id if isinstance(image_id, str) else f"{image_id:05d}"
                    Image.fromarray(image).save(temporary / kind / f"{name}.png")
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    logger.info("%d pictures -> %s", sum(len(a["images"]) for a in kinds.values()), folder)


def write_sheet(
    path: str | Path,
    stimuli: np.ndarray | None,
    kinds: Mapping[str, Mapping[str, Any]],
    image_ids: Sequence[int] | np.ndarray,
) -> None:
    """Write one PNG with a row of stimuli uint8 (n, H, W, 3) of `image_ids`, and a row of each kind below.

    Without stimuli (nobody knows what a new scan's subject saw) the kinds' rows are all there is.
    """
    size = 2 * max(64, min(128, *(arrays["images"].shape[1] for arrays in kinds.values())))
    rows = [] if stimuli is None else [list(stimuli)]
    for kind, arrays in kinds.items():
        rows.append(list(select_rows(kind, arrays["images"], arrays["image_id"], image_ids)))
    smooth = Image.Resampling.BICUBIC
    lines = [
        np.concatenate([np.asarray(Image.fromarray(p).resize((size, size), smooth)) for p in row], axis=1)
        for row in rows
    ]
    with atomic(path) as temporary:
        Image.fromarray(np.concatenate(lines)).save(temporary)


def write_labelled(path: str | Path, rows: Sequence[np.ndarray], labels: Sequence[str]) -> None:
    """Write one PNG with pictures uint8 (n, H, W, 3) a row and a label (n) above each column."""
    size, band = 2 * max(64, min(128, *(len(row[0]) for row in rows))), 22
    sheet = Image.new("RGB", (size * len(labels), band + size * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, label in enumerate(labels):
        draw.text((column * size + 4, 3), label, fill="black", font=font)
        for row, pictures in enumerate(rows):
            picture = Image.fromarray(pictures[column]).resize((size, size), Image.Resampling.BICUBIC)
            sheet.paste(picture, (column * size, band + row * size))
    with atomic(path) as temporary:
        sheet.save(temporary)
