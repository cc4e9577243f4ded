"""What single regions tell: decoders of one region alone, and synthetic responses of one region alone.

The first asks how much of a picture can be read from a region; with every decoder comes one from as many
voxels drawn at random, as regions differ in size. The second asks what the weights of the decoder from all
voxels associate with a region. Nothing is standardised across regions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table
from neural_recon.datasets.dataset import DataSet
from neural_recon.decoding.decoder import Targets
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.penalty_table import chosen_alpha, cross_validated_curve
from neural_recon.decoding.ridge import Calibration, predict_blocks, together
from neural_recon.decoding.sources import (
    ALL_VOXELS,
    EVERYTHING,
    Source,
    Taken,
    columns_of,
    feature_table,
    unit_blocks,
)

if TYPE_CHECKING:
    from neural_recon.evaluation.networks import PresetNetworks
    from neural_recon.features.space import Space

logger = logging.getLogger(__name__)

ALL, REGION, RANDOM = "all voxels", "region", "random voxels"  # which voxels a score is from
ZERO = "no region"  # the synthetic response that is 0 everywhere
# All synthetic pictures start from the same noise, of an id that no picture has: they differ by the
# regions alone, and another region changes none of them.
SYNTHETIC_ID = -1

SCORES = ["region", "decoder", "voxels", "space", "score", "low", "high", "chance", "chance_sd", "p",
          "n"]  # fmt: skip


class Scored(NamedTuple):
    """What decoding from one region gives."""

    # two-way identification per decoder of predicted features in each space, and of base images in CLIP's
    # space ("base"); the columns of `SCORES` but `region`
    table: pd.DataFrame
    single: pd.DataFrame  # scores of single images, `Scores.image_table` with the decoder as variant
    images: dict[str, np.ndarray]  # base images uint8 (n_test, h, w, 3), by decoder


def read_columns(
    data: DataSet, files: Any, sets: Mapping[str, Sequence[str]], subject: str, key: str = "regions.sets"
) -> dict[str, np.ndarray]:
    """`columns_of` for every set below a key, from the named files of a rule: responses, voxels."""
    voxels, kept = read_table(files.voxels), read_hdf5(files.responses, "voxel")["voxel"]
    return {
        name: columns_of(f"{key}.{name}", regions, data.in_regions(subject, voxels, regions), kept)
        for name, regions in sets.items()
    }


def random_columns(n_columns: int, count: int, seed: int) -> np.ndarray:
    """`count` columns drawn at random, ascending; a smaller draw is part of every larger one."""
    return np.sort(np.random.default_rng(seed).permutation(n_columns)[:count])


def share_alpha(
    alpha: float | str,
    share: float,
    kernel: Kernel,
    features: Targets,
    cross_validation: Mapping[str, Any],
    seed: int,
) -> float | np.ndarray:
    """The penalty of a decoder from a share of the voxels.

    The kernel of z-scored voxels grows with their number, so a penalty that was given for all voxels is
    multiplied by the share: it stays the same a voxel. With "cv" one is chosen anew: of the penalties that
    were given to try, scaled so, or by the scale of the region's own kernel.
    """
    if alpha != "cv":
        return float(alpha) * share
    given = cross_validation["alphas"]
    tried = None if given is None else [share * value for value in given]
    settings = {**cross_validation, "alphas": tried}
    return chosen_alpha(cross_validated_curve(kernel, features, features.parts, **settings, seed=seed))


def score_regions(
    columns: Mapping[str, np.ndarray],
    responses: Mapping[str, np.ndarray],
    features: Mapping[str, Sequence[str]],
    ridge: Mapping[str, Any],
    seen: np.ndarray,
    base: Space | None,
    networks: PresetNetworks,
    repairings: int,
    seed: int,
    spaces: Mapping[str, tuple[Source, int]] = MappingProxyType({}),
    single: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Iterator[tuple[str, Scored]]:
    """Decode from each region, and from as many random voxels, and score both.

    Args:
        columns: each region's columns of the responses.
        responses: train (n_train, p), test (n_test, p), train_ids, test_ids.
        features: space -> chunk files.
        ridge: the configuration's section.
        seen: uint8 (n_test, H, W, 3), the test images.
        base: the space that decodes to base images; None without one.
        networks: with CLIP alone.
        spaces: what each space is predicted from, and from how many voxels; default: from all. A region
            replaces the regions that it has, everything else stays.
        single: as `responses`, for spaces that are trained on single trials.

    Yields:
        (region, its scores), in the order of `columns`.
    """
    # here, so that neither torch nor scores concern those who use another function
    from neural_recon.evaluation.subject_scores import Scores

    n_voxels, test_ids = responses["train"].shape[1], responses["test_ids"]
    if single and single["train"].shape[1] != n_voxels:
        raise InputError(
            f"single trials: expected the {n_voxels} voxels of the averages, found "
            f"{single['train'].shape[1]}; compute both again."
        )
    embedded = networks.features(seen, "truth")
    for region, own in columns.items():
        decoders = {REGION: own, RANDOM: random_columns(n_voxels, len(own), seed)}
        kernels: dict[Source, dict[str, Kernel]] = {}
        scores, images = Scores("", seed, repairings), {}
        for space, paths in features.items():
            source, width = spaces.get(space, (ALL_VOXELS, n_voxels))
            source, share = source._replace(regions=()), len(own) / width
            data = single if source.single else responses
            if source not in kernels:
                kernels[source] = {name: _kernel(data, chosen, source) for name, chosen in decoders.items()}
            targets = feature_table(paths, data["train_ids"], source)
            truth = feature_table(paths, test_ids, source)[:, :].astype(np.float32)
            for name, kernel in kernels[source].items():
                alpha = share_alpha(
                    ridge["alpha"][space], share, kernel, targets, ridge["cross_validation"], seed
                )
                blocks = predict_blocks(kernel, targets, alpha, ridge["calibration"], seed)
                found = together(unit_blocks(blocks, targets.parts) if source.unit else blocks)
                scores.compare(name, space, "two_way", test_ids, truth, found)
                if base is not None and space == base.name and (made := base.pictures(found)) is not None:
                    images[name] = made
        for name, pictures in images.items():
            for metric, features_found in networks.features(pictures, "picture").items():
                scores.compare(name, "base", metric, test_ids, embedded[metric], features_found)
        table = as_table(scores.summary_table(), len(own))
        yield region, Scored(table, scores.image_table().drop(columns="subject"), images)


def _kernel(data: Mapping[str, np.ndarray], columns: np.ndarray, source: Source) -> Kernel:
    take = Taken(columns, source.unit)
    train, test = take(data["train"]), take(data["test"])
    return Kernel.of(train, test, images=data["train_ids"], intercept=source.intercept)


def as_table(summary: pd.DataFrame, n_voxels: int | pd.Series) -> pd.DataFrame:
    """Rows of `subject_scores.Scores.summary_table` with the columns of `SCORES` but region."""
    names = {"variant": "decoder", "picture": "space", "mean": "score", "ci_low": "low", "ci_high": "high",
             "shuffled": "chance", "shuffled_sd": "chance_sd"}  # fmt: skip
    table = summary.rename(columns=names).assign(voxels=n_voxels)
    return table[[name for name in SCORES if name in table]]


def collect(
    summary: pd.DataFrame,
    n_voxels: int,
    regions: Mapping[str, pd.DataFrame],
    own_voxels: Mapping[str, int] = MappingProxyType({}),
) -> pd.DataFrame:
    """All regions' scores in one table, those of the decoder from all voxels first.

    Args:
        summary: of `scored_results.score_subject`.
        n_voxels: that it was decoded from.
        regions: region -> table of `score_regions`.
        own_voxels: of spaces, and of "base" images, that are predicted from some regions only.
    """
    # here, as synthetic responses have nothing to do with metrics
    from neural_recon.evaluation.registry import HEADLINE

    features = (summary["metric"] == "two_way") | (
        (summary["metric"] == HEADLINE) & (summary["picture"] == "base")
    )
    everything = summary[(summary["variant"] == "decoded") & features].assign(variant=ALL)
    voxels = pd.Series([own_voxels.get(name, n_voxels) for name in everything["picture"]], everything.index)
    tables = [as_table(everything, voxels).assign(region=ALL)]
    tables += [table.assign(region=name) for name, table in regions.items()]
    return pd.concat(tables, ignore_index=True).reindex(columns=SCORES)


def with_control(columns: Mapping[str, np.ndarray], n_voxels: int, seed: int) -> dict[str, np.ndarray]:
    """The voxels of each region, after random ones, as many as a region of median size."""
    size = round(np.median([len(chosen) for chosen in columns.values()]))
    return {RANDOM: random_columns(n_voxels, size, seed), **columns}


def synthetic_responses(columns: Mapping[str, np.ndarray], n_voxels: int, amplitude: float) -> np.ndarray:
    """A response a region, `amplitude` in its voxels and 0 elsewhere, below one that is 0 everywhere.

    z-scored units: standard deviations of a voxel's training responses about their mean.

    Args:
        columns: the voxels of each region.

    Returns:
        float32 (1 + regions, n_voxels).
    """
    responses = np.zeros((1 + len(columns), n_voxels), np.float32)
    for row, chosen in enumerate(columns.values(), start=1):
        responses[row, chosen] = amplitude
    return responses


def how_unusual(
    synthetic: np.ndarray, columns: Mapping[str, np.ndarray], train: np.ndarray, test: np.ndarray
) -> pd.DataFrame:
    """How far synthetic responses are from real ones, a row each.

    Columns region, voxels, norm; `norm_ratio`, to the median norm of real test responses; and `mean_sd`,
    the amplitude in standard deviations (over the training images) of the region's mean response: voxels of
    a region hardly ever rise all together.
    """
    median = float(np.median(np.linalg.norm(test, axis=1)))
    norms = np.linalg.norm(synthetic, axis=1)
    rows = [{"region": ZERO, "voxels": 0, "norm": 0.0, "norm_ratio": 0.0, "mean_sd": 0.0}]
    for (name, chosen), response, norm in zip(columns.items(), synthetic[1:], norms[1:], strict=True):
        spread = float(train[:, chosen].mean(1, dtype=np.float64).std(ddof=1))
        rows.append(
            {
                "region": name,
                "voxels": len(chosen),
                "norm": float(norm),
                "norm_ratio": float(norm) / median if median > 0 else np.nan,
                "mean_sd": float(response[chosen].mean()) / spread if spread > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)


def decode_synthetic(
    kernel: Kernel,
    train: np.ndarray,
    synthetic: np.ndarray,
    targets: Targets,
    alpha: float | np.ndarray,
    seed: int,
    calibration: Calibration = "train",
    taken: Taken = EVERYTHING,
) -> np.ndarray:
    """Predict features of synthetic responses (n, p) by the decoder of all voxels: float32 (n, n_targets).

    Args:
        kernel: of what is `taken` of the training responses `train` (n_train, p).
        calibration: never "published": that would standardise across regions.
    """
    if calibration == "published":
        raise ValueError('calibration "published" takes its statistics across the responses decoded.')
    others = kernel.of_others(taken(train), taken(synthetic))
    blocks = predict_blocks(others, targets, alpha, calibration, seed)
    return together(unit_blocks(blocks, targets.parts) if taken.unit else blocks)
