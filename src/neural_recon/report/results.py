"""What the report reads: one subject's tables and pictures, the benchmarks, the versions."""

import importlib.metadata
import platform
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import dataset, integers, open_hdf5, read_hdf5, read_parameters
from neural_recon.core.tables import first_with, read_table, rows_with
from neural_recon.datasets.dataset import AXES
from neural_recon.evaluation import shares
from neural_recon.evaluation.captions import COLUMNS as CAPTIONS
from neural_recon.evaluation.controls import single_stage
from neural_recon.evaluation.controls.refit_null import COLUMNS as REFIT_COLUMNS
from neural_recon.report import variants
from neural_recon.report.files import SubjectFiles

PACKAGES = ("torch", "diffusers", "transformers", "numpy", "snakemake")

SINGULAR = {"faces": "face", "bodies": "body", "places": "place", "words": "word"}  # floc atlases

STATISTICS = ["metric", "mean", "ci_low", "ci_high", "n", "shuffled", "shuffled_sd"]  # of pictures' scores
SUMMARY = ["subject", "variant", "picture", *STATISTICS, "p", "repairings"]
REFITS = ("refits", "refit_score", "refit_mean", "refit_sd", "refit_z", "refit_p")
TESTS = ["subject", "comparison", "metric", "first", "second", "n", "p"]
IMAGES = ["variant", "picture", "metric", "image_id", "value", "margin"]
TARGETS = ["part", "targets", "r", "r_q25", "r_q75", "ceiling", "r2", "r2_ridge", "chance", "above"]
TARGETS += ["above_re_paired"]
AMOUNT = [
    "sessions",
    "training_images",
    "voxels",
    "share",
    "draw",
    "space",
    "targets",
    "score",
    "low",
    "high",
]
AMOUNT += ["chance", "chance_sd", "n"]
CONTROLS = {
    "clusters": ["space", "held_out", "score", "low", "high", "chance", "chance_sd", "p_difference", "n"],
    "leaks": ["check", "compared", "difference", "tolerance", "verdict"],
    "seeds": ["metric", "n", "seed0", "mean", "sd"],
    "single_stage": single_stage.COLUMNS,
}
ALPHA = ["group", "features", "alpha", "fold", "score", "chosen"]

BOTTLENECK = ["space", "components", "variance", "whole", "fit", "targets", "score", "low", "high", "chance"]
BOTTLENECK += ["chance_sd", "r"]
BOTTLENECK_PICTURES = ["fit", "picture", *STATISTICS]
LOSSES = ["training", "epoch", "images", "loss", "value"]


@dataclass(frozen=True)
class Results:
    """One subject's tables, read and checked; pictures stay on disk."""

    files: SubjectFiles
    summary: pd.DataFrame  # of what was measured
    tests: pd.DataFrame
    images: pd.DataFrame
    alphas: dict[str, pd.DataFrame]
    targets: dict[str, pd.DataFrame]
    refits: dict[str, pd.DataFrame]
    data_amount: pd.DataFrame | None
    shares: pd.DataFrame | None
    bottleneck: pd.DataFrame | None
    bottleneck_pictures: pd.DataFrame | None
    losses: pd.DataFrame | None
    controls: dict[str, pd.DataFrame]
    data: dict[str, int | float]  # trials, images, repetitions
    dropped: dict[str, int]  # reason -> voxels
    kept: int
    ceilings: dict[str, np.ndarray]  # region -> noise ceilings of its kept voxels, of those that have one
    captions: pd.DataFrame  # answers and the images' own; empty without any
    without_ceiling: int  # kept voxels that have none
    versions: dict[str, str]  # which result -> version of neural-recon that wrote it

    @property
    def subject(self) -> str:
        return self.files.subject

    def score(self, variant: str, picture: str, metric: str) -> dict[str, Any] | None:
        """The summary's row of one score, None where it was not computed."""
        row = first_with(self.summary, variant=variant, picture=picture, metric=metric)
        return None if row is None or pd.isna(row["mean"]) else row

    def missing(self, variant: str, picture: str, metric: str) -> str:
        """Why one score was not measured; empty where no reason was given."""
        row = first_with(self.summary, variant=variant, picture=picture, metric=metric)
        return "" if row is None else row["not_measured"]

    def cell(self, variant: str, picture: str, metric: str) -> dict[str, Any]:
        """The summary's row of a score; where it was not measured, why."""
        return self.score(variant, picture, metric) or {"missing": self.missing(variant, picture, metric)}

    @property
    def measured(self) -> list[str]:
        """The metrics of which there is any score."""
        return self.summary.loc[self.summary["mean"].notna(), "metric"].unique().tolist()

    def per_image(
        self, variant: str, picture: str, metric: str, column: Literal["value", "margin"] = "value"
    ) -> dict[int, float]:
        """image id -> score of one image, or what orders equal ones; those without a number are left out."""
        rows = rows_with(self.images, variant=variant, picture=picture, metric=metric).dropna(subset=column)
        return dict(zip(rows["image_id"].astype(int), rows[column].astype(float), strict=True))


