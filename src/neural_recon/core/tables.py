"""Tables, Parquet or TSV by their suffix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_recon import __version__
from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import PARQUET, TEXT, another_kind, explained
from neural_recon.core.files import atomic
from neural_recon.core.refusals import require_file

# importing pandas takes longer than all else here: only who reads or writes tables pays
if TYPE_CHECKING:
    import pandas as pd

LARGEST_TABLE = 2**29  # values; a session's responses have 12 million


def read_table(
    path: str | os.PathLike[str], columns: Sequence[str] = (), what: str = "a table", **options: Any
) -> pd.DataFrame:
    """Read a table, Parquet, CSV or TSV by the suffix.

    Args:
        columns: that it must have; it may have others.
        what: the file is expected to be, for the message.
        options: of pandas' reader of text.

    Raises:
        InputError: the file is missing, cut short or no table, or lacks a column.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    path = Path(path)
    require_file(path, what)
    kind = PARQUET if path.suffix == ".parquet" else TEXT
    try:
        if kind == PARQUET:
            with pq.ParquetFile(path) as file:  # some kilobytes can declare any number of equal rows
                size = file.metadata.num_rows * file.metadata.num_columns
            if size > LARGEST_TABLE:
                raise InputError(f"{path}: expected {what} of at most {LARGEST_TABLE} values, found {size}.")
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", **options)
    except InputError:
        raise
    except Exception as error:  # parsers raise many kinds on a broken file
        damaged = InputError(
            f"{path}: expected {what}, found one that does not read ({error}); fetch or compute it again."
        )
        raise (explained(path, error, what, kind) or damaged) from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise another_kind(path, what, kind) or InputError(
            f"{path}: expected the columns {', '.join(missing)}, found {', '.join(map(str, table))}; "
            "fetch or compute it again."
        )
    return table


def write_table(path: str | os.PathLike[str], frame: pd.DataFrame) -> None:
    """Write a table as Parquet or TSV, by the suffix; the package version goes into Parquet's metadata."""
    with atomic(path) as temporary:
        if Path(path).suffix == ".parquet":
            frame = frame.copy(deep=False)
            frame.attrs = {**frame.attrs, "neural_recon_version": __version__}
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, sep="\t", index=False, float_format="%.6g")


def rows_with(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows that have these values, by column."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def first_with(table: pd.DataFrame, **values: object) -> dict[str, Any] | None:
    """The first of these rows; None without any."""
    rows = rows_with(table, **values)
    return rows.iloc[0].to_dict() if len(rows) else None
