"""What is written down of the configuration: schema, table of keys, and a commented file to begin with.

`python -m neural_recon.config.reference` writes schema and table again, `neural-recon config write` the file.
"""

import json
import re
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel

from neural_recon import datasets
from neural_recon.config.configuration import Config, read_raw, resolve
from neural_recon.config.known_keys import NAMES, kinds_of, known_keys, section_of
from neural_recon.config.recipe_files import RECIPE
from neural_recon.config.sections import Captioner, Generalisation
from neural_recon.core.errors import InputError
from neural_recon.core.files import write_text
from neural_recon.datasets.dataset import Found

SCHEMA, README = Path("workflow/schemas/config.schema.json"), Path("config/README.md")
START = Path("config/nsd.yaml")  # whose values a new configuration begins with
SMALL_START = Path("config/demo.yaml")  # the same with small models
WITHOUT_TEXT = {False: "kandinsky", True: "kandinsky_small"}  # recipes for data without captions, by size
WIDTH = 100
HEAD = """\
# A configuration of neural-recon for {data}: every key with its meaning, what it may be
# and its default.
# Look at the lines marked {marked}. Then, in the project's folder:
#     neural-recon config validate {path}
#     neural-recon doctor --configfile {path}
#     snakemake --configfile {path} --cores 8 -n
# Sections behind "# " are filled by the recipe, with the values shown. To set one of these otherwise, take
# the "# " away from its line and from the names of the sections above it. To have {offered},
# which no recipe fills, take it away from the whole section.
"""
# sections that are left out, and what they are shown with
OTHER_SESSIONS = {
    "kind": "table",
    "folder": "lab_later",
    "betas": "{subject}_{session}_betas.nii.gz",
    "units": "percent",
}
OFFERED: dict[str, Any] = {
    "captioner": Captioner().model_dump(),
    "generalisation": {
        "later": {
            name: OTHER_SESSIONS if field.is_required() else field.get_default()
            for name, field in Generalisation.model_fields.items()
        }
    },
}


