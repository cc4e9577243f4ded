"""Every mistake in the files of an NSD tree, found without a run: in headers and ends, or anywhere."""

from collections.abc import Iterator

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


def subject_mistakes(plan: Plan, subject: str, thorough: bool) -> Iterator[str]:
    """Sentences on a subject's mask, atlases and sessions that are there but wrong.

    Args:
        thorough: read every session through, which takes seconds each, and so find damage in the middle too.
    """
    config, tree = plan.config, plan.config.tree
    mask = None
    for path in (tree.mask(subject), *(tree.roi(subject, atlas) for atlas in config.nsd.atlases)):
        if not path.is_file():
            continue
        try:
            labels = nsd.read_labels(path)
            if mask is None and path == tree.mask(subject):
                mask = nsd.read_mask(path)
            if mask is not None and labels.shape != mask.shape:
                raise InputError(
                    f"{path}: expected the mask's volume {mask.shape}, found {labels.shape}; "
                    "mask and atlas must be of one subject and space."
                )
        except InputError as error:
            yield str(error)
    if mask is None:
        return
    for session in config.sessions(subject):
        path = tree.betas(subject, session, config.subjects[subject].format)
        if not path.is_file():
            continue
        try:
            nsd.check_betas(path, mask.shape, nsd.TRIALS_PER_SESSION)
            if thorough:
                nsd.read_betas(path, mask, nsd.TRIALS_PER_SESSION)
        except InputError as error:
            yield str(error)
