"""One training loop for all of the demo's models: resumable, with an average of the weights."""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from neural_recon.core.files import atomic

logger = logging.getLogger(__name__)

SAVE_EVERY_SECONDS = 120.0

Module = TypeVar("Module", bound=torch.nn.Module)
# (step, its random numbers) -> what is minimised as "loss", and what is logged alongside it
Loss = Callable[[int, np.random.Generator], dict[str, torch.Tensor]]


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16, but on processors that compute without its instructions: there it is slower than float32."""
    fast = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: warm-up, a constant rate, then a linear fall over the last fifth."""

    steps: int
    learning_rate: float
    batch: int
    warmup: int = 100
    average: float = 0.999  # decay of the exponential average of the weights
    weight_decay: float = 0.0

    def rate(self, step: int) -> float:
        """The learning rate at `step`."""
        fall = max(1, self.steps // 5)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup, (self.steps - step) / fall)


def fit(
    name: str,
    module: Module,
    loss: Loss,
    schedule: Schedule,
    folder: Path,
    seed: int = 0,
) -> Module:
    """Train `module` and return a copy with the averaged weights.

    `loss(step, rng)` draws its batch from `rng` (seeded by the step, so that a resumed run sees what an
    undisturbed one would) and returns a mapping whose entry "loss" is minimised; the others are logged.
    The state is kept in `folder/name.pt`; a finished or interrupted training continues from there.
    """
    checkpoint, log = folder / f"{name}.pt", folder / f"{name}.tsv"
    averaged = copy.deepcopy(module).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    step, seconds = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=next(module.parameters()).device)
        module.load_state_dict(state["module"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
        logger.info("%s: continuing from step %d of %d", name, step, schedule.steps)
    started, saved = time.monotonic() - seconds, time.monotonic()
    sums: dict[str, list[float]] = {}

    def save() -> None:
        state = {
            "module": module.state_dict(),
            "averaged": averaged.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "seconds": time.monotonic() - started,
        }
        with atomic(checkpoint) as temporary:
            torch.save(state, temporary)

    module.train()
    while step < schedule.steps:
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        torch.manual_seed(hash((seed, step)) % 2**63)  # dropout and noise drawn by torch
        values = loss(step, np.random.default_rng([seed, step]))
        optimizer.zero_grad(set_to_none=True)
        values["loss"].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(schedule.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, current in zip(averaged.parameters(), module.parameters(), strict=True):
                mean.lerp_(current, 1 - decay)
        for key, value in values.items():
            sums.setdefault(key, []).append(float(value.detach()))
        if step % 50 == 0 or step == schedule.steps:
            line = {key: float(np.mean(values)) for key, values in sums.items()}
            text = "  ".join(f"{key} {value:.4f}" for key, value in line.items())
            logger.info(
                "%s: step %d of %d  %s  %.0f s", name, step, schedule.steps, text, time.monotonic() - started
            )
            new = not log.exists()
            with log.open("a", encoding="utf-8") as file:
                if new:
                    file.write("\t".join(["step", "seconds", *line]) + "\n")
                cells = [str(step), f"{time.monotonic() - started:.0f}", *(f"{v:.5f}" for v in line.values())]
                file.write("\t".join(cells) + "\n")
            sums = {}
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            save()
            saved = time.monotonic()
    save()
    return averaged.eval()
