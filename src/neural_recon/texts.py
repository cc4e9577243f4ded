"""Text, YAML and JSON files that people and other programs write: read whole, or one sentence."""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from neural_recon.errors import InputError

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
        raise InputError(f"{path}: expected {what}, found no such file ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected {what} in UTF-8, found other bytes ({error}).") from error
    if len(text) > largest:
        raise InputError(f"{path}: expected {what} of at most {largest} characters, found more.")
    return text


def read_json(path: str | os.PathLike[str], what: str, largest: int = LARGEST) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: as of `read_text`, or the text does not parse.
    """
    text = read_text(path, what, largest)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected {what} as JSON text, found one that does not parse "
            f"({type(error).__name__}: {error})."
        ) from error


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
    except Exception as error:  # beside its own, whatever a value such as 2001-99-99 raises where it is made
        raise InputError(
            f"{path}: expected YAML for {what}, found text that does not parse "
            f"({type(error).__name__}: {error})."
        ) from error
