"""Score a folder of pictures, from whatever method, against what was seen, as this project scores its own.

Pictures are PNG or JPEG files named by their image's NSD id (0-based, as everywhere here), with or without
leading zeros: `00123.png` and `123.jpg` are both image 123. Files of other kinds, hidden ones and subfolders
are passed over.
"""

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from neural_recon import __version__, metrics, nsd, recording, weights
from neural_recon.config import Config
from neural_recon.errors import InputError
from neural_recon.evaluate import Scores
from neural_recon.files import write_table
from neural_recon.models import device, load_clip
from neural_recon.networks import METRICS, Judges, store
from neural_recon.similarity import RADIUS

logger = logging.getLogger(__name__)

PresetName = Literal["brain_diffuser", "mindeye2", "native"]

SUFFIXES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")  # whatever the name says, no other reader is to run: one of them starts a program
MOST_PIXELS = 4096**2  # of a picture; published ones have 1024 a side at most
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # 8 bits a channel, or fewer
THREADS = 4  # decoding and resizing leave the interpreter free
# pictures read at a time; what is kept of each is the preset's size in 8 bits, and the networks' features
BLOCK = 64
SEED, REPAIRINGS = 0, 1000
GENERATOR = "shi-labs--versatile-diffusion"  # where the workflow fetches it to, below the folder of weights


def evaluate_folder(
    reconstructions: Path,
    stimuli: Path,
    preset: PresetName,
    name: str | None = None,
    clip: Path | None = None,
    folder: Path = weights.MODELS,
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

    Returns:
        The summary, one row a metric with interval (95 %, over images), chance (`shuffled`: pictures
        re-paired at random) and p; what could not be measured has the reason in `not_measured`. And the
        scores, one row a metric and image.

    Raises:
        InputError: a folder without pictures or with one only, a name that is no id, an id twice or without a
            stimulus, or a picture that cannot be read.
    """
    files = picture_files(reconstructions)
    if len(files) < 2:
        only = next(iter(files.values())).name
        raise InputError(
            f"{reconstructions}: expected at least 2 pictures, as chance is what re-pairing them gives, "
            f"found {only} alone."
        )
    nsd_ids = np.array(sorted(files))
    name = name or Path(reconstructions).resolve().name
    read_truth = _reader(stimuli, nsd_ids)
    rule = metrics.PRESETS[preset]
    own = () if rule.picture_sizes else (_one_size(files),)
    judges = find_judges(preset, folder, clip)

    pictures, found = _gather(_reader_of(files), nsd_ids, rule.picture_sizes or own, judges, "picture")
    truth, seen = _gather(read_truth, nsd_ids, rule.truth_sizes or own, judges, "truth")
    scores = Scores(name, SEED, REPAIRINGS)
    scores.add_sized(name, preset, nsd_ids, truth, pictures, rule.ssim)
    for metric in METRICS:
        if metric in found:
            scores.add_features(name, preset, metric, nsd_ids, seen[metric], found[metric])
        else:
            scores.add_unmeasured(name, preset, metric, len(nsd_ids), judges.missing[metric])

    summary = scores.summary_table().drop(columns=["subject", "variant", "picture"])
    images = scores.image_table()[["metric", "nsd_id", "value"]]
    for table in (summary, images):
        table.insert(0, "method", name)
        table.insert(1, "preset", preset)
    return summary.assign(version=__version__).reset_index(drop=True), images


def find_judges(preset: PresetName, folder: Path, clip: Path | None = None) -> Judges:
    """The networks whose weights lie in a folder or one below it, and CLIP.

    Raises:
        InputError: a file of weights is not what its name says, or `clip` is no such folder.
    """
    files, encoders = _weights(preset, folder, clip)
    names = weights.network_files(preset)
    absent = {name: f"{folder} has no {file} (--weights FOLDER)" for name, file in names.items()}
    absent["clip"] = f"no CLIP: {folder / GENERATOR}/image_encoder is not there (--clip FOLDER)"
    model = None if encoders is None else load_clip(encoders, text=False)
    return Judges(preset, model, files, absent, device())


def _weights(preset: PresetName, folder: Path, clip: Path | None) -> tuple[dict[str, Path], Path | None]:
    """The networks' files that there are, and the folder of CLIP, if there is one."""
    names = weights.network_files(preset)
    found = {name: sorted([*folder.glob(file), *folder.glob(f"*/{file}")]) for name, file in names.items()}
    default = folder / GENERATOR
    if clip is None and (default / "image_encoder").is_dir():
        clip = default
    return {name: paths[0] for name, paths in found.items() if paths}, clip


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
        {"preset": preset},
        config.model_dump(mode="json"),
        [output, output.with_suffix(".parquet")],
        _files_read(reconstructions, stimuli, preset, clip, folder),
    )
    summary, images = evaluate_folder(reconstructions, stimuli, preset, name, clip, folder)
    write_scores(output, summary, images)
    recording.finish(begun)
    return output, summary


