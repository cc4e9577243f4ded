"""How long the ridge stage takes at NSD's full size, and how long others take.

    python benchmarks/ridge.py [--data FOLDER] [--scale 1] [--skip-others]

Writes random responses and features of one subject (8,859 training images, 982 test images, 15,724 voxels,
347,680 features in chunk files of 500 images; 6.8 GB in a temporary folder, or in FOLDER, which is kept and
used again), then measures, each stage in a process of its own:

- the kernel, then every space from files to written predictions with both calibrations; wall time and peak
  resident memory; seconds a feature in the three spaces, which differ in size;
- cross-validation of one space's penalty;
- the scikit-learn loop of the published scripts: three of its fits of 768 features in float64;
- himalaya's kernel ridge on 768 and on 3,072 features (where himalaya is installed).

What others would take for all features is extrapolated, and marked so. `--scale 0.1` shrinks everything.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

SPACES = {"clip_text": 77 * 768, "vdvae": 91_168, "clip_vision": 257 * 768}
ALPHAS = {"clip_text": 100_000, "vdvae": 50_000, "clip_vision": 60_000}
TRAIN, TEST, VOXELS, CHUNK, FIT = 8859, 982, 15_724, 500, 768


def sizes(scale: float) -> tuple[int, int, int, dict[str, int]]:
    """Training images, test images, voxels, and features by space."""
    n_train, n_test, voxels = (max(20, round(size * scale)) for size in (TRAIN, TEST, VOXELS))
    return n_train, n_test, voxels, {space: round(width * scale) for space, width in SPACES.items()}


def write_data(data: Path, scale: float) -> None:
    """Random responses, and features that a few voxels say something about."""
    from neural_recon.feature_files import write_chunk
    from neural_recon.files import write_hdf5

    n_train, n_test, voxels, spaces = sizes(scale)
    rng = np.random.default_rng(0)
    train = rng.standard_normal((n_train, voxels), np.float32)
    test = rng.standard_normal((n_test, voxels), np.float32)
    ids = {"train_ids": np.arange(n_train), "test_ids": np.arange(n_train, n_train + n_test)}
    write_hdf5(data / "responses.h5", {"train": train, "test": test, **ids}, {})
    for space, width in spaces.items():
        mixing = rng.standard_normal((16, width), np.float32) / 4
        for start in range(0, n_train, CHUNK):
            rows = ids["train_ids"][start : start + CHUNK]
            values = train[rows, :16] @ mixing
            values += rng.standard_normal(values.shape, np.float32)
            path = data / space / f"{start // CHUNK:03d}.h5"
            write_chunk(path, values, np.zeros(len(rows), bool), rows, {})
    (data / "scale").write_text(str(scale), encoding="ascii")


def table(data: Path, space: str):
    """A space's features of the training images."""
    from neural_recon.feature_files import FeatureTable

    paths = sorted((data / space).glob("[0-9]*.h5"))
    return FeatureTable(paths, np.arange(sizes(float((data / "scale").read_text()))[0]))


def run_kernel(data: Path) -> dict:
    from neural_recon.files import read_hdf5
    from neural_recon.kernel import Kernel
    from neural_recon.ridge_files import write_kernel

    arrays = read_hdf5(data / "responses.h5")
    kernel = Kernel.of(arrays["train"], arrays["test"])
    write_kernel(data / "kernel.h5", kernel, {k: arrays[k] for k in ("train_ids", "test_ids")})
    return {}


def run_predict(data: Path, space: str, calibration: str) -> dict:
    from neural_recon.ridge_files import read_kernel, write_predictions

    kernel, _, test_ids = read_kernel(data / "kernel.h5")
    targets = table(data, space)
    path = data / space / "decoded.h5"
    write_predictions(path, kernel, targets, ALPHAS[space], calibration, 0, test_ids, {})
    return {"features": targets.shape[1]}


def run_alpha(data: Path, space: str) -> dict:
    from neural_recon.config_sections import CrossValidation
    from neural_recon.penalty import cross_validated_curve
    from neural_recon.ridge_files import read_kernel

    kernel, _, _ = read_kernel(data / "kernel.h5")
    targets = table(data, space)
    settings = CrossValidation()
    curve = cross_validated_curve(kernel, targets, targets.parts, **settings.model_dump(), seed=0)
    return {"alphas": curve["alpha"].nunique(), "folds": settings.folds}


def run_scikit(data: Path) -> dict:
    """As the published scripts: one fit a token, in float64."""
    from sklearn.linear_model import Ridge

    with h5py.File(data / "responses.h5") as file:
        train, test = file["train"][()].astype(np.float64), file["test"][()].astype(np.float64)
    seconds, found = [], []
    targets = table(data, "clip_vision")
    for token in range(3):
        y = targets[:, token * FIT : (token + 1) * FIT].astype(np.float64)
        began = time.perf_counter()
        model = Ridge(alpha=ALPHAS["clip_vision"], max_iter=10_000, fit_intercept=True).fit(train, y)
        found.append(model.predict(test))
        seconds.append(time.perf_counter() - began)
    # the same numbers? "published" calibration undoes scale and mean: compare correlations
    with h5py.File(data / "clip_vision" / "decoded.h5") as file:
        ours = file["predictions"][:, : 3 * FIT].astype(np.float64)
    theirs = np.concatenate(found, axis=1)[:, : ours.shape[1]]
    ours, theirs = (a - a.mean(axis=0) for a in (ours, theirs))
    r = (ours * theirs).sum(axis=0) / np.sqrt((ours**2).sum(axis=0) * (theirs**2).sum(axis=0))
    return {"fits": seconds, "features": FIT, "lowest_r": float(r.min())}


