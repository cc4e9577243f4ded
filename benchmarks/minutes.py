"""How long people wait: for the demo, for the tests, or for all that continuous integration runs.

    python benchmarks/minutes.py demo [--runs 3] [--cores 2]     # make demo, rule by rule
    python benchmarks/minutes.py tests [--runs 3]                # make test
    python benchmarks/minutes.py ci [--runs 3]                   # .ci/run, its own environment installed
    python benchmarks/minutes.py demo --commit v1 --save before.json   # earlier code, to compare with:
    python benchmarks/minutes.py demo --against before.json
    python benchmarks/minutes.py --small      # the demo's first job: whether it runs

Each run is that of a fresh clone in a temporary folder; what is not committed is not in it. The demo and the
tests get an environment that has this interpreter's packages and the clone's own code, so that nothing is
installed. Figures are medians of the runs; those of a rule are of all its jobs, looked at while they run
(`watch.py`): Snakemake's `benchmark` files lose CPU seconds, as they look at a job only every 30 s once it
has run for 15.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import fresh
import steps
import table
import watch

from neural_recon.cli import demo_run

COLUMNS = {"jobs or tests": ",.0f", "seconds": ",.1f", "lowest": ",.1f", "highest": ",.1f",
           "CPU seconds": ",.1f", "most memory, MB": ",.0f"}  # fmt: skip
BEFORE = ("seconds", "CPU seconds")
WHOLE = {"demo": ["make", "demo"], "tests": ["make", "test"], "ci": [".ci/run"]}
SMALL = {
    "demo": [".venv/bin/python", *demo_run.command(1, "demo_experiment", False)[1:]],
    "tests": [".venv/bin/python", "-m", "pytest", "tests/datasets/nsd/test_labels.py"],
    "ci": ["make", "help"],
}
STEP = {
    "demo": re.compile(r"\.snakemake/scripts/tmp\w+?\.(\w+)\.py"),
    "ci": re.compile(r"^(make [\w-]+)$|^\S+ -m (pytest) "),
}
PICTURES = "until `results/pictures/*.png` are there"
REST = "all else, such as starts of Snakemake"
# what would change a run, of the shell or the tests from which this is started
FOREIGN = ("PYTHONPATH", "PYTEST_", "COV", "MAKE", "MFLAGS", "SNAKEMAKE_", "VIRTUAL_ENV")

Rows = dict[str, dict[str, float]]  # by row and column; a column that says nothing of a row is missing


def rule_of(project: Path) -> dict[str, str]:
    """The rule of each script, by the script's name; of a script that two rules run, both."""
    texts = (path.read_text(encoding="utf-8") for path in (project / "workflow/rules").rglob("*.smk"))
    pairs = re.compile(r"^ *rule (\w+):(?:(?!^ *rule ).)*?scripts/(\w+)\.py", re.M | re.S)
    found: dict[str, list[str]] = {}
    for rule, script in (pair for text in texts for pair in pairs.findall(text)):
        found.setdefault(script, []).append(rule)
    return {script: ", ".join(rules) for script, rules in found.items()}


