"""The report's section that puts this run's figures beside published ones."""

from collections.abc import Sequence

import pandas as pd

from neural_recon.comparison import COLUMNS, METRICS, NATIVE, OURS
from neural_recon.report import results
from neural_recon.report.results import Results

TITLES = {
    "pixcorr": "PixCorr", "ssim": "SSIM", "alexnet2_two_way": "Alex(2)", "alexnet5_two_way": "Alex(5)",
    "inception_two_way": "Incep", "clip_two_way": "CLIP", "efficientnet_distance": "Eff",
    "swav_distance": "SwAV",
}  # fmt: skip


def section(people: Sequence[Results]) -> dict | None:
    """The comparison of all subjects; None on a page of one of several subjects."""
    path = people[0].files.comparison
    if path is None:
        return None
    table = results.table(path, COLUMNS)
    rows = [
        row
        | {
            "main": row["kind"] == OURS,
            "cells": [None if pd.isna(row[name]) else row[name] for name in METRICS],
        }
        for row in table.to_dict("records")
    ]
    return {
        "rows": rows,
        "metrics": [(TITLES[name], better) for name, better in METRICS.items()],
        "native": any(NATIVE in row["note"] for row in rows),
    }
