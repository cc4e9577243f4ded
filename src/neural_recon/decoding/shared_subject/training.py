"""Training of the network: steps, schedule, held-out images, and checkpoints that it resumes from.

Everything drawn in a step follows from the seed and the step's number, so that a training that was killed
and resumes ends with the weights that it would have had; on the CPU bit for bit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from neural_recon.core.errors import InputError
from neural_recon.core.files import atomic
from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.decoding.shared_subject.data import Order, Trained
from neural_recon.decoding.shared_subject.losses import Moment, losses
from neural_recon.decoding.shared_subject.network import Network
from neural_recon.models import contrastive
from neural_recon.models.device_memory import where_to_compute
from neural_recon.models.one_cycle import OneCycle, optimizer_and_schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Course:
    """How long a network is trained, and on batches of how many trials."""

    name: str  # of the table of losses
    epochs: int
    batch: int
    seed: int


@dataclass
class State:
    """What a checkpoint holds besides the weights and the optimiser."""

    epoch: int  # epochs done
    history: list[dict[str, Any]]  # rows of the table of losses
    best: dict[str, torch.Tensor]  # weights of the least loss on held-out images; none without early stopping
    least: float
    least_epoch: int


def train(
    network: Network,
    people: Sequence[Trained],
    how: SharedSubject.Settings,
    course: Course,
    checkpoint: Path,
    extra: str = "",
) -> pd.DataFrame:
    """Train a network in place, from the checkpoint where a run of the same training left one.

    Args:
        network: as it starts.
        checkpoint: written every `checkpoint_every` epochs, removed by whoever has stored the weights.
        extra: what else the result depends on: a checkpoint of another training is ignored.

    Returns:
        Losses: `training` (the course's name), `epoch` (from 1), `images` (training or held out), `loss` (its
        name, or total) and `value`.

    Raises:
        InputError: a loss that is not finite, or too little memory on the GPU.
    """
    device, dtype = where_to_compute(None, how.precision)
    with _enough_memory():
        network.to(device).train()
    held = {one.subject: one.held_out(how.validation.share, course.seed) for one in people}
    size = max(1, course.batch // len(people))
    orders = [Order.of(one, held[one.subject], size, course.seed) for one in people]
    n_trials = max(int((~held[one.subject][one.image]).sum()) for one in people)
    steps = max(1, n_trials // course.batch)
    rates = OneCycle(how.learning_rate, how.weight_decay)
    optimiser, schedule = optimizer_and_schedule(network, course.epochs, steps, rates)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule, "scaler": scaler}
    digest = _digest(people, how, course, extra)
    state = _resumed(checkpoint, parts, digest) or State(0, [], {}, math.inf, 0)
    # losses of epochs that mix are others
    mixing_epochs = contrastive.mixing_epochs(course.epochs, how.mixing)
    early = how.validation.stop == "early"

    def ended() -> bool:
        waited = state.epoch - state.least_epoch
        return state.epoch >= course.epochs or (bool(state.best) and waited >= how.validation.patience)

    while not ended():
        sums: dict[str, float] = defaultdict(float)
        for step in range(state.epoch * steps, (state.epoch + 1) * steps):
            moment = Moment(state.epoch, course.epochs, course.seed, step)
            batch = [(order.trained, order.trials(step)) for order in orders]
            with _enough_memory():
                found = _step(network, batch, how, moment, parts, device, dtype)
            for name, value in found.items():
                sums[name] += value / steps
        state.epoch += 1
        _record(state, course, "training", sums)
        if any(one.any() for one in held.values()):
            with _enough_memory():
                total = _validate(network, people, held, how, course, state, device, dtype)
            if early and state.epoch > mixing_epochs and total < state.least:
                state.least, state.least_epoch = total, state.epoch
                state.best = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
        if ended() or state.epoch % how.checkpoint_every == 0:
            _write(checkpoint, parts, state, digest)
    if state.best:
        logger.info("the least loss on held-out images is of epoch %d", state.least_epoch)
        network.load_state_dict(state.best)
    network.eval()
    return pd.DataFrame(state.history)


def _step(
    network: Network,
    batch: Sequence[tuple[Trained, np.ndarray]],
    how: SharedSubject.Settings,
    moment: Moment,
    parts: Mapping[str, Any],
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, float]:
    """One step of the optimiser; the losses before it."""
    optimiser, scaler = parts["optimiser"], parts["scaler"]
    optimiser.zero_grad(set_to_none=True)
    pieces = min(how.accumulate, *(len(trials) for _, trials in batch))
    sums: dict[str, float] = defaultdict(float)
    for piece in range(pieces):
        # dropout draws from torch's own stream
        torch.manual_seed(moment.number(f"dropout {piece}"))
        mine = [(one, trials[piece::pieces]) for one, trials in batch]
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            found = losses(network, *tensors(network, mine, device), how, moment, piece)
        total = found["total"]
        if not torch.isfinite(total):
            raise InputError(
                f"{', '.join(one.subject for one, _ in batch)}: expected finite losses, found {total.item()} "
                f"in step {moment.step + 1}; lower decoder.learning_rate, or set decoder.precision float32."
            )
        scaler.scale(total / pieces).backward()
        for name, value in found.items():
            sums[name] += float(value.detach()) / pieces
    scaler.step(optimiser)
    scaler.update()
    if moment.step < parts["schedule"].total_steps - 1:
        parts["schedule"].step()
    return sums


def tensors(
    network: Network, batch: Sequence[tuple[Trained, np.ndarray]], device: torch.device
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Responses by subject and features by space of some trials, float32 on the device."""
    voxels = {one.subject: torch.from_numpy(one.responses[trials]).to(device) for one, trials in batch}
    features = {
        space: torch.cat([torch.from_numpy(one.features[space][one.image[trials]]) for one, trials in batch])
        .to(device)
        .float()
        for space in network.heads
    }
    return voxels, features


