"""Other sessions of the same person, with the pictures seen: decoded by the decoders that a run kept.

A row is a picture and a group of trials (`groups`, such as vision and imagery), averaged over these. Of every
row there are the decoder's predictions, those of its control on shuffled pairs, and the true features.
Pictures that the decoder was trained on are left out: they are no test of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5, read_parameters, write_hdf5
from neural_recon.datasets import grids
from neural_recon.datasets.dataset import AXES, DATA_SETS
from neural_recon.decoding import kept_voxels
from neural_recon.evaluation.controls import training_pictures
from neural_recon.features import load as load_space
from neural_recon.generation.png_files import file_names
from neural_recon.responses.new_scans import NAME
from neural_recon.workflow.decode_scans import prepare

if TYPE_CHECKING:
    from neural_recon.config.sections import Generalisation
    from neural_recon.datasets.dataset import DataSet
    from neural_recon.decoding.decoder import Decoder
    from neural_recon.features.space import Space
    from neural_recon.generation.generator import Generator

logger = logging.getLogger(__name__)

ALL = "all"  # the group of data without groups
RUN_NUMBER = "run_number"  # what imports call the column run
ABSENT = 0.05  # share of a decoder's voxels that may be without signal in other sessions


@dataclass(frozen=True)
class Others:
    """Other sessions of one subject.

    Attributes:
        subject: who it is in the run, for messages.
        person: what the data set of the other sessions calls the same.
    """

    name: str
    how: Generalisation
    data: DataSet
    subject: str
    person: str

    @classmethod
    def of(cls, name: str, how: Generalisation, subject: str, person: str) -> Others:
        """The other sessions that a section of the configuration describes."""
        return cls(name, how, DATA_SETS.load(how.dataset.kind)(how.dataset, {}), subject, person)

    @property
    def key(self) -> str:
        """The section that says so."""
        return f"generalisation.{self.name}"

    def trials(self) -> pd.DataFrame:
        """The trials that are decoded, session by session: those of `DataSet.trials` with a column group.

        Raises:
            InputError: a column or a session is missing, or a group has fewer than two pictures.
        """
        table = pd.concat(
            [self.data.trials(self.person, [session]) for session in self.sessions], ignore_index=True
        )
        if "run" not in table and RUN_NUMBER in table:
            table = table.assign(run=table[RUN_NUMBER])
        wanted = [self.how.groups] if self.how.groups else []
        wanted += ["run"] if self.how.zscore == "run" else []
        for column in wanted:
            if column not in table:
                raise InputError(
                    f"{self.key}: expected the column {column} in the trials of {self.person}, found "
                    f"{', '.join(table)}."
                )
        group = table[self.how.groups].astype(str) if self.how.groups else ALL
        table = table.assign(group=group)
        if unfit := [name for name in table["group"].unique() if not NAME.fullmatch(name)]:
            raise InputError(
                f"{self.key}.groups: expected names of letters, digits, '.', '_' and '-' in the column "
                f"{self.how.groups}, as they name folders, found {unfit[0]!r}."
            )
        for name, count in table.groupby("group")["image_id"].nunique().items():
            if count < 2:
                raise InputError(
                    f"{self.key}: expected at least 2 pictures in every group, as scores compare them, found "
                    f"{count} in {name}; leave its trials out, or set no groups."
                )
        return table

    @property
    def sessions(self) -> list[int]:
        there = self.data.sessions(self.person)
        if self.how.sessions == "all":
            return there
        if absent := sorted(set(self.how.sessions) - set(there)):
            raise InputError(
                f"{self.key}.sessions: expected some of {', '.join(map(str, there))}, found {absent[0]}."
            )
        return sorted(set(self.how.sessions))

    def places(self, voxels: pd.DataFrame, kept: Path) -> pd.DataFrame:
        """Where a decoder's voxels lie in the other sessions, as a table that `DataSet.betas` takes.

        Args:
            voxels: of the run (`voxels/SUBJECT.parquet`).
            kept: the file of what the decoder's voxels are (`kept_voxels`).

        Raises:
            InputError: the other sessions lie on another grid, or too many of the decoder's voxels are none
                there: they are another person's.
        """
        positions, grid = read_hdf5(kept, "x_y_z")["x_y_z"].astype(np.int64), kept_voxels.grid(kept)
        there = self.data.grid(self.person)
        whose = "a decoder is applied to the voxels of its own subject alone"
        if (there is None) != ("y" not in voxels):
            found = ("no volume", "one") if there is None else ("a volume", "none")
            raise InputError(
                f"{self.key}: expected responses of {self.person} at the voxels of the decoder of "
                f"{self.subject}, found {found[0]} where its own lie in {found[1]}; {whose}."
            )
        if there is None:
            rows = np.ravel_multi_index(tuple(positions.T), tuple(grid.shape))
            table = voxels.iloc[rows][["x"]].reset_index(drop=True)
        else:
            try:
                placement = grids.place(
                    there.source, there.shape, there.affine, grid, what=f"the volume of {self.subject}"
                )
            except InputError as error:
                raise InputError(f"{self.key}: {str(error).removesuffix('.')}; {whose}.") from error
            table = pd.DataFrame(placement.indices(positions), columns=AXES)
        known = self.data.voxels(self.person)[list(table)]
        absent = len(table) - len(table.merge(known.drop_duplicates(), on=list(table)))
        if absent > ABSENT * len(table):
            raise InputError(
                f"{self.key}: expected the {len(table)} voxels of the decoder of {self.subject} among the "
                f"{len(known)} of {self.person}, found {absent} that are not; {whose}."
            )
        if absent:
            logger.warning("%d of %d voxels of the decoder are none of %s", absent, len(table), self.person)
        return table

    def not_trained_on(self, rows: pd.DataFrame, training: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Which rows show a picture that the decoder was not trained on, bool (n,); the others' names.

        Args:
            rows: of `rows_of`.
            training: of the training pictures, what `training_pictures.small` makes of them.

        Raises:
            InputError: a group has fewer than two pictures left.
        """
        ids = rows["image_id"].unique()
        known = ids[training_pictures.among(training_pictures.small(self.data.pictures, ids), training)]
        names = self.data.image_names(known) or [f"image {image_id}" for image_id in known]
        new = ~rows["image_id"].isin(known)
        for group, count in new.groupby(rows["group"], sort=False).sum().items():
            if count < 2:
                raise InputError(
                    f"{self.key}: expected at least 2 pictures in every group that the decoder of "
                    f"{self.subject} was not trained on, found {count} in {group}, as {len(names)} are "
                    f"training pictures, such as {names[0]}; scores of these would not show that it "
                    "generalises: take other sessions, leave the group's trials out, or keep the pictures "
                    "from training (split.train, split.test)."
                )
        if names:
            said = f"{len(names)} pictures that the decoder was trained on are left out"
            logger.warning("%s: %s: %s", self.key, said, ", ".join(names))
        return new.to_numpy(), names

    def read(self, table: pd.DataFrame, places: pd.DataFrame) -> np.ndarray:
        """The responses float32 (n_trials, p) of `trials` at `places`."""
        betas = [self.data.betas(self.person, session, places).values for session in self.sessions]
        found = np.concatenate(betas)
        if len(found) != len(table):
            raise InputError(f"{self.key}: expected {len(table)} trials of betas, found {len(found)}.")
        return found


