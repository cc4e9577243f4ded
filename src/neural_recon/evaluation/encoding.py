"""Does a picture evoke the response? Brain correlation by an encoding model that the decoder has no part in.

Per voxel a ridge regression from features of pictures to responses is fitted on the training images, its
penalty cross-validated among them. What it predicts for a picture is correlated with the response measured
while the image was seen, in two ways (`MEASURES`):

- "patterns": over the voxels of a region, image by image, then averaged over images. So the published code
  computes it (MindEye2, Scotti et al. 2024, with GNet, St-Yves et al. 2023, as encoding model).
- "voxels": over the images, voxel by voxel, then averaged over voxels: the accuracy of encoding models.

The picture seen says what the model can reach at all. It bounds no reconstruction: one is decoded from the
very response that it is compared with, so that it may bring back that response's noise, which the picture
seen cannot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table
from neural_recon.datasets.dataset import AXES, DataSet, Pictures
from neural_recon.decoding.cross_validation import cross_validate_targets
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge import predict_blocks, together
from neural_recon.evaluation import metrics, regions, statistics
from neural_recon.evaluation.region_tests import corrected, permutations
from neural_recon.features.feature_files import select_rows
from neural_recon.features.space import Space
from neural_recon.generation.controls import CONTROLS, Pair, comparisons
from neural_recon.responses import noise_ceilings

logger = logging.getLogger(__name__)

FEWEST = 10  # voxels of a region: over fewer a pattern's correlation says little
BLOCK = 500  # pictures of the data set held at a time
SEEN = ("seen", "seen")

FINAL = ("decoded", "final")
# name -> the two that are compared, first minus second, where there are both
COMPARISONS: dict[str, tuple[Pair, Pair]] = {
    "final against base": (FINAL, ("decoded", "base")),
    **comparisons([CONTROLS["shuffled"]]),
    "final against the picture seen": (FINAL, SEEN),
}
SCORES = ["subject", "region", "voxels", "measure", "variant", "picture", "n", "mean", "ci_low", "ci_high",
          "chance", "chance_sd", "p", "repairings", "seen", "noise_ceiling"]  # fmt: skip
TESTS = ["subject", "region", "measure", "comparison", "first", "second", "n", "p", "p_holm"]


class Score(NamedTuple):
    """One measure of some pictures: `values` (n,), one an image, whose mean it is; and `matrix` (n, n), entry
    (i, j) what picture j contributes with image i's response, whose diagonal has that mean, too."""

    values: np.ndarray
    matrix: np.ndarray


def of_patterns(measured: np.ndarray, predicted: np.ndarray) -> Score:
    """Pearson's r over voxels of each image's responses (n, p), measured and predicted."""
    matrix = metrics.correlation_matrix(measured, predicted)
    return Score(np.diagonal(matrix), matrix)


def of_voxels(measured: np.ndarray, predicted: np.ndarray) -> Score:
    """The mean over voxels of Pearson's r over images of responses (n, p); 0 where one does not vary.

    With both z-scored per voxel, r is the mean over images of their products. Re-paired images keep their
    z-scores, so the matrix has the products. `values` also count what an image adds to the two variances,
    x y - r (x^2 + y^2) / 2 + r: with these (an influence function's; Efron & Tibshirani 1993, chapter 21)
    the bootstrap over images has the correlation's spread, to first order.
    """
    x, y = _standard(predicted), _standard(measured)
    n_voxels = x.shape[1]
    r = np.mean(x * y, axis=0)
    values = (np.einsum("ij,ij->i", x, y) - (x**2 + y**2) @ r / 2) / n_voxels + r.mean()
    return Score(values, y @ x.T / n_voxels)


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], Score]] = {
    "patterns": of_patterns,
    "voxels": of_voxels,
}


def _standard(responses: np.ndarray) -> np.ndarray:
    """z-scored by column (ddof 0), float64; a column that does not vary is 0."""
    centred = responses - responses.mean(axis=0, dtype=np.float64)
    spread = centred.std(axis=0)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)


