"""What made each result: one record a result, whatever its format.

The record of results/scores/subj01/summary.tsv is results/provenance/scores/subj01/summary.tsv.json; a
folder has one record with all its files. A job writes the records of its outputs when it has ended without
error (`recording`), and so do `neural-recon decode` and `evaluate`, whose names stand for the rule's:

    {"format": 1,
     "output":  {"path": "scores/subj01/summary.tsv", "size": 4711, "sha256": "ab...",
                 "files": null},           # of a folder: {"final/00042.png": {"size": 1, "sha256": "cd..."}}
     "made_by": {"rule": "scores", "wildcards": {"subject": "subj01"}, "params": {...}, "seed": 0,
                 "configuration": "ef...",        # provenance/configurations/ef....json has all of it
                 "inputs": [{"name": "final", "of": "result", "path": "reconstructions/subj01/decoded.h5",
                             "size": 1, "sha256": "01..."}, ...],
                 "versions": {"neural_recon": "1.0", "commit": "b7...", "modified": false,
                              "python": "3.11.9", "packages": {"numpy": "2.4.6", ...}}},
     "run":     {"started": "2026-01-31T12:00:00+00:00", "seconds": 1.5, "device": "CPU", "folder": "..",
                 "output_time": 1769860800000000000, "input_times": [1769860800000000000, ...]}}

`made_by` is all that determines the output's bytes, `run` what differs from run to run. Inputs are a
`result`, `weights`, `data` (of NSD's tree) or another `file`. Paths of results are those below the results'
folder; others are as the workflow names them, from the folder it ran in, which is `run.folder` as seen from
the results' folder. Times are in ns since 1970. Large files of NSD and very large other ones, weights apart,
have no hash: size and time must do.
"""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from neural_recon.core.errors import InputError, first_mistake
from neural_recon.core.texts import read_text

FOLDER = "provenance"  # below the results' folder
CONFIGURATIONS, HASHES = "configurations", "hashes"  # below FOLDER, alongside the records
LARGEST = 50_000_000  # characters of a record that is read
NOT_OURS = ".snakemake_timestamp"  # what Snakemake leaves in folders


def _below(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path != "/".join(parts) or ".." in parts or "\0" in path:
        raise ValueError(f"expected a plain path below a folder, found {path[:100]!r}")
    return path


Below = Annotated[str, AfterValidator(_below)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of a record; unknown keys and other types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Content(Part):
    """Bytes of a file."""

    size: Size
    sha256: Sha256


class Output(Content):
    """A result; a folder's hash is that of its sorted lines `SHA256  PATH`."""

    path: Below
    files: dict[Below, Content] | None = None


class Input(Part):
    """What a result was made from."""

    name: str
    of: Literal["result", "weights", "data", "file"]
    path: str = Field(min_length=1, pattern=r"^[^\x00]+$")
    size: Size
    sha256: Sha256 | None

    @model_validator(mode="after")
    def _inside(self) -> "Input":
        if self.of == "result":
            _below(self.path)
        return self


class Versions(Part):
    """Of what computed; the commit of a checkout, and whether its code was changed since."""

    neural_recon: str
    commit: str | None
    modified: bool | None
    python: str
    packages: dict[str, str]


class Making(Part):
    """All that determines a result's bytes."""

    rule: str
    wildcards: dict[str, str]
    params: dict[str, JsonValue]
    seed: int | None
    configuration: Sha256
    inputs: list[Input]
    versions: Versions


class Run(Part):
    """What differs from run to run."""

    started: str
    seconds: float
    device: str
    folder: str
    output_time: int
    input_times: list[int]


class Record(Part):
    """What made one result."""

    format: Literal[1]
    output: Output
    made_by: Making
    run: Run

    @model_validator(mode="after")
    def _times(self) -> "Record":
        if len(self.run.input_times) != len(self.made_by.inputs):
            raise ValueError("expected one time for each input")
        return self


def record_path(results: Path, output: str) -> Path:
    """Where the record of an output lies; `output` is its path below the results' folder."""
    return results / FOLDER / f"{output}.json"


def read(results: str | os.PathLike[str], output: str) -> Record:
    """The record of an output, by its path below the results' folder.

    Raises:
        InputError: there is none, or it is no record of this output.
    """
    path = record_path(Path(results), output)
    try:
        record = Record.model_validate_json(read_text(path, "a record", LARGEST))
    except ValidationError as error:
        mistake = first_mistake(error)
        mistake = mistake if len(mistake) <= 200 else mistake[:200] + "..."
        raise InputError(f"{path}: expected a record, found another content ({mistake}).") from error
    if record.output.path != output:
        raise InputError(f"{path}: expected the record of {output}, found that of {record.output.path}.")
    return record


def read_configuration(results: str | os.PathLike[str], sha256: str) -> dict[str, Any]:
    """The resolved configuration that records name by its hash.

    Raises:
        InputError: there is none, or it was changed.
    """
    path = Path(results) / FOLDER / CONFIGURATIONS / f"{sha256}.json"
    text = read_text(path, "a configuration", LARGEST)
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise InputError(f"{path}: expected the configuration of that hash, found a changed one.")
    return json.loads(text)


def sha256_of(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> dict[str, Path]:
    """The files of a folder by their paths below it, sorted."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != NOT_OURS)
    return dict(sorted((path.relative_to(folder).as_posix(), path) for path in found))


def describe(path: Path, name: str) -> Output:
    """Size and hashes of a file or folder."""
    if not path.is_dir():
        return Output(path=name, size=path.stat().st_size, sha256=sha256_of(path))
    files = {
        below: Content(size=file.stat().st_size, sha256=sha256_of(file))
        for below, file in files_below(path).items()
    }
    return Output(path=name, size=sum(f.size for f in files.values()), sha256=of_folder(files), files=files)


def of_folder(files: dict[str, Content]) -> str:
    """The hash of a folder."""
    lines = "".join(f"{content.sha256}  {name}\n" for name, content in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
