"""A decoder of several subjects from predictions to scores, on tiny data of two subjects."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import documented, made_once, nsd_sessions, tiny_run
from helpers.workflow import failing, snakemake, stale

from neural_recon.config.configuration import Config, resolve
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.datasets.importer import IMPORTERS, import_into
from neural_recon.decoding.shared_subject import weights
from neural_recon.workflow import subject_decoders
from neural_recon.workflow.decode_scans import decode
from neural_recon.workflow.provenance import read

pytestmark = pytest.mark.slow

PEOPLE = ("subj01", "subj02")
CONFIG = {
    **tiny_run.CONFIG,
    "subjects": {one: {"sessions": 1, "format": "hdf5"} for one in PEOPLE},
    "decoder": {
        "kind": "shared_subject",
        "heads": {"vision": "prior"},
        "hidden": 16,
        "blocks": 1,
        "prior": {"depth": 1, "heads": 2, "head_width": 4, "steps": 3},
        "projector": 8,
        "pretrain": {"epochs": 2, "batch": 8},
        "finetune": {"sessions": 1, "epochs": 2, "batch": 8},
        "shuffled_epochs": 1,
        "validation": {"share": 0.2},
        "calibration": "train",
        "keep": True,
    },
}


def make(folder: Path) -> None:
    tiny_run.make(folder, PEOPLE)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "project"
    made_once.copied(tmp_path_factory, make, folder)
    done = snakemake(folder, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_two_subjects_run_to_scores_and_page(project):
    results = project / "results"
    for subject in PEOPLE:
        summary = pd.read_csv(results / f"scores/{subject}/summary.tsv", sep="\t")
        features = summary[summary["metric"] == "two_way"].set_index(["picture", "variant"])["mean"]
        assert {(s, v) for s in tiny_run.CONFIG["spaces"] for v in ("decoded", "shuffled")} <= set(
            features.index
        )
        for space in tiny_run.CONFIG["spaces"]:
            found, control = (
                read_hdf5(results / f"predictions/{subject}/{space}/{fit}.h5")
                for fit in ("decoded", "shuffled")
            )
            assert np.isfinite(found["predictions"]).all()
            assert not np.array_equal(found["predictions"], control["predictions"])
            assert not (found["paired_id"] == control["paired_id"]).any()
        losses = pd.read_csv(results / f"losses/{subject}.tsv", sep="\t")
        epochs = losses.groupby("training")["epoch"].max().to_dict()
        assert epochs == {"pre-training": 2, "fine-tuning": 2, "shuffled pairs": 1}
    assert not list(results.rglob("*.checkpoint.pt"))
    own = ("decoders/", "losses/", "predictions/", "session_trials/", "shared_subject/")
    assert [said for said in documented.differences(results)[0] if said.startswith(own)] == []
    assert stale(project, CONFIG) == {}


def test_a_subject_without_test_images_trains_the_network_of_others(project):
    one, other = PEOPLE
    trials = {who: pd.read_parquet(project / f"results/trials/{who}.parquet") for who in PEOPLE}
    images = {who: set(table["image_id"]) for who, table in trials.items()}
    common, own = images[one] & images[other], sorted(images[one] - images[other])
    test = own[:8]
    for name, ids in (("own_train", sorted(common)[:30]), ("own_test", test)):
        (project / f"{name}.txt").write_text("".join(f"{image}\n" for image in ids), encoding="utf-8")
    config = {
        **CONFIG,
        "split": {"train": "own_train.txt", "test": "own_test.txt"},
        "subjects": {one: CONFIG["subjects"][one], other: {**CONFIG["subjects"][other], "decoded": False}},
        "pathvars": {"results": "alone"},
    }
    network = f"alone/shared_subject/{one}/others.safetensors"
    done = snakemake(project, network, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(pd.read_parquet(project / f"alone/trials/{other}.parquet")["split"]) == {"train", "unused"}
    assert list(weights.read_layout(project / network).voxels) == [other]
    jobs = stale(project, config)
    assert jobs["shared_predict"] == jobs["pictures"] == jobs["scores"] == 1
    for target in (f"alone/pictures/{other}", other):
        said = failing(project, config, "--dry-run", target)
        assert f"{other}: expected a subject whose pictures are decoded ({one})" in said


def test_other_sessions_are_scored_with_the_shuffled_network_as_control(project, monkeypatch):
    """By the kept network, which is not trained again."""
    nsd_sessions.nsd_synthetic(project / "nsd", PEOPLE[:1])
    monkeypatch.chdir(project)
    found = import_into(IMPORTERS.load("nsd_synthetic")(Path("nsd")), Path("data/synthetic"))
    subject = PEOPLE[0]
    there = {"dataset": found.settings, "groups": "kind", "subjects": {subject: subject}}
    network = project / f"results/decoders/{subject}/network.safetensors"
    before = network.stat().st_mtime_ns
    done = snakemake(project, "other_sessions", config={**CONFIG, "generalisation": {"synthetic": there}})
    assert done.returncode == 0, done.stdout + done.stderr
    assert network.stat().st_mtime_ns == before
    # pictures that trained the network of the others are no test of this one either
    rows = read(project / "results", f"generalisation/synthetic/{subject}/rows.tsv")
    trials = [Path(one.path).stem for one in rows.made_by.inputs if one.name == "trials"]
    assert trials == list(PEOPLE)
    place = project / f"results/generalisation/synthetic/{subject}"
    table = pd.read_csv(place / "scores.tsv", sep="\t")
    scores = table.set_index(["group", "variant", "picture", "metric"])
    for group, n in (("grey", 6), ("colour", 2)):
        for variant in ("decoded", "shuffled"):
            for row in (("final", "pixcorr"), ("vision", "two_way")):
                score = scores.loc[(group, variant, *row)]
                assert score["n"] == n
                assert np.isfinite(score["mean"])
    name = "features_vision"
    decoded, control = (read_hdf5(place / f"{fit}.h5", name)[name] for fit in ("decoded", "shuffled"))
    assert not np.array_equal(decoded, control)


def test_new_scans_are_decoded_by_the_network(project, monkeypatch):
    results, subject = project / "results", PEOPLE[0]
    trials = pd.read_parquet(results / f"trials/{subject}.parquet")
    voxel = read_hdf5(results / f"session_trials/{subject}.h5", "voxel")["voxel"]
    betas = read_hdf5(results / f"betas/{subject}/session01.h5", "betas")["betas"][:, voxel]
    np.save(project / "new.npy", betas)
    test = np.flatnonzero(trials["split"] == "test")
    shown = trials["image_id"].to_numpy()[test]
    table = pd.DataFrame({"trial": test + 1, "condition": [f"i{image}" for image in shown]})
    table.to_csv(project / "average.tsv", sep="\t", index=False)
    monkeypatch.chdir(project)
    config = Config.model_validate(resolve(CONFIG, project))
    decoders = subject_decoders.of_run(config, Path("config.yaml"), subject)
    folder = decode(decoders, Path("new.npy"), average=Path("average.tsv"))
    found = read_hdf5(folder / "features.h5")
    run = read_hdf5(results / f"predictions/{subject}/text/decoded.h5", "predictions", "image_id")
    rows = [run["image_id"].tolist().index(int(name[1:])) for name in found["name"]]
    expected = run["predictions"][rows] - run["predictions"].mean(axis=0)
    ours = found["text"].astype(np.float32) - run["predictions"].mean(axis=0)
    assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.8
    (results / f"decoders/{subject}/scans.h5").unlink()
    with pytest.raises(InputError, match=r"scans\.h5: expected a decoder kept .* run snakemake .*scans\.h5"):
        decode(subject_decoders.of_run(config, Path("config.yaml"), subject), Path("new.npy"))