def rows_of(table: pd.DataFrame, most: int | None) -> tuple[pd.DataFrame, pd.Series]:
    """What is decoded: the rows (group, image_id, trials), by group and picture; and of the trials that are
    averaged (by their places) the row of each.

    Args:
        table: of `Others.trials`.
        most: trials per row, the first.
    """
    key = ["group", "image_id"]
    groups = list(dict.fromkeys(table["group"]))
    used = table if most is None else table[table.groupby(key).cumcount() < most]
    rows = used.groupby(key).size().rename("trials").reset_index()
    rows = rows.iloc[np.lexsort([rows["image_id"], rows["group"].map(groups.index)])].reset_index(drop=True)
    number = {(one.group, one.image_id): n for n, one in enumerate(rows.itertuples())}
    which = [number[pair] for pair in zip(used["group"], used["image_id"], strict=True)]
    return rows, pd.Series(which, used.index)


def predict(
    others: Others,
    decoder: Decoder,
    kept: Mapping[str, Sequence[Path]],
    voxels: pd.DataFrame,
    training: np.ndarray,
) -> tuple[pd.DataFrame, dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """The rows of other sessions, and the features predicted for them: by fit and space, float32 (n, width).

    Args:
        kept: of each space the file of its voxels, its decoder and its control.
        training: as of `Others.not_trained_on`.

    Returns:
        Also what is worth noting of how the responses were prepared.

    Raises:
        InputError: what `Others` refuse, or no voxel has signal.
    """
    table, zscore = others.trials(), others.how.zscore
    rows, which = rows_of(table, others.how.trials)
    new, left_out = others.not_trained_on(rows, training)
    fits: dict[str, dict[str, np.ndarray]] = {"decoded": {}, "shuffled": {}}
    read: dict[bytes, np.ndarray] = {}
    about: dict[str, Any] = {}
    for shared in dict.fromkeys(paths[0] for paths in kept.values()):
        places = others.places(voxels, shared)
        key = places.to_numpy().tobytes()
        if key not in read:
            read[key] = others.read(table, places)
        trained = read_parameters(shared)["zscore"]
        taken = zscore or trained
        parts = table["run"].astype(str).to_numpy() if taken == "run" else table["session"].to_numpy()
        if taken == "run":  # runs of several sessions may share their numbers
            parts = table["session"].astype(str).to_numpy() + " " + parts
        ready = prepare(read[key], read_hdf5(shared, "mean", "std"), trained, taken, which, parts)
        # they come in the order of their first trials; z-scores are those of all, whatever they show
        values = ready.rows[np.argsort(np.asarray(ready.names, int))][new]
        mine = {space: paths for space, paths in kept.items() if paths[0] == shared}
        for fit, place in (("decoded", 1), ("shuffled", 2)):
            files = {space: paths[place] for space, paths in mine.items()}
            fits[fit] |= decoder.predict_kept(shared, files, values, rows.loc[new, "image_id"].to_numpy())
        about = {
            "zscore": taken, "trained": trained, "not_finite": ready.not_finite, "constant": ready.constant,
            "voxels": read[key].shape[1], "left_out": left_out,
        }  # fmt: skip
    rows = rows[new].reset_index(drop=True)
    names = others.data.image_names(rows["image_id"])
    return (rows if names is None else rows.assign(image=names)), fits, about


def true_features(
    data: DataSet, spaces: Mapping[str, Space.Settings], image_ids: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """The features float32 (n, width) of pictures, of every space that the data set has what it reads."""
    ids, found = np.unique(image_ids), {}
    back = np.searchsorted(ids, image_ids)
    for name, settings in spaces.items():
        space = load_space(name, settings, seed)
        if space.reads == "captions" and "captions" not in data.offers:
            logger.info("%s: not computed, as there are no captions of these pictures", name)
            continue
        batch = data.pictures(ids) if space.reads == "pictures" else data.captions(ids)
        found[name] = np.asarray(space.encode(batch, ids), np.float32)[back]
    return found


def painted(
    generator: Generator,
    features: Mapping[str, np.ndarray],
    base: Space | None,
    image_ids: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """Base images and final pictures of features, as far as there are the features that they take."""
    found: dict[str, np.ndarray] = {}
    if base is not None and base.name in features:
        pictures = base.pictures(features[base.name])
        if pictures is not None:
            found["base"] = pictures
    roles, lacks_base = generator.settings.guides.values(), generator.settings.base and "base" not in found
    if not lacks_base and all(space in features for space in roles):
        found["final"] = generator.paint_from(found.get("base"), features, image_ids, seed)
    return found


def write(
    path: str | Path,
    rows: pd.DataFrame,
    features: Mapping[str, np.ndarray],
    pictures: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
) -> None:
    """Write what there is of one fit: `image_id`, `group`, the pictures `base` and `final`, and the features
    of each space as `features_SPACE`, float16."""
    largest = np.finfo(np.float16).max
    arrays = {
        f"features_{space}": np.clip(one, -largest, largest).astype(np.float16)
        for space, one in features.items()
    }
    ids = {"image_id": rows["image_id"].to_numpy(), "group": rows["group"].to_numpy(str)}
    write_hdf5(path, {**ids, **pictures, **arrays}, about)


def decoded(
    others: Others,
    decoder: Decoder,
    kept: Mapping[str, Sequence[Path]],
    voxels: pd.DataFrame,
    spaces: Mapping[str, Space.Settings],
    base: str | None,
    generator: Generator,
    seed: int,
    training: np.ndarray,
) -> tuple[pd.DataFrame, dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]]]:
    """The rows, and what `write` takes of each fit: decoded, shuffled and true_features.

    Args:
        kept, voxels, training: as of `predict`.
        spaces: settings with the paths of their weights.
        base: the space whose pictures are the base images.
    """
    rows, fits, about = predict(others, decoder, kept, voxels, training)
    ids = rows["image_id"].to_numpy()
    fits["true_features"] = true_features(others.data, spaces, ids, seed)
    space = load_space(base, spaces[base], seed) if base else None
    return rows, {
        fit: (features, painted(generator, features, space, ids, seed), {**about, "fit": fit})
        for fit, features in fits.items()
    }


def kinds_of_pictures(path: str | Path, rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The pictures of a file of `write` for `png_files.write_folder`: a folder per group and kind.

    Args:
        rows: of the file, with the names of images, if these have any.
    """
    arrays = read_hdf5(path)
    once = rows.drop_duplicates("image_id")
    called = file_names(once["image_id"].tolist(), once["image"].tolist() if "image" in once else None)
    return {
        f"{group}/{kind}": {
            "image_id": [called[image_id] for image_id in mine["image_id"]],
            "images": arrays[kind][mine.index],
        }
        for group, mine in rows.groupby("group", sort=False)
        for kind in ("base", "final")
        if kind in arrays
    }
