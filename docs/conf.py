"""How Sphinx builds these pages: `make docs`. They read as plain Markdown, too."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[1]

project = "neural-recon"
author = "the neural-recon developers"
copyright = f"{author}; MIT licence"
release = re.search(r'__version__ = "(.+)"', (ROOT / "src/neural_recon/__init__.py").read_text()).group(1)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True

# the interfaces are read from the package, whose libraries need not be installed to build these pages
sys.path.insert(0, str(ROOT / "src"))
LIBRARIES = (
    *("PIL", "diffusers", "h5py", "isal", "nibabel", "numpy", "pandas", "psutil", "pyarrow", "pydantic"),
    *("pydantic_core", "safetensors", "scipy", "skimage", "torch", "torchvision", "transformers", "yaml"),
)
autodoc_mock_imports = [name for name in LIBRARIES if find_spec(name) is None]
autodoc_typehints = "none"  # shapes and units stand in the docstrings
autodoc_member_order = "bysource"
nitpick_ignore_regex = [("py:.*", ".*")]  # of other libraries, whose pages a build does not ask for

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]  # as GitHub writes display equations
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"neural-recon {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
copybutton_selector = "div.highlight-sh pre, div.highlight-yaml pre, div.highlight-python pre"

# files elsewhere in the repository that are pages here
PAGES = {
    "README.md": "/start.md",
    "CONTRIBUTING.md": "/contributing.md",
    "benchmarks/README.md": "/measured.md",
    "config/README.md": "/configuration.md",
    "config/recipes/README.md": "/recipes.md",
}
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")

logger = logging.getLogger(__name__)


def mathml(translator, node: nodes.math | nodes.math_block, block: bool) -> None:
    """Equations as MathML, which browsers draw themselves: no script, and no network when reading."""
    try:
        markup = tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        logger.warning("equation %r: %s", node.astext(), error, location=node)
        markup = translator.encode(node.astext())
    kind = "div" if block else "span"
    translator.body.append(f'<{kind} class="math">{markup}</{kind}>')
    raise nodes.SkipNode


def within_site(text: str, folder: Path) -> str:
    """Links of a file in `folder`: to pages where there are such, else to files to download.

    Markdown that is no page is named without a link. Diagrams, which only GitHub draws, and badges, which ask
    a network, are left out.
    """

    def link(found: re.Match) -> str:
        label, target, anchor = found[1], (folder / found[2]).resolve(), found[3] or ""
        name = target.relative_to(ROOT).as_posix()
        if name in PAGES:
            return f"[{label}]({PAGES[name]}{anchor})"
        if name.startswith("docs/"):
            return f"[{label}](/{name.removeprefix('docs/')}{anchor})"
        return f"{label} (`{name}`)" if name.endswith(".md") else f"[{label}](/../{name})"

    text = re.sub(r"^```mermaid\n.*?^```\n", "", text, flags=re.M | re.S)
    return LINK.sub(link, re.sub(r"^\[?!\[[^\n]*\]\(https://img\.shields\.io/.*\n", "", text, flags=re.M))


def read_page(app: Sphinx, docname: str, content: list[str]) -> None:
    content[0] = within_site(content[0], (Path(app.srcdir) / docname).parent)


def read_included(app: Sphinx, path: Path, _docname: str, content: list[str]) -> None:
    content[0] = within_site(content[0], (Path(app.srcdir) / path).resolve().parent)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda translator, node: mathml(translator, node, False), None),
        block_renderers=(lambda translator, node: mathml(translator, node, True), None),
    )
    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
