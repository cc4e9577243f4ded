"""Decode scans that were not in the experiment with the decoders a run kept (`ridge.keep`)."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from neural_recon import __version__, decoders, generators, models, nsd, recording, weights
from neural_recon.betas import doubtful_units, open_betas, units_of
from neural_recon.config import Config
from neural_recon.config_sections import SPACES
from neural_recon.errors import InputError
from neural_recon.file_kinds import HDF5, MATLAB, NUMPY, look
from neural_recon.files import read_hdf5, read_parameters, read_table, write_hdf5, write_text
from neural_recon.grids import Grid
from neural_recon.pictures import write_folder, write_sheet
from neural_recon.reconstruct import base_images
from neural_recon.refusals import is_there, refusal, require_file

logger = logging.getLogger(__name__)

Zscore = Literal["train", "session"]
ROWS = 10  # fewer give no mean and spread of a session
SHEET = 12  # pictures on the sheet, the first ones
UNCONDITIONAL = Path("features/unconditional.h5")  # in the results
BETAS = (".nii.gz", ".nii", ".hdf5", ".h5")
ARRAYS = (".npy",)
TABLES = (".tsv", ".parquet")
OWN_ORDER = "none: the decoder's voxels in their order"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a condition: it becomes a file's


@dataclass(frozen=True)
class Prepared:
    """Responses ready for a decoder."""

    rows: np.ndarray  # float32 (n, p), z-scored
    names: list[str]  # (n,): row numbers from 1, or conditions
    trials: list[int]  # (n,): how many trials each row is the mean of
    not_finite: int  # voxels set to 0
    constant: int


@dataclass(frozen=True)
class New:
    """New responses, and how they were taken from their file."""

    values: np.ndarray  # float32 (n_trials, p), percent signal change
    units: str
    axes: str


def read_responses(path: str | Path, positions: np.ndarray, volume: Grid | tuple[int, ...]) -> np.ndarray:
    """New responses in percent signal change, float32 (n_trials, p): the values of `new_responses`."""
    return new_responses(path, positions, volume).values


def new_responses(path: str | Path, positions: np.ndarray, volume: Grid | tuple[int, ...]) -> New:
    """New responses in percent signal change, and how they were taken.

    Args:
        path: betas as NSD writes them (sessions of NSD-synthetic and NSD-imagery too), or as floats or
            scaled integers on the same grid, any number of trials; an array (`.npy`), (trials, voxels) in
            the order of `positions` or (x, y, z, trials) of the decoder's volume; or a table, one row a
            trial and one column a voxel, in the order of `positions`.
        positions: (p, 3) places x, y, z of the decoder's voxels, in C order, in a `volume` of that shape.

    Raises:
        InputError: a file that is missing, cut short, of another grid or number of voxels, of a type that
            says nothing of its units, or not numbers.
    """
    path, grid = Path(path), Grid.of(volume)
    if path.name.endswith(BETAS):
        mask = np.zeros(grid.shape, bool)
        mask[tuple(positions.T)] = True
        found = open_betas(path, grid, published=False)
        return New(nsd.read_betas(path, mask, grid=grid, published=False), found.units, found.axes)
    if path.suffix in ARRAYS:
        new = _read_array(path, positions, grid)
    elif path.suffix in TABLES:
        new = New(_read_rows(path, len(positions)), "percent signal change, as stored", OWN_ORDER)
    else:
        require_file(path, "new responses")
        raise InputError(
            f"{path}: expected betas ({', '.join(BETAS)}), an array ({', '.join(ARRAYS)}) or a table "
            f"({', '.join(TABLES)}); {_way_out(path)}."
        )
    logger.info("%s: %d trials, %d voxels; %s; axes: %s", path, *new.values.shape, new.units, new.axes)
    if doubt := doubtful_units(path, new.values, new.units):
        logger.warning("%s", doubt)
    return new


def _way_out(path: Path) -> str:
    """How responses in another format become an array that is taken."""
    save = "save its responses as an array: numpy.save('betas.npy', "
    kind = look(path).kind
    if kind == "npz":
        return f"{save}numpy.load(FILE)[NAME])"
    if kind == MATLAB:
        return f"{save}scipy.io.loadmat(FILE)[NAME]), such as NAME betasmd of GLMsingle"
    if kind == HDF5:  # where MATLAB's axes come reversed
        return f"{save}h5py.File(FILE)[NAME][()].T), such as NAME betasmd of GLMsingle"
    return "save the responses in one of these"


def _read_array(path: Path, positions: np.ndarray, grid: Grid) -> New:
    """Responses of a `.npy` file; nothing pickled is ever loaded."""
    array = _open_array(path)
    units, percent = units_of(path, array.dtype)
    p = len(positions)
    if array.ndim == 2 and array.shape[1] == p and len(array):
        return New(percent(array), units, OWN_ORDER)
    if array.ndim == 4 and array.shape[:3] == tuple(grid.shape) and array.shape[3]:
        values = array[tuple(positions.T)].T
        return New(percent(values), units, "an array names none, taken as those of the decoder's mask")
    raise InputError(
        f"{path}: expected (trials, {p}), the decoder's voxels in their order, or (x, y, z, trials) with the "
        f"volume {tuple(grid.shape)}, found {array.shape}{_cure(array.shape, p, grid.shape)}."
    )


def _cure(shape: tuple[int, ...], p: int, volume: tuple[int, ...]) -> str:
    """What would make an array of responses fit, as the end of a sentence, where that can be told."""
    volume = tuple(volume)
    if len(shape) >= 2 and shape[0] == p and all(n == 1 for n in shape[1:-1]):
        return f"; save it with a row for each trial: betas.reshape({p}, -1).T"
    if shape == (p,):
        return "; save one trial as a row: betas[numpy.newaxis]"
    if shape == volume:
        return "; save one trial with a fourth axis: betas[..., numpy.newaxis]"
    if len(shape) == 4 and shape[1:] == volume:
        return "; save it with the trials last: numpy.moveaxis(betas, 0, -1)"
    if len(shape) == 4 and shape[::-1][:3] == volume:
        return "; save it with its axes reversed: betas.T"
    return ""


def _open_array(path: Path) -> np.ndarray:
    """The array of a `.npy` file, still on disk."""
    require_file(path, "an array (.npy)")
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a broken header raises many kinds
        if (said := refusal(path, error, "an array (.npy)")) is not None:
            raise said from error
        found = look(path)
        if found.kind == "objects":
            raise InputError(
                f"{path}: expected an array of numbers, found pickled Python objects, such as GLMsingle's "
                "TYPED_....npy, which are not opened here as they could run any program; where you trust the "
                "file, take the responses out of it: numpy.save('betasmd.npy', "
                "numpy.load(FILE, allow_pickle=True).item()['betasmd'])."
            ) from error
        reason = str(error) if found.kind == NUMPY else found.text
        raise InputError(
            f"{path}: expected a whole array as numpy.save writes it, found another kind of file, or one "
            f"that is cut short ({reason}); write it again."
        ) from error


def _read_rows(path: Path, n_voxels: int) -> np.ndarray:
    """Responses of a table, float32 (n_trials, n_voxels)."""
    table = read_table(path, what="a whole table")
    if table.shape[1] != n_voxels or not len(table):
        raise InputError(
            f"{path}: expected a header, rows of trials and {n_voxels} columns, one for each voxel of "
            f"the decoder, found {len(table)} rows and {table.shape[1]} columns."
        )
    if path.suffix == ".tsv" and _numbers(table.columns):
        raise InputError(
            f"{path}: expected a header of voxels' names, found numbers such as {table.columns[0]}: "
            "a trial would be lost; put a line of names before the first trial."
        )
    try:
        return table.to_numpy(np.float32)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: expected numbers only, found others ({error}).") from error


def _numbers(names: pd.Index) -> bool:
    """Whether column names are numbers, other than those from 0 or 1 on: a trial in the header's place."""
    values = pd.to_numeric(pd.Series(names.astype(str)), errors="coerce")
    counted = any((values == np.arange(first, first + len(values))).all() for first in (0, 1))
    return bool(values.notna().all()) and not counted


