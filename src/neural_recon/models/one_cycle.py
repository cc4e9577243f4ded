"""The optimizer of MindEye1 and MindEye2, and its one cycle of rates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

WARM_UP = 2  # epochs until the highest rate
FIRST, LAST = 25, 1000  # the highest rate is FIRST times the first one, and that is LAST times the last one


@dataclass(frozen=True)
class OneCycle:
    """Settings of AdamW and its cycle; as they are here, MindEye2's."""

    rate: float = 3e-4  # the highest
    decay: float = 0.01


def parameter_groups(network: nn.Module, decay: float) -> list[dict[str, object]]:
    """The parameters that are trained, with weight decay and without.

    As published: without it are biases, the prior's by distance among them, but for those of the subjects'
    maps.
    """
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = [], []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            parts = name.split(".")
            bias = parts[-1] == "bias" or "rel_pos_bias" in parts
            groups[bias and "ridge" not in parts].append(parameter)
    return [{"params": some, "weight_decay": rate} for some, rate in zip(groups, (decay, 0.0), strict=True)]


def optimizer_and_schedule(
    network: nn.Module, epochs: int, steps_per_epoch: int, settings: OneCycle = OneCycle()
) -> tuple[torch.optim.AdamW, OneCycleLR]:
    """AdamW, and the schedule of its rate and first beta (.95 to .85 and back), stepped after each update."""
    optimizer = torch.optim.AdamW(parameter_groups(network, settings.decay), lr=settings.rate)
    schedule = OneCycleLR(
        optimizer,
        max_lr=settings.rate,
        total_steps=epochs * steps_per_epoch,
        pct_start=min(1.0, WARM_UP / epochs),
        div_factor=FIRST,
        final_div_factor=LAST,
    )
    return optimizer, schedule
