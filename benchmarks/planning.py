"""How long a dry run takes: of the demo, and of all of NSD (8 subjects with all their sessions, three feature
spaces, 20 chunks of pictures per subject, and decoders of nine regions).

    python benchmarks/planning.py [--turns 3] [--keep DIR]
    python benchmarks/planning.py --small      # of NSD one session of one subject: whether it runs

Fabricates a tree that has NSD's names and, in empty space (sparse files of real sizes), no data; only the
design is filled. CPU time changes less than
wall time with other work on the machine.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import steps
import table
import yaml

from neural_recon.config.configuration import Config, resolve
from neural_recon.datasets.nsd.nsd_tree import SESSIONS
from neural_recon.demo import design
from neural_recon.workflow.plan import Plan

# bytes of a session; other files are small
SESSION = 500_000_000
PARTS = ("workflow", "profiles", "config", "envs", "resources", "Snakefile")  # of the project


def settings(root: Path, small: bool) -> dict[str, Any]:
    """The configuration of NSD for all subjects."""
    config = yaml.safe_load((table.ROOT / "config/nsd.yaml").read_text(encoding="utf-8"))
    config["dataset"]["root"] = str(root)
    config["subjects"] = {"subj01": {"sessions": 1}} if small else {subject: {} for subject in SESSIONS}
    config["generator"] = {"chunk": 50}
    return config


def fabricate(config: Config) -> None:
    """Write the tree that the configuration reads."""
    for path in Plan(config).data_files():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(SESSION if "betas_session" in path.name else 100_000)
    design.write(config.data.tree.expdesign, design.make(0, 40, 1000, 9000))


def project(folder: Path) -> Path:
    """A folder in which nothing ran yet, with the project's parts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        if not (folder / name).exists():
            (folder / name).symlink_to(table.ROOT / name)
    return folder


def planned(folder: Path, *options: str) -> tuple[int, float, float]:
    """Jobs, wall seconds and those of the processors of a dry run."""
    words = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "8",
             "--snakefile", folder / "Snakefile", *options]  # fmt: skip
    printed, seconds, busy = steps.command(words, folder)
    totals = [line.split()[1] for line in printed.splitlines() if line.startswith("total")]
    if not totals:
        raise table.NoFigure(f"{folder}: expected the number of jobs from the dry run, found none.")
    return int(totals[0]), seconds, busy


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    everybody = f"{len(SESSIONS)} subjects with all sessions"
    people = "one session of one subject" if arguments.small else everybody
    turns = range(1, arguments.turns + 1)
    result = table.Table(
        {"jobs": ",d", "seconds": ".1f", "CPU seconds": ".1f", "load": ".1f"},
        [f"{what}, turn {turn}" for what in ("demo", people) for turn in turns],
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        config = settings(folder / "nsd", arguments.small)
        fabricate(Config.model_validate(resolve(config, table.ROOT)))
        (project(folder / "all") / "nsd.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        for what, place, options in (
            ("demo", project(folder / "demo"), ()),
            (people, folder / "all", ("--configfile", "nsd.yaml")),
        ):
            for turn in turns:
                result.add(f"{what}, turn {turn}", *planned(place, *options), os.getloadavg()[0])
    return "Dry runs of Snakemake.", result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--keep", type=Path, help="a folder to leave it all in")
    options.add_argument("--turns", type=int, default=3)
    table.run(options, measure, small={"turns": 1})
