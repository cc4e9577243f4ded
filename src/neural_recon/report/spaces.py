"""The recipe's feature spaces as a page names, orders and colours them.

A page is of one recipe: `use` says once which spaces it has. Of a space that the recipe does not describe the
name itself is shown.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from neural_recon.evaluation.registry import NEAREST, WRITTEN
from neural_recon.features.space import Described, described

# what else the tables of scores have in their column `picture`
PICTURES = ("final", "base", "baseline")
CAPTIONS = (NEAREST, WRITTEN)
# Okabe & Ito: told apart with any kind of colour vision
COLOURS = ("#E69F00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")

_known: dict[str, Described] = {}  # of the page that is being made


def use(spaces: Mapping[str, Any]) -> None:
    """Say which spaces the pages made from now on are about: the configuration's section `spaces`."""
    _known.clear()
    _known.update(described(spaces))


def is_space(picture: str) -> bool:
    """Whether a row of scores is of predicted features, not of pictures or captions."""
    return picture not in (*PICTURES, *CAPTIONS)


def title(space: str) -> str:
    """A space's name for people."""
    return _known[space].title if space in _known else space


def part(space: str) -> str:
    """What its parts are."""
    return _known[space].part if space in _known else "part"


def has_grid(space: str) -> bool:
    """Whether its parts but the first lie on a square grid over the picture."""
    return space in _known and _known[space].grid


def colour(space: str) -> str:
    """Its colour in plots: by its place in the recipe."""
    places = list(_known)
    return COLOURS[(places.index(space) if space in places else len(places)) % len(COLOURS)]


def ordered(found: Iterable[str]) -> list[str]:
    """Each space once, as the recipe has them; those it does not have last, as they come."""
    names = dict.fromkeys(found)
    known = [name for name in _known if name in names]
    return [*known, *(name for name in names if name not in known)]


def main(found: Iterable[str]) -> str:
    """Of some spaces the one to show where only one is: that says which pictures are alike."""
    names = ordered(found)
    return next((name for name in names if name in _known and _known[name].alike), next(iter(names), ""))
