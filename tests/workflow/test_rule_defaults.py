"""What every rule has alike: log, benchmark, environment and code."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from helpers.places import ROOT
from pandas.compat._optional import VERSIONS

SNAKEFILE = """
import sys
from pathlib import Path
from neural_recon.workflow import rule_defaults

include: "workflow/rules/some.smk"
def code(script):
    return f"code of {script.name}"
rule_defaults.complete(workflow, Path(workflow.basedir), ["last"], code)
rule here:
    output: "here.txt"
    script: "x.py"
for rule in workflow.rules:
    params = {name: value for name, value in rule.params.items()}
    code = params["code"](None) if "code" in params else "-"
    env = rule.conda_env and Path(rule.conda_env).relative_to(workflow.basedir)
    print(rule.name, "|", *rule.log, "|", rule.benchmark, "|", env, "|", code, file=sys.stderr)
"""

RULES = """
rule one:
    output: "<results>/{a}/{b}_{a}.txt"
    params: seed=1
    script: "../scripts/work.py"
rule plain:
    output: "plain.txt"
    script: "../scripts/work.py"
rule own:
    output: "own.txt"
    log: "mine.log"
    script: "../scripts/other.py"
rule last:
    output: "last.txt"
    script: "../scripts/other.py"
rule fetched:
    output: "fetched.txt"
    resources: download=1
    script: "../scripts/fetch.py"
rule kept:
    output: "kept.txt"
    cache: True
    script: "../scripts/work.py"
rule nothing:
    output: expand("{x}.txt", x=[])
    script: "../scripts/work.py"
rule target:
    input: "plain.txt"
"""

EXPECTED = """
here | | None | None | -
one | logs/one/{a}_{b}.log | benchmarks/one/{a}_{b}.tsv | envs/environment.yaml | code of work.py
plain | logs/plain.log | benchmarks/plain/all.tsv | envs/environment.yaml | code of work.py
own | mine.log | benchmarks/own/all.tsv | envs/environment.yaml | code of other.py
last | logs/last.log | None | envs/environment.yaml | code of other.py
fetched | logs/fetched.log | None | envs/environment.yaml | -
kept | logs/kept.log | None | envs/environment.yaml | code of work.py
nothing | | None | None | -
target | | None | None | -
"""


def test_rules_of_the_folder_are_completed_and_what_they_say_themselves_stays(tmp_path):
    (tmp_path / "workflow/rules").mkdir(parents=True)
    (tmp_path / "workflow/rules/some.smk").write_text(RULES)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "workflow/scripts").mkdir()
    for name in ("work", "other", "fetch"):
        (tmp_path / f"workflow/scripts/{name}.py").touch()
    found = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "plain.txt"], cwd=tmp_path, capture_output=True, text=True
    )
    lines = {line for line in found.stderr.splitlines() if " | " in line}
    assert lines == set(EXPECTED.strip().splitlines()), found.stderr
    assert found.returncode == 0, found.stderr


def rules() -> dict[str, str]:
    """What the rule files say of each rule."""
    files = (path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").rglob("*.smk"))
    parts = re.split(r"^ *(?:use )?rule (?:\w+ as )?(\w+)(?: with)?:", "".join(files), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_no_script_or_rule_is_called_as_a_module_that_libraries_import():
    """The folder of a job's script is on Python's path: pandas, for one, tries to import bottleneck. Times of
    jobs lie in a folder per rule alongside the scripts of benchmarks/, on whose path these are likewise."""
    taken = {*sys.stdlib_module_names, *packages_distributions(), *VERSIONS}
    assert {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")} & taken == set()
    assert len(rules()) > 40
    assert rules().keys() & taken == set()


def test_jobs_for_the_gpu_ask_for_cores():
    """Without a GPU they run on the CPU, one at a time, with as many threads as the rule asks for."""
    asking = [name for name, said in rules().items() if "gpu=1" in said]
    assert len(asking) > 20
    assert [name for name in asking if "threads: 8" not in rules()[name]] == []
