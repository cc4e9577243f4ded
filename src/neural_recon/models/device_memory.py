"""The parts of a diffusion model: loaded from a folder of diffusers, and moved to where they compute."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from neural_recon.models import checkpoints, model_folders
from neural_recon.models.loading import choose_device

logger = logging.getLogger(__name__)

Memory = Literal["fast", "low"]
Tensors = Mapping[str, torch.Tensor]


class ModelParts:
    """Networks by name, on the device: with `memory` "fast" all of them, with "low" only the one in use.

    `memory` may be changed at any time.

    Args:
        modules: in evaluation mode, in the precision to run them in.
        device: where to compute.
        memory: "fast" or "low".
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], device: str | torch.device = "cpu", memory: Memory = "fast"
    ):
        self.modules, self.device, self.memory = dict(modules), torch.device(device), memory

    def __getitem__(self, name: str) -> Any:
        """A part, on the device."""
        if self.memory == "low":
            for other, module in self.modules.items():
                if other != name:
                    module.to("cpu")
            torch.cuda.empty_cache()
        return self.modules[name].to(self.device)

    def images(self, values: torch.Tensor) -> torch.Tensor:
        """Pictures or latents (n, C, h, w) as float32 on the device, in the layout that convolutions want."""
        return values.to(self.device, torch.float32).contiguous(memory_format=torch.channels_last)


def load_part(
    kind: Any,
    folder: Path,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    renamed: Callable[[Tensors], Tensors] = lambda tensors: tensors,
) -> Any:
    """A network of diffusers from its folder, in evaluation mode.

    Args:
        kind: the class, with `from_config`.
        folder: `config.json` and the weights.
        dtype, device: of its tensors; on "meta" names and shapes are compared and hardly anything is read.
        renamed: from the file's names to those of the class.

    Raises:
        InputError: a file is missing, or its tensors have other names or shapes.
    """
    with model_folders.described_by(folder):
        config = model_folders.read_config(folder)
        module = checkpoints.empty(lambda: kind.from_config(config))
    path = model_folders.find_weights(folder)
    checkpoints.load_tensors(
        module, renamed(checkpoints.read_tensors(path)), path, dtype=dtype, device=device
    )
    return module.eval().to(memory_format=torch.channels_last)


def load_scheduler(kind: Any, folder: Path, published: Mapping[str, Any]) -> Any:
    """A scheduler of diffusers from its folder; what its configuration leaves open is as `published`.

    Raises:
        InputError: the configuration is missing, or makes no scheduler.
    """
    with model_folders.described_by(folder):
        found = model_folders.read_config(folder, "scheduler_config.json")
        return kind.from_config({**published, **found})


def where_to_compute(
    device: str | None, precision: str, half: str = "float16"
) -> tuple[torch.device, torch.dtype]:
    """The device (None: the GPU where there is one, else the CPU), and the precision of networks there.

    Args:
        precision: a torch dtype's name; "auto" is `half` on a GPU and float32 on the CPU.
        half: the same for models that overflow in float16: "bfloat16".
    """
    where = choose_device(device)
    if precision == "auto":
        precision = half if where.type == "cuda" else "float32"
    return where, getattr(torch, precision)


def load_where_it_fits(
    load: Callable[[torch.device], Mapping[str, nn.Module]], where: torch.device, memory: Memory
) -> ModelParts:
    """What `load` gives on the device, or in the host's memory where that is asked for or the device small.

    Args:
        load: gives the parts by name, on a device.
        where: the device to compute on.
        memory: as asked for.
    """
    if memory == "fast":
        try:
            return ModelParts(load(where), where, memory)
        except torch.OutOfMemoryError:
            logger.warning(
                "%s: too little memory for all of the model: only the part in use goes there", where
            )
    return ModelParts(load(torch.device("cpu")), where, "low")
