"""Every mistake in the files of an NSD tree, found without a run: in headers and ends, or anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import all_there, mistake_of
from neural_recon.datasets import volumes
from neural_recon.datasets.nsd import betas, nsd_tree

if TYPE_CHECKING:
    from neural_recon.datasets.kinds.nsd import NSD


def shared_mistakes(data: NSD, used: Sequence[np.ndarray]) -> Iterator[str]:
    """Sentences on the files that all subjects share: stimuli, captions of the images that are used, and
    what says what the pictures show; COCO's annotations are read as by the jobs, in some 10 s."""
    yield from mistake_of(partial(nsd_tree.check_stimuli, data.tree.stimuli), data.files("pictures"))
    captions = data.files("captions")
    for ids in used or ([np.empty(0, np.int64)] if data.settings.coco else []):
        found = list(mistake_of(partial(data.captions, ids), captions))
        yield from found
        if found:  # of one file, one sentence
            break
    yield from mistake_of(data.content, data.files("content"))


def subject_mistakes(
    data: NSD, subject: str, sessions: Sequence[int], regions: Iterable[str], ncsnr: bool, thorough: bool
) -> Iterator[str]:
    """Sentences on a subject's mask, atlases, noise ceilings, masks by region and sessions that are there but
    wrong: as the jobs that read them would end. Arguments as of `DataSet.subject_mistakes`."""
    tree = data.tree
    mask, grid = None, None
    if all_there([tree.mask(subject)]):
        try:
            mask = volumes.read_mask(tree.mask(subject), notes=data.notes)
            grid = volumes.read_grid(tree.mask(subject), notes=[])
        except InputError as error:
            yield str(error)
    for path, published in _label_volumes(data, subject, regions).items():
        yield from mistake_of(partial(volumes.read_labels, path, grid, published, data.notes), [path])
    if mask is None or grid is None:
        return
    if ncsnr:
        path = tree.ncsnr(subject)
        yield from mistake_of(partial(volumes.read_ncsnr, path, np.argwhere(mask), grid, data.notes), [path])
    trials = nsd_tree.TRIALS_PER_SESSION
    for session in sessions:
        *_, path = data.files("betas", subject, session)
        look = partial(betas.check_betas, path, grid, trials, notes=[] if thorough else data.notes)
        found = list(mistake_of(look, [path]))
        yield from found
        if thorough and not found:
            yield from mistake_of(
                partial(betas.read_betas, path, mask, trials, grid, notes=data.notes), [path]
            )


def _label_volumes(data: NSD, subject: str, regions: Iterable[str]) -> Mapping[Path, bool]:
    """A subject's label volumes besides the mask, and whether each is of the NSD tree."""
    masks = dict.fromkeys(data.region_files(subject, [*data.settings.regions, *regions]), False)
    atlases = {data.tree.roi(subject, atlas): True for atlas in data.settings.atlases}
    found = dict(sorted(masks.items())) | atlases
    found.pop(data.tree.mask(subject), None)
    return found
