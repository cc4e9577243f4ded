"""Generators at their true size with random weights: the pipelines of diffusers beside this project's loop.

    python benchmarks/generators.py [--kinds sdxl pixart] [--images 4] [--batch 4]      # on a GPU
    python benchmarks/generators.py --small --images 4 --batch 4 --steps 20             # a minute on a CPU
    python benchmarks/generators.py --small      # one picture, one step, few channels: whether it runs

For each kind of generator and each variant, in a process of its own: seconds per image and peak memory.

- pipeline: that of diffusers, in half precision throughout (float32 on a CPU) but where it says otherwise
  itself, fed the same embeddings. Those that mix a batch's pictures are given one picture per call.
- fast, low: the generator in these two memory modes; its autoencoder is always in float32.

Settings are those of the kind's recipe; `--steps` is the full schedule of all kinds, of which each runs the
share that its recipe says. Versatile Diffusion with both flows is measured by benchmarks/diffusion.py.
`sdxl_unclip` is not measured: no pipeline of diffusers runs its network.

No time is estimated beforehand. What bounds a run is `--images`: each kind paints these twice, with one batch
of each before they are timed, and in memory mode low two images at most: by default about twenty pictures per
kind, which is meant to take a few minutes in all on a data-centre GPU.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pipelines
import steps
import table

if TYPE_CHECKING:
    from helpers.published_generators import Layout

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

Paint = Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray]


def random_generator(
    layout: "Layout", kind: str, folder: Path, memory: str, asked: argparse.Namespace
) -> Any:
    """A generator whose parts have random weights."""
    import yaml
    from helpers import published_generators
    from helpers.published_generators import build

    from neural_recon.generation.generator import GENERATORS

    base: Any = GENERATORS.load(kind)

    class Random(base):
        adapter = (layout.unguided.get("image", (0,))[-1], False)  # of kinds that have one

        def load(self, home, dtype):
            import torch

            # made where it is fast, also if it then goes elsewhere
            where = "cuda" if torch.cuda.is_available() else "cpu"
            half = {self.network: dtype, "decoder": dtype}  # the second is Stable Cascade's stage B
            made = {part: build(layout, part, where, half.get(part, torch.float32)) for part in layout.parts}
            return {
                part: module.to(home).to(memory_format=torch.channels_last) for part, module in made.items()
            }

        def unguided(self):
            return drawn(layout.unguided, seed=1)

    recipe = yaml.safe_load((table.ROOT / f"config/recipes/{layout.recipe}.yaml").read_text(encoding="utf-8"))
    how = {**recipe["generator"], **layout.settings, "memory": memory, "batch": asked.batch}
    how["weights"] = str(published_generators.write_configurations(folder, layout))
    if asked.steps:
        how["steps"] = asked.steps
        if "stage_b_steps" in how:
            how["stage_b_steps"] = (asked.steps + 1) // 2
    return Random(Random.Settings(**how))


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {role: rng.normal(scale=0.5, size=shape).astype(np.float32) for role, shape in shapes.items()}


def inputs(generator: Any, layout: "Layout", n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Base images of n pictures, and their guides (n, tokens, width) by role."""
    shapes = {role: layout.unguided[role] for role in generator.settings.guides}
    base = np.random.default_rng(0).integers(0, 256, (n, BASE, BASE, 3), np.uint8)
    return base, drawn(
        {role: (n, layout.tokens.get(role, k), w) for role, (_, k, w) in shapes.items()}, seed=2
    )


def painted_by_pipeline(generator: Any, layout: "Layout", kind: str) -> tuple[Paint, int]:
    """What paints pictures of base images and guides, and how many at once."""
    import torch
    from helpers.published_generators import build

    from neural_recon.models.device_memory import where_to_compute

    where, dtype = where_to_compute(None, "auto", generator.half)
    half = {"effnet": torch.float32}  # which is no part of the pipeline
    parts = {part: build(layout, part, where, half.get(part, dtype)) for part in layout.parts}
    paint = pipelines.PIPELINES[kind](generator, parts)
    at_once = 1 if kind in pipelines.ONE_BY_ONE else generator.settings.batch
    none = generator.unguided()

    def there(rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows).to(where, dtype)

    def in_batches(base: np.ndarray, guides: Mapping[str, np.ndarray]) -> np.ndarray:
        pictures = []
        for start in range(0, len(base), at_once):
            part = slice(start, start + at_once)
            images = (generator.enlarged(base[part]) / 2 + 0.5).to(where, dtype)
            empty = {role: there(rows.repeat(len(images), axis=0)) for role, rows in none.items()}
            given = {role: there(rows[part]) for role, rows in guides.items()}
            pictures.append(paint(images, given, empty).float().cpu().numpy())
        return np.concatenate(pictures)

    return in_batches, at_once


def painted_by(generator: Any) -> tuple[Paint, int]:
    """The same of the generator itself."""
    _ = generator.parts  # loaded now
    how = generator.settings

    def paint(base: np.ndarray, guides: Mapping[str, np.ndarray]) -> np.ndarray:
        flat = {role: rows.reshape(len(rows), -1) for role, rows in guides.items()}
        return generator.paint(base, flat, np.arange(len(base)), 0)

    return paint, 1 if how.memory == "low" else how.batch


def timed(kind: str, variant: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """Seconds per image, and the peak of memory in GB (a GPU's where there is one)."""
    import torch
    from helpers.published_generators import LAYOUTS

    gpu = torch.cuda.is_available()
    n = min(arguments.images, LOW) if variant == "low" else arguments.images
    layout = LAYOUTS[kind](arguments.small)
    with tempfile.TemporaryDirectory() as folder:
        memory = "low" if variant == "low" else "fast"
        generator = random_generator(layout, kind, Path(folder), memory, arguments)
        pipeline = variant == "pipeline"
        paint, at_once = painted_by_pipeline(generator, layout, kind) if pipeline else painted_by(generator)
        base, guides = inputs(generator, layout, n)
        # libraries choose and load their kernels in the first pass
        paint(base[:at_once], {role: rows[:at_once] for role, rows in guides.items()})
        if gpu:
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
