"""What a page calls images: as the data set does, or by their ids.

As with the spaces, a page is of one data set: `use` says once which names it has.
"""

from collections.abc import Callable, Iterable, Sequence

Names = Callable[[Sequence[int]], list[str] | None]  # `DataSet.image_names`


def _by_number(_ids: Sequence[int]) -> None:
    return None


_known: list[Names] = [_by_number]  # of the page that is being made


def use(names: Names | None) -> None:
    """Say what images are called on the pages made from now on; None: by their ids."""
    _known[:] = [names or _by_number]


def name(image_id: int) -> str | None:
    """What the data set calls an image; None: by its id."""
    return names([image_id]).get(image_id)


def names(image_ids: Iterable[int]) -> dict[int, str]:
    """image id -> name, of images whose name is not their id."""
    ids = list(image_ids)
    found = zip(ids, _known[0](ids) or (), strict=False)
    return {image_id: called for image_id, called in found if called != str(image_id)}


def title(image_id: int) -> str:
    """Above a card."""
    return name(image_id) or f"image {image_id}"


def said(image_id: int) -> str:
    """In a sentence."""
    return name(image_id) or f"image id {image_id}"
