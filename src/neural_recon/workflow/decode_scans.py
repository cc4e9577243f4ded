"""Decode scans that were not in the experiment with the decoders a run kept (`decoder.keep`)."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from neural_recon import __version__, decoding, generation
from neural_recon.core.errors import InputError
from neural_recon.core.files import write_text
from neural_recon.core.hdf5 import read_hdf5, read_parameters, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding import kept_voxels
from neural_recon.features import load as load_space
from neural_recon.features.space import space_kinds
from neural_recon.generation.png_files import write_folder, write_sheet
from neural_recon.models import weights
from neural_recon.responses.new_scans import new_responses, read_conditions
from neural_recon.workflow import recording
from neural_recon.workflow.subject_decoders import SubjectDecoders

logger = logging.getLogger(__name__)

Zscore = Literal["train", "session", "run"]
ROWS = 10  # fewer give no mean and spread of a session
SHEET = 12  # pictures on the sheet, the first ones


@dataclass(frozen=True)
class Prepared:
    """Responses ready for a decoder."""

    rows: np.ndarray  # float32 (n, p), z-scored
    names: list[str]  # (n,): row numbers from 1, or conditions
    trials: list[int]  # (n,): how many trials each row is the mean of
    not_finite: int  # voxels set to 0
    constant: int


def prepare(
    betas: np.ndarray,
    shared: dict[str, np.ndarray],
    trained: Zscore,
    zscore: Zscore,
    conditions: pd.Series | None = None,
    parts: np.ndarray | None = None,
) -> Prepared:
    """Average the trials of a condition and z-score.

    A decoder of responses that were z-scored over all training images takes new rows by the training images'
    mean and std ("train"), or by those over the new rows ("session", after averaging). A decoder whose
    training sessions were each z-scored by themselves wants the same of the new one: by its single trials,
    then averages by the training images. By "run" single trials are z-scored within each run, as published
    for runs of imagery; averages of them are then taken as they are, or by the training images where single
    trials of these were z-scored too.

    Args:
        betas: (n_trials, p) percent signal change.
        shared: `mean` and `std` (p,) of the training images.
        trained: how the training responses were z-scored (`responses.zscore`).
        conditions: of trials (its index, from 0); the others are left out. Default: every trial is a row.
        parts: (n_trials,) the session or run of each, in which single trials are z-scored together. Default:
            all are of one.

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

    if zscore == "run" or (zscore == "session" and trained == "session"):
        parts = np.zeros(len(betas)) if parts is None else parts
        for part in pd.unique(parts):
            betas[parts == part] = _by_own(betas[parts == part])
    names, trials = [f"{row:05d}" for row in range(1, len(betas) + 1)], [1] * len(betas)
    if conditions is not None:
        groups = {
            name: list(rows) for name, rows in conditions.groupby(conditions, sort=False).groups.items()
        }
        names, trials = [str(name) for name in groups], [len(rows) for rows in groups.values()]
        betas = np.stack([betas[rows].mean(axis=0) for rows in groups.values()])
    if zscore == "session" and trained == "train":
        betas = _by_own(betas)
    elif zscore != "run" or trained == "session":
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
    decoders: SubjectDecoders,
    betas: Path,
    zscore: Zscore | None = None,
    average: Path | None = None,
    output: Path | None = None,
) -> Path:
    """Decode a file of responses; returns the folder written.

    It holds `features.h5` (a float16 dataset per space, and `name`), `pictures/{base,final}/NAME.png`,
    `sheet.png` (base images above, reconstructions below) and `provenance.json`. The noise of a picture
    belongs to its row's number (from 1).

    Args:
        zscore: default: as the training responses were.
        average: table of `read_conditions`.
        output: default: decoded/SUBJECT/FILE in the results; a folder with anything else in it is an error.

    Raises:
        InputError: one sentence on what is missing or does not fit.
    """
    kept, subject = decoders.kept, decoders.subject
    stem = betas.name.removesuffix(".gz").rsplit(".", 1)[0]
    output = output or decoders.results / "decoded" / subject / stem
    used = output.exists() and not (output / "provenance.json").is_file()
    if used and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"{output}: expected a new or empty folder, or one of an earlier decode; name another."
        )

    trained = read_parameters(next(iter(kept.values())).voxels)["zscore"]
    decoder = decoding.load(decoders.decoder, decoders.seed)
    table = weights.read_table(weights.TABLE)
    kinds, base_name, painting = space_kinds(decoders.spaces), decoders.base, decoders.painting
    begun = recording.begin_command(
        "decode",
        {"subject": subject},
        {"zscore": zscore or trained},
        dict(decoders.recorded),
        [output],
        {
            "betas": [betas],
            "average": [average] if average else [],
            "decoders": decoders.files,
            "weights": decoders.weights_read(),
        },
    )

    features: dict[str, np.ndarray] = {}
    for path, mine in decoders.by_voxels().items():
        shared = read_hdf5(path, "x_y_z", "volume", "mean", "std")
        new = new_responses(betas, shared["x_y_z"], kept_voxels.grid(path))
        raw = new.values
        conditions = read_conditions(average, len(raw)) if average else None
        prepared = prepare(raw, shared, trained, zscore or trained, conditions)
        numbers = np.arange(1, len(prepared.names) + 1)
        features |= decoder.predict_kept(path, mine, prepared.rows, numbers)
    for space, values in features.items():
        logger.info("%s: %d rows, %d features", space, *values.shape)

    generator = generation.load(painting.settings, unconditional=decoders.unconditional)
    base = None
    if base_name:
        located = kinds[base_name].locate(f"spaces.{base_name}", decoders.spaces[base_name], table)
        base = load_space(base_name, located).pictures(features[base_name])
    final = generator.paint_from(base, features, numbers, decoders.seed)
    guides = {role: features[space] for role, space in generator.settings.guides.items()}
    captions = generator.captions(guides, numbers)

    provenance: dict[str, Any] = {
        "neural_recon_version": __version__,
        **decoders.origin,
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
        "decoders": {space: parameters(one.decoder) for space, one in kept.items()},
        "spaces": {name: one.model_dump(mode="json") for name, one in decoders.spaces.items()},
        "generator": {**painting.settings.changing, "seed": decoders.seed},
        "inputs": [one.model_dump() for one in begun.inputs],
    }
    write_pictures(output, prepared.names, base, final, features, captions, provenance)
    recording.finish(begun)
    return output


