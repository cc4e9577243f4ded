"""Scores by what the pictures show, by how near a training image comes to them, and by how well the responses
to them repeat.

A test image with a near twin among the training images flatters a decoder, which may then do no more than
pick the twin (Shirakawa et al., 2024). Strata with fewer than `FEWEST` images are pooled, or stand without a
figure.

The chance level of a stratum is that of its own images, each with all pictures: what re-pairing over the
whole test set gives them on average. Re-paired among themselves alike pictures would be a bar that rises
with their likeness, and differ from stratum to stratum.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.tables import rows_with
from neural_recon.evaluation import metrics, statistics
from neural_recon.evaluation.registry import better

FEWEST = 8  # images of a stratum
MOST = 6  # strata by number of objects
CATEGORIES = 12  # shown by name, the most frequent ones
QUANTILES = 4

OBJECTS, CATEGORY = "number of objects", "main category"
SIMILARITY = "similarity to the nearest training image"  # which is a baseline by itself
OTHER, NOTHING, ALL = "others", "no object", "all images"
# variants that are scored by stratum: the decoder and its controls
SCORED = ("decoded", "shuffled", "mean_image", "nearest_image")

STRATA = ["subject", "by", "stratum", "place", "variant", "picture", "metric", "better", "n", "mean",
          "ci_low", "ci_high", "chance", "not_measured"]  # fmt: skip
CEILING_TRENDS = ["subject", "variant", "picture", "metric", "better", "n", "rho", "ci_low", "ci_high",
                  "p"]  # fmt: skip
TRENDS = ["subject", "by", "variant", "picture", "metric", "better", "n", "statistic", "effect", "p"]


def nearest(test: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most similar training image: test (n, d), train (m, d) -> cosine (n,), row of train (n,).

    A row of zeros has the cosine 0 with all, and a warning.
    """
    cosine = metrics.cosine_matrix(test, train)
    row = cosine.argmax(1)
    return cosine[np.arange(len(row)), row].astype(np.float32), row


def per_image(
    test_ids: np.ndarray,
    test: np.ndarray,
    train_ids: np.ndarray,
    train: np.ndarray,
    content: pd.DataFrame | None,
) -> pd.DataFrame:
    """The test images, a row each: image_id, similarity and nearest_id, and the columns of `content`.

    Args:
        test: (n, d), CLIP vision's class tokens.
        train: (m, d).
        content: of `DataSet.content`; None where nobody says what the pictures show.

    Raises:
        InputError: content lacks a test image.
    """
    similarity, row = nearest(test, train)
    table = pd.DataFrame({"image_id": test_ids, "similarity": similarity, "nearest_id": train_ids[row]})
    if content is None:
        return table
    absent = np.setdiff1d(test_ids, content["image_id"])
    if len(absent):
        raise InputError(
            f"content: expected a row for each test image, found none for image {absent[0]} "
            f"({len(absent)} are missing); it belongs to other stimuli."
        )
    return table.merge(content, on="image_id")


def strata_of(images: pd.DataFrame) -> dict[str, pd.Series]:
    """The strata of a table of `per_image`: what they go by -> ordered categories, indexed by image_id."""
    images = images.set_index("image_id")
    found = {}
    if "n_objects" in images:
        found[OBJECTS] = by_number(images["n_objects"])
        found[CATEGORY] = by_category(images["main_category"])
    found[SIMILARITY] = by_quantile(images["similarity"])
    return found


def by_number(numbers: pd.Series) -> pd.Series:
    """Neighbouring numbers pooled, from the smallest on, until a stratum has a `MOST`th of the images and
    `FEWEST` at the least; what is left over at the end joins the last one."""
    counts = numbers.value_counts().sort_index()
    least = max(FEWEST, len(numbers) / MOST)
    groups, group = [], []
    for number in counts.index:
        group.append(number)
        if counts[group].sum() >= least:
            groups.append(group)
            group = []
    if group and groups:
        groups[-1] += group
    elif group:
        groups = [group]
    names = {number: _span(group, group is groups[-1]) for group in groups for number in group}
    return pd.Series(
        pd.Categorical(numbers.map(names), list(dict.fromkeys(names.values())), ordered=True), numbers.index
    )


def _span(group: list[int], last: bool) -> str:
    if len(group) == 1:
        return str(group[0])
    return f"{group[0]} or more" if last else f"{group[0]} to {group[-1]}"


def by_category(names: pd.Series) -> pd.Series:
    """The most frequent `CATEGORIES`; those with fewer than `FEWEST` images and all others are pooled."""
    names = names.replace("", NOTHING)
    counts = names.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    shown = counts[counts >= FEWEST].index[:CATEGORIES]
    pooled = names.where(names.isin(shown), OTHER)
    order = [*shown, *([OTHER] if (pooled == OTHER).any() else [])]
    return pd.Series(pd.Categorical(pooled, order, ordered=True), names.index)


