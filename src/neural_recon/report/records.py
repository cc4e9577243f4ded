"""What made the results shown: records alongside them, the command, time and memory."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from neural_recon.report import results


def section(
    provenance: str | Path | None,
    benchmarks: str | Path | None,
    configuration: Mapping[str, Any],
    subjects: Collection[str],
) -> dict[str, Any]:
    """The section "How it was made".

    Args:
        provenance: folder with a JSON file a result, written by the jobs; None without.
        benchmarks: folder of Snakemake's benchmark files; None leaves the times out.
        configuration: the resolved configuration, plain values.
        subjects: those shown.
    """
    every = configuration.get("subjects", {})
    records = _records(provenance, subjects, every)
    return {
        "configuration": yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True),
        "commands": _commands(configuration),
        "weights": _weights(records),
        "records": sorted(records, key=lambda record: record["path"]),
        "libraries": _libraries(records),
        "versions": results.versions(),
        "benchmarks": results.benchmarks(benchmarks, subjects, every),
    }


def _commands(configuration: Mapping[str, Any]) -> list[str]:
    """What makes these results from the configuration on this page, saved as report.yaml."""
    targets = [[]] if configuration.get("demo") is not None else [["fetch"], []]
    return [" ".join(["snakemake --configfile report.yaml --cores 2", *words]) for words in targets]


def _records(
    folder: str | Path | None, shown: Collection[str], subjects: Collection[str]
) -> list[dict[str, Any]]:
    """The jobs' records of the results of subjects shown and of those of no particular one."""
    if folder is None or not Path(folder).is_dir():
        return []
    found = []
    for path in sorted(Path(folder).rglob("*.json")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if results.of_others(name, shown, subjects):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            output, made = record["output"], record["made_by"]
            found.append(
                {
                    "path": str(output["path"]),
                    "size": output.get("size"),
                    "sha256": output.get("sha256") or "",
                    "rule": str(made.get("rule", "")),
                    "seed": made.get("seed"),
                    "inputs": list(made.get("inputs") or []),
                    "versions": dict(made.get("versions") or {}),
                }
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # no record of a result: a damaged one says nothing, configurations lie there too
    return found


def _weights(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The weight files that the jobs read, with size, hash and the rules that read them."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        for entry in record["inputs"]:
            if entry.get("of") != "weights":
                continue
            row = found.setdefault(entry["path"], {"path": entry["path"], "rules": []})
            row |= {"size": entry.get("size"), "sha256": entry.get("sha256") or ""}
            if record["rule"] not in row["rules"]:
                row["rules"].append(record["rule"])
    return [found[path] for path in sorted(found)]


def _libraries(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Library -> the versions that the jobs ran with; neural-recon and its commit, and Python, among them."""
    found: dict[str, set[str]] = {}
    for record in records:
        versions = record["versions"]
        for name, version in {**versions, **(versions.get("packages") or {})}.items():
            if isinstance(version, str):
                found.setdefault(name.replace("_", "-"), set()).add(version)
    return [(name, sorted(versions)) for name, versions in sorted(found.items())]
