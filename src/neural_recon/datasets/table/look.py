"""What lies in a lab's folder: the settings that read it, and what had to be concluded from looks.

Nothing here is needed to read data: it writes a first configuration, whose notes a person checks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_recon.core import file_kinds
from neural_recon.core.errors import InputError
from neural_recon.core.tables import read_table
from neural_recon.datasets import nifti, splits
from neural_recon.datasets.dataset import Found
from neural_recon.datasets.response_units import TYPICAL, typical_size
from neural_recon.datasets.table import arrays, betas, path_patterns, pictures, places, trial_rows
from neural_recon.datasets.table.arrays import Stated, Units
from neural_recon.datasets.table.betas import Opened
from neural_recon.datasets.table.places import Places
from neural_recon.datasets.table.surfaces import SURFACES, is_surface

if TYPE_CHECKING:
    import pandas as pd

OF_LABELS = (*places.NIFTI, places.NPY, *SURFACES)
OF_BETAS = (*OF_LABELS, *arrays.HDF5, arrays.MATLAB)
NO_PICTURE = ("catch", "blank", "null", "fixation", "rest")  # values of a column that say so
LARGEST = 425  # pixels; NSD's pictures, which published decoders are made for
SAMPLE = 200  # voxels that units are concluded from
ANY = Stated(units="arbitrary")  # to look at a file without reading it


class Looker:
    """A lab's folder, with what was found so far."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.settings: dict[str, Any] = {"kind": "table", "folder": str(folder)}
        self.notes: dict[str, str] = {}
        self.tables = {path: _columns(path) for path in self._files((".tsv",))}

    def _files(self, endings: tuple[str, ...]) -> list[Path]:
        found = (path for path in sorted(self.folder.rglob("*")) if path.name.lower().endswith(endings))
        return [path for path in found if path.is_file() and not path.name.startswith(".")]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _note(self, key: str, text: str) -> None:
        self.notes[f"dataset.{key}"] = text

    def trials(self) -> pd.DataFrame:
        """The table of trials, and which of them show no picture.

        Raises:
            InputError: there is none, or several.
        """
        found = [path for path, names in self.tables.items() if set(trial_rows.COLUMNS) <= names]
        found = [path for path in found if path.name == "trials.tsv"] or found
        if len(found) != 1:
            said = ", ".join(map(self._name, found)) or "none"
            raise InputError(
                f"{self.folder}: expected {trial_rows.WHAT}, as trials.tsv, found {said}; write one row "
                "per trial."
            )
        self.settings["trials"] = self._name(found[0])
        rows = trial_rows.read_rows(found[0], {})
        for name in rows.columns.drop([*trial_rows.COLUMNS, "session_name", "trial", "blank"]):
            values = [value for value in rows[name].unique() if str(value).lower() in NO_PICTURE]
            if values:
                self.settings.setdefault("leave_out", {})[name] = values
        left = self.settings.get("leave_out")
        if not left:
            return rows
        text = "; ".join(f"{', '.join(values)} in the column {name}" for name, values in left.items())
        self._note("leave_out", f"taken for trials without a picture to decode: {text}")
        return trial_rows.read_rows(found[0], left)

    def pictures(self, rows: pd.DataFrame) -> Mapping[str, int]:
        """Where the pictures of the table lie, their image ids and their size.

        Raises:
            InputError: none of them lies anywhere.
        """
        asked = sorted(set(rows["image"]) - {""})
        best: tuple[int, int] = (0, 0)
        known: Mapping[str, int] = {}
        for place in self._picture_places():
            try:
                ids = pictures.image_ids(pictures.picture_names(place), asked)
            except InputError:
                continue
            if (len(ids), len(place.parts)) > best:
                best, known = (len(ids), len(place.parts)), ids
                self.settings["pictures"] = self._name(place)
        if not known:
            raise InputError(
                f"{self.folder}: expected the pictures that {self.settings['trials']} names, such as "
                f"{asked[0]!r}, in a folder or an HDF5 file, found none; put them there."
            )
        absent = [name for name in asked if name not in known]
        if absent:
            self._note(
                "pictures",
                f"images of the trials that are not there: {len(absent)}, such as {absent[0]!r}; put them "
                "there, or name them in leave_out, under image",
            )
        side = pictures.smallest_side(self.folder / self.settings["pictures"])
        self.settings["size"] = max(8, min(side, LARGEST))
        self._note(
            "size", f"the shortest side of any picture is {side} pixels; pictures are cropped to squares"
        )
        return known

    def _picture_places(self) -> list[Path]:
        files = self._files(pictures.SUFFIXES)
        folders = {parent for file in files for parent in file.parents if parent.is_relative_to(self.folder)}
        return [*sorted(folders), *self._files(pictures.HDF5)]

    def captions(self) -> None:
        """A table of captions, if there is one."""
        found = [path for path, names in self.tables.items() if {"image", "caption"} <= names]
        if found:
            self.settings["captions"] = self._name(found[0])
        else:
            self._note("captions", "none found: recipes that read captions cannot be used")

    def betas(self, rows: pd.DataFrame) -> tuple[list[str], Opened | None]:
        """The pattern of the files of betas: which subjects have any, and one of them, if it opens.

        Raises:
            InputError: no file opens as betas of the trials.
        """
        pairs = list(rows[["subject", "session_name", "session"]].drop_duplicates().itertuples(index=False))
        found: dict[str, tuple[list[str], Opened | None]] = {}  # a subject per session
        seen: set[tuple[Path, ...]] = set()
        refused = ""
        for pattern in path_patterns.patterns(map(self._name, self._files(OF_BETAS)), pairs):
            filled = tuple(self._filled(pattern, pair.subject, pair.session_name) for pair in pairs)
            there = [pair for pair, path in zip(pairs, filled, strict=True) if path.is_file()]
            if not there or filled in seen:  # another name of the same files
                continue
            seen.add(filled)
            first = there[0]
            mine = rows[rows["subject"] == first.subject]
            if "{session" in pattern:
                mine = mine[mine["session"] == first.session]
            counts = trial_rows.expected_counts(mine, first.session)
            path = self._filled(pattern, first.subject, first.session_name)
            of = [pair.subject for pair in there]
            if file_kinds.look(path).kind == file_kinds.OBJECTS:
                found[pattern] = of, None
                continue
            try:
                found[pattern] = of, betas.open_betas(path, ANY, counts)
            except InputError as error:
                if not refused or "trials" in str(error):
                    refused = str(error)
        if not found:
            more = f" ({refused.rstrip('.')})" if refused else ""
            raise InputError(
                f"{self.folder}: expected files of betas, one per session or subject, with the subject's "
                f"name in their path, found none that opens as such{more}."
            )

        # GLMsingle's files of four models: the last is the whole of it
        def rank(one: str) -> tuple[int, bool, int]:
            of, opened = found[one]
            return len(of) if opened is not None else 0, "TYPED" in one, -len(one)

        pattern = max(found, key=rank)
        of, opened = found[pattern]
        both = path_patterns.hemispheres(pattern)
        if opened is not None and both is not None and set(both) <= set(found):
            opened = self._beside(both, opened)
            found = {name: one for name, one in found.items() if name not in both} | {pattern: found[pattern]}
        else:
            self.settings["betas"] = pattern
        remarks = [f"also there: {', '.join(sorted(set(found) - {pattern}))}"] if len(found) > 1 else []
        if opened is None:
            remarks.append(
                "pickled, so that no mask was looked for: set pickles to true if these files are your own"
            )
        if len(of) < len(pairs):
            remarks.append(f"{len(pairs) - len(of)} of {len(pairs)} sessions of the trials have no such file")
        subjects = list(dict.fromkeys(of))
        if absent := [name for name in rows["subject"].unique() if name not in subjects]:
            remarks.append(f"subjects left out, as they have none: {', '.join(absent)}")
        if remarks:
            self._note("betas", "; ".join(remarks))
        return subjects, opened

    def _beside(self, both: tuple[str, str], opened: Opened) -> Opened:
        """Both hemispheres' files as one, of the session that was opened."""
        names = path_patterns.hemispheres(self._name(opened.path)) or ()
        left, right = (self.folder / name for name in names)
        self.settings["betas"] = list(both)
        if not is_surface(both[0]):
            self.settings["axes"] = opened.axes
        stated = Stated(units="arbitrary", axes=opened.axes or None)
        return betas.open_betas(left, stated, [opened.n_trials], beside=[right])

    def _filled(self, pattern: str, subject: str, session: str = "") -> Path:
        return self.folder / trial_rows.filled_in(pattern, subject, session)

    def units(self, opened: Opened) -> None:
        """What one file's numbers look like."""
        if opened.name in arrays.GLMSINGLE:
            self.settings["units"] = "percent"
            return
        units, why = units_of(_some(opened), opened.dtype)
        self.settings["units"] = units
        self._note("units", f"not said by the files: {why}. Set what they are")

    def regions(self, opened: Opened, subjects: Sequence[str], everyone: Sequence[str]) -> None:
        """Mask and labels of regions: whole numbers in the space of the betas, the same for every subject.

        Args:
            everyone: subjects whose names files may have, those without betas included.
        """
        space = _space(opened)
        masks: list[tuple[int, str, str | list[str]]] = []
        labels: dict[str, str | list[str]] = {}
        names = map(self._name, self._files(OF_LABELS))
        every = dict.fromkeys(path_patterns.with_subject(name, everyone) for name in names)
        for pattern in every:
            taken = self.settings["betas"]
            if pattern in (taken if isinstance(taken, list) else [taken]) or "{session" in pattern:
                continue
            both = path_patterns.hemispheres(pattern)
            paired = both is not None and set(both) <= set(every)
            if both is not None and paired and pattern == both[1]:
                continue  # the left one's
            each = list(both) if both is not None and paired else [pattern]
            files = [[self._filled(one, subject) for one in each] for subject in subjects]
            if not all(path.is_file() for paths in files for path in paths):
                continue
            try:
                inside = places.mask_of(tuple(files[0]) if len(each) > 1 else files[0][0], space)
            except InputError:
                continue  # another space, or a map of other values
            value: str | list[str] = each if paired else pattern
            name = path_patterns.without_hemisphere(Path(pattern).name) if paired else Path(pattern).name
            stem = re.sub(r"(?i:sub[a-z]*[-_]?)?\{subject\}", "", name.partition(".")[0])
            if re.search("mask|brain", stem, re.IGNORECASE):
                masks.append((int(inside.sum()), pattern, value))
            else:
                atlas = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_").lower() or "regions"
                labels[atlas] = value
        if masks:
            self.settings["mask"] = min(masks)[2]
            if len(masks) > 1:
                several = ", ".join(sorted(name for _, name, _ in masks))
                self._note("mask", f"the smallest of several: {several}")
        else:
            self._note("mask", "none found: all voxels that vary are decoded from")
        if labels:
            self.settings["regions"] = labels
            called = {
                atlas: self._name(path) for atlas in labels for path, names in self.tables.items()
                if names & set(places.LABELS) and names & set(places.NAMES) and atlas in path.stem.lower()
            }  # fmt: skip
            self.settings["names"] = called
            bare = sorted(set(labels) - set(called))
            if bare:
                self._note("names", f"no table of names found for {', '.join(bare)}: called by number")

    def split(self, rows: pd.DataFrame, ids: Mapping[str, int]) -> dict[str, Any]:
        """The split that suits all subjects."""
        found = []
        for _, mine in rows[rows["image"].isin(list(ids))].groupby("subject", sort=False):
            found.append(splits.recommended(trial_rows.own_trials(mine, ids)))
        names = {settings["name"] for settings, _ in found}
        differ: tuple[dict[str, Any], str] = (
            {"name": "share"},
            "subjects differ in whether images were repeated",
        )
        settings, why = found[0] if len(names) == 1 else differ
        self.notes["split.name"] = why
        return settings


