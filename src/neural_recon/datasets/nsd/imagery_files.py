"""NSD-Imagery's tables: which runs there were, what each trial showed or cued, and what a cue means."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import require_file
from neural_recon.core.tables import read_table

logger = logging.getLogger(__name__)

EXPERIMENT = "nsddata/experiments/nsdimagery"
SETS = "ABC"
VISION = ("visA", "visB", "visC")
# the runs as they came, by others' readings of the column RUN; without that column they are taken so
RUNS = ("visA", "attA", "imgA_1", "visB", "attB", "imgB_1", "visC", "attC", "imgC_1", "imgA_2", "imgB_2",
        "imgC_2")  # fmt: skip
TASKS = {"vis": "vision", "img": "imagery", "att": "attention"}
EVENTS = {"attention": 2}  # betas per trial


def read_items(root: Path, name: str) -> pd.DataFrame:
    """The items of a set, in their order: target (a file's name, or a word) and letter.

    Raises:
        InputError: the file is missing, or no such list.
    """
    path = root / EXPERIMENT / f"{name}_pair_list.mat"
    try:
        rows = [[_text(cell) for cell in row] for row in _matlab(path)["pair_list"]]
        order = np.argsort([int(float(number)) for number, *_ in rows], kind="stable")
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: expected pair_list, rows of number, target and letter, found others ({error}); fetch "
            "it again."
        ) from error
    return pd.DataFrame([rows[k][1:3] for k in order], columns=["target", "letter"])


def read_runs(root: Path, subject: str) -> pd.DataFrame:
    """One row per beta, run by run as they came, within a run as its trials were: run (from 1), run_name,
    task, set and cue, which is the letter of what was seen, or was to be imagined.

    Raises:
        InputError: a run's table is missing, or lacks a column.
    """
    tables = {name: _run(root, subject, name) for name in RUNS}
    numbers = {name: int(table["RUN"].iloc[0]) for name, table in tables.items()}
    order = list(RUNS)
    if len(set(numbers.values())) == len(RUNS):
        order.sort(key=numbers.__getitem__)
    else:
        logger.warning("%s: RUN does not number the runs; they are taken in their usual order", subject)
    rows = pd.concat(
        [tables[name].assign(run=n).drop(columns="RUN") for n, name in enumerate(order, start=1)]
    )
    rows = rows.reset_index(drop=True)
    rows.insert(0, "subject", subject)
    rows.insert(1, "session", "nsdimagery")
    return rows.assign(trial=np.arange(1, len(rows) + 1))


def _run(root: Path, subject: str, name: str) -> pd.DataFrame:
    path = root / f"nsddata/bdata/nsdimagery/nsdimagery_{subject}_{name}.tsv"
    columns = ["RUN", "TRIAL", "CONDITION", "CUE"]
    table = read_table(path, columns, f"the trials of the run {name}", keep_default_na=False)
    if table.empty:
        raise InputError(f"{path}: expected a row per trial, found none; fetch it again.")
    table, task = table.sort_values("TRIAL", kind="stable"), TASKS[name[:3]]
    # half of the cues of vision are not those of the picture: what was seen is the condition
    cue = table["CONDITION" if task == "vision" else "CUE"].astype(str).str.strip()
    rows = pd.DataFrame({"RUN": table["RUN"], "run_name": name, "task": task, "set": name[3], "cue": cue})
    return rows.loc[rows.index.repeat(EVENTS.get(task, 1))]


def by_item(rows: pd.DataFrame, items: Mapping[str, pd.DataFrame]) -> np.ndarray:
    """The cues of `read_runs` if the betas of a run are grouped by item, in the items' order."""
    cues = rows["cue"].to_numpy(copy=True)
    for _, run in rows.groupby("run"):
        place = {letter: n for n, letter in enumerate(items[run["set"].iloc[0]]["letter"])}
        cues[run.index] = sorted(run["cue"], key=lambda cue: place.get(cue, len(place)))
    return cues


def design_order(root: Path, rows: pd.DataFrame, items: pd.DataFrame, run_name: str) -> pd.DataFrame | None:
    """The items in the order of the design's columns: the n-th event in time is the n-th trial, which names
    its column. None without a design, or where the two do not fit.

    Args:
        rows: of `read_runs`.
        items: of the set of the run.
    """
    path = root / EXPERIMENT / "designmatrixGLMsingle.mat"
    if not path.is_file():
        return None
    mine = rows[rows["run_name"] == run_name]
    design = np.asarray(_matlab(path)["stimulus"].reshape(-1)[int(mine["run"].iloc[0]) - 1])
    columns = np.nonzero(design)[1]  # by time, as the rows of the design are
    if len(columns) != len(mine):
        return None
    pairs = sorted(set(zip(columns.tolist(), mine["cue"], strict=True)))
    letters = [letter for _, letter in pairs]
    if len({column for column, _ in pairs}) != len(pairs) or set(letters) != set(items["letter"]):
        return None
    return items.set_index("letter").loc[letters].reset_index()


def _matlab(path: Path) -> Mapping[str, Any]:
    import scipy.io  # takes long to import

    require_file(path, "a file of NSD-Imagery's design")
    try:
        return scipy.io.loadmat(path)
    except Exception as error:  # scipy raises many kinds on a broken file
        raise InputError(
            f"{path}: expected a MATLAB file of version 7 at most, found one that does not read ({error}); "
            "fetch it again."
        ) from error


def _text(cell: Any) -> str:
    """The one value in a cell of MATLAB's."""
    return str(np.asarray(cell).reshape(-1)[0]).strip()