def predict_responses(
    features: np.ndarray,
    responses: np.ndarray,
    others: np.ndarray,
    images: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Responses to other pictures, by a ridge regression per voxel with a penalty of its own.

    Args:
        features: (n, d) of the pictures of the training rows; each is z-scored, and one that does not vary
            counts for nothing.
        responses: (n, p) the training responses.
        others: (m, d) features of the other pictures.
        images: (n,) which rows are trials of one image; they share a fold.
        seed: draws the folds.

    Returns:
        float32 (m, p), and the penalties (p,).

    Raises:
        ValueError: shapes do not fit, NaN or infinity, or fewer images than folds.
    """
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    varies = spread > 1e-6 * np.abs(mean)
    mean, spread = (values[varies].astype(np.float32) for values in (mean, spread))

    def standard(part: np.ndarray) -> np.ndarray:
        part = part[:, varies].astype(np.float32, copy=False)
        part -= mean
        part /= spread
        return part

    train, test = standard(features), standard(others)
    kernel = Kernel.of(train, test, images=images)
    tried, chosen, _ = cross_validate_targets(kernel, responses, seed=seed)
    alphas = tried[chosen]
    return together(predict_blocks(kernel, responses, alphas, "none", seed)), alphas


def encode_images(space: Space, pictures: Pictures, image_ids: np.ndarray) -> np.ndarray:
    """Features float32 (n, d) of the data set's pictures."""
    parts = np.split(image_ids, range(BLOCK, len(image_ids), BLOCK))
    return np.concatenate([space.encode(pictures(part), part) for part in parts])


def region_columns(
    data: DataSet, files: Any, sets: Mapping[str, Sequence[str]], subject: str
) -> dict[str, np.ndarray]:
    """The columns of the responses of all voxels, and of each region with `FEWEST` of them: the `sets` that
    the configuration names or, without any, the regions of the data set's atlases."""
    table, kept = read_table(files.voxels), read_hdf5(files.responses, "voxel")["voxel"]
    if not sets:
        labels = table.iloc[kept].drop(columns=AXES, errors="ignore")
        names = [(atlas, name) for atlas in labels for name in sorted(set(labels[atlas]) - {""})]
        several = pd.Series([name for _, name in names]).value_counts()
        sets = {
            name if several[name] == 1 else f"{atlas}/{name}": [f"{atlas}/{name}"] for atlas, name in names
        }
    found = regions.read_columns(data, files, sets, subject)
    large = {name: columns for name, columns in found.items() if len(columns) >= FEWEST}
    return {regions.ALL: np.arange(len(kept)), **large}


class Pictured(NamedTuple):
    """Pictures of test images: their rows among these (n,), ascending, and the responses predicted (n, p)."""

    rows: np.ndarray
    predicted: np.ndarray


def score_regions(
    subject: str,
    columns: Mapping[str, np.ndarray],
    responses: Mapping[str, np.ndarray],
    pictured: Mapping[Pair, Pictured],
    seed: int,
    repairings: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of every region and measure (`SCORES`), and paired tests of them (`TESTS`).

    `seen` is what the pictures seen reach over the same images, `noise_ceiling` what the noiseless response
    is expected to. `p_holm` is corrected for all regions of a comparison and measure.

    Args:
        columns: of the responses, by region.
        responses: test (n, p), noise_ceiling (p,), trials and trial_ids: of the test images, as in
            `responses/SUBJECT.h5`.
        pictured: of all test images those `SEEN`, and the others.
    """
    rows, tests = [], []
    for region, mine in columns.items():
        predicted = {pair: one._replace(predicted=one.predicted[:, mine]) for pair, one in pictured.items()}
        images = noise_ceilings.of_images(responses["trials"][:, mine], responses["trial_ids"])
        for name, measure in MEASURES.items():
            about = {"subject": subject, "region": region, "voxels": len(mine), "measure": name}
            scored = _Scored(measure, responses["test"][:, mine], predicted)
            for pair, (which, _) in pictured.items():
                ceiling = responses["noise_ceiling"][mine]
                if name == "patterns":
                    ceiling = images["noise_ceiling"].to_numpy()[which]
                rows.append(
                    {
                        **about,
                        "variant": pair[0],
                        "picture": pair[1],
                        **_figures(scored(pair, which), seed, repairings),
                        "seen": scored(SEEN, which).values.mean(),
                        "noise_ceiling": _mean(np.sqrt(ceiling)),
                    }
                )
            for comparison, pairs in COMPARISONS.items():
                if not set(pairs) <= set(pictured):
                    continue
                both = np.intersect1d(pictured[pairs[0]].rows, pictured[pairs[1]].rows)
                first, second = (scored(pair, both).values for pair in pairs)
                p = statistics.paired_permutation(first, second, seed, permutations(len(columns)))
                means = {"first": first.mean(), "second": second.mean(), "n": len(both)}
                tests.append({**about, "comparison": comparison, **means, "p": p})
        logger.info("%s: %d voxels", region, len(mine))
    table = corrected(pd.DataFrame(tests, columns=TESTS), ["comparison", "measure"])
    return pd.DataFrame(rows, columns=SCORES), table


@dataclass(frozen=True)
class _Scored:
    """One measure in one region, of whatever pictures of whatever images: each computed once."""

    measure: Callable[[np.ndarray, np.ndarray], Score]
    measured: np.ndarray  # (images, voxels), all test images
    pictured: Mapping[Pair, Pictured]
    found: dict[tuple[Pair, bytes], Score] = field(default_factory=dict)

    def __call__(self, pair: Pair, rows: np.ndarray) -> Score:
        key = (pair, rows.tobytes())
        if key not in self.found:
            own = np.searchsorted(self.pictured[pair].rows, rows)
            self.found[key] = self.measure(self.measured[rows], self.pictured[pair].predicted[own])
        return self.found[key]


def _figures(score: Score, seed: int, repairings: int) -> dict[str, float | int]:
    chance = statistics.repairings(score.matrix, seed, repairings)
    low, high = statistics.bootstrap_interval(score.values, seed)
    return {
        "n": len(score.values),
        "mean": score.values.mean(),
        "ci_low": low,
        "ci_high": high,
        "chance": chance.mean,
        "chance_sd": chance.sd,
        "p": chance.p,
        "repairings": repairings,
    }


def _mean(values: np.ndarray) -> float:
    """Over those that are finite; NaN without any."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else np.nan


def score_subject(
    subject: str,
    files: Any,
    pictures: Pictures,
    space: Space,
    columns: Mapping[str, np.ndarray],
    seed: int,
    repairings: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Fit a subject's encoding model and score what it predicts for the pictures.

    Args:
        files: named inputs of the rule: responses; base and final, files of pictures by variant.
        pictures: what was seen.
        columns: of `region_columns`.

    Returns:
        The tables of `score_regions`, and one row per voxel: voxel (row of the voxel table), alpha, r (of the
        test images' responses with those predicted of the pictures seen) and noise_ceiling.
    """
    responses = read_hdf5(
        files.responses,
        "train", "train_ids", "test", "test_ids", "trials", "trial_ids", "noise_ceiling", "voxel",
    )  # fmt: skip
    train_ids, rows = np.unique(responses["train_ids"], return_inverse=True)
    train = encode_images(space, pictures, train_ids)[rows]
    test_ids = responses["test_ids"]
    which = {SEEN: np.arange(len(test_ids))}
    encoded = {SEEN: encode_images(space, pictures, test_ids)}
    for picture, paths in (("final", files.final), ("base", files.base)):
        for path in paths:
            arrays, pair = read_hdf5(path, "images", "image_id"), (Path(path).stem, picture)
            image_ids = np.sort(arrays["image_id"])
            which[pair] = np.searchsorted(test_ids, image_ids)
            images = select_rows(path, arrays["images"], arrays["image_id"], image_ids)
            encoded[pair] = space.encode(images, image_ids)
    others = np.concatenate(list(encoded.values()))
    predicted, alphas = predict_responses(train, responses["train"], others, responses["train_ids"], seed)
    parts = np.split(predicted, np.cumsum([len(one) for one in encoded.values()])[:-1])
    pictured = {pair: Pictured(which[pair], part) for pair, part in zip(encoded, parts, strict=True)}
    scores, tests = score_regions(subject, columns, responses, pictured, seed, repairings)
    seen = pictured[SEEN].predicted
    r = np.mean(_standard(seen) * _standard(responses["test"]), axis=0)
    voxels = {
        "voxel": responses["voxel"],
        "alpha": alphas,
        "r": r,
        "noise_ceiling": responses["noise_ceiling"],
    }
    return scores, tests, pd.DataFrame(voxels)
