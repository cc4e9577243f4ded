"""LAION-fMRI (2026): GLMsingle's betas by session at 7T, five people, with published splits."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import open_hdf5
from neural_recon.core.tables import read_table
from neural_recon.core.texts import read_text
from neural_recon.datasets import volumes
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.importer import PICTURES, ImportedFolder, Importer, Space, bare

logger = logging.getLogger(__name__)

BETAS = "_task-images_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz"
TRIALS = "_task-images_desc-SingletrialBetas_trials.tsv"
MASK = "_task-images_space-T1w_desc-meanR2gt15mask_mask.nii.gz"
SUBJECTS = ("sub-01", "sub-03", "sub-05", "sub-06", "sub-07")
FOLDERS = ("derivatives/glmsingle-tedana", "derivatives/atlases")  # of subjects
STIMULI, NAMES = "task-images_stimuli.h5", "task-images_metadata.csv"


class LAIONfMRI(Importer):
    """LAION-fMRI."""

    terms = Terms("LAION-fMRI", "CC0", "https://laion-fmri.hebartlab.com/terms", responses=True)
    pictures_terms = "for non-commercial research alone, on request; not to be passed on"
    where = (
        "responses, masks and regions are fetched by --fetch --accept-terms, the pictures come on request "
        "(https://laion-fmri.hebartlab.com/request), the splits with the Python package laion-fmri "
        "(laion_fmri/splits/data)"
    )
    splits = (
        "tau", "ood", *(f"cluster_k5_{n}" for n in range(5)), *(f"random_{n}" for n in range(5)), "none",
    )  # fmt: skip

    def fill(self, out: ImportedFolder) -> Found:
        tables = []
        for path in self.files(f"sub-*_ses-*{BETAS}", f"betas, sub-01_ses-01{BETAS}"):
            subject, session = path.name.removesuffix(BETAS).split("_")
            out.link(path, f"betas/{path.name}")
            tables.append(self._trials(path, subject, session))
        rows = pd.concat(tables, ignore_index=True)
        subjects = list(rows["subject"].unique())
        for subject in subjects:
            [mask] = self.files(f"{subject}{MASK}", f"the mask of {subject}")[:1]
            out.link(mask, f"masks/{subject}.nii.gz")
            self._regions(out, subject, mask)
        rows = self._with_splits(rows)
        out.trials(rows)
        self._pictures(out, rows["image"])
        settings = {
            "betas": f"betas/{{subject}}_{{session}}{BETAS}",
            "units": "percent",
            "tuned": "of LAION-fMRI (GLMsingle's TYPED)",
            "mask": "masks/{subject}.nii.gz",
            "pictures": PICTURES,
            **out.regions.write(),
        }
        split = {"name": "all" if (rows["split"] != "").any() else "repeated"}
        notes = {
            "dataset.units": "GLMsingle's, shrunk by its ridge penalties",
            "split.name": f"the column split is the published split {self.split}; the others, as columns "
            "split_NAME, are taken by importing again with --split NAME",
        }
        return Found(settings, subjects, split, notes)

    def _trials(self, path: Path, subject: str, session: str) -> pd.DataFrame:
        """In the order of the volumes."""
        table = path.with_name(f"{subject}_{session}{TRIALS}")
        rows = read_table(table, ["run", "beta_index", "label"], "the trials of a session")
        rows = rows.sort_values("beta_index", ignore_index=True)
        if not np.array_equal(rows["beta_index"], np.arange(len(rows))):
            self.refuse(table, f"each volume from 0 to {len(rows) - 1} in beta_index", "others")
        known = {"subject": subject, "session": session, "trial": rows["beta_index"] + 1}
        return pd.DataFrame({**known, "image": rows["label"], "run": rows["run"]})

    def _with_splits(self, rows: pd.DataFrame) -> pd.DataFrame:
        """With a column per published split: those of each subject's pool, else of the shared images."""
        of = {}
        for name in self.splits[:-1]:
            column = pd.Series("", rows.index)
            for subject, mine in rows.groupby("subject", sort=False):
                found = sorted(self.source.rglob(f"{subject}/{name}.json"))
                for path in (found or sorted(self.source.rglob(f"shared/{name}.json")))[:1]:
                    [variant, *_] = json.loads(read_text(path, "a split"))["variants"]
                    for part in ("train", "test"):
                        inside = mine["image"].isin(variant[f"{part}_ids"])
                        column[mine.index[inside]] = part
            if (column != "").any():
                of[f"split_{name}"] = column
        asked = of.get(f"split_{self.split}", pd.Series("", rows.index))
        if of and self.split != "none" and not (asked != "").any():
            self.refuse(self.source, f"{self.split}.json for the subjects", f"others: {', '.join(of)}")
        return rows.assign(split=asked, **of)

    def _regions(self, out: ImportedFolder, subject: str, mask: Path) -> None:
        """The regions, in the axes RAS of the mask."""
        grid = volumes.read_grid(mask)
        members: dict[str, np.ndarray] = {}
        for path in sorted(self.source.rglob(f"atlases/{subject}/rois/**/*.nii.gz")):
            labelled = re.search("label-([^_]+)", path.name)
            name = labelled[1] if labelled else path.name.removesuffix(".nii.gz")
            # hemispheres may have files of their own
            inside = (volumes.read_labels(path, grid) > 0).reshape(-1)
            members[name] = inside | members.get(name, False)
        out.regions.add(subject, Space(grid.shape, grid.affine), members)

    def _pictures(self, out: ImportedFolder, names: pd.Series) -> None:
        """Of a folder, or of the archive: JPEG files as the entries of a dataset, which are written out."""
        archive = next(iter(self.source.rglob(STIMULI)), None)
        if archive is None:
            out.pictures(names, self)
            return
        places = {name: n for n, name in enumerate(pd.read_csv(archive.with_name(NAMES))["image_name"])}
        with open_hdf5(archive) as file:
            for name in sorted(set(names)):
                if name not in places:
                    self.refuse(archive.with_name(NAMES), "the names of all pictures", f"no {name}")
                place = out.path / PICTURES / f"{bare(name)}.jpg"
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(bytes(file["images"][places[name]]))

    @classmethod
    def fetch(cls, source: Path, subjects: Sequence[str]) -> None:
        from neural_recon.datasets.nsd.bucket import GB, Bucket, below, fetch_object  # boto3 takes long

        bucket = Bucket("laion-fmri", "us-west-2", "name another subject")
        there: dict[str, int] = {}
        for folder in (f"{base}/{subject}" for subject in subjects or SUBJECTS for base in FOLDERS):
            there |= {key: one.size for key, one in below(f"{folder}/", bucket).items()}
        wanted = {
            key: size for key, size in there.items() if key.endswith((BETAS, TRIALS, MASK)) or "/rois/" in key
        }
        missing = [key for key in wanted if not (source / key).exists()]
        size = sum(wanted[key] for key in missing) / GB
        logger.info("%d files to fetch, %.1f GB", len(missing), size)
        for key in missing:
            fetch_object(key, source / key, bucket)
