"""Generators at their true size with random weights: the pipelines of diffusers beside this project's loop.

    python benchmarks/generators.py [--kinds sdxl pixart] [--images 4] [--batch 4]      # on a GPU
    python benchmarks/generators.py --small --images 4 --batch 4 --steps 20             # a minute on a CPU
    python benchmarks/generators.py --small      # one picture, one step, few channels: whether it runs

For each kind of generator and each variant, in a process of its own: seconds per image and peak memory.

- pipeline: that of diffusers, in half precision throughout (float32 on a CPU) but where it says otherwise
  itself, fed the same embeddings. Those that mix a batch's pictures are given one picture per call.
- fast, low: the generator in these two memory modes; its autoencoder is always in float32.

Settings are those of the kind's recipe; `--steps` is the full schedule of all kinds, of which each runs the
share that its recipe says. Versatile Diffusion is measured by benchmarks/diffusion.py.

No time is estimated beforehand. What bounds a run is `--images`: each kind paints these twice, with one batch
of each before they are timed, and in memory mode low two images at most: by default about twenty pictures per
kind, which is meant to take a few minutes in all on a data-centre GPU.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pipelines
import steps
import table

if TYPE_CHECKING:
    import torch

# where the layouts of the published models are written down
sys.path.insert(0, str(table.ROOT / "tests"))

# as in benchmarks/diffusion.py: imported once, for all variants
LOADED = (
    "neural_recon",
    "torch",
    "diffusers",
    "transformers",
    "helpers.published_generators",
    "neural_recon.generation.sampling",
    "neural_recon.generation.diffusion",
    "torchvision.models",
)
VARIANTS = ("pipeline", "fast", "low")
BASE, LOW = 64, 2  # the side of base images; the most pictures in memory mode low


def random_generator(kind: str, folder: Path, memory: str, arguments: argparse.Namespace) -> Any:
    """A generator whose parts have random weights."""
    import yaml
    from helpers import published_generators
    from helpers.published_generators import build

    from neural_recon.generation.generator import GENERATORS

    layout = published_generators.LAYOUTS[kind](arguments.small)
    base: Any = GENERATORS.load(kind)

    class Random(base):
        adapter = (layout.unguided.get("image", (0,))[-1], False)

        def load(self, home, dtype):
            import torch

            # made where it is fast, also if it then goes elsewhere
            where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            precision = {self.network: dtype, "decoder": dtype}  # of Stable Cascade both stages
            return {
                part: build(layout, part, where, precision.get(part, torch.float32)).to(
                    home, memory_format=torch.channels_last
                )
                for part in layout.parts
            }

        def unguided(self):
            rng = np.random.default_rng(1)
            return {
                role: rng.normal(scale=0.5, size=shape).astype(np.float32)
                for role, shape in layout.unguided.items()
            }

    recipe = yaml.safe_load((table.ROOT / f"config/recipes/{layout.recipe}.yaml").read_text(encoding="utf-8"))
    how = {**recipe["generator"], **layout.settings, "memory": memory, "batch": arguments.batch}
    how["weights"] = str(published_generators.write_configurations(folder, layout))
    if arguments.steps:
        how["steps"] = arguments.steps
        if "stage_b_steps" in how:
            how["stage_b_steps"] = (arguments.steps + 1) // 2
    generator = Random(Random.Settings(**how))
    generator.tokens = {role: layout.tokens.get(role, layout.unguided[role][1]) for role in generator.settings.guides}
    return generator


def inputs(generator: Any, n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Base images of n pictures, and their guides (n, tokens * width) by role."""
    rng, none = np.random.default_rng(0), generator.unguided()
    base = rng.integers(0, 256, (n, BASE, BASE, 3), np.uint8)
    sizes = {role: tokens * none[role].shape[-1] for role, tokens in generator.tokens.items()}
    return base, {role: rng.normal(scale=0.5, size=(n, size)).astype(np.float32) for role, size in sizes.items()}


