"""The documentation says what is so: its commands, messages, files, links and examples; and it builds."""

import ast
import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from helpers import documented, loaded_snakemake, made_once, tiny_run
from helpers.documented_commands import COMMANDS, Elsewhere, Here
from helpers.locked import PINS, lock
from helpers.places import ROOT
from helpers.workflow import finished_run, make_project
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.config.configuration import read_config, resolve

sys.path.insert(0, str(ROOT / "benchmarks"))
import planning

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *DOCS]
PAGES += [ROOT / name for name in ("config/README.md", "config/recipes/README.md", "benchmarks/README.md")]
EXTEND = ROOT / "docs/extend.md"
FENCE = re.compile(r"^ *```(\S*)\n(.*?)^ *```$", re.M | re.S)
PROGRAM = re.compile(
    r"((OMP_NUM_THREADS=\d+ )?(python|pip|pytest)|snakemake|make|neural-recon|pre-commit) \S"
)


def commands(text: str) -> Iterator[str]:
    """What a page tells to type: lines of ```sh blocks, and inline code that begins with a program."""
    for language, block in FENCE.findall(text):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                if command := re.sub(r"(^|\s+)#.*", "", line).strip():
                    yield " ".join(command.split())
    for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        if PROGRAM.match(code):
            yield " ".join(code.split())


def is_mention(command: str) -> bool:
    """Whether it only names one of our commands."""
    groups = ("", command_line.app), ("config ", command_line.config_app)
    known = {
        prefix + (command.name or command.callback.__name__)
        for prefix, app in groups
        for command in app.registered_commands
    }
    return command.removeprefix("neural-recon ") in known


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_is_known(page):
    """A new command belongs into the table of documented_commands.py."""
    typed = list(commands(page.read_text(encoding="utf-8")))
    assert [command for command in typed if command not in COMMANDS and not is_mention(command)] == []


def test_the_table_names_no_command_that_nobody_is_told_to_type():
    typed = {command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))}
    assert set(COMMANDS) - typed == set()


def test_what_commands_name_is_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for command, how in COMMANDS.items():
        for words in re.findall(r"\bmake ([a-z -]+)", command):
            assert set(words.split()) <= targets, command
        for path in re.findall(r"\b(?:benchmarks|tests|config|workflow)/[\w/.]+", command):
            # others `config write` makes
            assert (ROOT / path).exists() or path in ("config/ours.yaml", "config/lab.yaml")
        assert not isinstance(how, Elsewhere) or (ROOT / how.file).is_file(), command


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, with a tree of one subject of NSD that has names and no data."""
    folder = make_project(tmp_path_factory.mktemp("documented") / "project")
    (folder / "resources").unlink()
    (folder / "resources").mkdir()
    (folder / "resources/demo_models").symlink_to(ROOT / "resources/demo_models")
    nsd = folder / "config/nsd.yaml"
    config = {**yaml.safe_load(nsd.read_text(encoding="utf-8")), "subjects": {"subj01": {"sessions": 2}}}
    nsd.write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.copy(nsd, folder / "config/ours.yaml")  # as `neural-recon config write` writes it, but smaller
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        planning.fabricate(read_config(Path("config/nsd.yaml"), folder))
    for path, _, block in examples("yaml"):
        (folder / path).write_text(block, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command, how in COMMANDS.items() if isinstance(how, Here)])
def test_command(project, command, monkeypatch):
    how = COMMANDS[command]
    program, *arguments = shlex.split(f"{command} {how.more}")
    if program == "snakemake":
        done = loaded_snakemake.run(arguments, project)
        status, said = done.returncode, done.stdout + done.stderr
    elif program == "neural-recon":
        monkeypatch.chdir(project)
        called = CliRunner().invoke(command_line.app, arguments)
        status, said = called.exit_code, called.output
    else:
        path = Path(sys.executable).with_name(program)
        done = subprocess.run([path, *arguments], cwd=project, capture_output=True, text=True, check=False)
        status, said = done.returncode, done.stdout + done.stderr
    assert status == how.status, said
    assert how.says in said
    assert "Traceback" not in said


def messages() -> list[str]:
    """All texts of the package with … for what is filled in; docstrings are left out."""
    found = []
    for path in (ROOT / "src/neural_recon").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in docstrings:
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            if isinstance(node, ast.JoinedStr) or (
                isinstance(node, ast.Constant) and isinstance(node.value, str)
            ):
                texts = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
                found.append(re.sub(r"%[.\d]*[a-z]", "…", "".join(texts)))
    return found


def quoted_messages() -> list[str]:
    """The messages on the page on troubleshooting, but for Snakemake's own."""
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    ours = text.split("## Snakemake's own")[0]
    return re.findall(r"^\| `([^`]+)`", ours, re.M)


