"""Ridge decoders kept for scans that were not in the experiment, calibration and alpha folded in.

A prediction is one affine map of a z-scored response x (p,):

    prediction = offset + (x P) C scale

P, `projection` (p, q), is shared by all feature spaces. Kept as "kernel" it holds the centred training
responses, so that x P is a row of the kernel and C (q, n_targets) the dual coefficients; with fewer voxels
than images there is no P and C weighs the voxels themselves. Kept as "components" P holds the eigenvectors of
the kernel in voxel space, by falling eigenvalue, and C has rows for the leading ones only.

Large arrays are float16: a column of C is divided by its largest value, `scale`, float32.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neural_recon.core import backends
from neural_recon.core.backends import Backend
from neural_recon.core.background import ahead
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import (
    dataset,
    integers,
    new_hdf5,
    open_hdf5,
    read_hdf5,
    read_parameters,
    write_hdf5,
)
from neural_recon.core.refusals import refusal
from neural_recon.datasets.grids import Grid
from neural_recon.decoding import kept_voxels, ridge
from neural_recon.decoding.cross_validation import centred_columns, sample_columns
from neural_recon.decoding.kernel import Fit, GramKernel, Kernel
from neural_recon.decoding.sources import EVERYTHING, Taken, unit_parts

logger = logging.getLogger(__name__)

Keep = Literal["kernel", "components"]
HELD_OUT = 200  # images, and
TARGETS = 512  # features that the number of components is chosen with
BLOCK = 4096


def n_components(
    train: np.ndarray,
    targets: ridge.Targets,
    alpha: float | np.ndarray,
    error: float,
    seed: int,
    images: Sequence[np.ndarray],
    intercept: bool = True,
    backend: Backend | None = None,
) -> tuple[float, float]:
    """How many leading components predict nearly what all of them do.

    Seeded training images (200, at most a fifth; `images` are the rows of each) are held out, as trailing
    components look smaller in images that made them than in new ones. The decoder of the others predicts
    them, for a seeded sample of 512 targets, with all components and with the leading r. The error is the
    root mean square of the difference over rows and targets, each target in units of the spread of its full
    predictions (so calibration does not matter). Of the r from which on it stays within `error` the smallest
    is taken.

    Returns:
        That r as a share of all components there are, and the error measured with it.
    """
    n, width = targets.shape
    drawn = np.random.default_rng(seed).permutation(len(images))[: max(1, min(HELD_OUT, len(images) // 5))]
    held = np.sort(np.concatenate([images[k] for k in drawn]))
    rest = np.setdiff1d(np.arange(n), held)
    kernel = Kernel.of(train[rest], train[held], backend, intercept=intercept)
    values, vectors = kernel.components(train[rest])
    centre = kernel.centre(train[rest])
    scores = (train[held] - centre) @ vectors

    columns = sample_columns(width, TARGETS, seed)
    y = centred_columns(targets, columns, intercept)[rest]
    alphas = np.broadcast_to(alpha, (width,))[columns]
    weights = (vectors.T @ ((train[rest] - centre).T @ y)) / (values[:, None] + alphas)
    spread = (scores @ weights).std(axis=0)
    weights = weights[:, spread > 0] / spread[spread > 0]
    count, left_out, found = len(values), np.zeros((len(held), weights.shape[1])), 0.0
    while count and weights.size:
        left_out += np.outer(scores[:, count - 1], weights[count - 1])
        next_error = float(np.sqrt(np.mean(left_out**2)))
        if next_error > error:
            break
        count, found = count - 1, next_error
    logger.info("%d of %d components, relative error %.4f", count, len(values), found)
    return max(count, 1) / max(len(values), 1), found


def write_shared(
    path: str | Path,
    responses: Mapping[str, np.ndarray],
    positions: np.ndarray,
    volume: tuple[int, ...],
    kernel: Kernel,
    keep: Keep,
    parameters: Mapping[str, Any],
    affine: np.ndarray | None = None,
    taken: Taken = EVERYTHING,
) -> None:
    """Write what the decoders of all spaces share.

    Args:
        responses: `train` (n, p), z-scored, and the `mean` and `std` (p,) it was z-scored with.
        positions: (p, 3) places x, y, z of the voxels, in C order, within a `volume` of that shape.
        kernel: of these responses.
        parameters: of the responses, `zscore` above all.
        affine: (4, 4) of that volume; None: not known.
        taken: what of the responses the kernel was made of: `columns`, where these are not all; and of rows
            of unit length, the `centre` to take off (their mean; that of z-scored rows is zero).
    """
    train = taken(responses["train"])
    arrays = kept_voxels.arrays(responses, positions, Grid("", volume, affine))
    if keep == "components":
        arrays["eigenvalues"], vectors = kernel.components(train)
        arrays["projection"] = vectors.astype(np.float16)
    elif isinstance(kernel, GramKernel):
        arrays["projection"] = (train - kernel.centre(train)).T.astype(np.float16)
    if taken.columns is not None:
        arrays["columns"] = taken.columns
    if taken.unit:
        arrays["centre"] = kernel.centre(train)
    # a decoder repeats it: files of two runs are not to be mixed
    digest = hashlib.sha256(np.ascontiguousarray(train).data).hexdigest()
    write_hdf5(path, arrays, {**parameters, "keep": keep, "responses_sha256": digest})


def coefficient_blocks(
    kernel: Kernel,
    targets: ridge.Targets,
    alpha: float | np.ndarray,
    calibration: ridge.Calibration,
    seed: int,
    components: tuple[np.ndarray, np.ndarray] | None = None,
    block: int = BLOCK,
    backend: Backend | None = None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The affine map of a decoder, a block of targets at a time.

    Args:
        kernel, targets, alpha, calibration, seed, block: as for `ridge.predict_blocks`. Groups of targets
            with an alpha of their own are taken one after the other, so that one inverse is held at a time.
        components: eigenvalues (r,), and the training responses' products with the eigenvectors, (r, n).

    Yields:
        (first column, coefficients float32 (q, up to `block`), offset float32).
    """
    n_targets = targets.shape[1]
    if calibration not in ("train", "none"):
        raise ValueError(f'calibration must be "train" or "none" for a decoder kept, not {calibration!r}.')
    backend = backend or backends.choose()
    alphas, intercept = np.broadcast_to(alpha, (n_targets,)), kernel.intercept
    ridge.check_alphas(np.unique(alphas))
    images = kernel.image_rows
    sample = [images[k] for k in ridge.calibration_sample(len(images), seed)]

    def makers(value: float) -> tuple[Any, Any]:
        """What coefficients, and left-out predictions, come from."""
        fit = Fit(kernel, value, backend)
        left_out = backend.load(fit.left_out_weights(sample)) if calibration == "train" else None
        if components is None:
            maker = fit.coefficients()
        else:
            values, products = components
            maker = products / (values[:, None] + value)
            if intercept:
                maker -= maker.mean(axis=1, keepdims=True)  # so the mean of the targets drops out
        return backend.load(maker.astype(np.float32)), left_out

    edges = np.flatnonzero(np.diff(alphas)) + 1
    if len(edges) >= len(np.unique(alphas)):  # no runs of neighbours, so all makers are needed at once
        edges = edges[:0]
    made: dict[float, tuple[Any, Any]] = {}
    for first, last in zip([0, *edges], [*edges, n_targets], strict=True):
        made.clear()
        made.update((value, makers(value)) for value in np.unique(alphas[first:last]))
        strips = (
            ridge.centred(targets, start, min(start + block, last), intercept)
            for start in range(first, last, block)
        )
        for strip in ahead(strips):
            own = alphas[strip.start : strip.start + strip.values.shape[1]]
            found = np.unique(own)
            if len(found) == 1:
                affine = _affine(*made[found[0]], strip, slice(None), calibration, intercept, backend)
                yield strip.start, *affine
                continue
            coefficients = np.empty((len(made[found[0]][0]), len(own)), np.float32)
            offset = np.empty(len(own), np.float32)
            for value in found:
                columns = np.flatnonzero(own == value)
                coefficients[:, columns], offset[columns] = _affine(
                    *made[value], strip, columns, calibration, intercept, backend
                )
            yield strip.start, coefficients, offset
        logger.info("%d of %d targets", last, n_targets)