def read_conditions(path: str | Path, n_trials: int) -> pd.Series:
    """Trials (from 0) and their conditions of a TSV with the columns trial (from 1) and condition.

    Raises:
        InputError: no such table, a trial that the responses do not have or that comes twice, or a condition
            that cannot name a file.
    """
    table = read_table(path, dtype=str, keep_default_na=False)
    if not {"trial", "condition"} <= set(table) or not len(table):
        raise InputError(
            f"{path}: expected rows with the columns trial and condition, "
            f"found {len(table)} rows with {', '.join(map(str, table))}."
        )
    trials = pd.to_numeric(table["trial"], errors="coerce")
    outside, again = ~trials.isin(range(1, n_trials + 1)), trials.duplicated()
    if (outside | again).any():
        found = f"{table['trial'][outside | again].iloc[0]}{'' if outside.any() else ' again'}"
        raise InputError(f"{path}: expected each trial once and within 1 to {n_trials}, found {found}.")
    unfit = [name for name in table["condition"] if not (isinstance(name, str) and NAME.fullmatch(name))]
    if unfit:
        raise InputError(
            f"{path}: expected conditions of letters, digits, '.', '_' and '-', as they name files, "
            f"found {unfit[0]!r}."
        )
    return pd.Series(table["condition"].to_numpy(), trials.astype(int) - 1)


