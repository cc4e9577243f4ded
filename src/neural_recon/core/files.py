"""Files that appear only when whole."""

import contextlib
import glob
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from neural_recon.core.refusals import refusals_named

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path alongside `path`; rename it to `path` when the block ends without error.

    The temporary file ends in the same suffix, keeps to the same file system, is flushed to disk
    before the rename, and is removed when the block fails. The folder itself is not flushed: should a power
    failure undo the rename, the old file or none is there, which Snakemake sees, and never a half one; on
    network shares the server renames before it answers.

    Raises:
        InputError: the disk is full, or a quota; or one may not write there.
    """
    path = Path(path)
    temporary = part_of(path)
    try:
        with refusals_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
        logger.info("-> %s", path)
    finally:
        with contextlib.suppress(OSError):  # where it could not be made, or the share went away
            temporary.unlink()


def part_of(path: Path) -> Path:
    """A name alongside `path` that no other writer has, on whatever host: process numbers repeat there."""
    return path.with_name(f".part-{secrets.token_hex(6)}-{path.name}")


def remove_parts(path: Path) -> None:
    """Remove what killed writers of `path` left alongside it.

    Only for who is sure that nobody else is to write `path` now: a writer that still runs ends with an error.
    """
    for part in path.parent.glob(f".part-{'[0-9a-f]' * 12}-{glob.escape(path.name)}"):
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        logger.warning("removed what a killed job left: %s", part)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
