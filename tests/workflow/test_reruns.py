"""What reruns after which change: every line of docs/reruns.md, on the DAG of a finished run."""

import contextlib
import functools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.places import ROOT
from helpers.workflow import SMALL, jobs, restored, snakemake, stale

from neural_recon.config.configuration import merge
from neural_recon.datasets.nsd.nsd_tree import Tree

pytestmark = pytest.mark.slow

# not the demo, whose files are made by rules and count like those of any other rule
REAL = {name: value for name, value in SMALL.items() if name != "demo"}


def tables(page: str) -> list[dict[str, str]]:
    """The tables of a page, first column -> second."""
    found = re.findall(r"(?:^\|.*\n)+", page, re.M)
    return [dict(re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.M)[1:]) for table in found]


GROUPS, LINES = tables((ROOT / "docs/reruns.md").read_text(encoding="utf-8"))
RULE = re.compile(r"^ *(?:use rule \w+ as|rule) (\w+)(?: with)?:", re.M)
RULES = {name for path in (ROOT / "workflow/rules").rglob("*.smk")
         for name in RULE.findall(path.read_text(encoding="utf-8"))}  # fmt: skip


def rules(cell: str) -> set[str]:
    """The rules that a cell names: `rule`, *group* or nothing, remarks in brackets left out."""
    found: set[str] = set()
    for item in re.sub(r" \([^)]*\)", "", cell).split(", "):
        if item.startswith("*"):
            found |= rules(GROUPS[item])
        elif item != "nothing":
            assert item.strip("`") in RULES, cell
            found.add(item.strip("`"))
    return found


class Run:
    """A finished run on what lies in an NSD tree, with models and package of its own to change."""

    def __init__(self, demo: Path, folder: Path):
        self.demo, self.folder, self.package = demo, folder / "run", folder / "src/neural_recon"
        shutil.copytree(demo, self.folder, symlinks=True)
        (self.folder / "resources").unlink()
        shutil.copytree(ROOT / "resources/demo_models", self.folder / "resources/demo_models")
        self.models = self.folder / "resources/demo_models"
        self.tree = Tree(self.folder / "nsd", preparation=SMALL["dataset"]["preparation"])
        self.session = self.tree.betas("subj01", 1, "hdf5")
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))

    def stale(self, **sections) -> dict[str, int]:
        """Which rules would run with some sections changed, and how often."""
        return stale(self.folder, merge(REAL, sections))

    def after_code(self, *modules: str) -> dict[str, int]:
        """The same after a change of modules of the package."""
        with contextlib.ExitStack() as stack:
            for module in modules:
                path = stack.enter_context(restored(self.package / module))
                path.write_text(path.read_text(encoding="utf-8") + "\nNEW = 1\n", encoding="utf-8")
            return self.stale()

    def after_weights(self, model: str) -> dict[str, int]:
        """The same after a change of one byte of a model's weights."""
        with restored(self.models / model) as path:
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(content)
            return self.stale()

    @functools.cached_property
    def after_nothing(self) -> dict[str, int]:
        """The same with all kinds of files touched, and with other comments and docstrings."""
        tree = self.tree
        weights = self.models.rglob("*.safetensors")
        for path in (
            self.session,
            tree.stimuli,
            tree.expdesign,
            tree.captions,
            tree.mask("subj01"),
            *weights,
        ):
            os.utime(path)
        with contextlib.ExitStack() as stack:
            for module in ("core/files.py", "decoding/ridge.py", "models/vdvae.py", "report/words.py"):
                path = stack.enter_context(restored(self.package / module))
                text = path.read_text(encoding="utf-8").replace('"""', '"""Another word. ', 1)
                path.write_text(f"{text}\n\n# a comment\n", encoding="utf-8")
            return self.stale()


