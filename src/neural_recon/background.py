"""Work that goes on while other work is done."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Pass the items on, each made in a thread of its own while the one before it is used.

    Helps where both sides let go of the interpreter's lock: files, large copies, linear algebra. An error
    comes up where its item would have.
    """
    end = object()
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, iterator, end)
            yield item
