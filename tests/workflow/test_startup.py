"""Jobs pay only for what they use: which heavy packages each script's imports bring."""

import ast
import subprocess
import sys

import pytest
from helpers.places import ROOT

HEAVY = ("torch", "transformers", "diffusers", "sklearn", "scipy.stats", "matplotlib", "boto3",
         "huggingface_hub", "snakemake.workflow")  # fmt: skip
# Scripts that need any of them, by what they need; all others need none. Models bring transformers and
# diffusers when they are loaded.
NEEDS = {
    ("torch",): (
        "base_images", "bottleneck_scores", "control_pictures", "features", "generalisation_scores",
        "reconstruct", "region_decoders", "region_pictures", "scores", "unconditional",
    ),
    # the networks that they train have diffusers' decoder among their heads
    ("torch", "transformers", "diffusers", "scipy.stats", "huggingface_hub"): (
        "shared_finetune", "shared_predict", "shared_pretrain", "shared_published", "shared_scans",
    ),
    ("matplotlib",): ("figure", "quality_page", "recipes", "report"),
    ("boto3",): ("fetch_nsd",),
    ("huggingface_hub",): ("fetch_file",),
}  # fmt: skip
# Scripts of many jobs, or of jobs that many wait for, that touch no table.
WITHOUT_TABLES = (
    "collect_reconstructions", "control_pictures", "features",
    "pictures", "reconstruct", "ridge_kernel", "unconditional",
)  # fmt: skip
SCRIPTS = {path.stem: path for path in (ROOT / "workflow/scripts").glob("*.py")}
OTHERS = sorted(set(SCRIPTS) - {name for names in NEEDS.values() for name in names})


def imports(name: str) -> str:
    """A script's imports, and a check of what they brought."""
    tree = ast.parse(SCRIPTS[name].read_text(encoding="utf-8"))
    lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join([*lines, f"check({name!r})"])


@pytest.mark.parametrize(("allowed", "names"), [*NEEDS.items(), ((), OTHERS)], ids=str)
def test_scripts_import_only_what_they_need(allowed, names):
    check_imports(set(HEAVY) - set(allowed), names)


def test_only_who_reads_or_writes_tables_imports_pandas():
    check_imports({"pandas", "pyarrow"}, WITHOUT_TABLES)


def check_imports(unwanted, names):
    # one process for all scripts of a kind: it ends with the first that brings too much
    program = f"""
import sys
def check(name):
    brought = {{heavy for heavy in {sorted(unwanted)} if heavy in sys.modules}}
    if brought:
        sys.exit(f"{{name}} imports {{sorted(brought)}}")
"""
    command = [sys.executable, "-c", program + "\n".join(imports(name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
