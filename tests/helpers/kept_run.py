"""A run's kept decoders of a random subject and tiny models, without the run."""

import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import yaml

from helpers.places import ROOT
from helpers.published_layouts import write_vdvae, write_versatile
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding import kept_decoders, ridge
from neural_recon.decoding.kernel import Kernel

VOLUME = (5, 4, 6)
POSITIONS = np.argwhere(np.random.default_rng(3).random(VOLUME) < 0.5)
CONTEXT = 32  # of the small Versatile Diffusion of published_layouts
WIDTHS = {"vdvae": 2 + 2 * 16, "vision": 257 * CONTEXT, "text": 77 * CONTEXT}
ALPHA = 30.0
CONFIG = "mine.yaml"
TRAIN, TEST = 30, 6
DEMO = {"sessions": 1, "shared_images": 50, "own_images": 200, "rendered_shared": 50}


def shared_of(betas: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and std of responses (n, p)."""
    return {"mean": betas.mean(0).astype(np.float32), "std": betas.std(0, ddof=1).astype(np.float32)}


def write_betas(path: Path, betas: np.ndarray) -> np.ndarray:
    """Betas (n, *VOLUME) in NSD's integers; what a reader gives back for POSITIONS."""
    integers = np.round(betas * 300).astype(np.int16)
    if path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            file["betas"] = integers.transpose(0, 3, 2, 1)
    else:
        nibabel.save(nibabel.Nifti1Image(integers.transpose(1, 2, 3, 0), np.eye(4)), path)
    return integers[:, *POSITIONS.T].astype(np.float32) / 300


def predicted(path: Path, shared: Path, responses: np.ndarray) -> np.ndarray:
    """What a kept decoder predicts from responses (n, p)."""
    return kept_decoders.predict(path, shared, kept_decoders.project(shared, responses))


def make(folder: Path, how: str = "kernel", demo: bool = False) -> Path:
    """A project with a finished run's decoders, in a folder that is there.

    Args:
        how: `decoder.keep`.
        demo: whether the data set is the demo's.
    """
    rng = np.random.default_rng(1)
    for name in ("config", "resources"):
        (folder / name).symlink_to(ROOT / name)
    (vdvae, hparams), versatile = write_vdvae(folder), write_versatile(folder)
    (folder / "hparams.json").write_text(json.dumps(hparams), encoding="utf-8")
    config = {
        "recipe": "brain_diffuser_small",
        "dataset": {"kind": "nsd", "root": "nsd"},
        "subjects": {"subj01": {"sessions": 1}},
        "spaces": {
            "vdvae": {"weights": vdvae.name, "hparams": "hparams.json", "layers": 2},
            **{key: {"weights": versatile.name} for key in ("vision", "text")},
        },
        "generator": {"steps": 2, "weights": versatile.name},
        "decoder": {"keep": how},
        **({"demo": DEMO} if demo else {}),
    }
    (folder / CONFIG).write_text(yaml.safe_dump(config), encoding="utf-8")
    contexts = {
        "vision": rng.standard_normal((1, 257, CONTEXT), np.float32),
        "text": rng.standard_normal((1, 77, CONTEXT), np.float32),
    }
    write_hdf5(folder / "results/generator/unconditional.h5", contexts, {})
    betas = rng.standard_normal((TRAIN, len(POSITIONS))).astype(np.float32)
    kept = folder / "results/decoders/subj01"
    shared = shared_of(betas)
    train = (betas - shared["mean"]) / shared["std"]
    kernel = Kernel.of(train, train[:1])
    kept_decoders.write_shared(kept / "responses.h5", {**shared, "train": train}, POSITIONS, VOLUME, kernel,
                          how, {"zscore": "train"}, np.eye(4))  # fmt: skip
    test = rng.standard_normal((TEST, len(POSITIONS))).astype(np.float32)
    for space, width in WIDTHS.items():
        targets = rng.standard_normal((TRAIN, width)).astype(np.float32)
        kept_decoders.write_decoder(
            kept / f"{space}.h5", kept / "responses.h5", train, kernel, targets, ALPHA, "train", 0, 0.01
        )
        write_hdf5(folder / f"features of {space}.h5", {"features": targets}, {})
        predictions = ridge.predict(train, test, targets, ALPHA, "train").astype(np.float16)
        ids = np.arange(TRAIN, TRAIN + TEST)
        write_hdf5(
            folder / f"results/predictions/subj01/{space}/decoded.h5",
            {"predictions": predictions, "image_id": ids},
            {},
        )
    _write_scores(folder / "results", train, test)
    return folder


def _write_scores(results: Path, train: np.ndarray, test: np.ndarray) -> None:
    """Responses, and made-up scores and checks."""
    ids = np.arange(TRAIN, TRAIN + TEST)
    write_hdf5(
        results / "responses/subj01.h5",
        {"train": train, "train_ids": np.arange(TRAIN), "train_repetitions": np.full(TRAIN, 3), "test": test,
         "test_ids": ids, "test_repetitions": np.array([3, 3, 3, 3, 3, 2])},
        {"zscore": "train"},
    )  # fmt: skip
    rows, images = [], []
    for variant, level in (("decoded", 0.8), ("shuffled", 0.5), ("true_features", 0.9)):
        for metric in ("pixcorr", "clip_two_way"):
            who = {"subject": "subj01", "variant": variant, "picture": "final", "metric": metric}
            values = level + np.linspace(-0.1, 0.1, TEST)
            interval = {"mean": values.mean(), "ci_low": level - 0.05, "ci_high": level + 0.05, "n": TEST}
            paired = {"shuffled": 0.5, "shuffled_sd": 0.01, "p": 0.001, "repairings": 1000}
            rows.append({**who, **interval, **paired, "better": "higher", "not_measured": ""})
            images.append(pd.DataFrame({**who, "image_id": ids, "value": values, "chance": 0.5}))
    write_table(results / "scores/subj01/summary.tsv", pd.DataFrame(rows))
    write_table(results / "scores/subj01/images.parquet", pd.concat(images, ignore_index=True))
    checks = {"check": ["images", "alpha"], "compared": "", "difference": 0.0, "tolerance": 0.0,
              "verdict": ["holds", "nothing to check"]}  # fmt: skip
    write_table(results / "controls/subj01/leaks.tsv", pd.DataFrame(checks))
    write_hdf5(results / "reconstructions/subj01/decoded.h5", {"image_id": ids}, {})
