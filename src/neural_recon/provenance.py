"""What made each result: one record a result, whatever its format.

The record of results/scores/subj01/summary.tsv is results/provenance/scores/subj01/summary.tsv.json; a folder has
one record with all its files. A job writes the records of its outputs when it has ended without error:

    {"format": 1,
     "output":  {"path": "scores/subj01/summary.tsv", "size": 4711, "sha256": "ab...",
                 "files": null},                  # of a folder: {"final/00042.png": {"size": 1, "sha256": "cd..."}}
     "made_by": {"rule": "scores", "wildcards": {"subject": "subj01"}, "params": {...}, "seed": 0,
                 "configuration": "ef...",        # provenance/configurations/ef....json has all of it
                 "inputs": [{"name": "final", "of": "result", "path": "reconstructions/subj01/decoded.h5",
                             "size": 1, "sha256": "01..."}, ...],
                 "versions": {"neural_recon": "1.0", "commit": "b7...", "modified": false, "python": "3.11.9",
                              "packages": {"numpy": "2.4.6", ...}}},
     "run":     {"started": "2026-01-31T12:00:00+00:00", "seconds": 1.5, "device": "CPU", "folder": "..",
                 "output_time": 1769860800000000000, "input_times": [1769860800000000000, ...]}}

`output` and `made_by` are the same whenever the same inputs, configuration and versions give the same bytes; `run`
is about one run. Inputs are a `result`, `weights`, `data` (NSD's tree) or another `file`; paths are below the
results' folder for results, and else as the workflow names them, from the folder it ran in, which is `run.folder` as
seen from the results' folder. Times are in ns since 1970. Large files of NSD have no hash: size and time must do.
"""

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from neural_recon import __version__
from neural_recon.errors import InputError, first_mistake
from neural_recon.files import write_text
from neural_recon.weights import MODELS

logger = logging.getLogger(__name__)

FOLDER = "provenance"  # below the results' folder
CONFIGURATIONS, HASHES = "configurations", "hashes"  # below FOLDER, beside the records
HASHED = 50_000_000  # bytes: larger files of NSD's tree (39 GB of betas a subject) are not hashed
LARGEST = 50_000_000  # bytes of a record that is read
NOT_OURS = ".snakemake_timestamp"  # what Snakemake leaves in folders
CODE = ("src", "workflow", "Snakefile")  # of a checkout: what makes results
# Distributions whose versions can change a result, by the name they are imported under.
PACKAGES = {
    "PIL": "pillow",
    "diffusers": "diffusers",
    "h5py": "h5py",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "nibabel": "nibabel",
    "numpy": "numpy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
}


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


class Known(Part):
    """A hash that is computed once, in `HASHES`."""

    path: str
    size: Size
    time: int
    sha256: Sha256


def record_path(results: Path, output: str) -> Path:
    """Where the record of an output lies; `output` is its path below the results' folder."""
    return results / FOLDER / f"{output}.json"


def read(results: str | os.PathLike[str], output: str) -> Record:
    """The record of an output, by its path below the results' folder.

    Raises:
        InputError: there is none, or it is no record of this output.
    """
    path = record_path(Path(results), output)
    record = _read(path, Record)
    if record.output.path != output:
        raise InputError(f"{path}: expected the record of {output}, found that of {record.output.path}.")
    return record


def read_configuration(results: str | os.PathLike[str], sha256: str) -> dict[str, Any]:
    """The resolved configuration that records name by its hash.

    Raises:
        InputError: there is none, or it was changed.
    """
    path = Path(results) / FOLDER / CONFIGURATIONS / f"{sha256}.json"
    text = _text(path, "a configuration")
    if hashlib.sha256(text).hexdigest() != sha256:
        raise InputError(f"{path}: expected the configuration of that hash, found a changed one.")
    return json.loads(text)


def sha256_of(path: Path, progress: Any = None) -> str:
    """The sha256 of a file; `progress` is called with the number of bytes of each block."""
    digest, block = hashlib.sha256(), memoryview(bytearray(1 << 20))
    with path.open("rb", buffering=0) as file:
        while n := file.readinto(block):
            digest.update(block[:n])
            if progress:
                progress(n)
    return digest.hexdigest()


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


@dataclass(frozen=True)
class Job:
    """A job of the workflow as it was when it started."""

    job: Any
    results: Path
    outputs: list[str]
    inputs: list[tuple[str, Path, os.stat_result]]
    started: datetime
    clock: float
    code: tuple[str | None, bool | None]


def begin(job: Any) -> Job:
    """Note what a job of Snakemake reads, and take away the records of what it is about to write.

    Only outputs below the results' folder get records: what is fetched to other places is an input.
    """
    results = Path(job.config.get("pathvars", {}).get("results", "results")).absolute()
    outputs = [Path(path).absolute() for path in job.output]
    outputs = [path.relative_to(results).as_posix() for path in outputs if path.is_relative_to(results)]
    for output in outputs:
        record_path(results, output).unlink(missing_ok=True)
    names = {
        path: name
        for name, value in job.input.items()
        for path in ([value] if isinstance(value, str) else value)
    }
    inputs = [(names.get(path, ""), Path(path), Path(path).stat()) for path in dict.fromkeys(job.input)]
    return Job(job, results, outputs, inputs, datetime.now(UTC), time.monotonic(), _checkout())


