"""Whether a run fits the machine: GPU, memory and disk."""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.models import weights
from neural_recon.workflow import disk_estimate, memory_estimate
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.plan import Plan

GB = 1e9


@dataclass(frozen=True)
class Finding:
    """One line of the report. `wrong` must be fixed before a run, a `note` need not."""

    topic: str
    state: Literal["ok", "note", "wrong"]
    text: str


def weights_to_fetch(plan: Plan, table: weights.Table) -> dict[str, weights.File]:
    """The weights to be fetched; none where some are nowhere, as is said of them."""
    try:
        return plan.missing_weights(table)
    except InputError:
        return {}


def check_machine() -> Iterator[Finding]:
    """GPU and memory, and what they mean."""
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        yield Finding("GPU", "ok", f"{card.name}, {card.total_memory / GB:.1f} GB; half precision")
    else:
        text = "none: models run on the CPU in float32, fine for the demo, minutes per picture at 512 x 512"
        if shutil.which("nvidia-smi"):
            text += f"; there is a card (nvidia-smi), but torch {torch.__version__} cannot use it"
        yield Finding("GPU", "note", text)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("memory", "ok", f"{memory / GB:.1f} GB, {os.cpu_count()} CPU cores")


def check_generator_memory(config: Config, table: weights.Table) -> Iterator[Finding]:
    """The weights that painting holds, against the memory of the GPU."""
    try:
        sizes = memory_estimate.part_sizes(Painting(config.generator, table).files, table)
    except InputError:  # of weights that are nowhere, their own check says so
        return
    if sum(sizes) < GB / 10:  # any machine has that much
        return
    whole, largest = sum(sizes), sizes[0]
    text = f"weights of {size_said(whole)} in files, the largest part {size_said(largest)}"
    state: Literal["ok", "note"] = "ok"
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0).total_memory
        if largest > card:
            state, text = "note", f"{text}, more than the GPU has; run on a larger one, or on the CPU"
        elif whole > card and config.generator.memory == "fast":
            state, text = "note", f"{text}, more than the GPU has together; set generator.memory to low"
    yield Finding("generator memory", state, text)


def check_disk(plan: Plan, table: weights.Table, data: float = 0) -> Iterator[Finding]:
    """What results, weights and `data` still to be fetched (bytes) will fill, against what is free."""
    config = plan.config
    results = config.results
    fetched = weights_to_fetch(plan, table)
    needs = {weights.MODELS: GB * sum(file.gigabytes for file in fetched.values())}
    if data and plan.data.folder is not None:
        needs[plan.data.folder] = data
    try:
        parts = disk_estimate.estimate(plan, table)
    except (InputError, OSError, ValueError, KeyError):
        yield Finding("disk needed", "note", f"{results}: no estimate while data or weights are wrong")
    else:
        # blocks of 512 bytes: the demo's captions are mostly holes
        there = sum(512 * path.stat().st_blocks for path in results.rglob("*") if path.is_file())
        needs[results] = max(0, sum(parts.values()) - there)
        kinds = ", ".join(f"{kind} {size_said(size)}" for kind, size in parts.items())
        said = f"{results}: about {size_said(sum(parts.values()))} (estimate: {kinds})"
        yield Finding("disk needed", "ok", said + (f", {size_said(there)} are there" if there else ""))
    for device, folders in _by_file_system(needs).items():
        free, need = shutil.disk_usage(device).free, sum(needs[folder] for folder in folders)
        text = f"{' and '.join(map(str, folders))}: {size_said(free)}, {size_said(need)} still to be written"
        yield Finding("disk free", "ok" if free > need else "wrong", text)


def size_said(n_bytes: float) -> str:
    """In GB, or where that is little in MB."""
    return f"{n_bytes / GB:.1f} GB" if n_bytes >= GB / 10 else f"{n_bytes / 1e6:.0f} MB"


def _by_file_system(folders: Iterable[Path]) -> dict[Path, list[Path]]:
    """Folders that share one file system, by the first existing folder above them."""
    groups: dict[int, tuple[Path, list[Path]]] = {}
    for folder in folders:
        above = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
        groups.setdefault(above.stat().st_dev, (above, []))[1].append(folder)
    return dict(groups.values())
