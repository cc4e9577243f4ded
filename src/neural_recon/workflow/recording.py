"""Write the records of `provenance` while a job of the workflow, or a command that writes results, runs."""

import contextlib
import functools
import hashlib
import json
import logging
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neural_recon import __version__
from neural_recon.core.errors import InputError
from neural_recon.core.files import remove_parts, write_text
from neural_recon.models.weights import MODELS
from neural_recon.workflow import provenance
from neural_recon.workflow.provenance import (
    CONFIGURATIONS,
    FOLDER,
    HASHES,
    Input,
    Making,
    Record,
    Run,
    Versions,
)

logger = logging.getLogger(__name__)

DATA, WEIGHTS = "data", "weights"  # the inputs of rules that read the data set, and weights
HASHED = 50_000_000  # bytes: larger files of the data set (NSD: 39 GB of betas a subject) are not hashed
LARGE = 2_000_000_000  # bytes: nor are larger files that lie elsewhere
SMALL = 1_000_000  # bytes: hashes of such files are not kept for other jobs: pictures are many
CODE = ("src", "workflow", "Snakefile")  # of a checkout: what makes results
# Packages whose versions can change a result, as they are imported, and distributions of another name.
PACKAGES = (
    "PIL", "diffusers", "h5py", "jinja2", "matplotlib", "nibabel", "numpy", "pandas", "pyarrow",
    "safetensors", "scipy", "sklearn", "tokenizers", "torch", "transformers",
)  # fmt: skip
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}


@dataclass(frozen=True)
class Job:
    """A job of the workflow, or a command, as it was when it started."""

    rule: str
    wildcards: dict[str, str]
    params: dict[str, Any]
    config: dict[str, Any]
    results: Path
    outputs: list[str]
    read: list[tuple[str, Path, os.stat_result]]
    started: datetime
    clock: float
    code: tuple[str | None, bool | None]

    @functools.cached_property
    def inputs(self) -> list[Input]:
        """What was read, with hashes."""
        return [_input(self, *entry) for entry in self.read]


def begin(job: Any) -> Job:
    """Note what a job of Snakemake reads, and take away the records of what it is about to write.

    What a killed job left of the same outputs goes too: Snakemake runs one job for an output and locks the
    folder. Should an orphan of a killed run still write it, then in vain, as this job writes the same.
    """
    wildcards = {name: str(value) for name, value in job.wildcards.items()}
    named = {name: [value] if isinstance(value, str) else value for name, value in job.input.items()}
    begun = begin_command(
        job.rule, wildcards, dict(job.params.items()), job.config, job.output, {"": job.input, **named}
    )
    records = [provenance.record_path(begun.results, name) for name in begun.outputs]
    for record in records:
        record.unlink(missing_ok=True)
    for path in (*records, *map(Path, job.output)):
        remove_parts(path)
    return begun


def begin_command(
    command: str,
    wildcards: dict[str, str],
    params: dict[str, Any],
    config: dict[str, Any],
    outputs: Iterable[str | Path],
    inputs: Mapping[str, Iterable[str | Path]],
) -> Job:
    """Note what a command of `neural-recon` reads.

    Earlier outputs keep their records until `finish`, as the command may find that it cannot write new ones.

    Args:
        command: its name, which stands for a rule's.
        wildcards: what its outputs are named by.
        params: what it was asked.
        config: the whole resolved configuration, plain values.
        outputs: files and folders. Only those below the results' folder get records: what is fetched to other
            places is an input.
        inputs: files by what they are to the command. Those that are not there are passed over: who reads
            them says so.
    """
    places, written = config.get("pathvars", {}), [Path(path).absolute() for path in outputs]
    results = Path(places.get("results", "results")).absolute()
    # of a recipe in a comparison: what others take, too, is recorded with the results that all share
    shared = Path(places.get("shared", results)).absolute()
    if all(path.is_relative_to(shared) and not path.is_relative_to(results) for path in written):
        results = shared
    names = [path.relative_to(results).as_posix() for path in written if path.is_relative_to(results)]
    files = {Path(path): name for name, paths in inputs.items() for path in paths}
    read = [(name, path, path.stat()) for path, name in files.items() if path.exists()]
    started, clock = datetime.now(UTC), time.monotonic()
    return Job(command, wildcards, params, config, results, names, read, started, clock, _checkout())


