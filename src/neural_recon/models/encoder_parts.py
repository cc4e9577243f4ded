"""The parts of a published folder (weights, tokenizer, processor), each loaded and checked by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import CLIPTokenizer, T5Tokenizer

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import JSON, TEXT, UNKNOWN, another_kind
from neural_recon.core.refusals import refusal
from neural_recon.models import checkpoints, model_folders
from neural_recon.models.device_memory import Tensors
from neural_recon.models.weights import PROCESSORS

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
VOCABULARY = "spiece.model"  # T5's, of SentencePiece


def whole(name: str, value: object) -> int:
    """A number of a configuration, if it is one; else a ValueError."""
    if not isinstance(value, int):
        raise ValueError(f"{name}: expected one whole number, found {value!r}")
    return value


def configured(config_class: type[PreTrainedConfig], values: Mapping[str, Any]) -> Any:
    """The configuration of a model that is built in float32, whatever precision its folder names."""
    config = config_class.from_dict(dict(values))
    config.dtype = torch.float32
    return config


def load_encoder(
    build: Callable[[dict[str, Any]], checkpoints.Model],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    renamed: Callable[[Tensors], Tensors] = lambda tensors: tensors,
) -> checkpoints.Model:
    """The model of a folder with `config.json` and weights, in evaluation mode.

    Args:
        build: the model of that configuration.
        folder: of this part.
        device: where its tensors go; "meta" compares them without reading.
        dtype: of its floating-point numbers.
        renamed: the file's tensors under the model's names.

    Raises:
        InputError: a file is missing, or its tensors have other names or shapes.
    """
    with model_folders.described_by(folder):
        config = model_folders.read_config(folder)
        model = checkpoints.empty(lambda: build(config))
    path = model_folders.find_weights(folder)
    return fill_encoder(model, renamed(checkpoints.read_tensors(path)), path, device, dtype)


def fill_encoder(
    model: checkpoints.Model,
    tensors: Tensors,
    path: Path,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> checkpoints.Model:
    """Give a model of transformers, built without storage, its tensors; in evaluation mode.

    Arguments and errors as of `checkpoints.load_tensors`.
    """
    # older versions of transformers wrote the numbers of the positions; today's models make them
    checkpoints.load_tensors(model, tensors, path, ignored=("position_ids",), dtype=dtype, device=device)
    for module in model.modules():
        positions = module._buffers.get("position_ids")
        if positions is not None:
            module.position_ids = torch.arange(positions.shape[1], device=device)[None]
    return model.eval()


def load_clip_tokenizer(folder: Path, vocab_size: object) -> CLIPTokenizer:
    """CLIP's tokenizer of a folder with tokenizer.json, or vocab.json and merges.txt.

    Args:
        folder: of the tokenizer.
        vocab_size: how many tokens the text encoder knows.

    Raises:
        InputError: the folder or a file is missing or broken, or there are more tokens than that.
    """
    _require_any(folder, "CLIP's", {"tokenizer.json"}, {"vocab.json", "merges.txt"})
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    except Exception as error:  # the library raises nothing more special
        raise _unfit(folder, error, "CLIP's vocabulary and merges", "CLIP's tokenizer") from error
    _check_size(folder, tokenizer, vocab_size)
    return tokenizer


def load_t5_tokenizer(folder: Path, vocab_size: object) -> T5Tokenizer:
    """T5's tokenizer of a folder with tokenizer.json or spiece.model; arguments and errors as of CLIP's."""
    from sentencepiece import SentencePieceProcessor

    _require_any(folder, "T5's", {"tokenizer.json"}, {VOCABULARY})
    try:
        if not (folder / "tokenizer.json").is_file():
            # transformers takes a broken one for a vocabulary of another library
            SentencePieceProcessor(model_file=str(folder / VOCABULARY))
        tokenizer = T5Tokenizer.from_pretrained(folder)
    except Exception as error:  # as above
        raise _unfit(folder, error, "T5's vocabulary", "T5's tokenizer") from error
    _check_size(folder, tokenizer, vocab_size)
    return tokenizer


def _require_any(folder: Path, whose: str, *known: set[str]) -> None:
    """Raise unless all the files of one of the sets `known` are in the folder."""
    names = " or ".join(" and ".join(sorted(names, reverse=True)) for names in known)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected the folder of {whose} tokenizer ({names}), found none; get the model's "
            "folder again."
        )
    if not any(all((folder / name).is_file() for name in names) for names in known):
        found = sorted(path.name for path in folder.iterdir()) or "nothing"
        raise InputError(f"{folder}: expected {names}, found {found}.")


def _unfit(folder: Path, error: Exception, what: str, whose: str) -> InputError:
    """The sentence for a tokenizer's folder that the library does not read."""
    unfit = InputError(
        f"{folder}: expected {what}, found files that do not fit together ({error}); get the folder again."
    )
    return refusal(folder, error, whose) or _odd_file(folder, whose) or unfit


def _odd_file(folder: Path, whose: str) -> InputError | None:
    """The sentence for the first file of a tokenizer that is of another kind."""
    for path in sorted(folder.glob("*")):
        kinds = {".json": (JSON,), ".txt": (TEXT, JSON), ".model": (UNKNOWN,)}.get(path.suffix)
        if kinds and (said := another_kind(path, f"a part of {whose}", *kinds)):
            return said
    return None


def _check_size(folder: Path, tokenizer: Any, vocab_size: object) -> None:
    with model_folders.described_by(folder):
        most = whole("vocab_size", vocab_size)
    size = max([len(tokenizer), *(number + 1 for number in tokenizer.get_vocab().values())])
    if size > most:
        raise InputError(
            f"{folder}: expected at most the text encoder's {most} tokens, found {size}; this is not the "
            "tokenizer of that encoder."
        )


def pixel_statistics(folder: Path, image_size: int) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the pixels in [0, 1] that an image encoder expects.

    Args:
        folder: with the processor's folder; CLIP's own numbers hold where there is none.
        image_size: of the encoder, in pixels.

    Raises:
        InputError: the processor is for another image size, or its numbers are no statistics.
    """
    for name in PROCESSORS:
        if (folder / name).is_dir():
            processor = model_folders.read_config(folder / name, "preprocessor_config.json")
            for key in ("size", "crop_size"):
                size = processor.get(key, image_size)
                sides = list(size.values()) if isinstance(size, dict) else [size]
                if not sides or any(side != image_size for side in sides):
                    raise InputError(
                        f"{folder / name}/preprocessor_config.json: expected the {key} of the image encoder, "
                        f"{image_size}, found {size}."
                    )
            mean, std = processor.get("image_mean", CLIP_MEAN), processor.get("image_std", CLIP_STD)
            with model_folders.described_by(folder / name):
                if np.shape(mean) != (3,) or np.shape(std) != (3,) or not np.isfinite([*mean, *std]).all():
                    raise ValueError(f"image_mean {mean} and image_std {std}")
                if min(std) <= 0:
                    raise ValueError(f"image_std {std}")
            return mean, std
    return CLIP_MEAN, CLIP_STD