def once(what: str, small: bool, commit: str, cores: int | None) -> Rows:
    """One run in a fresh clone."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary).resolve() / "neural-recon"
        fresh.clone(project, commit)
        if what != "ci":
            fresh.environment(project)
        words = SMALL[what] if small else [*WHOLE[what], *([f"CORES={cores}"] if cores else [])]
        ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        watched = watch.run(words, project, ours, STEP.get(what))
        return rows(what, small, watched, project)


def rows(what: str, small: bool, watched: watch.Watched, project: Path) -> Rows:
    """What one run took.

    Raises:
        NoFigure: it did not say how many jobs or tests there were, or left no pictures.
    """
    whole = {"seconds": watched.seconds, "CPU seconds": watched.busy, "most memory, MB": watched.megabytes}
    counts = r"(\d+) of \1 steps \(100%\) done" if what == "demo" else r"^=.* (\d+) passed"
    if counted := [int(count) for count in re.findall(counts, watched.said, re.M)]:
        whole["jobs or tests"] = sum(counted)
    elif not (small and what == "ci"):
        raise table.NoFigure(
            f"{WHOLE[what]}: expected how many jobs or tests ran, found {watched.said[-200:]!r}."
        )
    found: Rows = {f"`{' '.join(WHOLE[what])}`": whole}
    if what != "demo":
        skipped = re.findall(r"^=.* (\d+) skipped", watched.said, re.M)
        found["tests skipped"] = {"jobs or tests": sum(map(int, skipped))}
    elif not small:
        pictures = [path.stat().st_mtime for path in project.glob("results/pictures/*.png")]
        if not pictures:
            raise table.NoFigure(f"{PICTURES}: expected pictures after the run, found none.")
        found[PICTURES] = {"seconds": max(pictures) - watched.began}
    rules, several = rule_of(project), defaultdict(list)
    for step in watched.steps.values():
        several[rules.get(step.name, step.name)].append(step)
    for name, same in sorted(several.items(), key=lambda item: -sum(step.busy for step in item[1])):
        jobs = {"jobs or tests": len(same)} if what == "demo" else {}
        seconds, busy = sum(step.seconds for step in same), sum(step.busy for step in same)
        found[f"`{name}`"] = {**jobs, "seconds": seconds, "CPU seconds": busy}
    if several:
        found[REST] = {"CPU seconds": watched.busy - sum(step.busy for step in watched.steps.values())}
    return found


def medians(runs: Iterable[Rows]) -> Rows:
    """Of each figure; of the seconds the lowest and the highest as well."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for row, figures in run.items():
            for column, value in figures.items():
                values[row][column].append(value)
    found: Rows = {}
    for row, columns in values.items():
        found[row] = {column: statistics.median(several) for column, several in columns.items()}
        if seconds := columns.get("seconds"):
            found[row] |= {"lowest": min(seconds), "highest": max(seconds)}
    return found


def earlier(path: Path, what: str) -> tuple[str, Rows]:
    """What `--save` wrote: of which code, and the rows.

    Raises:
        NoFigure: no such file, or of another run.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["what"] != what:
            raise ValueError(f"figures of {found['what']}")
        before = {row: {name: figures[name] for name in BEFORE if name in figures}
                  for row, figures in found["rows"].items()}  # fmt: skip
        for row, figures in before.items():
            for name, value in figures.items():
                table.figure(value, COLUMNS[name], f"{path}: {name!r} of {row!r}")
        return found["said"], {row: figures for row, figures in before.items() if figures}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        kind = f"{type(error).__name__}: {error}"
        raise table.NoFigure(f"{path}: expected what --save wrote of {what}, found none ({kind}).") from None


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    what = f"{arguments.what} --small" if arguments.small else arguments.what
    if arguments.runs < 1 or (arguments.cores and arguments.what != "demo"):
        raise table.NoFigure("expected one run or more, and --cores of the demo alone.")
    said, before = earlier(arguments.against, what) if arguments.against else ("", {})
    if arguments.save and not os.access(arguments.save.parent, os.W_OK):
        raise table.NoFigure(f"{arguments.save}: expected a file in a folder that can be written to.")
    words = ["git", "rev-parse", "--verify", f"{arguments.commit}^{{commit}}"]
    commit = steps.command(words, table.ROOT)[0].strip()
    found = medians(
        once(arguments.what, arguments.small, commit, arguments.cores) for _ in range(arguments.runs)
    )
    of = f"{arguments.runs} run{'s' if arguments.runs > 1 else ''} of commit {commit[:7]}"
    if arguments.save:
        kept = {"what": what, "said": f"{of}, {datetime.date.today()}", "rows": found}
        arguments.save.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    result = table.Table(
        {**COLUMNS, **{f"{name} before": COLUMNS[name] for name in BEFORE}}, dict.fromkeys([*found, *before])
    )
    for row in result.rows:
        figures = [found.get(row, {}).get(column, table.NONE) for column in COLUMNS]
        result.add(row, *figures, *(before.get(row, {}).get(name, table.NONE) for name in BEFORE))
    looked = f"memory of all processes at one time ({watch.MEMORY}), looked at every {watch.MEMORY_EVERY} s"
    return f"Medians of {of}; {looked}.{f' Before: {said}.' if said else ''}", result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("what", nargs="?", choices=WHOLE, default="demo")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--cores", type=int, help="of the demo; default: as it chooses")
    options.add_argument("--commit", default="HEAD", help="whose code; default: HEAD")
    options.add_argument("--save", type=Path, help="a file to keep the figures in")
    options.add_argument("--against", type=Path, help="such a file: its figures as those before")
    table.run(options, measure, small={"runs": 1})
