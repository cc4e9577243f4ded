"""The one exception for what a user can mend."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


LONGEST = 1000  # characters of a message

_quoting = reprlib.Repr()
_quoting.maxlevel = 2
_quoting.maxstring = _quoting.maxother = _quoting.maxlong = 120


class InputError(Exception):
    """A file, table or setting of the user's is not what it must be.

    The message is one sentence (two at most) with the file, what was expected, what was found and what
    to do; programs print it without a traceback. Whatever a broken file or a library brings into it, it
    stays one line of printable characters, cut in the middle where it is very long.
    """

    def __init__(self, message: str):
        line = " ".join(message.split())
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - 300]} [...] {line[-280:]}"
        super().__init__(line)


def quoted(value: Any) -> str:
    """What was found, for a message: its repr, of large values only the beginning."""
    return _quoting.repr(value)


def first_mistake(error: ValidationError) -> str:
    """The first mistake that pydantic found, as the end of a sentence: where, what, and what was found."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place}"
    found = "" if first["type"] in ("missing", "value_error") else f", found {quoted(first['input'])}"
    reason = first["msg"].removeprefix("Value error, ") + found
    return f"{place}: {reason}" if place else reason