def prepare(
    betas: np.ndarray,
    shared: dict[str, np.ndarray],
    trained: Zscore,
    zscore: Zscore,
    conditions: pd.Series | None = None,
) -> Prepared:
    """Average the trials of a condition and z-score.

    A decoder of responses that were z-scored over all training images takes new rows by the training images'
    mean and std ("train"), or by those over the new rows ("session", after averaging). A decoder whose
    training sessions were each z-scored by themselves wants the same of the new one: by its single trials,
    then averages by the training images.

    Args:
        betas: (n_trials, p) percent signal change.
        shared: `mean` and `std` (p,) of the training images.
        trained: how the training responses were z-scored (`responses.zscore`).
        conditions: of trials (its index, from 0); the others are left out. Default: every trial is a row.

    Voxels that are not numbers in a trial, or the same in all, are 0 in every row.

    Raises:
        InputError: no voxel with signal, fewer than 10 rows to z-score a session by, or "train" for a decoder
            of sessions z-scored by themselves.
    """
    if trained == "session" and zscore == "train":
        raise InputError(
            "--zscore train: expected a decoder of responses z-scored over all sessions, found one trained "
            "with responses.zscore session; use --zscore session."
        )
    betas = betas.astype(np.float64)
    not_finite = ~np.isfinite(betas).all(axis=0)
    constant = ~not_finite & (np.ptp(np.where(not_finite, 0, betas), axis=0) == 0) & (len(betas) > 1)
    unusable = not_finite | constant
    for count, what in ((not_finite.sum(), "not a number in a trial"), (constant.sum(), "constant")):
        if count:
            logger.warning("%d of %d voxels set to 0: %s", count, len(unusable), what)
    if unusable.all():
        raise InputError(f"responses: expected voxels with signal, found none among {len(unusable)}.")
    betas[:, unusable] = 0

    if zscore == "session" and trained == "session":
        betas = _by_own(betas)
    names, trials = [f"{row:05d}" for row in range(1, len(betas) + 1)], [1] * len(betas)
    if conditions is not None:
        groups = {
            name: list(rows) for name, rows in conditions.groupby(conditions, sort=False).groups.items()
        }
        names, trials = [str(name) for name in groups], [len(rows) for rows in groups.values()]
        betas = np.stack([betas[rows].mean(axis=0) for rows in groups.values()])
    if zscore == "session" and trained == "train":
        betas = _by_own(betas)
    else:
        betas = (betas - shared["mean"]) / shared["std"]
    betas[:, unusable] = 0
    return Prepared(betas.astype(np.float32), names, trials, int(not_finite.sum()), int(constant.sum()))


def _by_own(rows: np.ndarray) -> np.ndarray:
    if len(rows) < ROWS:
        raise InputError(
            f"--zscore session: expected at least {ROWS} rows to take mean and spread from, found "
            f"{len(rows)}; use --zscore train."
        )
    std = rows.std(axis=0, ddof=1)
    return (rows - rows.mean(axis=0)) / np.where(std > 0, std, 1)


