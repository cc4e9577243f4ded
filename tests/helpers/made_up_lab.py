"""A lab that nobody knows: three people, unequal sessions, odd names, catch and blank trials, one picture
without caption, volumes in different orientations."""

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from PIL import Image

SESSIONS = {"P-07": ["ses-01", "ses-02"], "anna": ["ses-01"], "sub_3x": ["ses-01", "ses-02", "ses-03"]}
NAMES = [
    "Café au lait", "dog (1)", "dog (2)", "a.b", "Zebra", "tree_01", "tree_02", "house", "boat", "cup", "3",
    "plane", "hand", "lamp", "road", "fish", "key", "shoe", "egg", "sun",
]  # fmt: skip
REPEATED = NAMES[:4]  # shown four times per session, the others once or twice
NO_CAPTION = "boat"
SHAPE = (5, 4, 3)
AFFINE = np.array([[2.0, 0, 0, -5], [0, 2, 0, -4], [0, 0, 2, -3], [0, 0, 0, 1]])
CATCH, BLANK = 5, 9  # their places in a session, from 0
# the section dataset that reads the folder, but for the folder
SETTINGS = {
    "kind": "table",
    "betas": "derivatives/{subject}/{subject}_{session}_betas.nii.gz",
    "units": "percent",
    "mask": "derivatives/{subject}/{subject}_brain-mask.nii.gz",
    "regions": {"visual": "derivatives/{subject}/{subject}_visual.nii.gz"},
    "names": {"visual": "derivatives/visual.tsv"},
    "pictures": "stimuli",
    "size": 64,
    "captions": "captions.tsv",
    "leave_out": {"trial_type": ["catch"]},
}


def session_rows(rng: np.random.Generator, subject: str, session: str) -> pd.DataFrame:
    """One session of a table of trials."""
    images = [*REPEATED * 4, *NAMES[4:], *NAMES[4:12]]
    images = [f"{name}.png" for name in rng.permutation(images)]
    images.insert(CATCH, "catch.png")
    images.insert(BLANK, "n/a")
    return pd.DataFrame(
        {
            "subject": subject,
            "session": session,
            "trial": np.arange(1, len(images) + 1),
            "image": images,
            "trial_type": ["catch" if name == "catch.png" else "picture" for name in images],
            "rt": 0.5,
        }
    )


def responses(table: pd.DataFrame, seed: int) -> np.ndarray:
    """float32 (trials, voxels) of all voxels of the volume in C order, in percent signal change."""
    rng, n_voxels = np.random.default_rng(seed), int(np.prod(SHAPE))
    tuning = np.random.default_rng(7).normal(size=(len(NAMES), n_voxels))
    place = {f"{name}.png": n for n, name in enumerate(NAMES)}
    known = np.stack(
        [tuning[place[name]] if name in place else np.zeros(n_voxels) for name in table["image"]]
    )
    return (2 * known + rng.normal(size=known.shape)).astype(np.float32)


def volume(values: np.ndarray) -> np.ndarray:
    """(x, y, z) or (x, y, z, trials) of values (voxels,) or (trials, voxels)."""
    return (
        np.moveaxis(values.reshape(*values.shape[:-1], *SHAPE), 0, -1)
        if values.ndim == 2
        else values.reshape(SHAPE)
    )


def save(path: Path, values: np.ndarray, flipped: bool = False) -> None:
    """A NIfTI file in RAS, or with x reversed and saying so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = AFFINE
    if flipped:
        values = values[::-1]
        affine = AFFINE @ np.array([[-1.0, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def mask() -> np.ndarray:
    """uint8 (x, y, z): 40 voxels."""
    inside = np.zeros(SHAPE, np.uint8)
    inside[:, :, :2] = 1
    return inside


def labels() -> np.ndarray:
    """int16 (x, y, z): 1 and 2 in the mask, 3 elsewhere."""
    found = np.full(SHAPE, 3, np.int16)
    found[:, :, 0], found[:, :2, 1] = 1, 2
    return found


def write(folder: Path) -> pd.DataFrame:
    """Write the lab's folder; returns its table of trials."""
    rng = np.random.default_rng(0)
    tables = []
    for n, (subject, sessions) in enumerate(SESSIONS.items()):
        for m, session in enumerate(sessions):
            rows = session_rows(rng, subject, session)
            tables.append(rows)
            place = folder / f"derivatives/{subject}/{subject}_{session}_betas.nii.gz"
            save(place, volume(responses(rows, 10 * n + m)), flipped=m == 1)
        save(folder / f"derivatives/{subject}/{subject}_brain-mask.nii.gz", mask())
        save(folder / f"derivatives/{subject}/{subject}_visual.nii.gz", labels(), flipped=True)
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(folder / "trials.tsv", sep="\t", index=False)
    names = pd.DataFrame({"label": [1, 2, 3], "name": ["V1", "V2", "elsewhere"]})
    names.to_csv(folder / "derivatives/visual.tsv", sep="\t", index=False)
    (folder / "stimuli").mkdir()
    for n, name in enumerate(NAMES):
        size = (72, 64) if n % 2 else (64, 80)  # width, height
        colours = np.random.default_rng(n).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(folder / f"stimuli/{name}.png")
    captions = [(f"{name}.png", f"a picture of {name}") for name in NAMES if name != NO_CAPTION]
    pd.DataFrame(captions, columns=["image", "caption"]).to_csv(
        folder / "captions.tsv", sep="\t", index=False
    )
    return table
