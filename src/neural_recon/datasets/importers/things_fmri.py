"""THINGS-fMRI (Hebart et al. 2023): responses as tables (`betas_csv`), three people, twelve sessions."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import open_hdf5
from neural_recon.core.tables import read_table
from neural_recon.datasets import nifti
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder, Space
from neural_recon.datasets.importer import Importer

ENDING = "_ResponseData.h5"
AXES = ["voxel_x", "voxel_y", "voxel_z"]
SPLITS = {"train": "train", "test": "test"}  # by trial_type; catch trials are in neither


class THINGSfMRI(Importer):
    """THINGS-fMRI."""

    terms = Terms(
        "THINGS-fMRI (Hebart et al. 2023)",
        "CC0",
        "https://doi.org/10.25452/figshare.plus.c.6161151",
        responses=True,
    )
    pictures_terms = "of THINGS, for research; not to be passed on (https://osf.io/jum2f)"
    where = (
        "the responses (betas_csv) and masks are at https://doi.org/10.25452/figshare.plus.c.6161151, the "
        "pictures at https://osf.io/jum2f"
    )

    def fill(self, out: ImportedFolder) -> Found:
        tables, places, masks = [], set(), set()
        files = self.files(f"*{ENDING}", "responses as a table, betas_csv/sub-0X_ResponseData.h5")
        for file in files:
            subject = file.name.removesuffix(ENDING)
            trials = self._trials(file, subject)
            voxels = self._table(file, subject, "VoxelMetadata", ["voxel_id"])
            place, shape = self._responses(file)
            self.counted(file, len(trials), shape[1])
            if shape[0] != len(voxels):
                self.refuse(file, f"the {len(voxels)} voxels of {subject}_VoxelMetadata.csv", f"{shape[0]}")
            space, inside, mask = self._space(subject, voxels)
            if mask is not None:
                out.link(mask, f"masks/{subject}{space.ending}")
            elif len(space.shape) == 3:
                space.save(out.path / f"masks/{subject}{space.ending}", inside.astype(np.uint8))
            masks.add(f"masks/{{subject}}{space.ending}" if len(space.shape) == 3 else None)
            out.regions.add(subject, space, self._regions(voxels, inside))
            out.link(file, f"betas/{subject}.h5")
            tables.append(trials)
            places.add(place)
        if len(places) > 1 or len(masks) > 1:
            self.refuse(files[0].parent, "files of one layout", f"several: {places}, {masks}")
        rows = out.trials(*tables)
        out.pictures(rows.loc[rows["split"] != "", "image"], self)
        settings = {
            "betas": "betas/{subject}.h5",
            "dataset": places.pop(),
            "axes": "voxels,trials",
            "units": "arbitrary",  # of time series that were z-scored by run
            "tuned": "of THINGS-fMRI",  # their ridge penalties, on the test images
            "mask": masks.pop(),
            "pictures": PICTURES,
            "leave_out": {"trial_type": ["catch"]} if (rows["trial_type"] == "catch").any() else {},
            **out.regions.write(),
        }
        return Found(settings, list(rows["subject"].unique()), {"name": "all"}, {})

    @staticmethod
    def _table(file: Path, subject: str, what: str, columns: list[str]) -> pd.DataFrame:
        return read_table(file.with_name(f"{subject}_{what}.csv"), columns, f"a table of {subject}")

    def _trials(self, file: Path, subject: str) -> pd.DataFrame:
        """In the order of the columns of responses."""
        table = self._table(file, subject, "StimulusMetadata", ["trial_type", "session", "run", "stimulus"])
        session, number = table["session"].astype(int), np.arange(1, len(table) + 1)
        if not session.is_monotonic_increasing:
            self.refuse(file, "trials in the order of the sessions", "others in the table of stimuli")
        rows = pd.DataFrame({"subject": subject, "session": session, "trial": number})
        more = table[[name for name in ("run", "trial_type", "concept") if name in table]]
        split = table["trial_type"].map(SPLITS).fillna("")
        image = table["stimulus"].where(split != "", "")
        return rows.assign(image=image, split=split, **more)

    def _responses(self, file: Path) -> tuple[str, tuple[int, int]]:
        """The name and shape (voxels, trials) of the floats in a file of pandas (`to_hdf`, fixed format)."""
        found: dict[str, tuple[int, int]] = {}

        def see(name: str, one: h5py.Dataset | h5py.Group) -> None:
            if isinstance(one, h5py.Dataset) and one.ndim == 2 and one.dtype.kind == "f":
                found[name] = one.shape

        with open_hdf5(file) as stored:
            stored.visititems(see)
        if len(found) != 1:
            self.refuse(file, "one block of floats, as pandas stores them in fixed format", str(len(found)))
        return found.popitem()

    def _space(self, subject: str, voxels: pd.DataFrame) -> tuple[Space, np.ndarray, Path | None]:
        """Where the voxels lie, which places of that are voxels (flat), and the mask that says so, if any."""
        n = len(voxels)
        if not set(AXES) <= set(voxels):
            return Space((n,)), np.ones(n, bool), None
        at = voxels[AXES].to_numpy(np.int64)
        for mask in self.matching(f"{subject}*brainmask.nii.gz"):
            image = nifti.open_nifti(mask)
            inside = nifti.read_volume(image) > 0
            if image.affine is not None and np.array_equal(np.argwhere(inside), at):
                return Space(image.shape[:3], image.affine), inside.reshape(-1), mask
        shape = tuple(int(most) + 1 for most in at.max(axis=0))
        flat = np.ravel_multi_index(tuple(at.T), shape)
        if (np.diff(flat) <= 0).any():  # in another order than a mask has: a list
            return Space((n,)), np.ones(n, bool), None
        inside = np.zeros(int(np.prod(shape)), bool)
        inside[flat] = True
        return Space(shape), inside, None

    @staticmethod
    def _regions(voxels: pd.DataFrame, inside: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of 0 and 1, spread over the space."""
        found = {}
        for name in voxels.columns.drop([*AXES, "voxel_id", "subject_id"], errors="ignore"):
            values = voxels[name].to_numpy()
            if np.isin(values, (0, 1)).all() and (values == 1).any():
                found[str(name)] = np.zeros(inside.shape, bool)
                found[str(name)][inside] = values == 1
        return found
