"""Pixel metrics of a folder of pictures: `neural-recon evaluate` beside a plain loop over scikit-image.

    python benchmarks/evaluate.py [--images 1000] [--size 425] [--preset brain_diffuser] [--sample 20]

Writes random pictures (the worst case: noise does not compress) and their stimuli as PNG, and scores them in
a process of its own: seconds, processor seconds (which other work on the machine changes less) and most
resident memory, imports included in all. The loop reads, resizes and scores the first pictures of the same
folders with Pillow, NumPy and scikit-image, without chance levels; its time for all, and with SSIM's
re-pairings too, is extrapolated from that sample.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from neural_recon.evaluate import SAMPLED_REPAIRINGS
from neural_recon.metrics import PRESETS


def write(folder: Path, images: int, size: int) -> None:
    rng = np.random.default_rng(0)
    for kind in ("stimuli", "pictures"):
        (folder / kind).mkdir()
        for nsd_id in range(images):
            picture = Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))
            picture.save(folder / kind / f"{nsd_id:05d}.png", compress_level=1)


def score(folder: Path, preset: str) -> dict:
    """Seconds, memory in MB and the scores; in a process of its own."""
    program = (
        "import json, resource, sys; from pathlib import Path\n"
        "from neural_recon.evaluate_folder import as_text, evaluate_folder\n"
        "folder = Path(sys.argv[1])\n"
        "summary, images = evaluate_folder(folder / 'pictures', folder / 'stimuli', sys.argv[2])\n"
        "print(as_text(summary), file=sys.stderr)\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "memory, busy = used.ru_maxrss * 1024 / 1e6, used.ru_utime + used.ru_stime\n"
        "scores = {m: rows['value'].tolist() for m, rows in images.groupby('metric')}\n"
        "print(json.dumps({'MB': memory, 'busy': busy, 'scores': scores}))"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), preset], check=True, stdout=subprocess.PIPE
    )
    return {"seconds": time.perf_counter() - started, **json.loads(done.stdout)}


def plain_loop(folder: Path, preset: str, images: int) -> tuple[dict, dict]:
    """Scores, and seconds for reading, PixCorr and SSIM, of the first pictures."""
    rule = PRESETS[preset]
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[rule.method]
    scores, seconds = {"pixcorr": [], "ssim": []}, dict.fromkeys(("reading", "pixcorr", "ssim"), 0.0)
    for nsd_id in range(images):
        marks = [time.perf_counter()]
        pair = []
        for kind, sizes in (("stimuli", rule.truth_sizes), ("pictures", rule.picture_sizes)):
            image = Image.open(folder / kind / f"{nsd_id:05d}.png").convert("RGB")
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=425, help="of the files")
    parser.add_argument("--preset", choices=PRESETS, default="brain_diffuser")
    parser.add_argument("--sample", type=int, default=20, help="pictures of the plain loop")
    arguments = parser.parse_args()
    n, sample = arguments.images, min(arguments.sample, arguments.images)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, n, arguments.size)
        ours = score(folder, arguments.preset)
        scores, seconds = plain_loop(folder, arguments.preset, sample)
    for metric, expected in scores.items():
        np.testing.assert_allclose(ours["scores"][metric][:sample], expected, atol=1e-5)
    print(f"{n} pictures of {arguments.size}, {arguments.preset}, with intervals and chance:")
    load = os.getloadavg()[0]
    print(
        f"neural-recon evaluate: {ours['seconds']:.1f} s, of the processors {ours['busy']:.1f} s, "
        f"{ours['MB']:,.0f} MB (load {load:.1f})"
    )
    steps = ", ".join(f"{step} {1000 * value / sample:.0f} ms" for step, value in seconds.items())
    print(f"plain loop, a picture (mean of {sample}): {steps}")
    whole = sum(seconds.values()) * n / sample
    print(f"plain loop, all {n}, without chance: {whole:.0f} s (extrapolated)")
    again = whole + SAMPLED_REPAIRINGS * seconds["ssim"] * n / sample
    print(f"the same with SSIM's {SAMPLED_REPAIRINGS} re-pairings: {again:.0f} s (extrapolated)")


if __name__ == "__main__":
    main()
