"""One subject's results as the workflow writes them, with made-up figures and pictures."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.datasets.nsd.nsd_tree import REGIONS, read_stimuli
from neural_recon.evaluation import region_tests, regions
from neural_recon.report.files import SubjectFiles

SPACES = ("vdvae", "vision", "text")
LEVELS = {  # (variant, picture): how good, on the scale of two-way identification
    ("decoded", "base"): 0.68,
    ("decoded", "final"): 0.88,
    ("true_features", "base"): 0.80,
    ("true_features", "final"): 0.97,
    ("shuffled", "base"): 0.51,
    ("swapped", "final"): 0.60,
    ("shuffled", "final"): 0.49,
    ("mean_image", "baseline"): 0.50,
    ("random_image", "baseline"): 0.51,
    ("nearest_image", "baseline"): 0.80,
    ("guides_only", "final"): 0.85,
}


def draw(rng, n, size, detail):
    """Smooth coloured noise: uint8 (n, size, size, 3)."""
    coarse = rng.integers(0, 256, (n, detail, detail, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)) for c in coarse]
    )


def write_subject(folder, rng, subject, ids, judge=True, controls=True, cv=True, pictures=None, size=64):
    """One subject's results as the workflow writes them; returns where they lie."""
    n = len(ids)
    metrics = ["clip_two_way", "pixcorr", "ssim", *(["object", "background"] if judge else [])]
    images, summary = [], []

    def add(variant, picture, metric, values, chance):
        who = {"subject": subject, "variant": variant, "picture": picture, "metric": metric}
        images.append(
            pd.DataFrame({**who, "image_id": ids[: len(values)], "value": values, "margin": np.nan})
        )
        half = 1.96 * values.std() / len(values) ** 0.5
        interval = {"ci_low": values.mean() - half, "ci_high": values.mean() + half, "n": len(values)}
        paired = {"shuffled": chance, "shuffled_sd": 0.02, "p": 0.001, "repairings": 1000}
        summary.append({**who, "mean": values.mean(), **interval, **paired})

    for (variant, picture), level in LEVELS.items():
        extra = variant in ("true_features", "swapped", "random_image", "nearest_image", "guides_only")
        if not controls and (extra or (variant, picture) == ("shuffled", "final")):
            continue
        painted = picture == "final" and variant in ("true_features", "swapped", "guides_only")
        m = max(n // 2, 2) if painted else n
        for metric in metrics:
            chance = {"clip_two_way": 0.5, "object": 0.08, "background": 0.14, "pixcorr": 0.05, "ssim": 0.2}[
                metric
            ]
            scale = {"pixcorr": 0.5, "ssim": 0.4}.get(metric, 1 - chance)
            mean = chance + scale * (level - 0.5) * 1.9
            values = np.clip(rng.normal(mean, 0.12, m), 0, 1)
            if metric in ("object", "background"):
                values = (rng.random(m) < mean).astype(float)
            add(variant, picture, metric, values, chance)
        if variant == "swapped":
            add(variant, picture, "guide_two_way", np.clip(rng.normal(0.8, 0.1, m), 0, 1), 0.5)
            if judge:
                add(variant, picture, "guide_object", (rng.random(m) < 0.5).astype(float), 0.08)
    for k, space in enumerate(SPACES):
        for variant, level in (("decoded", 0.9 - 0.05 * k), ("shuffled", 0.5)):
            add(variant, space, "two_way", np.clip(rng.normal(level, 0.1, n), 0, 1), 0.5)
    paths = {name: folder / subject / f"{name}.tsv" for name in ("summary", "tests")}
    paths["images"] = folder / subject / "images.parquet"
    write_table(paths["summary"], pd.DataFrame(summary))
    write_table(paths["images"], pd.concat(images, ignore_index=True))
    write_table(paths["tests"], pd.DataFrame([
        {"subject": subject, "comparison": c, "metric": m, "first": 0.88, "second": 0.68, "n": n, "p": p}
        for c, p in (("final against base", 0.0001), ("base against the shuffled decoder", 0.0123))
        for m in metrics
    ]))  # fmt: skip

    paths["alphas"] = {space: folder / subject / space / "alpha.tsv" for space in SPACES}
    for path in paths["alphas"].values():
        tried = [10.0**k for k in range(2, 7)] if cv else [50000.0]
        write_table(path, pd.DataFrame([
            {"group": 1, "features": 100, "alpha": a, "fold": f, "chosen": a == 1e4 or not cv,
             "score": 0.1 - 0.02 * (np.log10(a) - 4) ** 2 + rng.normal(0, 0.005) if cv else None}
            for a in tried for f in range(5 if cv else 1)
        ]))  # fmt: skip

    paths["targets"] = {space: folder / subject / f"targets_{space}.tsv" for space in SPACES}
    for parts, path in zip((13, 66, 8), paths["targets"].values(), strict=True):
        r = rng.uniform(0.1, 0.6, parts)
        write_table(path, pd.DataFrame({
            "part": range(parts), "targets": 96, "r": r, "r_q25": r - 0.1, "r_q75": r + 0.1,
            "ceiling": np.sqrt(r), "r2": 2 * r - 1, "r2_ridge": r**2, "chance": 0.165, "above": 0.625,
            "above_re_paired": 0.047,
        }))  # fmt: skip

    if controls:
        paths["controls"] = {}
        for name, table in control_tables(rng).items():
            paths["controls"][name] = folder / subject / f"{name}.tsv"
            write_table(paths["controls"][name], table)

    total, kept = 400, np.arange(5, 400)
    regions = rng.choice(["", "V1v", "V1d", "V2v", "hV4"], total)
    voxels = {axis: np.arange(total) for axis in "xyz"}
    voxels |= {"prf-visualrois": regions, "floc-faces": np.where(regions == "", "FFA-1", "")}
    voxels |= {"floc-words": np.where(regions == "", "mTL", "")}
    paths["voxels"], paths["responses"] = (
        folder / subject / "voxels.parquet",
        folder / subject / "responses.h5",
    )
    write_table(paths["voxels"], pd.DataFrame(voxels))
    ceiling = np.clip(rng.beta(2, 5, len(kept)) + 0.15 * (regions[kept] != ""), 0, 1).astype(np.float32)
    ceiling[0] = np.nan
    write_hdf5(paths["responses"], {
        "train_ids": np.arange(50), "test_ids": np.array(ids), "train_repetitions": np.full(50, 2),
        "test_repetitions": np.full(n, 3), "voxel": kept, "noise_ceiling": ceiling,
    }, {"dropped": {"not a number in a session": 4, "constant in a session": 1}})  # fmt: skip

    half = ids[: max(n // 2, 2)]
    paths["painted"] = {}
    pictures = pictures or {"base": draw(rng, n, size, 5), "final": draw(rng, n, size, 12)}
    for name, array, shown in (
        ("base", pictures["base"], ids),
        ("final", pictures["final"], ids),
        ("true_features", pictures.get("true_features", pictures["final"]), half),
        ("swapped", pictures.get("swapped", pictures["final"]), half),
    ):
        if controls or name in ("base", "final"):
            place = paths if name in ("base", "final") else paths["painted"]
            place[name] = folder / subject / f"{name}.h5"
            arrays = {"images": array[: len(shown)], "image_id": np.array(shown)}
            if name == "swapped":
                arrays["guide_id"] = np.roll(half, 1)
            write_hdf5(place[name], arrays, {})
    return SubjectFiles(subject, **paths)


def control_tables(rng):
    """Tables of the controls: clusters, leaks, seeds."""
    clusters = [
        {"space": space, "held_out": cut, "score": score, "low": score - 0.03, "high": score + 0.03,
         "chance": 0.501, "chance_sd": 0.012, "p": 0.001, "p_difference": 0.0123, "n": 90,
         "training_images": 90, "clusters": 17, "folds": 10, "targets": 128}
        for space in SPACES for cut, score in (("clusters", 0.7123), ("random", 0.8342))
    ]  # fmt: skip
    leaks = [
        {"check": "images", "compared": "images in both", "difference": 0.0, "tolerance": 0.0,
         "verdict": "holds"},
        {"check": "alpha", "compared": "fixed", "difference": None, "tolerance": 1e-4,
         "verdict": "nothing to check"},
    ]  # fmt: skip
    draws = rng.uniform(0.8, 0.9, 3)
    each = {f"seed{k}": value for k, value in enumerate(draws)}
    seeds = [{"metric": "clip_two_way", "n": 5, **each, "mean": 0.8567, "sd": 0.0432}]
    return {"clusters": pd.DataFrame(clusters), "leaks": pd.DataFrame(leaks), "seeds": pd.DataFrame(seeds)}


def write_controls(folder, rng, files, ids):
    """Adds the controls' pictures to a subject: three training images are everyone's nearest."""
    path = folder / files.subject
    baselines = {"image_id": np.array(ids), "nearest": draw(rng, 3, 425, 20)[np.arange(len(ids)) % 3]}
    write_hdf5(path / "baselines.h5", baselines, {})
    write_hdf5(path / "shuffled.h5", {"image_id": np.array(ids), "images": draw(rng, len(ids), 64, 12)}, {})
    painted = {**files.painted, "shuffled": path / "shuffled.h5"}
    return dataclasses.replace(files, baselines=path / "baselines.h5", painted=painted)


def write_single_stage(folder, rng, files, ids):
    """Adds the recipe's single stages: pictures from guides alone, and the table of all three."""
    path = folder / files.subject
    half = ids[: len(ids) // 2]
    write_hdf5(
        path / "guides_only.h5", {"image_id": np.array(half), "images": draw(rng, len(half), 64, 9)}, {}
    )
    stages = (("full recipe", 0.9, None, None), ("base image only", 0.7, 0.2012, 0.0001),
              ("guides only", 0.95, -0.0488, 0.0423))  # fmt: skip
    rows = [
        {"stage": stage, "metric": metric, "better": "higher", "mean": mean, "ci_low": mean - 0.05,
         "ci_high": mean + 0.05, "chance": 0.5, "n": len(half), "difference": difference, "p": p}
        for metric in ("clip_two_way", "pixcorr") for stage, mean, difference, p in stages
    ]  # fmt: skip
    write_table(path / "single_stage.tsv", pd.DataFrame(rows))
    controls = {**files.controls, "single_stage": path / "single_stage.tsv"}
    painted = {**files.painted, "guides_only": path / "guides_only.h5"}
    return dataclasses.replace(files, controls=controls, painted=painted)


def write_contents(path, ids):
    """What the pictures show: two categories, one of them with a hostile name, up to 9 objects."""
    names = [("animal", "</script><b>")[i // 4 % 2] for i in ids]
    write_table(path, pd.DataFrame({
        "image_id": ids, "n_objects": np.arange(len(ids)) % 10, "main_category": names,
    }))  # fmt: skip
    return path


def add_distances(files):
    """Adds a distance, lower is better, and one that was not measured."""
    summary, images = pd.read_csv(files.summary, sep="\t"), pd.read_parquet(files.images)
    like = (summary["variant"] == "decoded") & (summary["picture"] == "final")
    one = summary[like & (summary["metric"] == "pixcorr")].assign(metric="efficientnet_distance", mean=0.8)
    none = one.assign(metric="swav_distance", not_measured="no weights named")
    none[["mean", "ci_low", "ci_high", "shuffled", "shuffled_sd", "p"]] = np.nan
    added = pd.concat([one, none]).assign(better="lower")
    write_table(files.summary, pd.concat([summary.assign(better="higher"), added]))
    mine = images[(images["variant"] == "decoded") & (images["picture"] == "final")]
    mine = mine[mine["metric"] == "pixcorr"].assign(metric="efficientnet_distance")
    write_table(files.images, pd.concat([images, mine.assign(value=1 - mine["value"])]))


@dataclasses.dataclass
class MadeUp:
    """What a report asks of a data set."""

    path: Path
    cortexes: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    tuned: str = "betas_fithrf_GLMdenoise_RR"
    atlases = REGIONS
    published = NSD.published

    def pictures(self, image_ids):
        return read_stimuli(self.path, image_ids)

    def image_names(self, image_ids):
        """None: by their numbers."""

    def cortex(self, subject):
        return self.cortexes.get(subject)


def write_stimuli(path, ids, pictures):
    """A data set of pictures (n, 425, 425, 3) in the layout of NSD's stimulus file."""
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", (max(ids) + 1, 425, 425, 3), "u1", chunks=(1, 425, 425, 3))
        for i, picture in zip(ids, pictures, strict=True):
            brick[i] = picture
    return MadeUp(path)


def write_benchmarks(folder):
    """Five files of three rules, one of them without a memory figure."""
    for rule, name, seconds, memory in (
        ("ridge", "subj01_vdvae", 100.5, "812.4"),
        ("ridge", "subj02_vdvae", 20.0, "900.1"),
        ("features_vdvae", "shared_000", 3.0, "-"),
        ("features_vdvae", "subj01_000", 4.0, "500"),
        ("scores", "subj02", 7.0, "300"),
    ):
        path = folder / rule / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{seconds}\t0:00:01\t{memory}\t1.0\n")
    return folder


IDS = {"subj01": list(range(3, 43, 4)), "subj02": list(range(3, 43, 4))}
CONFIGURATION = {
    "seed": 7,
    "recipe": "brain_diffuser_small",
    "dataset": {"kind": "nsd", "root": "resources/nsd <here>", "preparation": "betas_fithrf_GLMdenoise_RR"},
    "subjects": {key: {"sessions": 4, "format": "nii.gz"} for key in ("subj01", "subj02")},
    "spaces": {
        "vdvae": {"kind": "vdvae", "weights": "vdvae.th", "hparams": "hparams.json", "layers": 2},
        "vision": {"kind": "versatile_vision", "weights": "versatile"},
        "text": {"kind": "versatile_text", "weights": "versatile"},
    },
    "decoder": {"kind": "ridge", "alpha": dict.fromkeys(SPACES, "cv"), "calibration": "train"},
    "evaluation": {"preset": "native"},
    "demo": {"seed": 20, "sessions": 4},
}


def write_regions(folder, rng, ids):
    """Results of two regions, as the workflow writes them: fields of `SubjectFiles`."""
    rows = []
    decoders = [(regions.ALL, regions.ALL, 395)]
    decoders += [(r, d, 40) for r in ("V1", "faces") for d in (regions.REGION, regions.RANDOM)]
    for region, decoder, voxels in decoders:
        for space in ("base", *SPACES):
            score = rng.uniform(0.7, 0.9)
            rows.append([region, decoder, voxels, space, score, score - 0.05, score + 0.05, 0.5, 0.02, 0.001,
                         len(ids)])  # fmt: skip
    write_table(folder / "scores.tsv", pd.DataFrame(rows, columns=regions.SCORES))
    tests = [["subj01", region, space, "two_way", against, 0.8, 0.7, len(ids), 0.001, 0.004]
             for against in region_tests.OTHERS for region in ("V1", "faces")
             for space in ("base", *SPACES)]  # fmt: skip
    write_table(folder / "tests.tsv", pd.DataFrame(tests, columns=region_tests.TESTS))
    for name in ("V1", "faces"):
        arrays = {"images": draw(rng, len(ids), 16, 4), "image_id": np.array(ids)}
        write_hdf5(folder / name / "base_images.h5", arrays, {})
    names = [regions.ZERO, regions.RANDOM, "V1", "faces"]
    table = {"region": names, "voxels": [0, 40, 40, 40], "norm": [0, 6.3, 6.3, 6.3]}
    table = pd.DataFrame(table).assign(norm_ratio=0.275, mean_sd=4.5)
    write_table(folder / "synthetic.tsv", table)
    arrays = {"base": draw(rng, 4, 16, 4), "final": draw(rng, 4, 16, 4), "region": np.array(names)}
    write_hdf5(folder / "synthetic.h5", arrays, {})
    write_hdf5(folder / "synthetic_features.h5", {"region": np.array(names)}, {"amplitude": 1.25})
    files = {"scores": "scores.tsv", "tests": "tests.tsv"}
    return {
        **{f"region_{name}": folder / file for name, file in files.items()},
        "region_images": {name: folder / name / "base_images.h5" for name in ("V1", "faces")},
        "synthetic": folder / "synthetic.h5",
        "synthetic_features": folder / "synthetic_features.h5",
        "synthetic_table": folder / "synthetic.tsv",
    }
