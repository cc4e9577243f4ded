"""The files that docs/stages describes, and where a run's files differ from that.

A page names a file's pattern in a heading (`responses/SUBJECT.h5`; words in capitals stand for anything) and
lists its datasets, columns and parameters in tables below it. What begins with "Only" need not be there.
"""

import fnmatch
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from helpers.places import ROOT
from neural_recon.datasets.nsd.nsd_tree import REGIONS
from neural_recon.evaluation.registry import METRICS

STAGES = ROOT / "docs/stages"
TABLES = ("dataset", "column", "parameter", "attribute")
SUFFIXES = (".h5", ".parquet", ".tsv")
COMMON = {"neural_recon_version", "parameters"}  # attributes of every HDF5 file
# names that stand for several columns
SEVERAL = {"ATLAS": "|".join(REGIONS), "seedK": r"seed\d+", "METRIC": "|".join(METRICS)}
# of TSV files, as pandas reads them; a column of empty fields has no type
KINDS = {"integer": "iu", "number": "iuf", "true or false": "b", "text": "OUT"}
NOT_RESULTS = ("provenance/", "demo_nsd/nsddata")  # records; files in NSD's own formats
OF_A_RECIPE = re.compile(r"compare/\w+/")  # before what has the same names there as anywhere


@dataclass
class Described:
    """What the pages say of one kind of file; tables by their first header: name -> row."""

    pattern: str
    page: str
    tables: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def fits(self, path: str) -> bool:
        glob = re.sub(r"[A-Z]{3,}", "*", self.pattern)
        # a * is part of one name
        return path.count("/") == glob.count("/") and all(
            fnmatch.fnmatchcase(a, b) for a, b in zip(path.split("/"), glob.split("/"), strict=True)
        )


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def described() -> list[Described]:
    """All kinds of files that the pages describe."""
    found: list[Described] = []
    for page in sorted(STAGES.glob("*.md")):
        files: list[Described] = []
        header: list[str] = []
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                patterns = re.findall(r"`([^`]+)`", line) if line.startswith("### ") else []
                files = [Described(pattern, page.name) for pattern in patterns]
                found += files
            elif not line.startswith("|"):
                header = []
            elif not header:
                header = cells(line)
            elif files and header[0] in TABLES and not line.startswith("|--"):
                row = dict(zip(header, cells(line), strict=True))
                for file in files:
                    file.tables.setdefault(header[0], {})[row[header[0]].strip("`")] = row
    return found


def differences(results: Path) -> tuple[list[str], set[str]]:
    """Sentences on where a run's files and the pages differ, and the patterns that fit no file."""
    said, files = [], described()
    unused = {file.pattern for file in files}
    for path in sorted(results.rglob("*")):
        name = OF_A_RECIPE.sub("", path.relative_to(results).as_posix())
        if path.suffix not in SUFFIXES or name.startswith(NOT_RESULTS):
            continue
        # the most specific pattern: summary.tsv and not VARIANT.tsv
        fitting = sorted(
            (f for f in files if f.fits(name)), key=lambda f: len(re.sub("[A-Z]", "", f.pattern))
        )
        if not fitting:
            said.append(f"{name}: no page describes it")
            continue
        unused -= {file.pattern for file in fitting[-1:]}
        compare = of_hdf5 if path.suffix == ".h5" else of_table
        said += [f"{name} ({fitting[-1].page}): {what}" for what in compare(path, fitting[-1].tables)]
    return said, unused


def of_hdf5(path: Path, tables: dict) -> Iterator[str]:
    with h5py.File(path) as file:
        parameters = json.loads(file.attrs["parameters"])
        yield from names("dataset", tables, list(file))
        yield from names("parameter", tables, list(parameters))
        yield from names("attribute", tables, sorted(set(file.attrs) - COMMON))
        sizes: dict[str, int] = {}
        for name in set(tables.get("dataset", {})) & set(file):
            row, data = tables["dataset"][name], file[name]
            kind = "text" if h5py.check_string_dtype(data.dtype) else data.dtype.name
            if row["type"] != kind:
                yield f"{name} is {kind}, not {row['type']}"
            axes = [axis.strip() for axis in row["shape"].strip("()").split(",")]
            if len(axes) != data.ndim:
                yield f"{name} has the shape {data.shape}, not {row['shape']}"
                continue
            for axis, size in zip(axes, data.shape, strict=True):
                known = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
                if known != size:
                    yield f"{name} has the shape {data.shape}, not {row['shape']} with {axis} = {known}"


def of_table(path: Path, tables: dict) -> Iterator[str]:
    parquet = path.suffix == ".parquet"
    table = pd.read_parquet(path) if parquet else pd.read_csv(path, sep="\t")
    yield from names("column", tables, list(table))
    rows = tables.get("column", {})
    for name in table:
        row = rows.get(name) or next(
            (rows[s] for s, p in SEVERAL.items() if s in rows and re.fullmatch(p, name)), None
        )
        if row is None or table[name].isna().all():
            continue
        wanted, dtype = row["type"], table[name].dtype
        kind = "O" if isinstance(dtype, pd.StringDtype) else dtype.kind
        if wanted in KINDS:
            # an empty field makes numbers of integers, and a column of figures numbers of text
            right = kind in KINDS[wanted] or (wanted == "integer" and (table[name].dropna() % 1 == 0).all())
            right |= wanted == "text" and not parquet
        else:
            right = np.dtype(wanted) == dtype
        if not right:
            yield f"{name} is {dtype}, not {wanted}"


def names(what: str, tables: dict, found: list[str]) -> Iterator[str]:
    """Sentences on names that are on one side only."""
    rows = tables.get(what, {})
    patterns = {name: SEVERAL.get(name, re.escape(name)) for name in rows}
    for name in found:
        if not any(re.fullmatch(pattern, name) for pattern in patterns.values()):
            yield f"the {what} {name} is not described"
    for name, pattern in patterns.items():
        missing = not any(re.fullmatch(pattern, one) for one in found)
        if missing and not rows[name].get("meaning and unit", rows[name].get("meaning", "")).startswith(
            "Only"
        ):
            yield f"the {what} {name} is described and not there"