def test_quoted_messages_are_those_of_the_package():
    """… stands for anything; what lies between stands so, in this order, in one of the package's texts."""

    def says(text: str, message: str) -> bool:
        place = 0
        for part in message.split("…"):
            place = text.find(part, place) + len(part)
            if place < len(part):
                return False
        return True

    quoted, texts = quoted_messages(), messages()
    assert len(quoted) > 100
    assert [message for message in quoted if not any(says(text, message) for text in texts)] == []


def targets_of_rules() -> set[str]:
    """The tables and arrays below <results> that rules name, with * for wildcards and what is expanded."""
    found = set()
    for path in (ROOT / "workflow/rules").rglob("*.smk"):
        for name in re.findall(r'<results>/([^"\s]+)"', path.read_text(encoding="utf-8")):
            found.add(re.sub(r"\{+[^}]*\}+", "*", name))
    return {name for name in found if name.endswith(documented.SUFFIXES) or name.endswith("*")}


def alike(one: str, other: str) -> bool:
    """Whether two patterns can mean one file, folder by folder."""

    def fits(a: str, b: str) -> bool:
        return fnmatch.fnmatchcase(a.replace("*", "x"), b) or fnmatch.fnmatchcase(b.replace("*", "x"), a)

    pairs = one.split("/"), other.split("/")
    return len(pairs[0]) == len(pairs[1]) and all(map(fits, *pairs))


def test_every_file_has_its_page():
    described = [re.sub(r"[A-Z]{3,}", "*", one.pattern) for one in documented.described()]
    for name in targets_of_rules():
        assert name.startswith("pictures/") or any(alike(name, one) for one in described), name


GROUPED = {"compare", "controls", "clusters", "data_amount", "figure"}  # ask for what others make


def test_every_rule_has_its_page():
    """And none stands there that is no more: a page names its rules before its modules."""
    rules = {
        name
        for path in (ROOT / "workflow/rules").rglob("*.smk")
        for name in re.findall(r"^ *rule (\w+):", path.read_text(encoding="utf-8"), re.M)
    }
    named = set()
    for page in (ROOT / "docs/stages").glob("*.md"):
        for part in re.findall(r"^Rules?: (.*?)\n\n", page.read_text(encoding="utf-8"), re.M | re.S):
            named.update(re.findall(r"`(\w+)`", re.split("Modules?:|Packages?:", part)[0]))
    assert named == {name for name in rules - GROUPED if not name.startswith("demo_")}


@pytest.mark.skipif(not (ROOT / "results/report").is_dir(), reason="the demo has not run here (make demo)")
def test_files_of_the_demo_are_as_described():
    assert documented.differences(ROOT / "results")[0] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(page):
    """As plain Markdown, too, where Sphinx does not look."""
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    paths = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [path for path in paths if not (page.parent / path).exists()] == []


def test_licences_of_all_that_comes_from_elsewhere_are_named():
    text = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    table = "".join(line for line in text.splitlines() if line.startswith("|"))
    weights = yaml.safe_load((ROOT / "config/weights.yaml").read_text(encoding="utf-8"))
    first = {
        entry["what"].split(",")[0].split("(")[0].split(" for ")[0].strip() for entry in weights.values()
    }
    for name in (*first, "Natural Scenes Dataset", "COCO's pictures", "COCO's captions", "CLIP ViT-L/14"):
        assert name in table, name


