"""Score a folder of pictures, from whatever method, against what was seen, as this project scores its own.

Pictures are PNG or JPEG files named by their image's NSD id (0-based, as everywhere here), with or without
leading zeros: `00123.png` and `123.jpg` are both image 123. `picture_names` has the other names there are.
Files of other kinds, hidden ones and subfolders are passed over.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from neural_recon import __version__
from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.evaluation import metrics, network_weights
from neural_recon.evaluation.folder_stimuli import BLOCK, FolderStimuli, design_of
from neural_recon.evaluation.name_questions import Reading, published_lists, question
from neural_recon.evaluation.networks import NETWORK_OF, SAME, PresetNetworks, by_metric, store
from neural_recon.evaluation.picture_files import (
    THREADS,
    TURNED,
    one_size,
    picture_files,
    picture_paths,
    read_pictures,
)
from neural_recon.evaluation.picture_names import Naming, Numbers, read_positions
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.models import weights
from neural_recon.models.loading import choose_device

logger = logging.getLogger(__name__)

SEED, REPAIRINGS = 0, 1000


def evaluate_folder(
    reconstructions: Path,
    stimuli: Path,
    preset: metrics.PresetName,
    name: str | None = None,
    clip: Path | None = None,
    folder: Path = weights.MODELS,
    numbers: Numbers | None = None,
    ids: str | Path | None = None,
    lists: Callable[[Path], Iterable[Reading]] = lambda _: (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score a folder of pictures.

    Args:
        reconstructions: folder of pictures, at least 2.
        stimuli: folder of pictures named alike (it may hold more), the stimuli's HDF5 of an NSD tree, or the
            tree.
        preset: sizes, SSIM and networks' inputs, as in `metrics.PRESETS`. Pictures of any size and shape are
            resized to them, without cropping; "native" wants them square and of one size, which the stimuli
            are resized to, and has CLIP as its only network.
        name: the method's, in the tables; default: the folder's.
        clip: folder with CLIP's image encoder, such as Versatile Diffusion's; default: that in `folder`.
        folder: of the networks' weights, under their published names, there or one folder below. What is not
            there is not measured.
        numbers: what numbers as names are, in both folders: NSD ids from 0 or from 1; alike: names of any
            kind that both folders share. Default: from 0, and questioned where they look like positions.
        ids: they are positions instead, in the folder of pictures alone: the file that lists each position's
            NSD id, or a published script (`picture_names.PUBLISHED`).
        lists: further lists of test images, given where the stimuli lie: they are tried as what positions
            in the names mean, where the names are questioned.

    Returns:
        The summary, one row per metric with interval (95 %, over images), chance (`shuffled`: pictures
        re-paired at random) and p; what could not be measured has the reason in `not_measured`, and
        `questioned` says what is doubtful about the pictures' names, of all metrics alike. And the scores,
        one row per metric and image.

    Raises:
        InputError: a folder without pictures or with one only, a name that is no id, an id twice or without a
            stimulus, or a picture that cannot be read.
    """
    naming = naming_of(reconstructions, stimuli, numbers, ids)
    files = picture_files(reconstructions, naming)
    if len(files) < 2:
        only = next(iter(files.values())).name
        raise InputError(
            f"{reconstructions}: expected at least 2 pictures, as chance is what re-pairing them gives, "
            f"found {only} alone."
        )
    image_ids = np.array(sorted(files))
    name = name or Path(reconstructions).resolve().name
    shown = FolderStimuli(stimuli, replace(naming, positions=None))
    shown.check(image_ids)
    rule = metrics.PRESETS[preset]
    own = () if rule.picture_sizes else (one_size(files),)
    reasons = network_weights.why_not_there(preset, folder)
    networks = PresetNetworks(
        preset, network_weights.in_folder(preset, folder, clip), reasons, choose_device()
    )

    made, sizes = partial(read_pictures, files), rule.picture_sizes or own
    pictures, found = _gather(made, image_ids, sizes, networks, "picture")
    truth, seen = _gather(shown.read, image_ids, rule.truth_sizes or own, networks, "truth")
    scores = Scores(name, SEED, REPAIRINGS)
    scores.add_sized(name, preset, image_ids, truth, pictures, rule.ssim)
    for metric in NETWORK_OF:
        if metric in found:
            scores.compare(name, preset, metric, image_ids, seen[metric], found[metric])
        else:
            scores.add_unmeasured(name, preset, metric, len(image_ids), networks.missing[metric])

    summary = scores.summary_table().drop(columns=["subject", "variant", "picture"])
    pixcorr = summary[summary["metric"] == "pixcorr"].iloc[0].to_dict()
    same_names = shown.files is not None and set(shown.files) == set(files)
    # names that are shared mean the same in both folders
    summary["questioned"] = (
        ""
        if naming.shared
        else question(
            pixcorr,
            files,
            naming,
            same_names,
            pictures,
            shown.small,
            lambda: {
                reading.words: reading
                for reading in (*published_lists(shown.design, len(files)), *lists(shown.path))
            },
            shown.shared(),
            shown.files is not None,
        )
    )
    images = scores.image_table()[["metric", "image_id", "value"]]
    if naming.shared:
        images["image"] = [naming.shared[i] for i in images["image_id"]]
    for table in (summary, images):
        table.insert(0, "method", name)
        table.insert(1, "preset", preset)
    return summary.assign(version=__version__).reset_index(drop=True), images


def write_scores(output: Path, summary: pd.DataFrame, images: pd.DataFrame) -> None:
    """Write the summary as TSV, and the scores of single images alongside it as Parquet."""
    write_table(output.with_suffix(".parquet"), images)
    write_table(output, summary)


def naming_of(
    reconstructions: Path, stimuli: Path, numbers: Numbers | None, ids: str | Path | None
) -> Naming:
    """What the names of the pictures are, as it was said."""
    if ids is None:
        alike = {path.stem for path in picture_paths(stimuli)} if numbers == "alike" else ()
        return Naming(numbers, shared=tuple(sorted(alike)))
    if numbers is not None:
        raise InputError("--ids says that names are positions, --names that they are ids: give one of them.")
    return read_positions(ids, design_of(stimuli), len(picture_paths(Path(reconstructions))))


def _gather(
    read: Callable[[np.ndarray], Sequence[Image.Image]],
    image_ids: np.ndarray,
    sizes: tuple[int, ...],
    networks: PresetNetworks,
    side: metrics.Side,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Pictures through a preset's sizes, uint8 (n, S, S, 3), and their features by metric, (n, d) each."""
    n, method = len(image_ids), networks.rule.method
    stack = np.empty((n, sizes[-1], sizes[-1], 3), np.uint8)
    found: dict[str, np.ndarray] = {}

    turned = 0
    for start in range(0, len(image_ids), BLOCK):
        block = read(image_ids[start : start + BLOCK])
        turned += sum(image.info.get(TURNED, False) for image in block)
        images = [np.asarray(image) for image in block]
        with ThreadPoolExecutor(THREADS) as pool:
            resized = pool.map(lambda image: metrics.resize_through(image[None], sizes, method), images)
            stack[start : start + BLOCK] = np.concatenate(list(resized))
        for metric, values in networks.features(images, side).items():
            if SAME[metric] == metric:
                store(found, metric, values, start, n)
    if turned:
        kind = {"picture": "pictures", "truth": "stimuli"}[side]
        logger.warning(
            "%d of %d %s are not stored upright (EXIF orientation): scored upright.", turned, n, kind
        )
    return stack, by_metric(found)
