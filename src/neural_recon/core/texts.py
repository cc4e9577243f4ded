"""Text, YAML and JSON files that people and other programs write: read whole, or one sentence."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import JSON, TEXT, another_kind
from neural_recon.core.refusals import refusal

LARGEST = 16 * 2**20  # characters; a tokenizer's vocabulary, the largest of these files, has one million
MOST_BRACKETS = 1000  # of YAML; what they cost grows with the square of how deep they lie


def read_text(path: str | os.PathLike[str], what: str, largest: int = LARGEST) -> str:
    """A UTF-8 text file, without the byte-order mark that some editors put in front.

    Args:
        what: the file is expected to be, for the message.
        largest: characters; more are an error, and are not read.

    Raises:
        InputError: the file is missing, no UTF-8, or too large.
    """
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            text = file.read(largest + 1)
    except OSError as error:
        unknown = InputError(f"{path}: expected {what}, found that it cannot be read ({error}).")
        raise (refusal(path, error, what) or unknown) from error
    except UnicodeDecodeError as error:
        other = InputError(f"{path}: expected {what} in UTF-8, found other bytes ({error}).")
        raise (another_kind(path, what, TEXT, JSON) or other) from error
    if len(text) > largest:
        raise InputError(f"{path}: expected {what} of at most {largest} characters, found more.")
    return text


def read_json(
    path: str | os.PathLike[str],
    what: str,
    largest: int = LARGEST,
    each: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """The content of a JSON file; what `each` makes of an object takes its place as soon as it is read.

    Raises:
        InputError: as of `read_text`, or the text does not parse.
    """
    text = read_text(path, what, largest)
    try:
        return json.loads(text, object_hook=each)
    except (ValueError, RecursionError) as error:
        broken = InputError(
            f"{path}: expected {what} as JSON text, found one that does not parse "
            f"({type(error).__name__}: {error})."
        )
        raise (another_kind(path, f"{what} as JSON text", JSON) or broken) from error


def read_yaml(path: str | os.PathLike[str], what: str) -> Any:
    """The content of a YAML file, of plain types only.

    Raises:
        InputError: as of `read_text`, or the text does not parse.
    """
    text = read_text(path, what)
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise InputError(f"{path}: expected {what} with at most {MOST_BRACKETS} brackets, found more.")
    try:
        return yaml.safe_load(text)
    except Exception as error:  # besides its own, whatever a value such as 2001-99-99 raises where it is made
        broken = InputError(
            f"{path}: expected YAML for {what}, found text that does not parse "
            f"({type(error).__name__}: {error})."
        )
        raise (another_kind(path, f"YAML for {what}", TEXT, JSON) or broken) from error


def natural(text: str) -> list[tuple[int, str]]:
    """What sorts names by the numbers in them: 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
