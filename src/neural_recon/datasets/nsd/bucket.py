"""Fetch files from public buckets, as NSD's, without credentials: what has arrived is never asked for again.

A key of NSD's bucket is the file's path below `dataset.root`. boto3's own variables AWS_ENDPOINT_URL_S3 and
AWS_ENDPOINT_URL name a mirror instead.
"""

import base64
import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from neural_recon import __version__
from neural_recon.core import transfer
from neural_recon.core.errors import InputError

logger = logging.getLogger(__name__)

GB = 1e9


@dataclass(frozen=True)
class Bucket:
    """A public bucket; `lacking`: what to do about a file that it lacks, the end of a sentence."""

    name: str
    region: str
    lacking: str


NSD = Bucket(
    "natural-scenes-dataset",
    "us-east-2",
    "NSD does not have this combination of space, preparation, session, format or atlas: correct it in the "
    "configuration",
)


@dataclass(frozen=True)
class Object:
    """What the bucket says of a file: its size in bytes, and its ETag without quotes."""

    size: int
    etag: str


def listing(keys: Iterable[str]) -> dict[str, Object]:
    """Size and ETag of those keys that the bucket has: one request per folder.

    Raises:
        InputError: the bucket cannot be reached.
    """
    wanted = set(keys)
    found: dict[str, Object] = {}
    for folder in sorted({key.rpartition("/")[0] for key in wanted}):
        found |= {key: one for key, one in below(f"{folder}/", NSD, "/").items() if key in wanted}
    return found


def below(prefix: str, bucket: Bucket, delimiter: str = "") -> dict[str, Object]:
    """Size and ETag of the keys of a bucket that begin with a prefix.

    Args:
        delimiter: "/": those of the folder alone.

    Raises:
        InputError: the bucket cannot be reached.
    """
    found: dict[str, Object] = {}
    try:
        # asked before a run, perhaps where there is no network at all: not for long
        pages = _client(bucket, attempts=2, connect=5).get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket.name, Prefix=prefix, Delimiter=delimiter):
            for row in page.get("Contents", []):
                found[row["Key"]] = Object(row["Size"], row["ETag"].strip('"'))
    except (BotoCoreError, ClientError) as error:
        raise InputError(
            f"s3://{bucket.name}: expected to list it, found no answer ({transfer.reason(error)})."
        ) from error
    return found


def summary(missing: Mapping[str, Path]) -> list[str]:
    """What there is to fetch, to be said before a run: a line per subject, and one in all.

    Where the bucket cannot be reached, one line says so.

    Raises:
        InputError: the bucket lacks one of the files.
    """
    try:
        known = listing(missing)
    except InputError as error:
        return [f"NSD, to fetch: {_count(len(missing))}, of how many gigabytes is not known: {error}"]
    sums = still_to_fetch(missing, known)
    files, size = (sum(column) for column in zip(*(both for _, both in sums), strict=True))
    rows = [*sums, ("in all", (files, size))]
    return [f"NSD, to fetch: {owner} {size / GB:.2f} GB in {_count(files)}" for owner, (files, size) in rows]


def _count(files: int) -> str:
    return f"{files} file" + ("s" if files != 1 else "")


def still_to_fetch(
    missing: Mapping[str, Path], known: Mapping[str, Object]
) -> list[tuple[str, tuple[int, int]]]:
    """Owner ("shared" or a subject), and the number of files and of bytes still to be fetched for it.

    Args:
        missing: where the missing files go, by key; what has arrived of them does not count.
        known: what the bucket has of them.

    Raises:
        InputError: the bucket lacks one of them.
    """
    absent = [key for key in missing if key not in known]
    if absent:
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        raise _no_object(missing[absent[0]], absent[0], NSD, more)
    sums: dict[str, tuple[int, int]] = {}
    for key, path in missing.items():
        part = path.with_name(f".part-{path.name}")
        have = part.stat().st_size if part.is_file() else 0
        subject = re.search("subj0[1-8]", key)
        owner = subject[0] if subject else "shared"
        files, size = sums.get(owner, (0, 0))
        sums[owner] = files + 1, size + max(0, known[key].size - have)
    return sorted(sums.items())


def fetch_object(key: str, destination: Path, bucket: Bucket = NSD) -> None:
    """Fetch one file of a bucket to `destination`, which appears only when size and checksum are right.

    Raises:
        InputError: the bucket cannot be reached or has no such file, the disk is full, or what arrived is
            not what the bucket announced (it is removed then).
    """
    source = f"s3://{bucket.name}/{key}"
    try:
        client = _client(bucket)
        head = client.head_object(Bucket=bucket.name, Key=key, ChecksumMode="ENABLED")
        part = transfer.part_file(destination)
        _receive(client, bucket, key, head, part, source)
        _check(client, bucket, key, head, part, destination, source)
        part.replace(destination)
    except ClientError as error:
        raise _refusal(destination, key, bucket, error) from error
    except BotoCoreError as error:
        raise transfer.failing_connection(destination, source, error) from error
    except OSError as error:
        raise transfer.refusing_disk(destination, error) from error
    logger.info("-> %s", destination)


def _client(bucket: Bucket, attempts: int = 5, connect: float = transfer.CONNECT) -> Any:
    """An S3 client that signs nothing."""
    # a mirror's bucket is a folder of its address, as its host name is not known to have subdomains
    mirror = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} & set(os.environ)
    settings = Config(
        region_name=bucket.region,
        signature_version=UNSIGNED,
        connect_timeout=connect,
        read_timeout=transfer.READ,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path" if mirror else "auto"},
        # checked here, whole, however many pieces it came in
        response_checksum_validation="when_required",
        user_agent_extra=f"neural-recon/{__version__}",
    )
    try:
        return boto3.client("s3", config=settings)
    except ValueError as error:
        raise InputError(
            f"AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL: expected an address such as http://mirror:9000, {error}."
        ) from error