def test_what_read_the_docs_installs_is_pinned():
    text = (ROOT / ".readthedocs.yaml").read_text(encoding="utf-8")
    (install,) = yaml.safe_load(text)["build"]["jobs"]["install"]
    names = [re.split("[<>=]", wanted)[0] for wanted in lock.DOCUMENTATION]
    assert install == f"pip install --constraint envs/requirements.txt {' '.join(names)}"
    assert {name.lower() for name in names} <= {name.lower() for name in PINS}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The pages, built as `make docs` builds them."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    options = re.search(r"sphinx-build (.*) docs docs/_build/html", recipe)[1].split()
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, ROOT / "docs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_builds_without_a_warning(site):
    method = (site / "method.html").read_text(encoding="utf-8")
    equations = len(re.findall("^ *```math", (ROOT / "docs/method.md").read_text(encoding="utf-8"), re.M))
    assert method.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"') == equations > 15
    every = (site / "index.html").read_text(encoding="utf-8")
    for page in DOCS:
        address = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / address).is_file()
        assert f'href="{address}"' in every or address == "index.html"
    keys = (site / "configuration.html").read_text(encoding="utf-8")
    assert all(key in keys for key in ("generator.strength", "figure.image_ids", "pathvars"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1300, 400])
def test_pages_fit_and_ask_no_network(browser, site, width):
    page, asked = browser.new_page(viewport={"width": width, "height": 900}), []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index", "start", "method", "stages/scores", "troubleshooting", "extend", "configuration"):
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.locator("h1").first.is_visible()
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []


def examples(*languages: str) -> Iterator[tuple[str, str, str]]:
    """The examples of the page on extending: path, language, content."""
    for language, block in FENCE.findall(EXTEND.read_text(encoding="utf-8")):
        first, _, rest = block.partition("\n")
        if first.startswith("# ") and language in languages:
            yield first.removeprefix("# "), language, rest


def test_the_recipe_s_example_is_valid():
    ((path, _, block),) = examples("yaml")
    assert path.startswith("config/recipes/")
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    del demo["recipe"]
    config = resolve({"recipe": "brain_diffuser_small", **demo, **yaml.safe_load(block)}, ROOT)
    assert config["generator"]["mixing"] == 0.6


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A small project with the page's examples in it, and its own copy of the package."""
    folder = tmp_path_factory.mktemp("extended") / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for path, language, block in examples("python", "text", "yaml", "diff"):
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        content = file.read_text(encoding="utf-8") if file.exists() else ""
        if language == "diff":
            old, new = (
                "\n".join(line[1:] for line in block.splitlines() if line[0] == sign) for sign in "-+"
            )
            assert old in content, f"{path} has no {old!r}"
            content = content.replace(old, new)
        else:
            content += block
        file.write_text(content, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_page_from_python_runs(tmp_path_factory, monkeypatch, capsys):
    """Its blocks, one after the other, in the folder of a finished run."""
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    monkeypatch.chdir(made_once.made(tmp_path_factory, finished_run))
    exec(compile("\n".join(re.findall("```python\n(.*?)```", page, re.S)), "docs/python.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said[-2:]] == ["decoder", "shuffled pairs"]
    assert len(said) == 4


@pytest.mark.slow
def test_the_metric_s_example_scores(extended):
    script = """
import numpy as np
from neural_recon.evaluation.subject_scores import Scores
rng = np.random.default_rng(0)
truth = rng.integers(0, 255, (20, 4, 4, 3), np.uint8).repeat(16, 1).repeat(16, 2)
scores = Scores("subj01", 0, 200)
scores.add_pixels("decoded", "final", np.arange(20), truth, truth, "native")
row = scores.summary_table().set_index("metric").loc["colour_two_way"]
from neural_recon.report import tables, words
assert "colour_two_way" in tables.MAIN_METRICS
assert words.metric_short("colour_two_way") == "Colour two-way"
assert row["mean"] == 1 and abs(row["shuffled"] - 0.5) < 0.1 and row["better"] == "higher", row
"""
    environment = {**os.environ, "PYTHONPATH": str(extended / "src")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
