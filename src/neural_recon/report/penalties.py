"""The penalties chosen, and in words what speaks against them: alongside every score that depends on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.report import plots, spaces, words
from neural_recon.report.results import Results


@dataclass(frozen=True)
class Remark:
    """What speaks against a penalty: in a few words, and as a sentence."""

    subject: str
    space: str
    short: str
    sentence: str

    @property
    def name(self) -> str:
        """The space's name for people."""
        return spaces.title(self.space)


def rows(people: Sequence[Results]) -> list[dict[str, Any]]:
    """The penalties by subject and space."""
    shown = spaces.ordered(space for person in people for space in person.alphas)
    found = []
    for person in people:
        for space in shown:
            if space not in person.alphas or person.alphas[space].empty:
                continue
            curve = person.alphas[space]
            tried = curve["score"].notna().any()
            chosen = curve[plots.is_true(curve["chosen"])]
            best = chosen if len(chosen) else curve if not tried else curve.iloc[:0]
            scored = best.dropna(subset=["score"])
            how = f"cross-validated, {curve['fold'].nunique()} folds" if tried else "fixed"
            if curve["group"].nunique() > 1:
                how += f", {curve['group'].nunique()} groups of features"
            found.append(
                {
                    "subject": person.subject,
                    "space": spaces.title(space),
                    "alpha": float(best["alpha"].min()) if len(best) else None,
                    "largest": float(best["alpha"].max()) if len(best) else None,
                    "score": float(np.average(scored["score"], weights=scored["features"]))
                    if len(scored)
                    else None,
                    "how": "; ".join([how, *(remark.short for remark in remarks_on(person, space))]),
                }
            )
    return found


def remarks(people: Sequence[Results], space: str | None = None) -> list[Remark]:
    """All remarks, or those on one space."""
    return [
        remark
        for person in people
        for one in dict.fromkeys([*person.alphas, *person.targets])
        if space in (None, one)
        for remark in remarks_on(person, one)
    ]


def in_short(people: Sequence[Results]) -> str:
    """All remarks in one sentence, "" without any."""
    found: dict[tuple[str, str], list[str]] = {}
    for remark in remarks(people):
        found.setdefault((remark.subject, remark.name), []).append(remark.short)
    said = "; ".join(f"{subject}, {name}: {', '.join(short)}" for (subject, name), short in found.items())
    return f"{said}. What it means stands below the scores of predicted features." if said else ""


def remarks_on(person: Results, space: str) -> list[Remark]:
    """What speaks against a subject's penalty of one space: the best score at an edge or below 0, a test
    score below 0."""
    said = _of_curve(person.alphas.get(space)) + _of_test(person.alphas.get(space), person.targets.get(space))
    return [Remark(person.subject, space, short, sentence) for short, sentence in said]


def _of_curve(curve: pd.DataFrame | None) -> list[tuple[str, str]]:
    """Of a penalty that was cross-validated."""
    if curve is None or curve["score"].isna().all():
        return []
    scored = curve.dropna(subset="score")
    means = scored.groupby(["group", "alpha"])["score"].mean().reset_index()
    chosen = curve.loc[plots.is_true(curve["chosen"]), ["group", "alpha"]].drop_duplicates()
    best = means.merge(chosen, on=["group", "alpha"])
    low, high, n = curve["alpha"].min(), curve["alpha"].max(), curve["group"].nunique()
    said = []
    at_edge = best[best["alpha"].isin([low, high])] if low < high else best.iloc[:0]
    if len(at_edge):
        which, other = ("smallest", "smaller") if (at_edge["alpha"] == low).all() else ("largest", "larger")
        if at_edge["alpha"].nunique() > 1:
            which, other = "smallest or largest", "smaller or larger"
        where = "The best penalty" if n == 1 else f"In {len(at_edge)} of {n} groups the best penalty"
        said.append((
            "best at the end of the range" + (f" in {len(at_edge)} of {n} groups" if n > 1 else ""),
            f"{where} is the {which} of those tried ({words.alpha(low)} to {words.alpha(high)}); a {other} "
            "one may predict better.",
        ))  # fmt: skip
    below = best[best["score"] < 0]
    if len(below):
        where = (
            f"The best held-out R² is {_negative(below['score'].iloc[0])}"
            if n == 1
            else f"In {len(below)} of {n} groups the best held-out R² is below 0, "
            f"{_negative(below['score'].min())} at the lowest"
        )
        said.append((
            "best R² below 0" + (f" in {len(below)} of {n} groups" if n > 1 else ""),
            f"{where}: with every penalty tried, held-out training images are predicted worse than by their "
            "mean.",
        ))  # fmt: skip
    return said


def _of_test(curve: pd.DataFrame | None, targets: pd.DataFrame | None) -> list[tuple[str, str]]:
    """Of any penalty, by the test images."""
    if targets is None or not (targets["part"] == 0).any():
        return []
    r2 = targets.loc[targets["part"] == 0, "r2_ridge"].iloc[0]
    if not r2 < 0:
        return []
    fixed = curve is not None and curve["score"].isna().all()
    which = "The penalty is fixed by the configuration, and the" if fixed else "The"
    return [(
        "test R² below 0",
        f"{which} median R² of uncalibrated predictions over the test images is {_negative(r2)}: most "
        "features are predicted worse than by the test images' mean"
        + ("; these responses may want another penalty (“cv” chooses one)." if fixed else "."),
    )]  # fmt: skip


def _negative(score: float) -> str:
    """A score below 0 in words that do not round it to 0."""
    return words.number(score, 4) if score <= -1e-4 else "between −0.0001 and 0"
