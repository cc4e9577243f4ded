"""A file server on the loopback that can misbehave in the ways that servers of weights do."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

from helpers.places import ROOT


@dataclass
class Server:
    """What is served, and what was asked for."""

    files: dict[str, bytes]  # by path
    redirects: dict[str, tuple[str, str]] = field(default_factory=dict)  # path -> (path, announced sha256)
    ranges: bool = True  # whether parts of a file can be asked for
    cut: int | None = None  # end the next answer with content after so many bytes
    login: str | None = None  # the token that is asked for
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and Range header
    address: str = ""


@contextlib.contextmanager
def serving(files: dict[str, bytes], **settings) -> Iterator[Server]:
    """Serve files until the block ends."""
    server = Server(files, **settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, self.headers["Range"]))
            if self.path in server.redirects:
                place, sha256 = server.redirects[self.path]
                self.answer(302, {"Location": place, "X-Linked-Etag": f'"{sha256}"', "Content-Length": "0"})
                return
            if server.login and self.headers["Authorization"] != f"Bearer {server.login}":
                self.answer(401, {"Content-Length": "0"})
                return
            content = server.files.get(self.path)
            if content is None:
                self.answer(404, {"Content-Length": "0"})
                return
            start, headers, status = 0, {}, 200
            if server.ranges and self.headers["Range"]:
                start, status = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")), 206
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                if start >= len(content):
                    status, headers["Content-Range"] = 416, f"bytes */{len(content)}"
            body = b"" if status == 416 else content[start:]
            self.answer(status, {**headers, "Content-Length": str(len(body))})
            cut, server.cut = server.cut, None
            with contextlib.suppress(ConnectionError):  # who saw a wrong size does not read on
                self.wfile.write(body[:cut])
            self.close_connection = True

        def answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.address = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield server
        http.shutdown()


VDVAE = "resources/models/vdvae-imagenet64/imagenet64-iter-1600000-model-ema.th"
CONTENT = (ROOT / "resources/demo_models/vdvae/model.safetensors").read_bytes()


def use_server(project, address: str, **known) -> None:
    """Let the table's entry of the VDVAE point to another server."""
    path = project / "config/weights.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    entry = table["vdvae-imagenet64"]
    entry["source"], entry["files"][0] = f"{address}/", {**entry["files"][0], **known}
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
