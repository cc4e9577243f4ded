"""Does anything of the test set reach the decoder? Computed again from what the workflow wrote, not claimed.

Each check compares two ways to the same numbers, one of which never sees (the other) test images:

- images: no image is in training and test, and no training row shows a test image;
- z-scores: mean and standard deviation from the training trials alone;
- test responses: all of them changed, the training responses stay as they are;
- predictions, others removed and others replaced: a sample of features of half of the test images, decoded
  again from the responses without the other half, or with something else in its place;
- alpha: the cross-validation of a chosen penalty, with nothing but training images at hand;
- shuffled pairs, baselines: the controls themselves take training images, and never the right one.

Calibration "published" takes mean and spread of the predictions from the test set: then the checks of
predictions without the other test images must find that, and say so. As they could hide anything else there,
all test images are decoded again, calibrated alike, and must come out as they were written. Everything else
that differs is an error, and so is a difference that is no number.

What no check here can see lies before this workflow: NSD's betas fithrf_GLMdenoise_RR were tuned on repeated
trials, those of test images included.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import open_hdf5, read_hdf5, read_parameters
from neural_recon.core.tables import read_table
from neural_recon.decoding.cross_validation import (
    column_runs,
    cross_validate,
    cross_validate_targets,
    pooled,
    sample_columns,
)
from neural_recon.decoding.decoder import Targets
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.penalty_table import chosen_alpha, mean_of_known, members_of, read_chosen
from neural_recon.decoding.ridge import Calibration, predict_blocks, together
from neural_recon.decoding.ridge_files import read_taken
from neural_recon.decoding.sources import EVERYTHING, Source, Taken, feature_table, unit_parts
from neural_recon.evaluation.controls.baselines import KINDS
from neural_recon.features.feature_files import select_rows
from neural_recon.responses.preparation import Responses, prepare

logger = logging.getLogger(__name__)

TARGETS = 256  # features a space that are decoded again, a seeded sample
OTHERS = "predictions, others"  # the checks of them under calibration "published" find what it looks at
HOLDS, LOOKS, FAILS, NOTHING = "holds", "looks at the test set", "fails", "nothing to check"

Sessions = Callable[[], Iterable[np.ndarray]]  # a fresh pass over the betas (n_trials, n_voxels)


@dataclass(frozen=True)
class Check:
    """One check; `difference` is the largest found. Where there was `nothing` to compare it is NaN, and
    `compared` says why."""

    check: str
    compared: str
    difference: float
    tolerance: float
    nothing: bool = False


def check_subject(
    files: Any,
    features: Mapping[str, Sequence[str]],
    zscore: str,
    calibration: Calibration,
    cross_validation: Mapping[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Run every check on a subject's files.

    Args:
        files: named inputs of the rule `leaks`: baselines, betas, curves, kernels, predictions, responses
            and shuffled (a space each, in the order of `features`), trials, voxels.
        features: space -> its chunks.
        zscore: as the training responses were prepared.

    Returns:
        As `table_of`.
    """
    trials, voxels = read_table(files.trials), read_table(files.voxels)
    names = [field.name for field in fields(Responses) if field.name != "dropped"]

    def sessions() -> Iterator[np.ndarray]:
        return (read_hdf5(path, "betas")["betas"] for path in files.betas)

    checks: list[Check] = []
    responses_read, kernel_read = "", ""
    for (space, paths), responses, kernel, curve_file, predicted, shuffled in zip(
        features.items(), files.responses, files.kernels, files.curves, files.predictions, files.shuffled,
        strict=True,
    ):  # fmt: skip
        if responses != responses_read:
            responses_read, kernel_read = responses, ""
            written = Responses(**read_hdf5(responses, *names), dropped={})
            train_ids, test_ids = written.train_ids, written.test_ids
            average = read_parameters(responses)["average"]
            checks += [
                check_images(trials, train_ids, test_ids),
                check_zscores(sessions, trials, written, zscore, average),
                check_test_responses(sessions, trials, voxels, written, zscore, average),
            ]
        if kernel != kernel_read:
            kernel_read, taken = kernel, read_taken(kernel)
            intercept = read_parameters(kernel).get("intercept", True)
            halves = Halves.of(written.train, written.test, train_ids, taken, intercept)
        logger.info("%s: decoded again", space)
        table = feature_table(paths, train_ids, Source(unit=taken.unit))
        alphas = read_chosen(curve_file)
        columns = _sample(table, taken.unit, seed)
        runs = column_runs(columns)
        targets = np.concatenate([table[:, run] for run in runs], axis=1)
        with open_hdf5(predicted) as file:
            found = np.concatenate([file["predictions"][:, run] for run in runs], axis=1)
            found = select_rows(predicted, found, file["image_id"][()], test_ids)
        alpha = np.broadcast_to(alphas, (table.shape[1],))[columns]
        unit = table.parts[:1] if taken.unit else None
        checks += check_predictions(halves, targets, alpha, found, calibration, seed, unit)
        curve = read_table(curve_file)
        checks.append(check_alpha(halves.whole, table, table.parts, curve, cross_validation, seed))
        pairs = read_hdf5(shuffled, "paired_id")["paired_id"]
        checks.append(check_shuffled(train_ids, pairs, test_ids))
    sources = read_hdf5(files.baselines, *(f"{kind}_id" for kind in KINDS))
    checks.append(check_baselines(dict(zip(KINDS, sources.values(), strict=True)), test_ids))
    return table_of(checks, calibration)


