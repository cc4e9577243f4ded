"""Networks on disk: made, stored whole with what they are built from, and handed on to another subject."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from neural_recon import __version__
from neural_recon.core.errors import InputError
from neural_recon.core.files import atomic
from neural_recon.decoding.shared_subject.network import Layout, Network
from neural_recon.models import checkpoints
from neural_recon.models.published_checkpoints import from_published

MAPS = "shared.ridge.linears."  # the subjects' own maps


def made(layout: Layout, seed: int) -> Network:
    """A new network; its weights are drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed}/weights".encode()).digest()[:8], "big") >> 1)
        return Network(layout)


def write(path: str | Path, network: Network, parameters: Mapping[str, Any]) -> None:
    """Store a network: its tensors, float32, and as metadata (JSON) its layout and the `parameters` that it
    was trained by."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    about = {
        "layout": json.dumps(asdict(network.layout)),
        "parameters": json.dumps(dict(parameters), sort_keys=True),
        "neural_recon_version": __version__,
    }
    with atomic(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, about)


def read_layout(path: str | Path) -> Layout:
    """What a stored network is built from.

    Raises:
        InputError: the file is missing, cut short, or no network of `write`.
    """
    try:
        return Layout(**checkpoints.read_about(path)["layout"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected a network of the decoder shared_subject, found weights of something else; "
            "compute it again."
        ) from error


def read(path: str | Path, device: torch.device | str = "cpu") -> Network:
    """A stored network, in evaluation mode.

    Raises:
        InputError: the file is missing, cut short, or no network of `write`.
    """
    layout = read_layout(path)
    network = checkpoints.empty(lambda: Network(layout))
    checkpoints.load_tensors(network, checkpoints.read_tensors(path), path, device=device)
    return network.eval()


def transferred(path: str | Path, layout: Layout, seed: int) -> Network:
    """A network for another subject that starts from a trained one: all that subjects share, and for its own
    map new weights and the bias of the first subject, as published.

    Raises:
        InputError: the stored network has other sizes or spaces.
    """
    found = read_layout(path)
    for what, mine, theirs in (
        ("sizes", layout.settings, found.settings),
        ("spaces", layout.parts, found.parts),
    ):
        if mine != theirs:
            raise InputError(
                f"{path}: expected a network whose {what} are {mine}, found {theirs}; train it again."
            )
    network, tensors = made(layout, seed), checkpoints.read_tensors(path)
    own = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(MAPS)}
    bias = tensors[f"{MAPS}{next(iter(found.voxels))}.bias"]
    own |= {name: bias.clone() for name in own if name.endswith(".bias")}
    shared = {name: tensor.clone() for name, tensor in tensors.items() if not name.startswith(MAPS)}
    checkpoints.load_tensors(network, {**shared, **own}, path)
    return network


def published(path: str | Path, layout: Layout) -> Network:
    """A fitted model of MindEye2's authors as a network.

    Raises:
        InputError: the layout has spaces that theirs does not predict, or as of `from_published`.
    """
    network = checkpoints.empty(lambda: Network(layout))
    if network.regressed:
        raise InputError(
            "decoder.published: expected spaces whose heads are prior, projector, low_level or teacher, "
            f"found {network.regressed[0]}; take it out of the recipe, or train a network."
        )
    network.shared = from_published(path, layout.voxels, network.shared.sizes)
    return network.eval()
