"""Where the weights of a run lie, and which of them the workflow fetches.

The configuration names each model by an entry of the table `config/weights.yaml`, fetched into
resources/models/NAME, or by a local path, used where it lies.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neural_recon.core.errors import InputError, first_mistake, quoted
from neural_recon.core.file_kinds import look
from neural_recon.core.refusals import kind_of
from neural_recon.core.texts import read_yaml
from neural_recon.models.model_folders import STEMS, part_files

TABLE = Path("config/weights.yaml")  # in the project's folder
MODELS = Path("resources/models")  # in the folder the workflow runs in
HUB = "hub:"
GENERATOR = "shi-labs/versatile-diffusion"  # on the hub, and in the table
WEIGHTS = (".pth", ".pt", ".ckpt", ".th", ".bin", ".safetensors", ".tar")  # endings
PROCESSORS = ("image_processor", "image_feature_extractor", "feature_extractor")


class Row(BaseModel):
    """A part of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Row):
    """One file of an entry; size in bytes and sha256, or its first digits, only where known."""

    path: str
    gigabytes: float = Field(0, ge=0)
    size: int | None = Field(None, gt=0)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    sha256_begins: str | None = Field(None, pattern=r"^[0-9a-f]{8,63}$")


class Entry(Row):
    """One model: what `config/weights.yaml` explains."""

    what: str
    source: str = Field(pattern=rf"^({HUB}(datasets/)?[^/]+/[^/]+|https?://.+/)$")
    revision: str | None = None
    licence: str
    terms: str | None = None
    recipes: list[str]
    files: list[File] = Field(min_length=1)

    @model_validator(mode="after")
    def _hub_has_revision(self) -> "Entry":
        if self.source.startswith(HUB) and self.revision is None:
            raise ValueError(f"{self.source} needs a revision, such as main")
        return self


class Download(Row):
    """All that fetching one file needs to know."""

    source: str
    revision: str | None = None
    terms: str | None = None
    path: str
    size: int | None = None
    sha256: str | None = None
    sha256_begins: str | None = None


Table = dict[str, Entry]


def read_table(path: str | os.PathLike[str]) -> Table:
    """The table of weights.

    Raises:
        InputError: it is missing, no YAML, or an entry is wrong.
    """
    content = read_yaml(path, "the table of weights")
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping from names to weights, found {quoted(content)}.")
    table = {}
    for name, entry in content.items():
        try:
            table[str(name)] = Entry.model_validate(entry)
        except ValidationError as error:
            raise InputError(f"{path}: {name}: {first_mistake(error)}.") from error
    return table


def locate(
    place: str,
    value: str,
    table: Table,
    wanted: Literal["file", "folder", ""] = "file",
    parts: Collection[str] = (),
) -> Path:
    """Where a model that the configuration names lies or will lie: an entry's folder (its file, where it has
    only one), or the local path itself.

    Args:
        place: the configuration's key, for sentences.
        wanted: what it must be; "": a file or a folder.
        parts: of these folders a local folder has one, where it has the layout of diffusers.

    Raises:
        InputError: `value` is neither an entry nor an existing path, or not what is wanted.
    """
    any_of = wanted or "file or folder"
    if value in table:
        files = table[value].files
        path, kind = (entry_folder(value), "folder") if len(files) > 1 else (_place(value, files[0]), "file")
    else:
        path = Path(value)
        kind = kind_of(path, f"the {any_of} of {place}")
        if kind == "nothing":
            raise InputError(
                f"{place}: expected a name of {TABLE} ({', '.join(table)}) or an existing "
                f"{any_of}, found {value!r}, which is neither; correct it, or put the {any_of} there."
            )
        if kind == "folder" and parts:
            _check_layout(place, path, parts)
    if kind == "file" and wanted == "folder":
        raise _single_file(place, path, parts)
    if wanted and kind != wanted:
        within = sorted(file.name for file in path.glob("*") if file.suffix in WEIGHTS)[:5]
        such = f" (there are {', '.join(within)})" if within else ""
        raise InputError(f"{place}: expected a {wanted}, found the {kind} {path}; name the {wanted}{such}.")
    return path


