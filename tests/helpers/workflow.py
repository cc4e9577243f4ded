"""The workflow on a small configuration, in a folder of its own."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from helpers import loaded_snakemake
from helpers.places import ROOT

SMALL = {
    "recipe": "brain_diffuser_small",
    "dataset": {"kind": "nsd", "root": "nsd", "preparation": "betas_fithrf"},
    "subjects": {"subj01": {"sessions": 1, "format": "hdf5"}},
    "features": {"chunk": 200},
    "decoder": {
        "alpha": {"vdvae": 1000, "vision": "cv", "text": 2000},
        "cross_validation": {"alphas": [100, 1000], "folds": 2, "targets": 64, "groups": "parts"},
    },
    "generator": {"steps": 4},
    "evaluation": {
        "preset": "native",
        "networks": {"clip": "resources/demo_models/versatile"},
        "control_images": 6,
        "repairings": 100,
        "draws": 2,
        "shuffled_refits": 4,
        "prior": True,
    },
    "data_amount": {"sessions": [1], "voxels": [0.3], "draws": 2, "targets": 96},
    "bottleneck": {"components": [3], "targets": 96, "pictures": "final"},
    "regions": {"sets": {"V1": ["V1"], "places": ["PPA", "OPA"]}},
    "demo": {"sessions": 1, "shared_images": 50, "own_images": 200, "rendered_shared": 100},
}


# a recipe of one space that decodes: base images are the final ones, and nothing else is painted
BASE_ONLY = {
    "spaces": {
        "vdvae": {
            "kind": "vdvae",
            "weights": "resources/demo_models/vdvae/model.safetensors",
            "hparams": "resources/demo_models/vdvae/hparams.json",
            "layers": 2,
            "latents": "mean",
        }
    },
    "decoder": {"kind": "ridge", "alpha": {"vdvae": 100}, "calibration": "train"},
    "generator": {"kind": "base_only", "base": "vdvae"},
}


def snakemake(folder: Path, *arguments: str, config: dict | None = None) -> subprocess.CompletedProcess:
    """Run the workflow in `folder` with a configuration written there."""
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return loaded_snakemake.run(
        [
            *("--quiet", "host", "--resources", f"gpu={os.cpu_count()}"),
            *("--snakefile", str(folder / "Snakefile"), "--configfile", "config.yaml"),
            # one thread a job: the models are so small that more would only wait for each other
            *("--cores", str(os.cpu_count()), "--max-threads", "1", *arguments),
        ],
        folder,
    )


def make_project(folder: Path, recipe: dict | None = None) -> Path:
    """A copy of the workflow in a folder of its own, a space in its name; and `recipe.yaml`, if given."""
    folder.mkdir(parents=True)
    for name in ("workflow", "config", "envs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "resources").symlink_to(ROOT / "resources")
    (folder / "profiles").symlink_to("workflow/profiles")  # taken by itself, as in the project
    if recipe:
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


def finished_run(folder: Path) -> None:
    """Fill a folder with the small configuration's whole run (`made_once`)."""
    make_project(folder)
    done = snakemake(folder, config=SMALL)
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def restored(path: Path) -> Iterator[Path]:
    """A file that may be changed inside the block; content and time come back."""
    content, status = path.read_bytes(), path.stat()
    try:
        yield path
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)  # a failed job takes its empty folders along
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def stale(project: Path, config: dict, *arguments: str) -> dict[str, int]:
    """Which rules would run, and how often."""
    planned = snakemake(project, "--dry-run", *arguments, config=config)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    return jobs(planned.stdout)


def jobs(said: str) -> dict[str, int]:
    """The table of jobs in what Snakemake said."""
    table = said.split("Job stats:")[-1] if "Job stats:" in said else ""
    return {
        name: int(count)
        for name, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.M)
        if name not in ("total", "all")
    }


def changed(**sections) -> dict:
    """The small configuration with some values replaced."""
    return {name: {**SMALL[name], **sections.get(name, {})} if name in sections else value
            for name, value in SMALL.items()}  # fmt: skip


def failing(project: Path, config: dict, *arguments: str) -> str:
    """What a run that must fail says on the terminal."""
    done = snakemake(project, *arguments, config=config)
    assert done.returncode != 0
    return done.stdout + done.stderr
