"""What the jobs of the workflow cost before they compute: CPU seconds of each script's imports, and of
reading the Snakefile, which every job on another machine does once more.

CPU time, not wall time, so that other work on the machine counts little; the best of `--turns`. Run from the
project's folder.
"""

import argparse
import ast
import resource
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "transformers", "diffusers", "sklearn", "matplotlib", "scipy.stats", "pandas", "boto3")


def imports(script: Path) -> str:
    """The imports of a script, as a program that prints which heavy packages they brought."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    # what Snakemake puts in front of a script
    return "\n".join(["from snakemake.iocontainers import Snakemake", *lines, "import sys",
                      f"print(*[name for name in {HEAVY} if name in sys.modules])"])  # fmt: skip


def cpu_seconds(command: list[str]) -> tuple[float, str]:
    """CPU seconds of a command, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def best(command: list[str], turns: int) -> tuple[float, str]:
    """The cheapest of some turns."""
    return min(cpu_seconds(command) for _ in range(turns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    for script in sorted(Path("workflow/scripts").glob("*.py")):
        seconds, heavy = best([sys.executable, "-c", imports(script)], turns)
        print(f"{script.stem:24} {seconds:5.2f}  {heavy.strip()}", flush=True)
    snakemake = best([sys.executable, "-c", "import snakemake.cli"], turns)[0]
    listed = best([sys.executable, "-m", "snakemake", "--list-rules"], turns)[0]
    print(f"Snakemake's own imports {snakemake:.2f}, with the Snakefile read {listed:.2f}")


if __name__ == "__main__":
    main()