def _check_layout(place: str, folder: Path, parts: Collection[str]) -> None:
    """Raise an InputError where a folder has the single-file weights, and none of diffusers' parts."""
    single = sorted(file for file in folder.glob("*") if file.suffix in WEIGHTS and file.stem not in STEMS)
    if single and not any((folder / part).exists() for part in parts):
        raise _single_file(place, single[0], parts)


def _single_file(place: str, path: Path, parts: Collection[str]) -> InputError:
    return InputError(
        f"{place}: expected a folder, found the file {path} ({look(path).text}): single files, such as "
        f"sd-v1-4.ckpt or vd-four-flow-v1-0.pth, are not read; name an entry of {TABLE}, which is fetched, "
        f"or a folder in the layout of diffusers ({', '.join(parts)}, ...): hf download OWNER/NAME "
        "--local-dir FOLDER."
    )


def entry_folder(name: str) -> Path:
    """Where an entry's files are fetched to."""
    return MODELS / name.replace("/", "--")


def model_files(value: str, table: Table, parts: Sequence[str]) -> list[str]:
    """The files of some parts of a model folder that a run depends on; without parts, that of one file.

    An entry's are those of the table, there or not; a local folder's are those found in it. The part
    `image_processor` is also known as `image_feature_extractor`.
    """
    if not parts:
        return [str(_place(value, file)) for file in table[value].files] if value in table else [value]
    if value in table:
        return [str(_place(value, f)) for part in parts for f in files_read(table[value], (part,))]
    return [path for part in _folders(parts) for path in _local_files(Path(value) / part)]


def _local_files(part: Path) -> list[str]:
    return [str(part)] if part.suffix in (*WEIGHTS, ".json") else part_files(part)


def files_read(entry: Entry, parts: Collection[str] = ()) -> list[File]:
    """The files of some parts of an entry, folders or single files; all without any."""
    wanted = tuple(f"{part}/" for part in _folders(parts))
    return [f for f in entry.files if not parts or f"{f.path}/".startswith(wanted)]


def _folders(parts: Iterable[str]) -> list[str]:
    names = {part: PROCESSORS if Path(part).name == PROCESSORS[0] else (Path(part).name,) for part in parts}
    return [str(Path(part).with_name(name)) for part in parts for name in names[part]]


def terms(places: Iterable[str], table: Table) -> list[str]:
    """What is to be known before files at `places` below resources/models are fetched, a line per entry."""
    owners = {place.split("/")[0] for place in places}
    return [
        f"{name}: {entry.terms}"
        for name, entry in table.items()
        if entry.terms and entry_folder(name).name in owners
    ]


def missing(files: Iterable[str | Path], table: Table) -> dict[str, File]:
    """Those of the files that a run reads which are still to be fetched, by place below resources/models.

    What is there is never fetched again, so nothing that a user put there by hand is lost, and no rerun
    costs gigabytes.
    """
    fetched = {_place(name, file): file for name, entry in table.items() for file in entry.files}
    absent = [path for path in map(Path, files) if path in fetched and not path.exists()]
    return {str(path.relative_to(MODELS)): fetched[path] for path in absent}


def download(place: str, table: Table) -> Download:
    """How to fetch the file at `place` below resources/models."""
    for name, entry in table.items():
        for file in entry.files:
            if MODELS / place == _place(name, file):
                known = file.model_dump(exclude={"gigabytes"})
                return Download(source=entry.source, revision=entry.revision, terms=entry.terms, **known)
    raise InputError(f"{MODELS / place}: expected a file that {TABLE} has, found none of that name.")


def pattern(places: Mapping[str, File], with_sha256: bool) -> str:
    """A regular expression of those places whose sha256 is known (or of the others), for a wildcard."""
    names = [re.escape(place) for place, file in places.items() if (file.sha256 is not None) == with_sha256]
    return "|".join(names) or "(?!)"  # nothing


def _place(name: str, file: File) -> Path:
    return entry_folder(name) / file.path
