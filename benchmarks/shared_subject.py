"""A network that has learnt from other people beside the same network without them, and ridge regression.

    python benchmarks/shared_subject.py [--results results] [--subject subj01] [--sessions 1 2 4]
    python benchmarks/shared_subject.py --speed [--hidden 4096 1024] [--people 4]      # on a GPU
    python benchmarks/shared_subject.py --small     # on made-up people, without a run: whether it runs

The first after the demo and `snakemake results/session_trials/SUBJECT.h5` of both subjects: two-way
identification of the test images by predicted features, of the decoders of one subject that were fitted on
its first sessions only.

- others first: the recipe's network, trained on the other subjects' sessions before.
- alone: the same network, from new weights.
- ridge: on averages of the same trials, with a cross-validated penalty.

Intervals are of the mean over test images (bootstrap, 95 %); "minus alone" is of the
difference image by image.
`--speed` measures training at the published sizes on random data: steps per second, memory, and the
share of the GPU's rate in large products of matrices (float16) that the steps' products make up.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import table

from neural_recon.config.recipe_files import read_recipe
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.decoding import load
from neural_recon.decoding.decoder import DECODERS
from neural_recon.decoding.decoders.shared_subject import SharedSubject
from neural_recon.decoding.shared_subject import prediction, runs
from neural_recon.decoding.shared_subject.data import Trained, read_trained
from neural_recon.evaluation.metrics import two_way_identification
from neural_recon.evaluation.statistics import bootstrap_interval
from neural_recon.features.feature_files import FeatureTable

SEED = 0
DECODERS_COMPARED = ("others first", "alone", "ridge")


class Columns:
    """Features in memory, as a decoder reads them."""

    def __init__(self, values: np.ndarray, parts: Sequence[int]):
        self.values, self.shape, self.parts = values, values.shape, np.array(parts)

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        return self.values[index]


class Run:
    """The results of a finished run."""

    def __init__(self, results: Path, spaces: Sequence[str]):
        self.results, self.spaces = results, spaces

    def chunks(self, subject: str, space: str) -> list[Path]:
        folder = self.results / "features" / space
        return sorted([*folder.glob("shared_*.h5"), *folder.glob(f"{subject}_*.h5")])

    def people(self) -> list[str]:
        return sorted(path.stem for path in (self.results / "session_trials").glob("*.h5"))

    def trained(self, subject: str, sessions: int | str = "all") -> Trained:
        chunks = {space: self.chunks(subject, space) for space in self.spaces}
        responses = self.results / f"session_trials/{subject}.h5"
        trials = self.results / f"trials/{subject}.parquet"
        return read_trained(subject, responses, trials, chunks, sessions)

    def test(self, subject: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Test responses, and the features of the test images."""
        names = ("test", "test_ids", "trials", "trial_ids")
        data = read_hdf5(self.results / f"session_trials/{subject}.h5", *names)
        true = {
            space: FeatureTable(self.chunks(subject, space), data["test_ids"])[:, :] for space in self.spaces
        }
        return data, true


