"""NSD-synthetic: 284 artificial pictures, one session of every subject of NSD, to test decoders on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image

from neural_recon.core.hdf5 import dataset, open_hdf5
from neural_recon.datasets.dataset import Found
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder
from neural_recon.datasets.importer import Importer
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.datasets.nsd import other_sessions
from neural_recon.datasets.nsd.matlab import read_whole_numbers
from neural_recon.datasets.nsd.nsd_tree import SESSIONS
from neural_recon.datasets.nsd.other_sessions import BUCKET

RUNS = 8  # of equally many trials
STIMULI = "nsddata_stimuli/stimuli/nsdsynthetic"


class NSDSynthetic(Importer):
    """NSD-synthetic."""

    terms = NSD.terms
    pictures_terms = "under NSD's terms, not to be passed on"
    where = (
        "the files of NSD-synthetic lie in NSD's bucket, in folders whose names have nsdsynthetic in them, "
        "the masks in nsddata/ppdata; SOURCE is the tree that they lie in"
    )
    bucket = BUCKET
    generalisation: ClassVar[Mapping[str, Any]] = {"groups": "kind"}

    def fill(self, out: ImportedFolder) -> Found:
        found = other_sessions.responses(self, "nsdsynthetic")
        design = self.source / "nsddata/experiments/nsdsynthetic/nsdsynthetic_expdesign.mat"
        if not design.is_file():
            self.refuse(design, "the experiment's design", "none")
        shown = read_whole_numbers(design, ["masterordering"])[0].reshape(-1)
        n_shared = self._save(out, self.source / STIMULI / "nsdsynthetic_stimuli.hdf5", "shared", 0)
        tables = []
        for subject in found.files:
            own = self.source / STIMULI / f"nsdsynthetic_colorstimuli_{subject}.hdf5"
            n_own = self._save(out, own, subject, n_shared)
            if shown.min() < 1 or shown.max() > n_shared + n_own:
                self.refuse(
                    design, f"stimuli from 1 to {n_shared + n_own}", f"{shown.min()} to {shown.max()}"
                )
            tables.append(self._trials(subject, shown, n_shared))
        found.link(out, self)
        out.trials(*tables)
        notes = {
            "dataset.betas": found.note,
            "dataset.pictures": "as they are stored, the square in their middle; whether the screen showed "
            "them with the brightness that these numbers mean is not in the files",
        }
        split = {"name": "share", "share": 0.5}  # for decoders that are fitted here
        return Found({**found.settings, "pictures": PICTURES}, list(found.files), split, notes)

    @classmethod
    def prefixes(cls, subjects: Sequence[str]) -> list[str]:
        own = [f"{STIMULI}/nsdsynthetic_colorstimuli_{one}.hdf5" for one in subjects or SESSIONS]
        shared = f"{STIMULI}/nsdsynthetic_stimuli.hdf5"
        return [*other_sessions.prefixes("nsdsynthetic", subjects), shared, *own]

    def _save(self, out: ImportedFolder, path: Path, whose: str, before: int) -> int:
        """Write the pictures of a file as PNG, numbered from 1 behind those `before`; how many there are."""
        if not path.is_file():
            self.refuse(path, "stimuli", "none")
        (out.path / PICTURES).mkdir(exist_ok=True)
        with open_hdf5(path) as file:
            stored = dataset(path, file, "imgBrick", 4, "u")
            if stored.shape[3] != 3:
                self.refuse(path, "pictures (n, height, width, 3)", str(stored.shape))
            for row in range(len(stored)):
                name = f"{whose}_{before + row + 1:03d}.png"
                Image.fromarray(stored[row]).save(out.path / PICTURES / name)
            return len(stored)

    @staticmethod
    def _trials(subject: str, shown: np.ndarray, n_shared: int) -> pd.DataFrame:
        number, own = np.arange(len(shown)), shown > n_shared
        runs = RUNS if len(shown) % RUNS == 0 else 1
        whose = np.where(own, subject, "shared")
        return pd.DataFrame(
            {
                "subject": subject,
                "session": "nsdsynthetic",
                "run": number // (len(shown) // runs) + 1,
                "trial": number + 1,
                "image": [f"{who}_{k:03d}" for who, k in zip(whose, shown, strict=True)],
                "kind": np.where(own, "colour", "grey"),
            }
        )
