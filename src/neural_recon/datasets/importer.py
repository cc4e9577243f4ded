"""Published data sets as folders that `dataset.kind: table` reads: tables and links, no copies of responses.

A kind derives from `Importer`. It reads the files as they are published and fills an `ImportedFolder`; what
it cannot be sure of is a note, which the configuration marks.
"""

from __future__ import annotations

import fnmatch
import functools
import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from neural_recon.core.errors import InputError
from neural_recon.core.files import part_of
from neural_recon.core.kinds import Kinds
from neural_recon.core.refusals import refusals_named
from neural_recon.core.texts import natural
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.imported_folder import ImportedFolder
from neural_recon.datasets.table.look import LARGEST
from neural_recon.datasets.table.pictures import smallest_side

logger = logging.getLogger(__name__)


class Importer(ABC):
    """One published data set.

    Attributes:
        terms: those of the responses; whether these may be passed on.
        pictures_terms: those of the pictures, in a few words.
        where: where the files are to be had: the end of a sentence.
        bucket: where files are fetched from, by name and region; the folder has them by their keys.
        splits: the published ways of splitting among which one may choose; the first is the default.
        generalisation: of sessions that decoders of another data set are tested on: the section
            generalisation.NAME of the configuration, but for the data set; None: of any other.
        source: the folder with its files.
    """

    terms: ClassVar[Terms]
    pictures_terms: ClassVar[str]
    where: ClassVar[str]
    bucket: ClassVar[tuple[str, str] | None] = None
    splits: ClassVar[tuple[str, ...]] = ()
    generalisation: ClassVar[Mapping[str, Any] | None] = None

    def __init__(self, source: Path, split: str | None = None):
        self.source = source
        self.split = split or next(iter(self.splits), "")
        if split and split not in self.splits:
            known = ", ".join(self.splits) or "none: it is set in the configuration, as split.name"
            raise InputError(f"--split: expected one of the published splits ({known}), found {split!r}.")

    @abstractmethod
    def fill(self, out: ImportedFolder) -> Found:
        """Write tables and links into a folder.

        Returns:
            What reads them; `folder` is set by who asked.

        Raises:
            InputError: a file is missing or not as it is published.
        """

    @classmethod
    def prefixes(cls, subjects: Sequence[str]) -> list[str]:  # noqa: ARG003 - of those in a bucket
        """With what keys begin under which the bucket has files of some subjects; of all without any."""
        return []

    @classmethod
    def wanted(cls, key: str) -> bool:  # noqa: ARG003
        """Whether `fill` reads a file of the bucket."""
        return True

    @classmethod
    def fetch(cls, source: Path, subjects: Sequence[str]) -> None:
        """Fetch what `fill` reads and the folder `source` lacks.

        Raises:
            InputError: the data set lies in no bucket, or it cannot be reached, or a file cannot be fetched.
        """
        if cls.bucket is None:
            raise InputError(
                f"{source}: expected files that can be fetched, found some that cannot: {cls.where}."
            )
        from neural_recon.datasets.nsd.bucket import GB, Bucket, below, fetch_object  # boto3 takes long

        bucket = Bucket(*cls.bucket, "name another subject")
        found = {key: one for prefix in cls.prefixes(subjects) for key, one in below(prefix, bucket).items()}
        missing = [key for key in found if cls.wanted(key) and not (source / key).exists()]
        size = sum(found[key].size for key in missing) / GB
        logger.info("%d files to fetch, %.1f GB", len(missing), size)
        for key in missing:
            fetch_object(key, source / key, bucket)

    # --- the files as they are published

    @functools.cached_property
    def everything(self) -> dict[str, list[Path]]:
        """All files below the source by their names; folders may be links."""
        found: dict[str, list[Path]] = {}
        seen = set()
        for folder, folders, names in os.walk(self.source, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            place = Path(folder).resolve()
            if place in seen:  # a link to where one came from
                folders.clear()
                continue
            seen.add(place)
            for name in names:
                if name.startswith("."):  # as macOS leaves alongside each file
                    continue
                found.setdefault(name, []).append(Path(folder, name))
        return found

    def matching(self, pattern: str) -> list[Path]:
        """The files whose paths end in a pattern, in natural order."""
        last = pattern.rpartition("/")[2]
        named = [last] if "*" not in last else fnmatch.filter(self.everything, last)
        found = (path for name in named for path in self.everything.get(name, []) if path.match(pattern))
        return sorted(found, key=lambda path: natural(str(path)))

    def files(self, pattern: str, what: str) -> list[Path]:
        """The files of a pattern below the source, in natural order of their names.

        Raises:
            InputError: there are none, or links to what has not been fetched.
        """
        found = self.matching(pattern)
        if not found:
            self.refuse(self.source / pattern, what, "none")
        for path in found:
            if not path.exists():
                self.refuse(path, what, "a link to what is not there, as git-annex leaves; fetch it first")
        return found

    def refuse(self, path: Path, expected: str, found: str) -> NoReturn:
        """Raise an InputError that says where the files are to be had."""
        raise InputError(f"{path}: expected {expected}, found {found}; {self.where}.")

    def counted(self, path: Path, rows: int, trials: int) -> None:
        """Raise an InputError unless a file has as many trials as the table that names them."""
        if rows != trials:
            self.refuse(path, f"responses of the {rows} trials that are listed", f"{trials}")


IMPORTERS = Kinds("a data set to import", Importer, "neural_recon.datasets.importers")


def import_into(importer: Importer, out: Path) -> Found:
    """Fill a new folder; it appears under its name when it is whole.

    Returns:
        What reads it.

    Raises:
        InputError: there is such a folder, or a file of the data set is missing or not as it is published.
    """
    if out.exists():
        raise InputError(f"{out}: expected a name that nothing has yet, found one; name another folder.")
    if not importer.source.is_dir():
        raise InputError(
            f"{importer.source}: expected the folder with the files, found none; {importer.where}."
        )
    if out.resolve().is_relative_to(importer.source.resolve()):
        raise InputError(
            f"{out}: expected a folder outside of {importer.source}, found one in it; name another."
        )
    part = part_of(out)
    with refusals_named(out):
        try:
            part.mkdir(parents=True)
            found = importer.fill(ImportedFolder(part))
            side = smallest_side(part / found.settings["pictures"])
            part.rename(out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    common = {
        "kind": "table",
        "folder": str(out),
        "title": importer.terms.name,
        "licence": importer.terms.licence,
        "address": importer.terms.address,
        "share_responses": importer.terms.responses,
        "size": max(8, min(side, LARGEST)),
    }
    return found._replace(settings={**common, **found.settings})
