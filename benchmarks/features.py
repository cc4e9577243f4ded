"""Brain-Diffuser's features with models of the published sizes and random weights, against the machine's own
rate of matrix products.

    python benchmarks/features.py [--weights DIR] [--images 12] [--turns 3]
    python benchmarks/features.py --small      # models of a few channels: whether it runs

Each space encodes as in the workflow, from pictures of 425 x 425 or five captions an image, resizing and
tokenising included. Operations are those of torch's products and convolutions, counted while it computes.
The rate is that of products of 4096 x 4096 in float32. DIR has the weights of a rehearsal, or gets them (12.8
GB); default: a temporary folder.
"""

import argparse
import contextlib
import tempfile
import time
from pathlib import Path

import numpy as np
import rehearsal
import steps
import table

SIDE, PRODUCT = 425, 4096
SPACES = ("vdvae", "vision", "text")
FAST = {"avx512_bf16", "amx_bf16"}  # what a processor says that multiplies bfloat16 faster than float32


def rate(size: int) -> float:
    """float32 products a second, in units of 1e9 operations, as torch computes them; the best of three."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, best = torch.ones(size, size, device=device), float("inf")
    for _ in range(4):  # the first is a warm-up
        began = time.perf_counter()
        float((a @ a)[0, 0])  # asked for, so that a GPU has computed it
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def encode(name: str, settings: dict[str, object], images: int, turns: int) -> tuple[float, float]:
    """Seconds per image, the best turn; and operations per image, in units of 1e9."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    from neural_recon import features

    space, ids = features.load(name, settings), np.arange(images)
    rng = np.random.default_rng(0)
    batch: object = rng.integers(0, 256, (images, SIDE, SIDE, 3), np.uint8)
    if space.reads == "captions":
        batch = [["a man riding a wave on top of a surfboard"] * 5] * images
    operations = []

    class Counted(TorchDispatchMode):  # FlopCounterMode follows gradients, of which there are none
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            if count := flop_registry.get(function._overloadpacket):
                operations.append(count(*args, **(kwargs or {}), out_val=found))
            return found

    with Counted():
        space.encode(batch, ids)
    best = float("inf")
    for _ in range(turns):
        began = time.perf_counter()
        space.encode(batch, ids)
        best = min(best, time.perf_counter() - began)
    return best / images, sum(operations) / images / 1e9


def bfloat16() -> str:
    """Whether this processor multiplies bfloat16 faster than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text(encoding="utf-8").split()) if cpuinfo.is_file() else set()
    found = sorted(FAST & flags)
    return f"bfloat16 by {', '.join(found)}" if found else "a processor without fast bfloat16"


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    columns = {"images/s": ".2f", "GFLOP an image": ",.1f", "GFLOP/s": ",.1f", "share of the rate": ".1%"}
    result = table.Table({**columns, "most memory, MB": ",.0f"}, SPACES)
    with contextlib.ExitStack() as stack:
        folder = arguments.weights or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rehearsal.write_weights(folder, arguments.small)
        fastest = steps.apart(rate, 256 if arguments.small else PRODUCT).result
        for name in SPACES:
            settings = rehearsal.spaces(folder, arguments.small)[name]
            step = steps.apart(encode, name, settings, arguments.images, arguments.turns)
            seconds, operations = step.result
            speed = operations / seconds
            result.add(name, 1 / seconds, operations, speed, speed / fastest, step.megabytes)
    return (
        f"{arguments.images} images, best of {arguments.turns} turns; products at {fastest:.0f} GFLOP/s; "
        f"{bfloat16()}."
    ), result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--weights", type=Path, help="where the models lie, or are written to")
    options.add_argument("--images", type=int, default=12)
    options.add_argument("--turns", type=int, default=3, help="of all images; the best counts")
    table.run(options, measure, small={"turns": 1, "images": 2})
