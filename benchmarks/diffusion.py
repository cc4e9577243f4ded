"""Versatile Diffusion at its true size with random weights: the published loop beside this one.

    python benchmarks/diffusion.py [--images 32] [--batch 16] [--compile]      # on a GPU
    python benchmarks/diffusion.py --small --images 4 --batch 4                # a few seconds on a CPU

For each variant, in a process of its own: seconds an image and peak memory.

- published: one image at a time as the scripts of Brain-Diffuser do: half precision throughout (float32
  on a CPU), the unconditional contexts from CLIP for every image, keys and values of all contexts in every
  step, attention as plain products, tensors in torch's default layout.
- fast, low: `neural_recon.reconstruct` in these two memory modes.

The share is that of the device's rate for a large matrix product of the same precision, measured beside.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import neural_recon  # noqa: F401  # isort: skip
import numpy as np
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor
from torch.utils.flop_counter import FlopCounterMode

from neural_recon.clip import ClipContexts
from neural_recon.dual_unet import DualUNet
from neural_recon.reconstruct import enlarge, reconstruct
from neural_recon.versatile import PUBLISHED_SCHEDULE, DualGuidedPipeline

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from published_layouts import configurations

STRENGTH, MIXING, GUIDANCE = 0.75, 0.4, 7.5
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
HALF = torch.float16 if DEVICE.type == "cuda" else torch.float32


def build(part: str, small: bool, device: torch.device) -> torch.nn.Module:
    make, config = configurations(small)[part]
    with device:
        return (DualUNet(config) if part == "image_unet" else make(config)).eval()


def pipeline(small: bool, memory: str) -> DualGuidedPipeline:
    home = DEVICE if memory == "fast" else torch.device("cpu")
    unet, vae = build("image_unet", small, home).to(HALF), build("vae", small, home)
    for model in (unet, vae):
        model.to(memory_format=torch.channels_last)
    return DualGuidedPipeline(unet, vae, DDIMScheduler(**PUBLISHED_SCHEDULE), DEVICE, memory)


def inputs(n: int, small: bool):
    """Base images and contexts of n pictures, and the unconditional contexts."""
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


@torch.no_grad()
def published(small: bool, steps: int):
    """A function that paints n images one by one."""
    unet, vae = build("image_unet", small, DEVICE).to(HALF), build("vae", small, DEVICE).to(HALF)
    for name, module in unet.image_unet.named_modules():
        if name.endswith((".attn1", ".attn2")):
            module.set_processor(AttnProcessor() if name.endswith(".attn1") else PlainAttention(name))
    image_encoder = build("image_encoder", small, DEVICE)
    text_encoder = build("text_encoder", small, DEVICE)
    clip = ClipContexts(image_encoder.to(HALF), text_encoder.to(HALF), None)
    schedule = DDIMScheduler(**PUBLISHED_SCHEDULE)
    start, timesteps = DualGuidedPipeline(unet, vae, schedule, DEVICE).schedule(STRENGTH, steps)
    grey = np.full((1, 224, 224, 3), 127, np.uint8)
    empty = torch.tensor([[0] + [2] * 76])
    size = unet.image_unet.config.sample_size * 8

    @torch.no_grad()
    def paint(base, vision, text, unconditional):
        for row in range(len(base)):
            image = enlarge(base[row : row + 1], size).to(DEVICE, HALF)
            posterior = vae.encode(image).latent_dist
            latents = posterior.sample() * vae.config.scaling_factor
            latents = schedule.add_noise(latents, torch.randn_like(latents), torch.tensor([start]))
            uncond = clip.vision_tokens(clip.pixels(grey)), clip.text_tokens(empty)
            given = [
                torch.from_numpy(flat[row]).view(1, *none.shape[1:]).to(DEVICE, HALF)
                for flat, none in zip((vision, text), unconditional, strict=True)
            ]
            contexts = [torch.cat(pair) for pair in zip(uncond, given, strict=True)]
            for timestep in timesteps:
                when = torch.full((2,), timestep, device=DEVICE)
                prepared = unet.contexts(*contexts)
                without, guided = unet(torch.cat([latents, latents]), when, prepared, MIXING).chunk(2)
                eps = without + GUIDANCE * (guided - without)
                latents = schedule.step(eps, timestep, latents, eta=0.0).prev_sample
            vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0].clamp(-1, 1).cpu()

    return paint


def ours(small: bool, steps: int, memory: str, batch: int, compiled: bool):
    pipe = pipeline(small, memory)
    if compiled:
        pipe.unet.compile()

    def paint(base, vision, text, unconditional):
        ids = np.arange(len(base))
        settings = {"strength": STRENGTH, "mixing": MIXING, "guidance_scale": GUIDANCE, "steps": steps}
        reconstruct(pipe, base, vision, text, unconditional, ids, 0, **settings, batch=batch)

    return paint


def measure(arguments: argparse.Namespace) -> None:
    """Time one variant in this process, and print what was found as JSON."""
    small, steps, variant = arguments.small, arguments.steps, arguments.variant
    n = arguments.images if variant == "fast" else min(arguments.images, 4)
    if variant == "published":
        paint = published(small, steps)
    else:
        paint = ours(small, steps, variant, arguments.batch, arguments.compile and variant == "fast")
    data = inputs(n, small)
    warm = n if variant == "fast" and arguments.compile else min(n, arguments.batch)
    if DEVICE.type == "cuda":  # libraries choose and load their kernels in the first pass
        paint(*(part[:warm] for part in data[:3]), data[3])
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    paint(*data)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - started) / n
    if DEVICE.type == "cuda":
        peak = torch.cuda.max_memory_reserved() / 1e9
    else:
        status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
        peak = int(status.split()[0]) * 1024 / 1e9
    print(json.dumps({"seconds": seconds, "peak": peak}))


def operations(small: bool, steps: int) -> float:
    """Floating-point operations of one image."""
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
    return counts[0] * int(STRENGTH * steps) + counts[1] + counts[2]


def matrix_rate() -> float:
    """Operations a second of a large matrix product, the best of five."""
    size = 8192 if DEVICE.type == "cuda" else 4096
    a, b = (torch.randn(size, size, device=DEVICE, dtype=HALF) for _ in range(2))
    best = math.inf
    for _ in range(5):
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        a @ b
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="layers of a few channels")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50, help="of the full schedule")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--variant", choices=["published", "fast", "low"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        measure(arguments)
        return
    work, rate = operations(arguments.small, arguments.steps), matrix_rate()
    name = (
        torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )
    precision = str(HALF).removeprefix("torch.")
    print(f"{name}, torch {torch.__version__}: {rate / 1e12:.2f} TFLOP/s in {precision}")
    print(f"{work / 1e12:.2f} TFLOP an image, {int(STRENGTH * arguments.steps)} steps")
    print(f"{'variant':<12}{'s an image':>12}{'times faster':>14}{'peak GB':>10}{'share of rate':>15}")
    first = None
    for variant in ("published", "fast", "low"):
        command = [sys.executable, __file__, *sys.argv[1:], "--variant", variant]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        first = first or found["seconds"]
        share = work / found["seconds"] / rate
        print(
            f"{variant:<12}{found['seconds']:>12.3f}{first / found['seconds']:>14.2f}{found['peak']:>10.2f}"
            f"{share:>15.1%}"
        )


if __name__ == "__main__":
    main()