def _sample(table: Targets, unit: bool, seed: int) -> np.ndarray:
    """The features that are decoded again: some, or the first token where tokens have unit length."""
    return np.arange(table.parts[0]) if unit else sample_columns(table.shape[1], TARGETS, seed)


def check_images(trials: pd.DataFrame, train_ids: np.ndarray, test_ids: np.ndarray) -> Check:
    """Whether training and test rows of the responses, and training trials, keep apart."""
    shown = {split: set(trials.loc[trials["split"] == split, "image_id"]) for split in ("train", "test")}
    train, test = set(train_ids.tolist()), set(test_ids.tolist())
    wrong = (train | shown["train"]) & (test | shown["test"])
    what = f"{len(train)} training and {len(test)} test images: images in both"
    return Check("images", what, float(len(wrong)), 0.0)


def check_zscores(
    sessions: Sessions, trials: pd.DataFrame, written: Responses, zscore: str, average: bool
) -> Check:
    """The written mean and std against those of the training trials alone, in standard deviations."""
    total: dict[int | tuple[int, int], np.ndarray] = {}
    count: dict[int | tuple[int, int], int] = {}
    for number, betas in enumerate(_training_trials(sessions, trials)):
        rows = betas[1][:, written.voxel].astype(np.float64)
        if zscore == "session":
            rows = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
        for trial, (image, row) in enumerate(zip(betas[0], rows, strict=True)):
            key = int(image) if average else (number, trial)
            total[key] = total.get(key, 0) + row
            count[key] = count.get(key, 0) + 1
    n, mean, squares = len(total), np.zeros(len(written.voxel)), np.zeros(len(written.voxel))
    for key, row in total.items():
        mean += row / count[key] / n
    for key, row in total.items():
        squares += (row / count[key] - mean) ** 2
    std = np.sqrt(squares / (n - 1))
    difference = np.max([np.abs(mean - written.mean) / std, np.abs(written.std / std - 1)])
    what = "mean and std of each voxel, from the training trials alone; in standard deviations"
    return Check("z-scores", what, float(difference), 1e-4)


def check_test_responses(
    sessions: Sessions,
    trials: pd.DataFrame,
    voxels: pd.DataFrame,
    written: Responses,
    zscore: str,
    average: bool,
) -> Check:
    """The written training responses against those prepared with every test trial's response changed."""
    test = [(table["split"] == "test").to_numpy() for _, table in trials.groupby("session", sort=False)]

    def changed() -> Iterator[np.ndarray]:
        for betas, rows in zip(sessions(), test, strict=True):
            betas = betas.copy()
            if rows.any():
                mean = betas[rows].mean(axis=0)
                betas[rows] = mean - 3 * (betas[rows][::-1] - mean)  # what is constant stays so
            yield betas

    found = prepare(changed(), trials, voxels, zscore, average)
    same = np.array_equal(found.voxel, written.voxel) and np.array_equal(found.train_ids, written.train_ids)
    difference = float(np.max(np.abs(found.train - written.train))) if same else np.inf
    what = "training responses, with all test responses changed; in standard deviations"
    return Check("test responses", what, difference, 1e-5)


