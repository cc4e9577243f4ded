"""What an import writes: a folder of tables, labels and links, as `dataset.kind: table` reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_recon.core.hdf5 import open_hdf5
from neural_recon.core.tables import write_table
from neural_recon.datasets.table.pictures import SUFFIXES

if TYPE_CHECKING:
    import pandas as pd

    from neural_recon.datasets.importer import Importer

PICTURES = "pictures"
NOWHERE = np.zeros(0, np.int64)


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

    def trials(self, *tables: pd.DataFrame) -> pd.DataFrame:
        """Write the table of trials, such as of one subject after the other; returns all of its rows.

        They are numbered through in the order of the responses: a column run would order them first, so that
        it gets another name.
        """
        import pandas as pd

        rows = pd.concat(tables, ignore_index=True)
        write_table(self.path / "trials.tsv", rows.rename(columns={"run": "run_number"}))
        return rows

    def pictures(self, names: Iterable[str], importer: Importer, first: str = "") -> None:
        """Refer to the pictures of some names, wherever they lie below the source.

        Args:
            names: as the table of trials has them.
            first: of several files of a name, that with this in its path is taken.

        Raises:
            InputError: some have no picture.
        """
        there: dict[str, list[Path]] = {}
        for name, paths in importer.everything.items():
            if name.lower().endswith(SUFFIXES):
                there.setdefault(Path(name).stem, []).extend(sorted(paths))
        wanted = {name: there.get(bare(name), []) for name in sorted(set(names))}
        if absent := [name for name, found in wanted.items() if not found]:
            importer.refuse(
                importer.source, f"the pictures of {len(wanted)} names", f"none of {len(absent)}, such as "
                f"{absent[0]!r}"
            )  # fmt: skip
        for name, found in wanted.items():
            path = min(found, key=lambda one: first not in str(one))
            self.link(path, f"{PICTURES}/{bare(name)}{path.suffix.lower()}")

    def unpacked(
        self, names: Iterable[str], importer: Importer, archive: Path, stored: Sequence[str]
    ) -> None:
        """Write the pictures of an archive that holds them as JPEG files.

        Args:
            names: as the table of trials has them.
            archive: HDF5, the bytes of a file in each entry of `images`.
            stored: the names of its entries.

        Raises:
            InputError: some names are not in the archive.
        """
        places = {name: n for n, name in enumerate(stored)}
        (self.path / PICTURES).mkdir()
        with open_hdf5(archive) as file:
            for name in sorted(set(names)):
                if name not in places:
                    importer.refuse(archive, "the pictures of all trials", f"none called {name!r}")
                place = self.path / PICTURES / f"{bare(name)}.jpg"
                place.write_bytes(bytes(file["images"][places[name]]))


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
