"""Every benchmark runs at its smallest size and prints its whole table, in the form of benchmarks/README.md;
a missing figure, or a step that fails, stops it with a sentence. How fast anything is, is not asserted."""

import ast
import importlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from helpers.places import ROOT

BENCHMARKS = ROOT / "benchmarks"
HELPERS = ("fresh.py", "full_size.py", "pipelines.py", "steps.py", "table.py", "watch.py")
SCRIPTS = sorted(path for path in BENCHMARKS.glob("*.py") if path.name not in HELPERS)
README = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
FIGURE = re.compile(r"-?[\d,]+(\.\d+)?%?")


def run(script: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        capture_output=True,
        text=True,
        check=False,
    )


def case(script: Path):
    starts = re.search(r'"snakemake"|launch\.command', script.read_text(encoding="utf-8"))
    return pytest.param(script, id=script.stem, marks=[pytest.mark.slow] if starts else [])


def rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table: its header, then its rows."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert set(lines[1]) == {"|", "-"}
    return [cells[0], *cells[2:]]


def of_readme(script: Path) -> list[list[str]]:
    """The first table below the script's heading in benchmarks/README.md."""
    sections = [part for part in re.split(r"^## ", README, flags=re.M) if f"benchmarks/{script.name}" in part]
    assert len(sections) == 1
    (first, *_) = (part for part in sections[0].split("\n\n") if part.startswith("|"))
    return rows(first)


@pytest.mark.parametrize("script", [case(script) for script in SCRIPTS])
def test_smallest_size_prints_the_table(script, tmp_path):
    done = run(script, tmp_path, "--small")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert f"python benchmarks/{script.name} --small`" in done.stdout.splitlines()[0]
    assert "its figures mean nothing" in done.stdout  # so that nobody takes them for measured ones
    (header, *found), words = rows(done.stdout), {"unit", "heavy packages"}
    assert found
    assert header == of_readme(script)[0]  # so that measuring again is copy and paste
    for name, *cells in found:
        assert name
        assert len(cells) == len(header) - 1
        if cells[0].startswith("not measured: "):
            assert " is not installed" in cells[0]
            continue
        assert set(cells) != {"–"}
        for title, cell in zip(header[1:], cells, strict=True):
            assert cell == "–" or (bool(cell) if title in words else FIGURE.fullmatch(cell)), (name, title)
    assert list(tmp_path.iterdir()) == []  # what it wrote went to a temporary folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_says_what_it_compares_and_how_it_is_run(script):
    said = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert f"python benchmarks/{script.name}" in said
    assert f"python benchmarks/{script.name} --small" in said


def test_what_is_not_installed_is_in_the_table(tmp_path):
    """himalaya is optional: its rows are there, and say so."""
    if importlib.util.find_spec("himalaya"):
        pytest.skip("himalaya is installed here")
    for row in run_rows_of_ridge(tmp_path):
        assert row[1] == "not measured: himalaya is not installed"


