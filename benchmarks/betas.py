"""Reading a full-size session's betas within nsdgeneral: the usual way alongside
`neural_recon.datasets.nsd.betas.read_betas`.

    python benchmarks/betas.py [--folder DIR] [--turns 2]
    python benchmarks/betas.py --small      # a few voxels: whether it runs

Writes a session of 81 x 104 x 83 x 750 (noise in a third of the volume, zero elsewhere: compressed about as
large as NSD's 233 MB) in both published formats, once, and reads each in a process of its own: seconds of the
reading (without imports), and the process's most resident memory (with them). The usual way is `get_fdata`
and masking. All three must come to the same sum.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import steps
import table

SHAPE, TRIALS, VOXELS = (81, 104, 83), 750, 15_724
SMALL = (9, 10, 8), 12, 60


USUAL = "`get_fdata` and masking, nii.gz"
OURS = {"`read_betas`, nii.gz": "nii.gz", "`read_betas`, hdf5 (gzip, one chunk per trial)": "hdf5"}
WAYS = (USUAL, *OURS)


def usual(folder: Path) -> np.ndarray:
    """float64 (trials, voxels)."""
    mask = np.asarray(nibabel.load(folder / "mask.nii.gz").dataobj) == 1
    return (nibabel.load(folder / "session.nii.gz").get_fdata()[mask] / 300).T


def reader(way: str, folder: Path, trials: int) -> Callable[[], np.ndarray]:
    """What reads the betas, its imports done."""
    if way == USUAL:
        return lambda: usual(folder)
    from neural_recon.datasets.nsd.betas import read_betas
    from neural_recon.datasets.volumes import read_mask

    session = folder / f"session.{OURS[way]}"
    return lambda: read_betas(session, read_mask(folder / "mask.nii.gz"), trials)


def write(folder: Path, shape: tuple[int, ...], trials: int, voxels: int) -> None:
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij")
    head = np.square(grid).sum(0) < 0.85**2
    volumes = np.zeros((trials, *shape[::-1]), np.int16)
    for trial in volumes:
        trial.T[head] = rng.normal(0, 450, head.sum())
    mask = np.zeros(shape, np.int16)
    mask.ravel()[rng.permutation(np.flatnonzero(head))[:voxels]] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / "mask.nii.gz")
    with h5py.File(folder / "session.hdf5", "w") as file:
        file.create_dataset(
            "betas", data=volumes, chunks=(1, *shape[::-1]), compression="gzip", compression_opts=1
        )
    # last: it says that all is there
    nibabel.save(nibabel.Nifti1Image(volumes.T, np.eye(4)), folder / "part.nii.gz")
    (folder / "part.nii.gz").rename(folder / "session.nii.gz")


def read(way: str, folder: Path, trials: int) -> tuple[float, float]:
    """Seconds, and a sum to compare."""
    work = reader(way, folder, trials)
    started = time.perf_counter()
    betas = work()
    seconds = time.perf_counter() - started
    return seconds, float(betas.sum(dtype=np.float64))


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    shape, trials, voxels = SMALL if arguments.small else (SHAPE, TRIALS, VOXELS)
    result = table.Table(
        {"seconds": ".2f", "times faster": ".1f", "most memory, MB": ",.0f", "share of memory": ".1%"}, WAYS
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "session.nii.gz").is_file():
            steps.apart(write, folder, shape, trials, voxels)
        size = (folder / "session.nii.gz").stat().st_size / 1e6
        found: dict[str, list[steps.Ran]] = {way: [] for way in WAYS}
        for _ in range(arguments.turns):  # by turns, so that other work disturbs all alike
            for way in WAYS:
                found[way].append(steps.apart(read, way, folder, trials))
    best = {way: min(turns, key=lambda turn: turn.result) for way, turns in found.items()}
    plain = best[USUAL]
    usual_seconds, total = plain.result
    for way, turn in best.items():
        seconds, mine = turn.result
        if not np.isclose(mine, total, atol=1):
            raise table.NoFigure(f"{way}: expected betas with the sum {total}, found {mine}.")
        result.add(way, seconds, usual_seconds / seconds, turn.megabytes, turn.megabytes / plain.megabytes)
    sides = " x ".join(map(str, (*shape, trials)))
    said = f"A session of {sides} ({size:.3g} MB as nii.gz), {voxels:,d} voxels of it; best of "
    return f"{said}{arguments.turns} turns.", result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--folder", type=Path, help="keep the files here (1 GB); default: a temporary one")
    options.add_argument("--turns", type=int, default=2, help="the best of so many counts")
    table.run(options, measure, small={"turns": 1})
