"""Small data sets in the layouts in which some are published, their names and quirks included."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
from PIL import Image

from helpers.made_up_lab import AFFINE, SHAPE, mask

N_TRAIN, N_TEST = 16, 4
INSIDE = np.flatnonzero(mask().reshape(-1))  # of the volume, in C order


def picture(path: Path, seed: int, size: tuple[int, int] = (72, 64)) -> None:
    """A picture of a few colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(path)


def responses(names: Sequence[str], n: int, seed: int) -> np.ndarray:
    """float32 (trials, n): each name has its own pattern; without a name there is noise alone."""
    rng = np.random.default_rng(seed)
    tuning = {name: np.random.default_rng(abs(hash_of(name))).normal(size=n) for name in set(names) if name}
    known = np.stack([tuning.get(name, np.zeros(n)) for name in names])
    return (2 * known + rng.normal(size=known.shape)).astype(np.float32)


def hash_of(name: str) -> int:
    """A number that is a name's own, the same in every process."""
    return int.from_bytes(name.encode()[-7:].rjust(8, b"\0"), "big")


def volumes(values: np.ndarray, where: np.ndarray = INSIDE) -> np.ndarray:
    """(x, y, z, trials) of responses (trials, voxels) of the mask."""
    found = np.zeros((len(values), int(np.prod(SHAPE))), np.float32)
    found[:, where] = values
    return np.moveaxis(found.reshape(-1, *SHAPE), 0, -1)


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = AFFINE) -> None:
    """A NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def things_names() -> tuple[list[str], list[str]]:
    """Names of files of training and test pictures; one object is called as another with a number."""
    concepts = ["aardvark", "bracelet1", "bracelet2", *(f"thing{n}" for n in range(17))]
    names = [f"{concept}_{n % 9 + 1:02}s.jpg" for n, concept in enumerate(concepts)]
    return names[:N_TRAIN], names[N_TRAIN:]


def things_fmri(folder: Path, brain_mask: bool = False, catch: bool = False) -> None:
    """Two people, two sessions of two runs; training pictures once, test pictures in every run.

    Args:
        brain_mask: whether there are masks as volumes.
        catch: whether the tables have catch trials, as those of the volumes do.
    """
    train, test = things_names()
    for n, name in enumerate([*train, *test, "nobody_01s.jpg"]):
        picture(folder / f"images/{name.rpartition('_')[0]}/{name}", n)
    tables = folder / "betas_csv"
    tables.mkdir(parents=True)
    for number in (1, 2):
        subject, rng, rows = f"sub-{number:02}", np.random.default_rng(number), []
        for n, part in enumerate(np.split(rng.permutation(train), 4)):
            shown = [("train", name) for name in part] + [("test", name) for name in test]
            shown += [("catch", "catch_003.jpg")] * catch
            rows += [(n // 2 + 1, n % 2 + 1, *shown[place]) for place in rng.permutation(len(shown))]
        table = pd.DataFrame(rows, columns=["session", "run", "trial_type", "stimulus"])
        table["concept"] = table["stimulus"].str.rpartition("_")[0]
        table.assign(subject_id=number, trial_id=range(len(table)))[
            ["trial_type", "session", "run", "subject_id", "trial_id", "stimulus", "concept"]
        ].to_csv(tables / f"{subject}_StimulusMetadata.csv", index=False)
        values = responses(list(table["stimulus"]), len(INSIDE), number)
        voxels = pd.DataFrame(np.stack(np.unravel_index(INSIDE, SHAPE), axis=1))
        voxels.columns = pd.Index(["voxel_x", "voxel_y", "voxel_z"])
        voxels.insert(0, "voxel_id", range(len(voxels)))
        voxels["nc_testset"] = np.linspace(0, 60, len(voxels))
        voxels["prf-eccentricity"] = 1.5
        # of 0 and 1; the lateral occipital complex lies in a region of another map, too
        voxels["V1"] = (voxels["voxel_x"] < 2).astype(int)
        voxels["LO1 (prf)"] = (voxels["voxel_x"] == 3).astype(int)
        voxels["lLOC"] = (voxels["voxel_x"] > 2).astype(int)
        voxels["rFFA"] = 0
        voxels.to_csv(tables / f"{subject}_VoxelMetadata.csv", index=False)
        # as pandas stores a table of numbers with to_hdf, in its fixed format
        with h5py.File(tables / f"{subject}_ResponseData.h5", "w") as file:
            group = file.create_group("ResponseData")
            group.attrs["pandas_type"] = np.bytes_(b"frame")
            group["axis1"] = np.arange(len(voxels))
            group["block0_values"] = values.T.astype(np.float64)
            group["block1_values"] = np.arange(len(voxels))[:, None]
        if brain_mask:
            save(folder / f"brainmasks/{subject}_space-T1w_brainmask.nii.gz", mask())


def tables(folder: Path) -> list[str]:
    """The names of the pictures of the first person's trials in THINGS-fMRI."""
    return list(pd.read_csv(folder / "betas_csv/sub-01_StimulusMetadata.csv")["stimulus"])
