"""Recompute the exact versions of requirements.txt, and say which of them have known vulnerabilities.

    make lock

The newest versions that pyproject.toml's ranges and the tools below allow are resolved in a fresh
environment that is thrown away; nothing is installed in .venv. Look at the difference and run `make test`
before committing.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent
LOCK = FOLDER / "requirements.txt"
# alongside the package's own dependencies: its build, its tests, its checks, its documentation, and training
DOCUMENTATION = ("furo", "myst-parser", "sphinx>=9", "sphinx-copybutton")  # .readthedocs.yaml installs these
TOOLS = (
    *DOCUMENTATION,
    *("import-linter", "mypy", "playwright", "pytest", "pytest-cov", "pytest-xdist", "ruff", "scikit-image"),
    *("setuptools>=77", "snakefmt", "types-psutil", "types-PyYAML", "types-requests"),
    "snakemake-executor-plugin-slurm>=2.8",
)
# torch's wheel for GPUs pins its CUDA packages itself, and its wheel for CPUs has none
OF_TORCH = re.compile(r"(nvidia|cuda|triton)\b|pytorch-triton")


def pins(packages: Iterable[tuple[str, str]], lines: Iterable[str]) -> str:
    """The lock: `packages` (name, version) one a line, sorted, under the comments at the head of `lines`.

    A build's own mark, such as torch's `+cpu`, is left out, and so are torch's CUDA packages.
    """
    head = [line for line in lines if line.startswith("#")]
    kept = {name: version.split("+")[0] for name, version in packages if not OF_TORCH.match(name.lower())}
    return "\n".join([*head, *sorted((f"{name}=={kept[name]}" for name in kept), key=str.lower), ""])


def resolve(python: Path, wanted: list[str]) -> list[tuple[str, str]]:
    """Names and versions that pip would install; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--report",
            report,
        ]
        subprocess.run([*command, *wanted], check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [(package["metadata"]["name"], package["metadata"]["version"]) for package in found]


def audit(python: Path, lock: Path) -> str:
    """What pip-audit says of the versions, or why it says nothing."""
    unchecked = "vulnerabilities were NOT checked"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "pip-audit"], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        return f"{unchecked}: pip-audit could not be installed."
    command = [
        python,
        "-m",
        "pip_audit",
        "--requirement",
        lock,
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
    ]
    command += ["--vulnerability-service", "osv", "--progress-spinner", "off", "--timeout", "15"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"{unchecked}: pip-audit could not reach its data ({last[:200]})."
    known = [
        f"{row['name']} {row['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'none'}"
        for row in found
        for hole in row.get("vulns", ())
    ]
    skipped = [row["name"] for row in found if "skip_reason" in row]
    lines = [f"{len(found) - len(skipped)} packages checked, {len(known)} known vulnerabilities.", *known]
    return "\n".join([*lines, *([f"{unchecked} for {', '.join(skipped)}."] if skipped else [])])


def main() -> None:
    with (FOLDER.parent / "pyproject.toml").open("rb") as file:
        wanted = [*tomllib.load(file)["project"]["dependencies"], *TOOLS]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin/python"
        try:
            packages = resolve(python, wanted)
        except subprocess.CalledProcessError:
            sys.exit(f"error: {LOCK} is as it was: pip could not resolve the versions (see above).")
        text = pins(packages, LOCK.read_text(encoding="utf-8").splitlines())
        LOCK.write_text(text, encoding="utf-8")
        print(f"{LOCK}: {len(packages)} packages; look at the difference, then run make test.")
        print(audit(python, LOCK))


if __name__ == "__main__":
    main()
