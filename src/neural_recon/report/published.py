"""The report's section that puts this run's figures alongside published ones."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from neural_recon.evaluation.comparison import COLUMNS, NATIVE, OURS, QUESTIONED
from neural_recon.evaluation.registry import PUBLISHED_TITLES, better
from neural_recon.report import results
from neural_recon.report.results import Results


def section(people: Sequence[Results], same_data: bool = True) -> dict[str, Any] | None:
    """The comparison of all subjects; None on a page of one of several subjects.

    Args:
        same_data: whether published figures are of this data set.
    """
    path = people[0].files.comparison
    if path is None:
        return None
    table = results.table(path, COLUMNS)
    rows = [
        row
        | {
            "main": row["kind"] == OURS,
            "questioned": row["note"].startswith(QUESTIONED),
            "cells": [None if pd.isna(row[name]) else row[name] for name in PUBLISHED_TITLES],
        }
        for row in table.to_dict("records")
    ]
    return {
        "rows": rows,
        "metrics": [(title, better(name)) for name, title in PUBLISHED_TITLES.items()],
        "questioned": any(row["questioned"] for row in rows),
        "same_data": same_data,
        "native": any(NATIVE in row["note"] for row in rows),
    }