def _files_read(
    reconstructions: Path, stimuli: Path, preset: PresetName, clip: Path | None, folder: Path
) -> dict[str, list[Path]]:
    """The files that `evaluate_folder` reads when it is called so, by what they are to it."""
    pictures, seen = picture_files(reconstructions), _stimuli_file(stimuli)
    shown = [seen]
    if seen.is_dir():
        every = picture_files(seen)
        shown = [every[i] for i in pictures if i in every]
    files, encoders = _weights(preset, folder, clip)
    parts = weights.model_files(str(encoders), {}, ("image_encoder", "image_processor")) if encoders else []
    return {
        "reconstructions": list(pictures.values()),
        "stimuli": shown,
        "weights": [*files.values(), *map(Path, parts)],
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
    return "\n".join(lines)


def picture_files(folder: Path) -> dict[int, Path]:
    """The pictures of a folder by NSD id.

    Raises:
        InputError: no such folder, no pictures, a picture's name that is no id, or two for one id.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of pictures, found none.")
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or path.is_dir():
            continue
        if not (path.stem.isascii() and path.stem.isdigit()) or int(path.stem) >= nsd.N_IMAGES:
            raise InputError(
                f"{path}: expected the image's NSD id from 0 to {nsd.N_IMAGES - 1} as the name, such as "
                f"00123{path.suffix}, found {path.stem!r}."
            )
        other = files.setdefault(int(path.stem), path)
        if other != path:
            raise InputError(
                f"{folder}: expected one picture of image {int(path.stem)}, "
                f"found {other.name} and {path.name}."
            )
    if not files:
        raise InputError(
            f"{folder}: expected pictures ({', '.join(SUFFIXES)}) named by NSD id, such as 00123.png, "
            "found none."
        )
    return files


def read_picture(path: Path) -> Image.Image:
    """A picture as 8-bit RGB.

    Raises:
        InputError: it cannot be read, has more than 8 bits a channel, or is transparent somewhere.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check_pixels(path, image.size)
            image.load()
    except InputError:
        raise
    except Exception as error:  # a broken picture raises many kinds
        raise InputError(
            f"{path}: expected a whole picture, found one that cannot be read ({error}); write it again."
        ) from error
    if image.mode not in MODES:
        raise InputError(f"{path}: expected an RGB or grey picture of 8 bits, found mode {image.mode}.")
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise InputError(f"{path}: expected an opaque picture, found a transparent one; fill its background.")
    return image.convert("RGB")


def _check_pixels(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f"{path}: expected a picture of at most {MOST_PIXELS} pixels, found {size[0]} x {size[1]}; "
            "make it smaller."
        )


def _reader(stimuli: Path, nsd_ids: np.ndarray) -> Callable[[np.ndarray], Sequence[Image.Image]]:
    """What reads the stimuli of some ids."""
    path = _stimuli_file(stimuli)
    if path.is_file():
        return lambda ids: [Image.fromarray(picture) for picture in nsd.read_stimuli(path, ids)]
    if not path.is_dir():
        raise InputError(
            f"{path}: expected a folder of stimuli, or the stimuli's HDF5 file of an NSD tree, found neither."
        )
    files = picture_files(path)
    absent = [int(i) for i in nsd_ids if i not in files]
    if absent:
        raise InputError(
            f"{path}: expected a stimulus for each picture, found none for image {absent[0]} "
            f"({len(absent)} of {len(nsd_ids)} are missing)."
        )
    return _reader_of(files)


def _stimuli_file(stimuli: Path) -> Path:
    """The HDF5 file of an NSD tree; another file, or a folder of pictures, as it is."""
    path = Path(stimuli)
    whole = nsd.Tree(path).stimuli
    return whole if path.is_dir() and whole.exists() else path


def _reader_of(files: dict[int, Path]) -> Callable[[np.ndarray], Sequence[Image.Image]]:
    def read(ids: np.ndarray) -> list[Image.Image]:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(read_picture, [files[i] for i in ids]))

    return read


def _one_size(files: dict[int, Path]) -> int:
    """The side of all pictures, from their headers."""
    first: tuple[int, int] | None = None
    for path in files.values():
        try:
            with Image.open(path, formats=FORMATS) as image:
                size = image.size
        except Exception as error:
            raise InputError(f"{path}: expected a picture, found a file that is none ({error}).") from error
        _check_pixels(path, size)
        first = first or size
        if size != first or size[0] != size[1] or size[0] <= 2 * RADIUS:
            raise InputError(
                f"{path}: expected square pictures of one size above {2 * RADIUS} pixels for the preset "
                f"native, found {size[0]} x {size[1]} beside {first[0]} x {first[1]}; another preset resizes "
                "them."
            )
    if first is None:
        raise ValueError("files: expected at least one picture, found none")
    return first[0]


def _gather(
    read: Callable[[np.ndarray], Sequence[Image.Image]],
    nsd_ids: np.ndarray,
    sizes: tuple[int, ...],
    judges: Judges,
    side: metrics.Side,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Pictures through a preset's sizes, uint8 (n, S, S, 3), and their features by metric, (n, d) each."""
    n, method = len(nsd_ids), judges.rule.method
    stack = np.empty((n, sizes[-1], sizes[-1], 3), np.uint8)
    found: dict[str, np.ndarray] = {}

    for start in range(0, len(nsd_ids), BLOCK):
        images = [np.asarray(image) for image in read(nsd_ids[start : start + BLOCK])]
        with ThreadPoolExecutor(THREADS) as pool:
            resized = pool.map(lambda image: metrics.resize_through(image[None], sizes, method), images)
            stack[start : start + BLOCK] = np.concatenate(list(resized))
        for metric, values in judges.features(images, side).items():
            store(found, metric, values, start, n)
    return stack, found
