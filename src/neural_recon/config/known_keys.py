"""The keys that a configuration can have: of a model of sections, with those of all kinds that come along."""

import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from neural_recon.core.kinds import Kinds, Section

Place = tuple[str | int, ...]
# what stands for the names in sections that map names to sections
NAMES = {"subjects": "SUBJECT", "spaces": "SPACE", "generalisation": "NAME"}


class Key(NamedTuple):
    """A key of the configuration.

    Attributes:
        place: the sections above it and its name, with `NAMES` for names that are the user's.
        field: pydantic's.
        is_section: whether keys lie below it.
        kinds: of a key that only some kinds of a seam have, these.
    """

    place: Place
    field: FieldInfo
    is_section: bool
    kinds: tuple[str, ...] = ()


def known_keys(model: type[BaseModel], above: Place = ()) -> Iterator[Key]:
    """Every key there is, of all kinds that come along."""
    for name, field in model.model_fields.items():
        section, kinds = section_of(field), kinds_of(field)
        yield Key((*above, name), field, section is not None)
        below = (*above, name, *([NAMES[name]] if name in NAMES else []))
        if kinds is not None and above:
            continue  # a data set within a section has the keys of the section dataset
        if kinds is not None:
            yield from _keys_of_kinds(kinds, below)
        elif section is not None:
            yield from known_keys(section, below)


def _keys_of_kinds(kinds: Kinds, above: Place) -> Iterator[Key]:
    """The keys of a section that depends on its kind, with the kinds that have it: one that differs between
    kinds in default or meaning for each of these."""
    found: dict[tuple[Place, str, str | None], list[tuple[str, Key]]] = {}
    for name in kinds.names:
        for key in known_keys(kinds.section(name), above):
            same = (key.place, repr(key.field.default), key.field.description)
            found.setdefault(same, []).append((name, key))
    order = {place: n for n, (place, *_) in enumerate(found)}
    for _, having in sorted(found.items(), key=lambda one: order[one[0][0]]):
        names, (key, *_) = zip(*having, strict=True)
        yield key if len(names) == len(kinds.names) else key._replace(kinds=names)


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds: itself, in a mapping, or optionally. Of several kinds what all have."""
    return next(
        (one for one in _within(field.annotation) if isinstance(one, type) and issubclass(one, Section)), None
    )


def kinds_of(field: FieldInfo) -> Kinds | None:
    """The kinds that a field's section may be of; None for a section that has no kinds."""
    return next(
        (one for one in (*field.metadata, *_within(field.annotation)) if isinstance(one, Kinds)), None
    )


def _within(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: itself, and all that stands within its brackets."""
    yield annotation
    for part in get_args(annotation):
        yield from _within(part)


def nearest(place: Place, model: type[BaseModel]) -> str | None:
    """What somebody meant who wrote a key that there is not: one like it in its section, or its namesakes."""
    *above, name = (str(part) for part in place)
    named = above[:1] and above[0] in NAMES and above[1:]
    section = (above[0], NAMES[above[0]], *above[2:]) if named else tuple(above)
    known = [key.place for key in known_keys(model)]
    beside = difflib.get_close_matches(name, [str(key[-1]) for key in known if key[:-1] == section], 1)
    if beside:
        return ".".join([*above, beside[0]])
    return " or ".join(".".join(map(str, key)) for key in known if key[-1] == name) or None