def by_quantile(values: pd.Series) -> pd.Series:
    """As many equal shares as have `FEWEST` images each, `QUANTILES` at most, named by their bounds; shares
    whose bounds have one name are one."""
    count = max(1, min(QUANTILES, len(values) // FEWEST))
    bounds = np.quantile(values, np.linspace(0, 1, count + 1))
    bounds = bounds[np.unique(np.round(bounds, 3), return_index=True)[1]]
    if len(bounds) < 2:
        bounds = np.repeat(bounds, 2)
    place = np.clip(np.searchsorted(bounds[1:-1], values, side="right"), 0, len(bounds) - 2)
    names = [f"{low:.3f} to {high:.3f}" for low, high in itertools.pairwise(bounds)]
    return pd.Series(pd.Categorical.from_codes(place, names, ordered=True), values.index)


def score_strata(
    subject: str,
    scores: pd.DataFrame,
    strata: Mapping[str, pd.Series],
    seed: int,
) -> pd.DataFrame:
    """Mean scores of each stratum, and of all images, with interval and chance.

    Args:
        scores: `Scores.image_table` (variant, picture, metric, image_id, value, chance); rows without a value
            were not measured and are passed over.
        strata: of `strata_of`.

    Returns:
        Columns `STRATA`: `ci_low` and `ci_high` bound the 95 % bootstrap interval over images; `chance` is
        that of the stratum's images re-paired with all pictures. A stratum of fewer than `FEWEST` images has
        the reason in `not_measured`. There is no p: flipping the signs of score less chance needs differences
        that chance makes symmetric, and those of rare successes (0 or 1) are not.
    """
    rows = []
    everything = pd.Series(ALL, scores["image_id"].unique(), dtype="category")
    for by, members in {ALL: everything, **strata}.items():
        places = {name: place for place, name in enumerate(members.cat.categories)}
        joined = _measured(scores).join(members.rename("stratum"), on="image_id", how="inner")
        keys = ["variant", "picture", "metric", "stratum"]
        for (variant, picture, metric, stratum), part in joined.groupby(keys, observed=True, sort=False):
            row = {"subject": subject, "by": by, "stratum": stratum, "place": places[stratum],
                   "variant": variant, "picture": picture, "metric": metric,
                   "better": better(metric), "n": len(part)}  # fmt: skip
            rows.append(row | _figures(part, seed))
    return pd.DataFrame(rows, columns=STRATA)


def _measured(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.dropna(subset=["value", "chance"])


def _figures(part: pd.DataFrame, seed: int) -> dict[str, object]:
    if len(part) < FEWEST:
        return {"not_measured": f"fewer than {FEWEST} images"}
    values, chance = part["value"].to_numpy(), part["chance"].to_numpy()
    low, high = statistics.bootstrap_interval(values, seed)
    return {
        "mean": values.mean(),
        "ci_low": low,
        "ci_high": high,
        "chance": chance.mean(),
        "not_measured": "",
    }


def trends(subject: str, scores: pd.DataFrame, images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Whether scores go with what the strata are cut by, on single images: columns `TRENDS`.

    Spearman's rho with the number of objects and with the similarity, and the share of the variance between
    the strata of main categories (eta squared); p by permutation of the images, not corrected.
    """
    images = images.set_index("image_id")
    strata, rows = strata_of(images.reset_index()), []
    keys = {
        OBJECTS: images.get("n_objects"),
        CATEGORY: strata.get(CATEGORY),
        SIMILARITY: images["similarity"],
    }
    for (variant, picture, metric), part in _measured(scores).groupby(
        ["variant", "picture", "metric"], sort=False
    ):
        for by, key in keys.items():
            if key is None or len(part) < FEWEST:
                continue
            place = key.loc[part["image_id"]].to_numpy()
            test = statistics.groups_permutation if by == CATEGORY else statistics.trend_permutation
            effect, p = test(place, part["value"].to_numpy(), seed)
            rows.append(
                [subject, by, variant, picture, metric, better(metric), len(part),
                 "eta squared" if by == CATEGORY else "rho", effect, p]
            )  # fmt: skip
    return pd.DataFrame(rows, columns=TRENDS)


def by_ceiling(subject: str, scores: pd.DataFrame, ceilings: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Whether final images score by how well the responses to them repeat: columns `CEILING_TRENDS`.

    Spearman's rho of each score of the decoder's final images with the images' noise ceilings, its interval
    (95 %, over images), and p by permutation of the images, not corrected. Images without a ceiling are left
    out; of fewer than `FEWEST` there is no row.

    Args:
        ceilings: of `noise_ceilings.of_images`.
    """
    known = ceilings.dropna(subset="noise_ceiling").set_index("image_id")["noise_ceiling"]
    final = rows_with(scores, variant="decoded", picture="final")
    rows = []
    for metric, part in final.dropna(subset="value").groupby("metric", sort=False):
        part = part[part["image_id"].isin(known.index)]
        if len(part) < FEWEST:
            continue
        sides = known.loc[part["image_id"]].to_numpy(), part["value"].to_numpy()
        rho, p = statistics.trend_permutation(*sides, seed)
        interval = statistics.rank_interval(*sides, seed)
        rows.append([subject, "decoded", "final", metric, better(metric), len(part), rho, *interval, p])
    return pd.DataFrame(rows, columns=CEILING_TRENDS)


def scored(scores: pd.DataFrame) -> pd.DataFrame:
    """Those of a subject's scores that are looked at by stratum: all of what was decoded, the pictures of the
    other variants in `SCORED`."""
    pictures = scores["picture"].isin(("base", "final", "baseline"))
    return scores[scores["variant"].isin(SCORED) & (pictures | (scores["variant"] == "decoded"))]
