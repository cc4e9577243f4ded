"""A lab's own data: a table of trials, single-trial betas, pictures; masks, regions, captions if any."""

from __future__ import annotations

import functools
import logging
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import FOLDER, all_there, mistake_of
from neural_recon.datasets import nifti
from neural_recon.datasets.dataset import AXES, Betas, DataSet, Found, Part, Terms
from neural_recon.datasets.table import betas, pictures, places, trial_rows
from neural_recon.datasets.table.arrays import Axes, Stated
from neural_recon.datasets.table.betas import Opened
from neural_recon.datasets.table.places import Places
from neural_recon.datasets.table.settings import TableSettings
from neural_recon.datasets.table.surfaces import is_surface

if TYPE_CHECKING:
    import pandas as pd

    from neural_recon.datasets.grids import Grid

logger = logging.getLogger(__name__)


class Table(DataSet):
    """A lab's own data: a table of trials, betas, pictures."""

    class Settings(TableSettings):
        """Where the lab's files lie; paths are relative to the folder."""

    @property
    def terms(self) -> Terms:
        own = self.settings
        title = own.title or f"the lab's own, in {own.folder}"
        return Terms(title, own.licence, own.address, own.share_responses)

    @classmethod
    def found_in(cls, folder: Path) -> Found:
        from neural_recon.datasets.table import look

        return look.look_at(folder)

    # --- who saw what

    def path(self, name: str, subject: str = "", session: str = "") -> Path:
        """A file of the lab's folder."""
        return Path(self.settings.folder) / trial_rows.filled_in(name, subject, session)

    def _each(self, name: str | list[str], subject: str) -> list[Path]:
        return [self.path(one, subject) for one in (name if isinstance(name, list) else [name])]

    def _files(self, name: str | list[str], subject: str) -> places.Files:
        found = self._each(name, subject)
        return tuple(found) if isinstance(name, list) else found[0]

    @functools.cached_property
    def _rows(self) -> pd.DataFrame:
        """As of `trial_rows.read_rows`; the names of its images must be pictures'."""
        path = self.path(self.settings.trials)
        return trial_rows.read_rows(path, self.settings.leave_out)

    @functools.cached_property
    def _names(self) -> list[str]:
        return pictures.picture_names(self._pictures)

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        """The image id of every name in the table of trials."""
        asked = sorted(set(self._rows["image"]) - {""})
        found = pictures.image_ids(self._names, asked)
        if absent := [name for name in asked if name not in found]:
            raise InputError(
                f"{self.path(self.settings.trials)}: expected images that are in {self._pictures}, found "
                f"{len(absent)} that are not, such as {absent[0]!r}; put them there, correct the names, or "
                "leave their trials out (dataset.leave_out)."
            )
        return found

    @property
    def subjects(self) -> list[str]:
        return list(dict.fromkeys(self._rows["subject"]))

    def _sessions(self, subject: str) -> dict[int, str]:
        return trial_rows.sessions_of(self._rows, subject)

    def sessions(self, subject: str) -> list[int]:
        """Those with a picture that is used; one of catch trials or imagery alone is none."""
        rows = self._rows[self._rows["image"] != ""]
        return sorted(trial_rows.sessions_of(rows, subject))

    def trials(self, subject: str, sessions: Sequence[int]) -> pd.DataFrame:
        """As of every data set, with the other columns of the table; image is the lab's own name.

        The images that test are those of the column split, if there is one.
        """
        rows = self._of(subject)
        rows = rows[rows["session"].isin(list(sessions))]
        # a table of several sessions in the order asked for
        rows = rows.iloc[np.argsort(rows["session"].map(list(sessions).index), kind="stable")]
        return trial_rows.own_trials(rows, self._ids, self._without_caption)

    def _of(self, subject: str) -> pd.DataFrame:
        if subject not in self.subjects:
            raise InputError(f"subject: expected one of {', '.join(self.subjects)}, found {subject!r}.")
        return self._rows[self._rows["subject"] == subject]

    # --- pictures

    @property
    def _pictures(self) -> Path:
        return self.path(self.settings.pictures)

    @property
    def n_images(self) -> int:
        return len(self._names)

    def image_names(self, image_ids: Sequence[int] | np.ndarray | pd.Series) -> list[str]:
        return [self._names[image_id] for image_id in image_ids]

    def pictures(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> np.ndarray:  # noqa: ARG002
        return pictures.read_pictures(self._pictures, image_ids, self.settings.size)

    @property
    def offers(self) -> frozenset[str]:
        return frozenset({"captions"} if self.settings.captions else ())

    @functools.cached_property
    def _captions(self) -> dict[int, list[str]]:
        return dict(pictures.read_captions(self.path(self.settings.captions), self._names))

    @property
    def _without_caption(self) -> set[int]:
        return set(self._ids.values()) - set(self._captions) if self.settings.captions else set()

    def captions(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> list[list[str]]:
        if not self.settings.captions:
            return super().captions(image_ids, empty_ok)
        absent = [image_id for image_id in image_ids if image_id not in self._captions]
        if absent and not empty_ok:
            raise InputError(
                f"{self.path(self.settings.captions)}: expected captions for every image, found none for "
                f"{self._names[absent[0]]!r} and {len(absent) - 1} more."
            )
        return [self._captions.get(int(image_id), []) for image_id in image_ids]

    # --- responses

    @property
    def unit(self) -> str:
        return betas.UNITS[self.settings.units or "percent"]

    @property
    def tuned(self) -> str:
        """GLMsingle's third and fourth models were tuned on repeated trials; files are named by model."""
        if self.settings.tuned is not None:
            return self.settings.tuned
        name = Path(self._patterns[0]).name
        return name if re.search("TYPE[CD]|GLMDENOISE", name, re.IGNORECASE) else ""

    def _stated(self, subject: str, session: int) -> Stated:
        own, called = self.settings, self._sessions(subject)[session]
        name = own.dataset and trial_rows.filled_in(own.dataset, subject, called)
        axes: Axes | None = own.axes or ("voxels,trials" if all(map(is_surface, self._patterns)) else None)
        return Stated(own.units, name, axes, own.pickles)

    @property
    def _patterns(self) -> list[str]:
        own = self.settings.betas
        return own if isinstance(own, list) else [own]

    @property
    def _by_session(self) -> bool:
        """Whether each session has betas of its own, as a file or in one."""
        return any("{session" in name for name in (*self._patterns, self.settings.dataset or ""))

    def _session(self, subject: str, session: int) -> list[Path]:
        return [self.path(name, subject, self._sessions(subject)[session]) for name in self._patterns]

    def _expected(self, subject: str, session: int) -> dict[int, np.ndarray]:
        """As of `trial_rows.expected_counts`."""
        rows = self._of(subject)
        if self._by_session:
            rows = rows[rows["session"] == session]
        return trial_rows.expected_counts(rows, session)

    def _first(self, subject: str) -> int:
        """The first session that is used."""
        chosen = (self.of.get(subject) or self.Subject()).sessions
        return min(chosen) if isinstance(chosen, list) else self.sessions(subject)[0]

    @functools.cache  # noqa: B019 - every session asks
    def _places(self, subject: str) -> Places:
        """Of the mask, or of the first session."""
        if self.settings.mask:
            return places.of_mask(self._files(self.settings.mask, subject), self.notes)
        session = self._first(subject)
        opened = self._open(subject, session)
        if opened.image is not None:
            return Places.of_volume(opened.path, opened.image, self.notes)
        return Places.of_array(opened.path, opened.space)

    @functools.cache  # noqa: B019 - a session may have to be read
    def _inside(self, subject: str) -> np.ndarray:
        """The voxels that are decoded from: bool, in the grid's axes."""
        found = self._places(subject)
        if self.settings.mask:
            return places.mask_of(self._files(self.settings.mask, subject), found)
        opened = self._open(subject, self._first(subject))
        inside = betas.varying(opened, found, self._stated(subject, self._first(subject)))
        logger.info("%s: %d of %d voxels vary and are taken", opened.path, inside.sum(), inside.size)
        return inside

    def _open(self, subject: str, session: int) -> Opened:
        spaces: list[tuple[int, ...]] = []
        if self.settings.mask:  # what it says holds of all sessions
            spaces = [self._places(subject).shape, (int(self._inside(subject).sum()),)]
        expected = self._expected(subject, session)
        path, *beside = self._session(subject, session)
        return betas.open_betas(path, self._stated(subject, session), expected, spaces, beside)

    def voxels(self, subject: str) -> pd.DataFrame:
        return places.voxel_table(
            self._inside(subject),
            self._places(subject),
            {atlas: self._files(name, subject) for atlas, name in self.settings.regions.items()},
            {atlas: self.path(name, subject) for atlas, name in self.settings.names.items()},
        )

    def betas(self, subject: str, session: int, table: pd.DataFrame) -> Betas:
        opened = self._open(subject, session)
        numbers = self.trials(subject, [session])["trial"].to_numpy()
        wanted = self._expected(subject, session)[opened.n_trials][numbers - 1]
        chosen = table[[axis for axis in AXES if axis in table]].to_numpy()
        stated = self._stated(subject, session)
        values = betas.read_betas(opened, self._places(subject), chosen, wanted, stated)
        about = {"source": str(opened.path), "stored": opened.in_words(), "unit": betas.UNITS[opened.units]}
        return Betas(values, about)

    def grid(self, subject: str) -> Grid | None:
        return self._places(subject).grid

    def cortex(self, subject: str) -> np.ndarray | None:
        """Nothing is known of cortex: voxels are drawn on white, where the header says how they lie."""
        grid = self.grid(subject)
        return None if grid is None or grid.affine is None else np.full(grid.shape, -1)

    # --- files

    def files(self, part: Part, subject: str = "", session: int = 0) -> dict[Path, str]:
        own = self.settings
        trials = {self.path(own.trials): "the table of trials"}
        stored = self._pictures.suffix in pictures.HDF5
        seen = {self._pictures: "the pictures" if stored else f"{FOLDER}pictures"}
        said = {self.path(self.settings.captions): "the captions"} if self.settings.captions else {}
        match part:
            case "trials":
                return {**trials, **seen, **said}
            case "pictures" | "lists":
                return seen
            case "captions":
                return {**seen, **said}
            case "voxels":
                labels = {
                    path: f"an atlas of {subject}"
                    for name in own.regions.values()
                    for path in self._each(name, subject)
                }
                names = {self.path(name, subject): "a table of regions" for name in own.names.values()}
                return {**self.files("grid", subject), **labels, **names}
            case "grid" | "cortex" if self.settings.mask:
                return dict.fromkeys(self._each(self.settings.mask, subject), f"the mask of {subject}")
            case "grid" | "cortex":
                return self._betas_file(subject, self._first(subject))
            case "betas":
                return {**self.files("grid", subject), **trials, **self._betas_file(subject, session)}
        return {}

    def _betas_file(self, subject: str, session: int) -> dict[Path, str]:
        what = f"session {session} of {subject}" if self._by_session else f"the betas of {subject}"
        return dict.fromkeys(self._session(subject, session), what)

    def decisive(self, part: Part) -> dict[str, Any]:
        of: dict[Part, tuple[str, ...]] = {
            "trials": ("leave_out",),
            "grid": ("dataset", "axes"),
            "voxels": ("dataset", "axes", "regions", "names"),
            "betas": ("dataset", "axes", "units", "leave_out"),
            "pictures": ("size",),
        }
        return {name: getattr(self.settings, name) for name in of.get(part, ())}

    @property
    def folder(self) -> Path:
        return Path(self.settings.folder)

    # --- before a run

    def mistakes(self, used: Sequence[np.ndarray]) -> Iterator[str]:
        for ids in used:
            found = list(mistake_of(partial(pictures.check_pictures, self._pictures, ids), [self._pictures]))
            yield from found
            if found:
                return

    def subject_mistakes(
        self,
        subject: str,
        sessions: Sequence[int],
        regions: Iterable[str],  # noqa: ARG002 - they are labels, which are read with the voxels
        ncsnr: bool,  # noqa: ARG002
        thorough: bool,
    ) -> Iterator[str]:
        rows = self._of(subject)
        if self.notes is not None:
            captionless = rows[rows["image"].map(self._ids).isin(list(self._without_caption))]
            self.notes.append(f"{self.path(self.settings.trials)}: {trial_rows.left_out(rows, captionless)}")
        if not all_there(self.files("grid", subject)):
            return
        for session in sessions:
            files = self._betas_file(subject, session)
            found = list(mistake_of(partial(self._look, subject, session), files))
            yield from found
            if thorough and not found:
                yield from mistake_of(partial(self.betas, subject, session, self.voxels(subject)), files)

    def _look(self, subject: str, session: int) -> None:
        """Look at a session without reading it."""
        opened = self._open(subject, session)
        if opened.image is not None:
            nifti.check_whole(opened.image)
            found = nifti.placed(
                opened.image, opened.shape, self.grid(subject), what="betas of the mask's volume"
            )
            found.say(logger, self.notes)

    def n_voxels(self, subject: str) -> int:
        """Of the mask, or as many as there are places."""
        if self.settings.mask:
            return int(self._inside(subject).sum())
        return math.prod(self._places(subject).shape)
