"""Every mistake in the files of an NSD tree, found without a run: in headers and ends, or anywhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from neural_recon import coco, content, nsd
from neural_recon.errors import InputError
from neural_recon.plan import Plan
from neural_recon.refusals import is_there
from neural_recon.regions import columns_of
from neural_recon.responses import read_voxels


def shared_mistakes(plan: Plan) -> Iterator[str]:
    """Sentences on the files that all subjects share: stimuli, and captions of the images shown."""
    config = plan.config
    if _all_there([config.tree.stimuli]):
        try:
            nsd.check_stimuli(config.tree.stimuli)
        except InputError as error:
            yield str(error)
    if not config.nsd.coco and _all_there([config.captions, config.tree.expdesign]):
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


def content_mistakes(plan: Plan) -> Iterator[str]:
    """Sentences on what captions are built from, and on what says what the pictures show; read as by the
    jobs, COCO's annotations in some 10 s."""
    config = plan.config
    if config.nsd.coco:
        yield from _said(lambda: coco.caption_table(*_coco(config.caption_files)), config.caption_files)
    files = config.content_files
    if "scenes" in files:
        yield from _said(lambda: content.from_scenes(files["scenes"]), files)
    elif files:
        yield from _said(lambda: content.from_coco(*_coco(files)), files)


def _coco(files: Mapping[str, Path]) -> tuple[Path, list[str]]:
    stimuli, *annotations = files.values()
    return stimuli, list(map(str, annotations))


def use_mistakes(plan: Plan, subject: str) -> Iterator[str]:
    """Sentences on what jobs make of a subject's mask, atlases, region masks and noise ceilings together:
    the voxels that are decoded, and those of every set of regions."""
    config, tree = plan.config, plan.config.tree
    atlases = {atlas: tree.roi(subject, atlas) for atlas in config.nsd.atlases}
    masks = {name: Path(path) for name, path in nsd.mask_files(config.nsd.regions, subject).items()}
    labels = [tree.mask(subject), *atlases.values(), *masks.values()]
    if not _all_there(labels):
        return
    try:
        voxels = read_voxels(tree.mask(subject), atlases, config.nsd.regions, masks)
        shape = nsd.read_mask(tree.mask(subject)).shape
    except InputError as error:
        yield str(error)
        return
    for name, members in config.regions.sets.items():
        files = nsd.mask_files(members, subject)
        take = partial(columns_of, name, members, voxels, np.arange(len(voxels)), files, shape)
        yield from _said(take, files)
    if config.responses.noise_ceiling == "ncsnr":
        path, positions = tree.ncsnr(subject), voxels[list("xyz")].to_numpy()
        yield from _said(partial(nsd.read_ncsnr, path, positions), {"ncsnr": path})


def _all_there(paths: Iterable[str | Path]) -> bool:
    """Whether all files are there; what is not is said elsewhere."""
    try:
        return all(map(is_there, paths))
    except InputError:
        return False


def _said(read: Callable[[], object], files: Mapping[str, str | Path]) -> Iterator[str]:
    """The mistake that a reading of files meets, if they are all there."""
    if _all_there(files.values()):
        try:
            read()
        except InputError as error:
            yield str(error)


def subject_mistakes(plan: Plan, subject: str, thorough: bool) -> Iterator[str]:
    """Sentences on a subject's mask, atlases and sessions that are there but wrong.

    Args:
        thorough: read every session through, which takes seconds each, and so find damage in the middle too.
    """
    config, tree = plan.config, plan.config.tree
    mask = None
    atlases = [tree.roi(subject, atlas) for atlas in config.nsd.atlases]
    for path in (tree.mask(subject), *atlases, *map(Path, plan.region_files(subject))):
        if not _all_there([path]):
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
        if not _all_there([path]):
            continue
        try:
            nsd.check_betas(path, mask.shape, nsd.TRIALS_PER_SESSION)
            if thorough:
                nsd.read_betas(path, mask, nsd.TRIALS_PER_SESSION)
        except InputError as error:
            yield str(error)
