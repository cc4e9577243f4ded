"""Which code a script depends on, and what of a change counts."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.places import ROOT

import neural_recon
from neural_recon.features.space import SPACES
from neural_recon.generation.generator import GENERATORS
from neural_recon.workflow import code_digests

PACKAGE = Path(neural_recon.__file__).parent
SCRIPTS = {path.stem: path for path in sorted((ROOT / "workflow/scripts").glob("*.py"))}


def modules(script: str) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in code_digests.files(SCRIPTS[script])}


@pytest.fixture
def stale(tmp_path):
    """The scripts whose code is another one after a change in a copy of the package."""

    def after(change, *modules: str) -> set[str]:
        copy = tmp_path / "-".join(modules).replace("/", "-")  # of each change: what was read is remembered
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "training"))
        for module in modules:
            text = (copy / module).read_text(encoding="utf-8")
            assert change(text) != text
            (copy / module).write_text(change(text), encoding="utf-8")
        return {
            name for name, path in SCRIPTS.items() if code_digests.code(path, copy) != code_digests.code(path)
        }

    return after


def more(text: str) -> str:
    """A change of code."""
    return text + "\nNEW = 1\n"


def test_ridge_code_marks_what_fits_and_no_feature(stale):
    rules = stale(more, "decoding/ridge.py")
    assert {"ridge_kernel", "ridge", "data_amount", "region_decoders"} <= rules
    assert not {"betas", "responses", "trials", "scores"} & rules
    assert not [rule for rule in rules if rule.startswith(("features", "demo"))]


def test_metrics_code_marks_what_scores(stale):
    rules = stale(more, "evaluation/metrics.py")
    assert {"scores", "data_amount", "region_decoders", "report"} <= rules
    assert not {"betas", "responses", "ridge", "reconstruct", "base_images"} & rules


def test_words_and_templates_of_the_report_mark_its_pages(stale):
    assert stale(more, "report/words.py") == {"report", "quality_page", "recipes"}
    assert stale(more, "report/style.css") == {"report", "quality_page", "recipes"}
    assert stale(more, "report/quality.html") == {"quality_page"}


def test_comments_docstrings_and_layout_mark_nothing(stale):
    def prose(text):
        text = text.replace('"""', '"""Another word. ', 1) + "\n\n\n# a comment\n"
        return re.sub(r"\n\n\ndef ", "\n\n\n\n\ndef ", text)

    assert stale(prose, "decoding/ridge.py") == set()


def test_what_is_left_out_marks_nothing(stale):
    assert stale(more, *(f"{module}.py" for module in code_digests.LEFT_OUT)) == set()


def test_loader_of_one_model_brings_no_other():
    # what is loaded by its name has its digest as a parameter of the rule
    for script in ("features", "reconstruct"):
        assert not {name for name in modules(script) if name.startswith("models/v")}
    space = {path.name for path in code_digests.files(SPACES.file("vdvae"))}
    assert {"vdvae_blocks.py", "random_streams.py"} <= space
    assert not {"clip.py", "versatile.py"} & space
    kind = code_digests.files(GENERATORS.file("versatile_diffusion"))
    assert {"versatile.py", "dual_unet.py"} <= {path.name for path in kind}
    assert "vdvae.py" not in {path.name for path in kind}
    # an import inside a function that the script uses
    assert "evaluation/subject_scores.py" in modules("region_decoders")
    assert "evaluation/subject_scores.py" not in modules("voxels")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A function that starts anew with a package of three modules; gives the digest, and what was read."""
    package, script = tmp_path / "package", tmp_path / "script.py"
    shutil.copytree(PACKAGE / "core", package / "core")
    script.write_text("from neural_recon.core import tables\n", encoding="utf-8")
    monkeypatch.setattr(code_digests, "PACKAGE", package)
    monkeypatch.setattr(code_digests, "TICK", -(10**12))  # all of it is older than that
    folder = tmp_path / "kept"

    def start(change: Path | None = None):
        if change:
            change.write_text(change.read_text(encoding="utf-8") + "NEW = 1\n", encoding="utf-8")
        asked = []
        monkeypatch.setattr(code_digests, "code", lambda path: asked.append(path) or "0123456789abcdef")
        return code_digests.Kept(folder / "code.json").code(script), asked

    return SimpleNamespace(start=start, script=script, package=package, file=folder / "code.json")


def test_digests_are_kept_until_something_changes(kept):
    assert kept.start() == ("0123456789abcdef", [kept.script])
    assert kept.start() == ("0123456789abcdef", [])
    assert kept.start(kept.package / "core/errors.py")[1] == [kept.script]
    assert kept.start(kept.script)[1] == [kept.script]
    assert kept.start()[1] == []


@pytest.mark.parametrize("odd", ["", "{}", "[1]", '{"package": 3}', "state", "\0"])
def test_an_odd_file_of_kept_digests_is_not_believed(kept, odd):
    kept.start()
    whole = kept.file.read_text(encoding="utf-8")
    kept.file.write_text(
        whole.replace("0123456789abcdef", "../x") if odd == "state" else odd, encoding="utf-8"
    )
    assert kept.start()[1] == [kept.script]


def test_digests_are_not_kept_where_they_might_be_stale(kept, monkeypatch):
    monkeypatch.setattr(code_digests, "TICK", 10**12)
    kept.start()
    assert not kept.file.exists()


def test_nothing_is_kept_where_nothing_can_be_written(kept):
    kept.file.parent.write_text("a file")
    assert kept.start() == ("0123456789abcdef", [kept.script])
