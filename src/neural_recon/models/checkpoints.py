"""Model weights from files, checked tensor by tensor before they are used.

Models are built without storage (`empty`) and take the files' tensors as their own, mapped from disk where
the file allows it: a checkpoint of several gigabytes is neither initialised for nothing nor held twice, and
what a model leaves out is never read.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import nn

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import SAFETENSORS, TORCH, explained
from neural_recon.core.refusals import require_file
from neural_recon.models.model_folders import weight_files

Model = TypeVar("Model", bound=nn.Module)


def empty(build: Callable[[], Model]) -> Model:
    """The module that `build` makes, with shapes but without storage, for `load_tensors` to fill."""
    with torch.device("meta"):
        return build()


def read_tensors(
    path: str | os.PathLike[str], containing: str = "", within: str = ""
) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file or a torch file (state dict), mapped from disk where possible.

    Of an index (`...index.json`) they are those of all the files that it names.

    Torch files are read with `weights_only=True`, so none of them can run code; where an entry is asked for,
    objects in the others are not made, whatever they are.

    Args:
        path: `.safetensors`, or `.bin`, `.ckpt`, `.pt`, `.pth`, `.th`, or an index of such files.
        containing: what the names have in them; other tensors are left out.
        within: the entry of a torch file that holds the named tensors, if it has that entry ("state_dict" of
            Lightning's checkpoints).

    Raises:
        InputError: the file is missing, cut short, or holds other things than named tensors.
    """
    path = Path(path)
    require_file(path, "a file of weights", "found none.")
    if path.suffix == ".json":
        return {
            name: tensor
            for file in weight_files(path)
            for name, tensor in read_tensors(file, containing).items()
        }
    kind = SAFETENSORS if path.suffix == ".safetensors" else TORCH
    try:
        if kind == SAFETENSORS:
            with safetensors.safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys() if containing in name}  # noqa: SIM118
        # files of torch before 1.6 are no zip archives, and cannot be mapped
        mapped = zipfile.is_zipfile(path)
        if mapped:
            _check_stored(path)
        with torch.serialization.safe_globals(_placeholders(path) if within and mapped else []):
            tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a broken file raises many kinds
        what = f"a whole file of named tensors ({kind})"
        raise (explained(path, error, what, kind) or _refused_by_torch(path, error)) from error
    if within and isinstance(tensors, Mapping):
        tensors = tensors.get(within, tensors)
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in tensors.items()
    ):
        raise InputError(
            f"{path}: expected a state dict (names and tensors), found {_described(tensors)}; save the "
            "tensors alone, as safetensors (docs/troubleshooting.md)."
        )
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
            raise InputError(
                f"{path}: expected plain numbers in {name}, found {tensor.layout} {tensor.dtype}."
            )
    return {name: tensor for name, tensor in tensors.items() if containing in name}


def read_about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a safetensors file says of its tensors: values that are JSON, by name; others are left out.

    Raises:
        InputError: the file is missing or cut short.
    """
    read_tensors(path, "\0")  # none of them; a sentence where it is no such file
    found = {}
    with safetensors.safe_open(path, framework="pt") as file:
        for name, text in (file.metadata() or {}).items():
            with contextlib.suppress(ValueError):
                found[name] = json.loads(text)
    return found


def _described(content: object) -> str:
    """What a file of torch holds instead of named tensors."""
    if not isinstance(content, Mapping):
        return type(content).__name__
    some = ", ".join(f"{name} ({type(value).__name__})" for name, value in list(content.items())[:5])
    return f"a mapping of {some}{', ...' if len(content) > 5 else ''}"


def _refused_by_torch(path: Path, error: Exception) -> InputError:
    """The sentence for a broken file of weights; torch's own advice is to load it unsafely."""
    text = str(error)
    name = re.search(r"GLOBAL (\S+)", text)
    if isinstance(error, pickle.UnpicklingError) and re.search("Unsupported (global|class)", text):
        such = f", such as {name[1]}," if name else ""
        return InputError(
            f"{path}: expected named tensors only, found other Python objects{such} which could run code and "
            "are not loaded; if you trust the file, save its state dict alone as safetensors "
            "(docs/troubleshooting.md)."
        )
    reason = (text.splitlines() or [type(error).__name__])[0]
    if text.startswith("Weights only load failed"):
        blocked = f"it asks for {name[1]}, which could run any program" if name else ""
        reason = blocked or "the list of its tensors does not read"
    return InputError(
        f"{path}: expected a whole file of named tensors, found one that torch refuses ({reason}); fetch "
        "it again, or name another."
    )


class _NotMade:
    """In the place of any object that is no tensor: made of anything, and nothing."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _placeholders(path: Path) -> list[Any]:
    """For torch's reader: what does nothing, for each function or class that it would refuse.

    OneCycleLR's state, for one, asked for `getattr` until torch 2.4.
    """
    return [(_NotMade, name) for name in torch.serialization.get_unsafe_globals_in_checkpoint(path)]


def _check_stored(path: Path) -> None:
    """torch packs nothing: an archive that inflates to more than the file is another program's."""
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > path.stat().st_size:
        raise ValueError(f"it inflates to {size} bytes")


def load_tensors(
    module: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    path: str | os.PathLike[str],
    ignored: tuple[str, ...] = (),
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> None:
    """Give a module its tensors, if names and shapes are exactly the module's.

    Args:
        module: takes the tensors in place of its own, which may be without storage (`empty`).
        tensors: its state dict.
        path: where they come from, for the message.
        ignored: name endings that may be there in addition (buffers of older versions).
        dtype: of floating-point tensors, whatever the file's.
        device: of all of them.

    Raises:
        InputError: naming the first tensor that is missing, extra, or of another shape.
    """
    expected = {name: tensor.shape for name, tensor in module.state_dict().items()}
    tensors = {
        name: tensor for name, tensor in tensors.items() if name in expected or not name.endswith(ignored)
    }
    check_shapes(expected, {name: tensor.shape for name, tensor in tensors.items()}, path)
    placed = {
        name: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for name, tensor in tensors.items()
    }
    module.load_state_dict(placed, assign=True)


def check_shapes(
    expected: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    path: str | os.PathLike[str],
) -> None:
    """Raise the InputError of `load_tensors` unless both mappings (name to shape) are equal."""
    verdict = "this is not the checkpoint that the configuration names"
    for name in [*expected, *found]:
        mine, other = (f"{tuple(shapes[name])}" if name in shapes else "none" for shapes in (expected, found))
        if mine != other:
            raise InputError(f"{path}: expected the tensor {name} of shape {mine}, found {other}; {verdict}.")
