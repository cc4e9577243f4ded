"""CNeuroMod-THINGS: GLMsingle's betas, nested by session and run in one file per person, four people."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import open_hdf5
from neural_recon.core.tables import read_table
from neural_recon.core.texts import natural
from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder, Space, bare
from neural_recon.datasets.importer import Importer

NAME = re.compile(r"(sub-\d+)(_task-things_space-T1w_.*-trialBetas_.*statseries\.h5)")
EVENTS = re.compile(r"sub-\d+_ses-(\d+)_task-things\w*_run-(\d+)_events\.tsv")


class CNeuroModTHINGS(Importer):
    """CNeuroMod-THINGS."""

    terms = Terms(
        "CNeuroMod-THINGS", "CC0", "https://github.com/courtois-neuromod/cneuromod-things", responses=True
    )
    pictures_terms = "of THINGS, for research; not to be passed on (https://osf.io/jum2f)"
    where = (
        "responses (THINGS/glmsingle) and events (THINGS/fmriprep/sourcedata/things) come by datalad from "
        "https://github.com/courtois-neuromod/cneuromod-things, the pictures from https://osf.io/jum2f"
    )

    def fill(self, out: ImportedFolder) -> Found:
        files = self.files("sub-*-trialBetas_*statseries.h5", "single-trial betas, ...trialBetas...h5")
        tables, layouts = [], set()
        for path in files:
            found = NAME.fullmatch(path.name)
            if found is None:
                self.refuse(path, "betas called as sub-01_task-things_space-T1w_...", "another name")
            subject = found[1]
            with open_hdf5(path) as file:
                runs = _runs(file)
                if not runs or "mask_array" not in file:
                    self.refuse(path, "betas by session and run, and mask_array", ", ".join(file))
                space = Space(file["mask_array"].shape, np.asarray(file["mask_affine"]))
                inside = np.asarray(file["mask_array"]) > 0
            space.save(out.path / f"masks/{subject}{space.ending}", inside.astype(np.uint8))
            out.link(path, f"betas/{path.name}")
            tables.append(self._trials(subject, runs))
            layouts.add((found[2], len(next(iter(runs))[0])))
        if len(layouts) > 1:
            self.refuse(files[0].parent, "files of one layout", f"several: {layouts}")
        rows = out.trials(*tables)
        out.pictures(rows["image"], self)
        ending, width = layouts.pop()
        settings = {
            "betas": f"betas/{{subject}}{ending}",
            "dataset": f"{{session:0{width}}}/*/betas",
            "axes": "trials,voxels",
            # the time series were z-scored
            "units": "zscored" if "zscore" in ending else "arbitrary",
            "tuned": "of CNeuroMod-THINGS (GLMsingle's TYPED)",
            "mask": "masks/{subject}.nii.gz",
            "pictures": PICTURES,
        }
        notes = {"split.name": "there is no published test set: a share of the pictures, drawn by the seed"}
        return Found(settings, list(rows["subject"].unique()), {"name": "share"}, notes)

    def _trials(self, subject: str, runs: dict[tuple[str, str], int]) -> pd.DataFrame:
        """Of the runs that there are betas of, in their order in the file; some have none, and some sessions
        were held out of order, which changes how often an image was shown and nothing else."""
        events = {}
        for path in self.files(f"{subject}_ses-*_events.tsv", f"the events of {subject}"):
            if found := EVENTS.fullmatch(path.name):
                events[int(found[1]), int(found[2])] = path
        tables = []
        for (session, run), n in runs.items():
            if (int(session), int(run)) not in events:
                self.refuse(self.source, f"the events of {subject}, session {session}, run {run}", "none")
            path = events[int(session), int(run)]
            shown = read_table(path, ["image_path"], "the events of a run")
            self.counted(path, len(shown), n)
            rows = {
                "session": f"ses-{int(session):03}",
                "run": int(run),
                "image": shown["image_path"].map(bare),
            }
            kept = [name for name in ("repetition", "condition", "exclude_session") if name in shown]
            tables.append(pd.DataFrame({"subject": subject, **rows}).assign(**shown[kept]))
        table = pd.concat(tables, ignore_index=True)
        return table.assign(trial=table.groupby("session").cumcount() + 1)


def _runs(file: h5py.File) -> dict[tuple[str, str], int]:
    """The sessions and runs of a file, by their numbers, and how many trials each has."""
    found = {}
    for session in sorted(filter(str.isdigit, file), key=natural):
        for run in sorted(file[session], key=natural):
            found[session, run] = len(file[session][run]["betas"])
    return found