def run_rows_of_ridge(folder: Path) -> list[list[str]]:
    # with a stand-in for the steps: only the table is asked for
    program = f"""
import sys, types
sys.path.insert(0, {str(BENCHMARKS)!r})
import ridge, steps
results = {{"rates": {{"float32": 1.0, "float64": 1.0}}, "scikit_learn": ([1.0], 1.0)}}
results["choose_alpha"] = 7, 5
results["arithmetic"] = __import__("collections").defaultdict(lambda: 1.0)
def apart(function, *arguments):
    return steps.Ran(results.get(function.__name__), 1.0, 1.0, 1.0)
steps.apart = apart
print(ridge.measure_in(__import__("pathlib").Path({str(folder)!r}), 0.005, False)[1].markdown())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [row for row in rows(done.stdout) if row[0].startswith("himalaya")]
    assert len(found) == 4
    return found


@pytest.fixture
def benchmark(tmp_path):
    """Runs a benchmark whose measuring is given, and returns its last line on standard error."""

    def fails(measuring: str) -> str:
        script = tmp_path / "made_up.py"
        script.write_text(
            "import os, signal, sys\nimport steps, table\n"
            "def moved():\n    raise AttributeError('no such name')\n"
            "def killed():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
            "def measure(arguments):\n"
            "    found = table.Table({'seconds': '.1f', 'unit': 's'}, ['one', 'two'])\n"
            "    found.add('one', 1.5, 's')\n"
            f"    {measuring}\n"
            "    return 'Said.', found\n"
            "if __name__ == '__main__':\n"
            "    table.run(table.parser('Made up.'), measure, {})\n",
            encoding="utf-8",
        )
        done = run(script, tmp_path)
        assert done.returncode == 1
        assert done.stdout == ""  # no table with a gap
        return done.stderr.splitlines()[-1]

    return fails


@pytest.mark.parametrize(
    ("measuring", "said"),
    [
        ("pass", "'two': expected figures, found none."),
        ("found.add('two', float('nan'), 's')", "'seconds' of 'two': expected a number, found nan."),
        ("found.add('two', float('inf'), 's')", "'seconds' of 'two': expected a number, found inf."),
        ("found.add('two', None, 's')", "'seconds' of 'two': expected a number, found None."),
        ("found.add('two', '2', 's')", "'seconds' of 'two': expected a number, found '2'."),
        ("found.add('two', 2, ' ')", "'unit' of 'two': expected a word, found ' '."),
        ("found.add('two', table.NONE, table.NONE)", "'two': expected a figure, found none in any column."),
        ("found.add('two', 2)", "'two': expected 2 figures (seconds, unit), found 1."),
        ("found.add('three', 2, 's')", "'three': expected one of the table's rows, each once."),
        ("found.add('one', 2, 's')", "'one': expected one of the table's rows, each once."),
        ("steps.apart(moved)", "moved() did not run (AttributeError: no such name)"),
        ("steps.apart(killed)", "killed(): expected a result, found its process ended (by a signal?)."),
        ("steps.command(['false'], '.')", "false did not run (exit status 1): "),
        ("moved()", "no figures, as it stopped (AttributeError: no such name)."),
        (
            "found.add('two', 2, 's'); return f'{float(\"nan\"):.1f} MB.', found",
            "expected numbers, found nan in: nan MB.",
        ),
    ],
)
def test_missing_figure_stops_with_a_sentence(benchmark, measuring, said):
    assert benchmark(measuring).rstrip() == f"benchmarks/made_up.py: {said}".rstrip()


def test_baseline_that_differs_stops(tmp_path):
    """Ours is compared with what it is measured against: other betas give no table."""
    text = (BENCHMARKS / "betas.py").read_text(encoding="utf-8")
    assert "[mask] / 300" in text
    script = tmp_path / "betas.py"
    script.write_text(text.replace("[mask] / 300", "[mask] / 100"), encoding="utf-8")
    done = run(script, tmp_path, "--small")
    assert done.returncode == 1
    assert re.search(r"betas.py: .*expected betas with the sum \S+, found \S+\.$", done.stderr.strip())


@pytest.fixture
def minutes(monkeypatch):
    """The module that measures the demo, the tests and continuous integration, with no run of any."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("minutes")


def asked(**options) -> Namespace:
    defaults = {"what": "demo", "small": False, "runs": 3, "cores": 2, "commit": "HEAD"}
    return Namespace(**{**defaults, "save": None, "against": None, **options})


def test_minutes_are_medians_and_stand_beside_those_before(minutes, monkeypatch, tmp_path):
    def made_up(seconds, rule):
        whole = {
            "jobs or tests": 137,
            "seconds": seconds,
            "CPU seconds": 2 * seconds,
            "most memory, MB": 2000,
        }
        return {
            "`make demo`": whole,
            rule: {"jobs or tests": 2, "seconds": seconds / 10, "CPU seconds": seconds},
        }

    runs = [made_up(seconds, rule) for rule in ("`one`", "`two`") for seconds in (700, 400, 500)]
    monkeypatch.setattr(minutes, "once", lambda *_: runs.pop(0))
    monkeypatch.setattr(minutes.steps, "command", lambda *_: ("0123456789abcdef\n", 0.0, 0.0))
    kept = tmp_path / "before.json"
    said, _ = minutes.measure(asked(save=kept))
    assert said.startswith("Medians of 3 runs of commit 0123456; ")
    said, table = minutes.measure(asked(against=kept))
    assert "Before: 3 runs of commit 0123456, " in said
    _, *found = rows(table.markdown())
    assert found == [
        ["`make demo`", "137", "500.0", "400.0", "700.0", "1,000.0", "2,000", "500.0", "1,000.0"],
        ["`two`", "2", "50.0", "40.0", "70.0", "500.0", "–", "–", "–"],
        ["`one`", "–", "–", "–", "–", "–", "–", "50.0", "500.0"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "FileNotFoundError"),
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"what": "demo"}', "KeyError"),
        ('{"what": "tests", "said": "", "rows": {}}', "ValueError: figures of tests"),
        (
            '{"what": "demo", "said": "", "rows": {"a": {"seconds": NaN}}}',
            "'seconds' of 'a': expected a number",
        ),
        (
            '{"what": "demo", "said": "", "rows": {"a": {"seconds": "2"}}}',
            "'seconds' of 'a': expected a number",
        ),
    ],
)
def test_minutes_before_are_those_of_the_same_run(minutes, tmp_path, text, said):
    path = tmp_path / "before.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(minutes.table.NoFigure) as raised:
        minutes.measure(asked(against=path))  # nothing was run yet
    assert str(path) in str(raised.value)
    assert said in str(raised.value)