def read(files: SubjectFiles, atlases: Mapping[str, Collection[str]]) -> Results:
    """Read one subject's tables; `atlases` as of `DataSet.atlases`.

    Raises:
        InputError: a file is missing or lacks a column.
    """
    responses = read_hdf5(
        files.responses,
        "train_ids", "test_ids", "train_repetitions", "test_repetitions", "voxel", "noise_ceiling",
    )  # fmt: skip
    return Results(
        files=files,
        summary=_summary(files.summary),
        tests=table(files.tests, TESTS),
        images=table(files.images, IMAGES),
        captions=_captions(files.captions),
        alphas={space: table(path, ALPHA) for space, path in files.alphas.items()},
        targets={space: table(path, TARGETS) for space, path in files.targets.items()},
        refits={space: table(path, REFIT_COLUMNS) for space, path in files.refits.items()},
        data_amount=None if files.data_amount is None else table(files.data_amount, AMOUNT),
        shares=None if files.shares is None else table(files.shares, shares.COLUMNS),
        bottleneck=None if files.bottleneck is None else table(files.bottleneck, BOTTLENECK),
        bottleneck_pictures=(
            None
            if files.bottleneck_pictures is None
            else table(files.bottleneck_pictures, BOTTLENECK_PICTURES)
        ),
        losses=None if files.losses is None else table(files.losses, LOSSES),
        controls={name: table(path, CONTROLS[name]) for name, path in files.controls.items()},
        data=amount(responses),
        dropped={str(k): int(v) for k, v in read_parameters(files.responses).get("dropped", {}).items()},
        kept=len(responses["voxel"]),
        without_ceiling=int(np.count_nonzero(~np.isfinite(responses["noise_ceiling"]))),
        ceilings=by_region(responses["noise_ceiling"], responses["voxel"], files.voxels, atlases),
        versions={
            name: written_by(path)
            for name, path in (
                ("responses", files.responses), ("base images", files.base), ("final images", files.final),
                *((variants.label(name), path) for name, path in files.painted.items()),
            )
            if path is not None
        },
    )  # fmt: skip


def amount(responses: Mapping[str, np.ndarray]) -> dict[str, int | float]:
    """Images, trials and repetitions of a file of responses (`train_ids` and both `repetitions` of it)."""
    training, test = responses["train_repetitions"], responses["test_repetitions"]
    images = len(np.unique(responses["train_ids"]))  # single trials have a row each
    return {
        "training images": images,
        "training trials": int(training.sum()),
        "repetitions per training image": float(training.sum() / images),
        "test images": len(test),
        "test trials": int(test.sum()),
        "repetitions per test image": float(test.mean()),
    }


def _summary(path: str | Path) -> pd.DataFrame:
    """The summary; tables from before `not_measured` measured all they have."""
    frame = table(path, SUMMARY)
    reasons = frame["not_measured"].astype(object).fillna("").astype(str) if "not_measured" in frame else ""
    refits = {name: np.nan for name in REFITS if name not in frame}  # no features, or from before there were
    return frame.assign(not_measured=reasons, **refits)


def _captions(path: Path | None) -> pd.DataFrame:
    return pd.DataFrame(columns=CAPTIONS) if path is None else table(path, CAPTIONS)


def written_by(path: str | Path) -> str:
    """The version of neural-recon that wrote an HDF5 file, as `hdf5.write_hdf5` noted it."""
    with open_hdf5(path) as file:
        return str(file.attrs.get("neural_recon_version", "unknown"))


def if_there(path: Path) -> Path | None:
    """A result that the report shows where it was computed."""
    return path if path.exists() else None


