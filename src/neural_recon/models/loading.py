"""The models of a configuration, on the GPU where there is one, else on the CPU, or where one says.

On torch's device "meta" a model's files are compared with what it needs, and hardly read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from neural_recon.core.errors import InputError
from neural_recon.core.texts import read_json

# each model's libraries take seconds to import: a job pays for those it loads
if TYPE_CHECKING:
    from neural_recon.models.clip import ClipContexts
    from neural_recon.models.vdvae import VDVAE

META = torch.device("meta")


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device of that name; default: the GPU where there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def read_hparams(path: str | Path) -> dict[str, Any]:
    """The VDVAE's hyper-parameters, as those of a model that can be built.

    Raises:
        InputError: the file is missing, or no such JSON.
    """
    values = read_json(path, "the VDVAE's hyper-parameters")
    from neural_recon.models.vdvae_blocks import Hparams

    try:
        Hparams.of(values)
    except InputError:
        raise
    except Exception as error:  # what is no mapping, or has other values, raises many kinds
        raise InputError(f"{path}: expected the VDVAE's hyper-parameters (JSON): {error}.") from error
    return values


def load_vdvae(weights: str | Path, hparams: str | Path, where: torch.device | None = None) -> VDVAE:
    """The VDVAE of a weights file and a JSON file of hyper-parameters.

    Raises:
        InputError: a file is missing, or the two do not belong together.
    """
    values = read_hparams(hparams)
    from neural_recon.models.vdvae import VDVAE

    try:
        return VDVAE.from_checkpoint(weights, values, where or choose_device())
    except InputError:
        raise
    except Exception as error:  # numbers that make no model raise many kinds
        raise InputError(f"{hparams}: expected the VDVAE's hyper-parameters (JSON): {error}.") from error


def load_clip(folder: str | Path, where: torch.device | None = None, text: bool = True) -> ClipContexts:
    """CLIP's encoders of a Versatile Diffusion folder; only that of pictures without `text`.

    Raises:
        InputError: a part is missing, the tokenizer too with `text`, or not what it must be.
    """
    from neural_recon.models.clip import ClipContexts

    clip = ClipContexts.from_pretrained(folder, device=where or choose_device(), text=text)
    if text and clip.tokenizer is None:
        raise InputError(
            f"{Path(folder) / 'tokenizer'}: expected the folder of CLIP's tokenizer (tokenizer.json, or "
            "vocab.json and merges.txt), found none; get the model's folder again."
        )
    return clip
