"""Score a folder of pictures, from whatever method, against what was seen, as this project scores its own.

Pictures are PNG or JPEG files named by their image's NSD id (0-based, as everywhere here), with or without
leading zeros: `00123.png` and `123.jpg` are both image 123. `picture_names` has the other names there are.
Files of other kinds, hidden ones and subfolders are passed over.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from neural_recon import __version__
from neural_recon.cli import name_questions
from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.core.files import write_table
from neural_recon.core.refusals import kind_of
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.evaluation import metrics, network_weights
from neural_recon.evaluation.networks import NETWORK_OF, PresetNetworks, store
from neural_recon.evaluation.picture_files import TURNED, one_size, picture_files, picture_paths, read_picture
from neural_recon.evaluation.picture_names import PUBLISHED, Naming, Numbers, read_positions
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.models import weights
from neural_recon.models.loading import device
from neural_recon.workflow import recording

logger = logging.getLogger(__name__)

PresetName = Literal["brain_diffuser", "mindeye2", "native"]

THREADS = 4  # decoding and resizing leave the interpreter free
# pictures read at a time; what is kept of each is the preset's size in 8 bits, and the networks' features
BLOCK = 64
NAMES = "; names are NSD ids, counted from 0, unless --names or --ids says what else they are"
SEED, REPAIRINGS = 0, 1000


def evaluate_folder(
    reconstructions: Path,
    stimuli: Path,
    preset: PresetName,
    name: str | None = None,
    clip: Path | None = None,
    folder: Path = weights.MODELS,
    numbers: Numbers | None = None,
    ids: str | Path | None = None,
    config: Config | None = None,
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
        clip: Versatile Diffusion folder whose CLIP identifies the pictures; default: that in `folder`.
        folder: of the networks' weights, under their published names, there or one folder below. What is not
            there is not measured.
        numbers: what numbers as names are, in both folders: NSD ids from 0 or from 1. Default: from 0, and
            questioned where they look like positions.
        ids: they are positions instead, in the folder of pictures alone: the file that lists each position's
            NSD id, or a published script (`picture_names.PUBLISHED`).
        config: whose test images are tried as a list of positions where the names are questioned.

    Returns:
        The summary, one row per metric with interval (95 %, over images), chance (`shuffled`: pictures
        re-paired at random) and p; what could not be measured has the reason in `not_measured`, and
        `questioned` says what is doubtful about the pictures' names, of all metrics alike. And the scores,
        one row per metric and image.

    Raises:
        InputError: a folder without pictures or with one only, a name that is no id, an id twice or without a
            stimulus, or a picture that cannot be read.
    """
    naming = _naming(reconstructions, stimuli, numbers, ids)
    files = picture_files(reconstructions, naming)
    if len(files) < 2:
        only = next(iter(files.values())).name
        raise InputError(
            f"{reconstructions}: expected at least 2 pictures, as chance is what re-pairing them gives, "
            f"found {only} alone."
        )
    image_ids = np.array(sorted(files))
    name = name or Path(reconstructions).resolve().name
    shown = _Stimuli(stimuli, numbers)
    shown.check(image_ids)
    rule = metrics.PRESETS[preset]
    own = () if rule.picture_sizes else (one_size(files),)
    reasons = network_weights.why_not_there(preset, folder)
    networks = PresetNetworks(preset, network_weights.in_folder(preset, folder, clip), reasons, device())

    pictures, found = _gather(_reader_of(files), image_ids, rule.picture_sizes or own, networks, "picture")
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
    summary["questioned"] = name_questions.question(
        pixcorr,
        files,
        naming,
        same_names,
        pictures,
        shown.small,
        lambda: shown.orders(config, len(files)),
        shown.shared(),
        shown.files is not None,
    )
    images = scores.image_table()[["metric", "image_id", "value"]]
    for table in (summary, images):
        table.insert(0, "method", name)
        table.insert(1, "preset", preset)
    return summary.assign(version=__version__).reset_index(drop=True), images


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
        reconstructions, stimuli, preset, name, clip, folder, numbers, ids, config
    )
    write_scores(output, summary, images)
    recording.finish(begun)
    return output, summary


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
    pictures = picture_files(reconstructions, _naming(reconstructions, stimuli, numbers, ids))
    seen, design = _stimuli_file(stimuli), _expdesign(stimuli)
    shown = [seen]
    if seen.is_dir():
        every = picture_files(seen, Naming(numbers))
        shown = [every[i] for i in pictures if i in every]
    networks = network_weights.in_folder(preset, folder, clip)
    return {
        "reconstructions": list(pictures.values()),
        "stimuli": shown,
        "ids": [] if ids is None else [design] if str(ids) in PUBLISHED and design else [Path(ids)],
        "weights": [*map(Path, network_weights.model_files(networks))],
    }


def write_scores(output: Path, summary: pd.DataFrame, images: pd.DataFrame) -> None:
    """Write the summary as TSV, and the scores of single images beside it as Parquet."""
    write_table(output.with_suffix(".parquet"), images)
    write_table(output, summary)


