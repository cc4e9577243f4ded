"""What the demo's pictures show, as strata of scores have it."""

import os

import pandas as pd

from neural_recon.core.tables import read_table


def from_scenes(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The demo's table of scenes with the columns of `DataSet.content`.

    Raises:
        InputError: no such table.
    """
    columns = ["image_id", "n_objects", "main_kind", "second_kind"]
    scenes = read_table(path, columns, f"a table (Parquet) with the columns {', '.join(columns)}")
    kinds = [list(dict.fromkeys(filter(None, both))) for both in scenes[columns[2:]].to_numpy()]
    return scenes[columns[:2]].assign(
        main_category=scenes["main_kind"], categories=[", ".join(some) for some in kinds], crowd=False
    )
