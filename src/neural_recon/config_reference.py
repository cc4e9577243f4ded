"""What is written down of the configuration: its schema, and the table of its keys.

`python -m neural_recon.config_reference` writes both again.
"""

import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from neural_recon.config import Config
from neural_recon.config_sections import Section, Subject
from neural_recon.files import write_text

SCHEMA, README = Path("workflow/schemas/config.schema.json"), Path("config/README.md")


def key_table() -> str:
    """Every key with its default and meaning, as a Markdown table (for config/README.md)."""
    lines = ["| key | default | meaning |", "|---|---|---|"]

    def add(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            section = _section(field.annotation)
            # subjects maps names to sections
            key = f"{prefix}{name}" + (".SUBJECT" if section is Subject else "")
            if section is not None:
                add(section, f"{key}.")
                continue
            value = "" if field.is_required() else f"`{json.dumps(field.get_default())}`"
            lines.append(f"| `{key}` | {value} | {field.description or ''} |")

    add(Config, "")
    return "\n".join(lines)


def _section(annotation: Any) -> type[Section] | None:
    """The section that a field holds: itself, in a mapping, or optionally."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def main() -> None:
    """Write both again."""
    write_text(SCHEMA, json.dumps(Config.model_json_schema(), indent=2) + "\n")
    head = README.read_text(encoding="utf-8").split("| key |")[0]
    write_text(README, head + key_table() + "\n")


if __name__ == "__main__":
    main()
