"""Work that continues while other work is done."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Pass the items on, each made in a thread of its own while the one before it is used.

    Helps where both sides let go of the interpreter's lock: files, large copies, linear algebra. An error
    comes up where its item would have.
    """
    iterator = iter(items)

    def following() -> list[T]:
        return list(islice(iterator, 1))  # none at the end

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(following)
        while item := coming.result():
            coming = thread.submit(following)
            yield from item
