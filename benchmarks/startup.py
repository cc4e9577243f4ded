"""What the jobs of the workflow cost before they compute: CPU seconds of each script's imports, and of
reading the Snakefile, which every job on another machine does once more.

    python benchmarks/startup.py [--turns 3]
    python benchmarks/startup.py --small      # of two scripts: whether it runs

CPU time, not wall time, so that other work on the machine counts little; the best of `--turns`. The heavy
packages that the imports brought are listed alongside.
"""

import argparse
import ast
import sys
from pathlib import Path

import steps
import table

HEAVY = ("torch", "transformers", "diffusers", "sklearn", "matplotlib", "scipy.stats", "pandas", "boto3")
SNAKEMAKE = {
    "Snakemake's own imports": ["-c", "import snakemake.cli"],
    "Snakemake with the Snakefile read": ["-m", "snakemake", "--list-rules"],
}


def imports(script: Path) -> str:
    """The imports of a script, as a program that prints which heavy packages they brought."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    # what Snakemake puts in front of a script
    return "\n".join(["from snakemake.iocontainers import Snakemake", *lines, "import sys",
                      f"print(*[name for name in {HEAVY} if name in sys.modules])"])  # fmt: skip


def best(words: list[str], turns: int) -> tuple[float, str]:
    """CPU seconds of the cheapest of some turns, and what it printed."""
    found = (steps.command([sys.executable, *words], table.ROOT) for _ in range(turns))
    return min((busy, printed) for printed, _, busy in found)


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    every = sorted((table.ROOT / "workflow/scripts").glob("*.py"))
    scripts = every[: arguments.scripts]
    result = table.Table(
        {"CPU seconds": ".2f", "heavy packages": "s"}, [*(f"`{path.stem}`" for path in scripts), *SNAKEMAKE]
    )
    for script in scripts:
        seconds, heavy = best(["-c", imports(script)], arguments.turns)
        result.add(f"`{script.stem}`", seconds, heavy.strip() or "none")
    for row, words in SNAKEMAKE.items():
        result.add(row, best(words, arguments.turns)[0], table.NONE)
    return f"{len(scripts)} of {len(every)} scripts, best of {arguments.turns} turns.", result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--scripts", type=int, help="only the first so many; default: all")
    table.run(options, measure, small={"turns": 1, "scripts": 2})
