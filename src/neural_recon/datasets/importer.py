"""Published data sets as folders that `dataset.kind: table` reads: tables and links, no copies of responses.

A kind derives from `Importer`. It reads the files as they are published and fills an `ImportedFolder`; what
it cannot be sure of is a note, which the configuration marks.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.files import part_of
from neural_recon.core.kinds import Kinds
from neural_recon.core.refusals import refusals_named
from neural_recon.core.tables import write_table
from neural_recon.core.texts import natural
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.table.look import LARGEST
from neural_recon.datasets.table.pictures import SUFFIXES, smallest_side

if TYPE_CHECKING:
    import pandas as pd

PICTURES = "pictures"
NOWHERE = np.zeros(0, np.int64)


class Importer(ABC):
    """One published data set.

    Attributes:
        terms: those of the responses; whether these may be passed on.
        pictures_terms: those of the pictures, in a few words.
        where: where the files are to be had: the end of a sentence.
        splits: the published ways of splitting among which one may choose; the first is the default.
        source: the folder with its files.
    """

    terms: ClassVar[Terms]
    pictures_terms: ClassVar[str]
    where: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ()

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
    def fetch(cls, source: Path, subjects: Sequence[str]) -> None:  # noqa: ARG003 - of those that can
        """Fetch what `fill` reads into the folder `source`.

        Raises:
            InputError: nothing fetches these files, or they cannot be fetched.
        """
        raise InputError(
            f"{source}: expected files that can be fetched, found some that cannot: {cls.where}."
        )

    # --- the files as they are published

    def files(self, pattern: str, what: str) -> list[Path]:
        """The files of a pattern below the source, in natural order of their names.

        Raises:
            InputError: there are none, or links to what has not been fetched.
        """
        found = sorted(self.source.rglob(pattern), key=lambda path: natural(str(path)))
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
        "share_responses": importer.terms.responses,
        "size": max(8, min(side, LARGEST)),
    }
    return found._replace(settings={**common, **found.settings})


class ImportedFolder:
    """A folder that is filled.

    Attributes:
        regions: of all subjects.
    """

    def __init__(self, path: Path):
        self.path = path
        self.regions = Regions(path)

    def link(self, file: Path, name: str) -> None:
        """Refer to a file by a name in the folder."""
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file.absolute())

    def trials(self, rows: pd.DataFrame) -> None:
        """Write the table of trials.

        They are numbered through in the order of the responses: a column run would order them first, so that
        it gets another name.
        """
        write_table(self.path / "trials.tsv", rows.rename(columns={"run": "run_number"}))

    def pictures(self, names: Iterable[str], importer: Importer, first: str = "") -> None:
        """Refer to the pictures of some names, wherever they lie below the source.

        Args:
            names: as the table of trials has them.
            first: of several files of a name, that with this in its path is taken.

        Raises:
            InputError: some have no picture.
        """
        there: dict[str, list[Path]] = {}
        for path in sorted(importer.source.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                there.setdefault(path.stem, []).append(path)
        wanted = {name: there.get(bare(name), []) for name in sorted(set(names))}
        if absent := [name for name, found in wanted.items() if not found]:
            importer.refuse(
                importer.source, f"the pictures of {len(wanted)} names", f"none of {len(absent)}, such as "
                f"{absent[0]!r}"
            )  # fmt: skip
        for name, found in wanted.items():
            path = min(found, key=lambda one: first not in str(one))
            self.link(path, f"{PICTURES}/{bare(name)}{path.suffix.lower()}")


@dataclass(frozen=True, eq=False)
class Space:
    """Where a subject's responses lie.

    Attributes:
        shape: (x, y, z), or (n,) of a list.
        affine: of a volume, voxel indices to mm; None: nothing is known of it.
    """

    shape: tuple[int, ...]
    affine: np.ndarray | None = None

    @property
    def ending(self) -> str:
        return ".npy" if self.affine is None else ".nii.gz"

    def save(self, path: Path, values: np.ndarray) -> None:
        """Write a mask or labels."""
        import nibabel

        path.parent.mkdir(parents=True, exist_ok=True)
        values = values.reshape(self.shape)
        if self.affine is None:
            np.save(path, values)
        else:
            nibabel.save(nibabel.Nifti1Image(values, self.affine), path)


@dataclass
class Regions:
    """Regions of all subjects, which may overlap, in as few atlases as keep them apart."""

    folder: Path
    of: dict[str, tuple[Space, dict[str, np.ndarray]]] = field(default_factory=dict)

    def add(self, subject: str, space: Space, members: Mapping[str, np.ndarray]) -> None:
        """Those of a subject.

        Args:
            members: name -> which places of the space are in it, in C order.
        """
        found = {name: np.flatnonzero(inside) for name, inside in members.items()}
        self.of[subject] = space, {name: places for name, places in found.items() if len(places)}

    def write(self) -> dict[str, Any]:
        """Write labels and their names.

        Returns:
            The settings that read them.
        """
        import pandas as pd

        atlases = list(self._apart())
        if not atlases:
            return {}
        ending = next(iter(self.of.values()))[0].ending
        named = {f"regions_{n}" if n > 1 else "regions": one for n, one in enumerate(atlases, start=1)}
        for atlas, names in named.items():
            for subject, (space, members) in self.of.items():
                labels = np.zeros(int(np.prod(space.shape)), np.int16)
                for label, name in enumerate(names, start=1):
                    labels[members.get(name, NOWHERE)] = label
                space.save(self.folder / f"atlases/{subject}_{atlas}{ending}", labels)
            table = pd.DataFrame({"label": range(1, len(names) + 1), "name": names})
            write_table(self.folder / f"atlases/{atlas}.tsv", table)
        return {
            "regions": {atlas: f"atlases/{{subject}}_{atlas}{ending}" for atlas in named},
            "names": {atlas: f"atlases/{atlas}.tsv" for atlas in named},
        }

    def _apart(self) -> Iterator[list[str]]:
        """The names in groups within which no region overlaps another of any subject."""
        left = list(dict.fromkeys(name for _, members in self.of.values() for name in members))
        while left:
            taken = {
                subject: np.zeros(int(np.prod(space.shape)), bool) for subject, (space, _) in self.of.items()
            }
            group = []
            for name in left:
                places = {one: members.get(name, NOWHERE) for one, (_, members) in self.of.items()}
                if not any(taken[one][found].any() for one, found in places.items()):
                    group.append(name)
                    for one, found in places.items():
                        taken[one][found] = True
            left = [name for name in left if name not in group]
            yield group


def bare(name: str) -> str:
    """A picture's name without folder and ending."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return last.rpartition(".")[0] if last.lower().endswith(SUFFIXES) else last