def look_at(folder: Path) -> Found:
    """The settings that read a lab's folder.

    Raises:
        InputError: there is no table of trials, no picture or no file of betas that goes with it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a lab's folder, found none; name the folder with its files.")
    looker = Looker(folder)
    rows = looker.trials()
    ids = looker.pictures(rows)
    looker.captions()
    subjects, opened = looker.betas(rows)
    if opened is not None:
        looker.units(opened)
        looker.regions(opened, subjects, list(rows["subject"].unique()))
    split = looker.split(rows[rows["subject"].isin(subjects)], ids)
    return Found(looker.settings, subjects, split, looker.notes)


def _columns(path: Path) -> set[str]:
    """The columns of a table, none of a file that is none."""
    try:
        return set(map(str, read_table(path, nrows=0)))
    except InputError:
        return set()


def _some(opened: Opened) -> np.ndarray:
    """All trials of a file at some voxels that vary, (n_trials, n)."""
    size = math.prod(opened.shape)
    chosen = np.sort(np.random.default_rng(0).permutation(size)[: 50 * SAMPLE])
    values = np.empty((opened.n_trials, len(chosen)), np.float32)
    if opened.image is not None:
        for row, stored in zip(values, nifti.each_volume(opened.image), strict=True):
            row[:] = opened.convert(stored[chosen])
    else:
        stated = Stated(units="arbitrary", axes=opened.axes or None)
        for trials, columns, block in betas.blocks(opened, stated):
            inside = np.flatnonzero((chosen >= columns.start) & (chosen < columns.stop))
            values[trials, inside] = block[:, chosen[inside] - columns.start]
    there = np.isfinite(values).all(axis=0) & (values.max(axis=0) > values.min(axis=0))
    return values[:, np.flatnonzero(there)[:SAMPLE]]


def units_of(values: np.ndarray, dtype: np.dtype) -> tuple[Units, str]:
    """What responses (n_trials, n_voxels) of some voxels look like, and why."""
    if not values.size:
        return "arbitrary", "no voxel varies"
    spread = values.std(axis=0)
    if (np.abs(spread - 1) < 0.1).all() and (np.abs(values.mean(axis=0)) < 0.1).all():
        return "zscored", "every voxel has mean 0 and standard deviation 1, as z-scores have"
    median = typical_size(values)
    if dtype.kind == "i" and TYPICAL[0] <= median / 300 <= TYPICAL[1]:
        return (
            "percent_x300",
            f"integers with a median size of {median:.3g}, as percent signal change x 300 has",
        )
    if TYPICAL[0] <= median <= TYPICAL[1]:
        return "percent", f"their median size is {median:.3g}, as percent signal change has"
    return "arbitrary", f"their median size is {median:.3g}, unlike percent signal change"


def _space(opened: Opened) -> Places:
    if opened.image is not None:
        return Places.of_volume(opened.path, opened.image, [])
    return Places.of_array(opened.path, opened.space)
