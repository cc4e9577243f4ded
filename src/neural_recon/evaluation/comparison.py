"""All subjects' scores in one table, and their figures alongside published ones.

Published figures are those of `published.tsv`, means over the subjects named there; what a paper does not say
stands as "unknown". Nothing here is computed from a picture: a figure that nobody measured stays
"not measured".
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, rows_with
from neural_recon.evaluation.registry import PUBLISHED_TITLES, better

DESCRIPTION = [
    "line",
    "kind",
    "source",
    "subjects",
    "preset",
    "sessions",
    "repetitions",
    "test_images",
    "note",
]
COLUMNS = [*DESCRIPTION, *PUBLISHED_TITLES]
PUBLISHED, OURS, OTHER = "published", "this run", "other method"
UNKNOWN, NOT_MEASURED = "unknown", "not measured"
NATIVE = "not comparable: preset native compares at the size of the final images"
QUESTIONED = "questioned: "  # before what is doubtful about another method's names
SIMULATED = "simulated: no brain, no photograph"


def together(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The tables of several subjects below each other."""
    return pd.concat(tables, ignore_index=True)


def over_subjects(summaries: pd.DataFrame) -> pd.DataFrame:
    """Each score's mean over subjects, with its spread.

    Args:
        summaries: the subjects' summaries below each other.

    Returns:
        A row a variant, picture and metric: subjects (how many it was measured for), mean, sd (ddof 1; nan
        of one subject), lowest and highest, n (images, over all that were measured), chance (mean
        `shuffled`), better, and not_measured. Scores that were measured for no subject have 0 subjects, nan,
        and the first subject's reason in `not_measured`, which is empty elsewhere.
    """
    measured = summaries["mean"].notna()
    reasons = summaries["not_measured"].fillna("") if "not_measured" in summaries else ""
    summaries = summaries.assign(n=summaries["n"].where(measured, 0), not_measured=reasons)
    groups = summaries.groupby(["variant", "picture", "metric"], sort=False)
    table = groups.agg(
        subjects=("mean", "count"), mean=("mean", "mean"), sd=("mean", "std"), lowest=("mean", "min"),
        highest=("mean", "max"), n=("n", "sum"), chance=("shuffled", "mean"),
        not_measured=("not_measured", "first"),
    ).reset_index()  # fmt: skip
    table["not_measured"] = table["not_measured"].where(table["subjects"] == 0, "")
    table.insert(len(table.columns) - 1, "better", table["metric"].map(better))
    return table


def published() -> pd.DataFrame:
    """The published figures, with the columns `COLUMNS`; figures as shares, descriptions as text."""
    path = resources.files("neural_recon.evaluation") / "published.tsv"
    with path.open(encoding="utf-8") as handle:
        table = pd.read_csv(handle, sep="\t", dtype=dict.fromkeys(DESCRIPTION, str))
    return table.assign(kind=PUBLISHED, note=table["note"].fillna("")).reindex(columns=COLUMNS)