@dataclass(frozen=True)
class Halves:
    """Kernels that know half of the test images: without the others, or with others in their place; and the
    whole one."""

    whole: Kernel
    removed: Kernel
    replaced: Kernel
    half: np.ndarray  # rows of the test responses
    n_test: int

    @classmethod
    def of(
        cls,
        train: np.ndarray,
        test: np.ndarray,
        train_ids: np.ndarray,
        taken: Taken = EVERYTHING,
        intercept: bool = True,
    ) -> "Halves":
        """From z-scored responses (n_train, p) and (n_test, p), every other test image left as it is."""
        half, between = np.arange(0, len(test), 2), np.arange(1, len(test), 2)
        others = test.copy()
        others[between] = 1 - 3 * test[between[::-1]]
        train, test, others = (taken(responses) for responses in (train, test, others))
        whole = Kernel.of(train, test, images=train_ids, intercept=intercept)
        alone, changed = (whole.of_others(train, responses) for responses in (test[half], others))
        return cls(whole, alone, changed, half, len(test))


def check_predictions(
    halves: Halves,
    targets: np.ndarray,
    alpha: float | np.ndarray,
    written: np.ndarray,
    calibration: Calibration,
    seed: int,
    unit: Sequence[int] | np.ndarray | None = None,
) -> list[Check]:
    """The written predictions of half of the test images against those made without the other half, and
    under calibration "published" those of all against all made again.

    Args:
        targets: (n_train, d) features of the training images.
        alpha: the penalty, one or (d,).
        written: (n_test, d) predictions of these features.
        unit: widths of the tokens that they are, where predictions of each have unit length.
    """
    half, tolerance = halves.half, 1e-3
    spread = targets.astype(np.float64).std(axis=0)
    kernels = {
        f"{OTHERS} removed": (halves.removed, np.arange(len(half)), half),
        f"{OTHERS} replaced": (halves.replaced, half, half),
    }
    if calibration == "published":
        every = np.arange(halves.n_test)
        kernels["predictions, all"] = (halves.whole, every, every)
    checks = []
    for name, (kernel, rows, images) in kernels.items():
        # of one image alone "published" has no spread to look at
        few, constant = len(images) < 2, not np.any(spread > 0)
        if few or constant:
            why = "too few test images" if few else "none of the sampled features varies"
            checks.append(Check(name, why, np.nan, tolerance, nothing=True))
            continue
        found = together(predict_blocks(kernel, targets, alpha, calibration, seed))[rows]
        found = found if unit is None else unit_parts(found, unit)
        difference = np.max(np.abs(found - written[images])[:, spread > 0] / spread[spread > 0])
        what = (
            f"{len(images)} of {halves.n_test} test images decoded again, {targets.shape[1]} features; in "
            "standard deviations of a feature"
        )
        checks.append(Check(name, what, float(difference), tolerance))
    return checks


