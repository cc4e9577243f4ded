"""NSD-synthetic and NSD-Imagery in the layout of NSD's bucket, small, their quirks included.

In a tree that has its subjects' masks already the responses are of these.
"""

from collections.abc import Sequence
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import scipy.io
from PIL import Image

from neural_recon.datasets.nsd.imagery_files import RUNS

SHAPE = (5, 4, 3)
AFFINE = np.diag([1.8, 1.8, 1.8, 1.0])
INSIDE = np.zeros(SHAPE, bool)
INSIDE[:, :, :2] = True
CUES = {"A": "HRVLPE", "B": "WKBCDT", "C": "SZMYNF"}
TARGETS = {
    "A": ["bar_000.0deg_450L_43W.png", "bar_045.0deg_450L_43W.png", "bar_090.0deg_450L_43W.png",
          "bar_135.0deg_450L_43W.png", "crs_000.0deg_450L_43W.png", "crs_045.0deg_450L_43W.png"],
    "B": ["shared0385_nsd28752.png", "shared0413_nsd30857.png", "shared0741_nsd53882.png",
          "shared0842_nsd61178.png", "shared0907_nsd65873.png", "shared0000_nsd00000.png"],
    "C": ["stripes", "zebra", "mammal", "yacht", "night", "food"],
}  # fmt: skip
REPEATS = 8
COLUMNS = {"A": [3, 0, 1, 5, 4, 2], "B": [0, 1, 2, 3, 4, 5], "C": [0, 1, 2, 3, 4, 5]}  # of the design


def mask(root: Path, subject: str) -> nibabel.Nifti1Image:
    """nsdgeneral, -1 outside cortex, 0 cortex, 1 region; written where the tree has none."""
    path = root / f"nsddata/ppdata/{subject}/func1pt8mm/roi/nsdgeneral.nii.gz"
    if not path.exists():
        labels = np.where(INSIDE, 1, 0).astype(np.int16)
        labels[-1, -1, -1] = -1
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(labels, AFFINE), path)
    return nibabel.load(path)


def n_voxels(root: Path, subject: str) -> int:
    """How many voxels the mask has."""
    return int((mask(root, subject).get_fdata() > 0).sum())


def betas(root: Path, subject: str, name: str, values: np.ndarray, ending: str = "hdf5") -> None:
    """Responses (trials, voxels of the mask) in percent, as NSD's integers."""
    where = mask(root, subject)
    volumes = np.zeros((len(values), *where.shape), np.int16)
    volumes[:, where.get_fdata() > 0] = np.round(values * 300)
    folder = root / f"nsddata_betas/ppdata/{subject}/func1pt8mm/{name}betas_fithrf_GLMdenoise_RR"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"betas_{name}.{ending}"
    if ending == "hdf5":
        with h5py.File(path, "w") as file:
            file["betas"] = volumes.transpose(0, 3, 2, 1)
    else:
        nibabel.save(nibabel.Nifti1Image(np.moveaxis(volumes, 0, -1), where.affine), path)


def responses(
    items: Sequence[object], gain: np.ndarray | float = 1.0, seed: int = 0, n: int = int(INSIDE.sum())
) -> np.ndarray:
    """(trials, n voxels) of items, each with a pattern of its own."""
    rng = np.random.default_rng(seed)
    patterns = {one: np.random.default_rng([9, k]).normal(size=n) for k, one in enumerate(sorted(set(items)))}
    known = np.stack([patterns[one] for one in items])
    return np.asarray(gain).reshape(-1, 1) * known + rng.normal(size=known.shape)


