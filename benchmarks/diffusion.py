"""Versatile Diffusion at its true size with random weights: the published loop alongside this one.

    python benchmarks/diffusion.py [--images 32] [--batch 16] [--compile]         # on a GPU
    python benchmarks/diffusion.py --small --images 4 --batch 4 --steps 50        # a minute on a CPU
    python benchmarks/diffusion.py --small      # one picture, one step, few channels: whether it runs

For each variant, in a process of its own: seconds per image and peak memory.

- published: one image at a time as the scripts of Brain-Diffuser do: half precision throughout (float32
  on a CPU), the unconditional contexts from CLIP for every image, keys and values of all contexts in every
  step, attention as plain products, tensors in torch's default layout.
- fast, low: `neural_recon.generation.sampling` in these two memory modes.

The share is that of the device's rate for a large matrix product of the same precision, measured alongside.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import steps
import table

if TYPE_CHECKING:
    import torch

# where the layouts of the published models are written down
sys.path.insert(0, str(table.ROOT / "tests"))

STRENGTH, MIXING, GUIDANCE = 0.75, 0.4, 7.5
# What takes seconds to import: once, for all variants. The script itself imports nothing of it at its top,
# and no process that others are forked from looks for a GPU.
LOADED = (
    "neural_recon",
    "torch",
    "diffusers",
    "transformers",
    "neural_recon.models.clip",
    "neural_recon.models.dual_unet",
    "neural_recon.generation.sampling",
    "neural_recon.models.versatile",
    "torch.utils.flop_counter",
)
VARIANTS = ("published", "fast", "low")

Paint = Callable[[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]], object]


def device() -> "torch.device":
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half() -> "torch.dtype":
    import torch

    return torch.float16 if device().type == "cuda" else torch.float32


def build(part: str, small: bool, where: "torch.device") -> Any:
    from helpers.published_layouts import configurations

    from neural_recon.models.dual_unet import DualUNet

    make, config = configurations(small)[part]
    with where:
        return (DualUNet(config) if part == "image_unet" else make(config)).eval()


def inputs(n: int, small: bool):
    """Base images and contexts of n pictures, and the unconditional contexts."""
    from helpers.published_layouts import configurations

    rng, dim = np.random.default_rng(0), configurations(small)["image_unet"][1]["cross_attention_dim"]

    def tokens(*shape):
        return rng.normal(scale=0.5, size=shape).astype(np.float32)

    base = rng.integers(0, 256, (n, 64, 64, 3), np.uint8)
    return base, tokens(n, 257 * dim), tokens(n, 77 * dim), (tokens(1, 257, dim), tokens(1, 77, dim))


class PlainAttention:
    """Cross-attention written out, in the place of `ContextAttention`."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, attn, hidden_states, encoder_hidden_states, **_):
        key, value = encoder_hidden_states[self.name]
        query = attn.to_q(hidden_states).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(-1)
        return attn.to_out[0]((weights @ value).transpose(1, 2).flatten(2))


def published(small: bool, schedule_steps: int) -> Paint:
    """A function that paints n images one by one."""
    import torch
    from diffusers import DDIMScheduler
    from diffusers.models.attention_processor import AttnProcessor

    from neural_recon.generation.sampling import enlarge
    from neural_recon.models.clip import ClipContexts
    from neural_recon.models.denoising import STABLE_DIFFUSION

    where, dtype = device(), half()
    unet, vae = build("image_unet", small, where).to(dtype), build("vae", small, where).to(dtype)
    for name, module in unet.image_unet.named_modules():
        if name.endswith((".attn1", ".attn2")):
            module.set_processor(AttnProcessor() if name.endswith(".attn1") else PlainAttention(name))
    image_encoder, text_encoder = (build(part, small, where) for part in ("image_encoder", "text_encoder"))
    clip = ClipContexts(image_encoder.to(dtype), text_encoder.to(dtype), None)
    schedule = DDIMScheduler(**STABLE_DIFFUSION)
    schedule.set_timesteps(schedule_steps)
    rising, run = schedule.timesteps.flip(0), int(STRENGTH * schedule_steps)
    start, timesteps = rising[run : run + 1], rising[:run].flip(0).tolist()
    grey = np.full((1, 224, 224, 3), 127, np.uint8)
    empty = torch.tensor([[0] + [2] * 76])
    size = unet.image_unet.config.sample_size * 8

    @torch.no_grad()
    def paint(base, vision, text, unconditional):
        pictures = []
        for row in range(len(base)):
            image = enlarge(base[row : row + 1], size).to(where, dtype)
            posterior = vae.encode(image).latent_dist
            latents = posterior.sample() * vae.config.scaling_factor
            latents = schedule.add_noise(latents, torch.randn_like(latents), start)
            uncond = clip.vision_tokens(clip.pixels(grey)), clip.text_tokens(empty)
            given = [
                torch.from_numpy(flat[row]).view(1, *none.shape[1:]).to(where, dtype)
                for flat, none in zip((vision, text), unconditional, strict=True)
            ]
            contexts = [torch.cat(pair) for pair in zip(uncond, given, strict=True)]
            for timestep in timesteps:
                when = torch.full((2,), timestep, device=where)
                prepared = unet.contexts(*contexts)
                without, guided = unet(torch.cat([latents, latents]), when, prepared, MIXING).chunk(2)
                eps = without + GUIDANCE * (guided - without)
                latents = schedule.step(eps, timestep, latents, eta=0.0).prev_sample
            found = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
            pictures.append(found.clamp(-1, 1).cpu())
        return torch.cat(pictures)

    return paint


