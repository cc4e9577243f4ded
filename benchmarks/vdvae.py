"""VDVAE features at the published size, random weights: all 75 blocks alongside the 31 that are decoded.

    python benchmarks/vdvae.py [--turns 3]
    python benchmarks/vdvae.py --small      # layers of a few channels, two pictures: whether it runs

The straightforward run passes batches of 30 pictures, as the published scripts do, through the whole model in
torch's default layout and keeps the first 31 latents. The other is `VDVAE.encode` as `from_checkpoint` loads
it. All must give the same latents: the largest difference is printed.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable

import numpy as np
import table
import torch

from neural_recon.models.vdvae import VDVAE

LAYERS, BATCH = 31, 30
TOLERANCE = 1e-3  # of the largest latent


def best_seconds(
    variants: list[Callable[[np.ndarray], np.ndarray]], images: np.ndarray, turns: int
) -> list[float]:
    """Seconds per image of each, its best turn: they take turns, so that other work disturbs all alike."""
    for work in variants:
        work(images[:2])  # libraries choose their kernels
    best = [float("inf")] * len(variants)
    for _ in range(turns):
        for which, work in enumerate(variants):
            started = time.perf_counter()
            work(images)
            best[which] = min(best[which], (time.perf_counter() - started) / len(images))
    return best


def random_model(small: bool) -> VDVAE:
    hparams = json.loads((table.ROOT / "config/recipes/vdvae_imagenet64.json").read_text(encoding="utf-8"))
    if small:
        hparams |= {"width": 8, "zdim": 2}
    torch.manual_seed(0)
    model = VDVAE(hparams).eval()
    for parameter in model.parameters():  # some begin as zeros
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = random_model(arguments.small).to(device)
    blocks = len(model.latent_sizes)
    width = sum(int(np.prod(size)) for size in model.latent_sizes[:LAYERS])
    n = arguments.images
    images = np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), np.uint8)
    laid_out = copy.deepcopy(model).to(memory_format=torch.channels_last)
    variants = {
        f"all {blocks} blocks, batches of {n}": lambda part: model.encode(part, blocks, batch=n)[:, :width],
        f"{LAYERS} blocks, batches of {n}": lambda part: model.encode(part, LAYERS, batch=n),
        "`VDVAE.encode` as loaded": lambda part: laid_out.encode(part, LAYERS),
    }
    result = table.Table({"images/s": ".2f", "times faster": ".1f"}, variants)
    found = best_seconds(list(variants.values()), images, arguments.turns)
    expected, *others = (work(images[:4]) for work in variants.values())
    difference = max(np.abs(other - expected).max() for other in others) / np.abs(expected).max()
    if not difference < TOLERANCE:
        raise table.NoFigure(f"expected the same latents, found a relative difference of {difference:.1e}.")
    for variant, seconds in zip(variants, found, strict=True):
        result.add(variant, 1 / seconds, found[0] / seconds)
    gpu = device.type == "cuda"
    name = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    said = (
        f"{name}, torch {torch.__version__}; {n} images, best of {arguments.turns} turns; largest relative "
        f"difference of latents {difference:.1e}."
    )
    return said, result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--images", type=int, default=BATCH)
    options.add_argument("--turns", type=int, default=3, help="of all images; the best counts")
    table.run(options, measure, small={"turns": 1, "images": 2})
