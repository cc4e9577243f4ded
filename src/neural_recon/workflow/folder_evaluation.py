"""Pictures of another method, scored into the results of a configuration, whose comparison takes them up."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.datasets.trials import read_ids
from neural_recon.evaluation import network_weights
from neural_recon.evaluation.folder_scores import evaluate_folder, naming_of, write_scores
from neural_recon.evaluation.folder_stimuli import design_of, stimuli_file
from neural_recon.evaluation.metrics import PresetName
from neural_recon.evaluation.name_questions import WRITE_LIST, Reading
from neural_recon.evaluation.picture_files import picture_files
from neural_recon.evaluation.picture_names import PUBLISHED, Numbers
from neural_recon.models import weights
from neural_recon.workflow import recording
from neural_recon.workflow.plan import Plan

logger = logging.getLogger(__name__)


def evaluate_into(
    config: Config,
    reconstructions: Path,
    stimuli: Path,
    preset: PresetName,
    name: str,
    clip: Path | None = None,
    folder: Path = weights.MODELS,
    numbers: Numbers | None = None,
    ids: str | Path | None = None,
) -> tuple[Path, pd.DataFrame]:
    """Score a folder of pictures, as `evaluate_folder`, into the results of a configuration, with records of
    what was read; where the table is, and the summary.

    Raises:
        InputError: as there; or the method's name cannot name a file.
    """
    output = default_output(config.results, name, preset)
    begun = recording.begin_command(
        "evaluate",
        {"method": name},
        {"preset": preset} | {key: str(value) for key, value in (("names", numbers), ("ids", ids)) if value},
        config.model_dump(mode="json"),
        [output, output.with_suffix(".parquet")],
        _files_read(reconstructions, stimuli, preset, clip, folder, numbers, ids),
    )
    summary, images = evaluate_folder(
        reconstructions, stimuli, preset, name, clip, folder, numbers, ids, partial(split_lists, config)
    )
    write_scores(output, summary, images)
    recording.finish(begun)
    return output, summary


def default_output(results: Path, name: str, preset: PresetName) -> Path:
    """Where the scores of a method under a preset go: the comparison of these results takes up what lies
    there.

    Raises:
        InputError: the method's name cannot name a file.
    """
    if not name or name.startswith(".") or set(name) & set("/\\\0"):
        raise InputError(
            f"name: expected one that can name a file, found {name!r}; give another one, or an output."
        )
    return results / f"others/{name}_{preset}.tsv"


def _files_read(
    reconstructions: Path,
    stimuli: Path,
    preset: PresetName,
    clip: Path | None,
    folder: Path,
    numbers: Numbers | None,
    ids: str | Path | None,
) -> dict[str, list[Path]]:
    """The files that `evaluate_folder` reads when it is called so, by what they are to it."""
    naming = naming_of(reconstructions, stimuli, numbers, ids)
    pictures = picture_files(reconstructions, naming)
    seen, design = stimuli_file(stimuli), design_of(stimuli)
    shown = [seen]
    if seen.is_dir():
        every = picture_files(seen, replace(naming, positions=None))
        shown = [every[i] for i in pictures if i in every]
    networks = network_weights.in_folder(preset, folder, clip)
    return {
        "reconstructions": list(pictures.values()),
        "stimuli": shown,
        "ids": [] if ids is None else [design] if str(ids) in PUBLISHED and design else [Path(ids)],
        "weights": [*map(Path, network_weights.model_files(networks))],
    }


def split_lists(config: Config, stimuli: Path) -> Iterator[Reading]:
    """The test sets of a configuration, which names of pictures could be positions in: its own list, in
    ascending order, and as they were first shown; none of a demo with other stimuli."""
    own = config.data.files("pictures")
    if config.demo is not None and not any(_same_file(path, stimuli) for path in own):
        return
    plan, seen = Plan(config), set()
    if config.split.test:
        with contextlib.suppress(InputError):
            listed = read_ids(config.split.test)
            seen.add(listed.tobytes())
            yield Reading(f"the list {config.split.test}", listed, f"--ids {config.split.test}")
    for subject in config.decoded:
        try:
            trials = plan.trials(subject)
        except InputError as error:
            logger.info("the split of %s is not known: %s", subject, error)
            continue
        met = trials.loc[trials["split"] == "test", "image_id"].unique()
        for words, order in (("as first shown", met), ("in the order of their ids", np.sort(met))):
            if order.tobytes() not in seen:
                seen.add(order.tobytes())
                yield Reading(f"the test images of {subject} {words}", order, WRITE_LIST)


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