def check_alpha(
    kernel: Kernel,
    features: Targets,
    parts: np.ndarray,
    curve: pd.DataFrame,
    settings: Mapping[str, Any],
    seed: int,
) -> Check:
    """The written scores of one chosen penalty against those from training images alone.

    Args:
        kernel: of training images; its test rows are dropped.
        features: (n_train, D) of the training images, `parts` the widths of their layers or tokens.
        curve: the penalties tried, as `penalty_table` writes them.
        settings: the configuration's decoder.cross_validation.
    """
    if (curve["fold"] == 0).all():
        what = "alpha is fixed by the configuration: nothing is chosen"
        return Check("alpha", what, np.nan, 1e-4, nothing=True)
    alpha = float(np.min(chosen_alpha(curve)))
    alone, contiguous = replace(kernel, test=kernel.test[:0]), settings["contiguous"]
    if "members" in curve:
        _, _, each = cross_validate_targets(
            alone, features, [alpha], settings["folds"], seed, contiguous=contiguous
        )
        members = sorted(members_of(curve).items())
        found = np.stack([mean_of_known(each[:, 0, columns]) for _, columns in members])
    else:
        widths = pooled(parts, 1 if settings["groups"] == "space" else 32)
        found = cross_validate(
            alone, features, [alpha], settings["folds"], settings["targets"], seed, widths,
            contiguous=contiguous,
        ).scores[:, :, 0]  # fmt: skip
    tried = curve[np.isclose(curve["alpha"].astype(float), alpha, rtol=1e-9)]
    known = tried.pivot(index="group", columns="fold", values="score").to_numpy(float)
    difference = np.inf
    if known.shape == found.shape:  # NaN in both: a part that does not vary in a fold has no score
        difference = np.max(np.where(np.isnan(known) & np.isnan(found), 0, np.abs(known - found)))
    what = f"held-out R² of alpha {alpha:g} in {settings['folds']} folds, from training images alone"
    return Check("alpha", what, float(difference), 1e-4)


def check_shuffled(train_ids: np.ndarray, others: np.ndarray, test_ids: np.ndarray) -> Check:
    """The pairs that the shuffled decoder was fitted on: rows with their own image's features, or a test
    image's.

    Args:
        others: whose features each training row had, as written alongside the predictions.
    """
    if len(others) != len(train_ids):
        what = f"{len(train_ids)} training rows, {len(others)} pairs of the shuffled decoder"
        return Check("shuffled pairs", what, np.inf, 0.0)
    wrong = np.count_nonzero((train_ids == others) | np.isin(others, test_ids))
    what = f"{len(train_ids)} training rows of the shuffled decoder: pairs that belong together"
    return Check("shuffled pairs", what, float(wrong), 0.0)


def check_baselines(sources: Mapping[str, np.ndarray], test_ids: np.ndarray) -> Check:
    """The baselines' pictures: how many are test images."""
    wrong = sum(np.count_nonzero(np.isin(ids, test_ids)) for ids in sources.values())
    what = f"pictures that are test images, among the {' and the '.join(sources)} training images"
    return Check("baselines", what, float(wrong), 0.0)


def table_of(checks: Iterable[Check], calibration: Calibration) -> pd.DataFrame:
    """A row a check and its verdict; of checks made once a space, the one with the largest difference, where
    one that is no number counts as the largest, and nothing to check as the smallest."""
    worst: dict[str, Check] = {}
    for check in checks:
        if check.check not in worst or _size(check) > _size(worst[check.check]):
            worst[check.check] = check
    rows = []
    for check in worst.values():
        looks = calibration == "published" and check.check.startswith(OTHERS)
        if check.nothing:
            verdict = NOTHING
        elif check.difference <= check.tolerance:
            verdict = HOLDS
        else:
            verdict = LOOKS if looks and np.isfinite(check.difference) else FAILS
        rows.append([check.check, check.compared, check.difference, check.tolerance, verdict])
    return pd.DataFrame(rows, columns=["check", "compared", "difference", "tolerance", "verdict"])


def _size(check: Check) -> float:
    return -1.0 if check.nothing else np.inf if np.isnan(check.difference) else check.difference


def require(table: pd.DataFrame, subject: str) -> None:
    """Raise an InputError on the first check of `table_of` that fails."""
    for row in table[table["verdict"] == FAILS].itertuples():
        found = f"{row.difference:.3g}" if np.isfinite(row.difference) else "not comparable"
        raise InputError(
            f"{subject}: expected no trace of the test set, found one in the check “{row.check}” "
            f"({row.compared}: {found}, at most {row.tolerance:g} allowed); the files of this "
            "subject do not belong together or the workflow leaks: compute them again, and report it if it "
            "stays."
        )


def _training_trials(sessions: Sessions, trials: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """NSD ids and betas of each session's training trials; sessions without any are left out."""
    for (_, table), betas in zip(trials.groupby("session", sort=False), sessions(), strict=True):
        train = (table["split"] == "train").to_numpy()
        if train.any():
            yield table["image_id"].to_numpy()[train], betas[train]
