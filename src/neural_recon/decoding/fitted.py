"""What the decoders of a subject's spaces were fitted by, for analyses that refit them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neural_recon.decoding.decoder import Targets
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernels, read_taken
from neural_recon.decoding.sources import Source, feature_table


class Fitted(NamedTuple):
    """Of one space."""

    kernel: Kernel
    train_ids: np.ndarray
    test_ids: np.ndarray
    source: Source  # how its features are read
    alpha: float | np.ndarray

    def features(self, paths: Sequence[str | Path]) -> tuple[Targets, Targets]:
        """Those of the training rows and of the test images, from a space's chunks."""
        train, test = (feature_table(paths, ids, self.source) for ids in (self.train_ids, self.test_ids))
        return train, test


def read_fitted(kernels: Sequence[str | Path], curves: Iterable[str | Path]) -> Iterator[Fitted]:
    """What spaces were fitted by, from a kernel and a table of penalties each."""
    for path, found, curve in zip(kernels, read_kernels(kernels), curves, strict=True):
        yield Fitted(*found, Source(unit=read_taken(path).unit), read_chosen(curve))
