"""What a space is predicted from: which voxels of which responses, and what its own rows are brought to.

Spaces with the same `Source` share a kernel, and a subject's responses have all voxels: which a kernel was
made of, as `Taken`, is stored with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.decoding.decoder import Targets

logger = logging.getLogger(__name__)


class Source(NamedTuple):
    """The options of a space that its kernel depends on; the default is what a space without any has."""

    regions: tuple[str, ...] = ()  # of the data set; none: all voxels
    intercept: bool = True
    single: bool = False  # trained on single trials where others are trained on averages
    unit: bool = False  # rows of voxels, and of each token of the features, have unit length


ALL_VOXELS = Source()


def columns_of(key: str, regions: Sequence[str], inside: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The columns of the responses that a set of regions takes up.

    Args:
        key: that lists them, for messages.
        regions: their names, for messages.
        inside: bool (n_voxels,), which voxels of the table lie in any of them (`DataSet.in_regions`).
        kept: (n_columns,) the table's row of each column.

    Raises:
        InputError: the set has no voxel among them.
    """
    columns = np.flatnonzero(inside[kept])
    if not len(columns):
        raise InputError(
            f"{key}: expected voxels of {', '.join(regions)} among the {len(kept)} decoded, "
            "found none; take it out, or decode from these voxels, too."
        )
    logger.info("%s: %d of %d voxels", key, len(columns), len(kept))
    return columns


@dataclass(frozen=True)
class Taken:
    """What is taken of responses (n, p): some columns, and rows of unit length."""

    columns: np.ndarray | None = None  # None: all
    unit: bool = False

    def __call__(self, responses: np.ndarray, lengths_of: np.ndarray | None = None) -> np.ndarray:
        """Responses (n, q) as a kernel is made of them.

        Args:
            responses: (n, p), z-scored.
            lengths_of: (n, p) the responses whose lengths the rows are divided by; default: their own.
                Trials of an image are divided by the length of their average, so that they average to it.
        """
        own = self.selected(responses)
        if not self.unit:
            return own
        return own / _lengths(own if lengths_of is None else self.selected(lengths_of))

    def selected(self, responses: np.ndarray) -> np.ndarray:
        """The columns alone."""
        return responses if self.columns is None else responses[:, self.columns]


EVERYTHING = Taken()


class UnitTokens:
    """Features whose tokens (the table's parts) have unit length, read as the table is."""

    def __init__(self, table: Targets):
        self.table, self.shape, self.parts = table, table.shape, table.parts
        self._edges = np.concatenate([[0], np.cumsum(table.parts)])

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        rows, columns = index
        start, stop, _ = columns.indices(self.shape[1])
        first = int(np.searchsorted(self._edges, start, side="right")) - 1
        last = max(int(np.searchsorted(self._edges, stop)), first + 1)
        begin = int(self._edges[first])
        whole = np.asarray(self.table[rows, slice(begin, int(self._edges[last]))], np.float32)
        return unit_parts(whole, self.parts[first:last])[:, start - begin : stop - begin]


def feature_table(paths: Sequence[str | Path], image_ids: np.ndarray, source: Source) -> Targets:
    """The features that a space's decoder is fitted on."""
    # here, as the configuration needs no features
    from neural_recon.features.feature_files import FeatureTable

    table = FeatureTable(paths, image_ids)
    return UnitTokens(table) if source.unit else table


def unit_parts(features: np.ndarray, parts: Iterable[int]) -> np.ndarray:
    """Features (n, sum of parts), each part of a row divided by its length: float32."""
    result, start = np.empty(features.shape, np.float32), 0
    for width in parts:
        part = features[:, start : start + width]
        result[:, start : start + width] = part / _lengths(part)
        start += width
    return result


def unit_blocks(
    blocks: Iterator[tuple[int, np.ndarray]], parts: Sequence[int] | np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of neighbouring columns, from the first on, as whole parts of unit length."""
    edges = np.concatenate([[0], np.cumsum(parts)])
    begin, waiting = 0, []
    for start, block in blocks:
        waiting.append(block)
        stop = start + block.shape[1]
        first, last = np.searchsorted(edges, begin), np.searchsorted(edges, stop, side="right") - 1
        if last > first:
            columns, whole = np.concatenate(waiting, axis=1), int(edges[last]) - begin
            yield begin, unit_parts(columns[:, :whole], np.asarray(parts)[first:last])
            begin, waiting = begin + whole, [columns[:, whole:]]


def _lengths(rows: np.ndarray) -> np.ndarray:
    """Euclidean lengths float32 (n, 1), 1 of a row of zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    lengths[lengths == 0] = 1
    return lengths.astype(np.float32)
