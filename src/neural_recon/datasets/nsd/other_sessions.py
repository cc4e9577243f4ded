"""Where an NSD tree has its sessions besides the main experiment: NSD-synthetic and NSD-Imagery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from neural_recon.datasets.imported_folder import ImportedFolder
from neural_recon.datasets.importer import Importer
from neural_recon.datasets.nsd.nsd_tree import SESSIONS, Tree

BUCKET = ("natural-scenes-dataset", "us-east-2")
PREPARATIONS = ("betas_fithrf_GLMdenoise_RR", "betas_fithrf")  # the first that is there is read
ENDINGS = ("hdf5", "nii.gz")


class Responses(NamedTuple):
    """The betas of one such session.

    Attributes:
        preparation: as the main experiment's betas of the same preparation are called.
        files: subject -> its file.
    """

    preparation: str
    ending: str
    files: Mapping[str, Path]

    @property
    def note(self) -> str:
        """What is to be checked."""
        return (
            f"of the preparation {self.preparation}: decoders must have been fitted on betas of the same "
            "(dataset.preparation of their configuration)"
        )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the table that reads them, and the mask."""
        return {
            "betas": f"betas/{{subject}}.{self.ending}",
            "units": "percent_x300",
            "mask": "masks/{subject}.nii.gz",
        }

    def link(self, out: ImportedFolder, importer: Importer) -> None:
        """Refer to the betas, and to the masks that decoders have their voxels from."""
        for subject, path in self.files.items():
            mask = Tree(importer.source).mask(subject)
            if not mask.is_file():
                importer.refuse(mask, f"the mask of {subject}", "none")
            out.link(path, f"betas/{subject}.{self.ending}")
            out.link(mask, f"masks/{subject}.nii.gz")


def prefixes(name: str, subjects: Sequence[str]) -> list[str]:
    """With what keys of NSD's bucket begin under which a session has betas, masks and design."""
    found = [f"nsddata/experiments/{name}/"]
    for subject in subjects or SESSIONS:
        found += [
            f"nsddata_betas/ppdata/{subject}/func1pt8mm/{name}{PREPARATIONS[0]}/betas_{name}.{ENDINGS[0]}",
            f"nsddata/ppdata/{subject}/func1pt8mm/roi/nsdgeneral.nii.gz",
        ]
    return found


def responses(importer: Importer, name: str) -> Responses:
    """The betas of a session, of one preparation and format: those that most subjects have.

    Args:
        name: "nsdsynthetic" or "nsdimagery".

    Raises:
        InputError: there are none.
    """
    found = []
    for preparation in PREPARATIONS:
        for ending in ENDINGS:
            folder = f"func1pt8mm/{name}{preparation}"
            paths = {
                subject: importer.source / f"nsddata_betas/ppdata/{subject}/{folder}/betas_{name}.{ending}"
                for subject in SESSIONS
            }
            there = {subject: path for subject, path in paths.items() if path.is_file()}
            found.append(Responses(preparation, ending, there))
    best = max(found, key=lambda one: len(one.files))
    if not best.files:
        place = f"nsddata_betas/ppdata/subjXX/func1pt8mm/{name}{PREPARATIONS[0]}/betas_{name}.hdf5"
        importer.refuse(importer.source / place, "betas of at least one subject", "none")
    return best
