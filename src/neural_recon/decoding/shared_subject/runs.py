"""The two trainings of a decoder: on other subjects, and on the one that is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neural_recon.core.files import remove_parts
from neural_recon.core.tables import write_table
from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.decoding.shared_subject import weights
from neural_recon.decoding.shared_subject.data import Trained
from neural_recon.decoding.shared_subject.network import Layout, Network
from neural_recon.decoding.shared_subject.prediction import calibrate
from neural_recon.decoding.shared_subject.training import Course, train


def layout_of(how: SharedSubject.Settings, people: Sequence[Trained]) -> Layout:
    """What a network of these people is built from."""
    return Layout.of(how, people[0].parts, {one.subject: one.responses.shape[1] for one in people})


def pretrain(
    how: SharedSubject.Settings, people: Sequence[Trained], seed: int, checkpoint: Path
) -> tuple[Network, pd.DataFrame]:
    """A network of several subjects, and its losses (`training.train`)."""
    network = weights.made(layout_of(how, people), seed)
    network.set_statistics({name: [one.features[name] for one in people] for name in network.regressed})
    course = Course("pre-training", how.pretrain.epochs, how.pretrain.batch, seed)
    return network, train(network, people, how, course, checkpoint)


def finetune(
    how: SharedSubject.Settings,
    one: Trained,
    seed: int,
    checkpoint: Path,
    start: str | Path | None = None,
    control: bool = False,
) -> tuple[Network, pd.DataFrame]:
    """A network of one subject, and its losses.

    Args:
        start: a network of other subjects that it starts from; None: from new weights.
        control: it is the control on shuffled pairs.

    Raises:
        InputError: as of `weights.transferred` and `training.train`.
    """
    layout = layout_of(how, [one])
    digest = ""
    if start is None:
        network = weights.made(layout, seed)
        network.set_statistics({name: [one.features[name]] for name in network.regressed})
    else:
        network = weights.transferred(start, layout, seed)
        with Path(start).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    epochs = (how.shuffled_epochs if control else None) or how.finetune.epochs
    name = "shuffled pairs" if control else "fine-tuning"
    course = Course(name, epochs, how.finetune.batch, seed)
    table = train(network, [one], how, course, checkpoint, digest)
    if how.calibration == "train":
        calibrate(network, one, one.held_out(how.validation.share, seed), seed)
    return network, table


def checkpoint_of(network: str | Path) -> Path:
    """Where the checkpoint of a training lies whose network is to be stored there; a killed one's parts are
    removed."""
    path = Path(network).with_suffix(".checkpoint.pt")
    remove_parts(path)
    return path


def store(
    network: Network,
    table: pd.DataFrame,
    path: str | Path,
    losses: str | Path,
    parameters: Mapping[str, Any],
) -> None:
    """Write a network and its losses; its checkpoint is removed."""
    weights.write(path, network, parameters)
    write_table(losses, table)
    checkpoint_of(path).unlink(missing_ok=True)
