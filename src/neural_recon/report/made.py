"""What made the results shown: records beside them, the command, time and memory."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from neural_recon.report import results

WEIGHTS = {".safetensors", ".th", ".pt", ".pth", ".bin", ".ckpt"}


def section(
    provenance: str | Path | None,
    benchmarks: str | Path | None,
    configuration: Mapping[str, Any],
    subjects: Iterable[str],
) -> dict:
    """The section "How it was made".

    Args:
        provenance: folder with a JSON file a result, written by the jobs; None without.
        benchmarks: folder of Snakemake's benchmark files; None leaves the times out.
        configuration: the resolved configuration, plain values.
        subjects: those shown.
    """
    shown = set(subjects)
    records = _records(provenance, shown)
    return {
        "configuration": yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True),
        "commands": _commands(configuration),
        "weights": _weights(records, configuration),
        "records": sorted(records, key=lambda record: record["path"]),
        "libraries": _libraries(records),
        "versions": results.versions(),
        "benchmarks": results.benchmarks(benchmarks, shown),
    }


def _commands(configuration: Mapping[str, Any]) -> list[str]:
    """What makes these results from the configuration on this page, saved as report.yaml."""
    targets = [[]] if configuration.get("demo") is not None else [["fetch"], []]
    return [" ".join(["snakemake --configfile report.yaml --cores 2", *words]) for words in targets]


def _records(folder: str | Path | None, subjects: set[str]) -> list[dict]:
    """The jobs' records of these subjects' results and of those of no particular one."""
    if folder is None or not Path(folder).is_dir():
        return []
    found = []
    for path in sorted(Path(folder).rglob("*.json")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if not subjects.issuperset(results.SUBJECT.findall(name)):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # a record that is damaged says nothing; the result itself is whole
        if isinstance(record, dict):
            found.append({"rule": "", "seed": None, "sha256": "", "size": None, **record, "path": name})
    return found


def _inputs(record: Mapping[str, Any]) -> list[dict]:
    inputs = record.get("inputs") or []
    if isinstance(inputs, Mapping):
        inputs = [{"path": k, **(v if isinstance(v, Mapping) else {})} for k, v in inputs.items()]
    return [entry for entry in inputs if isinstance(entry, Mapping) and entry.get("path")]


def _weights(records: Iterable[Mapping[str, Any]], configuration: Mapping[str, Any]) -> list[dict]:
    """The weight files that the jobs read, with size, hash and the rules that read them."""
    named = [*(configuration.get("weights") or {}).values()]
    named.append((configuration.get("evaluation") or {}).get("classifier"))
    named = [str(place) for place in named if place]
    found: dict[str, dict] = {}
    for record in records:
        for entry in _inputs(record):
            path = str(entry["path"])
            configured = any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in named)
            if Path(path).suffix in WEIGHTS or configured:
                row = found.setdefault(path, {"path": path, "size": None, "sha256": "", "rules": []})
                row["size"] = row["size"] or entry.get("size")
                row["sha256"] = row["sha256"] or entry.get("sha256") or ""
                if record["rule"] and record["rule"] not in row["rules"]:
                    row["rules"].append(record["rule"])
    return [found[path] for path in sorted(found)]


def _libraries(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Library -> the versions that the jobs ran with."""
    found: dict[str, set[str]] = {}
    for record in records:
        versions = record.get("versions")
        for name, version in versions.items() if isinstance(versions, Mapping) else ():
            found.setdefault(str(name), set()).add(str(version))
    return [(name, sorted(versions)) for name, versions in sorted(found.items())]
