"""The kinds of a seam: one module per kind, found by the name that a configuration gives.

A kind that comes along is a module of the seam's package, named as its kind. One of somebody's own is a
Python file anywhere, named by its path (`kind: plugins/colour.py`): nothing here has to know of it.
"""

import functools
import hashlib
import importlib
import importlib.util
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.refusals import is_there


class WithoutTitles(GenerateJsonSchema):
    """JSON schemas whose keys have no title: it would say their name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


class Section(BaseModel):
    """A part of the configuration: typed, fixed once read, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        return super().model_json_schema(*args, **{"schema_generator": WithoutTitles, **options})


def as_released(section: Section, place: str) -> Iterator[str]:
    """The settings that take the way of a decoder's released code where the default here is another one:
    "PLACE.KEY: VALUE" each. A field names that way in its `json_schema_extra`, as `released`."""
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        value, way = getattr(section, name), extra.get("released") if isinstance(extra, Mapping) else None
        each = value if isinstance(value, Mapping) else {"": value}
        for key, one in each.items():
            where = ".".join(part for part in (place, name, key) if part)
            if isinstance(one, Section):
                yield from as_released(one, where)
            elif way is not None and one == way:
                yield f"{where}: {json.dumps(one) if isinstance(one, bool) else one}"


class KindSettings(Section):
    """What every kind's section has: its kind."""

    kind: str = Field(
        description="One of the kinds that come along, or the path of a module of your own (NAME.py)."
    )


@dataclass(frozen=True)
class Kinds:
    """All kinds of one seam; as a field's annotation for pydantic, the check of that field by its kind.

    Attributes:
        what: one of them, for sentences: "a feature space".
        interface: the abstract class that a kind's one class derives from. Its `Settings`, a `KindSettings`,
            is what all kinds are told; a kind that is told more derives a `Settings` of its own from it.
        package: where those lie that come along.
    """

    what: str
    interface: type
    package: str

    @property
    def names(self) -> list[str]:
        """Those that come along."""
        folder = Path(importlib.import_module(self.package).__file__ or "").parent
        return sorted(module.name for module in pkgutil.iter_modules([str(folder)]))

    def file(self, kind: str) -> Path:
        """The file of a kind's module.

        Raises:
            InputError: there is no such kind, or no such file.
        """
        if kind.endswith(".py"):
            if not is_there(kind, "a module"):
                raise InputError(f"{kind}: expected the module of {self.what}, found no such file.")
            return Path(kind)
        if kind not in self.names:
            raise InputError(
                f"kind: expected {self.what}, one of {', '.join(self.names)}, or the path of a module of "
                f"your own (NAME.py), found {quoted(kind)}."
            )
        return Path(importlib.import_module(self.package).__file__ or "").with_name(f"{kind}.py")

    def load(self, kind: str) -> Any:
        """The class of a kind.

        Raises:
            InputError: there is no such kind, or its module has not one class of this interface.
        """
        path = self.file(kind)
        own = kind.endswith(".py")
        module = _own_module(path.resolve()) if own else importlib.import_module(f"{self.package}.{kind}")
        every = {one for one in vars(module).values() if self._is_kind(one, module)}
        found = [one for one in every if not any(issubclass(other, one) for other in every - {one})]
        if len(found) != 1:
            raise InputError(
                f"{path}: expected one class that derives from {self.interface.__module__}."
                f"{self.interface.__name__} and has all its methods, found {len(found)}."
            )
        return found[0]

    def _is_kind(self, one: Any, module: ModuleType) -> bool:
        derived = inspect.isclass(one) and issubclass(one, self.interface) and not inspect.isabstract(one)
        return derived and one.__module__ == module.__name__

    def section(self, kind: str) -> type[Section]:
        """The type of a kind's section.

        Raises:
            InputError: there is no such kind.
        """
        return self.load(kind).Settings

    def settings(self, raw: Any) -> Any:
        """The settings that a section of the configuration gives, of the type that its kind has.

        Raises:
            ValueError: there is no such kind, or a setting is wrong (pydantic's `ValidationError` is one).
        """
        if isinstance(raw, KindSettings):
            return raw
        if not isinstance(raw, Mapping) or not isinstance(raw.get("kind"), str):
            raise ValueError(f"expected the key kind, {self.what}: one of {', '.join(self.names)}")
        try:
            section = self.section(raw["kind"])
        except InputError as error:
            raise ValueError(str(error).removesuffix(".")) from error
        return section.model_validate(raw)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        """Checked by the kind's own settings."""
        plain = core_schema.plain_serializer_function_ser_schema(lambda one: one.model_dump(mode="json"))
        return core_schema.no_info_plain_validator_function(self.settings, serialization=plain)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        """Any of the kinds that come along, or one of one's own."""
        kinds = [_schema_of(name, self.section(name)) for name in self.names]
        own = {"type": "object", "properties": {"kind": {"type": "string", "pattern": r"\.py$"}}}
        return {"anyOf": [*kinds, {**own, "required": ["kind"]}]}


def _schema_of(name: str, settings: type[Section]) -> dict[str, Any]:
    schema = settings.model_json_schema()
    plain = _inlined({**schema, "$defs": {}}, schema.get("$defs", {}))
    return {**plain, "properties": {**plain["properties"], "kind": {"const": name}}}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with what it refers to in the place of the references: it becomes a part of another one."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        named = definitions[schema["$ref"].rpartition("/")[2]]
        return _inlined({**named, **{key: one for key, one in schema.items() if key != "$ref"}}, definitions)
    return {key: _inlined(one, definitions) for key, one in schema.items() if key != "$defs"}


@functools.cache
def _own_module(path: Path) -> ModuleType:
    """Somebody's own module, run: its path was given in the configuration."""
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    described = importlib.util.spec_from_file_location(name, path)
    if described is None or described.loader is None:
        raise InputError(f"{path}: expected a Python module, found something else.")
    module = importlib.util.module_from_spec(described)
    sys.modules[name] = module  # dataclasses and pydantic look their module up
    try:
        described.loader.exec_module(module)
    except Exception as error:  # whatever somebody's code does
        del sys.modules[name]
        raise InputError(
            f"{path}: expected a module that Python can import, found {type(error).__name__}: {error}."
        ) from error
    return module