def finish(begun: Job) -> None:
    """Write the records of a job that ended without error."""
    if not begun.outputs:
        return
    job, results = begun.job, begun.results
    seconds = round(time.monotonic() - begun.clock, 3)
    config = json.dumps(job.config, sort_keys=True, indent=1, default=_plain) + "\n"
    configuration = hashlib.sha256(config.encode()).hexdigest()
    place = results / FOLDER / CONFIGURATIONS / f"{configuration}.json"
    if not place.exists():
        write_text(place, config)
    making = Making(
        rule=job.rule,
        wildcards={name: str(value) for name, value in job.wildcards.items()},
        params=json.loads(json.dumps(dict(job.params.items()), sort_keys=True, default=_plain)),
        seed=job.config.get("seed"),
        configuration=configuration,
        inputs=[_input(results, job.config, *entry) for entry in begun.inputs],
        versions=_versions(*begun.code),
    )
    for name in begun.outputs:
        path = results / name
        run = Run(
            started=begun.started.isoformat(timespec="seconds"),
            seconds=seconds,
            device=_device(),
            folder=os.path.relpath(Path.cwd().resolve(), results.resolve()),
            output_time=path.stat().st_mtime_ns,
            input_times=[status.st_mtime_ns for _, _, status in begun.inputs],
        )
        record = Record(format=1, output=describe(path, name), made_by=making, run=run)
        write_text(record_path(results, name), record.model_dump_json(indent=1) + "\n")


def _input(results: Path, config: dict[str, Any], name: str, path: Path, before: os.stat_result) -> Input:
    """An input with its hash: from its own record, or computed once for all jobs."""
    full, of, shown = path.absolute(), "file", str(path)
    if full.is_relative_to(results):
        of, shown = "result", full.relative_to(results).as_posix()
    elif full.is_relative_to(Path(config["nsd"]["root"]).absolute()):
        of = "data"
    elif any(full.is_relative_to(Path(p).absolute()) for p in (MODELS, *config["weights"].values())):
        of = "weights"
    size = sum(f.stat().st_size for f in files_below(path).values()) if path.is_dir() else before.st_size
    now = path.stat()
    sha256 = None
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        logger.warning("%s changed while this job ran", path)
    elif of != "data" or size <= HASHED:
        sha256 = _recorded(results, shown, size, before) if of == "result" else None
        sha256 = sha256 or _known(results, full, size, before.st_mtime_ns)
    return Input(name=name, of=of, path=shown, size=size, sha256=sha256)


def _recorded(results: Path, output: str, size: int, status: os.stat_result) -> str | None:
    """The hash of a result by its own record, if that is of the file as it is."""
    try:
        record = read(results, output)
    except InputError:
        return None
    same = record.output.size == size and record.run.output_time == status.st_mtime_ns
    return record.output.sha256 if same else None


def _known(results: Path, path: Path, size: int, mtime_ns: int) -> str:
    """The hash of a file or folder, kept in a file of its own: many jobs at once need no lock for that."""
    place = results / FOLDER / HASHES / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
    try:
        known = _read(place, Known)
        if (known.path, known.size, known.time) == (str(path), size, mtime_ns):
            return known.sha256
    except InputError:
        pass  # not yet, or broken: hashed again
    sha256 = describe(path, path.name).sha256
    known = Known(path=str(path), size=size, time=mtime_ns, sha256=sha256)
    write_text(place, known.model_dump_json() + "\n")
    return sha256


def _read(path: Path, kind: type[Any]) -> Any:
    """A JSON file, checked as what somebody else may have written."""
    try:
        return kind.model_validate_json(_text(path, "a record"))
    except ValidationError as error:
        raise InputError(f"{path}: expected a record, found another content ({_short(error)}).") from error


def _text(path: Path, what: str) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: expected {what}, found none.")
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"{path}: expected {what}, found that it cannot be read ({error.strerror})."
        ) from error
    if len(text) > LARGEST:
        raise InputError(f"{path}: expected {what}, found more than {LARGEST // 10**6} MB.")
    return text


def _short(error: ValidationError) -> str:
    mistake = first_mistake(error)
    return mistake if len(mistake) <= 200 else mistake[:200] + "..."


def _plain(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


def _checkout() -> tuple[str | None, bool | None]:
    """Commit of the checkout that the package runs from, and whether its code differs; nothing elsewhere."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--", *CODE]
    try:
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None, None  # no git, or one that does not trust the folder
    lines = said.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
    return commit, any(not line.startswith("#") for line in lines)


def _versions(commit: str | None, modified: bool | None) -> Versions:
    """Versions of what this process has imported."""
    packages = {name: metadata.version(name) for module, name in PACKAGES.items() if module in sys.modules}
    return Versions(
        neural_recon=__version__,
        commit=commit,
        modified=modified,
        python=platform.python_version(),
        packages=dict(sorted(packages.items())),
    )


def _device() -> str:
    """The GPU's name if this job used one."""
    torch = sys.modules.get("torch")
    used = torch is not None and torch.cuda.is_initialized()
    return torch.cuda.get_device_name() if used else "CPU"