def our_lines(
    summaries: Mapping[str, pd.DataFrame],
    responses: Mapping[str, str | Path],
    sessions: Mapping[str, int],
    preset: str,
    recipe: str,
    simulated: bool,
) -> pd.DataFrame:
    """This run's final images: a line per subject, and their mean where there are several.

    Args:
        summaries: subject -> summary of its scores.
        responses: subject -> file of its responses, for the repetitions of its test images.
        sessions: subject -> how many were used.
        recipe: the decoder's name.
        simulated: whether the subjects are.
    """
    note = "; ".join([*([SIMULATED] if simulated else []), *([NATIVE] if preset == "native" else [])])
    rows: list[dict[str, Any]] = []
    for subject, summary in summaries.items():
        final = rows_with(summary, variant="decoded", picture="final")
        values = final.set_index("metric")["mean"].reindex(PUBLISHED_TITLES)
        repeated = read_hdf5(responses[subject], "test_repetitions")["test_repetitions"]
        facts = (sessions[subject], float(repeated.mean()), len(repeated))
        rows.append({"subjects": subject, "facts": facts, **values})
    if len(rows) > 1:
        shared = [_shared(column) for column in zip(*(row["facts"] for row in rows), strict=True)]
        # nan where one of them was not measured: the mean of fewer subjects is another figure
        means = {metric: float(np.mean([row[metric] for row in rows])) for metric in PUBLISHED_TITLES}
        rows.append({"subjects": ", ".join(summaries), "facts": shared, **means})
    names = ("sessions", "repetitions", "test_images")
    described = [
        row
        | {name: _text(value) for name, value in zip(names, row["facts"], strict=True)}
        | {"line": f"{recipe}, " + (row["subjects"] if row["subjects"] in summaries else "mean of subjects")}
        for row in rows
    ]
    table = pd.DataFrame(described).assign(kind=OURS, source=OURS, preset=preset, note=note)
    return table.reindex(columns=COLUMNS)


def _shared(values: Sequence[float]) -> float | str:
    """A number that all subjects have in common, or its range."""
    low, high = min(values), max(values)
    return low if low == high else f"{_text(low)} to {_text(high)}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else UNKNOWN


def other_lines(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Other methods' pictures as `neural-recon evaluate` scored them: one line per file.

    What the scoring questioned stands in the note.

    Raises:
        InputError: a file is no such table.
    """
    rows = []
    wanted = ["method", "preset", "metric", "mean", "n"]
    for path in paths:
        table = read_table(path, what="a table of neural-recon evaluate")
        absent = [name for name in wanted if name not in table]
        if absent or not len(table):
            found = f"no {', '.join(absent)}" if absent else "no rows"
            raise InputError(
                f"{path}: expected a table of neural-recon evaluate with the columns {', '.join(wanted)}, "
                f"found {found}; score the pictures again, or take the file out."
            )
        table = _checked(path, table)
        first = table.iloc[0]
        described = dict.fromkeys(DESCRIPTION, UNKNOWN) | {
            "line": str(first["method"]), "kind": OTHER, "source": f"scored here: {Path(path).name}",
            "preset": str(first["preset"]), "test_images": _text(float(table["n"].max())),
            "note": _note(first),
        }  # fmt: skip
        values = table.drop_duplicates("metric").set_index("metric")["mean"].reindex(PUBLISHED_TITLES)
        rows.append({**described, **values})
    return pd.DataFrame(rows, columns=COLUMNS)


def _note(first: Mapping[str, Any]) -> str:
    """Why another method's line is not to be compared, or not to be trusted: the first of its rows."""
    doubt = first.get("questioned")
    doubts = [QUESTIONED + doubt] if isinstance(doubt, str) and doubt else []
    return "; ".join([*doubts, *([NATIVE] if first["preset"] == "native" else [])])


def _checked(path: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """A table of other pictures' scores with finite numbers, or none, as means and numbers of pictures, and
    "unknown" where it does not name the method or the preset."""
    for name in ("mean", "n"):
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = table[name][(numbers.isna() & table[name].notna()) | np.isinf(numbers)]
        if len(wrong):
            raise InputError(
                f"{path}: expected numbers, or nothing, in the column {name}, found {quoted(wrong.iloc[0])}; "
                "score the pictures again, or take the file out."
            )
        table = table.assign(**{name: numbers})
    words = table[["method", "preset"]].astype(object)
    return table.assign(**words.where(words.notna(), UNKNOWN))


def for_people(table: pd.DataFrame) -> pd.DataFrame:
    """The comparison with "not measured" where a number is missing."""
    numbers = {
        metric: table[metric].map(lambda v: f"{v:.4g}" if math.isfinite(v) else NOT_MEASURED)
        for metric in PUBLISHED_TITLES
    }
    return table.assign(**numbers)