def key_table() -> str:
    """Every key with its default and meaning, as a Markdown table (for config/README.md)."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for place, field, is_section, kinds in known_keys(Config):
        nested = len(place) > 1 and kinds_of(field) is not None  # whose keys are those of the section outside
        if not is_section or nested:
            value = "" if field.is_required() else f"`{json.dumps(field.get_default())}`"
            of = f" ({', '.join(kinds)})" if kinds else ""
            lines.append(f"| `{'.'.join(map(str, place))}` | {value} | {field.description or ''}{of} |")
    return "\n".join(lines)


def write_template(path: Path, folder: Path) -> None:
    """Write a commented configuration for NSD with every key but the demo's.

    Args:
        path: of the new file; results, logs and benchmarks go to folders of its name.
        folder: the project's, where the recipes lie.

    Raises:
        InputError: the file exists or does not end in .yaml, or `folder` is not the project's.
    """
    _write(path, folder, read_raw(folder / START), None)


def write_found(
    path: Path, folder: Path, found: Found, small: bool, recipe: str | None = None, name: str | None = None
) -> None:
    """Write a commented configuration for a data set that was looked at, what is to be checked marked.

    Args:
        path, folder: as of `write_template`.
        small: with the small models that come along, for a first look.
        recipe: instead of that of the configuration that it begins with.
        name: of the folders of results; default: the file's.

    Raises:
        InputError: as of `write_template`, or the recipe needs what the data set lacks.
    """
    start = read_raw(folder / (SMALL_START if small else START))
    judge = ("classifier", "scenes")  # of the demo's own pictures
    raw: dict[str, Any] = {
        "recipe": recipe or start["recipe"],
        "dataset": found.settings,
        "subjects": {name: {} for name in found.subjects},
        "split": found.split,
        "evaluation": {key: value for key, value in start["evaluation"].items() if key not in judge},
        **found.others,
    }
    _write(path, folder, raw, found.notes, name)


def write_generalisation(path: Path, name: str, found: Found, how: Mapping[str, Any]) -> Path:
    """Write what tests the decoders of another configuration on a data set: a file to be given behind it.

    Args:
        name: of the section.
        how: the section but for the data set.
    """
    notes = "".join(f"# {key}: {note}\n" for key, note in found.notes.items())
    raw = {"generalisation": {name: {"dataset": found.settings, **how}}}
    write_text(
        path,
        f"{notes}# Decoders must be kept, which this says of ridge; of a network it is keep: true.\n"
        + yaml.safe_dump({"decoder": {"keep": "kernel"}, **raw}, sort_keys=False, allow_unicode=True),
    )
    return path


def _write(
    path: Path,
    folder: Path,
    raw: Mapping[str, Any],
    notes: Mapping[str, str] | None,
    name: str | None = None,
) -> None:
    """With notes these are marked; without, what has to be edited."""
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{path}: expected a name that ends in .yaml.")
    if path.exists():
        raise InputError(
            f"{path}: expected a new file, found one that exists; name another, or delete it first."
        )
    if not path.parent.is_dir():
        raise InputError(f"{path}: expected an existing folder, found no {path.parent}; make it first.")
    name = re.sub(r"[^\w.-]", "_", name or path.stem)  # braces would be wildcards
    places = {key: f"{key}/{name}" for key in ("results", "logs", "benchmarks")}
    values = resolve({**raw, "pathvars": places}, folder)
    data, marked = (
        ("the Natural Scenes Dataset", "EDIT, which have no default")
        if notes is None
        else ("data that were looked at", "CHECK: what they say was concluded from looks")
    )
    captions = "captions" in datasets.load(values).offers
    offered = [key for key in OFFERED if not values[key] and not (key == "captioner" and captions)]
    said = " or ".join(offered)
    lines = [HEAD.format(data=data, marked=marked, path=shlex.quote(str(path)), offered=said).rstrip()]
    for key, value in (values | {key: OFFERED[key] for key in offered}).items():
        comment = key in RECIPE or key in offered
        part = _key(Config, key, value, notes is None and not comment, values["dataset"]["kind"], notes or {})
        lines += ["", *(f"# {line}" if comment else line for line in part)] if part else []
    write_text(path, "\n".join(lines) + "\n")


def _key(
    model: type[BaseModel], name: str, value: Any, to_edit: bool, data: str, notes: Mapping[str, str]
) -> list[str]:
    """The lines of a key and of all below it, comments above each; `data` is the kind of the data set, which
    its subjects do not repeat, and `notes` say by key what is to be checked."""
    field = model.model_fields[name]
    section = section_of(field)
    if section is None:
        schema = model.model_json_schema()["properties"][name]
        text = field.description or ""
        if field.is_required() and to_edit:
            text = f"EDIT: {text}"
        default = "required" if field.is_required() else f"default: {_plain(field.get_default())}"
        check = _comment(f"CHECK: {notes[name]}.") if name in notes else []
        return [*_comment(text), *check, f"# [{_allowed(schema)}; {default}]", f"{name}: {_plain(value)}"]
    if value is None:
        return []  # the demo: nobody's data
    kinds = kinds_of(field)
    below = {key.removeprefix(f"{name}."): text for key, text in notes.items() if key.startswith(f"{name}.")}

    def keys(settings: Mapping[str, Any]) -> list[str]:
        of = kinds.section(settings.get("kind", data)) if kinds else section
        return [line for key, one in settings.items() for line in _key(of, key, one, to_edit, data, below)]

    if name not in NAMES:
        about = (section.__doc__ or "").splitlines()[0]
        return [*_comment(about), f"{name}:", *_indented(keys(value))]
    about = f"EDIT: {field.description}" if to_edit else field.description or ""
    lines = [*_comment(about), f"{name}:"]
    explained: set[str] = set()  # each kind's keys once
    for who, settings in value.items():
        kind = settings.get("kind", "")
        kept = [line for line in keys(settings) if kind not in explained or not line.startswith("#")]
        explained.add(kind)
        lines += _indented([f"{_plain(who)}:", *_indented(kept)])
    return lines


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _comment(text: str) -> list[str]:
    return [
        f"# {line}" for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    ]


def _plain(value: Any) -> str:
    """A value in one line of YAML."""
    return (
        yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
        .removesuffix("...\n")
        .strip()
    )


def _allowed(schema: Mapping[str, Any] | Literal[True]) -> str:
    """What a key may be, in a few words, from its JSON schema."""
    if schema is True:
        return "anything"
    if "anyOf" in schema:
        return " | ".join(_allowed(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    kind = schema["type"]
    if kind == "array":
        return f"list of: {_allowed(schema['items'])}"
    if kind == "object" and not {"additionalProperties", "patternProperties"} & set(schema):
        return "a section"
    if kind == "object":
        names = schema.get("propertyNames", {})
        ((_, values),) = (schema.get("patternProperties") or {"": schema["additionalProperties"]}).items()
        return f"{{{_allowed(names) if 'enum' in names else 'NAME'}: {_allowed(values)}}}"
    bounds = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"}
    said = [f"{word} {schema[bound]:g}" for bound, word in bounds.items() if bound in schema]
    words = {"boolean": "true | false", "string": "text", "integer": "whole number"}
    return " ".join([words.get(kind, kind), *said])


def main() -> None:
    """Write both again."""
    write_text(SCHEMA, json.dumps(Config.model_json_schema(), indent=2) + "\n")
    head = README.read_text(encoding="utf-8").split("| key |")[0]
    write_text(README, head + key_table() + "\n")


if __name__ == "__main__":
    main()
