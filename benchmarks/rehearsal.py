"""A whole run at NSD's size, job by job: what each rule takes, against what it asks for.

    python benchmarks/rehearsal.py --folder DIR [--cores 2] [--stages features numbers single pictures ...]
    python benchmarks/rehearsal.py --small      # a few voxels and features alone: whether it runs

DIR (45 GB) gets one subject's tree in NSD's formats (81 x 104 x 83 voxels, a mask of 15,724, forty sessions,
425 x 425 pictures), full-size models with random weights, and the results; what is there is used again, and a
run that was killed resumes. Then the workflow runs with config/nsd.yaml, in stages:

- features: of `ENCODED` images by the models; what the other stages read is made up, as wide and as scaled as
  these, since on two cores the models would take hours;
- numbers: all that needs no picture, with NSD's own test images;
- single: one space from single trials, all there are, instead of averages;
- pictures: everything else up to the page, of `--tested` test images, base images as final ones, one
  region;
- diffusion: `PAINTED` of these pictures by Versatile Diffusion, of a few steps.

With `--gpu` all features are the models' own, and painted pictures have all their steps.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import full_size
import minutes
import numpy as np
import planning
import table
import watch
import yaml

from neural_recon.config.configuration import Config, resolve
from neural_recon.workflow.plan import Plan

sys.path.insert(0, str(table.ROOT / "tests"))

SUBJECT = full_size.SUBJECT
STAGES = ("features", "numbers", "single", "pictures", "diffusion")
ENCODED = 100  # images of the stage features
PAINTED, STEPS = 4, 4  # pictures of diffusion, and its steps
PUBLISHED_STEPS = 50
STEP = re.compile(r"\.snakemake/scripts/tmp\w+?\.(\w+)\.py")
COLUMNS = {
    "jobs": ",d",
    "seconds": ",.1f",
    "CPU seconds": ",.1f",
    "most memory, MB": ",.0f",
    "asked, MB": ",.0f",
    "read, GB": ",.2f",
    "written, GB": ",.2f",
    "share": ".1%",
}
EXTRAPOLATED = "the whole, all jobs one after another, **extrapolated**"
NUMBERS = [
    "targets/{subject}/{space}.tsv",
    "ridge/{subject}/{space}/shuffled_refits.tsv",
    "bottleneck/{subject}.tsv",
    "controls/{subject}/clusters.tsv",
    "controls/{subject}/leaks.tsv",
    "data_amount/{subject}.tsv",
    "quality/{subject}.html",
]


def place(stage: str) -> str:
    """The folder of a stage's results; diffusion begins with what pictures predicted."""
    return "pictures" if stage == "diffusion" else stage


def configuration(
    folder: Path, stage: str, size: full_size.Size, arguments: argparse.Namespace
) -> dict[str, Any]:
    """config/nsd.yaml for the made-up subject and the random weights, and what the stage has of its own."""
    config = yaml.safe_load((table.ROOT / "config/nsd.yaml").read_text(encoding="utf-8"))
    models = folder / "weights"
    versatile = str(models / "versatile-diffusion")
    config["dataset"]["root"] = str(folder / "nsd")
    sessions = min(size.sessions, config["subjects"][SUBJECT]["sessions"])
    config["subjects"] = {SUBJECT: {"sessions": sessions, "format": arguments.format}}
    config["spaces"] = spaces(models, arguments.small)
    networks = config["evaluation"]["networks"]
    for name in networks:
        networks[name] = versatile if name == "clip" else str(models / "networks" / f"{name}.pth")
    config["pathvars"] = {
        name: path.replace("nsd", f"rehearsal/{place(stage)}") for name, path in config["pathvars"].items()
    }
    config["generator"] = {"kind": "base_only", "base": "vdvae", "size": 512}
    if stage == "features":
        config["features"] = {"chunk": ENCODED}
    if stage == "single":
        config["responses"] = {"average": False}
    if stage == "pictures":
        config["regions"]["sets"] = {"V1": ["V1"]}
    if stage == "diffusion":
        config["generator"] = {"weights": versatile, "chunk": PAINTED}
        if not arguments.gpu:
            config["generator"]["steps"] = STEPS
    return config


