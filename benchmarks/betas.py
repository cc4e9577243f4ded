"""Reading a full-size session's betas within nsdgeneral: the usual way beside `neural_recon.nsd.read_betas`.

    python benchmarks/betas.py [--folder DIR] [--turns 2]

Writes a session of 81 x 104 x 83 x 750 (noise in a third of the volume, zero elsewhere: compressed about as
large as NSD's 233 MB) in both published formats, once, and reads each in a process of its own: seconds and
most resident memory, imports included in the memory. The usual way is `get_fdata` and masking.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import nibabel
import numpy as np

SHAPE, TRIALS, VOXELS = (81, 104, 83), 750, 15_724


def usual(folder: Path) -> np.ndarray:
    """float64 (trials, voxels)."""
    mask = np.asarray(nibabel.load(folder / "mask.nii.gz").dataobj) == 1
    return (nibabel.load(folder / "session.nii.gz").get_fdata()[mask] / 300).T


def ours(folder: Path, suffix: str) -> np.ndarray:
    from neural_recon.nsd import read_betas, read_mask

    return read_betas(folder / f"session.{suffix}", read_mask(folder / "mask.nii.gz"), TRIALS)


WAYS = {
    "get_fdata and masking, nii.gz": usual,
    "read_betas, nii.gz": lambda folder: ours(folder, "nii.gz"),
    "read_betas, hdf5": lambda folder: ours(folder, "hdf5"),
}


def write(folder: Path) -> None:
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*[np.linspace(-1, 1, side) for side in SHAPE], indexing="ij")
    head = np.square(grid).sum(0) < 0.85**2
    volumes = np.zeros((TRIALS, *SHAPE[::-1]), np.int16)
    for trial in volumes:
        trial.T[head] = rng.normal(0, 450, head.sum())
    mask = np.zeros(SHAPE, np.int16)
    mask.ravel()[rng.permutation(np.flatnonzero(head))[:VOXELS]] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / "mask.nii.gz")
    with h5py.File(folder / "session.hdf5", "w") as file:
        file.create_dataset(
            "betas", data=volumes, chunks=(1, *SHAPE[::-1]), compression="gzip", compression_opts=1
        )
    # last: it says that all is there
    nibabel.save(nibabel.Nifti1Image(volumes.T, np.eye(4)), folder / "part.nii.gz")
    (folder / "part.nii.gz").rename(folder / "session.nii.gz")


def measure(way: str, folder: Path) -> dict:
    """Seconds, memory in MB, and a sum to compare; in a process of its own."""
    return json.loads(itself("--way", way, "--folder", str(folder)))


def itself(*arguments: str) -> bytes:
    """The output of this script in a process of its own."""
    return subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keep the files here (1 GB); default: a temporary one")
    parser.add_argument("--turns", type=int, default=2, help="the best of so many counts")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.folder)
        return
    if arguments.way:
        started = time.perf_counter()
        betas = WAYS[arguments.way](arguments.folder)
        seconds = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(json.dumps({"seconds": seconds, "MB": memory, "sum": float(betas.sum(dtype=np.float64))}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "session.nii.gz").is_file():
            # not in this process: those it starts begin with its peak of memory
            itself("--write", "--folder", str(folder))
        print(f"session.nii.gz: {(folder / 'session.nii.gz').stat().st_size / 1e6:.0f} MB")
        found = {way: [] for way in WAYS}
        for _ in range(arguments.turns):  # by turns, so that other work disturbs all alike
            for way in WAYS:
                found[way].append(measure(way, folder))
    best = {way: min(results, key=lambda result: result["seconds"]) for way, results in found.items()}
    plain = best["get_fdata and masking, nii.gz"]
    for way, result in best.items():
        assert np.isclose(result["sum"], plain["sum"], atol=1), (way, result, plain)
        faster, share = plain["seconds"] / result["seconds"], result["MB"] / plain["MB"]
        print(
            f"{way}: {result['seconds']:.2f} s, {result['MB']:,.0f} MB; "
            f"{faster:.1f} times, {share:.1%} of the memory"
        )


if __name__ == "__main__":
    main()
