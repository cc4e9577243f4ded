"""Real responses read as a lab's table, and by the reader of NSD's own files: the same scores."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.workflow import BASE_ONLY, make_project, snakemake
from PIL import Image

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.datasets.dataset import DataSet
from neural_recon.datasets.splits import with_split
from neural_recon.datasets.trials import read_ids
from neural_recon.decoding import ridge
from neural_recon.evaluation.metrics import two_way_identification
from neural_recon.responses.preparation import Responses, prepare

SESSIONS = 4
NSD_SETTINGS = {"kind": "nsd", "atlases": ["prf-visualrois"]}
TABLE_SETTINGS = {
    "kind": "table",
    "betas": "../nsddata_betas/ppdata/{subject}/func1pt8mm/betas_fithrf_GLMdenoise_RR/"
    "betas_session{session:02}.hdf5",
    "axes": "trials,z,y,x",
    "units": "percent_x300",
    "mask": "../nsddata/ppdata/{subject}/func1pt8mm/roi/nsdgeneral.nii.gz",
    "regions": {"prf-visualrois": "../nsddata/ppdata/{subject}/func1pt8mm/roi/prf-visualrois.nii.gz"},
    "names": {"prf-visualrois": "visual.tsv"},
}


@pytest.fixture(scope="module")
def tree(nsd_mini, tmp_path_factory) -> Path:
    """The excerpt as a tree of NSD, and alongside its files what a lab would write of them."""
    root = tmp_path_factory.mktemp("excerpt") / "nsd"
    command = [
        sys.executable,
        nsd_mini / "build.py",
        root,
        "--subjects",
        "subj01",
        "--sessions",
        str(SESSIONS),
    ]
    subprocess.run(command, check=True, capture_output=True)
    nsd, lab = opened(root, NSD_SETTINGS, root="."), root / "lab"
    (lab / "pictures").mkdir(parents=True)
    there = {int(path.stem): path for path in (nsd_mini / "images").glob("*.jpg")}
    for path in there.values():
        (lab / f"pictures/img_{path.stem}.jpg").symlink_to(path)
    trials = nsd.trials("subj01", list(range(1, SESSIONS + 1)))
    test = read_ids(root / "splits/test_ids.txt")
    table = pd.DataFrame(
        {
            "subject": "subj01",
            "session": trials["session"],
            "trial": trials["trial"],
            # of images that the subject alone saw the excerpt has no pictures
            "image": [f"img_{i:05d}.jpg" if i in there else "n/a" for i in trials["image_id"]],
            "split": np.where(np.isin(trials["image_id"], test), "test", "train"),
        }
    )
    table.sample(frac=1, random_state=0).to_csv(lab / "trials.tsv", sep="\t", index=False)
    names = ["V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"]
    pd.DataFrame({"label": range(1, 8), "name": names}).to_csv(lab / "visual.tsv", sep="\t", index=False)
    return root


def opened(tree: Path, settings: dict, **where: str) -> DataSet:
    placed = {key: str(tree / name) for key, name in where.items()}
    return datasets.load({"dataset": {**settings, **placed}, "subjects": {}})


def prepared(data: DataSet, split: pd.DataFrame) -> Responses:
    voxels = data.voxels("subj01")
    sessions = (data.betas("subj01", session, voxels).values for session in range(1, SESSIONS + 1))
    return prepare(sessions, split, voxels)


def small(data: DataSet, ids: np.ndarray) -> np.ndarray:
    """Pictures as 16 x 16 grey values."""
    return np.stack(
        [
            np.asarray(Image.fromarray(picture).convert("L").resize((16, 16), Image.Resampling.BOX))
            for picture in data.pictures(ids)
        ]
    ).reshape(len(ids), -1)


def test_scores_are_those_of_the_reader_of_nsd(tree):
    """Features predicted from the same responses: the table's rows in another order, images by other numbers,
    trials without a picture left out."""
    nsd, table = opened(tree, NSD_SETTINGS, root="."), opened(tree, TABLE_SETTINGS, folder="lab")
    every = list(range(1, SESSIONS + 1))
    lists = tuple(read_ids(tree / f"splits/{name}_ids.txt") for name in ("train", "test"))
    shown = nsd.trials("subj01", every)
    of_nsd = prepared(nsd, with_split(shown, nsd.n_images, lists))
    of_table = prepared(table, with_split(table.trials("subj01", every), table.n_images))

    nsd_ids = np.array([int(name.removeprefix("img_")) for name in table.image_names(range(table.n_images))])
    scores = {}
    for name, data, found in (("nsd", nsd, of_nsd), ("table", table, of_table)):
        train, test = small(data, found.train_ids), small(data, found.test_ids)
        predicted = ridge.predict(found.train, found.test, train.astype(np.float32), 1.0)
        scores[name] = two_way_identification(test, predicted)
    np.testing.assert_array_equal(nsd_ids[of_table.test_ids], of_nsd.test_ids)
    np.testing.assert_array_equal(nsd_ids[of_table.train_ids], of_nsd.train_ids)
    np.testing.assert_allclose(of_table.train, of_nsd.train, atol=1e-6)
    np.testing.assert_allclose(of_table.test, of_nsd.test, atol=1e-6)
    np.testing.assert_allclose(scores["table"], scores["nsd"], atol=1e-6)
    np.testing.assert_allclose(of_table.noise_ceiling, of_nsd.noise_ceiling, atol=1e-6)
    assert scores["nsd"].mean() > 0.52

    columns = ["x", "y", "z", "prf-visualrois"]
    pd.testing.assert_frame_equal(table.voxels("subj01")[columns], nsd.voxels("subj01")[columns])


FIRST = 200  # of the shared images, so that one chunk of features is computed
SAME = {
    "predictions/subj01/vdvae/decoded.h5": ["predictions"],
    "predictions/subj01/vdvae/shuffled.h5": ["predictions"],
    "responses/subj01.h5": ["train", "test", "noise_ceiling"],
    "base_images/subj01/decoded.h5": ["images"],
}


@pytest.mark.slow
def test_a_run_through_the_table_has_the_scores_of_one_through_nsd(tree, tmp_path):
    """The same files read in two ways: all numbers are the same but what is drawn by an image's own."""
    project = make_project(tmp_path / "project", BASE_ONLY)
    there = sorted(int(path.stem.removeprefix("img_")) for path in (tree / "lab/pictures").iterdir())
    summaries, arrays = {}, {}
    for name, dataset in (
        ("nsd", {**NSD_SETTINGS, "root": str(tree)}),
        ("table", {**TABLE_SETTINGS, "folder": str(tree / "lab")}),
    ):
        lists = {}
        for part in ("train", "test"):
            ids = np.intersect1d(read_ids(tree / f"splits/{part}_ids.txt"), there[:FIRST])
            ids = ids if name == "nsd" else np.searchsorted(there, ids)
            lists[part] = f"{name}_{part}.txt"
            (project / lists[part]).write_text("".join(f"{i}\n" for i in ids), encoding="utf-8")
        config = {
            "recipe": "recipe.yaml",
            "dataset": dataset,
            "subjects": {"subj01": {"sessions": SESSIONS}},
            "split": lists,
            "features": {"chunk": FIRST + 20},  # some of the first have no picture
            "evaluation": {"preset": "native", "control_images": 4, "draws": 1, "shuffled_refits": 2},
            "pathvars": {key: f"{key}/{name}" for key in ("results", "logs", "benchmarks")},
        }
        place = f"results/{name}/scores/subj01/summary.tsv"
        done = snakemake(project, "--", place, config=config)
        assert done.returncode == 0, done.stdout + done.stderr
        summaries[name] = pd.read_csv(project / place, sep="\t")
        arrays[name] = [read_hdf5(project / f"results/{name}/{file}", *names) for file, names in SAME.items()]
    for of_nsd, of_table in zip(*arrays.values(), strict=True):
        for array in of_nsd:
            np.testing.assert_array_equal(of_table[array], of_nsd[array])
    # the random training image of a test image is drawn by its number
    of_nsd, of_table = (table[table["variant"] != "random_image"] for table in summaries.values())
    assert {"decoded", "shuffled", "true_features", "nearest_image", "mean_image"} <= set(of_nsd["variant"])
    pd.testing.assert_frame_equal(of_table, of_nsd, check_exact=True)