def ours(small: bool, schedule_steps: int, memory: str, batch: int, compiled: bool) -> Paint:
    import torch
    from diffusers import DDIMScheduler
    from helpers.published_layouts import configurations

    from neural_recon.generation.generators.versatile_diffusion import VersatileDiffusion
    from neural_recon.models.denoising import STABLE_DIFFUSION
    from neural_recon.models.versatile import DualGuidedPipeline

    class Random(VersatileDiffusion):
        def config(self, part):
            return configurations(small)[part][1]

    home = device() if memory == "fast" else torch.device("cpu")
    unet, vae = build("image_unet", small, home).to(half()), build("vae", small, home)
    for model in (unet, vae):
        model.to(memory_format=torch.channels_last)
    pipe = DualGuidedPipeline(unet, vae, DDIMScheduler(**STABLE_DIFFUSION), device(), memory)
    if compiled:
        pipe.unet.compile()
    how = {
        **{"weights": "-", "base": "-", "vision": "-", "text": "-", "batch": batch, "steps": schedule_steps},
        **{"strength": STRENGTH, "mixing": MIXING, "guidance_scale": GUIDANCE},
    }
    generator: Any = Random(Random.Settings(kind="versatile_diffusion", **how))
    generator.pipeline, generator.parts = pipe, pipe.parts

    def paint(base, vision, text, unconditional):
        generator.unguided = lambda: dict(zip(("vision", "text"), unconditional, strict=True))
        return generator.paint(base, {"vision": vision, "text": text}, np.arange(len(base)), 0)

    return paint


def timed(variant: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """Seconds per image, and the peak of memory in GB (a GPU's where there is one)."""
    import torch

    small, gpu = arguments.small, device().type == "cuda"
    n = arguments.images if variant == "fast" else min(arguments.images, 4)
    compiled = arguments.compile and variant == "fast"
    if variant == "published":
        paint = published(small, arguments.steps)
    else:
        paint = ours(small, arguments.steps, variant, arguments.batch, compiled)
    *data, unconditional = inputs(n, small)
    if gpu:  # libraries choose and load their kernels in the first pass
        warm = n if compiled else min(n, arguments.batch)
        paint(*(part[:warm] for part in data), unconditional)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    pictures = paint(*data, unconditional)
    if gpu:
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - started) / n
    if len(pictures) != n or not np.isfinite(np.asarray(pictures)).all():
        raise table.NoFigure(f"{variant}: expected {n} pictures of finite numbers, found others.")
    return seconds, torch.cuda.max_memory_reserved() / 1e9 if gpu else steps.peak() / 1e3


def operations(small: bool, schedule_steps: int) -> float:
    """Floating-point operations of one image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    meta = torch.device("meta")
    unet, vae = build("image_unet", small, meta), build("vae", small, meta)
    side, dim = unet.image_unet.config.sample_size, unet.image_unet.config.cross_attention_dim
    with torch.no_grad(), meta:
        contexts = unet.contexts(torch.empty(2, 257, dim), torch.empty(2, 77, dim))
        counts = []
        for call in (
            lambda: unet(torch.empty(2, 4, side, side), torch.zeros(2), contexts, MIXING),
            lambda: vae.encode(torch.empty(1, 3, side * 8, side * 8)),
            lambda: vae.decode(torch.empty(1, 4, side, side)),
        ):
            with FlopCounterMode(display=False) as counter:
                call()
            counts.append(counter.get_total_flops())
    return counts[0] * int(STRENGTH * schedule_steps) + counts[1] + counts[2]


def matrix_rate(size: int) -> tuple[float, str]:
    """Operations a second of a large matrix product, the best of five; and on what."""
    import torch

    where, dtype = device(), half()
    gpu = where.type == "cuda"
    a, b = (torch.randn(size, size, device=where, dtype=dtype) for _ in range(2))
    best = math.inf
    for _ in range(5):
        if gpu:
            torch.cuda.synchronize()
        started = time.perf_counter()
        a @ b
        if gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    name = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    precision = str(dtype).removeprefix("torch.")
    return 2 * size**3 / best, f"{name}, torch {torch.__version__}, {precision}"


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    small, run = arguments.small, int(STRENGTH * arguments.steps)
    if run < 1:
        raise table.NoFigure(f"--steps: expected at least 2, of which one is run, found {arguments.steps}.")
    result = table.Table(
        {"s per image": ".3f", "times faster": ".1f", "peak GB": ".2f", "share of the matrix rate": ".1%"},
        VARIANTS,
    )
    work = steps.apart(operations, small, arguments.steps, loaded=LOADED).result
    rate, name = steps.apart(matrix_rate, 512 if small else 8192, loaded=LOADED).result
    first = None
    for variant in VARIANTS:
        seconds, peak = steps.apart(timed, variant, arguments, loaded=LOADED).result
        first = first or seconds
        result.add(variant, seconds, first / seconds, peak, work / seconds / rate)
    said = (
        f"{name}: {rate / 1e12:.2f} TFLOP/s of matrix products; {work / 1e12:.3g} TFLOP per image, "
        f"{run} steps; {arguments.images} images, batches of {arguments.batch}"
        f"{', compiled' * arguments.compile}."
    )
    return said, result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--images", type=int, default=32)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--steps", type=int, default=50, help="of the full schedule")
    options.add_argument("--compile", action="store_true")
    table.run(options, measure, small={"images": 1, "batch": 1, "steps": 2})
