"""Every mistake in the files of an NSD tree, found without a run: in headers and ends, or anywhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there
from neural_recon.datasets.grids import Grid
from neural_recon.datasets.nsd import betas, coco, nsd_tree, shown_objects, volumes
from neural_recon.evaluation.regions import columns_of
from neural_recon.responses.preparation import read_voxels
from neural_recon.workflow.plan import Plan


def shared_mistakes(plan: Plan) -> Iterator[str]:
    """Sentences on the files that all subjects share: stimuli, and captions of the images shown."""
    config = plan.config
    if _all_there([config.tree.stimuli]):
        try:
            nsd_tree.check_stimuli(config.tree.stimuli)
        except InputError as error:
            yield str(error)
    if not config.nsd.coco and _all_there([config.captions, config.tree.expdesign]):
        for subject in config.subjects:
            try:
                trials = plan.trials(subject)
            except InputError:
                continue  # said of the subject
            used = trials.loc[trials["split"] != "unused", "image_id"]
            try:
                nsd_tree.read_captions(config.captions, np.unique(used))
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
        yield from _said(lambda: shown_objects.from_scenes(files["scenes"]), files)
    elif files:
        yield from _said(lambda: shown_objects.from_coco(*_coco(files)), files)


def _coco(files: Mapping[str, Path]) -> tuple[Path, list[str]]:
    stimuli, *annotations = files.values()
    return stimuli, list(map(str, annotations))


def use_mistakes(plan: Plan, subject: str) -> Iterator[str]:
    """Sentences on what jobs make of a subject's mask, atlases, region masks and noise ceilings together:
    the voxels that are decoded, and those of every set of regions."""
    config, tree = plan.config, plan.config.tree
    atlases = {atlas: tree.roi(subject, atlas) for atlas in config.nsd.atlases}
    masks = {name: Path(path) for name, path in nsd_tree.mask_files(config.nsd.regions, subject).items()}
    labels = [tree.mask(subject), *atlases.values(), *masks.values()]
    if not _all_there(labels):
        return
    try:
        voxels = read_voxels(tree.mask(subject), atlases, config.nsd.regions, masks, notes=[])
        grid = volumes.read_grid(tree.mask(subject), notes=[])
    except InputError as error:
        yield str(error)
        return
    for name, members in config.regions.sets.items():
        files = nsd_tree.mask_files(members, subject)
        yield from _said(partial(_columns, name, members, voxels, files, grid), files)
    if config.responses.noise_ceiling == "ncsnr":
        path, positions = tree.ncsnr(subject), voxels[list("xyz")].to_numpy()
        yield from _said(partial(volumes.read_ncsnr, path, positions, grid, notes=[]), {"ncsnr": path})


def _columns(
    name: str, members: Sequence[str], voxels: pd.DataFrame, files: Mapping[str, str], grid: Grid
) -> np.ndarray:
    """The columns of a set of regions, were all voxels kept."""
    masks = {region: volumes.read_labels(path, grid, notes=[]) for region, path in files.items()}
    return columns_of(name, members, voxels, np.arange(len(voxels)), masks, grid.shape)


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
    if _all_there([tree.mask(subject)]):
        try:
            mask = volumes.read_mask(tree.mask(subject), notes=said)
            grid = volumes.read_grid(tree.mask(subject), notes=[])
        except InputError as error:
            yield str(error)
    for path, published in _label_volumes(plan, subject):
        try:
            volumes.read_labels(path, grid, published, said)
        except InputError as error:
            yield str(error)
    if mask is not None and grid is not None:
        if config.responses.noise_ceiling == "ncsnr" and _all_there([tree.ncsnr(subject)]):
            try:
                volumes.read_ncsnr(tree.ncsnr(subject), np.argwhere(mask), grid, said)
            except InputError as error:
                yield str(error)
        for session in config.sessions(subject):
            path = tree.betas(subject, session, config.subjects[subject].format)
            if not _all_there([path]):
                continue
            try:
                betas.check_betas(path, grid, nsd_tree.TRIALS_PER_SESSION, notes=[] if thorough else said)
                if thorough:
                    betas.read_betas(path, mask, nsd_tree.TRIALS_PER_SESSION, grid, notes=said)
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
        if path != tree.mask(subject) and _all_there([path]):
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
