"""What all fetches share, whatever server they ask: what has arrived is kept until the file is whole.

It stays in a file `.part-NAME` alongside the final one, which appears only when it is whole and checked.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from neural_recon.core.errors import InputError
from neural_recon.core.refusals import FULL, number_of, writing_refused

logger = logging.getLogger(__name__)

CONNECT, READ = 20, 60  # seconds: to connect, and between two packets
BLOCK = 1 << 20  # bytes
STEP = 5  # per cent between two lines of the log
ADVICE = "try again (it continues where it stopped), or put the file there by hand"


def part_file(destination: Path) -> Path:
    """Where the parts of a file gather; its folder is made."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    return destination.with_name(f".part-{destination.name}")


def append(part: Path, blocks: Iterable[bytes], have: int, total: int | None, source: str) -> None:
    """Write what arrives from `source` behind the `have` bytes that are there; 0: from the start.

    Raises:
        InputError: the disk has no room for `total` bytes.
        OSError: the disk refuses.
    """
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise InputError(
            f"{part.parent}: expected {(total - have) / 1e9:.2f} GB free for {source}, found "
            f"{free / 1e9:.2f} GB; make room and try again."
        )
    logger.info("%s: %s of %s bytes are here", source, have, total or "unknown")
    with part.open("ab" if have else "wb") as file:
        for block in _logged(blocks, have, total):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _logged(blocks: Iterable[bytes], have: int, total: int | None) -> Iterator[bytes]:
    """The blocks, with a line in the log every few per cent."""
    said = 100 * have // total if total else 0
    for block in blocks:
        yield block
        have += len(block)
        if total and (percent := 100 * have // total) >= said + STEP:
            said = percent
            logger.info("%d %% of %.2f GB", percent, total / 1e9)


def failing_connection(destination: Path, source: str, error: BaseException) -> InputError:
    """The sentence for a server that cannot be reached or stops sending."""
    return InputError(
        f"{destination}: expected to fetch {source}, found the connection failing ({reason(error)}); "
        f"{ADVICE}."
    )


def refusing_disk(destination: Path, error: OSError) -> InputError:
    """The sentence for a disk that is full or cannot be written."""
    if number_of(error) not in FULL and (said := writing_refused(destination, error)):
        return said
    return InputError(
        f"{destination}: expected to write it, found that the disk refuses ({error.strerror}); "
        "make room and try again (it continues where it stopped)."
    )


def wrong_size(destination: Path, source: str, expected: int, found: int) -> InputError:
    """The sentence for a file of another size than announced."""
    return InputError(f"{destination}: expected {expected} bytes from {source}, found {found}; {ADVICE}.")


def wrong_checksum(destination: Path, source: str, kind: str, expected: str, found: str) -> InputError:
    """The sentence for a file with other bytes than announced."""
    return InputError(
        f"{destination}: expected the {kind} {expected} from {source}, found {found}; "
        "the file was removed: try again, or put the right one there by hand."
    )


def reason(error: BaseException) -> str:
    """The innermost cause, which says more than what it is wrapped in."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
