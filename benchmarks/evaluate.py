"""Pixel metrics of a folder of pictures: `neural-recon evaluate` alongside a plain loop over scikit-image.

    python benchmarks/evaluate.py [--images 1000] [--size 425] [--preset brain_diffuser] [--sample 20]
    python benchmarks/evaluate.py --small      # a few small pictures: whether it runs

Writes random stimuli (the worst case: noise does not compress) and noisy copies of them as PNG, and scores
the copies in a process of its own: seconds, processor seconds (which other work on the machine changes less)
and most resident memory, imports included in all. The loop reads, resizes and scores the first pictures of
the same folders with Pillow, NumPy and scikit-image, without chance levels, and must come to the same scores;
its time for all, and with SSIM's re-pairings too, is extrapolated from that sample.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import steps
import table
from PIL import Image

PRESETS = ("brain_diffuser", "mindeye2")
STEP = 7  # between ids, so that nobody takes them for positions


def image_ids(images: int) -> list[int]:
    return [3 + STEP * k for k in range(images)]


def write(folder: Path, images: int, size: int) -> None:
    rng = np.random.default_rng(0)
    for kind in ("stimuli", "pictures"):
        (folder / kind).mkdir()
    for image_id in image_ids(images):
        seen, noise = rng.integers(0, 256, (2, size, size, 3), np.uint8)
        for kind, picture in (("stimuli", seen), ("pictures", seen // 2 + noise // 2)):
            Image.fromarray(picture).save(folder / kind / f"{image_id:05d}.png", compress_level=1)


def evaluate(folder: Path, preset: str) -> tuple[dict[str, list[float]], int]:
    """Scores by metric, and how often SSIM's pictures were re-paired."""
    from neural_recon.evaluation.folder_scores import evaluate_folder

    # no weights there: no network runs
    summary, images = evaluate_folder(folder / "pictures", folder / "stimuli", preset, folder=folder)
    repairings = summary.set_index("metric")["repairings"]["ssim"]
    return {metric: rows["value"].tolist() for metric, rows in images.groupby("metric")}, int(repairings)


def plain_loop(folder: Path, preset: str, ids: list[int]) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Scores, and seconds for reading, PixCorr and SSIM."""
    from skimage.color import rgb2gray
    from skimage.metrics import structural_similarity

    from neural_recon.evaluation.metrics import PRESETS

    rule = PRESETS[preset]
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[rule.method]
    scores, seconds = {"pixcorr": [], "ssim": []}, dict.fromkeys(("reading", "pixcorr", "ssim"), 0.0)
    for image_id in ids:
        marks = [time.perf_counter()]
        pair = []
        for kind, sizes in (("stimuli", rule.truth_sizes), ("pictures", rule.picture_sizes)):
            image = Image.open(folder / kind / f"{image_id:05d}.png").convert("RGB")
            for size in sizes:
                image = image.resize((size, size), method)
            pair.append(np.asarray(image) / 255)
        marks.append(time.perf_counter())
        scores["pixcorr"].append(float(np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1]))
        marks.append(time.perf_counter())
        likeness = structural_similarity(
            *map(rgb2gray, pair),
            channel_axis=1 if rule.ssim == "1d" else None,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
        )
        scores["ssim"].append(float(likeness))
        marks.append(time.perf_counter())
        for step, duration in zip(seconds, np.diff(marks), strict=True):
            seconds[step] += duration
    return scores, seconds


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    n, preset, ids = arguments.images, arguments.preset, image_ids(arguments.images)[: arguments.sample]
    parts = {
        "reading": "plain loop, one picture: reading and resizing",
        "pixcorr": "plain loop, one picture: PixCorr",
        "ssim": "plain loop, one picture: SSIM",
    }
    ours, alone = (
        "**`neural-recon evaluate`, with intervals and chance**",
        "plain loop, all, **extrapolated**",
    )
    again = "plain loop, all, with SSIM's re-pairings, **extrapolated**"
    result = table.Table(
        {"seconds": ",.2f", "CPU seconds": ",.1f", "most memory, MB": ",.0f", "times ours": ",.1f"},
        (ours, *parts.values(), alone, again),
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, n, arguments.size)
        mine = steps.apart(evaluate, folder, preset)
        result.add(ours, mine.seconds, mine.busy, mine.megabytes, 1)
        scores, seconds = steps.apart(plain_loop, folder, preset, ids).result
    found, repairings = mine.result
    for metric, expected in scores.items():
        difference = np.abs(np.subtract(found[metric][: len(ids)], expected)).max()
        if not difference < 1e-5:
            raise table.NoFigure(f"{metric}: expected the loop's scores, found a difference of {difference}.")
    for part, row in parts.items():
        result.add(row, seconds[part] / len(ids), *[table.NONE] * 3)
    whole = sum(seconds.values()) * n / len(ids)
    result.add(alone, whole, table.NONE, table.NONE, whole / mine.seconds)
    whole += repairings * seconds["ssim"] * n / len(ids)
    result.add(again, whole, table.NONE, table.NONE, whole / mine.seconds)
    said = (
        f"{n:,d} random pictures of {arguments.size} pixels a side, preset `{preset}`; the plain loop over "
        f"scikit-image from {len(ids)} of them; SSIM re-paired {repairings} times."
    )
    return said, result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--size", type=int, default=425, help="of the files")
    options.add_argument("--preset", choices=PRESETS, default="brain_diffuser")
    options.add_argument("--sample", type=int, default=20, help="pictures of the plain loop")
    table.run(options, measure, small={"images": 4, "size": 32, "sample": 2})
