"""LAION-fMRI (2026): GLMsingle's betas by session at 7T, five people, with published splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.tables import read_table, write_table
from neural_recon.core.texts import read_json
from neural_recon.datasets import nifti, volumes
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder, Space
from neural_recon.datasets.importer import Importer

SUBJECTS = ("sub-01", "sub-03", "sub-05", "sub-06", "sub-07")
BETAS = "_task-images_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz"
TRIALS = "_task-images_desc-SingletrialBetas_trials.tsv"
MASK = "_task-images_space-T1w_desc-meanR2gt15mask_mask.nii.gz"
FITTED = "_task-images_space-T1w_stat-rsquare_desc-R2mean_statmap.nii.gz"  # 0 outside of the brain
STIMULI, NAMES, CAPTIONS = (
    f"task-images_{one}" for one in ("stimuli.h5", "metadata.csv", "desc-captions.csv")
)
# of regions, in two versions of the release; those on the grid of the localizers are passed over
ROIS, OTHER_GRID = ("atlases/{subject}/rois", "rois/{subject}"), "_res-1pt5_"
FETCHED = ("derivatives/glmsingle-tedana/{subject}/", *(f"derivatives/{one}/" for one in ROIS))


class LAIONfMRI(Importer):
    """LAION-fMRI."""

    terms = Terms("LAION-fMRI", "CC0", "https://laion-fmri.hebartlab.com/terms", responses=True)
    pictures_terms = "for non-commercial research alone, on request; not to be passed on"
    where = (
        "responses, regions and captions are fetched by --fetch --accept-terms, the pictures come on request "
        "(https://laion-fmri.hebartlab.com/request), the splits with the Python package laion-fmri "
        "(laion_fmri/splits/data)"
    )
    bucket = ("laion-fmri", "us-west-2")
    splits = (
        "tau", "ood", *(f"cluster_k5_{n}" for n in range(5)), *(f"random_{n}" for n in range(5)), "none",
    )  # fmt: skip

    def fill(self, out: ImportedFolder) -> Found:
        tables = []
        for path in self.files(f"sub-*_ses-*{BETAS}", f"betas, sub-01_ses-01{BETAS}"):
            subject, session = path.name.removesuffix(BETAS).split("_")
            out.link(path, f"betas/{path.name}")
            tables.append(self._trials(path, subject, session))
        rows = self._with_splits(pd.concat(tables, ignore_index=True))
        subjects = list(rows["subject"].unique())
        for subject in subjects:
            self._space(out, subject)
        out.trials(rows)
        archive = next(iter(self.matching(STIMULI)), None)
        if archive is None:
            out.pictures(rows["image"], self)
        else:
            named = read_table(archive.with_name(NAMES), ["image_name"], "the names of the pictures")
            out.unpacked(rows["image"], self, archive, list(named["image_name"]))
        settings = {
            "betas": f"betas/{{subject}}_{{session}}{BETAS}",
            "units": "percent",
            "tuned": "of LAION-fMRI (GLMsingle's TYPED)",
            "mask": "masks/{subject}.nii.gz",
            "pictures": PICTURES,
            **self._captions(out),
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
                found = self.matching(f"{subject}/{name}.json") or self.matching(f"shared/{name}.json")
                for path in found[:1]:
                    variant = read_json(path, "a published split")["variants"][0]
                    for part in ("train", "test"):
                        column[mine.index[mine["image"].isin(variant[f"{part}_ids"])]] = part
            if (column != "").any():
                of[f"split_{name}"] = column
        asked = of.get(f"split_{self.split}", pd.Series("", rows.index))
        if of and self.split != "none" and not (asked != "").any():
            self.refuse(self.source, f"{self.split}.json for the subjects", f"others: {', '.join(of)}")
        return rows.assign(split=asked, **of)

    def _space(self, out: ImportedFolder, subject: str) -> None:
        """The mask, or one of the voxels that were fitted; and the regions, in the axes RAS."""
        mask = next(iter(self.matching(f"{subject}{MASK}")), None)
        if mask is not None:
            out.link(mask, f"masks/{subject}.nii.gz")
        else:
            [mask] = self.files(f"{subject}{FITTED}", f"the mask of {subject}, or {subject}{FITTED}")[:1]
            image = nifti.open_nifti(mask)
            inside = np.nan_to_num(nifti.read_volume(image)) > 0
            Space(image.shape[:3], image.affine).save(
                out.path / f"masks/{subject}.nii.gz", inside.astype(np.uint8)
            )
        grid, members = volumes.read_grid(mask), {}
        folders = tuple(f"/{one.format(subject=subject)}/" for one in ROIS)
        for path in self.matching("*.nii.gz"):
            if any(folder in path.as_posix() for folder in folders) and OTHER_GRID not in path.name:
                labelled = re.search("label-([^_]+)", path.name)
                name = labelled[1] if labelled else path.name.removesuffix(".nii.gz")
                members[name] = (volumes.read_labels(path, grid) > 0).reshape(-1)
        out.regions.add(subject, Space(grid.shape, grid.affine), members)

    def _captions(self, out: ImportedFolder) -> dict[str, str]:
        """Those that people wrote; some pictures have one of a model besides."""
        path = next(iter(self.matching(CAPTIONS)), None)
        if path is None:
            return {}
        table = read_table(path, ["image_name", "source", "caption"], "the captions")
        table = table[table["source"] == "human"].rename(columns={"image_name": "image"})
        write_table(out.path / "captions.tsv", table[["image", "caption"]])
        return {"captions": "captions.tsv"}

    @classmethod
    def prefixes(cls, subjects: Sequence[str]) -> list[str]:
        of = [one.format(subject=subject) for subject in subjects or SUBJECTS for one in FETCHED]
        return [*of, f"stimuli/{CAPTIONS}"]

    @classmethod
    def wanted(cls, key: str) -> bool:
        region = "/rois/" in key and key.endswith(".nii.gz") and OTHER_GRID not in key
        return region or key.endswith((BETAS, TRIALS, MASK, FITTED, CAPTIONS))