def _receive(client: Any, bucket: Bucket, key: str, head: Mapping[str, Any], part: Path, source: str) -> None:
    """Bring `part` to the size that the bucket announced, however often the connection drops on the way."""
    size = head["ContentLength"]
    if part.exists() and part.stat().st_size > size:
        part.unlink()  # of another version of the file
    part.touch()
    while (have := part.stat().st_size) < size:
        try:
            _receive_rest(client, bucket, key, head["ETag"], part, have, size, source)
            return
        except BotoCoreError as error:
            if part.stat().st_size <= have:
                raise  # nothing comes any more: the rule waits and tries again, or a person does
            logger.warning("the connection dropped (%s)", transfer.reason(error))


def _receive_rest(
    client: Any, bucket: Bucket, key: str, etag: str, part: Path, have: int, size: int, source: str
) -> None:
    """Ask once for what is missing."""
    wanted = {"Range": f"bytes={have}-"} if have else {}
    # the rest of another version than the one announced would spoil hours of what is here
    response = client.get_object(Bucket=bucket.name, Key=key, IfMatch=etag, **wanted)
    if response["ResponseMetadata"]["HTTPStatusCode"] != 206:
        have = 0  # a mirror that sends whole files only
    with contextlib.closing(response["Body"]) as body:
        transfer.append(part, body.iter_chunks(transfer.BLOCK), have, size, source)


def _check(
    client: Any, bucket: Bucket, key: str, head: Mapping[str, Any], part: Path, destination: Path, source: str
) -> None:
    """Raise unless the part file has the size and the checksum announced; a wrong one is removed."""
    size, found = head["ContentLength"], part.stat().st_size
    if found != size:
        part.unlink()
        raise transfer.wrong_size(destination, source, size, found)
    kind, expected, computed = _checksums(client, bucket, key, head, part)
    logger.info("%d bytes, %s %s", found, kind, computed)
    if computed != expected:
        part.unlink()
        raise transfer.wrong_checksum(destination, source, kind, expected, computed)


def _checksums(
    client: Any, bucket: Bucket, key: str, head: Mapping[str, Any], part: Path
) -> tuple[str, str, str]:
    """Kind of the checksum, the one announced, and the part file's; all empty where the store has none."""
    sha256 = head.get("ChecksumSHA256", "-")
    if "-" not in sha256:  # else it is one of the parts' checksums
        with part.open("rb") as file:
            return "sha256", base64.b64decode(sha256).hex(), hashlib.file_digest(file, "sha256").hexdigest()
    size, etag = head["ContentLength"], head["ETag"].strip('"')
    sizes = [size] if re.fullmatch("[0-9a-f]{32}", etag) else _part_sizes(client, bucket, key, size, etag)
    if not sizes:
        logger.warning("ETag %s is no checksum that can be compared: only the size was", etag)
        return "", "", ""
    return "ETag", etag, file_etag(part, sizes, multipart="-" in etag)


def _part_sizes(client: Any, bucket: Bucket, key: str, size: int, etag: str) -> list[int]:
    """Sizes of the parts that a file was once uploaded in; empty where the store does not say."""
    count = re.fullmatch("[0-9a-f]{32}-([0-9]+)", etag)
    if count is None:
        return []
    n = int(count[1])
    first = client.head_object(Bucket=bucket.name, Key=key, PartNumber=1)["ContentLength"]
    sizes = list(_equal_parts(size, first)) if first else []
    if len(sizes) != n:  # uploaded in parts of different sizes
        numbers = range(1, n + 1)
        sizes = [
            client.head_object(Bucket=bucket.name, Key=key, PartNumber=k)["ContentLength"] for k in numbers
        ]
    return sizes if sum(sizes) == size else []


def _equal_parts(size: int, first: int) -> Iterator[int]:
    """Parts of one size, but for the last."""
    for start in range(0, size, first):
        yield min(first, size - start)


def file_etag(path: Path, sizes: Sequence[int], multipart: bool) -> str:
    """The ETag that S3 gives a file: its md5; uploaded in parts, the md5 of the parts' md5s, and how many.

    Args:
        path: the file.
        sizes: bytes of its parts, in order.
        multipart: whether it was uploaded in parts (one is possible).
    """
    digests = []
    with path.open("rb") as file:
        for left in sizes:
            # no matter of security: it is what the store gives
            digest = hashlib.md5(usedforsecurity=False)
            while left and (block := file.read(min(left, transfer.BLOCK))):
                digest.update(block)
                left -= len(block)
            digests.append(digest)
    if not multipart:
        return digests[0].hexdigest()
    whole = hashlib.md5(b"".join(digest.digest() for digest in digests), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(digests)}"


def _refusal(destination: Path, key: str, bucket: Bucket, error: ClientError) -> InputError:
    """The sentence for an answer that is none."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 404:
        return _no_object(destination, key, bucket)
    said = error.response["Error"].get("Message") or error.response["Error"].get("Code")
    return InputError(
        f"{destination}: expected to fetch s3://{bucket.name}/{key}, found its server answering {status} "
        f"{said}; {transfer.ADVICE}."
    )


def _no_object(destination: Path, key: str, bucket: Bucket, more: str = "") -> InputError:
    """The sentence for a key that the bucket lacks."""
    return InputError(
        f"{destination}: expected to fetch s3://{bucket.name}/{key}, found no such file in the bucket{more}; "
        f"{bucket.lacking}."
    )