def painted_by(kind: str, variant: str, generator: Any) -> tuple[Callable[..., np.ndarray], int]:
    """What paints pictures of base images and guides, and how many at once."""
    import torch

    from neural_recon.models.model_parts import where_to_compute

    how = generator.settings
    if variant != "pipeline":
        _ = generator.parts
        return (
            lambda base, guides: generator.paint(base, guides, np.arange(len(base)), 0),
            how.batch if variant == "fast" else 1,
        )
    where, dtype = where_to_compute(None, "auto", generator.half)
    parts = generator.load(where, dtype)
    for part in parts:
        half = torch.float32 if part == "effnet" else dtype  # which is none of the pipeline's
        parts[part] = parts[part].to(half).to(memory_format=torch.contiguous_format)
    paint, at_once = pipelines.PIPELINES[kind](generator, parts), how.batch
    if kind in pipelines.ONE_BY_ONE:
        at_once = 1
    none = {role: torch.from_numpy(rows).to(where, dtype) for role, rows in generator.unguided().items()}

    def in_batches(base: np.ndarray, guides: dict[str, np.ndarray]) -> np.ndarray:
        pictures = []
        for start in range(0, len(base), at_once):
            part = slice(start, start + at_once)
            count = len(base[part])
            given = {
                role: torch.from_numpy(rows[part]).view(count, generator.tokens[role], -1).to(where, dtype)
                for role, rows in guides.items()
            }
            empty = {
                role: rows.expand(count, *rows.shape[1:]) for role, rows in none.items()
            }
            images = (generator.enlarged(base[part]) / 2 + 0.5).to(where, dtype)
            pictures.append(paint(images, given, empty).float().cpu().numpy())
        return np.concatenate(pictures)

    return in_batches, at_once


def timed(kind: str, variant: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """Seconds per image, and the peak of memory in GB (a GPU's where there is one)."""
    import torch

    gpu = torch.cuda.is_available()
    n = min(arguments.images, LOW) if variant == "low" else arguments.images
    with tempfile.TemporaryDirectory() as folder:
        memory = "low" if variant == "low" else "fast"
        generator = random_generator(kind, Path(folder), memory, arguments)
        paint, at_once = painted_by(kind, variant, generator)
        base, guides = inputs(generator, n)
        if gpu:  # libraries choose and load their kernels in the first pass
            paint(base[:at_once], {role: rows[:at_once] for role, rows in guides.items()})
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        pictures = paint(base, guides)
        if gpu:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / n
        side = generator.side()
    if sorted(pictures.shape) != sorted((n, 3, side, side)) or not np.isfinite(pictures).all():
        raise table.NoFigure(
            f"{kind}, {variant}: expected {n} pictures of {side} x {side} finite numbers, found others."
        )
    return seconds, torch.cuda.max_memory_reserved() / 1e9 if gpu else steps.peak() / 1e3


def computed_on() -> str:
    import diffusers
    import torch

    gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}, diffusers {diffusers.__version__}"


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    if unknown := set(arguments.kinds) - set(pipelines.PIPELINES):
        raise table.NoFigure(f"--kinds: expected some of {', '.join(pipelines.PIPELINES)}, found {unknown}.")
    rows = {(kind, variant): f"{kind}, {variant}" for kind in arguments.kinds for variant in VARIANTS}
    result = table.Table({"s per image": ".3f", "times faster": ".1f", "peak GB": ".2f"}, rows.values())
    name = steps.apart(computed_on, loaded=LOADED).result
    first = 0.0
    for (kind, variant), row in rows.items():
        seconds, peak = steps.apart(timed, kind, variant, arguments, loaded=LOADED).result
        if variant == VARIANTS[0]:
            first = seconds
        result.add(row, seconds, first / seconds, peak)
    schedule = f"{arguments.steps} steps" if arguments.steps else "steps as the recipes have them"
    said = (
        f"{name}. {arguments.images} images (low: {min(arguments.images, LOW)}), batches of "
        f"{arguments.batch}, {schedule}."
    )
    return said, result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--kinds", nargs="+", default=list(pipelines.PIPELINES))
    options.add_argument("--images", type=int, default=4)
    options.add_argument("--batch", type=int, default=4)
    options.add_argument("--steps", type=int, help="of the full schedule; default: as the recipe has it")
    table.run(options, measure, small={"images": 1, "batch": 1, "steps": 2})
