"""Every mistake in the files of an NSD tree, found without a run: in headers and ends, or anywhere."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neural_recon import nsd
from neural_recon.errors import InputError
from neural_recon.plan import Plan


def shared_mistakes(plan: Plan) -> Iterator[str]:
    """Sentences on the files that all subjects share: stimuli, and captions of the images shown."""
    config = plan.config
    if config.tree.stimuli.is_file():
        try:
            nsd.check_stimuli(config.tree.stimuli)
        except InputError as error:
            yield str(error)
    if config.captions.is_file() and config.tree.expdesign.is_file():
        for subject in config.subjects:
            try:
                trials = plan.trials(subject)
            except InputError:
                continue  # said of the subject
            used = trials.loc[trials["split"] != "unused", "nsd_id"]
            try:
                nsd.read_captions(config.captions, np.unique(used))
            except InputError as error:
                yield str(error)
                return  # of one file, one sentence


def subject_mistakes(
    plan: Plan, subject: str, thorough: bool, notes: list[str] | None = None
) -> Iterator[str]:
    """Sentences on a subject's mask, atlases, noise ceilings, masks by region and sessions that are there but
    wrong: as the jobs that read them would end.

    Args:
        thorough: read every session through, which takes seconds each, and so find damage in the middle too.
        notes: gets sentences on what is taken, but odd: files that are stored along other axes than the mask,
            headers that say nothing of their axes, or of another place than the mask's.
    """
    config, tree = plan.config, plan.config.tree
    said: list[str] = []
    mask, grid = None, None
    if tree.mask(subject).is_file():
        try:
            mask = nsd.read_mask(tree.mask(subject), notes=said)
            grid = nsd.read_grid(tree.mask(subject), notes=[])
        except InputError as error:
            yield str(error)
    for path, published in _label_volumes(plan, subject):
        try:
            nsd.read_labels(path, grid, published, said)
        except InputError as error:
            yield str(error)
    if mask is not None and grid is not None:
        if config.responses.noise_ceiling == "ncsnr" and tree.ncsnr(subject).is_file():
            try:
                nsd.read_ncsnr(tree.ncsnr(subject), np.argwhere(mask), grid, said)
            except InputError as error:
                yield str(error)
        for session in config.sessions(subject):
            path = tree.betas(subject, session, config.subjects[subject].format)
            if not path.is_file():
                continue
            try:
                nsd.check_betas(path, grid, nsd.TRIALS_PER_SESSION, notes=[] if thorough else said)
                if thorough:
                    nsd.read_betas(path, mask, nsd.TRIALS_PER_SESSION, grid, notes=said)
            except InputError as error:
                yield str(error)
    if notes is not None:
        notes += _together(said)


def _label_volumes(plan: Plan, subject: str) -> Iterator[tuple[Path, bool]]:
    """A subject's label volumes besides the mask that are there, and whether each is of the NSD tree."""
    tree = plan.config.tree
    atlases = {tree.roi(subject, atlas): True for atlas in plan.config.nsd.atlases}
    regions = {Path(path): False for path in plan.region_files(subject)}
    for path, published in (regions | atlases).items():
        if path.is_file() and path != tree.mask(subject):
            yield path, published


def _together(sentences: list[str]) -> list[str]:
    """Sentences that differ by the file they begin with, each once: forty sessions share a header."""
    groups: dict[str, list[str]] = {}
    for sentence in sentences:
        path, _, rest = sentence.partition(": ")
        groups.setdefault(rest, []).append(path)
    return [
        f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}: {rest}"
        for rest, paths in groups.items()
    ]
