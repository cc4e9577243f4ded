"""Where a model folder keeps its configuration and its weights; needs no torch."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.refusals import is_there, refusal
from neural_recon.core.texts import read_json

MOST_LAYERS = 1000  # a model is built layer by layer before its weights are compared with it
LARGEST = 10**6  # of any other number
TOKENIZER = "tokenizer.json"
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
ENDINGS = (".safetensors", ".bin")
HALF = ("", ".fp16", ".bf16")  # in the names of weights in half precision
# folders without weights
SETTINGS = (
    "scheduler",
    "tokenizer",
    "tokenizer_2",
    "image_processor",
    "image_feature_extractor",
    "feature_extractor",
)


def read_config(folder: str | os.PathLike[str], name: str = "config.json") -> dict[str, Any]:
    """The JSON mapping `name` of a model folder.

    Raises:
        InputError: it is missing or no JSON mapping.
    """
    path = Path(folder) / name
    config = read_json(path, "the model's configuration")
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a JSON mapping, found {type(config).__name__}.")
    for key, value in config.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and number > (MOST_LAYERS if "layers" in key else LARGEST):
                raise InputError(
                    f"{path}: expected a size that models have in {key}, found {quoted(number)}; "
                    "get the file again."
                )
    return config


def settings_of(folder: Path) -> dict[str, Any]:
    """A model's configuration, empty where it is not there yet."""
    try:
        return read_config(folder)
    except InputError:
        return {}


def picture_size(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> int:
    """Side of the generator's pictures in pixels, from the configurations of its UNet and autoencoder.

    What they lack counts as in the published model: latents of 64 x 64, three halvings.
    """
    halvings = len(vae.get("block_out_channels", range(4))) - 1
    return (unet.get("sample_size") or 64) * 2**halvings


@contextlib.contextmanager
def described_by(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Where a library builds something from the configuration in a folder.

    Raises:
        InputError: it cannot; libraries raise many kinds where a number or a name makes no model.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        unfit = InputError(
            f"{folder}: expected a configuration that makes a model, found one that does not "
            f"({type(error).__name__}: {error}); get the folder again."
        )
        raise (refusal(folder, error, "a model's folder") or unfit) from error


def find_weights(folder: str | os.PathLike[str]) -> Path:
    """The weights file of a model folder: safetensors before .bin, full precision before half.

    Of weights in several files it is their index (`model.safetensors.index.json`): see `weight_files`.

    Raises:
        InputError: there is none.
    """
    named = [(stem, half, end) for end in ENDINGS for half in HALF for stem in STEMS]
    names = [
        name for stem, half, end in named for name in (f"{stem}{half}{end}", f"{stem}{end}.index{half}.json")
    ]
    for name in names:
        if is_there(Path(folder) / name, "weights"):
            return Path(folder) / name
    found = sorted(path.name for path in Path(folder).glob("*")) or "nothing"
    raise InputError(f"{folder}: expected a weights file such as {names[0]}, found {found}.")


def weight_files(path: str | os.PathLike[str]) -> list[Path]:
    """The files with the tensors of what `find_weights` found: that file, or those that an index names.

    Raises:
        InputError: an index that names no files of its own folder.
    """
    path = Path(path)
    if path.suffix != ".json":
        return [path]
    index = read_json(path, "the index of a model's weights")
    places = index.get("weight_map") if isinstance(index, dict) else None
    names = set(places.values()) if isinstance(places, dict) and places else {None}
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(ENDINGS):
            raise InputError(
                f"{path}: expected a weight_map from tensors to files alongside it ({' or '.join(ENDINGS)}), "
                f"found {quoted(name)}; get the file again."
            )
    return [path.with_name(name) for name in sorted(map(str, names))]


def part_files(folder: Path) -> list[str]:
    """The files of one part of a model folder that a run depends on: its weights and its settings.

    A part that is not there yet is named by the weights it should have (Snakemake says so where it needs
    them); parts without weights, such as the tokenizer, may be absent.
    """
    settings = sorted(str(path) for path in folder.glob("*") if path.suffix in (".json", ".txt", ".model"))
    if folder.name in SETTINGS:
        return settings
    try:
        found = find_weights(folder)
    except InputError:
        stem = "model" if "_encoder" in folder.name else "diffusion_pytorch_model"
        return [f"{folder}/{stem}.safetensors", *settings]
    return [*map(str, weight_files(found)), *settings]
