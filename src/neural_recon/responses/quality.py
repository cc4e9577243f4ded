"""Whether a subject's responses can be trusted: reliability, noise ceiling, sessions that do not fit.

Sessions are z-scored by themselves, voxel by voxel over all trials (ddof 1), so that drifts between sessions
do not count as noise. Nothing here enters a response or a decoder.

Reliability is the split-half one over images seen at least twice. With r repetitions the first half is the
mean of the first r // 2, the second half that of the next r // 2; a last odd one is left out. r_halves is the
correlation of the halves over images: in NSD, where an image is seen up to three times, between its first and
second presentation. Reliability is that of both halves together by Spearman (1910) and Brown (1910), British
Journal of Psychology 3: 2 r / (1 + |r|), the absolute value so that chance stays around 0.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.datasets.dataset import AXES
from neural_recon.responses import session_agreement
from neural_recon.responses.noise_ceilings import noise_ceiling
from neural_recon.responses.session_verdicts import judged

logger = logging.getLogger(__name__)

REPEATED = 3  # images seen at least twice, or there is no reliability
ROUNDING = 1e-12  # a variance below this share of the mean square is none
SAMPLE = 2000  # voxels that sessions are compared by: 240 MB for 40 sessions
NAN, CONSTANT = "not a number in a session", "constant in a session"


@dataclass(frozen=True)
class Quality:
    """What was found of one subject."""

    sessions: pd.DataFrame  # a row per session: figures, verdict, remark, outlier
    regions: pd.DataFrame  # a row per region, all voxels first; medians are over those `measured`
    voxels: pd.DataFrame  # a row per voxel: r_halves, reliability, noise_ceiling, dropped


def examine(
    sessions: Iterable[np.ndarray],
    trials: pd.DataFrame,
    voxels: pd.DataFrame,
    seed: int = 0,
    atlases: Mapping[str, Collection[str]] | None = None,
) -> Quality:
    """Look at all sessions of a subject, one after the other.

    Args:
        sessions: betas (n_trials, n_voxels) of each session, in the order of the sessions in `trials`.
        trials: table of `trials.trial_table`; its rows of a session in the order of the betas' rows.
        voxels: the table of the betas' columns, as of `DataSet.voxels`.
        seed: draws the voxels that sessions are compared by.
        atlases: the regions of atlases in the order of the tables, as of `DataSet.atlases`.

    Raises:
        InputError: betas that do not fit the tables.
    """
    groups = dict(list(trials.groupby("session", sort=False)))
    regions = regions_of(voxels, atlases or {})
    chosen = np.sort(np.random.default_rng(seed).permutation(len(voxels))[:SAMPLE])
    repetitions = Repetitions(trials["image_id"].value_counts(), len(voxels) + len(regions))
    has_nan, constant = np.zeros(len(voxels), bool), np.zeros(len(voxels), bool)
    figures, sample = [], {}
    for (session, table), betas in zip(groups.items(), sessions, strict=True):
        if betas.shape != (len(table), len(voxels)):
            raise InputError(
                f"session {session}: expected betas of {len(table)} trials and {len(voxels)} voxels, "
                f"found {betas.shape}; compute them again."
            )
        with np.errstate(invalid="ignore", over="ignore"):
            bad = ~np.isfinite(betas).all(0)
            flat = ~bad & (betas.max(0) == betas.min(0))
            mean, std = betas.mean(0, dtype=np.float64), betas.std(0, ddof=1, dtype=np.float64)
        has_nan |= bad
        constant |= flat
        usable = ~bad & ~flat
        z = np.zeros_like(betas, np.float32)
        z[:, usable] = (betas[:, usable] - mean[usable]) / std[usable]
        means = [z[:, inside].sum(1) / max(usable[inside].sum(), 1) for inside in regions.values()]
        repetitions.add(table["image_id"].to_numpy(), np.column_stack([z, *means]))
        sample[session] = z[:, chosen]
        figures.append(
            {
                "session": session,
                "trials": len(table),
                "images": table["image_id"].nunique(),
                "repeated": int((repetitions.counts.loc[table["image_id"].unique()] > 1).sum()),
                "mean": float(np.median(mean[usable])) if usable.any() else np.nan,
                "spread": float(np.median(std[usable])) if usable.any() else np.nan,
                "unusable": 1 - float(usable.mean()),
            }
        )
    aligned = session_agreement.check(
        sample, {session: table["image_id"].to_numpy() for session, table in groups.items()}
    )
    test = trials.loc[trials["split"] == "test", "image_id"].unique()
    # without test images (of subjects that are not decoded) there is no noise ceiling
    inverse_repetitions = float(np.mean(1 / repetitions.counts.loc[test])) if len(test) else np.nan
    found = repetitions.table(inverse_repetitions)
    dropped = np.select([has_nan, constant & ~has_nan], [NAN, CONSTANT], "")
    found.loc[np.flatnonzero(dropped != ""), :] = np.nan  # the regions' rows follow and keep theirs
    unmeasured = np.isnan(found["reliability"].to_numpy()[: len(voxels)]) & (dropped == "")
    if repetitions.n_images >= REPEATED and unmeasured.any():
        logger.warning(
            "%d of %d voxels without a reliability: they do not vary over the repeated images",
            unmeasured.sum(), np.count_nonzero(dropped == ""),
        )  # fmt: skip
    by_voxel = pd.concat([voxels, found.iloc[: len(voxels)], pd.Series(dropped, name="dropped")], axis=1)
    return Quality(
        judged(pd.DataFrame(figures).merge(aligned, on="session")),
        _region_table(regions, by_voxel, found.iloc[len(voxels) :]),
        by_voxel,
    )


class Repetitions:
    """Sums over the images seen at least twice, taken as soon as the last trial of an image has come.

    Args:
        counts: image -> number of its trials.
        n_columns: voxels.
    """

    def __init__(self, counts: pd.Series, n_columns: int):
        self.counts = counts
        self.n_columns = n_columns
        # image -> trials seen, their sum, and that of the first half until the second is whole
        self.waiting: dict[int, tuple[int, np.ndarray, np.ndarray | None]] = {}
        self.done: set[int] = set()
        self.halves = np.zeros((5, n_columns))  # sums of a, b, a^2, b^2, a b
        self.squares, self.between, self.total = np.zeros((3, n_columns))
        self.n_images = self.n_trials = 0

    def add(self, images: np.ndarray, responses: np.ndarray) -> None:
        """Take a session: images (n_trials,), responses (n_trials, n_columns), in the order shown.

        Raises:
            ValueError: an image has more trials than were counted.
        """
        for image, response in zip(images.tolist(), responses, strict=True):
            count = int(self.counts[image])
            if count < 2:
                continue
            if image in self.done:
                raise ValueError(f"image {image} has more than {count} trials: add every session once.")
            half = count // 2
            seen, whole, first = self.waiting.pop(image, (0, np.float32(0), None))
            seen, whole = seen + 1, whole + response
            self.squares += response.astype(np.float64) ** 2
            if seen == half:
                first = whole
            elif seen == 2 * half and first is not None:
                a, b = first.astype(np.float64) / half, (whole - first).astype(np.float64) / half
                for sums, part in zip(self.halves, (a, b, a * a, b * b, a * b), strict=True):
                    sums += part
                first = None
            if seen < count:
                self.waiting[image] = (seen, whole, first)
                continue
            self.done.add(image)
            whole = whole.astype(np.float64)
            self.total += whole
            self.between += whole**2 / count
            self.n_images += 1
            self.n_trials += count

    def table(self, inverse_repetitions: float) -> pd.DataFrame:
        """A row per voxel: r_halves, reliability, noise_ceiling; nan with fewer than three repeated images,
        the first two also where a half does not vary over these.

        Args:
            inverse_repetitions: mean of 1 / repetitions of the averages that the noise ceiling is for.

        Raises:
            ValueError: trials of repeated images are still to come.
        """
        if self.waiting:
            raise ValueError(f"{len(self.waiting)} images lack trials: add every session before the table.")
        nan = np.full(self.n_columns, np.nan)
        if self.n_images < REPEATED:
            logger.warning("no reliability: fewer than three images were shown more than once")
            return pd.DataFrame({"r_halves": nan, "reliability": nan, "noise_ceiling": nan})
        a, b, aa, bb, ab = self.halves / self.n_images
        spread = [squares - mean * mean for squares, mean in ((aa, a), (bb, b))]
        # what is left of equal numbers is rounding, and its correlation means nothing
        varies = (spread[0] > ROUNDING * aa) & (spread[1] > ROUNDING * bb)
        product = np.where(varies, spread[0] * spread[1], 1.0)
        r = np.where(varies, (ab - a * b) / np.sqrt(product), np.nan)
        ceiling = noise_ceiling(
            self.squares, self.between, self.total, self.n_trials, self.n_images, inverse_repetitions
        )
        return pd.DataFrame({"r_halves": r, "reliability": 2 * r / (1 + abs(r)), "noise_ceiling": ceiling})


def regions_of(
    voxels: pd.DataFrame, atlases: Mapping[str, Collection[str]]
) -> dict[tuple[str, str], np.ndarray]:
    """(atlas, region) -> bool (n_voxels,), all voxels first as ("", "all voxels"); none empty."""
    regions = {("", "all voxels"): np.ones(len(voxels), bool)}
    for atlas in voxels.columns.drop(AXES, errors="ignore"):
        for region in atlases.get(atlas, sorted(set(voxels[atlas]) - {""})):
            inside = (voxels[atlas] == region).to_numpy()
            if inside.any():
                regions[atlas, region] = inside
    return regions


def _region_table(
    regions: Mapping[tuple[str, str], np.ndarray], by_voxel: pd.DataFrame, means: pd.DataFrame
) -> pd.DataFrame:
    """Medians over a region's voxels that have a reliability, how many these are (`measured`), and the
    reliability of its mean response."""
    kept = (by_voxel["dropped"] == "").to_numpy()
    rows, figures = [], ["r_halves", "reliability", "noise_ceiling"]
    for (atlas, region), inside in regions.items():
        part = by_voxel[inside & kept]
        measured = part.dropna(subset="reliability")
        rows.append((atlas, region, int(inside.sum()), len(part), len(measured), *measured[figures].median()))
    table = pd.DataFrame(rows, columns=["atlas", "region", "voxels", "kept", "measured", *figures])
    return table.assign(
        mean_response_r_halves=means["r_halves"].to_numpy(),
        mean_response_reliability=means["reliability"].to_numpy(),
    )


def dropped(voxels: pd.DataFrame) -> dict[str, int]:
    """Reason -> voxels of `Quality.voxels` that are left out."""
    return {reason: int((voxels["dropped"] == reason).sum()) for reason in (NAN, CONSTANT)}