def _validate(
    network: Network,
    people: Sequence[Trained],
    held: Mapping[str, np.ndarray],
    how: SharedSubject.Settings,
    course: Course,
    state: State,
    device: torch.device,
    dtype: torch.dtype,
) -> float:
    """The loss on the trials of held-out images, batch by batch, with the same draws after every epoch."""
    network.eval()
    sums: dict[str, float] = defaultdict(float)
    weight = 0
    for one in people:
        trials = np.flatnonzero(held[one.subject][one.image])
        for start in range(0, len(trials), course.batch):
            mine = trials[start : start + course.batch]
            moment = Moment(state.epoch - 1, course.epochs, course.seed, start, mixes=False)
            with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                found = losses(network, *tensors(network, [(one, mine)], device), how, moment)
            for name, value in found.items():
                sums[name] += float(value) * len(mine)
            weight += len(mine)
    network.train()
    _record(state, course, "held out", {name: value / weight for name, value in sums.items()})
    return sums["total"] / weight


def _record(state: State, course: Course, images: str, found: Mapping[str, float]) -> None:
    state.history += [
        {"training": course.name, "epoch": state.epoch, "images": images, "loss": name, "value": value}
        for name, value in found.items()
    ]
    logger.info(
        "%s, epoch %d of %d, %s images: %s", course.name, state.epoch, course.epochs, images,
        ", ".join(f"{name} {value:.4g}" for name, value in found.items()),
    )  # fmt: skip


@contextlib.contextmanager
def _enough_memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(
            "decoder: expected a training step to fit into the GPU's memory, found too little of it; raise "
            "decoder.accumulate, or lower decoder.hidden or the batches."
        ) from error


def _digest(people: Sequence[Trained], how: SharedSubject.Settings, course: Course, extra: str) -> str:
    text = json.dumps(
        [how.trained_by("shuffled"), vars(course), [one.digest() for one in people], extra], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, parts: Mapping[str, Any], state: State, digest: str) -> None:
    content = {name: part.state_dict() for name, part in parts.items()}
    with atomic(path) as temporary:
        torch.save({**content, **vars(state), "digest": digest}, temporary)


def _resumed(path: Path, parts: Mapping[str, Any], digest: str) -> State | None:
    """The state of a checkpoint of the same training, its weights and optimiser put in place."""
    if not path.is_file():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        if found["digest"] != digest:
            logger.info("%s is of another training: starting anew", path)
            return None
        for name, part in parts.items():
            part.load_state_dict(found[name])
        state = State(**{name: found[name] for name in State.__dataclass_fields__})
    except Exception as error:  # whatever a damaged file raises
        raise InputError(
            f"{path}: expected a checkpoint of this version, found one that cannot be read "
            f"({type(error).__name__}); remove it to start anew."
        ) from error
    logger.info("%s: resuming after epoch %d", path, state.epoch)
    return state