def as_text(summary: pd.DataFrame) -> str:
    """The summary for a terminal."""
    first = summary.iloc[0]
    lines = [
        f"{first['method']}: {first['n']} pictures, preset {first['preset']}, "
        f"neural-recon {first['version']}",
        "",
        f"{'':30}{'mean':>8}   {'95 % interval':20}{'chance':20}p (re-pairings)",
    ]
    for row in summary.itertuples():
        metric = row.metric + (" (lower)" if row.better == "lower" else "")
        if row.not_measured or not math.isfinite(row.mean):
            lines.append(f"{metric:30}not measured: {row.not_measured or 'no reason was given'}")
            continue
        interval = f"{row.ci_low:.4f} to {row.ci_high:.4f}"
        chance = f"{row.shuffled:.4f} ± {row.shuffled_sd:.4f}"
        lines.append(f"{metric:30}{row.mean:8.4f}   {interval:20}{chance:20}{row.p:.2g} ({row.repairings})")
    if first["questioned"]:
        lines += ["", *(f"QUESTIONED: {doubt}" for doubt in first["questioned"].split("; "))]
    return "\n".join(lines)


def _naming(reconstructions: Path, stimuli: Path, numbers: Numbers | None, ids: str | Path | None) -> Naming:
    """What the names of the pictures are, as it was said."""
    if ids is None:
        return Naming(numbers)
    if numbers is not None:
        raise InputError("--ids says that names are positions, --names that they are ids: give one of them.")
    return read_positions(ids, _expdesign(stimuli), len(picture_paths(Path(reconstructions))))


class _Stimuli:
    """What was seen, by NSD id: NSD's HDF5, or a folder of pictures."""

    def __init__(self, stimuli: Path, numbers: Numbers | None):
        self.given = Path(stimuli)
        self.path = _stimuli_file(stimuli)
        kind = kind_of(self.path, "stimuli")
        if kind == "nothing":
            raise InputError(
                f"{self.path}: expected a folder of stimuli, or the stimuli's HDF5 file of an NSD tree, "
                "found neither."
            )
        self.files = None if kind == "file" else picture_files(self.path, Naming(numbers))
        self.seen: dict[int, np.ndarray | None] = {}  # of `small`

    def check(self, image_ids: np.ndarray) -> None:
        """Raise an InputError unless each image has its stimulus."""
        if self.files is None:
            nsd_tree.check_filled(self.path, image_ids, NAMES)
            return
        absent = [int(i) for i in image_ids if i not in self.files]
        if absent:
            raise InputError(
                f"{self.path}: expected a stimulus for each picture, found none for image {absent[0]} "
                f"({len(absent)} of {len(image_ids)} are missing){NAMES}."
            )

    def read(self, image_ids: np.ndarray) -> Sequence[Image.Image]:
        if self.files is not None:
            return _reader_of(self.files)(image_ids)
        return [Image.fromarray(picture) for picture in nsd_tree.read_stimuli(self.path, image_ids)]

    def small(self, image_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of any images there are, (n,) bool, and these at the size of `name_questions`."""
        size = name_questions.SMALL
        new = np.array([i for i in np.unique(image_ids) if i not in self.seen], np.int64)
        for start in range(0, len(new), BLOCK):
            block = new[start : start + BLOCK]
            for image_id, picture in zip(block, self._some(block), strict=True):
                small = (
                    None if picture is None else metrics.resize_through(picture[None], (size,), "bilinear")
                )
                self.seen[int(image_id)] = small
        found = [self.seen[int(i)] for i in image_ids]
        there = [picture for picture in found if picture is not None]
        empty = np.empty((0, size, size, 3), np.uint8)
        return np.array([picture is not None for picture in found], bool), np.concatenate([empty, *there])

    def _some(self, image_ids: np.ndarray) -> list[np.ndarray | None]:
        """Pictures, and None for those that are not there or cannot be read: nobody asked to score them."""
        if self.files is not None:
            some: list[np.ndarray | None] = []
            for image_id in image_ids:
                picture = None
                if image_id in self.files:
                    with contextlib.suppress(InputError):
                        picture = np.asarray(read_picture(self.files[image_id]))
                some.append(picture)
            return some
        try:
            pictures = nsd_tree.read_stimuli(self.path, image_ids, empty_ok=True)
        except InputError:  # of other images than those asked for: outside the file, or damaged
            return [None] * len(image_ids)
        return [picture if picture.any() else None for picture in pictures]

    def shared(self) -> np.ndarray | None:
        """Ids of the shared images in ascending order, where the stimuli lie in a tree with its design."""
        expdesign = _expdesign(self.given)
        if expdesign is not None and expdesign.is_file():
            with contextlib.suppress(InputError):
                return nsd_tree.shared_images(expdesign)
        return None

    def orders(self, config: Config | None, n: int) -> Mapping[str, name_questions.Reading]:
        """Lists of test images that could be meant."""
        return name_questions.known_orders(self.path, _expdesign(self.given), config, n)


def _stimuli_file(stimuli: Path) -> Path:
    """The HDF5 file of an NSD tree; another file, or a folder of pictures, as it is."""
    path = Path(stimuli)
    whole = nsd_tree.Tree(path).stimuli
    return whole if path.is_dir() and whole.exists() else path


def _expdesign(stimuli: Path) -> Path | None:
    """The experiment design of the tree that the stimuli lie in."""
    path = _stimuli_file(stimuli).absolute()
    roots = [root for root in path.parents if nsd_tree.Tree(root).stimuli == path]
    return nsd_tree.Tree(roots[0]).expdesign if roots else None


def _reader_of(files: dict[int, Path]) -> Callable[[np.ndarray], Sequence[Image.Image]]:
    def read(ids: np.ndarray) -> list[Image.Image]:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(read_picture, [files[i] for i in ids]))

    return read


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
            store(found, metric, values, start, n)
    if turned:
        kind = {"picture": "pictures", "truth": "stimuli"}[side]
        logger.warning(
            "%d of %d %s are not stored upright (EXIF orientation): scored upright.", turned, n, kind
        )
    return stack, found
