"""The one exception for what a user can fix."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
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
    return _sentence(place, [_reason(first)], first)


def mistakes(error: ValidationError, data: Any) -> dict[tuple[str | int, ...], str]:
    """All mistakes that pydantic found in `data`, by place, each as the end of a sentence.

    Where a value may be of several kinds pydantic reports each kind that it is not: these are one mistake.
    """
    found: dict[tuple[str | int, ...], list[Any]] = {}
    for one in error.errors():
        found.setdefault(_place(one, data), []).append(one)
    # of a list that is none of the kinds, its members say more
    inner = {place[:length] for place in found for length in range(len(place))}
    sentences = {}
    for place, ones in found.items():
        name = ".".join(map(str, place))
        if ones[0]["type"] == "extra_forbidden":
            sentences[place] = f"unknown key {name}"
        elif place not in inner or ones[0]["type"] == "value_error":
            sentences[place] = _sentence(name, [_reason(one) for one in ones], ones[0])
    return sentences


def _place(one: Any, data: Any) -> tuple[str | int, ...]:
    """Where in `data` a mistake lies, without the names of kinds that pydantic adds."""
    place: list[str | int] = []
    for part in one["loc"]:
        if isinstance(data, Mapping | list) and part in (
            data if isinstance(data, Mapping) else range(len(data))
        ):
            data = data[part]
            place.append(part)
        elif one["type"] == "missing":
            place.append(part)
    return tuple(place)


def _reason(one: Any) -> str:
    return one["msg"].removeprefix("Value error, ")


def _sentence(place: str, reasons: list[str], one: Any) -> str:
    found = "" if one["type"] in ("missing", "value_error") else f", found {quoted(one['input'])}"
    reason = " or ".join(dict.fromkeys(reasons)) + found
    return f"{place}: {reason}" if place else reason
