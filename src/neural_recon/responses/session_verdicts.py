"""What the figures of a subject's sessions mean, in words, and which of them stop a run."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there
from neural_recon.core.tables import read_table
from neural_recon.responses import session_agreement

logger = logging.getLogger(__name__)

OUTLIER = 3.5  # robust z-score, as Iglewicz & Hoaglin (1993) advise
FEWEST = 10  # sessions below which none stands out
OK, UNCHECKED, ALONE = "ok", "not checked", "agrees with no other session"


def robust_z(values: Sequence[float] | np.ndarray, least: float = 0) -> np.ndarray:
    """0.6745 (x - median) / MAD of each value (Iglewicz & Hoaglin 1993); nan with fewer than `FEWEST`
    values or a MAD of at most `least`."""
    values = np.asarray(values, np.float64)
    there = values[np.isfinite(values)]
    mad = np.median(np.abs(there - np.median(there))) if len(there) >= FEWEST else 0
    return 0.6745 * (values - np.median(there)) / mad if mad > least else np.full(len(values), np.nan)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Put the verdicts of `session_agreement.check` into words, and say which figures of a session stand out.

    `table` has mean and spread as well. The columns verdict and reading become words; remark and outlier (the
    names of such figures) are added.
    """
    verdict, remark, reading = [], [], []
    for row in table.itertuples():
        in_words = reading_in_words(row.reading, row.by)
        reading.append(in_words)
        if row.verdict in (session_agreement.SHIFTED, session_agreement.SWAPPED):
            verdict.append(in_words)
            trials = f"{abs(row.by)} trial{'s' * (abs(row.by) > 1)}"
            moved = f"its betas come {trials} {'late' if row.by > 0 else 'early'}"
            remark.append(moved if row.verdict == session_agreement.SHIFTED else "")
        elif row.verdict == session_agreement.ALONE:
            verdict.append(ALONE)
            remark.append("another subject's, or damaged")
        else:
            verdict.append(row.verdict)
            few = f"only {row.compared} trials of images that other sessions repeat"
            why = few if row.compared < session_agreement.TRIALS else "agreement too weak to tell"
            remark.append(why if row.verdict == UNCHECKED else "")
    outlier: list[list[str]] = [[] for _ in verdict]
    rounding = 0.001 * table["spread"].median()  # betas that were z-scored before all have the mean 0
    for name, least in (("mean", rounding), ("spread", rounding), ("agreement", 0)):
        for names, z, word in zip(outlier, robust_z(table[name], least), verdict, strict=True):
            # a fault says already why the agreement is low
            if abs(z) > OUTLIER and (name != "agreement" or word in (OK, UNCHECKED)):
                names.append(name)
    table = table.drop(columns="by").assign(verdict=verdict, reading=reading, remark=remark)
    return table.assign(outlier=[", ".join(names) for names in outlier])


def reading_in_words(reading: str, by: int) -> str:
    """Such as "shifted by 1 trial" or "holds the trials of session 7"; "" for none."""
    if reading == session_agreement.SHIFTED:
        return f"shifted by {by} trial{'s' * (abs(by) > 1)}"
    return f"holds the trials of session {by}" if reading == session_agreement.SWAPPED else ""


def read_sessions(path: str | Path) -> pd.DataFrame:
    """The table `sessions` of `quality.examine`, as written.

    Raises:
        InputError: the file is missing, or no such table.
    """
    if not is_there(path, "the table of sessions"):
        raise InputError(f"{path}: expected the table of sessions, found no such file; run the rule quality.")
    table = read_table(path, ["session", "verdict", "remark", "outlier"], "a table of sessions")
    words = table.columns.intersection(["reading", "remark", "outlier"])
    return table.assign(**table[words].astype(object).fillna(""))


def faults(sessions: pd.DataFrame) -> dict[str, list[int]]:
    """What is wrong, in words -> the sessions."""
    wrong = sessions[~sessions["verdict"].isin([OK, UNCHECKED])]
    return {verdict: part["session"].tolist() for verdict, part in wrong.groupby("verdict", sort=False)}


def sentence(sessions: pd.DataFrame) -> str:
    """The verdict on a subject."""
    n, wrong = len(sessions), faults(sessions)
    unchecked = sessions.loc[sessions["verdict"] == UNCHECKED, "session"].tolist()
    parts = [f"{which(numbers, n)} {_verb(verdict, len(numbers))}" for verdict, numbers in wrong.items()]
    if not wrong and not unchecked:
        parts = [f"all {n} sessions agree with each other"]
    elif not wrong and len(unchecked) < n:
        parts = [f"{n - len(unchecked)} of {n} sessions agree with each other"]
    if unchecked:
        parts.append(f"{which(unchecked, n)} could not be checked")
    said = "; ".join(parts)
    stand_out = sessions.loc[sessions["outlier"] != "", "session"].tolist()
    if stand_out:
        said += f"; {which(stand_out, n)} stand{'s' * (len(stand_out) == 1)} out"
    return f"{said[0].upper()}{said[1:]}."


def advice(sessions: pd.DataFrame, subject: str) -> str:
    """What to do about the faults, "" without any."""
    wrong = faults(sessions)
    bad = [session for numbers in wrong.values() for session in numbers]
    if not bad:
        return ""
    if len(wrong) == 1 and len(bad) == len(sessions):
        return "betas and the table of who saw what do not belong together, get or write both again"
    them = "it" if len(bad) == 1 else "them"
    return f"fetch {them} again or leave {them} out (subjects.{subject}.sessions)"


def which(numbers: Sequence[int], n: int) -> str:
    """Such as "session 5", "sessions 1, 2 and 7", "all 4 sessions"."""
    if len(numbers) == n > 1:
        return f"all {n} sessions"
    names = [str(number) for number in numbers]
    if len(names) == 1:
        return f"session {names[0]}"
    return f"sessions {', '.join(names[:-1])} and {names[-1]}"


def _verb(verdict: str, n: int) -> str:
    """A verdict as the end of a sentence about n sessions."""
    if verdict.startswith("shifted"):
        return f"{'is' if n == 1 else 'are'} {verdict}"
    return verdict if n == 1 else verdict.replace("holds", "hold").replace("agrees", "agree")


def require_agreement(path: str | Path, subject: str, only: Sequence[int] | None = None) -> str:
    """The verdict of a table of sessions, unless there is a fault among them.

    Args:
        path: `results/quality/{subject}/sessions.tsv`.
        subject: such as "subj01".
        only: of these sessions; None: of all.

    Raises:
        InputError: a session is shifted, holds another one's trials, or agrees with none.
    """
    sessions = read_sessions(path)
    if only is not None:
        sessions = sessions[sessions["session"].isin(only)]
    wrong = faults(sessions)
    if wrong:
        n = len(sessions)
        found = ", ".join(
            f"{which(numbers, n)} {_verb(verdict, len(numbers)).removeprefix('is ').removeprefix('are ')}"
            for verdict, numbers in wrong.items()
        )
        raise InputError(
            f"{path}: expected sessions that agree with each other, found {found}; "
            f"{advice(sessions, subject)}; the page {Path(path).parent}.html shows it."
        )
    for row in sessions[(sessions["outlier"] != "") | (sessions["verdict"] == UNCHECKED)].itertuples():
        said = (
            f"{row.verdict}: {row.remark}" if row.verdict == UNCHECKED else f"stands out by its {row.outlier}"
        )
        logger.warning("%s, session %d: %s", subject, row.session, said)
    return sentence(sessions)
