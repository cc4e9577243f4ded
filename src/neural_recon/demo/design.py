"""Which picture the demo shows in which trial, in the format of NSD's experiment design."""

import functools
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.config.configuration import Config
from neural_recon.config.sections import Demo
from neural_recon.core.errors import InputError
from neural_recon.core.files import atomic
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.demo import cortex

N_OWN = 9000
REPETITIONS = 3


@dataclass(frozen=True)
class Design:
    """The variables of `nsd_expdesign.mat`, all 1-based."""

    masterordering: np.ndarray  # int64 (30000,): positions in a subject's images, trial by trial
    subjectim: np.ndarray  # int64 (8, 10000): image ids by subject and position
    sharedix: np.ndarray  # int64 (1000,): image ids of the images all subjects see

    def trials(self, subject: str, sessions: list[int]) -> pd.DataFrame:
        """What `NSD.trials` reads from the written file."""
        return nsd_tree.design_table(self.masterordering, self.subjectim, self.sharedix, subject, sessions)

    def ids(self, subject: str, positions: np.ndarray) -> np.ndarray:
        """0-based image ids at 1-based positions of a subject's images."""
        return self.subjectim[list(nsd_tree.SESSIONS).index(subject), np.asarray(positions) - 1] - 1


class Simulated(NSD):
    """The demo's data set: its design is known before its files are written."""

    def __init__(self, config: Config):
        if config.demo is None:
            raise ValueError("a configuration without a demo")
        super().__init__(config.dataset, config.subjects)
        self.demo = config.demo

    @functools.cached_property
    def _experiment(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        design = of(self.demo)
        return design.masterordering, design.subjectim, design.sharedix

    def n_voxels(self, subject: str) -> int:
        return int(cortex.build(self.demo.seed, subject).labels["nsdgeneral"].sum())


def of(demo: Demo) -> Design:
    """The design of a demo's settings."""
    return make(demo.seed, demo.sessions, demo.shared_images, demo.own_images)


def make(seed: int, sessions: int, shared_images: int, own_images: int) -> Design:
    """Draw a design whose first sessions are complete in themselves.

    The first `sessions` x 750 trials show positions 1 to `shared_images` and 1001 to 1000 + `own_images`
    three times each; the remaining trials up to NSD's 40 sessions do so with the remaining positions. As in
    NSD some repetitions fall into one session and most into several.

    Raises:
        InputError: trials and images do not add up, or more images than NSD has.
    """
    n_trials, n_images = sessions * nsd_tree.TRIALS_PER_SESSION, shared_images + own_images
    if n_trials != n_images * REPETITIONS or sessions > nsd_tree.SESSIONS_DESIGNED:
        raise InputError(
            f"demo: expected shared and own images to fill {sessions} of at most "
            f"{nsd_tree.SESSIONS_DESIGNED} "
            f"sessions three times ({n_trials // REPETITIONS} images), found {shared_images} + {own_images}."
        )
    if not (0 <= shared_images <= nsd_tree.N_SHARED and 0 <= own_images <= N_OWN):
        raise InputError(
            f"demo: expected at most {nsd_tree.N_SHARED} shared and {N_OWN} own images, "
            f"found {shared_images} and {own_images}."
        )
    rng = np.random.default_rng([seed, 1])
    first = np.r_[1 : shared_images + 1, nsd_tree.N_SHARED + 1 : nsd_tree.N_SHARED + own_images + 1]
    rest = np.setdiff1d(np.arange(1, nsd_tree.N_SHARED + N_OWN + 1), first)
    ordering = np.concatenate(
        [_order(rng, first, sessions), _order(rng, rest, nsd_tree.SESSIONS_DESIGNED - sessions)]
    )
    images = rng.permutation(nsd_tree.N_IMAGES) + 1
    shared = np.sort(images[: nsd_tree.N_SHARED])
    own = images[nsd_tree.N_SHARED :].reshape(len(nsd_tree.SESSIONS), N_OWN)
    subjectim = np.concatenate([np.tile(shared, (len(own), 1)), own], axis=1)
    return Design(ordering, subjectim, shared)


def _order(rng: np.random.Generator, positions: np.ndarray, sessions: int) -> np.ndarray:
    """Every position three times in random order, a third of the second showings soon after the first."""
    onset = rng.uniform(size=(len(positions), REPETITIONS))
    soon = rng.uniform(size=len(positions)) < 0.35
    lag = rng.exponential(0.2 / max(sessions, 1), size=len(positions))
    onset[soon, 1] = (onset[soon, 0] + lag[soon]) % 1
    order = np.argsort(onset, axis=None, kind="stable")
    return np.repeat(positions, REPETITIONS)[order]


def write(path: str | Path, design: Design) -> None:
    """Write `nsd_expdesign.mat`: rows of doubles, as NSD has them."""
    import scipy.io  # takes long to import, and planning, which asks for the design alone, has no use for it

    buffer = io.BytesIO()
    scipy.io.savemat(
        buffer,
        {
            "masterordering": design.masterordering[None].astype(float),
            "subjectim": design.subjectim.astype(float),
            "sharedix": design.sharedix[None].astype(float),
        },
        do_compression=True,
    )
    content = buffer.getvalue()
    # the header's 116 characters of text carry the time of writing: the same design shall give the same bytes
    text = b"MATLAB 5.0 MAT-file, written by neural-recon".ljust(116)
    with atomic(path) as temporary:
        temporary.write_bytes(text + content[116:])
