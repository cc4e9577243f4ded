"""A whole run on random weights that takes seconds: for tests that start it many times."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from helpers.published_layouts import write_vdvae, write_versatile
from helpers.workflow import make_project
from neural_recon.config.sections import Demo
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import design, tree

TRAIN, TEST = 24, 8
VDVAE = "models/imagenet64-iter-1600000-model-ema.th"
DEMO = Demo(subjects=["subj01"], sessions=1, shared_images=50, own_images=200, rendered_shared=50)
# what a run ends with that paints and scores, and nothing more
SCORES = "results/scores/subj01/summary.tsv"
CONFIG = {
    "recipe": "brain_diffuser_small",
    "dataset": {"kind": "nsd", "root": "nsd", "preparation": "betas_fithrf"},
    "subjects": {"subj01": {"sessions": 1, "format": "hdf5"}},
    "split": {"train": "train.txt", "test": "test.txt"},
    "spaces": {
        "vdvae": {"weights": VDVAE, "hparams": "models/hparams.json", "layers": 5},
        "vision": {"weights": "models/versatile-diffusion"},
        "text": {"weights": "models/versatile-diffusion"},
    },
    "features": {"chunk": 16},
    "decoder": {"alpha": {"vdvae": 1000, "vision": 1000, "text": 1000}},
    "generator": {"weights": "models/versatile-diffusion", "steps": 2, "chunk": 4},
    "evaluation": {"preset": "native", "networks": {"clip": "models/versatile-diffusion"},
                   "control_images": 2, "repairings": 100, "draws": 1},
}  # fmt: skip


def make(folder: Path, subjects: Sequence[str] = ("subj01",)) -> Path:
    """The workflow in a folder of its own, with small data in NSD's formats and random models."""
    demo = DEMO.model_copy(update={"subjects": list(subjects)})
    make_project(folder)
    nsd = Tree(root=folder / "nsd", preparation=CONFIG["dataset"]["preparation"])
    tree.write_experiment(nsd, demo)
    tree.write_stimuli(nsd, demo)
    for subject in subjects:
        tree.write_subject(nsd, demo, subject)
        tree.write_signals(nsd, demo, subject)
        tree.write_betas(nsd, demo, subject, 1)
    shared = design.of(demo).ids("subj01", np.arange(1, TRAIN + TEST + 1))  # two chunks of features
    for name, ids in (("train", shared[:TRAIN]), ("test", shared[TRAIN:])):
        (folder / f"{name}.txt").write_text("".join(f"{image_id}\n" for image_id in ids), encoding="utf-8")
    (folder / "models").mkdir()
    _, hparams = write_vdvae(folder / "models")
    (folder / "models/hparams.json").write_text(json.dumps(hparams), encoding="utf-8")
    write_versatile(folder / "models", safetensors=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return folder
