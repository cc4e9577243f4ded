"""How long the ridge stage takes at NSD's full size, and how long others take.

    OMP_NUM_THREADS=2 python benchmarks/ridge.py [--data FOLDER] [--scale 1] [--skip-others]
    python benchmarks/ridge.py --small      # --scale 0.005: whether it runs

Writes random responses and features of one subject (8,859 training images, 982 test images, 15,724 voxels,
347,680 features in chunk files of 500 images; 6.8 GB in a temporary folder, or in FOLDER, which is kept and
used again), then measures, each stage in a process of its own:

- the kernel, then every space from files to written predictions: with each calibration, and all that the
  workflow fits (the decoder, its control on shuffled pairs, and the other calibration); wall time, start of
  the process included, and peak resident memory; seconds by features in the three spaces, which differ in
  size;
- the arithmetic of these alone, on matrices of their sizes: the symmetric product of the responses, a factor
  and its solves per space, and the product of weights and features, of which a few blocks are timed;
- cross-validation of one space's penalty;
- the scikit-learn loop of the published scripts: three of its fits of 768 features in float64, whose
  predictions must be ours;
- himalaya's kernel ridge on 768 and on 3,072 features (where himalaya is installed).

What others would take for all features is extrapolated, and marked so. `--scale 0.1` shrinks everything.
"""

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import steps
import table

SPACES = {"text": 77 * 768, "vdvae": 91_168, "vision": 257 * 768}
ALPHAS = {"text": 100_000, "vdvae": 50_000, "vision": 60_000}
# by name, how many rows of weights each test image's prediction takes, and each of the calibration's images
WAYS = {"train": (1, 1), "published": (1, 0), "workflow": (2, 2)}
CALIBRATED = 1000  # images of calibration "train"
BLOCK, BLOCKS = 4096, 3  # features of a block, and how many of them the arithmetic is timed on
TRAIN, TEST, VOXELS, CHUNK = 8859, 982, 15_724, 500
FIT, FITS = 768, 3  # features of a fit of the published scripts, and how many of them are timed
SAME = 0.9999  # the least that a feature's predictions by scikit-learn correlate with ours
PRODUCT = 4096  # rows and columns of the matrices whose product tells how fast the machine is


def sizes(scale: float) -> tuple[int, int, int, dict[str, int]]:
    """Training images, test images, voxels, and features by space."""
    n_train, n_test, voxels = (max(20, round(size * scale)) for size in (TRAIN, TEST, VOXELS))
    return n_train, n_test, voxels, {space: round(width * scale) for space, width in SPACES.items()}


