"""The Natural Scenes Dataset as MindEye2 (Scotti et al. 2024) prepared it: hub data set `pscotti/mindeyev2`.

Responses of the mask nsdgeneral without their places, z-scored per session already; every trial of the images
that all subjects saw tests (`new_test`), the others train.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import open_hdf5
from neural_recon.core.refusals import mistake_of
from neural_recon.datasets import mindeye_files
from neural_recon.datasets.dataset import Betas, DataSet, Part, Size
from neural_recon.datasets.kinds.nsd import IMAGES_DESIGNED, NSD, TERMS, TYPICAL_VOXELS
from neural_recon.datasets.nsd.nsd_tree import N_IMAGES, N_SHARED, SESSIONS, TRIALS_PER_SESSION, read_captions
from neural_recon.models.weights import HUB, Download

if TYPE_CHECKING:
    import pandas as pd

SOURCE = f"{HUB}datasets/pscotti/mindeyev2"
REGION = "nsdgeneral"  # which all voxels are of
UNIT = "z-score of the session"  # of the betas
PICTURES = "coco_images_224_float16.hdf5"
PICTURE_BYTES = 2 * 3 * 224**2


class MindEyePrepared(DataSet):
    """The prepared files, as their hub names them."""

    class Settings(DataSet.Settings):
        """Where the prepared files lie."""

        folder: str = Field(
            description="Folder of the prepared files, as on the hub: betas_all_subj01_fp32_renorm.hdf5, "
            f"wds/subj01/train/0.tar, wds/subj01/new_test/0.tar, {PICTURES}."
        )
        accept_terms: bool = Field(
            False,
            description=f"Whether you have read and accept NSD's terms ({TERMS}), from which the files are "
            "made: then those that are needed and not there are fetched.",
        )
        captions: str | None = Field(
            None,
            description="NSD's captions (COCO_73k_annots_curated.npy); without them there are no captions.",
        )

    terms = NSD.terms

    # --- who saw what

    @property
    def subjects(self) -> list[str]:
        """NSD's, and whoever else there are betas of."""
        pattern = re.compile(r"betas_all_(\w+)_fp32_renorm\.hdf5")
        found = (pattern.fullmatch(path.name) for path in sorted(self.folder.glob("betas_all_*")))
        return list(dict.fromkeys([*SESSIONS, *(match[1] for match in found if match)]))

    def sessions(self, subject: str) -> list[int]:
        """Those with a tar of training trials; all that NSD has where they are fetched, or none is there."""
        found = [path.stem for path in self._wds(subject, "train").glob("*.tar")]
        there = sorted(int(stem) + 1 for stem in found if stem.isdecimal())
        fetched = self.settings.accept_terms and subject in SESSIONS
        return list(range(1, SESSIONS.get(subject, 1) + 1)) if fetched or not there else there

    def trials(self, subject: str, sessions: Sequence[int]) -> pd.DataFrame:
        """As of every data set, with the column row, of the betas."""
        import pandas as pd

        test_tar = self._test(subject)
        test, parts = self._shown(test_tar), []
        for session in sessions:
            path = self._train(subject, session)
            train = self._shown(path)
            if (other := train[train[:, 1] != session, 1]).size:
                raise InputError(
                    f"{path}: expected trials of session {session}, as tar files count from 0, found some of "
                    f"session {other[0]}; get it again."
                )
            both = np.concatenate([train, test[test[:, 1] == session]])
            part = pd.DataFrame(both, columns=["image_id", "session", "row"])
            part = part.assign(shared=np.arange(len(both)) >= len(train)).sort_values("row")
            parts.append(part.assign(trial=np.arange(1, len(part) + 1)))
        table = pd.concat(parts, ignore_index=True)
        if (twice := table.loc[table["row"].duplicated(), "row"]).size:
            raise InputError(
                f"{test_tar}: expected each row of betas in one trial of {subject}, found {twice.iloc[0]} in "
                f"two, here or in {self._wds(subject, 'train')}; get them again."
            )
        trained = table.loc[~table["shared"], "image_id"]
        if (leaked := table.loc[table["shared"] & table["image_id"].isin(trained), "image_id"]).size:
            raise InputError(
                f"{test_tar}: expected images that {self._wds(subject, 'train')} has not, found image "
                f"{leaked.iloc[0]} in both; get them again."
            )
        count = self.n_images
        if (outside := table.loc[table["image_id"] >= count, "image_id"]).size:
            raise InputError(
                f"{self._wds(subject)}: expected image ids within 0 to {count - 1}, as many pictures as "
                f"{self._pictures} has, found {outside.iloc[0]}; get the whole of that file."
            )
        return table[["session", "trial", "image_id", "shared", "row"]]

    @functools.cache  # noqa: B019 - a tar takes a second, and many ask
    def _shown(self, path: Path) -> np.ndarray:
        return mindeye_files.read_shown(path)

    # --- pictures and captions

    @property
    def n_images(self) -> int:
        """As the file of pictures has; NSD's where it is still to come, or wrong: who reads it says so."""
        try:
            return self._count_pictures()
        except InputError:
            return N_IMAGES

    def _count_pictures(self) -> int:
        with open_hdf5(self._pictures) as file:
            return len(mindeye_files.open_pictures(self._pictures, file))

    def pictures(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> np.ndarray:
        return mindeye_files.read_pictures(self._pictures, image_ids, empty_ok)

    @property
    def offers(self) -> frozenset[str]:
        return frozenset({"captions"} if self.settings.captions else ())

    def captions(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> list[list[str]]:
        if self.settings.captions is None:
            return super().captions(image_ids, empty_ok)
        return read_captions(self.settings.captions, image_ids, empty_ok)

    def lists(self, subject: str) -> tuple[str, ...]:
        return (subject,)

    def list_ids(self, name: str) -> np.ndarray:
        """The images of a subject, in all sessions that are there."""
        return np.unique(self.trials(name, self.sessions(name))["image_id"])

    # --- responses

    @property
    def unit(self) -> str:
        return UNIT

    def voxels(self, subject: str) -> pd.DataFrame:
        import pandas as pd

        path = self._betas(subject)
        with open_hdf5(path) as file:
            return pd.DataFrame({REGION: [REGION] * mindeye_files.open_betas(path, file).shape[1]})

    def betas(self, subject: str, session: int, table: pd.DataFrame) -> Betas:
        path, rows = self._betas(subject), self.trials(subject, [session])["row"].to_numpy()
        values = mindeye_files.read_betas(path, rows, len(table))
        return Betas(values, {"source": str(path), "unit": UNIT})

    # --- files

    @property
    def folder(self) -> Path:
        return Path(self.settings.folder)

    @property
    def _pictures(self) -> Path:
        return self.folder / PICTURES

    def _betas(self, subject: str) -> Path:
        return self.folder / f"betas_all_{subject}_fp32_renorm.hdf5"

    def _wds(self, subject: str, *names: str) -> Path:
        return self.folder.joinpath("wds", subject, *names)

    def _train(self, subject: str, session: int) -> Path:
        return self._wds(subject, "train", f"{session - 1}.tar")

    def _test(self, subject: str) -> Path:
        return self._wds(subject, "new_test", "0.tar")

    def files(self, part: Part, subject: str = "", session: int = 0) -> dict[Path, str]:
        betas = {self._betas(subject): f"the betas of {subject}"}
        test = {self._test(subject): f"the test trials of {subject}"}
        match part:
            case "pictures":
                return {self._pictures: "the pictures"}
            case "captions" if self.settings.captions:
                return {Path(self.settings.captions): "the captions"}
            case "voxels":
                return betas
            case "betas":
                return {**betas, **self._training(subject, [session]), **test}
            case "trials":
                return {**self._training(subject, self.sessions(subject)), **test}
            case "lists" if subject:
                return self.files("trials", subject)
        return {}

    def _training(self, subject: str, sessions: Sequence[int]) -> dict[Path, str]:
        return {self._train(subject, n): f"the training trials of session {n} of {subject}" for n in sessions}

    def decisive(self, part: Part) -> dict[str, Any]:  # noqa: ARG002
        """Where files lie says all."""
        return {}

    # --- fetching

    def hint(self, path: Path) -> str:
        if self._name(path) is None:
            return "is dataset.captions right?"
        return (
            f"is dataset.folder right? Or to fetch it, read NSD's terms at {TERMS} and set "
            "dataset.accept_terms: true."
        )

    def _name(self, path: Path) -> str | None:
        """A file's name on the hub; None: it comes from elsewhere."""
        own = path.is_relative_to(self.folder) and str(path) != self.settings.captions
        return path.relative_to(self.folder).as_posix() if own else None

    def fetches(self, path: Path) -> bool:
        return self.settings.accept_terms and self._name(path) is not None

    def download(self, name: str) -> Download:
        """What fetching a file takes."""
        terms = f"made from NSD, whose terms hold ({TERMS})"
        return Download(source=SOURCE, revision="main", terms=terms, path=name)

    def names(self, missing: Iterable[Path]) -> list[str]:
        """Those of some files that come from the hub, as it names them."""
        return [name for name in map(self._name, missing) if name is not None]

    def fetch_for_planning(self, missing: Iterable[Path]) -> None:
        """Fetch the tars, which say who saw what."""
        from neural_recon.models.fetch import fetch

        for name in self.names(missing):
            if name.endswith(".tar"):
                fetch(self.download(name), self.folder / name)

    def downloads(self, missing: Iterable[Path]) -> tuple[dict[str, int], str]:
        """About how many bytes, by subject and "shared"."""
        paths = set(missing)
        sizes = {"shared": N_IMAGES * PICTURE_BYTES} if self._pictures in paths else {}
        for subject, sessions in SESSIONS.items():
            if self._betas(subject) in paths:
                sizes[subject] = 4 * TYPICAL_VOXELS * TRIALS_PER_SESSION * sessions
        return sizes, ""

    # --- before a run

    def mistakes(self, used: Sequence[np.ndarray]) -> Iterator[str]:
        yield from mistake_of(self._count_pictures, self.files("pictures"))
        for ids in used if self.settings.captions else ():
            yield from mistake_of(partial(self.captions, ids), self.files("captions"))

    def subject_mistakes(
        self,
        subject: str,
        sessions: Sequence[int],
        regions: Iterable[str],  # noqa: ARG002
        ncsnr: bool,  # noqa: ARG002
        thorough: bool,
    ) -> Iterator[str]:
        """On the betas: that they have a row for each trial, and with `thorough` that all are numbers."""
        path, files = self._betas(subject), {**self.files("voxels", subject), **self.files("trials", subject)}

        def has_rows() -> None:
            rows = self.trials(subject, sessions)["row"].to_numpy()
            with open_hdf5(path) as file:
                mindeye_files.check_rows(path, mindeye_files.open_betas(path, file), rows)

        def are_numbers() -> None:
            for session in sessions:
                self.betas(subject, session, self.voxels(subject))

        # what is wrong with trials is said of these
        found = [text for text in mistake_of(has_rows, files) if text.startswith(str(path))]
        yield from found
        if thorough and not found:
            yield from (text for text in mistake_of(are_numbers, files) if text.startswith(str(path)))

    def size(self, subject: str, sessions: Sequence[int]) -> Size:
        trials = TRIALS_PER_SESSION * len(sessions)
        return Size(trials, N_SHARED, {subject: min(IMAGES_DESIGNED, trials)})

    def n_voxels(self, subject: str) -> int:
        """As many as there are betas of, or about as many as NSD's subjects have."""
        try:
            return super().n_voxels(subject)
        except InputError:
            return TYPICAL_VOXELS
