"""Kinds of a seam: found by name or path, and the sections of a configuration checked by them."""

import re
import sys
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import ValidationError

from neural_recon.core.errors import InputError
from neural_recon.core.kinds import Kinds, KindSettings, Section


class Thing(ABC):
    class Settings(KindSettings):
        size: int = 1

    @abstractmethod
    def work(self): ...


ROUND = """
from seam import Thing

class Round(Thing):
    class Settings(Thing.Settings):
        radius: float

    def work(self):
        return "round"
"""
PLAIN = "from seam import Thing\n\nclass Plain(Thing):\n    def work(self):\n        return 'plain'\n"


@pytest.fixture
def kinds(tmp_path, monkeypatch) -> Kinds:
    """A seam with the kinds plain and round."""
    seam = ModuleType("seam")
    seam.Thing = Thing
    monkeypatch.setitem(sys.modules, "seam", seam)
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "some_things"
    package.mkdir()
    for name, text in (("__init__", ""), ("round", ROUND), ("plain", PLAIN)):
        (package / f"{name}.py").write_text(text)
    yield Kinds("a thing", Thing, "some_things")
    for name in [name for name in sys.modules if name.startswith("some_things")]:
        del sys.modules[name]


def test_kinds_that_come_along_are_modules_of_the_package(kinds, tmp_path):
    assert kinds.names == ["plain", "round"]
    assert kinds.load("round")().work() == "round"
    assert kinds.file("round") == tmp_path / "some_things/round.py"


def test_a_path_names_somebody_s_own(kinds, tmp_path):
    own = tmp_path / "a folder/own.py"
    own.parent.mkdir()
    own.write_text(PLAIN.replace("plain", "own"))
    assert kinds.load(str(own))().work() == "own"
    assert kinds.load(str(own)) is kinds.load(str(own))
    assert kinds.file(str(own)) == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "expected the module of a thing, found no such file"),
        ("def broken(:", "expected a module that Python can import, found SyntaxError"),
        ("1 / 0", "found ZeroDivisionError: division by zero"),
        ("", r"expected one class that derives from .*Thing and has all its methods, found 0"),
        (PLAIN + PLAIN.replace("Plain", "Other"), "found 2"),
        ("from seam import Thing\nclass Half(Thing): pass\n", "found 0"),  # lacks a method
    ],
)
def test_what_is_no_kind_is_refused(kinds, tmp_path, text, said):
    own = tmp_path / "own.py"
    if text is not None:
        own.write_text(text)
    with pytest.raises(InputError, match=re.escape(str(own)) + ": .*" + said):
        kinds.load(str(own))


def test_an_unknown_name_says_which_there_are(kinds):
    with pytest.raises(
        InputError, match=r"expected a thing, one of plain, round, or the path .* found 'square'"
    ):
        kinds.load("square")


def test_a_section_is_checked_by_its_kind(kinds):
    class Config(Section):
        one: Annotated[Thing.Settings, kinds]
        several: dict[str, Annotated[Thing.Settings, kinds]] = {}  # noqa: RUF012

    raw = {"one": {"kind": "round", "radius": 2}, "several": {"a": {"kind": "plain", "size": 3}}}
    config = Config.model_validate(raw)
    assert config.one.radius == 2
    assert config.model_dump(mode="json") == {
        "one": {"kind": "round", "size": 1, "radius": 2.0},
        "several": {"a": {"kind": "plain", "size": 3}},
    }
    assert Config.model_validate(config.model_dump()) == config

    def places(raw) -> dict[tuple, str]:
        with pytest.raises(ValidationError) as caught:
            Config.model_validate(raw)
        return {one["loc"]: one["msg"] for one in caught.value.errors()}

    found = places({"one": {"kind": "plain", "radius": 1}, "several": {"a": {"kind": "round"}}})
    assert set(found) == {("one", "radius"), ("several", "a", "radius")}
    for raw in ({"one": {}}, {"one": {"kind": 3}}, {"one": "round"}, {"one": None}):
        assert "expected the key kind, a thing: one of plain, round" in places(raw)[("one",)]
    assert "found 'square'" in places({"one": {"kind": "square"}})[("one",)]
    schema = Config.model_json_schema()["properties"]["one"]["anyOf"]
    assert [one["properties"]["kind"].get("const") for one in schema] == ["plain", "round", None]