def _affine(
    maker: Any,
    left_out: Any,
    strip: ridge.Centred,
    columns: slice | np.ndarray,
    calibration: ridge.Calibration,
    intercept: bool,
    backend: Backend,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and offset of the columns of a block that share an alpha."""
    values, offset = strip.values[:, columns], strip.mean[columns].astype(np.float32)
    coefficients = backend.matmul(maker, values)
    if calibration == "train":
        reference = backend.matmul(left_out, values)
        mean, scale = ridge.calibration_statistics(reference, strip.std[columns])
        return coefficients * scale, offset - mean * scale
    return coefficients, offset if intercept else np.zeros_like(offset)


def write_decoder(
    path: str | Path,
    shared: str | Path,
    train: np.ndarray,
    kernel: Kernel,
    targets: ridge.Targets,
    alpha: float | np.ndarray,
    calibration: ridge.Calibration,
    seed: int,
    keep_error: float,
    tokens: np.ndarray | None = None,
) -> None:
    """Write one space's decoder: `coefficients` float16 (q, n_targets), `scale` and `offset` float32.

    As components, how many there are and the error that they cost (see `n_components`) are in the parameters.

    Args:
        shared: the file of `write_shared`.
        train: (n, p) training responses, z-scored, as `kernel` was made of them.
        tokens: widths of the parts whose predictions have unit length.
    """
    parameters = {name: read_parameters(shared)[name] for name in ("keep", "responses_sha256")}
    if tokens is not None:
        parameters["tokens"] = [int(width) for width in tokens]
    keep = parameters["keep"]
    parameters |= {"alpha": np.unique(alpha).tolist(), "calibration": calibration, "seed": seed}
    n_targets, leading = targets.shape[1], None
    rows = kernel.system.shape[0]
    if keep == "components":
        share, error = n_components(
            train, targets, alpha, keep_error, seed, kernel.image_rows, kernel.intercept
        )
        arrays = read_hdf5(shared, "projection", "eigenvalues")
        rows = max(1, int(np.ceil(share * len(arrays["eigenvalues"]))))
        vectors = arrays["projection"][:, :rows].astype(np.float32)
        products = vectors.T @ (train - kernel.centre(train)).T.astype(np.float32)
        leading = arrays["eigenvalues"][:rows], products
        parameters |= {"components": rows, "of": len(arrays["eigenvalues"]), "relative_error": error}
        logger.info("%d of %d components are kept", rows, len(arrays["eigenvalues"]))
    with new_hdf5(path, parameters) as file:
        shape, chunks = (rows, n_targets), (min(1024, rows), min(1024, n_targets))
        stored = file.create_dataset("coefficients", shape, np.float16, chunks=chunks)
        scales, offsets = np.empty(n_targets, np.float32), np.empty(n_targets, np.float32)
        for start, coefficients, offset in ahead(
            coefficient_blocks(kernel, targets, alpha, calibration, seed, leading)
        ):
            part = slice(start, start + len(offset))
            scales[part] = np.abs(coefficients).max(axis=0)
            scales[part][scales[part] == 0] = 1
            offsets[part] = offset
            stored[:, part] = (coefficients / scales[part]).astype(np.float16)
        file["scale"], file["offset"] = scales, offsets


def project(shared: str | Path, responses: np.ndarray) -> np.ndarray:
    """x P of z-scored responses (n, p), float32 (n, q): what the decoders of all spaces start from.

    Raises:
        InputError: a file that is missing, cut short or not of `write_shared`.
    """
    with open_hdf5(shared) as file:
        columns = integers(shared, "columns", file["columns"][()]) if "columns" in file else None
        x = Taken(columns, "centre" in file)(np.asarray(responses, np.float32))
        if "centre" in file:
            x = (x - file["centre"][()]).astype(np.float32)
        if "projection" not in file:
            return x
        projection = dataset(shared, file, "projection", 2, "f")
        if len(projection) != x.shape[1]:
            raise InputError(
                f"{shared}: expected a projection of {x.shape[1]} voxels, found one of {len(projection)}; "
                "compute it again."
            )
        return x @ projection[()].astype(np.float32)


def predict(path: str | Path, shared: str | Path, scores: np.ndarray) -> np.ndarray:
    """Predicted features float32 (n, n_targets) by a kept decoder, of responses that `project` took.

    Raises:
        InputError: a file that is missing, cut short or no decoder, or two that do not belong together.
    """
    arrays = read_hdf5(path, "scale", "offset")
    own, common = read_parameters(path), read_parameters(shared)
    with open_hdf5(path) as file:
        coefficients = dataset(path, file, "coefficients", 2, "f")
        rows, n_targets = coefficients.shape
        for name, values in arrays.items():
            if values.shape != (n_targets,) or values.dtype.kind != "f" or not np.isfinite(values).all():
                raise InputError(
                    f"{path}: expected {n_targets} numbers in {name!r}, found {values.dtype} {values.shape}, "
                    "or NaN; compute it again."
                )
        q = scores.shape[1]
        if rows > q or (rows < q and common.get("keep") != "components"):
            raise InputError(
                f"{path}: expected a decoder of the {q} rows that {shared} gives, found {rows}; "
                "both files must be of one run: compute them again."
            )
        if own.get("responses_sha256") != common.get("responses_sha256"):
            raise InputError(
                f"{path}: expected a decoder of the responses in {shared}, found one of others; "
                "both files must be of one run: compute them again."
            )
        features = np.empty((len(scores), n_targets), np.float32)
        try:
            for start in range(0, n_targets, BLOCK):
                part = slice(start, min(start + BLOCK, n_targets))
                product = scores[:, :rows] @ coefficients[:, part].astype(np.float32)
                features[:, part] = arrays["offset"][part] + product * arrays["scale"][part]
        except OSError as error:
            damaged = InputError(
                f"{path}: expected a whole file, found a damaged one ({error}); compute it again."
            )
            raise (refusal(path, error, "a kept decoder") or damaged) from error
    return unit_parts(features, own["tokens"]) if "tokens" in own else features
