"""Generic Object Decoding (Horikawa & Kamitani 2017): five people, one bdpy file each.

A file is one matrix (samples, columns) of responses and of all that is known of the samples, alongside 0/1
for each column and key. It is linked whole, and a mask takes the columns that are voxels: nothing is copied.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import open_hdf5
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder, Space
from neural_recon.datasets.importer import Importer

WHAT = {1: "train", 2: "test", 3: "imagery"}  # by the column DataType
MATRIX = ("dataset", "dataSet")  # of newer and older versions of bdpy
ABOUT = ("metadata", "metaData")


class GOD(Importer):
    """Generic Object Decoding."""

    terms = Terms(
        "Generic Object Decoding (Horikawa & Kamitani 2017)",
        "as stated where the files are",
        "https://figshare.com/articles/Generic_Object_Decoding/7387130",
    )
    pictures_terms = "of ImageNet, on request (https://github.com/KamitaniLab/GenericObjectDecoding)"
    where = (
        "the responses (Subject1.h5 to Subject5.h5) are at "
        "https://figshare.com/articles/Generic_Object_Decoding/7387130, the pictures come on request: "
        "https://github.com/KamitaniLab/GenericObjectDecoding"
    )

    def fill(self, out: ImportedFolder) -> Found:
        tables, matrices = [], set()
        for path in self.files("Subject*.h5", "responses, Subject1.h5"):
            subject = path.stem
            matrix, columns, known = self._read(path)
            n_columns = len(columns["VoxelData"])
            space = Space((n_columns,))
            space.save(out.path / f"masks/{subject}.npy", columns["VoxelData"].astype(np.uint8))
            regions = {key.removeprefix("ROI_"): of for key, of in columns.items() if key.startswith("ROI_")}
            out.regions.add(subject, space, regions)
            out.link(path, f"betas/{subject}.h5")
            tables.append(self._trials(path, subject, known))
            matrices.add(matrix)
        if len(matrices) > 1:
            self.refuse(self.source, "files of one version of bdpy", "several")
        rows = out.trials(*tables)
        out.pictures(rows.loc[rows["split"].isin(["train", "test"]), "image"], self)
        settings = {
            "betas": "betas/{subject}.h5",
            "dataset": matrices.pop(),
            "axes": "trials,voxels",
            "units": "arbitrary",
            "mask": "masks/{subject}.npy",
            "pictures": PICTURES,
            "leave_out": {"split": ["imagery"]},
            **out.regions.write(),
        }
        notes = {"dataset.units": "the file does not say"}
        return Found(settings, list(rows["subject"].unique()), {"name": "all"}, notes)

    def _read(self, path: Path) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The name of the matrix, by key which of its columns belong to it, and the columns that are no
        voxels: values by key."""
        with open_hdf5(path) as file:
            matrix = next((name for name in MATRIX if name in file), None)
            about = next((name for name in ABOUT if name in file), None)
            if matrix is None or about is None:
                self.refuse(path, "bdpy's dataset and metadata", ", ".join(file) or "nothing")
            keys = [key.decode() if isinstance(key, bytes) else str(key) for key in file[about]["key"]]
            values = np.asarray(file[about]["value"], np.float64)
            if values.shape != (len(keys), file[matrix].shape[1]):
                self.refuse(path, "a value of each key for each column", str(values.shape))
            # elsewhere it is 0, or no number
            columns = {key: row == 1 for key, row in zip(keys, values, strict=True)}
            if absent := [key for key in ("VoxelData", "DataType") if not columns.get(key, NOWHERE).any()]:
                self.refuse(path, f"the key {absent[0]}", ", ".join(keys))
            single = {
                key: np.asarray(file[matrix][:, int(np.flatnonzero(of)[0])])
                for key, of in columns.items()
                if of.sum() == 1 and not (of & columns["VoxelData"]).any()
            }
        return matrix, columns, single

    def _trials(self, path: Path, subject: str, known: dict[str, np.ndarray]) -> pd.DataFrame:
        """In the order of the file: a session is what lies together of one kind of data and one session."""
        label = next((known[key] for key in ("stimulus_id", "Label") if key in known), None)
        if label is None:
            self.refuse(path, "the column stimulus_id or Label", ", ".join(known))
        kind = known["DataType"]
        parts = np.stack([kind, known.get("Session", kind)])
        session = 1 + np.concatenate([[0], np.cumsum((np.diff(parts, axis=1) != 0).any(axis=0))])
        rows = pd.DataFrame({"subject": subject, "session": session})
        rows["trial"] = np.arange(1, len(rows) + 1)
        rows["image"] = [picture(number) for number in label]
        rows["split"] = [WHAT.get(int(one), "") for one in kind]
        rows.loc[rows["split"] == "", "image"] = ""
        rows["category"] = np.floor(label).astype(np.int64)
        return rows


NOWHERE = np.zeros(1, bool)


def picture(number: float) -> str:
    """ImageNet's name of a picture by its number: 1518878.005958 is n01518878_5958."""
    category = int(np.floor(number))
    return f"n{category:08d}_{round((number - category) * 1e6)}"