def parameters(path: Path) -> dict[str, Any]:
    """What a kept decoder says of itself."""
    if path.suffix == ".h5":
        return read_parameters(path)
    from neural_recon.models.checkpoints import read_about  # torch takes seconds

    return read_about(path)


def write_pictures(
    folder: Path,
    names: list[str],
    base: np.ndarray | None,
    final: np.ndarray,
    features: dict[str, np.ndarray],
    captions: list[str] | None,
    provenance: dict[str, Any],
) -> None:
    """Write what `decode` gives back; base (None without a space that decodes) and final are uint8
    (n, H, W, 3); captions are those of generators that have any."""
    # first, so that a second call may write again where this one stopped
    write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")
    arrays = {space: _half(values, space) for space, values in features.items()}
    write_hdf5(
        folder / "features.h5", {**arrays, "name": np.array(names)}, {"betas": provenance.get("betas")}
    )
    if captions:
        write_table(folder / "captions.tsv", pd.DataFrame({"name": names, "caption": captions}))
    pictures = {"final": final} if base is None else {"base": base, "final": final}
    numbers = range(len(names))
    write_folder(
        folder / "pictures",
        {kind: {"images": images, "image_id": names} for kind, images in pictures.items()},
    )
    write_sheet(
        folder / "sheet.png",
        None,
        {kind: {"images": images, "image_id": numbers} for kind, images in pictures.items()},
        numbers[:SHEET],
    )


def _half(values: np.ndarray, space: str) -> np.ndarray:
    """As float16, where a decoder's far prediction ends at its largest number."""
    largest = np.finfo(np.float16).max
    far = np.count_nonzero(np.abs(values) > largest)
    if far:
        logger.warning("%s: %d of %d features lie beyond %g and end there", space, far, values.size, largest)
    return np.clip(values, -largest, largest).astype(np.float16)