def features_of_a_fit(scale: float) -> int:
    """768, or fewer where the space is too small for several fits."""
    return min(FIT, sizes(scale)[3]["vision"] // (FITS + 1))


def write_data(data: Path, scale: float) -> None:
    """Random responses, and features that a few voxels say something about."""
    from neural_recon.core.hdf5 import write_hdf5
    from neural_recon.features.feature_files import write_chunk

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


def feature_table(data: Path, space: str, train_ids: np.ndarray):
    """A space's features of the training images."""
    from neural_recon.features.feature_files import FeatureTable

    return FeatureTable(sorted((data / space).glob("[0-9]*.h5")), train_ids)


def responses(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training and test responses, and the training images' ids."""
    with h5py.File(data / "responses.h5") as file:
        return file["train"][()], file["test"][()], file["train_ids"][()]


# what the workflow's scripts of the same names do


def kernel(data: Path) -> None:
    from neural_recon.core.hdf5 import read_hdf5
    from neural_recon.decoding.kernel import Kernel
    from neural_recon.decoding.ridge_files import write_kernel

    arrays = read_hdf5(data / "responses.h5", "train", "test", "train_ids", "test_ids")
    made = Kernel.of(arrays["train"], arrays["test"], images=arrays["train_ids"])
    write_kernel(data / "kernel.h5", made, {name: arrays[name] for name in ("train_ids", "test_ids")})


def predict(data: Path, space: str, way: str) -> None:
    from neural_recon.core.random_streams import rows_of, shuffled_images
    from neural_recon.decoding.ridge_files import PredictionFile, read_kernel, write_predictions

    read, train_ids, test_ids = read_kernel(data / "kernel.h5")
    targets, ids = feature_table(data, space, train_ids), {"image_id": test_ids, "paired_id": train_ids}

    def file(fit: str, calibration: str) -> PredictionFile:
        return PredictionFile(data / space / f"{fit}.h5", calibration, ids, {"fit": fit})

    if way == "workflow":
        shuffled = rows_of(train_ids, shuffled_images(train_ids, 0))
        own = [file("decoded", "train"), file("recalibrated", "published")]
        pairings = [(None, own), (shuffled, [file("shuffled", "train")])]
    else:
        pairings = [(None, [file("decoded", way)])]
    write_predictions(pairings, read, targets, ALPHAS[space], 0)


def arithmetic(scale: float) -> dict[str, float]:
    """Seconds that the linear algebra alone takes: of the kernel, of a factor with its solves by way, and of
    10,000 features by way."""
    from scipy.linalg import blas, lapack

    n_train, n_test, voxels, _ = sizes(scale)
    rng, found = np.random.default_rng(0), {}
    x = rng.standard_normal((voxels, n_train + n_test), np.float32).astype(np.float64)

    def timed(name: str, work: Callable[[], object], times: float = 1) -> object:
        began = time.perf_counter()
        result = work()
        found[name] = found.get(name, 0) + times * (time.perf_counter() - began)
        return result

    gram = timed("kernel", lambda: blas.dsyrk(1.0, x[:, :n_train].T, lower=1))
    timed("kernel", lambda: x[:, n_train:].T @ x[:, :n_train])
    gram.flat[:: n_train + 1] += ALPHAS["vdvae"]
    factor = timed("factor", lambda: lapack.dpotrf(gram, lower=1)[0])
    targets = rng.standard_normal((n_train, BLOCK), np.float32)
    for way, (tests, samples) in WAYS.items():
        solved = n_test + min(CALIBRATED, n_train) * bool(samples)
        found[f"{way} factor"] = found["factor"]
        timed(
            f"{way} factor",
            lambda k=solved: lapack.dpotrs(factor, rng.standard_normal((n_train, k)), lower=1),
        )
        rows = tests * n_test + samples * min(CALIBRATED, n_train)
        weights = rng.standard_normal((rows, n_train), np.float32)
        weights @ targets
        timed(f"{way} features", lambda w=weights: [w @ targets for _ in range(BLOCKS)], 1e4 / BLOCK / BLOCKS)
    return found


def choose_alpha(data: Path, space: str) -> tuple[int, int]:
    """How many penalties and folds were tried."""
    from neural_recon.decoding.decoders.ridge import CrossValidation
    from neural_recon.decoding.penalty_table import cross_validated_curve
    from neural_recon.decoding.ridge_files import read_kernel

    read, train_ids, _ = read_kernel(data / "kernel.h5")
    targets = feature_table(data, space, train_ids)
    settings = CrossValidation().model_dump()
    curve = cross_validated_curve(read, targets, targets.parts, **settings, seed=0)
    return curve["alpha"].nunique(), curve["fold"].nunique()


# others


def scikit_learn(data: Path, features: int) -> tuple[list[float], float]:
    """As the published scripts: one fit a token, in float64. Seconds of each, and the lowest correlation."""
    from sklearn.linear_model import Ridge

    train, test, train_ids = responses(data)
    train, test = train.astype(np.float64), test.astype(np.float64)
    seconds, found = [], []
    targets = feature_table(data, "vision", train_ids)
    for token in range(FITS):
        y = targets[:, token * features : (token + 1) * features].astype(np.float64)
        began = time.perf_counter()
        model = Ridge(alpha=ALPHAS["vision"], max_iter=10_000, fit_intercept=True).fit(train, y)
        found.append(model.predict(test).reshape(len(test), -1))
        seconds.append(time.perf_counter() - began)
    # the same numbers? "published" calibration undoes scale and mean: compare correlations
    theirs = np.concatenate(found, axis=1)
    with h5py.File(data / "vision" / "decoded.h5") as file:
        ours = file["predictions"][:, : theirs.shape[1]].astype(np.float64)
    ours, theirs = (a - a.mean(axis=0) for a in (ours, theirs))
    r = (ours * theirs).sum(axis=0) / np.sqrt((ours**2).sum(axis=0) * (theirs**2).sum(axis=0))
    return seconds, float(r.min())


def himalaya(data: Path, features: int) -> float:
    """Seconds of one fit."""
    from himalaya.kernel_ridge import KernelRidge

    train, test, train_ids = responses(data)
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    y = feature_table(data, "vision", train_ids)[:, :features].astype(np.float32)
    y -= y.mean(axis=0)
    began = time.perf_counter()
    KernelRidge(alpha=ALPHAS["vision"]).fit(train, y).predict(test)
    return time.perf_counter() - began


def rates(size: int) -> dict[str, float]:
    """Matrix products a second, in units of 1e9 operations, by type."""
    found = {}
    for dtype in (np.float32, np.float64):
        a = np.ones((size, size), dtype)
        a @ a
        began = time.perf_counter()
        a @ a
        found[np.dtype(dtype).name] = 2 * size**3 / (time.perf_counter() - began) / 1e9
    return found


def rows(scale: float) -> dict[str, str]:
    """The names of the table's rows, by what is measured."""
    spaces, features = sizes(scale)[3], features_of_a_fit(scale)
    total, tokens = sum(spaces.values()), spaces["text"] + spaces["vision"]
    found = {"kernel": "kernel of the subject (once)"}
    for name in WAYS:
        what = "the workflow's three fits" if name == "workflow" else f"calibration `{name}`"
        for space, width in spaces.items():
            found[f"{name} {space}"] = f"{what}, {width:,d} features"
        found[f"{name} all"] = f"**{what}, kernel and three spaces**"
        found[f"{name} arithmetic"] = f"{what}, the arithmetic alone"
        found[f"{name} job"] = f"{what}, a job without its features"
        found[f"{name} features"] = f"{what}, every 10,000 features"
    return found | {
        "alpha": "cross-validation of one space's alpha",
        "scikit": f"scikit-learn, one fit of {features} features, float64 (mean of {FITS})",
        "scikit all": f"scikit-learn, all {total / features:,.0f} such fits, **extrapolated**",
        "scikit tokens": f"scikit-learn, {tokens / features:,.0f} fits of CLIP's tokens, **extrapolated**",
        "himalaya few": f"himalaya, one fit of {features:,d} features",
        "himalaya many": f"himalaya, one fit of {4 * features:,d} features",
        "himalaya fits": f"himalaya, all in fits of {4 * features:,d}, **extrapolated**",
        "himalaya one": "himalaya, all in one fit, **extrapolated** (whatever memory it would need)",
    }


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    with tempfile.TemporaryDirectory() as folder:
        return measure_in(arguments.data or Path(folder), arguments.scale, arguments.skip_others)


def measure_in(data: Path, scale: float, skip_others: bool) -> tuple[str, table.Table]:
    if not (data / "scale").exists() or float((data / "scale").read_text(encoding="ascii")) != scale:
        data.mkdir(parents=True, exist_ok=True)
        steps.apart(write_data, data, scale)
    n_train, n_test, voxels, spaces = sizes(scale)
    total, features = sum(spaces.values()), features_of_a_fit(scale)
    names = rows(scale)
    columns = {"seconds": ",.1f", "most memory, GB": ".2f", "times its arithmetic": ".2f"}
    result = table.Table({**columns, "times `published`": ",.1f"}, names.values())
    rate = steps.apart(rates, max(256, round(PRODUCT * min(scale, 1)))).result

    def add(
        key: str,
        seconds: float,
        megabytes: float | None = None,
        limit: float | None = None,
        of: float | None = None,
    ) -> None:
        memory = table.NONE if megabytes is None else megabytes / 1e3
        ratios = [table.NONE if least is None else seconds / least for least in (limit, of)]
        result.add(names[key], seconds, memory, *ratios)

    least = steps.apart(arithmetic, scale).result
    once, ours = steps.apart(kernel, data), {}
    add("kernel", once.seconds, once.megabytes, least["kernel"])
    for name in WAYS:
        found = {space: steps.apart(predict, data, space, name) for space in spaces}
        for space, step in found.items():
            add(f"{name} {space}", step.seconds, step.megabytes)
        seconds = [step.seconds for step in found.values()]
        ours[name] = once.seconds + sum(seconds)
        limit = least["kernel"] + 3 * least[f"{name} factor"] + total / 1e4 * least[f"{name} features"]
        add(f"{name} all", ours[name], max(step.megabytes for step in (once, *found.values())), limit)
        add(f"{name} arithmetic", limit)
        slope, fixed = np.polyfit([*spaces.values()], seconds, 1)
        add(f"{name} job", fixed, limit=least[f"{name} factor"])
        add(f"{name} features", 1e4 * slope, limit=least[f"{name} features"])
    alpha = steps.apart(choose_alpha, data, "vdvae")
    add("alpha", alpha.seconds, alpha.megabytes)
    alphas, folds = alpha.result

    speeds = " / ".join(table.figure(rate[kind], ".0f", kind) for kind in ("float32", "float64"))
    said = (
        f"{n_train:,d} training and {n_test:,d} test images, {voxels:,d} voxels, {total:,d} features in "
        "float16 files; wall time from files to written predictions, each job's start included; matrix "
        f"products at {speeds} GFLOP/s (float32 / float64); {alphas} alphas in {folds} folds."
    )
    if skip_others:
        for key in names:
            if key.startswith(("scikit", "himalaya")):
                result.absent(names[key], "left out (--skip-others)")
        return said, result

    published = ours["published"]
    step = steps.apart(scikit_learn, data, features)
    each, lowest = float(np.mean(step.result[0])), step.result[1]
    if not lowest >= SAME:
        raise table.NoFigure(f"expected scikit-learn to predict the same, found a correlation of {lowest}.")
    said += f" Scikit-learn's predictions correlate with ours at {lowest:.6f} or more in every feature."
    add("scikit", each, step.megabytes)
    add("scikit all", each * total / features, of=published)
    add("scikit tokens", each * (spaces["text"] + spaces["vision"]) / features, of=published)
    if importlib.util.find_spec("himalaya") is None:
        for key in names:
            if key.startswith("himalaya"):
                result.absent(names[key], "himalaya is not installed")
        return said, result
    few, many = (steps.apart(himalaya, data, number) for number in (features, 4 * features))
    add("himalaya few", few.result, few.megabytes)
    add("himalaya many", many.result, many.megabytes)
    add("himalaya fits", many.result * total / (4 * features), of=published)
    more = (many.result - few.result) / (3 * features)  # seconds a feature
    add("himalaya one", few.result + more * (total - features), of=published)
    return said, result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--data", type=Path, help="keep the files here, and use them again")
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--skip-others", action="store_true", help="neither scikit-learn nor himalaya")
    table.run(options, measure, small={"scale": 0.005})
