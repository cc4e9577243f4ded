"""BOLD5000, release 2 (Chang et al. 2019; Prince et al. 2022): GLMsingle's betas by session, four people."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.texts import read_text
from neural_recon.datasets import nifti
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder, Space
from neural_recon.datasets.importer import Importer

# GLMsingle's four models as the files are called, the best first; the second is misspelt
MODELS = ("TYPED-FITHRF-GLMDENOISE-RR", "TYPEC-FITHRF-GLMDENOISE", "TYBEB-FITHRF", "TYPEB-FITHRF",
          "TYPEA-ASSUMEHRF")  # fmt: skip
NAME = re.compile(r"(CSI\d)_GLMbetas-(.+)_ses-(\d+)\.nii\.gz")


class BOLD5000(Importer):
    """BOLD5000, release 2."""

    terms = Terms(
        "BOLD5000 (Chang et al. 2019), release 2", "CC0", "https://bold5000-dataset.github.io", responses=True
    )
    pictures_terms = "of COCO, ImageNet and SUN, under terms of their own; not to be passed on"
    where = (
        "betas, masks and lists of names (CSI1_imgnames.txt) are at https://doi.org/10.1184/R1/14456124, the "
        "pictures at https://bold5000-dataset.github.io, regions in derivatives/spm of OpenNeuro's ds001499"
    )

    def fill(self, out: ImportedFolder) -> Found:
        files = self.files("CSI*_GLMbetas-*_ses-*.nii.gz", "betas, CSI1_GLMbetas-TYPED-..._ses-01.nii.gz")
        matches = [(path, found) for path in files if (found := NAME.fullmatch(path.name))]
        model = next((one for one in MODELS if any(found[2] == one for _, found in matches)), None)
        if model is None:
            self.refuse(files[0], f"one of GLMsingle's models, {', '.join(MODELS)}", "another")
        sessions: dict[str, dict[int, Path]] = {}
        for path, found in matches:
            if found[2] == model:
                sessions.setdefault(found[1], {})[int(found[3])] = path
        tables = []
        for subject, of in sessions.items():
            tables.append(self._trials(subject, of))
            for path in of.values():
                out.link(path, f"betas/{path.name}")
            first = next(iter(of.values()))
            space = self._space(out, subject, first)
        rows = out.trials(*tables)
        # original and presented pictures come in folders of their own
        out.pictures(rows["image"], self, first="Presented")
        settings = {
            "betas": f"betas/{{subject}}_GLMbetas-{model}_ses-{{session:02}}.nii.gz",
            "units": "percent",
            "tuned": f"of BOLD5000 ({model})" if "GLMDENOISE" in model else "",
            "mask": f"masks/{{subject}}{space.ending}",
            "pictures": PICTURES,
            **out.regions.write(),
        }
        notes = {
            "responses.zscore": "what those who published the betas advise, as these drift between sessions",
            "split.name": "the images that were shown three or four times, 113 in all sessions",
        }
        return Found(
            settings, list(sessions), {"name": "repeated"}, notes, {"responses": {"zscore": "session"}}
        )

    def _trials(self, subject: str, sessions: dict[int, Path]) -> pd.DataFrame:
        """The list of names, which has all sessions one behind the other, cut by their numbers of volumes."""
        [path] = self.files(f"{subject}_imgnames.txt", f"the names of the pictures of {subject}")[:1]
        names = read_text(path, "names of pictures").split("\n")
        names = [name.strip() for name in names if name.strip()]
        counts = {session: nifti.open_nifti(file).shape[3] for session, file in sessions.items()}
        if list(counts) != list(range(1, len(counts) + 1)) or sum(counts.values()) > len(names):
            self.refuse(
                path, f"sessions from the first on without a gap, and names of their {sum(counts.values())} "
                "trials", f"the sessions {', '.join(map(str, counts))} and {len(names)} names"
            )  # fmt: skip
        ends = list(itertools.accumulate(counts.values()))
        tables = []
        for (session, n), end in zip(counts.items(), ends, strict=True):
            shown = names[end - n : end]
            rows = {"session": f"ses-{session:02}", "trial": range(1, n + 1), "image": shown}
            tables.append(pd.DataFrame({"subject": subject, **rows}))
        return pd.concat(tables)

    def _space(self, out: ImportedFolder, subject: str, betas: Path) -> Space:
        """Mask and regions, written with the header of the betas: that of the published betas has another
        origin than the masks', and the same voxels."""
        [mask] = self.files(f"{subject}_brainmask.nii.gz", f"the mask of {subject}")[:1]
        image = nifti.open_nifti(betas)
        affine, shape = image.affine, image.shape[:3]
        space = Space(shape, nifti.open_nifti(mask).affine if affine is None else affine)
        space.save(out.path / f"masks/{subject}{space.ending}", self._inside(mask, shape).astype(np.uint8))
        members = {}
        for path in self.matching(f"sub-{subject}_mask-*.nii.gz"):
            members[region(path.name)] = self._inside(path, shape).reshape(-1)
        out.regions.add(subject, space, members)
        return space

    def _inside(self, path: Path, shape: tuple[int, ...]) -> np.ndarray:
        inside = nifti.read_volume(nifti.open_nifti(path)) > 0
        if inside.shape != tuple(shape):
            self.refuse(path, f"the volume {tuple(shape)} of the betas", str(inside.shape))
        return inside


def region(name: str) -> str:
    """The region of a mask such as sub-CSI2_mask-LHLO.nii.gz; some are misspelt in two of the subjects."""
    found = name.rpartition("mask-")[2].removesuffix(".nii.gz")
    return {"LHLO": "LHLOC", "RHLO": "RHLOC", "RHRRSC": "RHRSC"}.get(found, found)
