"""The Algonauts Project 2023 (Gifford et al. 2023): NSD on the surface, mean responses to pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.arrays import open_array
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder, Space
from neural_recon.datasets.importer import Importer
from neural_recon.datasets.nsd.nsd_tree import REGIONS

SIDES = ("lh", "rh")
PICTURE = re.compile(r"train-(\d+)_(nsd-\d+)")


class Algonauts2023(Importer):
    """The Algonauts Project 2023."""

    terms = Terms(
        "The Algonauts Project 2023 (Gifford et al. 2023), made from the Natural Scenes Dataset",
        "under NSD's terms and conditions",
        "https://naturalscenesdataset.org",
    )
    pictures_terms = "of COCO, as NSD has them"
    where = (
        "the challenge data (subj01 to subj08) come after NSD's terms have been accepted: "
        "https://algonautsproject.com/2023/challenge.html"
    )

    def fill(self, out: ImportedFolder) -> Found:
        tables: list[pd.DataFrame] = []
        pictures: dict[str, Path] = {}
        for left in self.files("subj*/training_split/training_fmri/lh_training_fmri.npy", "responses"):
            folder = left.parents[2]
            subject, lengths, names = folder.name, {}, self._pictures(folder)
            for side in SIDES:
                path = left.with_name(f"{side}_training_fmri.npy")
                values = open_array(path, f"responses of {side}")
                self.counted(path, len(names), len(values))
                lengths[side] = values.shape[1]
                out.link(path, f"betas/{subject}_{path.name}")
            pictures |= names
            out.regions.add(subject, Space((sum(lengths.values()),)), self._regions(folder, lengths))
            shown = {"session": 1, "trial": range(1, len(names) + 1), "image": list(names)}
            tables.append(pd.DataFrame({"subject": subject, **shown}))
        rows = out.trials(*tables)
        for name, path in pictures.items():
            out.link(path, f"{PICTURES}/{name}{path.suffix}")
        settings = {
            "betas": [f"betas/{{subject}}_{side}_training_fmri.npy" for side in SIDES],
            "axes": "trials,voxels",
            "units": "zscored",
            "tuned": "of the Algonauts Project 2023",
            "pictures": PICTURES,
            **out.regions.write(),
        }
        notes = {
            "split.name": "responses to the challenge's test pictures were not given out: a share of the "
            "pictures, drawn by the seed; they were averaged over repetitions, so that there is no noise "
            "ceiling",
        }
        return Found(settings, list(rows["subject"].unique()), {"name": "share"}, notes)

    def _pictures(self, folder: Path) -> dict[str, Path]:
        """By name, in the order of the responses. Subjects have files of their own, and NSD's number tells
        which are the same picture."""
        found = []
        for path in (folder / "training_split/training_images").glob("*.png"):
            if name := PICTURE.fullmatch(path.stem):
                found.append((int(name[1]), name[2], path))
        found.sort()
        if not found or [number for number, _, _ in found] != list(range(1, len(found) + 1)):
            self.refuse(folder, "pictures train-0001_nsd-....png, numbered through", f"{len(found)}")
        return {name: path for _, name, path in found}

    def _regions(self, folder: Path, lengths: dict[str, int]) -> dict[str, np.ndarray]:
        """The labels of both hemispheres, one behind the other, called as NSD calls them: what mapping_*.npy
        say is pickled, and is not opened."""
        members = {}
        for atlas, names in REGIONS.items():
            paths = [folder / f"roi_masks/{side}.{atlas}_challenge_space.npy" for side in SIDES]
            if not all(path.exists() for path in paths):
                continue
            labels = [open_array(path, "labels of vertices") for path in paths]
            for path, values, side in zip(paths, labels, SIDES, strict=True):
                if values.shape != (lengths[side],):
                    self.refuse(path, f"a label for each of {lengths[side]} vertices", f"{values.shape}")
            both = np.concatenate(labels)
            for name, label in names.items():
                known = sum(name in of for of in REGIONS.values()) > 1  # as mTL, of three atlases
                members[f"{atlas} {name}" if known else name] = both == label
        return members
