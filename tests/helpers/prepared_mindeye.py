"""Made-up files in the layout of MindEye2's prepared ones: small pictures, and responses that differ."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

IMAGES, TEST, VOXELS, SIDE = 12, 3, 20, 64
PER_SESSION = 2 * IMAGES
PICTURES = "coco_images_224_float16.hdf5"


def write(folder: Path, subject: str = "subj01", sessions: int = 2) -> Path:
    """All files of one subject, who saw each image twice per session; images below `TEST` test."""
    rng = np.random.default_rng(0)
    tuning = rng.standard_normal((IMAGES, VOXELS))
    images = np.concatenate([rng.permutation(np.tile(np.arange(IMAGES), 2)) for _ in range(sessions)])
    betas = tuning[images] + rng.standard_normal((len(images), VOXELS))
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(betas_file(folder, subject), "w") as file:
        file["betas"] = betas.astype(np.float32)
    with h5py.File(folder / PICTURES, "w") as file:
        file["images"] = rng.uniform(size=(IMAGES, 3, SIDE, SIDE)).astype(np.float16)
    session = np.arange(len(images)) // PER_SESSION + 1
    rows = rng.permutation(len(images))  # samples of a tar lie in any order
    for number in range(1, sessions + 1):
        training = [row for row in rows if session[row] == number and images[row] >= TEST]
        write_tar(
            folder / f"wds/{subject}/train/{number - 1}.tar",
            [behaviour(images[row], number, row) for row in training],
        )
    test = [behaviour(images[row], session[row], row) for row in rows if images[row] < TEST]
    write_tar(folder / f"wds/{subject}/new_test/0.tar", test)
    return folder


def betas_file(folder: Path, subject: str = "subj01") -> Path:
    """Where a subject's betas lie."""
    return folder / f"betas_all_{subject}_fp32_renorm.hdf5"


def behaviour(image: int, session: int, row: int) -> np.ndarray:
    """One trial's numbers: the image, subject, session, run, trial, and row of betas, then eleven others."""
    return np.array([[image, 1, session, 1, 1, row, *[-1] * 11]], np.float64)


def write_tar(path: Path, samples: Sequence[np.ndarray | bytes]) -> None:
    """A tar of samples: their `behav.npy` (or these bytes in its place), and other trials' alongside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number, sample in enumerate(samples):
            others = np.full((3, 17), -1.0)
            for name, values in (("past_behav", others), ("behav", sample), ("future_behav", others)):
                content = values if isinstance(values, bytes) else _npy(values)
                member = tarfile.TarInfo(f"sample{number:09d}.{name}.npy")
                member.size, member.mtime = len(content), 1.5  # as webdataset: a header of its own says it
                archive.addfile(member, io.BytesIO(content))


def _npy(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=values.dtype == object)
    return content.getvalue()