def decode(
    config: Config,
    configfile: Path,
    subject: str,
    betas: Path,
    zscore: Zscore | None = None,
    average: Path | None = None,
    output: Path | None = None,
) -> Path:
    """Decode a file of responses; returns the folder written.

    It holds `features.h5` (a float16 dataset a space, and `name`), `pictures/{base,final}/NAME.png`,
    `sheet.png` (base images above, reconstructions below) and `provenance.json`. The noise of a picture
    belongs to its row's number (from 1).

    Args:
        zscore: default: as the training responses were.
        average: table of `read_conditions`.
        output: default: decoded/SUBJECT/FILE in the results; a folder with anything else in it is an error.

    Raises:
        InputError: one sentence on what is missing or does not fit.
    """
    results = config.results
    kept = find_decoders(config, configfile, results, subject)
    stem = betas.name.removesuffix(".gz").rsplit(".", 1)[0]
    output = output or results / "decoded" / subject / stem
    used = output.exists() and not (output / "provenance.json").is_file()
    if used and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"{output}: expected a new or empty folder, or one of an earlier decode; name another."
        )

    trained = read_parameters(kept["responses"])["zscore"]
    table = weights.read_table(weights.TABLE)
    located = {key: weights.locate(key, value, table) for key, value in config.weights}
    settings = config.generator.model_dump()
    kind = generators.KINDS[config.generator.kind]
    unconditional = results / UNCONDITIONAL if kind.needs_contexts else None
    begun = recording.begin_command(
        "decode",
        {"subject": subject},
        {"zscore": zscore or trained},
        config.model_dump(mode="json"),
        [output],
        {
            "betas": [betas],
            "average": [average] if average else [],
            "decoders": [*kept.values(), *([unconditional] if unconditional else [])],
            "weights": [
                located["vdvae"],
                Path(config.features.vdvae.hparams),
                *map(Path, weights.painters(config.weights.versatile, table, kind.parts)),
            ],
        },
    )

    shared = read_hdf5(kept["responses"], "x_y_z", "volume", "mean", "std")
    new = new_responses(betas, shared["x_y_z"], decoders.grid(kept["responses"]))
    raw = new.values
    conditions = read_conditions(average, len(raw)) if average else None
    prepared = prepare(raw, shared, trained, zscore or trained, conditions)
    scores = decoders.project(kept["responses"], prepared.rows)
    features: dict[str, np.ndarray] = {
        space: decoders.predict(kept[space], kept["responses"], scores) for space in SPACES
    }
    for space, values in features.items():
        logger.info("%s: %d rows, %d features", space, *values.shape)

    generator = generators.load(located["versatile"], settings)
    contexts = generators.contexts_of(features["clip_vision"], features["clip_text"], unconditional or "")
    base = base_images(models.load_vdvae(located["vdvae"], config.features.vdvae.hparams), features["vdvae"])
    final = generator.paint(base, contexts, np.arange(1, len(base) + 1), config.seed)

    provenance: dict[str, Any] = {
        "neural_recon_version": __version__,
        "configfile": str(configfile),
        "subject": subject,
        "betas": {
            "path": str(betas),
            "bytes": betas.stat().st_size,
            "trials": len(raw),
            "units": new.units,
            "axes": new.axes,
        },
        "average": str(average) if average else None,
        "zscore": zscore or trained,
        "voxels": {"all": raw.shape[1], "not_finite": prepared.not_finite, "constant": prepared.constant},
        "rows": dict(zip(prepared.names, prepared.trials, strict=True)),
        "decoders": {space: read_parameters(kept[space]) for space in SPACES},
        "weights": {key: str(path) for key, path in located.items()},
        "generator": {**generators.changing(settings), "seed": config.seed},
        "inputs": [one.model_dump() for one in begun.inputs],
    }
    write_pictures(output, prepared.names, base, final, features, provenance)
    recording.finish(begun)
    return output


def find_decoders(config: Config, configfile: Path, results: Path, subject: str) -> dict[str, Path]:
    """The kept decoders of a subject, by space, and "responses".

    Raises:
        InputError: the configuration has no such subject, or a decoder is not there.
    """
    if subject not in config.subjects:
        raise InputError(f"--subject: expected one of {', '.join(config.subjects)}, found {subject}.")
    folder = results / "decoders" / subject
    kept = {name: folder / f"{name}.h5" for name in ("responses", *SPACES)}
    absent = [path for path in kept.values() if not is_there(path, "a decoder")]
    if absent:
        setting = "" if config.ridge.keep else f"set ridge.keep in {configfile}, then "
        targets = " ".join(map(str, [*(folder / f"{space}.h5" for space in SPACES), results / UNCONDITIONAL]))
        raise InputError(
            f"{absent[0]}: expected a decoder kept for new scans, found none; {setting}run snakemake "
            f"--configfile {configfile} --cores 2 {targets}."
        )
    return kept


def write_pictures(
    folder: Path,
    names: list[str],
    base: np.ndarray,
    final: np.ndarray,
    features: dict[str, np.ndarray],
    provenance: dict[str, Any],
) -> None:
    """Write what `decode` gives back; base and final are uint8 (n, H, W, 3)."""
    # first, so that a second call may write again where this one stopped
    write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")
    arrays = {space: _half(values, space) for space, values in features.items()}
    write_hdf5(
        folder / "features.h5", {**arrays, "name": np.array(names)}, {"betas": provenance.get("betas")}
    )
    pictures = {"base": base, "final": final}
    numbers = range(len(names))
    write_folder(
        folder / "pictures",
        {kind: {"images": images, "nsd_id": names} for kind, images in pictures.items()},
    )
    write_sheet(
        folder / "sheet.png",
        None,
        {kind: {"images": images, "nsd_id": numbers} for kind, images in pictures.items()},
        numbers[:SHEET],
    )


def _half(values: np.ndarray, space: str) -> np.ndarray:
    """As float16, where a decoder's far prediction ends at its largest number."""
    largest = np.finfo(np.float16).max
    far = np.count_nonzero(np.abs(values) > largest)
    if far:
        logger.warning("%s: %d of %d features lie beyond %g and end there", space, far, values.size, largest)
    return np.clip(values, -largest, largest).astype(np.float16)
