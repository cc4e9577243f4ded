"""What a large file holds, as a short digest that takes little reading.

A copied or touched file has another time and the same content: only a new digest is to rerun what was
computed from it. Times would also miss a file that was replaced by one that is older than the results.
"""

import functools
import hashlib
import os
from pathlib import Path

from neural_recon.core.refusals import refusal

WHOLE = 64 * 2**20  # bytes: files up to this are read whole, and captions
BLOCKS, BLOCK = 64, 2**12  # of larger ones as many blocks, evenly spread, of so many bytes


def digest(path: str | os.PathLike[str]) -> str:
    """Digest of a file's size and content; empty where there is no file (it is still to be made).

    Of a file larger than 64 MiB 64 blocks of 4 KiB count, the first and last among them. A gzip file ends
    with the checksum of all that was compressed, so no change of it passes. An array of captions (.npy, of
    400 MB at most) is read whole: a corrected caption changes a few bytes and no size. In other large
    files a change in place that keeps the size and lies between the blocks passes. Of a folder the names and
    sizes of all files count, and the content of up to 64, evenly spread.
    """
    try:
        status = Path(path).stat()
        of = _of_folder if Path(path).is_dir() else _digest
        return of(os.fspath(path), status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise (refusal(path, error) or error) from error


@functools.cache
def _of_folder(path: str, _size: int, _changed: int) -> str:
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    sizes = [f"{file.relative_to(path).as_posix()} {file.stat().st_size}" for file in files]
    some = files[:: -(-len(files) // BLOCKS) or 1]
    return hashlib.sha256("\n".join([*sizes, *map(digest, some)]).encode()).hexdigest()[:16]


@functools.cache
def _digest(path: str, size: int, _changed: int) -> str:
    found = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as file:
        if size <= WHOLE or path.endswith(".npy"):
            while part := file.read(2**20):
                found.update(part)
        else:
            for index in range(BLOCKS):
                file.seek((size - BLOCK) * index // (BLOCKS - 1))
                found.update(file.read(BLOCK))
    return found.hexdigest()[:16]