@pytest.fixture(scope="module")
def run(project, tmp_path_factory) -> Iterator[Run]:
    found = Run(project, tmp_path_factory.mktemp("reruns"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(found.package.parent))
        # the pages that say whether it is the demo are taken as they are
        done = snakemake(found.folder, "--touch", config=REAL)
        assert done.returncode == 0, done.stdout + done.stderr
        yield found


CHANGES: dict[str, tuple[Callable[[Run], dict[str, int]], dict[str, int]]] = {}


def change(line: str, **counts: int):
    """Makes the change of a line of the page; so many jobs of some rules."""

    def add(make):
        CHANGES[line] = make, counts
        return make

    return add


@change("a session's file, other content", betas=1, responses=1)
def _(run):
    with restored(run.session) as path:
        with h5py.File(path, "r+") as file:
            file["betas"][0, 0, 0, 0] += 1
        return run.stale()


@change("one caption", features=2, ridge=1)
def _(run):
    """The file keeps its size, which is above what is read whole of other files."""
    with restored(run.tree.captions) as path:
        captions = np.load(path, mmap_mode="r+")
        captions[np.flatnonzero(captions[:, 0])[3], 0] = "something else"
        captions.flush()
        return run.stale()


for line, model, counts in (
    ("the VDVAE's weights", "vdvae/model.safetensors", {"features": 2, "ridge": 1}),
    (
        "the CLIP text encoder's weights",
        "versatile/text_encoder/model.safetensors",
        {"features": 2, "ridge": 1},
    ),
    ("the UNet's weights", "versatile/image_unet/diffusion_pytorch_model.safetensors", {}),
):
    change(f"{line}, other content", **counts)(lambda run, model=model: run.after_weights(model))

for module, counts in {
    "decoding/ridge.py": {"ridge_kernel": 1, "ridge": 3, "reconstruct": 1},
    "evaluation/metrics.py": {},
    "models/vdvae.py": {"features": 2, "ridge": 1},
    "models/versatile.py": {},
}.items():
    change(f"`{module}`", **counts)(lambda run, module=module: run.after_code(module))


@change("a session, the stimuli, the design, the captions, a mask or a weight file touched")
def _(run):
    return run.after_nothing


@change("a comment or docstring")
def _(run):
    return run.after_nothing


@change("`decoder.alpha` of `text`", ridge=1, target_scores=1, leaks=1,
        data_amount_subject=1, held_out_clusters=1, shuffled_refits=1)  # fmt: skip
def _(run):
    return run.stale(decoder={"alpha": {"text": 3000}})


@change("`decoder.alpha` of all spaces", ridge=3)
def _(run):
    return run.stale(decoder={"alpha": {"vdvae": 1, "vision": 2, "text": 3}})


@change("`generator.strength`")
def _(run):
    return run.stale(generator={"strength": 0.5})


@change("`generator.kind` from two stages to one")
def _(run):
    return run.stale(generator={"kind": "guides_only"})


@change("`generator.mixing`")
def _(run):
    return run.stale(generator={"mixing": 0.6})


@change("`generator.batch`, `memory`, `compile`", report=1)
def _(run):
    return run.stale(generator={"batch": 3, "memory": "low", "compile": True})


# a job below one that reruns is looked at, too: behind `ancient` results it would not be
@change("`seed`", ridge=3)
def _(run):
    return run.stale(seed=1)


@change("a list in `regions.sets`", region_decoders=1, region_synthetic=1)
def _(run):
    return run.stale(regions={"sets": {"V1": ["V1", "V2"]}})


@change("`regions.amplitude`")
def _(run):
    return run.stale(regions={"amplitude": 2.0})


@change("`evaluation.shuffled_refits`", shuffled_refits=1, scores=1)
def _(run):
    return run.stale(evaluation={"shuffled_refits": 5})


@change("`evaluation.repairings`", scores=1)
def _(run):
    return run.stale(evaluation={"repairings": 200})


@change("`evaluation.preset`", scores=1)
def _(run):
    return run.stale(evaluation={"preset": "mindeye2"})


@change("`bottleneck`", bottleneck_decoders=1, bottleneck_predictions=3)
def _(run):
    return run.stale(bottleneck={"components": [4]})


@change("`data_amount`", data_amount_subject=1)
def _(run):
    return run.stale(data_amount={"sessions": [1, 2]})


@change("another subject", features=3, trials=1, scores=1,
        report=1)  # fmt: skip
def _(run):
    """In the demo, which writes another subject's files; one chunk of its own."""
    subjects = {**SMALL["subjects"], "subj02": {"sessions": 1}}
    said = snakemake(run.demo, "--dry-run", config={**SMALL, "subjects": subjects}).stdout
    assert "subject=subj02" in said
    assert "subject=subj01" not in said
    assert "stimuli=shared" not in said
    return {rule: count for rule, count in jobs(said).items() if not rule.startswith("demo_")}


@change("`report/words.py`, a style sheet", report=1)
def _(run):
    with restored(run.package / "report/style.css") as sheet:
        sheet.write_text("p { color: red }\n" + sheet.read_text(encoding="utf-8"), encoding="utf-8")
        return run.after_code("report/words.py")


def test_every_line_of_the_page_is_tried():
    assert set(CHANGES) == set(LINES)


@pytest.mark.parametrize("line", LINES)
def test_what_reruns_is_what_the_page_says(run, line):
    make, counts = CHANGES[line]
    found = make(run)
    assert set(found) == rules(LINES[line])
    assert {name: found[name] for name in counts} == counts