def nsd_imagery(
    root: Path,
    subjects: Sequence[str] = ("subj01",),
    grouped: bool = False,
    drift: float = 0,
    gain: float = 1,
) -> None:
    """Write the tree.

    Args:
        grouped: a run's betas come item by item, in the order of the design's columns.
        drift: how strongly responses change in the course of a run.
        gain: of the patterns, in standard deviations of the noise.
    """
    experiment = root / "nsddata/experiments/nsdimagery"
    for name, letters in CUES.items():
        rows = [[n, target, letter] for n, (target, letter) in
                enumerate(zip(TARGETS[name], letters, strict=True), start=1)]  # fmt: skip
        cells = np.empty((6, 3), object)
        cells[:] = rows[::-1] if name == "B" else rows  # in any order: they are numbered
        experiment.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(experiment / f"{name}_pair_list.mat", {"pair_list": cells})
        for n, target in enumerate(TARGETS[name]):
            if target.endswith(".png"):
                path = experiment / f"rawtargetimages/set{name}/{target}"
                path.parent.mkdir(parents=True, exist_ok=True)
                colours = np.random.default_rng([n, ord(name)]).integers(0, 256, (4, 4, 3), np.uint8)
                Image.fromarray(colours).resize((64, 64), Image.Resampling.BICUBIC).save(path)
    designs = np.empty((1, len(RUNS)), object)
    for who, subject in enumerate(subjects):
        n, rng, stored = n_voxels(root, subject), np.random.default_rng(who), []
        for number, run in enumerate(RUNS):
            letters, events = CUES[run[3]], 2 if run.startswith("att") else 1
            shown = np.random.default_rng([number, 1]).permutation(np.repeat(list(letters), REPEATS))
            # cues of vision match what is seen in half of the trials
            cue = np.where(rng.random(len(shown)) < 0.5, shown, rng.permutation(shown))
            table = pd.DataFrame({
                "SUBJECT": subject, "SESSION": 1, "RUN": number + 1, "TRIAL": np.arange(1, 49),
                "CONDITION": shown, "CUE": cue if run.startswith("vis") else shown, "ISCORRECT": "n/a",
            })  # fmt: skip
            path = root / f"nsddata/bdata/nsdimagery/nsdimagery_{subject}_{run}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            table.sample(frac=1, random_state=0).to_csv(path, sep="\t", index=False)
            order = COLUMNS[run[3]]
            column = {letters[item]: k for k, item in enumerate(order)}
            design = np.zeros((5 * 48 * events, 36))
            design[5 * np.arange(48 * events), np.repeat([column[one] for one in shown], events)] = 1
            designs[0, number] = design
            trials = np.repeat(shown, events)
            if grouped:
                trials = np.array(sorted(trials, key=lambda one: column[one]))
            values = responses(
                [f"{run[3]}{one}" for one in trials],
                gain * (0.5 if run.startswith("img") else 1.0),
                seed=100 * who + number,
                n=n,
            )
            slope = np.random.default_rng([number, 5]).normal(size=values.shape[1])
            stored.append(values + drift * np.linspace(-1, 1, len(values))[:, None] * slope)
        betas(root, subject, "nsdimagery", np.concatenate(stored))
    scipy.io.savemat(experiment / "designmatrixGLMsingle.mat", {"stimulus": designs})


def nsd_synthetic(
    root: Path, subjects: Sequence[str] = ("subj01", "subj02"), ending: str = "nii.gz"
) -> list[int]:
    """Write the tree: 6 shared stimuli and 2 of each subject's own; which was shown in each trial, from 1."""
    shown = np.random.default_rng(3).permutation(np.repeat(np.arange(1, 9), 2)).tolist()
    design = root / "nsddata/experiments/nsdsynthetic/nsdsynthetic_expdesign.mat"
    stimuli = root / "nsddata_stimuli/stimuli/nsdsynthetic"
    design.parent.mkdir(parents=True, exist_ok=True)
    stimuli.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(design, {"masterordering": np.array([shown], float)})
    files = {"nsdsynthetic_stimuli": 6, **{f"nsdsynthetic_colorstimuli_{one}": 2 for one in subjects}}
    for seed, (name, n) in enumerate(files.items()):
        small = np.random.default_rng(seed).integers(0, 256, (n, 4, 8, 3), np.uint8)
        with h5py.File(stimuli / f"{name}.hdf5", "w") as file:
            file["imgBrick"] = small.repeat(8, axis=1).repeat(8, axis=2)  # wider than high
    for who, subject in enumerate(subjects):
        values = responses(shown, seed=who, n=n_voxels(root, subject))
        betas(root, subject, "nsdsynthetic", values, ending)
    return shown
