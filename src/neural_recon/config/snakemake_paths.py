"""Paths that Snakemake cannot work with: it takes braces for wildcards, and <name> for a path variable."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neural_recon.core.errors import InputError, quoted


def fault(path: str | Path) -> str | None:
    """What is wrong with a path or name for Snakemake, as the middle of a sentence; None where nothing is."""
    if "{" in str(path) or "}" in str(path):
        wrong = "no braces, which Snakemake takes for wildcards"
    elif re.search("<.*>", str(path), re.DOTALL):
        wrong = "no <...>, which Snakemake takes for a path variable"
    else:
        return None
    return f"expected {wrong}, found {quoted(str(path))}; rename that"


def check(**paths: str | Path) -> None:
    """Raise an InputError on the first of these paths, by what they are, that has braces."""
    for what, path in paths.items():
        # its own path never stands where Snakemake looks for path variables
        if wrong := fault(str(path).replace("<", "")):
            raise InputError(f"{what.replace('_', ' ')}: {wrong} folder.")


def texts(section: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts of nested sections, paths and names alike: (dotted key, text); a key is a text, too."""
    if isinstance(section, str):
        yield key, section
    elif isinstance(section, Mapping):
        for name, value in section.items():
            place = f"{key}.{name}" if key else str(name)
            yield place, str(name)
            yield from texts(value, place)
    elif isinstance(section, list | tuple):
        for value in section:
            yield from texts(value, key)
