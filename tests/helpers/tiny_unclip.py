"""The reference's tiny painter in one file of generative-models, as the published one is written."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from neural_recon.models import sgm_files

HEAD = 16  # values per head; published: sgm_files.HEAD


def by_rule(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """A parameter as the reference's README draws it."""
    values = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        values = values / np.float32(np.sqrt(np.prod(shape[1:])))
    elif name.endswith("bias"):
        values = np.float32(0.1) * values
    else:
        values = 1 + np.float32(0.1) * values
    return torch.from_numpy(values.astype(np.float32))


def tensors(arrays: Mapping[str, np.ndarray], part: str) -> dict[str, torch.Tensor]:
    """The state dict of the part "unet" or "vae", checked against what the reference says of it."""
    seed, found = int(arrays[f"w.{part}.seed"]), {}
    about = (arrays[f"w.{part}.{key}"] for key in ("names", "shapes", "first", "sum"))
    for k, (name, shape, first, total) in enumerate(zip(*about, strict=True)):
        sides = tuple(int(side) for side in str(shape).strip("[]").split(","))
        found[str(name)] = by_rule(str(name), sides, seed + k)
        assert found[str(name)].flatten()[0].item() == first
        np.testing.assert_allclose(found[str(name)].double().sum().item(), total, atol=1e-6)
    return found


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """A checkpoint of Lightning with the painter, and with an encoder that is not read."""
    state = {sgm_files.UNET + name: tensor for name, tensor in tensors(arrays, "unet").items()}
    state |= {sgm_files.AUTOENCODER + name: tensor for name, tensor in tensors(arrays, "vae").items()}
    state["conditioner.embedders.0.model.logit_scale"] = torch.zeros(())
    torch.save({"epoch": 0, "global_step": 110000, "state_dict": state}, path)
    return path
