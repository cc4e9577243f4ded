"""The one exception for what a user can mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(Exception):
    """A file, table or setting of the user's is not what it must be.

    The message is one sentence (two at most) with the file, what was expected, what was found and what
    to do; programs print it without a traceback.
    """


def first_mistake(error: ValidationError) -> str:
    """The first mistake that pydantic found, as the end of a sentence: where, what, and what was found."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place}"
    found = "" if first["type"] in ("missing", "value_error") else f", found {first['input']!r}"
    reason = first["msg"].removeprefix("Value error, ") + found
    return f"{place}: {reason}" if place else reason
