"""An HTML page as a test reads it."""

import base64
import html.parser
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure
from PIL import Image

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(html.parser.HTMLParser):
    """Collects ids, sources and text, and checks that every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.words, self.images = [], [], [], [], 0
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "data-id" in attrs:
            self.ids.append(int(attrs["data-id"]))
        self.links += [attrs[name] for name in ("src", "href", "srcset", "action", "data") if name in attrs]
        if tag == "img":
            self.images += 1
            assert attrs["alt"]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without its start"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)


def draw_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, and saved as empty ones: most of the time of a report goes into drawing them."""
    monkeypatch.setattr(Figure, "savefig", lambda _, file, **__: file.write(b"<svg/>"))


def first_ids(text, subject):
    """The images of a subject that are shown without any script."""
    section = text.split(f'<div class="cards" data-subject="{subject}">')[1].split("<h3>")[0]
    return [int(i) for i in re.findall(r'data-id="(\d+)"', section)]


def sheets_of(text):
    """(subject, kind) -> image id -> a picture as the page's script finds it."""
    found = {}
    for subject, kind, content in re.findall(
        r'class="sheet" data-subject="(\w*)" data-kind="(\w+)">(.*?)</script>', text
    ):
        sheet = json.loads(content)
        found[subject, kind] = {
            i: Image.open(io.BytesIO(base64.b64decode(sheet["pictures"][k])))
            for i, k in zip(sheet["ids"], sheet["index"], strict=True)
        }
    return found


def of_other_sessions(results: Path, name: str, subject: str) -> SimpleNamespace:
    """What the section on other sessions reads of a subject."""
    place = results / f"generalisation/{name}/{subject}"
    files = {"other_scores": "scores.tsv", "other_tests": "tests.tsv", "other_decoded": "decoded.h5"}
    read = SimpleNamespace(**{field: {name: place / file} for field, file in files.items()})
    return SimpleNamespace(subject=subject, files=read)
