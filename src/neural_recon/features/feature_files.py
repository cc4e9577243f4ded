"""Files of features, in chunks of images; read by image id and blocks of columns. Needs no torch.

A chunk file holds `features` float16 (n, D), `image_id` (n,), `missing` (n,), true for an image without
picture or caption (such a row is NaN, and using it is an error), and `parts`: how many columns each layer or
token takes, in order.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import dataset, integers, open_hdf5, read_hdf5, undamaged, write_hdf5

logger = logging.getLogger(__name__)

COLUMNS = 1024  # a ridge fit reads blocks of columns: so are the files chunked


def write_chunk(
    path: str | Path,
    features: np.ndarray,
    missing: np.ndarray,
    image_ids: np.ndarray,
    parameters: Mapping[str, object],
    parts: Sequence[int] | None = None,
) -> None:
    """Write one chunk file.

    Args:
        features: (n, D), or (n, tokens, C); stored as float16, NaN where `missing` (n,) is true.
        parts: widths of the layers that the D columns belong to; default: each token is one.

    Raises:
        InputError: a feature that is NaN or too large for float16.
    """
    if parts is None:
        parts = [features.shape[-1]] * (features.shape[1] if features.ndim == 3 else 1)
    features = np.where(missing[:, None], np.nan, features.reshape(len(features), -1))
    # NaN is not within the range either
    if not np.abs(features[~missing]).max(initial=0) <= np.finfo(np.float16).max:
        raise InputError(
            f"{path}: expected features within the range of float16, found larger ones or NaN; "
            "are the weights those of this model?"
        )
    if missing.any():
        logger.warning("%d of %d images have no picture or no caption", missing.sum(), len(missing))
    logger.info("%d images, %d features each", *features.shape)
    write_hdf5(
        path,
        {
            "features": features.astype(np.float16),
            "image_id": image_ids.astype(np.int32),
            "missing": missing,
            "parts": np.array(parts, np.int32),
        },
        parameters,
        chunks={"features": (len(features), min(COLUMNS, features.shape[1]))},
    )


class FeatureTable:
    """Rows of several chunk files, in the order of `image_ids`, read by blocks of columns: `table[:, a:b]`.

    Attributes:
        shape: (n, D).
        parts: widths of the layers or tokens that make up the D columns.

    Raises:
        InputError: an image that no file has, or that has no features; a file that is missing, cut short or
            no chunk file; files of different D.
    """

    def __init__(self, paths: Sequence[str | Path], image_ids: np.ndarray):
        with contextlib.ExitStack() as opened:
            self.files = [opened.enter_context(open_hdf5(path)) for path in paths]
            self._look(paths, image_ids)
            self._opened = opened.pop_all()  # the files stay open as long as the table lives

    def _look(self, paths: Sequence[str | Path], image_ids: np.ndarray) -> None:
        """Find the rows of `image_ids`, and set the attributes."""
        where: dict[int, tuple[int, int, bool]] = {}
        widths: set[int] = set()
        for number, (path, file) in enumerate(zip(paths, self.files, strict=True)):
            if not {"features", "image_id", "missing", "parts"} <= set(file):
                raise InputError(
                    f"{path}: expected the datasets features, image_id, missing and parts, found "
                    f"{sorted(map(str, file))}; compute it again."
                )
            features = dataset(path, file, "features", 2, "f")
            arrays = read_hdf5(path, "image_id", "missing", "parts")
            n, width = features.shape
            shapes = [arrays[name].shape for name in ("image_id", "missing")]
            if shapes != [(n,)] * 2 or arrays["parts"].ndim != 1 or arrays["parts"].sum() != width:
                raise InputError(
                    f"{path}: expected ids for {n} rows and parts of {width} columns, found others; "
                    "compute it again."
                )
            widths.add(width)
            ids = integers(path, "image_id", arrays["image_id"])
            for row, (image_id, missing) in enumerate(zip(ids, arrays["missing"], strict=True)):
                where[int(image_id)] = (number, row, bool(missing))
            if number == 0:
                self.parts = arrays["parts"]
        absent = [int(i) for i in image_ids if int(i) not in where]
        if absent:
            raise InputError(
                f"{paths[0]} and {len(paths) - 1} more: expected the features of image {absent[0]}, "
                f"found none ({len(absent)} images are missing); remove these files and run again."
            )
        places = np.array([where[int(i)] for i in image_ids], dtype=np.int64).reshape(-1, 3)
        if places[:, 2].any():
            first = int(np.asarray(image_ids)[places[:, 2] == 1][0])
            raise InputError(
                f"image {first}: expected a picture and captions, found none; leave it out of the split."
            )
        if len(widths) > 1:
            raise InputError(f"{paths[0]}: expected chunks of one width, found {sorted(widths)}.")
        self.number, self.row = places[:, 0], places[:, 1]
        self.shape = (len(places), widths.pop())

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        rows, columns = index
        number, row = self.number[rows], self.row[rows]
        start, stop, _ = columns.indices(self.shape[1])
        block = np.empty((len(row), stop - start), np.float16)
        for k in np.unique(number):
            mine = number == k
            with undamaged(self.files[k].filename):
                block[mine] = self.files[k]["features"][:, start:stop][row[mine]]
        return block


def column_means(table: FeatureTable) -> np.ndarray:
    """Each feature's mean over the rows of a table, float32 (D,), read in blocks of columns."""
    starts = range(0, table.shape[1], COLUMNS)
    means = [table[:, start : start + COLUMNS].mean(axis=0, dtype=np.float64) for start in starts]
    return np.concatenate(means).astype(np.float32)


def read_rows(paths: str | Path | Sequence[str | Path], image_ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Rows (n, D) of some images: from chunk files (a list of paths), or from a file of predictions.

    Raises:
        InputError: an image that is not there, or predictions that are not finite.
    """
    if not isinstance(paths, str | Path):
        return FeatureTable(paths, np.asarray(image_ids))[:, :].astype(np.float32)
    with open_hdf5(paths) as file:
        predictions = dataset(paths, file, "predictions", 2, "f")
        ids = integers(paths, "image_id", read_hdf5(paths, "image_id")["image_id"], len(predictions))
        rows = np.stack([predictions[row] for row in _rows_of(paths, ids, image_ids)])
    wrong = np.count_nonzero(~np.isfinite(rows).all(axis=1))
    if wrong:
        raise InputError(
            f"{paths}: expected predictions of finite numbers, found others for {wrong} of {len(rows)} "
            "images; compute it again."
        )
    return rows


def select_rows(
    path: str | Path, rows: np.ndarray, image_id: np.ndarray, wanted: Sequence[int] | np.ndarray
) -> np.ndarray:
    """The rows of a file's array that belong to the wanted images, in their order.

    Raises:
        InputError: an image that is not there.
    """
    return rows[_rows_of(path, image_id, wanted)]


def _rows_of(path: str | Path, image_id: np.ndarray, wanted: Sequence[int] | np.ndarray) -> list[int]:
    where = {int(i): row for row, i in enumerate(image_id)}
    absent = [int(i) for i in wanted if int(i) not in where]
    if absent:
        raise InputError(f"{path}: expected a row for image {absent[0]}, found none; compute it again.")
    return [where[int(i)] for i in wanted]
