"""Paired tests of single regions' decoders, image by image: against as many random voxels, against all."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from neural_recon.evaluation import statistics
from neural_recon.evaluation.regions import ALL, RANDOM, REGION
from neural_recon.evaluation.strata import FEWEST

OWN = "own"  # column of the region's own scores
OTHERS = (RANDOM, ALL)  # what a region's decoder is compared with
TESTS = ["subject", "region", "space", "metric", "against", "first", "second", "n", "p", "p_holm"]
BY_STRATUM = ["subject", "by", "stratum", "place", "region", "space", "metric", "n", "mean", "ci_low",
              "ci_high", "chance", "all_voxels", "p", "p_holm", "not_measured"]  # fmt: skip


def joined(regions: Mapping[str, pd.DataFrame], everything: pd.DataFrame) -> pd.DataFrame:
    """Scores of single images side by side: region, space, metric, image_id, chance, `OWN`, and a column
    each of `OTHERS`.

    Args:
        regions: region -> table of `regions.score_regions`' single images.
        everything: `Scores.image_table` of the decoder from all voxels.
    """
    decoded = everything[everything["variant"] == "decoded"]  # the merge keeps what regions have, too
    keys = ["picture", "metric", "image_id"]
    every = decoded[[*keys, "value"]].rename(columns={"value": ALL})
    tables = []
    for name, table in regions.items():
        own, other = (table[table["variant"] == decoder] for decoder in (REGION, RANDOM))
        wide = own[[*keys, "value", "chance"]].rename(columns={"value": OWN})
        wide = wide.merge(other[[*keys, "value"]].rename(columns={"value": RANDOM}), on=keys)
        tables.append(wide.merge(every, on=keys).assign(region=name))
    return pd.concat(tables, ignore_index=True).rename(columns={"picture": "space"})


def paired(subject: str, scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Permutation tests of each region and space (`TESTS`), from a table of `joined`.

    `p_holm` is corrected (Holm, 1979) for all regions and spaces compared with the same.
    """
    rows = []
    groups = scores.groupby(["region", "space", "metric"], sort=False)
    flips = permutations(groups.ngroups)
    for against in OTHERS:
        for (region, space, metric), part in groups:
            first, second = part[OWN].to_numpy(), part[against].to_numpy()
            p = statistics.paired_permutation(first, second, seed, flips)
            means = (first.mean(), second.mean())
            rows.append([subject, region, space, metric, against, *means, len(part), p, np.nan])
    return corrected(pd.DataFrame(rows, columns=TESTS), ["against"])


def by_strata(subject: str, scores: pd.DataFrame, strata: Mapping[str, pd.Series], seed: int) -> pd.DataFrame:
    """Each region's scores by stratum alongside those of all voxels (`BY_STRATUM`), from a table of `joined`.

    `p` is the paired test of the stratum's images against all voxels, `p_holm` corrected for all strata,
    regions and spaces that go by the same. With n images p is 2 / 2^n at least, before correction: 0.008 of
    8, which a family of 7 or more can hardly bring below 0.05.
    """
    rows = []
    for by, members in strata.items():
        places = {name: place for place, name in enumerate(members.cat.categories)}
        table = scores.join(members.rename("stratum"), on="image_id", how="inner")
        keys = ["region", "space", "metric", "stratum"]
        groups = table.groupby(keys, observed=True, sort=False)
        flips = permutations(int((groups.size() >= FEWEST).sum()))
        for (region, space, metric, stratum), part in groups:
            row = {"subject": subject, "by": by, "stratum": stratum, "place": places[stratum],
                   "region": region, "space": space, "metric": metric, "n": len(part)}  # fmt: skip
            if len(part) < FEWEST:
                rows.append(row | {"not_measured": f"fewer than {FEWEST} images"})
                continue
            values, other = part[OWN].to_numpy(), part[ALL].to_numpy()
            low, high = statistics.bootstrap_interval(values, seed)
            rows.append(
                row
                | {
                    "mean": values.mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "chance": part["chance"].mean(),
                    "all_voxels": other.mean(),
                    "p": statistics.paired_permutation(values, other, seed, flips),
                    "not_measured": "",
                }
            )
    return corrected(pd.DataFrame(rows, columns=BY_STRATUM), ["by"])


def permutations(family: int) -> int:
    """How many sign flips a test needs: p is 1 / (1 + flips) at least, and is multiplied by as many tests as
    a family has."""
    return max(10_000, 100 * family)


def corrected(table: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """A table of tests with `p_holm`: p corrected (Holm, 1979) for all rows that agree in some columns."""
    p_holm = table.groupby(family, sort=False)["p"].transform(lambda p: statistics.holm(p.to_numpy(float)))
    return table.assign(p_holm=p_holm)
