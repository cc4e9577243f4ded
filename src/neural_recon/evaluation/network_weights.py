"""Where the weights of the networks lie that pictures are compared by: those that a configuration names, or
those that a folder has under their published names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from neural_recon.core.errors import InputError
from neural_recon.evaluation.registry import METRICS, NETWORKS
from neural_recon.models import weights

# of CLIP's folder, which has the layout of Versatile Diffusion's; others of its parts nobody reads here
CLIP_PARTS = ("image_encoder", *weights.PROCESSORS)
# where the workflow fetches that folder to, below the folder of weights
CLIP_FOLDER = weights.entry_folder(weights.GENERATOR).name


def wanted(preset: str) -> list[str]:
    """The networks that metrics under a preset need."""
    needed = {metric.network for metric in METRICS.values() if metric.network and preset in metric.presets}
    return [name for name in NETWORKS if name in needed]


def published(preset: str) -> dict[str, str]:
    """The published file of each network's weights under a preset, of those that are files."""
    names = {name: NETWORKS[name].published(preset) for name in wanted(preset)}
    return {name: file for name, file in names.items() if file}


def locate(named: Mapping[str, str], preset: str, table: weights.Table) -> dict[str, str]:
    """Where the weights of the networks that `evaluation.networks` names lie or will lie.

    Raises:
        InputError: as `weights.locate`; or a file is that of another preset.
    """
    paths = {
        name: weights.locate(
            f"evaluation.networks.{name}",
            value,
            table,
            *(("folder", CLIP_PARTS) if name == "clip" else ()),
        )
        for name, value in named.items()
    }
    for name, file in published(preset).items():
        others = {*NETWORKS[name].files.values()} - {file}
        if name in paths and paths[name].name in others:
            raise InputError(
                f"evaluation.networks.{name}: expected {file}, the weights of the preset "
                f"{preset}, found {paths[name].name}; name the entry or the file of those."
            )
    return {name: str(path) for name, path in paths.items()}


def files_read(named: Mapping[str, str], located: Mapping[str, str], table: weights.Table) -> list[str]:
    """The files that scoring by these networks reads, there or not; of CLIP's folder those of its encoder."""
    return [
        file
        for name, path in located.items()
        for file in (weights.model_files(named[name], table, CLIP_PARTS[:2]) if name == "clip" else [path])
    ]


def in_folder(preset: str, folder: Path, clip: Path | None = None) -> dict[str, Path]:
    """The weights that lie in a folder or one below it under their published names, by network.

    Args:
        clip: CLIP's folder; default: where a fetch puts it, in `folder`.
    """
    found = {name: _first(folder, file) for name, file in published(preset).items()}
    default = folder / CLIP_FOLDER
    found["clip"] = clip or (default if (default / CLIP_PARTS[0]).is_dir() else None)
    return {name: path for name, path in found.items() if path}


def _first(folder: Path, file: str) -> Path | None:
    return next(iter(sorted([*folder.glob(file), *folder.glob(f"*/{file}")])), None)


def why_not_there(preset: str, folder: Path) -> dict[str, str]:
    """What to say of networks that `in_folder` does not find."""
    reasons = {name: f"{folder} has no {file} (--weights FOLDER)" for name, file in published(preset).items()}
    return {**reasons, "clip": f"no CLIP: {folder / CLIP_FOLDER}/image_encoder is not there (--clip FOLDER)"}


def model_files(paths: Mapping[str, Path]) -> Iterable[str]:
    """The files that loading the networks at these places reads."""
    places = {name: str(path) for name, path in paths.items()}
    return files_read(places, places, {})
