"""Every mistake in the data set's files, found without a run: by themselves, and as jobs use them."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import all_there, mistake_of
from neural_recon.decoding.sources import columns_of
from neural_recon.demo.scene_content import from_scenes
from neural_recon.workflow.plan import Plan


def shared_mistakes(plan: Plan) -> Iterator[str]:
    """Sentences on the files that all subjects share."""
    used = []
    for subject in plan.config.subjects if all_there(plan.read_for(["trials"], {})) else ():
        try:
            trials = plan.trials(subject)
        except InputError:
            continue  # said of the subject
        used.append(np.unique(trials.loc[trials["split"] != "unused", "image_id"]))
    yield from plan.data.mistakes(used)
    if scenes := plan.config.evaluation.scenes:
        yield from mistake_of(partial(from_scenes, scenes), [scenes])


def subject_mistakes(
    plan: Plan, subject: str, thorough: bool, notes: list[str] | None = None
) -> Iterator[str]:
    """Sentences on a subject's files that are there but wrong: as the jobs that read them would end.

    Args:
        thorough: read every session through, which takes seconds each, and so find damage in the middle too.
        notes: gets sentences on what is taken, but odd: files that are stored along other axes than the mask,
            headers that say nothing of their axes, or of another place than the mask's.
    """
    config, data = plan.config, plan.data
    ncsnr = config.responses.noise_ceiling == "ncsnr"
    said: list[str] = []
    data.notes = said
    own = [str(path) for path in plan.subject_files(subject)]
    found = []
    for text in data.subject_mistakes(subject, config.sessions(subject), plan.regions, ncsnr, thorough):
        found.append(text)
        yield text
    if notes is not None:
        notes += _together(said)
    data.notes = []  # said already
    for text in _use_mistakes(plan, subject):
        # what is wrong with a file by itself is said once
        if not any(path in text and path in other for path in own for other in found):
            yield text
    data.notes = None


def _use_mistakes(plan: Plan, subject: str) -> Iterator[str]:
    """Sentences on what jobs make of a subject's files together: the voxels that are decoded, and those of
    every set of regions."""
    config, data = plan.config, plan.data
    if not all_there(data.files("voxels", subject)):
        return
    try:
        voxels = data.voxels(subject)
    except InputError as error:
        yield str(error)
        return
    every = np.arange(len(voxels))
    for key, members in config.named_regions.items():

        def columns(key: str = key, members: Sequence[str] = members) -> np.ndarray:
            return columns_of(key, members, data.in_regions(subject, voxels, members), every)

        yield from mistake_of(columns, data.region_files(subject, members))
    if config.responses.noise_ceiling == "ncsnr":
        yield from mistake_of(partial(data.ncsnr, subject, voxels), data.files("noise_ceilings", subject))


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