def run_himalaya(data: Path) -> dict:
    from himalaya.kernel_ridge import KernelRidge

    with h5py.File(data / "responses.h5") as file:
        train, test = file["train"][()], file["test"][()]
    mean = train.mean(axis=0)
    train, test, seconds = train - mean, test - mean, {}
    for features in (FIT, 4 * FIT):
        y = table(data, "clip_vision")[:, :features].astype(np.float32)
        y -= y.mean(axis=0)
        began = time.perf_counter()
        KernelRidge(alpha=ALPHAS["clip_vision"]).fit(train, y).predict(test)
        seconds[y.shape[1]] = time.perf_counter() - began
    return {"fits": seconds}


def run_rates(_data: Path) -> dict:
    """Matrix products a second, in units of 1e9 operations."""
    rates = {}
    for dtype in (np.float32, np.float64):
        a = np.ones((4096, 4096), dtype)
        a @ a
        began = time.perf_counter()
        a @ a
        rates[np.dtype(dtype).name] = 2 * 4096**3 / (time.perf_counter() - began) / 1e9
    return rates


STAGES = {
    "kernel": run_kernel,
    "predict": run_predict,
    "alpha": run_alpha,
    "scikit": run_scikit,
    "himalaya": run_himalaya,
    "rates": run_rates,
}


def stage(data: Path, *words: str) -> dict:
    """Run one stage in a process of its own: what it returns, with wall seconds and peak memory in GB."""
    command = [sys.executable, __file__, "--data", str(data), "--stage", *words]
    began = time.perf_counter()
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(output.splitlines()[-1])
    return {**found, "wall": time.perf_counter() - began}


def main(data: Path, scale: float, others: bool) -> None:
    if not (data / "scale").exists() or float((data / "scale").read_text()) != scale:
        write_data_here = [sys.executable, __file__, "--data", str(data), "--scale", str(scale), "--write"]
        subprocess.run(write_data_here, check=True)
    n_train, n_test, voxels, spaces = sizes(scale)
    total = sum(spaces.values())
    rates = stage(data, "rates")
    print(f"{n_train} training and {n_test} test images, {voxels} voxels, {total} features")
    print(f"matrix products: {rates['float32']:.0f} GFLOP/s float32, {rates['float64']:.0f} float64")

    def say(name: str, one: dict, more: str = "") -> None:
        print(f"{name}: {more}{one['wall']:.1f} s, {one['memory']:.2f} GB", flush=True)

    kernel = stage(data, "kernel")
    say("kernel", kernel)
    ours = {}
    for calibration in ("train", "published"):
        found = {space: stage(data, "predict", space, calibration) for space in spaces}
        for space, one in found.items():
            say(f"{calibration}, {space}", one, f"{one['features']} features, ")
        features, seconds = zip(*((one["features"], one["wall"]) for one in found.values()), strict=True)
        slope, fixed = np.polyfit(features, seconds, 1)
        print(f"{calibration}: {fixed:.1f} s a job and {1e4 * slope:.2f} s for every 10,000 features")
        ours[calibration] = kernel["wall"] + sum(seconds)
        memory = max(one["memory"] for one in (kernel, *found.values()))
        say(f"{calibration}, kernel and three spaces", {"wall": ours[calibration], "memory": memory})
    alpha = stage(data, "alpha", "vdvae")
    say("cross-validation of one space", alpha, f"{alpha['alphas']} alphas, {alpha['folds']} folds, ")
    if not others:
        return

    def compare(name: str, seconds: float) -> None:
        ratio = seconds / ours["published"]
        print(f"  EXTRAPOLATED, {name}: {seconds:.0f} s, {ratio:.1f} times ours", flush=True)

    scikit = stage(data, "scikit")
    say("scikit-learn", scikit, f"fits of {FIT}: {', '.join(f'{s:.1f}' for s in scikit['fits'])} s; in all ")
    print(f"  its predictions correlate with ours at {scikit['lowest_r']:.6f} or more")
    fits = total / scikit["features"]
    compare(f"{fits:.0f} fits", float(np.mean(scikit["fits"])) * fits)
    if importlib.util.find_spec("himalaya") is None:
        print("himalaya is not installed")
        return
    himalaya = stage(data, "himalaya")
    (few, short), (many, long) = ((int(k), v) for k, v in himalaya["fits"].items())
    say("himalaya", himalaya, f"{few} features {short:.1f} s, {many} features {long:.1f} s; in all ")
    compare(f"fits of {many}", long * total / many)
    compare("one fit, if memory allowed", short + (long - short) / (many - few) * (total - few))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--skip-others", action="store_true")
    parser.add_argument("--stage", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_data(arguments.data, arguments.scale)
    elif arguments.stage:
        result = STAGES[arguments.stage[0]](arguments.data, *arguments.stage[1:])
        result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(json.dumps(result))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(arguments.data or Path(folder), arguments.scale, not arguments.skip_others)