def test_jobs_are_added_up_by_rule(minutes, tmp_path):
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    (tmp_path / "results/pictures").mkdir(parents=True)
    watched = minutes.watch.Watched(
        0.0, "2 of 3 steps (67%) done\n3 of 3 steps (100%) done\n", 9.0, 8.0, 700.0
    )
    jobs = [
        ("betas", 1.0, 0.5),
        ("data_amount", 4.0, 3.0),
        ("betas", 2.0, 1.5),
    ]  # a script's name, not the rule's
    watched.steps.update(enumerate(minutes.watch.Step(*job) for job in jobs))
    for seconds, subject in ((5, "subj01"), (7, "subj02")):
        picture = tmp_path / f"results/pictures/{subject}.png"
        picture.touch()
        os.utime(picture, (seconds, seconds))
    found = minutes.rows("demo", False, watched, tmp_path)
    whole = {"jobs or tests": 3, "seconds": 9.0, "CPU seconds": 8.0, "most memory, MB": 700.0}
    assert list(found.items()) == [
        ("`make demo`", whole),
        (minutes.PICTURES, {"seconds": 7.0}),
        ("`data_amount_subject`", {"jobs or tests": 1, "seconds": 4.0, "CPU seconds": 3.0}),
        ("`betas`", {"jobs or tests": 2, "seconds": 3.0, "CPU seconds": 2.0}),
        (minutes.REST, {"CPU seconds": 3.0}),
    ]


def test_every_script_has_a_rule(minutes):
    assert minutes.rule_of(ROOT).keys() == {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}


def test_tests_of_both_calls_of_continuous_integration_count(minutes, tmp_path):
    said = "== 20 passed, 3 skipped, 1 warning in 9.00s ==\nok\n=== 4 passed in 2.00s ===\n"
    watched = minutes.watch.Watched(0.0, said, 9.0, 8.0, 700.0)
    watched.steps.update(enumerate([minutes.watch.Step("make env", 2.0, 1.0)]))
    found = minutes.rows("ci", False, watched, tmp_path)
    assert found["`.ci/run`"]["jobs or tests"] == 24
    assert found["tests skipped"] == {"jobs or tests": 3}
    assert found["`make env`"] == {"seconds": 2.0, "CPU seconds": 1.0}


@pytest.mark.parametrize(
    ("what", "said", "missing"),
    [
        ("demo", "Building DAG of jobs...", "expected how many jobs or tests ran"),
        ("demo", "3 of 3 steps (100%) done", "expected pictures after the run, found none"),
        ("tests", "=== no tests ran in 0.01s ===", "expected how many jobs or tests ran"),
    ],
)
def test_run_that_did_nothing_gives_no_figures(minutes, tmp_path, what, said, missing):
    with pytest.raises(minutes.table.NoFigure, match=missing):
        minutes.rows(what, False, minutes.watch.Watched(said=said), tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes without parents are not seen")
def test_processes_without_parents_count_and_are_ended(tmp_path):
    """As the fork server from which the tests start Snakemake: its parents do not wait for it."""
    (tmp_path / "burn.py").write_text(
        "import time\nwhile time.process_time() < 0.4: pass\n", encoding="utf-8"
    )
    (tmp_path / "stay.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    python = shlex.quote(sys.executable)
    orphans, step = f"({python} burn.py orphan &); ({python} stay.py &)", f"{python} burn.py step"
    shell = f"{orphans}; {step}; {step}; echo said"
    program = f"""
import json, os, re, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import psutil, watch
watch.PATIENCE, watch.MEMORY_EVERY = 0.5, 0.1
found = watch.run(["sh", "-c", {shell!r}], {str(tmp_path)!r}, os.environ, re.compile("(step)$"))
print(json.dumps([found.said, found.busy, found.seconds, found.megabytes,
                  [[step.name, step.busy, step.seconds] for step in found.steps.values()],
                  len(psutil.Process().children())]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, busy, seconds, megabytes, steps, left = json.loads(done.stdout)
    assert (said, left) == ("said\n", 0)
    assert busy > 1.2  # of three, the one without a parent among them
    assert seconds > 0.8
    assert megabytes > 1
    assert [name for name, *_ in steps] == ["step", "step"]
    assert 0 < sum(busy for _, busy, _ in steps) < busy
    assert 0 < sum(wall for *_, wall in steps) < seconds + 0.5
