"""Fetch one file of published weights, going on where an earlier fetch was cut off.

What has arrived stays in a file `.part-NAME` beside the final one, which appears only when it is whole and
its size and sha256 are right. The hub's own downloader is not used: it drops what has arrived when it is
interrupted, which for gigabytes over a slow line is never to finish. Its offline switch (`HF_HUB_OFFLINE`)
keeps libraries from looking things up by themselves; here the configuration asked for the file, so it is
fetched all the same.
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import requests

from neural_recon import __version__
from neural_recon.errors import InputError
from neural_recon.weights import HUB, Download

logger = logging.getLogger(__name__)

TIMEOUT = (20, 60)  # seconds: to connect, and between two packets
BLOCK = 1 << 20  # bytes
STEP = 5  # per cent between two lines of the log
MEND = "try again (it goes on where it stopped), or put the file there by hand"


def fetch(download: Download, destination: Path) -> None:
    """Fetch a file to `destination`.

    Raises:
        InputError: the server cannot be reached or has no such file, the disk is full, or the file's size or
            sha256 is not the one that the table or the hub names.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f".part-{destination.name}")
    url = address(download)
    try:
        announced = _receive(url, _login(download), part, download.size)
    except requests.HTTPError as error:
        status = error.response.status_code
        login = ", which asks for a login: set HF_TOKEN" if status in (401, 403) else ""
        raise InputError(
            f"{destination}: expected to fetch {url}, found its server answering "
            f"{status} {error.response.reason}{login}; {MEND}."
        ) from error
    except requests.RequestException as error:
        raise InputError(
            f"{destination}: expected to fetch {url}, found the connection failing "
            f"({_reason(error)}); {MEND}."
        ) from error
    except OSError as error:
        raise InputError(
            f"{destination}: expected to write it, found that the disk refuses ({error.strerror}); "
            "make room and try again (it goes on where it stopped)."
        ) from error
    _check(part, destination, url, download.size, {download.sha256, announced} - {None})
    part.replace(destination)
    logger.info("-> %s", destination)


def address(download: Download) -> str:
    """The file's address; on the hub (or the one that HF_ENDPOINT names) that of its revision."""
    if not download.source.startswith(HUB):
        return download.source + download.path
    repository = download.source.removeprefix(HUB)
    return huggingface_hub.hf_hub_url(repository, download.path, revision=download.revision)


def _login(download: Download) -> dict[str, str]:
    token = huggingface_hub.get_token() if download.source.startswith(HUB) else None
    # requests takes it off again where the hub sends on to another host
    return {"Authorization": f"Bearer {token}"} if token else {}


def _receive(url: str, login: dict[str, str], part: Path, size: int | None) -> str | None:
    """Bring `part` to the whole file; returns the sha256 that the hub announces, if it does."""
    have = part.stat().st_size if part.exists() else 0
    # compressed on the way, a file would have another length than announced
    headers = {"User-Agent": f"neural-recon/{__version__}", "Accept-Encoding": "identity", **login}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        announced = _announced_sha256(response)
        if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{have}":
            return announced  # cut off after the last byte
        if response.status_code == 416:
            part.unlink()  # of another version of the file
        response.raise_for_status()
        if response.status_code != 206:
            have = 0  # a server that sends whole files only
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        if None not in (size, total) and size != total:
            raise InputError(
                f"{url}: expected {size} bytes, found a file of {total}; it is another version than the "
                "table's, so mend the table or name a file of yours under weights: in the configuration."
            )
        free = shutil.disk_usage(part.parent).free
        if total is not None and total - have > free:
            raise InputError(
                f"{part.parent}: expected {(total - have) / 1e9:.2f} GB free for {url}, found "
                f"{free / 1e9:.2f} GB; make room and try again."
            )
        logger.info("%s: %s of %s bytes are here", url, have, total or "unknown")
        with part.open("ab" if have else "wb") as file:
            for block in _logged(response.iter_content(BLOCK), have, total):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    return announced


def _logged(blocks: Iterator[bytes], have: int, total: int | None) -> Iterator[bytes]:
    """The blocks, with a line in the log every few per cent."""
    said = 100 * have // total if total else 0
    for block in blocks:
        yield block
        have += len(block)
        if total and (percent := 100 * have // total) >= said + STEP:
            said = percent
            logger.info("%d %% of %.2f GB", percent, total / 1e9)


def _announced_sha256(response: requests.Response) -> str | None:
    """The hub names large files by their sha256, before it sends on to where they lie."""
    for answer in (*response.history, response):
        tag = answer.headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"')
        if re.fullmatch("[0-9a-f]{64}", tag):
            return tag
    return None


def _check(part: Path, destination: Path, url: str, size: int | None, sha256: set[str]) -> None:
    """Raise unless the file has the size and the sha256 wanted; a wrong one is removed."""
    found = part.stat().st_size
    if size is not None and found != size:
        part.unlink()
        raise InputError(f"{destination}: expected {size} bytes from {url}, found {found}; {MEND}.")
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    logger.info("%d bytes, sha256 %s", found, digest)
    if wrong := sha256 - {digest}:
        part.unlink()
        raise InputError(
            f"{destination}: expected the sha256 {min(wrong)} from {url}, found {digest}; "
            "the file was removed: try again, or put the right one there by hand."
        )


def _reason(error: BaseException) -> str:
    """The innermost cause, which says more than what it is wrapped in."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
