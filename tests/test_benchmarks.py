"""Every benchmark runs at its smallest size and prints its whole table, in the form of benchmarks/README.md;
a missing figure, or a step that fails, stops it with a sentence. How fast anything is, is not asserted."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

BENCHMARKS = ROOT / "benchmarks"
HELPERS = ("steps.py", "table.py")
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
    starts = '"snakemake"' in script.read_text(encoding="utf-8")
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