def table(path: str | Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a TSV or Parquet table that must have some columns; infinite numbers are none, as NaN is."""
    columns = list(columns)
    if Path(path).is_file() and Path(path).read_bytes()[:2] in (b"", b"\n"):  # of a table without columns
        return pd.DataFrame(columns=columns)
    frame = read_table(path, columns)
    floats = frame.select_dtypes("floating")
    return frame.assign(**floats.where(np.isfinite(floats)))


def by_region(
    ceiling: np.ndarray, kept: np.ndarray, voxels: str | Path, atlases: Mapping[str, Collection[str]]
) -> dict[str, np.ndarray]:
    """Noise ceilings of all kept voxels and of each region's, in the order of the atlases; voxels without a
    ceiling are left out."""
    rows = table(voxels, ()).iloc[kept]
    has = np.isfinite(ceiling)
    groups = {"all voxels": ceiling[has]}
    for atlas in rows.columns.drop(AXES, errors="ignore"):
        names = rows[atlas].fillna("").to_numpy()
        for region in atlases.get(atlas, sorted(set(names) - {""})):
            chosen = has & (names == region)
            if chosen.any() and atlas != region:
                # a name such as mTL stands in several atlases
                label = f"{region} ({atlas.removeprefix('floc-')})" if atlas.startswith("floc") else region
                groups[label] = ceiling[chosen]
    return groups


def medians(ceilings: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Median noise ceiling of all voxels, of each early area (ventral and dorsal together), and of each
    category's regions, from the groups of `by_region`."""
    groups: dict[str, list[np.ndarray]] = {}
    for label, values in ceilings.items():
        category = re.search(rf"\(({'|'.join(SINGULAR)})\)$", label)
        area = re.fullmatch(r"(all voxels|V[123]|hV4)[vd]?", label)
        if category:
            groups.setdefault(f"{SINGULAR[category[1]]} regions", []).append(values)
        elif area:
            groups.setdefault(area[1], []).append(values)
    joined = {name: np.concatenate(values) for name, values in groups.items()}
    return {name: float(np.median(values)) for name, values in joined.items() if len(values)}


def picture_ids(path: str | Path, name: str = "image_id") -> np.ndarray:
    """image ids of a picture file's rows (or its `guide_id`)."""
    return integers(path, name, read_hdf5(path, name)[name]).astype(np.int64)


def each_picture(
    path: str | Path, image_ids: Iterable[int], name: str = "images"
) -> Iterator[tuple[int, np.ndarray]]:
    """image id and picture (uint8, H x W x 3) of those of a file's images that are asked for and there,
    in the order of the file, one after the other."""
    wanted = {int(i) for i in image_ids}
    ids = picture_ids(path)
    with open_hdf5(path) as file:
        images = dataset(path, file, name, 4, "u")
        integers(path, name="image_id", values=ids, n=len(images))
        for row, image_id in enumerate(ids):
            if int(image_id) in wanted:
                yield int(image_id), images[row]


def of_others(path: str, shown: Collection[str], subjects: Collection[str]) -> bool:
    """Whether a file is named after one of the `subjects` that is not `shown`."""
    names = "|".join(re.escape(name) for name in sorted(subjects, key=len, reverse=True))
    return bool(names) and not set(shown).issuperset(re.findall(rf"(?<![^\W_])(?:{names})(?![^\W_])", path))


def benchmarks(
    folder: str | Path | None, shown: Collection[str], subjects: Collection[str]
) -> list[dict[str, Any]]:
    """Time and memory of each rule, the longest first, from Snakemake's benchmark files
    `folder/{rule}/*.tsv`; of those named after one of the `subjects`, only those of subjects `shown`. Empty
    without the folder."""
    rules: list[dict[str, Any]] = []
    if folder is None or not Path(folder).is_dir():
        return rules
    for rule in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
        files = [
            path
            for path in sorted(rule.glob("*.tsv"))
            if not of_others(str(path.relative_to(folder)), shown, subjects)
        ]
        if not files:
            continue
        frame = pd.concat([pd.read_csv(path, sep="\t", na_values=["-", "NA"]) for path in files])
        numbers = {c: pd.to_numeric(frame[c], errors="coerce") for c in ("s", "max_rss") if c in frame}
        memory = numbers.get("max_rss", pd.Series(dtype=float)).max()
        seconds = float(numbers.get("s", pd.Series(dtype=float)).sum(min_count=1))
        rules.append({"rule": rule.name, "jobs": len(files), "seconds": seconds, "memory": float(memory)})
    return sorted(rules, key=lambda row: (np.isnan(row["seconds"]), -row["seconds"]))


def versions() -> dict[str, str]:
    """Library -> version, of those installed now: the results may have been made with others."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
