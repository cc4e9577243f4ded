"""A lab's table of trials: one row per trial, with the lab's own names of people, sessions and pictures."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.tables import read_table
from neural_recon.datasets.dataset import NAME

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

COLUMNS = ("subject", "session", "image")  # what a table must have
WHAT = "a table of trials, with the columns subject, session, trial and image"
EMPTY = ["", "n/a", "N/A", "NA", "NaN", "nan", "None"]  # no picture


def read_rows(path: str | Path, leave_out: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """One row per trial in the order of the betas: subject by subject, session by session.

    Args:
        path: TSV with `COLUMNS`; `trial` orders the trials of a session (with `run` those of a run), without
            it they are in order. Other columns are kept.
        leave_out: column -> values; such trials count as without a picture, as catch trials.

    Returns:
        The table's columns, text but for numbers, and: session (a number), session_name (as it is written),
        trial (from 1 within the session, trials without a picture included), image ("" without one that is
        used) and blank (bool: the table has none).

    Raises:
        InputError: the file is missing or no such table, a column or a name is missing, a subject's name
            cannot be part of a file's, or trials of a session share a number.
    """
    import pandas as pd

    table = read_table(path, COLUMNS, WHAT, dtype=str, keep_default_na=False)
    if table.empty:
        raise InputError(f"{path}: expected {WHAT}, found no row.")
    table = table.apply(lambda column: column.str.strip())
    for name in ("subject", "session"):
        absent = np.flatnonzero(table[name].isin(EMPTY))
        if absent.size:
            raise InputError(f"{path}, line {absent[0] + 2}: expected a {name}, found none.")
    for name in table["subject"].unique():
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"{path}: expected names of subjects of letters, digits, - and _, as files are called by "
                f"them, found {quoted(name)}; rename it."
            )
    table["blank"] = table["image"].isin(EMPTY)
    for name, values in leave_out.items():
        if name not in table:
            raise InputError(
                f"{path}: expected the column {name} of dataset.leave_out, found {', '.join(table)}."
            )
        table.loc[table[name].isin([str(value) for value in values]), "image"] = ""
    table.loc[table["blank"], "image"] = ""
    if (table["image"] == "").all():
        raise InputError(
            f"{path}: expected names of pictures in the column image, found none in the trials that are not "
            "left out; write the picture that was shown into each row."
        )
    table["session_name"] = table["session"]
    table["session"] = _session_numbers(path, table)
    table = _ordered(path, table)
    table["trial"] = table.groupby(["subject", "session"]).cumcount() + 1
    for name in table.columns.drop([*COLUMNS, "session_name", "trial", "blank"]):
        numbers = pd.to_numeric(table[name].where(~table[name].isin(EMPTY)), errors="coerce")
        if (numbers.notna() | table[name].isin(EMPTY)).all() and numbers.notna().any():
            table[name] = numbers
    return table


def _session_numbers(path: str | Path, table: pd.DataFrame) -> np.ndarray:
    """The number at the end of each session's name, if all have one and these differ within every subject;
    else the sessions are numbered per subject as they come."""
    at_the_end = table["session_name"].str.extract(r"(?<!\d)(\d{1,9})$")[0]  # one of more digits is a date
    if at_the_end.notna().all():
        found = table[["subject", "session_name"]].assign(number=at_the_end.astype(np.int64))
        shared = found.drop_duplicates().duplicated(["subject", "number"]).any()
        if (found["number"] > 0).all() and not shared:
            return found["number"].to_numpy()
    logger.info("%s: sessions are numbered as they come, per subject", path)
    return (
        table.groupby("subject", sort=False)["session_name"]
        .transform(lambda names: names.map({name: n for n, name in enumerate(names.unique(), start=1)}))
        .to_numpy(np.int64)
    )


def _ordered(path: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """Subjects as they come, each one's sessions ascending, the trials of these by their numbers."""
    import pandas as pd

    keys = pd.DataFrame({"subject": pd.factorize(table["subject"])[0], "session": table["session"]})
    if "trial" in table:
        numbers = pd.to_numeric(table["trial"], errors="coerce")
        if numbers.isna().any():
            line = int(np.flatnonzero(numbers.isna())[0]) + 2
            raise InputError(
                f"{path}, line {line}: expected a number in the column trial, found "
                f"{quoted(table['trial'].iloc[line - 2])}; without the column trials are in order."
            )
        if "run" in table:
            runs = pd.to_numeric(table["run"], errors="coerce")
            keys["run"] = pd.factorize(table["run"])[0] if runs.isna().any() else runs
        keys["trial"] = numbers
        again = np.flatnonzero(keys.duplicated())
        if again.size:
            row = table.iloc[again[0]]
            raise InputError(
                f"{path}, line {again[0] + 2}: expected trials of different numbers, found trial "
                f"{row['trial']} of {row['subject']}, session {row['session_name']}, again; number the "
                "trials of a session through, or name the run of each in a column run."
            )
    order = keys.sort_values(list(keys), kind="stable").index
    return table.loc[order].reset_index(drop=True)


