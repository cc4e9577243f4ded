"""Reference runs of generators: their tiny models as folders in the hub's layout, and what paints from them.

Weights are made from the names of parameters, as the reference's README says.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from neural_recon.core import random_streams
from neural_recon.generation import sampling
from neural_recon.generation.diffusion import Diffusion
from neural_recon.generation.generator import Inputs
from neural_recon.models import denoising

IDS = np.array([31, 7])


def read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A run's description and its arrays."""
    with np.load(folder / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads((folder / f"{name}.json").read_text()), arrays


def drawn(tag: str, shape: Sequence[int]) -> np.ndarray:
    """Standard normal numbers made from their name."""
    return np.random.RandomState(zlib.crc32(tag.encode())).standard_normal(tuple(shape)).astype(np.float32)


def named_weights(module: nn.Module, tag: str, times: Mapping[str, float] = {}) -> dict[str, torch.Tensor]:
    """A module's tensors: parameters made from their names, buffers as they are."""
    tensors = dict(module.state_dict())
    for name, parameter in module.named_parameters():
        values = drawn(f"{tag}.{name}", parameter.shape)
        if values.ndim >= 2:
            values = values / np.float32(np.sqrt(np.prod(values.shape[1:])))
        elif name.endswith("weight"):
            values = 1 + np.float32(0.2) * values
        else:
            values = np.float32(0.1) * values
        tensors[name] = torch.from_numpy(values.astype(np.float32)) * times.get(name, 1.0)
    return tensors


def write_part(folder: Path, module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """A part of a model's folder: its configuration and its weights."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in module.config.items() if k[0] != "_"}))
    kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(kept, folder / "diffusion_pytorch_model.safetensors")


def write_scheduler(folder: Path, config: Mapping[str, Any]) -> None:
    """The part `scheduler`."""
    folder.mkdir(parents=True)
    named = {"_class_name": config["class"], **{k: v for k, v in config.items() if k != "class"}}
    (folder / "scheduler_config.json").write_text(json.dumps(named))


def write_model(folder: Path, info: Mapping[str, Any], **classes: type) -> Path:
    """The folder of a run's model; `classes` by the names of its parts."""
    config = info["config"]
    for part, kind in classes.items():
        module = kind(**config[part])
        times = {
            name.removeprefix(f"{part}."): value for name, value in config.get("weights_times", {}).items()
        }
        write_part(folder / part, module, named_weights(module, config["tags"][part], times))
    write_scheduler(folder / "scheduler", config["scheduler"])
    return folder


def stages(
    generator: Diffusion,
    base: np.ndarray,
    guides: Mapping[str, np.ndarray],
    unguided: Mapping[str, np.ndarray],
    *noises: np.ndarray,
    image_ids: np.ndarray = IDS,
) -> dict[str, np.ndarray]:
    """What a run went through, painted as always but for the noises, which are these in their order.

    Returns:
        `base_latents`, `start`, `latents` (steps run, n, C, h, w), `image` (n, 3, H, W) in 0 to 1, and
        `timesteps`, the noise's first; of what runs a second network down a schedule also its `latents_2`.
    """
    found: dict[str, Any] = {}
    waiting = list(noises)

    def normal(generators, shape):
        noise = torch.from_numpy(waiting.pop(0))
        assert noise.shape == (len(generators), *shape)
        return noise

    def recorded(whole, name):
        def stage(*arguments):
            found[name] = whole(*arguments)
            return found[name]

        return stage

    def denoise(*arguments, whole=denoising.denoise):
        name = "latents_2" if "latents" in found else "latents"
        found[name] = []
        for latents in whole(*arguments):
            found[name].append(latents)
            yield latents

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(random_streams, "normal", normal)
        patched.setattr(generator, "unguided", lambda: dict(unguided))
        for name, key in (("encode", "base_latents"), ("decode", "image")):
            patched.setattr(generator, name, recorded(getattr(generator, name), key))
        for name, key in (("start", "start"), ("timesteps", "timesteps")):
            patched.setattr(denoising, name, recorded(getattr(denoising, name), key))
        patched.setattr(denoising, "denoise", denoise)
        flat = {role: np.asarray(rows).reshape(len(rows), -1) for role, rows in guides.items()}
        sampling.sample(generator, Inputs(base, flat, image_ids, seed=0, draw=0))
    assert not waiting
    first, steps = found.pop("timesteps")
    arrays = {name: torch.stack(rows) if isinstance(rows, list) else rows for name, rows in found.items()}
    arrays["image"] = arrays["image"] / 2 + 0.5
    begun = [] if first is None else [first.item()]
    return {"timesteps": np.array([*begun, *steps.tolist()]), **{k: v.numpy() for k, v in arrays.items()}}


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    """Equal to a share of the largest value."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def assert_alone_as_in_company(paint: Callable[..., np.ndarray]) -> np.ndarray:
    """Neither batch nor order nor memory mode changes a picture of three by more than one level.

    Args:
        paint: gives three pictures in the order asked for, with settings of the generator.
    """
    expected = paint()
    for found, wanted in (
        (paint(batch=1), expected),
        (paint(batch=2), expected),
        (paint(memory="low"), expected),
        (paint(order=[2, 0, 1]), expected[[2, 0, 1]]),
        (paint(order=[1]), expected[[1]]),
    ):
        assert np.abs(found.astype(int) - wanted).max() <= 1
    return expected