def finish(begun: Job) -> None:
    """Write the records of what ended without error."""
    if not begun.outputs:
        return
    results = begun.results
    seconds = round(time.monotonic() - begun.clock, 3)
    config = json.dumps(begun.config, sort_keys=True, indent=1, default=_plain) + "\n"
    configuration = hashlib.sha256(config.encode()).hexdigest()
    place = results / FOLDER / CONFIGURATIONS / f"{configuration}.json"
    if not place.exists():
        write_text(place, config)
    making = Making(
        rule=begun.rule,
        wildcards=begun.wildcards,
        params=json.loads(json.dumps(begun.params, sort_keys=True, default=_plain)),
        seed=begun.config.get("seed"),
        configuration=configuration,
        inputs=begun.inputs,
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
            input_times=[status.st_mtime_ns for _, _, status in begun.read],
        )
        record = Record(format=1, output=provenance.describe(path, name), made_by=making, run=run)
        write_text(provenance.record_path(results, name), record.model_dump_json(indent=1) + "\n")


def _weights(config: dict[str, Any]) -> list[str]:
    """Where weights lie: the folder of what is fetched, and the configuration's own paths."""
    evaluation = config.get("evaluation") or {}
    networks, encoding = evaluation.get("networks") or {}, evaluation.get("encoding") or {}
    sections = (*(config.get("spaces") or {}).values(), encoding, config.get("generator") or {})
    named = [section.get("weights") for section in sections]
    return [MODELS, *filter(None, [*named, *networks.values()])]


def _input(begun: Job, name: str, path: Path, before: os.stat_result) -> Input:
    """An input with its hash: from its own record, or computed once for all jobs."""
    results, config = begun.results, begun.config
    of: Literal["result", "weights", "data", "file"] = "file"
    full, shown = path.absolute(), str(path)
    if full.is_relative_to(results):
        of, shown = "result", full.relative_to(results).as_posix()
    elif name == WEIGHTS or any(full.is_relative_to(Path(p).absolute()) for p in _weights(config)):
        of = "weights"
    elif name == DATA:
        of = "data"
    size = before.st_size
    if path.is_dir():
        size = sum(file.stat().st_size for file in provenance.files_below(path).values())
    now = path.stat()
    sha256 = None
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        logger.warning("%s changed while this job ran", path)
    elif of in ("result", "weights") or size <= (HASHED if of == "data" else LARGE):
        recorded = _recorded(results, shown, size, before) if of == "result" else None
        sha256 = recorded or _hashed(results, full, size, before.st_mtime_ns)
    return Input(name=name, of=of, path=shown, size=size, sha256=sha256)


def _recorded(results: Path, output: str, size: int, status: os.stat_result) -> str | None:
    """The hash of a result by its own record, if that is of the file as it is."""
    try:
        record = provenance.read(results, output)
    except InputError:
        return None
    same = record.output.size == size and record.run.output_time == status.st_mtime_ns
    return record.output.sha256 if same else None


def _hashed(results: Path, path: Path, size: int, mtime_ns: int) -> str:
    """The hash of a file or folder; of large ones each is kept in its own file: many jobs need no lock."""
    if size <= SMALL:
        return provenance.describe(path, path.name).sha256
    state = hashlib.sha256(os.fsencode(f"{path} {size} {mtime_ns}")).hexdigest()
    place = results / FOLDER / HASHES / f"{state}.txt"
    with contextlib.suppress(OSError, ValueError):  # not yet, or broken: hashed again
        if re.fullmatch("[0-9a-f]{64}", known := place.read_text(encoding="ascii")):
            return known
    sha256 = provenance.describe(path, path.name).sha256
    write_text(place, sha256)
    return sha256


def _plain(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


def _checkout() -> tuple[str | None, bool | None]:
    """Commit of the checkout that the package runs from, and whether its code differs; nothing elsewhere."""
    root = Path(__file__).resolve().parents[3]
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
    names = [DISTRIBUTIONS.get(module, module) for module in PACKAGES if module in sys.modules]
    return Versions(
        neural_recon=__version__,
        commit=commit,
        modified=modified,
        python=platform.python_version(),
        packages={name: metadata.version(name) for name in sorted(names)},
    )


def _device() -> str:
    """The GPU's name if this job used one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return "CPU"