def own_trials(
    rows: pd.DataFrame, image_ids: Mapping[str, int], without_caption: Collection[int] = ()
) -> pd.DataFrame:
    """The trials that are used of some rows, as of `DataSet.trials`: those with a picture, and a caption
    where there are captions. Those left out are counted in the log.

    Args:
        rows: of `read_rows`.
        image_ids: of the names in the column image.
        without_caption: images that have none.
    """
    pictured = rows[rows["image"] != ""]
    ids = pictured["image"].map(image_ids).to_numpy(np.int64)
    said = ~np.isin(ids, list(without_caption))
    logger.info("%s", left_out(rows, pictured[~said]))
    used = pictured[said].drop(columns=["subject", "session_name", "blank"]).reset_index(drop=True)
    split = used["split"] if "split" in used else np.full(len(used), "")
    order = ["session", "trial", "image_id", "shared"]
    used = used.assign(image_id=ids[said], shared=split == "test")
    return used[[*order, *used.columns.drop(order)]]


def left_out(rows: pd.DataFrame, unsaid: pd.DataFrame) -> str:
    """How many trials are left out, and why, in words."""
    blank = int((rows["image"] == "").sum())
    text = f"{len(rows)} trials, {blank} of them without a picture"
    if len(unsaid):
        names = sorted(unsaid["image"].unique())
        some = f"{names[0]!r}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"
        text += f", {len(unsaid)} of pictures without a caption ({some})"
    return f"{text}: left out"


def expected_counts(rows: pd.DataFrame, session: int) -> dict[int, np.ndarray]:
    """How many volumes a file of betas may have -> which of them are the trials of a session, from 0.

    A file may have betas of all trials; of those that show something, catch trials too; or of those alone
    that are used. What a trial without betas is given means nothing.

    Args:
        rows: of all sessions that share the file.
        session: whose trials are wanted.
    """
    mine = (rows["session"] == session).to_numpy()
    having = (rows["image"] != "").to_numpy(), ~rows["blank"].to_numpy(), np.ones(len(rows), bool)
    return {int(there.sum()): (np.cumsum(there) - 1)[mine] for there in having}


def sessions_of(rows: pd.DataFrame, subject: str) -> dict[int, str]:
    """The numbers of a subject's sessions, ascending, and what the lab calls them."""
    mine = rows.loc[rows["subject"] == subject, ["session", "session_name"]].drop_duplicates("session")
    return dict(zip(mine["session"].tolist(), mine["session_name"], strict=True))


def filled_in(pattern: str, subject: str, session: str = "") -> str:
    """A pattern of paths with a subject and a session in it; `{session:02}` is the number at the end of the
    session's name with as many digits."""
    digits = re.search(r"\d+$", session)
    number: Any = int(digits[0]) if digits else session
    text = pattern.replace("{subject}", subject).replace("{session}", session)
    return re.sub(r"\{session:0(\d)\}", lambda width: str(number).rjust(int(width[1]), "0"), text)
