"""NSD-Imagery: pictures seen and imagined, one session of every subject of NSD, to test decoders on.

Whether a run's betas are in the order of its trials or grouped by item is disputed: the responses to the
items seen decide (`nsd.trial_order`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neural_recon.datasets import volumes
from neural_recon.datasets.dataset import Found
from neural_recon.datasets.imported_folder import PICTURES, ImportedFolder
from neural_recon.datasets.importer import Importer
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.datasets.nsd import betas, imagery_files, nsd_tree, other_sessions, trial_order
from neural_recon.datasets.nsd.imagery_files import EXPERIMENT, SETS, VISION
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.datasets.nsd.other_sessions import BUCKET

logger = logging.getLogger(__name__)

BY_TRIAL, BY_ITEM = "in the order of its trials", "grouped by item"


class NSDImagery(Importer):
    """NSD-Imagery."""

    terms = NSD.terms
    pictures_terms = "under NSD's terms, not to be passed on"
    where = (
        "the files of NSD-Imagery lie in NSD's bucket, in folders whose names have nsdimagery in them, the "
        "masks in nsddata/ppdata; SOURCE is the tree that they lie in"
    )
    bucket = BUCKET
    generalisation: ClassVar[Mapping[str, Any]] = {"groups": "task", "zscore": "run"}

    def fill(self, out: ImportedFolder) -> Found:
        found = other_sessions.responses(self, "nsdimagery")
        items = {name: imagery_files.read_items(self.source, name) for name in SETS}
        tables = {subject: imagery_files.read_runs(self.source, subject) for subject in found.files}
        first = next(iter(tables.values()))
        designed = {
            name: imagery_files.design_order(self.source, first, items[name], f"vis{name}") for name in SETS
        }
        grouped = {name: items[name] if one is None else one for name, one in designed.items()}
        cues = {
            subject: {
                BY_TRIAL: table["cue"].to_numpy(),
                BY_ITEM: imagery_files.by_item(table, grouped),
            }
            for subject, table in tables.items()
        }
        order, why = self._decided(found.files, tables, cues)
        pictures = self._pictures(items)
        for subject, table in tables.items():
            table["cue"] = cues[subject][order]
            seen = table["task"] != "attention"
            table["image"] = table["cue"].map(lambda cue: pictures[cue].name if cue in pictures else "")
            table["image"] = table["image"].where(seen, "")
        found.link(out, self)
        out.trials(*tables.values())
        for path in pictures.values():
            out.link(path, f"{PICTURES}/{path.name}")
        said = f"a run's betas are taken to be {order}: {why}"
        notes = {"dataset.trials": said, "dataset.betas": found.note}
        if order == BY_ITEM and any(one is None for one in designed.values()):
            notes["dataset.trials"] += (
                "; the order of the items is that of their numbers, as the design does not say it"
            )
        split = {"name": "share", "share": 0.5}  # for decoders that are fitted here
        return Found({**found.settings, "pictures": PICTURES}, list(found.files), split, notes)

    @classmethod
    def prefixes(cls, subjects: Sequence[str]) -> list[str]:
        trials = [f"nsddata/bdata/nsdimagery/nsdimagery_{one}_" for one in subjects or nsd_tree.SESSIONS]
        return [*other_sessions.prefixes("nsdimagery", subjects), *trials]

    def _pictures(self, items: Mapping[str, pd.DataFrame]) -> dict[str, Path]:
        """Cue -> its picture, of the sets that have pictures."""
        folder = self.source / EXPERIMENT / "rawtargetimages"
        there = {path.name: path for path in sorted(folder.rglob("*.png"))}
        named = {
            letter: next((there[name] for name in (target, f"{target}.png") if name in there), None)
            for table in items.values()
            for target, letter in zip(table["target"], table["letter"], strict=True)
        }
        if absent := [letter for name in "AB" for letter in items[name]["letter"] if named[letter] is None]:
            self.refuse(folder, "the pictures of the sets A and B", f"none of the cues {', '.join(absent)}")
        return {letter: path for letter, path in named.items() if path is not None}

    def _decided(
        self,
        files: Mapping[str, Path],
        tables: Mapping[str, pd.DataFrame],
        cues: Mapping[str, Mapping[str, np.ndarray]],
    ) -> tuple[str, str]:
        """The order that the responses of all subjects to what they saw are in, and what says so."""
        runs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {BY_TRIAL: [], BY_ITEM: []}
        for subject, path in files.items():
            mask = Tree(self.source).mask(subject)
            inside = volumes.read_labels(mask, notes=[]) > 0
            values = betas.read_betas(path, inside, grid=volumes.read_grid(mask, notes=[]), published=False)
            self.counted(path, len(tables[subject]), len(values))
            for name in VISION:
                rows = np.flatnonzero(tables[subject]["run_name"] == name)
                for one, of in cues[subject].items():
                    runs[one].append((values[rows], of[rows]))
        found = {name: trial_order.evidence(each) for name, each in runs.items()}
        said = "; ".join(
            f"{name}, trials of an item seen correlate by {one.fit:.3f} more than others do (p {one.p:.3f}), "
            f"and {one.identified:.0%} of the items are found again in the other half of their repetitions "
            f"(chance {one.chance:.0%})"
            for name, one in found.items()
        )
        logger.info("%s", said)
        if (order := trial_order.decided(found)) is None:
            self.refuse(
                self.source, "responses that tell in which order a run's betas are, by one order alone", said
            )
        return order, said
