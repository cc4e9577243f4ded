"""How much of a score comes from the brain: what decoder and controls reach between chance and ceiling.

    share = (score - chance) / (ceiling - chance)

Score, chance and ceiling are means over the same images: chance is what the run's own pictures score with
pictures that are not theirs (re-paired), the ceiling what the generator paints from true features. 0: as good
as another image's reconstruction; 1: what a perfect decoder would reach. Controls that know nothing of the
response have a share, too, where a metric rewards what all pictures have in common; only what the decoder
reaches above them is owed to the response (random baseline and reconstruction ceiling of BrainBits, Mayo et
al., 2024).
"""

import functools
from collections.abc import Iterable

import numpy as np
import pandas as pd

from neural_recon.generation.controls import CONTROLS, RUN, Control

RESAMPLES = 2000
CLEARLY = 0.975  # share of these in which the ceiling is above chance
PICTURES = ("final", "base")
COLUMNS = ["subject", "picture", "variant", "metric", "n", "score", "chance", "ceiling"]
COLUMNS += ["share", "low", "high", "not_measured"]
NO_ROOM = "the ceiling is not clearly above chance"


def shares(images: pd.DataFrame, seed: int, own: Iterable[Control] = ()) -> pd.DataFrame:
    """One row per picture (final, base), variant and metric that has a ceiling.

    Args:
        images: scores by image, as `subject_scores.Scores.image_table`.
        seed: of the bootstrap over images.
        own: the generator's own controls.

    Returns:
        `COLUMNS`: means over the n images that have all three; the share with its 95 % interval, images drawn
        once for the three; empty, and `not_measured` says why, where the ceiling is not above chance in
        97.5 % of the draws.
    """
    table = images.dropna(subset="value")
    shown = [RUN, *(one for one in (*CONTROLS.values(), *own) if not one.response)]
    rows = []
    for (subject, metric), scored in table.groupby(["subject", "metric"], sort=False):
        each = {
            pair: mine.set_index("image_id")
            for pair, mine in scored.groupby(["variant", "picture"], sort=False)
        }
        for picture in PICTURES:
            decoded, ceiling = (each.get((variant, picture)) for variant in (RUN.name, "true_features"))
            if decoded is None or ceiling is None:
                continue
            for one in shown:
                found = each.get((one.name, one.picture(picture)))
                if found is None:
                    continue
                three = pd.concat(
                    [found["value"], decoded["chance"], ceiling["value"]], axis=1, join="inner"
                ).to_numpy()
                if len(three):
                    who = {"subject": subject, "picture": picture, "variant": one.name, "metric": metric}
                    rows.append({**who, **share(three, seed)})
    return pd.DataFrame(rows, columns=COLUMNS)


def share(three: np.ndarray, seed: int) -> dict[str, object]:
    """The share of scores, chances and ceilings (n, 3) of images: numbers of `COLUMNS`."""
    n = len(three)
    score, chance, ceiling = three.mean(axis=0)
    drawn = _counts(n, seed) @ three / n
    room, sign = drawn[:, 2] - drawn[:, 1], np.sign(ceiling - chance)  # of distances, which fall, negative
    numbers = {"n": n, "score": score, "chance": chance, "ceiling": ceiling}
    none = dict.fromkeys(("share", "low", "high"), np.nan)
    there = room * sign > 0
    if there.mean() < CLEARLY:
        return {**numbers, **none, "not_measured": NO_ROOM}
    low, high = np.quantile((drawn[there, 0] - drawn[there, 1]) / room[there], [0.025, 0.975])
    reached = (score - chance) / (ceiling - chance)
    return {**numbers, "share": reached, "low": low, "high": high, "not_measured": ""}


@functools.lru_cache(4)
def _counts(n: int, seed: int) -> np.ndarray:
    """How often each of n images is drawn in each bootstrap sample, (`RESAMPLES`, n)."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES)