class MadeUp:
    """The same of people who do not exist."""

    spaces = ("vision",)

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.way = self.rng.standard_normal((4, 12))

    def people(self) -> list[str]:
        return ["subj01", "subj02"]

    def _responses(self, causes: np.ndarray) -> np.ndarray:
        self.voxels = getattr(self, "voxels", self.rng.standard_normal((4, 10)))
        noise = self.rng.standard_normal((len(causes), 10))
        return (causes @ self.voxels + noise).astype(np.float32)

    def trained(self, subject: str, sessions: int | str = "all") -> Trained:  # noqa: ARG002
        causes = self.rng.standard_normal((40, 4))
        features = {"vision": (causes @ self.way).astype(np.float16)}
        return Trained(subject, self._responses(causes), np.arange(40), features, {"vision": [12]})

    def test(self, subject: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:  # noqa: ARG002
        causes = self.rng.standard_normal((20, 4))
        rows, ids = self._responses(causes), np.arange(20)
        data = {"test": rows, "test_ids": ids, "trials": rows, "trial_ids": ids}
        return data, {"vision": causes @ self.way}


def by_network(
    how: SharedSubject.Settings, one: Trained, data: dict[str, np.ndarray], folder: Path, start: Path | None
) -> dict[str, np.ndarray]:
    network, _ = runs.finetune(how, one, SEED, folder / "checkpoint.pt", start)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    rows, which = prediction.test_rows(data, how.test_trials)
    return prediction.predicted(network, rows, which, data["test_ids"], SEED)


def by_ridge(one: Trained, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ridge on the averages of each image's trials, z-scored by themselves."""
    counts = np.bincount(one.image)[:, None]
    averages = np.zeros((one.n_images, one.responses.shape[1]), np.float32)
    np.add.at(averages, one.image, one.responses)
    averages /= counts
    mean, std = averages.mean(axis=0), averages.std(axis=0, ddof=1)
    train, test = (averages - mean) / std, (data["test"] - mean) / std
    found = {}
    for space, features in one.features.items():
        settings = {"kind": "ridge", "alpha": {space: "cv"}}
        targets = Columns(features, one.parts[space])
        found[space] = load(settings, SEED).predict(space, train, targets, test, np.arange(one.n_images))
    return found


def compare(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    settings = read_recipe("shared_subject_small", table.ROOT)
    how = DECODERS.settings(settings["decoder"] | ({"pretrain": {"epochs": 2}} if arguments.small else {}))
    if arguments.small:
        changes = {"finetune": {"epochs": 2}, "hidden": 8, "blocks": 1}
        how = DECODERS.settings(how.model_dump() | changes)
    run = MadeUp() if arguments.small else Run(arguments.results, list(settings["spaces"]))
    others = [one for one in run.people() if one != arguments.subject]
    spaces = list(run.spaces)
    rows = [
        row_of(sessions, space, name)
        for sessions in arguments.sessions
        for space in spaces
        for name in DECODERS_COMPARED
    ]
    columns = ("two-way identification", "low", "high", "minus alone", "low of it", "high of it")
    result = table.Table(dict.fromkeys(columns, ".3f"), rows)
    data, true = run.test(arguments.subject)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        people = [run.trained(one) for one in others]
        network, losses = runs.pretrain(how, people, SEED, folder / "checkpoint.pt")
        start = folder / "others.safetensors"
        runs.store(network, losses, start, folder / "others.tsv", how.trained_by("pretrain"))
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        for sessions in arguments.sessions:
            one = run.trained(arguments.subject, sessions)
            found = {
                "others first": by_network(how, one, data, folder, start),
                "alone": by_network(how, one, data, folder, None),
                "ridge": by_ridge(one, data),
            }
            for space in spaces:
                truth = np.asarray(true[space], np.float32)
                scores = {name: two_way_identification(truth, found[name][space]) for name in found}
                for name, each in scores.items():
                    own = [each.mean(), *bootstrap_interval(each, SEED)]
                    less = each - scores["alone"]
                    gap = (
                        [less.mean(), *bootstrap_interval(less, SEED)]
                        if name != "alone"
                        else [table.NONE] * 3
                    )
                    result.add(row_of(sessions, space, name), *own, *gap)
    said = (
        f"{arguments.subject} after {len(others)} other subjects, {len(data['test_ids'])} test images; the "
        f"network has {how.hidden} hidden values and {how.blocks} blocks."
    )
    return said, result


def speed(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    """Training at the published sizes, a row per hidden width."""
    import torch

    from neural_recon.decoding.shared_subject import weights
    from neural_recon.decoding.shared_subject.losses import Moment, losses
    from neural_recon.decoding.shared_subject.network import Layout
    from neural_recon.models.one_cycle import OneCycle, optimizer_and_schedule

    if not torch.cuda.is_available():
        raise table.NoFigure("--speed: expected a GPU, found none.")
    voxels = {f"subj{k:02d}": n for k, n in zip(range(1, 9), VOXELS, strict=True)}
    voxels = dict(list(voxels.items())[: arguments.people])
    parts = {"tokens": [1664] * 256, "latents": [28 * 28] * 4}
    result = table.Table(
        {"steps per second": ".2f", "GPU memory, GB": ".1f", "share of the matrix rate": ".2f"},
        [f"hidden {hidden}" for hidden in arguments.hidden],
    )
    rate = matrix_rate()
    for hidden in arguments.hidden:
        how = DECODERS.settings(
            {"kind": "shared_subject", "heads": {"tokens": "prior", "latents": "low_level"}, "hidden": hidden}
        )
        torch.cuda.reset_peak_memory_stats()
        network = weights.made(Layout.of(how, parts, voxels), SEED).cuda().train()
        optimizer, schedule = optimizer_and_schedule(network, 3, 100, OneCycle())
        scaler = torch.amp.GradScaler("cuda")
        n = 42 // len(voxels)
        rows = {name: torch.randn(n, count, device="cuda") for name, count in voxels.items()}
        total = n * len(voxels)
        features = {space: torch.randn(total, sum(widths), device="cuda") for space, widths in parts.items()}
        steps, began = 20, 0.0
        for step in range(steps + 3):
            if step == 3:  # the first ones find their kernels
                torch.cuda.synchronize()
                began = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.float16):
                found = losses(network, rows, features, how, Moment(0, 3, SEED, step))
            scaler.scale(found["total"]).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - began) / steps
        maps = sum(one.numel() for name, one in network.named_parameters() if ".ridge." in name)
        prior = sum(one.numel() for name, one in network.named_parameters() if "diffusion_prior" in name)
        rest = sum(one.numel() for one in network.parameters()) - maps - prior
        products = 6 * total * (rest + maps / len(voxels) + 513 * prior)
        memory = torch.cuda.max_memory_allocated() / 1e9
        result.add(f"hidden {hidden}", 1 / seconds, memory, products / seconds / rate)
        del network, optimizer
        torch.cuda.empty_cache()
    said = (
        f"{torch.cuda.get_device_name()}, {len(voxels)} subjects, {total} trials a step; large products of "
        f"matrices run at {rate / 1e12:.0f} TFLOP/s."
    )
    return said, result


VOXELS = (15724, 14278, 15226, 13153, 13039, 17907, 12682, 14386)  # of nsdgeneral, by subject


def matrix_rate() -> float:
    """Floating-point operations per second of a large product in float16."""
    import torch

    side = 8192
    a, b = (torch.randn(side, side, device="cuda", dtype=torch.float16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(10):
        a @ b
    torch.cuda.synchronize()
    return 2 * side**3 * 10 / (time.perf_counter() - began)


def row_of(sessions: int, space: str, name: str) -> str:
    return f"{sessions} session{'' if sessions == 1 else 's'}, {space}: {name}"


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    return speed(arguments) if arguments.speed else compare(arguments)


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--results", type=Path, default=table.ROOT / "results")
    options.add_argument("--subject", default="subj01")
    options.add_argument("--sessions", type=int, nargs="+", default=[1, 2, 4])
    options.add_argument("--speed", action="store_true", help="of training, at the published sizes")
    options.add_argument("--hidden", type=int, nargs="+", default=[4096, 1024])
    options.add_argument("--people", type=int, default=4)
    table.run(options, measure, small={"sessions": [1]})
