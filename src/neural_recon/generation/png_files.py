"""Pictures as PNG files, for people and other programs."""

import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neural_recon.core.files import atomic, part_of
from neural_recon.core.refusals import refusals_named
from neural_recon.features.feature_files import select_rows

logger = logging.getLogger(__name__)

FIRST = 12  # pictures of a sheet, by image id: nobody chose them
LONGEST = 80  # characters of a name, of three bytes at most: file systems take 255 bytes


def file_names(image_ids: Sequence[int], names: Sequence[str] | None) -> dict[int, str]:
    """image id -> what its files are called: the image's name, without the folders where those do not tell
    images apart; or five digits of its id, without names.

    Signs that mean something to a file system become _; where names are then the same, whatever their case,
    the id follows each.
    """
    if names is None or [*names] == [str(image_id) for image_id in image_ids]:
        return {image_id: f"{image_id:05d}" for image_id in image_ids}
    for shortened in (lambda name: PurePosixPath(name).name, str):
        bare = (re.sub(r"(?i)\.(png|jpe?g|bmp|tiff?|webp)$", "", shortened(name)) for name in names)
        plain = [re.sub(r"^\.|[^\w .()+,=@-]", "_", name)[:LONGEST] for name in bare]
        if len({name.casefold() for name in plain}) == len(names):
            break
    else:
        plain = [f"{name}_{image_id:05d}" for name, image_id in zip(plain, image_ids, strict=True)]
    return dict(zip(image_ids, plain, strict=True))


def write_folder(folder: str | Path, kinds: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `folder`/KIND/NAME.png for every kind's `images` uint8 (n, H, W, 3) and `image_id` (n,).

    An `image_id` that is a string is the name (`file_names`); of others it is five digits.

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
    lines = [np.concatenate([np.asarray(_at(picture, size)) for picture in row], axis=1) for row in rows]
    with atomic(path) as temporary:
        Image.fromarray(np.concatenate(lines)).save(temporary)


def write_groups(path: str | Path, groups: Mapping[str, Sequence[np.ndarray]], size: int = 128) -> None:
    """Write one PNG with a line of words per group and below it its rows of pictures uint8 (n, H, W, 3), each
    `size` pixels wide."""
    band, widest = 24, max(len(row) for rows in groups.values() for row in rows)
    height = sum(band + size * len(rows) for rows in groups.values())
    sheet, top = Image.new("RGB", (size * widest, height), "white"), 0
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for words, rows in groups.items():
        draw.text((4, top + 2), words, fill="black", font=font)
        top += band
        for row in rows:
            for column, picture in enumerate(row):
                sheet.paste(_at(picture, size), (column * size, top))
            top += size
    with atomic(path) as temporary:
        sheet.save(temporary)


def write_labelled(path: str | Path, rows: Sequence[np.ndarray], labels: Sequence[str]) -> None:
    """Write one PNG with pictures uint8 (n, H, W, 3) a row and a label (n) above each column."""
    size, band = 2 * max(64, min(128, *(len(row[0]) for row in rows))), 22
    sheet = Image.new("RGB", (size * len(labels), band + size * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, label in enumerate(labels):
        draw.text((column * size + 4, 3), label, fill="black", font=font)
        for row, pictures in enumerate(rows):
            sheet.paste(_at(pictures[column], size), (column * size, band + row * size))
    with atomic(path) as temporary:
        sheet.save(temporary)


def _at(picture: np.ndarray, size: int) -> Image.Image:
    """A picture uint8 (H, W, 3) at `size` x `size`, smoothed."""
    return Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
