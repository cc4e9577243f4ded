"""An S3 bucket on the loopback that can misbehave in the ways that stores and lines do."""

import contextlib
import hashlib
import itertools
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "natural-scenes-dataset"


@dataclass
class Store:
    """What is served, how it misbehaves, and what was asked for."""

    objects: dict[str, bytes]  # by key
    part_sizes: dict[str, list[int]] = field(default_factory=dict)  # of objects uploaded in parts
    sha256: dict[str, str] = field(default_factory=dict)  # base64, where the store has one
    etags: dict[str, str] = field(default_factory=dict)  # instead of the right ones
    sent: dict[str, bytes] = field(default_factory=dict)  # instead of the right content
    cuts: list[int] = field(default_factory=list)  # end the next answers with content after so many bytes
    refuse: list[int] = field(default_factory=list)  # answer the next requests with these statuses
    ranges: bool = True  # whether parts of a file can be asked for
    delay: float = 0  # seconds before an answer with content
    together: int = 1  # answers with content wait until so many have been under way, a minute at most
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    at_once: int = 0  # most answers with content under way at one time
    address: str = ""
    bucket: str = BUCKET
    _busy: int = 0

    def etag(self, key: str) -> str:
        content, parts = self.objects[key], self.part_sizes.get(key)
        if key in self.etags:
            return self.etags[key]
        if parts is None:
            return hashlib.md5(content).hexdigest()
        edges = [sum(parts[:k]) for k in range(len(parts) + 1)]
        digests = [hashlib.md5(content[a:b]).digest() for a, b in itertools.pairwise(edges)]
        return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(parts)}"

    def gets(self) -> list[tuple[str, str | None]]:
        """Key and Range of the objects whose content was asked for."""
        return [(path, wanted) for method, path, wanted in self.asked if method == "GET" and path]

    def listings(self) -> int:
        """How often the bucket was listed."""
        return sum(method == "GET" and not path for method, path, _ in self.asked)


@contextlib.contextmanager
def serving(objects: dict[str, bytes], **settings) -> Iterator[Store]:
    """Serve a bucket until the block ends."""
    store, lock = Store(objects, **settings), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.serve()

        def do_HEAD(self):
            self.serve()

        def serve(self):
            address = urlsplit(self.path)
            bucket, _, key = unquote(address.path).removeprefix("/").partition("/")
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            store.asked.append((self.command, key, self.headers["Range"]))
            if self.headers["Authorization"]:
                self.refuse(403, "AccessDenied")  # nobody has credentials
            elif store.refuse and store.refuse[0]:
                self.refuse(store.refuse.pop(0), "SlowDown")
            elif bucket != store.bucket:
                self.refuse(404, "NoSuchBucket")
            elif not key:
                self.answer(200, {}, self.list(query))
            elif key not in store.objects:
                self.refuse(404, "NoSuchKey")
            elif self.headers["If-Match"] not in (None, f'"{store.etag(key)}"'):
                self.refuse(412, "PreconditionFailed")
            else:
                self.content(key, query)

        def content(self, key, query):
            content, status = store.objects[key], 200
            headers = {"ETag": f'"{store.etag(key)}"', "Last-Modified": "Mon, 02 Jan 2023 00:00:00 GMT"}
            if key in store.sha256 and self.headers["x-amz-checksum-mode"] == "ENABLED":
                headers["x-amz-checksum-sha256"] = store.sha256[key]
            if "partNumber" in query:
                sizes, number = store.part_sizes.get(key, [len(content)]), int(query["partNumber"])
                content, status = content[sum(sizes[: number - 1]) :][: sizes[number - 1]], 206
            if self.command == "GET":
                content = store.sent.get(key, content)
                if store.ranges and self.headers["Range"]:
                    start, status = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")), 206
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    content = content[start:]
            self.answer(status, headers, content)

        def list(self, query) -> bytes:
            root = ElementTree.Element("ListBucketResult", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
            # pages of two, so that their succession is tested too
            prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
            keys = [key for key in sorted(store.objects) if key.startswith(prefix) and key > after]
            keys = [key for key in keys if "/" not in key[len(prefix) :] or not query.get("delimiter")]
            rows = [("Name", BUCKET), ("Prefix", prefix), ("KeyCount", str(len(keys[:2])))]
            rows += [("MaxKeys", "2"), ("IsTruncated", "true" if keys[2:] else "false")]
            rows += [("NextContinuationToken", keys[1])] if keys[2:] else []
            for name, text in rows:
                ElementTree.SubElement(root, name).text = text
            for key in keys[:2]:
                entry = ElementTree.SubElement(root, "Contents")
                ElementTree.SubElement(entry, "Key").text = key
                ElementTree.SubElement(entry, "ETag").text = f'"{store.etag(key)}"'
                ElementTree.SubElement(entry, "Size").text = str(len(store.objects[key]))
            return ElementTree.tostring(root)

        def refuse(self, status, code):
            body = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>".encode()
            self.answer(status, {}, body)

        def answer(self, status, headers, body):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            with lock:
                store._busy += 1
                store.at_once = max(store.at_once, store._busy)
                cut = store.cuts.pop(0) if store.cuts and "ETag" in headers else None
            if "ETag" in headers:
                time.sleep(store.delay)
                patience = time.monotonic() + 50
                while store.at_once < store.together and time.monotonic() < patience:
                    time.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[:cut])
            with lock:
                store._busy -= 1
            self.close_connection = cut is not None

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        store.address = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield store
        http.shutdown()