def spaces(models: Path, small: bool) -> dict[str, dict[str, Any]]:
    """The feature spaces of Brain-Diffuser, with the weights that `write_weights` puts into a folder."""
    recipe = yaml.safe_load((table.ROOT / "config/recipes/brain_diffuser.yaml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = recipe["spaces"]
    found["vdvae"] |= {"weights": str(models / "imagenet64-iter-1600000-model-ema.th")}
    found["vdvae"] |= {"hparams": str(models / "hparams.json")} | ({"layers": 4} if small else {})
    for name in ("vision", "text"):
        found[name]["weights"] = str(models / "versatile-diffusion")
    return found


def split(folder: Path, config: Config, tested: int) -> dict[str, str]:
    """The run's own split, of whose test images some are left, evenly spread."""
    trials = Plan(config).trials(SUBJECT)
    ids = {name: np.unique(trials.loc[trials["split"] == name, "image_id"]) for name in ("train", "test")}
    ids["test"] = ids["test"][np.linspace(0, len(ids["test"]) - 1, tested).astype(int)]
    for name, listed in ids.items():
        (folder / f"{name}.txt").write_text("".join(f"{i}\n" for i in listed), encoding="ascii")
    return {name: str(folder / f"{name}.txt") for name in ids}


def targets(stage: str, plan: Plan, results: str) -> list[str]:
    """What a stage asks Snakemake for."""
    match stage:
        case "features":
            return [
                f"{results}/features/{space}/{plan.feature_chunks(SUBJECT)[0].name}.h5"
                for space in plan.config.spaces
            ]
        case "numbers":
            named = [p.format(subject=SUBJECT, space=space) for p in NUMBERS for space in plan.config.spaces]
            return [f"{results}/{path}" for path in dict.fromkeys(named)]
        case "single":
            return [f"{results}/predictions/{SUBJECT}/text/decoded.h5"]
        case "pictures":
            return [SUBJECT]
        case _:
            return [f"{results}/reconstructions/{SUBJECT}/decoded_000.h5"]


def write_weights(folder: Path, small: bool) -> None:
    """Brain-Diffuser's models in their published layouts, with random weights."""
    from helpers import published_layouts

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "hparams.json").is_file():
        _, hparams = published_layouts.write_vdvae(folder, small)
        published_layouts.write_versatile(folder, small, safetensors=True)
        (folder / "hparams.json").write_text(json.dumps(hparams), encoding="utf-8")  # last: all is there


def write_networks(folder: Path) -> None:
    """The networks that pictures are compared by, with random weights."""
    import torch
    from helpers import random_networks

    folder.mkdir(parents=True, exist_ok=True)
    for name in random_networks.ARCHITECTURES:
        tensors = random_networks.random_tensors(name)
        if name == "swav":  # trained without classes
            tensors = {key: values for key, values in tensors.items() if not key.startswith("fc.")}
        full_size.once(folder / f"{name}.pth", lambda path, t=tensors: torch.save(t, path))
    full_size.once(folder / "lpips.pth", lambda path: torch.save(random_networks.random_lpips(), path))


def write_stand_ins(plan: Plan, encoded: Path, folder: Path) -> None:
    """Features of all images the plan has, in the place of those by the models.

    Args:
        encoded: where features of some images by the models lie.
    """
    for space in plan.config.spaces:
        (like,) = (encoded / space).glob("*.h5")
        for chunk in plan.feature_chunks(SUBJECT):
            path = folder / space / f"{chunk.name}.h5"
            if not path.is_file():
                ids = plan.data.chunk_ids(chunk.stimuli, chunk.index, plan.config.features.chunk)
                full_size.write_stand_in(path, ids, like, space)


def run_stage(stage: str, folder: Path, size: full_size.Size, arguments: argparse.Namespace) -> None:
    """Run Snakemake for a stage, and keep what its jobs took, also where it did not come to its end."""
    done = folder / f"{stage}.done"
    if done.is_file():
        return
    project, settings = planning.project(folder / "project"), configuration(folder, stage, size, arguments)
    plan = Plan(Config.model_validate(resolve(settings, table.ROOT)))
    if stage in ("pictures", "diffusion"):
        settings["split"] = split(folder, plan.config, arguments.tested)
        plan = Plan(Config.model_validate(resolve(settings, table.ROOT)))
    (project / f"{stage}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    results = settings["pathvars"]["results"]
    if stage != "features" and not arguments.gpu:
        made_up, link = folder / "features", project / results / "features"
        write_stand_ins(plan, project / "results/rehearsal/features/features", made_up)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(made_up)
    watch.EVERY = 1  # seconds: of hours
    words = [sys.executable, "-m", "snakemake", "--configfile", f"{stage}.yaml", "--benchmark-extended",
             "--cores", str(arguments.cores), "--", *targets(stage, plan, results)]  # fmt: skip
    watched = watch.Watched()
    try:
        watch.run(words, project, os.environ, STEP, watched)
    finally:
        kept = [vars(step) for step in watched.steps.values()]
        (folder / f"{stage}_{time.time_ns()}.steps.json").write_text(json.dumps(kept), encoding="utf-8")
        with (folder / f"{stage}.log").open("a", encoding="utf-8") as log:
            log.write(watched.said)
    done.touch()


def rows(folder: Path, stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each script of a stage took, the longest first, and the memory that its rules asked for."""
    rules = minutes.rule_of(table.ROOT)
    asked: dict[str, int] = {}
    for path in (folder / "project/benchmarks/rehearsal" / place(stage)).rglob("*.tsv"):
        sizes = map(int, re.findall(r"'mem_mb': (\d+)", path.read_text(encoding="utf-8")))
        asked[path.parent.name] = max(sizes, default=0)
    found = defaultdict(list)
    for path in folder.glob(f"{stage}_*.steps.json"):
        for step in json.loads(path.read_text(encoding="utf-8")):
            found[step["name"]].append(step)
    for script, same in sorted(found.items(), key=lambda item: -sum(step["seconds"] for step in item[1])):
        named = rules.get(script, script)
        yield (
            f"{stage}: `{named}`",
            {
                "jobs": len(same),
                "seconds": sum(step["seconds"] for step in same),
                "CPU seconds": sum(step["busy"] for step in same),
                "most memory, MB": max(step["megabytes"] for step in same),
                "asked, MB": max(asked.get(rule, 0) for rule in named.split(", ")) or table.NONE,
                "read, GB": sum(step["read"] for step in same) / 1e9,
                "written, GB": sum(step["written"] for step in same) / 1e9,
            },
        )


def times(found: Collection[str], arguments: argparse.Namespace, plan: Plan) -> dict[str, float]:
    """How many times as much of each row's work the whole run has, by its units.

    Args:
        found: the rows.
        plan: of the stage numbers, whose images, test images and regions are the whole run's.
    """
    images = len(plan.feature_chunks(SUBJECT)) * plan.config.features.chunk
    tested = len(plan.test_ids(SUBJECT))
    steps = 1 if arguments.gpu else PUBLISHED_STEPS / STEPS
    pictures = tested / min(arguments.tested, tested)
    result = {}
    for row in found:
        stage, _, rules = row.partition(": ")
        match stage:
            case "features":
                result[row] = images / ENCODED
            case "numbers":
                result[row] = 1
            case "pictures" if f"numbers: {rules}" in found:  # once more, as its test images are others
                result[row] = 0
            case "pictures":
                result[row] = pictures * (len(plan.config.regions.sets) if "region" in rules else 1)
            case "diffusion" if "reconstruct" in rules:
                result[row] = tested / PAINTED * steps
            case _:
                result[row] = 0
    return result


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    size = full_size.SMALL if arguments.small else full_size.FULL
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = folder.resolve()
        write_weights(folder / "weights", arguments.small)
        write_networks(folder / "weights/networks")
        full_size.write_tree(folder / "nsd", size, [arguments.format], arguments.cores)
        for stage in arguments.stages:
            run_stage(stage, folder, size, arguments)
        found = {row: figures for stage in arguments.stages for row, figures in rows(folder, stage)}
        settings = configuration(folder, "numbers", size, arguments)
        plan = Plan(Config.model_validate(resolve(settings, table.ROOT)))
        factors = times(found, arguments, plan)
    whole = set(arguments.stages) == set(STAGES)
    seconds = sum(figures["seconds"] for figures in found.values())
    result = table.Table(COLUMNS, [*found, EXTRAPOLATED] if whole else found)
    for row, figures in found.items():
        result.add(row, *figures.values(), figures["seconds"] / seconds)
    if whole:
        sums = [
            sum(figures[column] * factors[row] for row, figures in found.items())
            for column in ("seconds", "CPU seconds")
        ]
        result.add(EXTRAPOLATED, table.NONE, *sums, *[table.NONE] * (len(COLUMNS) - 3))
    return said(arguments, size), result


def said(arguments: argparse.Namespace, size: full_size.Size) -> str:
    sides = " x ".join(map(str, size.shape))
    return (
        f"One subject, volumes of {sides}, {size.voxels:,d} voxels, {size.sessions} sessions as "
        f"{arguments.format}, stages {', '.join(arguments.stages)}; {arguments.cores} cores; memory and "
        f"times of whole jobs, looked at every {watch.EVERY} s, read and written as asked of the system. "
        "**Extrapolated** by images, test images, regions, painted pictures and steps."
    )


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--folder", type=Path, help="where all of it lies; default: a temporary folder")
    options.add_argument("--cores", type=int, default=2)
    options.add_argument("--format", choices=["nii.gz", "hdf5"], default="nii.gz", help="of the betas")
    options.add_argument("--gpu", action="store_true", help="all features and all steps by the models")
    options.add_argument("--tested", type=int, default=100, help="test images of the stage pictures")
    options.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    table.run(options, measure, small={"stages": ["features"], "cores": 1})
