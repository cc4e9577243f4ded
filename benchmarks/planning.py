"""How long a dry run for all of NSD takes: 8 subjects with all their sessions, three feature spaces, 20
chunks of pictures a subject, and decoders of nine regions.

Fabricates a tree that has NSD's names and, in empty space (sparse files of real sizes), no data; only the
design is filled. Run from the project's folder; `--keep` names a folder to leave it all in.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from neural_recon.config import Config, resolve
from neural_recon.demo import design
from neural_recon.nsd import SESSIONS
from neural_recon.plan import Plan

PROJECT = Path.cwd()
# bytes of a session; other files are small
SESSION = 500_000_000


def settings(folder: Path) -> dict:
    """The configuration of NSD for all subjects."""
    config = yaml.safe_load((PROJECT / "config/nsd.yaml").read_text(encoding="utf-8"))
    config["nsd"]["root"] = str(folder / "nsd")
    config["subjects"] = {subject: {} for subject in SESSIONS}
    config["generator"] = {"chunk": 50}
    return config


def fabricate(config: Config) -> None:
    """Write the tree that the configuration reads."""
    for _, path in Plan(config).tree_files():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(SESSION if "betas_session" in path.name else 100_000)
    design.write(config.tree.expdesign, design.make(0, 40, 1000, 9000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        config = settings(folder)
        fabricate(Config.model_validate(resolve(config, PROJECT)))
        for name in ("workflow", "config", "envs", "resources", "Snakefile"):
            if not (folder / name).exists():
                (folder / name).symlink_to(PROJECT / name)
        (folder / "nsd.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "8",
                   "--snakefile", str(folder / "Snakefile"), "--configfile", "nsd.yaml"]  # fmt: skip
        for _ in range(arguments.turns):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode:
                sys.exit(done.stdout + done.stderr)
            jobs = next(line for line in done.stdout.splitlines() if line.startswith("total")).split()[1]
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"{jobs} jobs: {wall:.1f} s, {cpu:.1f} s of CPU, load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
