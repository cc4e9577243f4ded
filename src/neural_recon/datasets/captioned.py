"""A data set without captions, and those that a captioning model wrote of its pictures instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.tables import read_table
from neural_recon.datasets.dataset import DataSet, Part

COLUMNS = ["image_id", "caption", "by"]


class Captioned(DataSet):
    """What differs from the kind of data set that it is derived from together with (`captioned`).

    Attributes:
        written: the folder of the tables, one per list of stimuli: `COLUMNS`, the caption empty where there
            is no picture.
    """

    written: ClassVar[Path]

    @property
    def offers(self) -> frozenset[str]:
        return super().offers | {"captions"}

    def captions(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> list[list[str]]:
        found: dict[int, str] = {}
        for path in self._tables(self._lists()):
            if path.is_file():  # of the lists that were asked for
                table = read_table(path, COLUMNS)
                texts = table["caption"].fillna("").astype(str)
                found |= dict(zip(table["image_id"].astype(int), texts, strict=True))
        absent = [int(i) for i in image_ids if not found.get(int(i))]
        if absent and not empty_ok:
            raise InputError(
                f"{self.written}: expected a caption of image {absent[0]}, found none ({len(absent)} are "
                "missing); leave images without a picture out of the split, or write the captions again."
            )
        return [[text] if (text := found.get(int(i), "")) else [] for i in image_ids]

    def files(self, part: Part, subject: str = "", session: int = 0) -> dict[Path, str]:
        if part != "captions":
            return super().files(part, subject, session)  # type: ignore[safe-super]  # the kind's
        if subject in self.of:  # may be the name of a list, too, and has others besides
            names: Iterable[str] = self.lists(subject)
        else:
            names = [subject] if subject else self._lists()
        return dict.fromkeys(self._tables(names), "the captions that a model wrote")

    def _lists(self) -> list[str]:
        return sorted({name for subject in self.of for name in self.lists(subject)})

    def _tables(self, lists: Iterable[str]) -> list[Path]:
        return [self.written / f"{name}.tsv" for name in lists]


def captioned(kind: type[DataSet], folder: Path) -> Any:
    """The kind of data set with captions from tables in a folder."""
    return type(kind.__name__, (Captioned, kind), {"written": folder})
