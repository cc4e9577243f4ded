"""What the decoders of a subject's spaces were fitted by, for analyses that refit them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neural_recon.decoding.decoder import Targets
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernels, read_taken
from neural_recon.decoding.sources import Source, Taken, feature_table


class Fitted(NamedTuple):
    """Of one space."""

    kernel: Kernel
    train_ids: np.ndarray
    test_ids: np.ndarray
    taken: Taken
    alpha: float | np.ndarray

    def features(self, paths: Sequence[str | Path], image_ids: np.ndarray) -> Targets:
        """Those of some images from the space's chunks, as the decoder was fitted on them."""
        return feature_table(paths, image_ids, Source(unit=self.taken.unit))

    def both(self, paths: Sequence[str | Path]) -> Iterator[Targets]:
        """Those of the training rows and of the test images."""
        return (self.features(paths, image_ids) for image_ids in (self.train_ids, self.test_ids))


def read_fitted(kernels: Sequence[str | Path], curves: Iterable[str | Path]) -> Iterator[Fitted]:
    """What spaces were fitted by, from a kernel and a table of penalties each."""
    for path, found, curve in zip(kernels, read_kernels(kernels), curves, strict=True):
        yield Fitted(*found, read_taken(path), read_chosen(curve))
