"""The interface of a decoder: from responses to the features of the pictures seen.

Its kinds are modules of `decoding/decoders/`, one class each. A kind without a rule file of its own is fitted
by the rule `predictions`, one job per subject and space. One that shares work between fits, or offers
analyses of what it has learnt, brings `workflow/rules/decoders/KIND.smk` (somebody's own module: NAME.smk
alongside it).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from neural_recon.core.kinds import Kinds, KindSettings

# the penalties tried; refits on shuffled pairs; scores of single features; refits on less data; held-out
# clusters; checks for traces of the test set; decoders of single regions; decoders kept for new scans; losses
# of a training by epoch; decoders that see a few components of the responses only
Analysis = Literal[
    "penalties",
    "refits",
    "targets",
    "data_amount",
    "clusters",
    "leaks",
    "regions",
    "kept",
    "losses",
    "bottleneck",
]


class Targets(Protocol):
    """Features to predict, read in blocks of columns, such as `features.feature_files.FeatureTable`."""

    shape: tuple[int, int]
    parts: np.ndarray

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray: ...


class Holding(NamedTuple):
    """What kept files hold of the responses that a decoder was trained on."""

    responses: bool  # the training responses themselves, for whoever has the files
    said: str  # what the files hold, and what can be computed from them, in sentences
    recoverable: bool = False  # they can be computed from the files by whoever has the training pictures


class Decoder(ABC):
    """One decoder. What it predicts is `predictions/SUBJECT/SPACE/FIT.h5`.

    Attributes:
        fits: what is predicted per space. Every decoder has "decoded", and "shuffled", the control that is
            fitted on pairs which do not belong together.
        sentence: what it is, for the report.
        offers: the analyses for which its rule file has rules; the report shows those.
    """

    class Settings(KindSettings):
        """The decoder from responses to features."""

        def check_spaces(self, spaces: Sequence[str]) -> None:
            """Raise a ValueError where a setting is missing, or is of a space that there is not.

            Args:
                spaces: the recipe's, by name.
            """

        def regions_of(self, space: str) -> Sequence[str]:  # noqa: ARG002
            """The regions of the data set that a space is predicted from; none: all voxels."""
            return ()

        def owners(self, spaces: Sequence[str], average: bool) -> dict[str, str]:  # noqa: ARG002
            """With which spaces each shares what it is predicted from: the name of the first of them, "" for
            what a space without options of its own is predicted from.

            Args:
                average: whether spaces without options are trained on averages (`responses.average`).
            """
            return dict.fromkeys(spaces, "")

        def responses_of(self, space: str, average: bool) -> str:  # noqa: ARG002
            """Which responses a space is predicted from: the folder of the results they lie in.

            Args:
                average: as of `owners`.
            """
            return "responses"

        def check_subjects(self, subjects: Collection[str]) -> None:
            """Raise a ValueError where a setting is of a subject that there is not."""

        def others(self, subject: str, subjects: Collection[str]) -> list[str]:  # noqa: ARG002
            """Those of a configuration's subjects that a subject's decoder learns from besides itself."""
            return []

        def network_bytes(self, n_voxels: int, width: int) -> int:  # noqa: ARG002
            """About how much of the disk the networks of a subject take, of a kind that trains any.

            Args:
                width: features of an image in all spaces.
            """
            return 0

        def kept_files(self, spaces: Sequence[str], average: bool) -> dict[str, tuple[str, str]]:
            """Space -> names below `decoders/SUBJECT` of what is kept for new scans: where the voxels lie and
            what they are z-scored by (`kept_voxels`), and the decoder. Spaces may share either.

            Args:
                average: as of `owners`.
            """
            owners = self.owners(spaces, average)
            return {space: (shared_file(owners[space], "responses.h5"), f"{space}.h5") for space in spaces}

        def kept_control(self, spaces: Sequence[str]) -> dict[str, str]:
            """Space -> where below the results the control of its kept decoder lies, fitted on pairs that do
            not belong together; {subject} is filled in."""
            return {space: f"decoders/{{subject}}/shuffled/{space}.h5" for space in spaces}

    sentence: ClassVar[str] = "A decoder per subject and feature space, from voxels to features."
    fits: ClassVar[tuple[str, ...]] = ("decoded", "shuffled")
    offers: ClassVar[frozenset[Analysis]] = frozenset()

    def __init__(self, settings: Any, seed: int = 0) -> None:
        self.settings, self.seed = settings, seed

    @abstractmethod
    def predict(
        self, space: str, train: np.ndarray, targets: Targets, test: np.ndarray, images: np.ndarray
    ) -> np.ndarray:
        """Fit on training responses, and predict the features of others; a kind whose rules fit otherwise
        may raise a NotImplementedError.

        Args:
            space: the recipe's name of the features.
            train: float32 (n_train, n_voxels), z-scored.
            targets: (n_train, n_features), what each training row belongs to.
            test: float32 (n_test, n_voxels), on the same scale.
            images: (n_train,), the image of each training row: rows of one image stay together in folds.

        Returns:
            float32 (n_test, n_features).
        """

    def predict_kept(
        self, voxels: Path, decoders: Mapping[str, Path], rows: np.ndarray, numbers: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Features of new scans, of a kind that offers "kept".

        Args:
            voxels: the file of `Settings.kept_files` that these spaces share.
            decoders: space -> its decoder's file.
            rows: float32 (n, n_voxels), z-scored.
            numbers: (n,) of the rows; what is drawn follows from them and the seed.

        Returns:
            space -> float32 (n, n_features).
        """
        raise NotImplementedError(f"{type(self).__name__} keeps no decoders")

    def held(self, voxels: Path, decoders: Mapping[str, Path]) -> Holding:  # noqa: ARG002
        """What files of `predict_kept` hold of the training responses; the worst, where a kind does not say.

        Raises:
            InputError: a file is missing or wrong.
        """
        return Holding(True, "This kind of decoder does not say what its files hold of training responses.")


def shared_file(owner: str, name: str) -> str:
    """Where below a subject's folder a file lies that the spaces of an owner (`Settings.owners`) share."""
    return f"{owner}/{name}" if owner else name


DECODERS = Kinds("a decoder", Decoder, "neural_recon.decoding.decoders")
