"""VDVAE features at the published size, random weights: all 75 blocks beside the 31 that are decoded.

    python benchmarks/vdvae.py [--turns 3]

The straightforward run passes batches of 30 pictures, as the published scripts do, through the whole model in
torch's default layout and keeps the first 31 latents. The other is `VDVAE.encode` as `from_checkpoint` loads
it. Both give the same latents: the largest difference is printed.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch

from neural_recon.vdvae import VDVAE

LAYERS, BATCH = 31, 30


def seconds(variants: list, images: np.ndarray, turns: int) -> list[float]:
    """Seconds an image of each, its best turn: they take turns, so that other work disturbs all alike."""
    for work in variants:
        work(images[:2])  # libraries choose their kernels
    best = [float("inf")] * len(variants)
    for _ in range(turns):
        for which, work in enumerate(variants):
            started = time.perf_counter()
            work(images)
            best[which] = min(best[which], (time.perf_counter() - started) / len(images))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3, help="of 30 images")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipes = Path(__file__).resolve().parents[1] / "config/recipes"
    hparams = json.loads((recipes / "vdvae_imagenet64.json").read_text())
    torch.manual_seed(0)
    model = VDVAE(hparams).eval()
    for parameter in model.parameters():  # some begin as zeros
        torch.nn.init.normal_(parameter, std=0.02)
    model.to(device)
    blocks = len(model.latent_sizes)
    width = sum(int(np.prod(size)) for size in model.latent_sizes[:LAYERS])
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 64, 64, 3), np.uint8)
    laid_out = copy.deepcopy(model).to(memory_format=torch.channels_last)
    plain, skipped, ours = seconds(
        [
            lambda part: model.encode(part, blocks, batch=BATCH)[:, :width],
            lambda part: model.encode(part, LAYERS, batch=BATCH),
            lambda part: laid_out.encode(part, LAYERS),
        ],
        images,
        arguments.turns,
    )
    expected, found = model.encode(images[:4], blocks)[:, :width], laid_out.encode(images[:4], LAYERS)
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    name = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )
    print(f"{name}, torch {torch.__version__}; largest relative difference {difference:.1e}")
    print(f"all {blocks} blocks, batches of {BATCH}: {1 / plain:.2f} images/s")
    print(f"{LAYERS} blocks, batches of {BATCH}: {1 / skipped:.2f} images/s, {plain / skipped:.2f} times")
    print(f"VDVAE.encode: {1 / ours:.2f} images/s, {plain / ours:.2f} times")


if __name__ == "__main__":
    main()
