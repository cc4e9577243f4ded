"""Scores of one subject's pictures and predicted features, each with its chance level and its interval.

Every score is a matrix, entry (i, j) the score of picture j against truth i. Its diagonal holds the per-image
scores; random re-pairings of the same matrix say what chance reaches. A score that could not be measured has
a row too, without numbers, that says why.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from neural_recon.core.tables import rows_with
from neural_recon.evaluation import metrics, ssim_variants, statistics
from neural_recon.evaluation.registry import METRICS, NEAREST, WRITTEN, better, compared
from neural_recon.generation.controls import Control, all_comparisons

logger = logging.getLogger(__name__)

LARGEST_MATRIX = 128  # pictures wider than this are too many pixels for SSIM between all pairs
SAMPLED_REPAIRINGS = 20

# captions as answers: name -> the two (variant, picture) that are compared, first minus second
CAPTIONS = {
    "nearest caption against the shuffled decoder": (("decoded", NEAREST), ("shuffled", NEAREST)),
    "nearest caption against its ceiling": (("decoded", NEAREST), ("true_features", NEAREST)),
    "written caption against the shuffled decoder": (("decoded", WRITTEN), ("shuffled", WRITTEN)),
    "written caption against the nearest one": (("decoded", WRITTEN), ("decoded", NEAREST)),
}


@dataclass
class Scores:
    """Per-image scores and their summary, filled score by score."""

    subject: str
    seed: int
    repairings: int
    images: list[pd.DataFrame] = field(default_factory=list)
    summary: list[dict[str, object]] = field(default_factory=list)

    def add(
        self,
        variant: str,
        picture: str,
        metric: str,
        image_ids: np.ndarray,
        matrix: np.ndarray,
        chance: tuple[float, float, float, int] | None = None,
        expected: np.ndarray | None = None,
        margins: np.ndarray | None = None,
    ) -> None:
        """Take up one score.

        Args:
            variant: whose pictures: decoded, or a control such as shuffled, seed1 or nearest_image.
            picture: what is scored: base, final, baseline, or a feature space.
            metric: of `registry.METRICS`.
            image_ids: (n,) the truths.
            matrix: (n, n) scores, or (n,) the per-image ones together with `chance`.
            chance: mean, sd, p-value and number of re-pairings, where they were computed elsewhere.
            expected: (n,) each truth's mean score with re-paired pictures, likewise; default: its row's mean
                in the matrix, or the mean of `chance` for all.
            margins: (n,) what tells images of equal scores apart (`metrics.margins`), where there is any.
        """
        values = matrix if matrix.ndim == 1 else np.diagonal(matrix)
        if chance is None:
            paired = statistics.repairings(matrix, self.seed, self.repairings, better(metric))
            chance = (paired.mean, paired.sd, paired.p, self.repairings)
        low, high = statistics.bootstrap_interval(values, self.seed)
        if expected is None:
            expected = np.full(len(values), chance[0]) if matrix.ndim == 1 else matrix.mean(axis=1)
        who = {"subject": self.subject, "variant": variant, "picture": picture, "metric": metric}
        scored = {"image_id": image_ids, "value": values.astype(np.float64), "chance": expected}
        scored["margin"] = np.full(len(values), np.nan) if margins is None else margins
        self.images.append(pd.DataFrame({**who, **scored}))
        self.summary.append(
            {
                **who,
                "mean": float(values.mean()),
                "ci_low": low,
                "ci_high": high,
                "n": len(values),
                "shuffled": chance[0],
                "shuffled_sd": chance[1],
                "p": chance[2],
                "repairings": chance[3],
                "better": better(metric),
                "not_measured": "",
            }
        )
        logger.info("%s %s %s: %.4f (re-paired %.4f)", variant, picture, metric, values.mean(), chance[0])

    def add_refits(self, variant: str, picture: str, refits: Mapping[str, Mapping[str, float]]) -> None:
        """Put alongside scores of features that were added what refits on shuffled pairs reach.

        Args:
            refits: metric -> columns, as of `refit_null.by_metric`; of other metrics than were added
                nothing is taken.
        """
        for row in self.summary:
            if (row["variant"], row["picture"]) == (variant, picture):
                row |= refits.get(str(row["metric"]), {})

    def add_unmeasured(self, variant: str, picture: str, metric: str, n: int, reason: str) -> None:
        """Note that a score of n pictures could not be measured, and why: a row without numbers."""
        numbers = ("mean", "ci_low", "ci_high", "shuffled", "shuffled_sd", "p")
        self.summary.append(
            {
                **{"subject": self.subject, "variant": variant, "picture": picture, "metric": metric, "n": n},
                **dict.fromkeys(numbers, np.nan),
                **{"repairings": None, "better": better(metric), "not_measured": reason},
            }
        )
        logger.info("%s %s %s: not measured, %s", variant, picture, metric, reason)

    def add_pixels(
        self,
        variant: str,
        picture: str,
        image_ids: np.ndarray,
        truth: np.ndarray,
        images: np.ndarray,
        preset: str,
        side: int | None = None,
    ) -> None:
        """The metrics of pixels: uint8 pictures (n, h, w, 3) against stimuli (n, H, W, 3), by a preset.

        Args:
            side: as of `metrics.sized`.
        """
        rule = metrics.PRESETS[preset]
        self.add_sized(variant, picture, image_ids, *metrics.sized(truth, images, rule, side), rule.ssim)

    def add_sized(
        self,
        variant: str,
        picture: str,
        image_ids: np.ndarray,
        truth: np.ndarray,
        images: np.ndarray,
        ssim: ssim_variants.Variant,
    ) -> None:
        """The same of pictures and stimuli at a preset's size already, uint8 (n, S, S, 3)."""
        for name in compared("pixels"):
            if name == "ssim":
                self.add(variant, picture, name, image_ids, *self._ssim(truth, images, ssim))
            else:
                self.compare(variant, picture, name, image_ids, truth, images)

    def _ssim(
        self, truth: np.ndarray, images: np.ndarray, how: ssim_variants.Variant
    ) -> tuple[np.ndarray, tuple[float, float, float, int] | None, np.ndarray | None]:
        """Matrix or values, chance and expected, as `add` takes them."""
        if truth.shape[1] <= LARGEST_MATRIX:
            sides = ssim_variants.unit(truth), ssim_variants.unit(images)
            return ssim_variants.ssim_matrix(*sides, how), None, None
        rng = np.random.default_rng(self.seed)
        pairings = np.array([rng.permutation(len(images)) for _ in range(SAMPLED_REPAIRINGS)])
        values = ssim_variants.ssim_of_bytes(truth, images, how)
        drawn = ssim_variants.ssim_repaired(truth, images, how, pairings, np.float32)
        expected, drawn = np.mean(drawn, axis=0), np.mean(drawn, axis=1)
        p = (1 + np.count_nonzero(drawn >= values.mean())) / (1 + SAMPLED_REPAIRINGS)
        chance = (float(drawn.mean()), float(drawn.std(ddof=1)), p, SAMPLED_REPAIRINGS)
        return values, chance, expected

    def compare(
        self,
        variant: str,
        picture: str,
        metric: str,
        image_ids: np.ndarray,
        truth: np.ndarray,
        found: np.ndarray,
        rows: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        """Score by the matrix that the registry has for a metric.

        Args:
            truth: (m, ...) of every test image: pictures at a preset's size, features, or names.
            found: (n, ...) of the pictures, likewise.
            rows: (n,) which truths belong to the pictures (default: all). A control painted for some test
                images has the same rivals as what it is compared with.
        """
        how = METRICS[metric]
        if how.matrix is None:
            raise ValueError(f"{metric} has a method of its own")
        margins = None
        if how.matrix is metrics.identification_matrix:
            r, own = metrics.correlation_matrix(truth, found), np.arange(len(truth)) if rows is None else rows
            matrix, margins = metrics.two_way_matrix(r)[own], metrics.margins(r, own)
        elif rows is None or how.rivals:
            matrix = how.matrix(truth, found)
            matrix = matrix if rows is None else matrix[rows]
        else:
            matrix = how.matrix(truth[rows], found)
        self.add(variant, picture, metric, image_ids, matrix, margins=margins)

    def add_retrieval(
        self, variant: str, picture: str, image_ids: np.ndarray, truth: np.ndarray, found: np.ndarray
    ) -> None:
        """Retrieval both ways of features (n, d): the image from the brain's, and the brain's from the image.

        A single image's score is the share of draws in which it was found.
        """
        similarity = metrics.cosine_matrix(truth, found)
        image = metrics.retrieval_matrix(similarity, self.seed)
        brain = metrics.retrieval_matrix(similarity.T, self.seed).T
        self.add(variant, picture, "retrieval_image", image_ids, image)
        self.add(variant, picture, "retrieval_brain", image_ids, brain)

    def image_table(self) -> pd.DataFrame:
        """One row per score and image: value; chance, that truth's mean score with re-paired pictures; and
        margin (`metrics.margins`), of two-way identification."""
        return pd.concat(self.images, ignore_index=True)

    def summary_table(self) -> pd.DataFrame:
        """One row per score, with interval (95 %, over images) and chance.

        `better` is "higher" or "lower"; `not_measured` the reason of a row without numbers, else empty. With
        `add_refits` the columns it brings follow, empty for other scores.
        """
        table = pd.DataFrame(self.summary)
        counts = [name for name in ("repairings", "refits") if name in table]
        return table.astype(dict.fromkeys(counts, "Int64"))

    def comparisons(self, base_is_final: bool = False, own: Iterable[Control] = ()) -> pd.DataFrame:
        """Paired permutation tests of `all_comparisons` and of captions, on every metric both sides have.

        Args:
            base_is_final: the final image is the base image enlarged, and is not compared with itself.
            own: the generator's own controls.
        """
        table, rows = self.image_table(), []
        for name, sides in (all_comparisons(own) | CAPTIONS).items():
            if base_is_final and set(sides) == {("decoded", "final"), ("decoded", "base")}:
                continue
            wide = [
                rows_with(table, variant=v, picture=p).pivot_table(
                    index="image_id", columns="metric", values="value"
                )
                for v, p in sides
            ]
            for metric in wide[0].columns.intersection(wide[1].columns):
                first, second = wide[0][metric].dropna().align(wide[1][metric].dropna(), join="inner")
                a, b = first.to_numpy(), second.to_numpy()
                rows.append(
                    {
                        "subject": self.subject,
                        "comparison": name,
                        "metric": metric,
                        "first": a.mean(),
                        "second": b.mean(),
                        "n": len(a),
                        "better": better(metric),
                        "p": statistics.paired_permutation(a, b, self.seed),
                    }
                )
        return pd.DataFrame(rows)
