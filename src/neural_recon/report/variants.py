"""The variants of pictures, the run's own and its controls, as a page names, orders and colours them.

They are those of `generation.controls` and what the page's generator adds: `use` says once which that is. Of
a variant that is not listed the name itself is shown.
"""

from collections.abc import Mapping
from typing import Any

from neural_recon.generation.controls import CONTROLS, RUN, Control, Painted, by_name
from neural_recon.generation.generator import GENERATORS

BASE = "#E69F00"  # base images of the run's own
GREY = "#7d858e"  # what has no colour

_own: list[Control] = []  # of the page that is being made


def use(generator: Mapping[str, Any]) -> None:
    """Say whose pictures the pages made from now on show: the configuration's section `generator`."""
    _own[:] = GENERATORS.load(generator["kind"]).own_controls if "kind" in generator else ()


def listed() -> list[Control]:
    """The run's own pictures and every control, in the order of tables and plots."""
    return [RUN, *CONTROLS.values(), *_own]


def known(variant: str) -> Control:
    """What is known of a variant."""
    return by_name(variant, _own) or Control(variant, variant.replace("_", " "))


def label(variant: str) -> str:
    """Its name by itself."""
    return known(variant).title or variant


def colour(variant: str, picture: str) -> str:
    """Its colour in plots."""
    return BASE if (variant, picture) == (RUN.name, "base") else known(variant).colour or GREY


def place(variant: str) -> float:
    """Where it stands among others: other draws below the run's own, those that are not listed last."""
    names = [one.name for one in listed()]
    if variant in names:
        return names.index(variant)
    found = known(variant)
    return 0.5 if isinstance(found, Painted) and found.draw else len(names)


def on_cards() -> list[Control]:
    """Those that the gallery shows: first what knows the response to the image."""
    return sorted((one for one in listed() if one.card), key=lambda one: not one.response)
