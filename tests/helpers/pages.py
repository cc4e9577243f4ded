"""An HTML page as a test reads it."""

import html.parser
import re

import pytest
from matplotlib.figure import Figure

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
