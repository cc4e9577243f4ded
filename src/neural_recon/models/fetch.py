"""Fetch one file of published weights, or of a hub's data set, continuing where an earlier fetch was cut off.

The file appears only when it is whole and its size and sha256 are right. The hub's own downloader is not
used: it drops what has arrived when it is interrupted, which for gigabytes over a slow line is never to
finish. Its offline switch (`HF_HUB_OFFLINE`) keeps libraries from looking things up by themselves; here the
configuration asked for the file, so it is fetched all the same.
"""

import hashlib
import logging
import re
from pathlib import Path

import huggingface_hub
import requests

from neural_recon import __version__
from neural_recon.core import transfer
from neural_recon.core.errors import InputError
from neural_recon.models.weights import HUB, Download

logger = logging.getLogger(__name__)

DATASETS = "datasets/"  # before the name of a repository of data, as in the hub's addresses


def fetch(download: Download, destination: Path) -> None:
    """Fetch a file to `destination`.

    Raises:
        InputError: the server cannot be reached or has no such file, the disk is full, or the file's size or
            sha256 is not the one that the table or the hub names.
    """
    url = address(download)
    if download.terms:
        logger.warning("%s: %s", download.source, download.terms)
    try:
        part = transfer.part_file(destination)
        announced = _receive(url, _login(download), part, download.size)
    except requests.HTTPError as error:
        status = error.response.status_code
        login = ", which asks for a login: set HF_TOKEN" if status in (401, 403) else ""
        raise InputError(
            f"{destination}: expected to fetch {url}, found its server answering "
            f"{status} {error.response.reason}{login}; {transfer.ADVICE}."
        ) from error
    except requests.RequestException as error:
        raise transfer.failing_connection(destination, url, error) from error
    except OSError as error:
        raise transfer.refusing_disk(destination, error) from error
    sums = (download.sha256, download.sha256_begins, announced)
    _check(part, destination, url, download.size, {known for known in sums if known is not None})
    part.replace(destination)
    logger.info("-> %s", destination)


def address(download: Download) -> str:
    """The file's address; on the hub (or the one that HF_ENDPOINT names) that of its revision."""
    if not download.source.startswith(HUB):
        return download.source + download.path
    repository = download.source.removeprefix(HUB)
    kind = "dataset" if repository.startswith(DATASETS) else "model"
    return huggingface_hub.hf_hub_url(
        repository.removeprefix(DATASETS), download.path, repo_type=kind, revision=download.revision
    )


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
    with requests.get(
        url, headers=headers, stream=True, timeout=(transfer.CONNECT, transfer.READ)
    ) as response:
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
                "table's, so fix the table or name a file of yours under weights: in the configuration."
            )
        transfer.append(part, response.iter_content(transfer.BLOCK), have, total, url)
    return announced


def _announced_sha256(response: requests.Response) -> str | None:
    """The hub names large files by their sha256, before it sends on to where they lie."""
    for answer in (*response.history, response):
        tag = answer.headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"')
        if re.fullmatch("[0-9a-f]{64}", tag):
            return tag
    return None


def _check(part: Path, destination: Path, url: str, size: int | None, sha256: set[str]) -> None:
    """Raise unless the file has the size and the sha256 (or first digits) wanted; a wrong one is removed."""
    found = part.stat().st_size
    if size is not None and found != size:
        part.unlink()
        raise transfer.wrong_size(destination, url, size, found)
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    logger.info("%d bytes, sha256 %s", found, digest)
    if wrong := {wanted for wanted in sha256 if not digest.startswith(wanted)}:
        part.unlink()
        expected = min(wrong) if len(min(wrong)) == len(digest) else f"{min(wrong)}..."
        raise transfer.wrong_checksum(destination, url, "sha256", expected, digest)
