"""MindEye2's prepared files: trials, betas and pictures of a small made-up folder; what is wrong with one."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from helpers import prepared_mindeye as prepared
from helpers.workflow import jobs, make_project, snakemake, stale
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.config.configuration import Config, read_config, resolve
from neural_recon.core.errors import InputError
from neural_recon.core.tables import read_table
from neural_recon.datasets.dataset import DATA_SETS
from neural_recon.workflow import doctor
from neural_recon.workflow.plan import Plan

TRAINING = "wds/subj01/train/1.tar"
TESTING = "wds/subj01/new_test/0.tar"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return prepared.write(tmp_path_factory.mktemp("prepared") / "files")


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "files"))


def load(folder, **changes):
    kind = DATA_SETS.load("mindeye_prepared")
    return kind(kind.Settings(kind="mindeye_prepared", folder=str(folder), **changes))


def stored(folder, name) -> np.ndarray:
    with h5py.File(folder / name) as file:
        return file[key_of(name)][()]


def key_of(name) -> str:
    """The dataset of a file of pictures or betas."""
    return "images" if name == prepared.PICTURES else "betas"


def test_trials_are_those_of_both_splits_in_the_order_of_their_betas(whole):
    data = load(whole)
    assert data.sessions("subj01") == [1, 2]
    table = data.trials("subj01", [1, 2])
    assert len(table) == 2 * prepared.PER_SESSION
    assert table["row"].tolist() == list(range(len(table)))
    assert table["trial"].tolist() == 2 * list(range(1, prepared.PER_SESSION + 1))
    assert (table["shared"] == (table["image_id"] < prepared.TEST)).all()
    assert (table.groupby(["session", "image_id"]).size() == 2).all()
    second = data.trials("subj01", [2])
    assert second.equals(table[table["session"] == 2].reset_index(drop=True))


def test_betas_are_the_rows_of_their_trials(whole):
    data = load(whole)
    voxels = data.voxels("subj01")
    assert len(voxels) == data.n_voxels("subj01") == prepared.VOXELS
    assert data.grid("subj01") is None
    found = data.betas("subj01", 2, voxels)
    every = stored(whole, prepared.betas_file(whole).name)
    np.testing.assert_array_equal(found.values, every[prepared.PER_SESSION :])
    assert found.values.dtype == np.float32
    assert "z-score" in found.parameters["unit"]


def test_pictures_are_8_bit_with_channels_last(whole):
    data = load(whole)
    found = data.pictures([5, 0, 5])
    images = stored(whole, prepared.PICTURES).astype(np.float64)
    assert data.n_images == prepared.IMAGES
    np.testing.assert_array_equal(found[0], np.rint(255 * images[5]).transpose(1, 2, 0))
    np.testing.assert_array_equal(found[2], found[0])
    np.testing.assert_array_equal(found[1], np.rint(255 * images[0]).transpose(1, 2, 0))


def test_features_are_listed_by_subject(whole):
    data = load(whole)
    assert data.lists("subj01") == ("subj01",)
    assert data.list_ids("subj01").tolist() == list(range(prepared.IMAGES))
    assert set(data.files("lists", "subj01")) == set(data.files("trials", "subj01"))
    assert data.files("lists") == {}


def test_captions_are_nsds_where_their_file_is_named(whole, tmp_path):
    assert load(whole).offers == frozenset()
    with pytest.raises(InputError, match="expected captions, found a data set that has none"):
        load(whole).captions([0])
    np.save(tmp_path / "captions.npy", np.array([[f"picture {i}", ""] for i in range(prepared.IMAGES)]))
    data = load(whole, captions=str(tmp_path / "captions.npy"))
    assert data.captions([3]) == [["picture 3"]]
    assert data.offers == {"captions"}


def test_a_tar_of_a_session_that_is_not_there_is_no_session(folder):
    (folder / TRAINING).unlink()
    assert load(folder).sessions("subj01") == [1]
    with pytest.raises(InputError, match=r"train/1.tar: expected a tar file.*, found no such file"):
        load(folder).trials("subj01", [2])


def test_without_a_file_nsds_sessions_are_expected_and_the_terms_shown(tmp_path):
    data = load(tmp_path)
    assert data.subjects[0] == "subj01"
    assert len(data.sessions("subj04")) == 30
    path = prepared.betas_file(tmp_path)
    assert not data.fetches(path)
    assert "naturalscenesdataset.org and set dataset.accept_terms: true" in data.hint(path)
    willing = load(tmp_path, accept_terms=True, captions=str(tmp_path / "c.npy"))
    assert willing.fetches(path)
    assert not willing.fetches(tmp_path / "c.npy")
    [name] = willing.names([path, tmp_path / "c.npy"])
    download = willing.download(name)
    assert (download.source, download.path) == ("hub:datasets/pscotti/mindeyev2", path.name)
    assert "naturalscenesdataset.org" in download.terms
    sizes, unknown = willing.downloads([path, tmp_path / prepared.PICTURES])
    assert not unknown
    assert 20e9 < sizes["shared"] < 23e9
    assert 1e9 < sizes["subj01"] < 3e9


def test_planning_fetches_the_tars_alone(tmp_path, monkeypatch):
    data = load(tmp_path, accept_terms=True)
    fetched = []
    monkeypatch.setattr("neural_recon.models.fetch.fetch", lambda one, path: fetched.append((one.path, path)))
    data.fetch_for_planning([*data.files("betas", "subj01", 3), *data.files("pictures")])
    names = ["wds/subj01/train/2.tar", TESTING]
    assert fetched == [(name, tmp_path / name) for name in names]


def tar_of(*samples):
    return lambda folder: prepared.write_tar(folder / TRAINING, samples)


def rewritten(name, values):
    def change(folder):
        with h5py.File(folder / name, "w") as file:
            file[key_of(name)] = values

    return change


BETAS = "betas_all_subj01_fp32_renorm.hdf5"
ROWS = 2 * prepared.PER_SESSION


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (tar_of(), "train/1.tar: expected a tar file of samples with behav.npy, found none of them"),
        (tar_of(np.zeros((1, 4))), "the row of the betas in 5, found float64 (1, 4); get it again"),
        (tar_of(np.array([["a"] * 17])), "found <U1 (1, 17)"),
        (tar_of(prepared.behaviour(np.nan, 2, 24)), "found nan, 2, 24 there"),
        (tar_of(prepared.behaviour(4.5, 2, 24)), "found 4.5, 2, 24 there"),
        (tar_of(prepared.behaviour(-1, 2, 24)), "found -1, 2, 24 there"),
        (tar_of(b"no array"), "behav.npy as a whole .npy file of numbers, found none"),
        (tar_of(np.array([[None] * 17])), "behav.npy as a whole .npy file of numbers, found none"),
        (tar_of(prepared.behaviour(4, 1, 24)), "expected trials of session 2, as tar files count from 0"),
        (tar_of(*[prepared.behaviour(4, 2, 30)] * 2), "in one trial of subj01, found 30"),
        (tar_of(prepared.behaviour(1, 2, 9999)), "has not, found image 1 in both"),
        (tar_of(prepared.behaviour(12, 2, 9999)), "expected image ids within 0 to 11, as many pictures as"),
        (lambda folder: (folder / TRAINING).write_bytes(b"<html>no</html>"), "train/1.tar: expected a tar"),
        (
            lambda folder: (folder / TESTING).write_bytes((folder / TESTING).read_bytes()[:2000]),
            "new_test/0.tar: expected a tar file of samples",
        ),
        (
            lambda folder: (folder / TESTING).write_bytes((folder / TESTING).read_bytes()[:1536]),
            "found one that does not read (it is cut short); get it again",
        ),
        (lambda folder: (folder / TESTING).unlink(), "new_test/0.tar: expected a tar file of samples"),
    ],
)  # fmt: skip
def test_trials_that_are_wrong_are_one_sentence(folder, change, said):
    change(folder)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        load(folder).trials("subj01", [1, 2])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rewritten(BETAS, np.zeros((ROWS, 4, 5), np.float32)), "expected 'betas' with 2 axes, found the"),
        (rewritten(BETAS, np.zeros((ROWS, 20), np.int16)), "expected 'betas' of another type, found int16"),
        (rewritten(BETAS, np.zeros((40, 20), np.float32)), "found 40, and a trial of row 40"),
        (rewritten(BETAS, np.zeros((ROWS, 19), np.float32)), "expected betas of 20 voxels, as the table of"),
        (rewritten(BETAS, np.full((ROWS, 20), np.nan, np.float32)), "expected finite betas, found others in"),
        (lambda folder: (folder / BETAS).unlink(), "expected an HDF5 file, found none"),
        (lambda folder: (folder / BETAS).write_bytes(b"\x89HDF\r\n\x1a\n"), "expected a whole HDF5 file"),
    ],
)  # fmt: skip
def test_betas_that_are_wrong_are_one_sentence(whole, folder, change, said):
    change(folder)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        load(folder).betas("subj01", 2, load(whole).voxels("subj01"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((12, 64, 64, 3), np.float16), "expected images (images, 3, height, width)"),
        (np.ones((12, 3, 64), np.float16), "expected 'images' with 4 axes"),
        (np.ones((12, 3, 64, 64), np.uint8), "expected 'images' of another type, found uint8"),
        (np.full((12, 3, 64, 64), 255, np.float16), "expected image 4 in numbers from 0 to 1, found 255"),
        (np.full((12, 3, 64, 64), np.nan, np.float16), "expected image 4 in numbers from 0 to 1, found nan"),
        (np.zeros((12, 3, 64, 64), np.float16), "expected a picture for image 4, found an empty one"),
        (np.ones((3, 3, 64, 64), np.float16), "expected image ids within 0 to 2, found 4"),
    ],
)  # fmt: skip
def test_pictures_that_are_wrong_are_one_sentence(folder, values, said):
    rewritten(prepared.PICTURES, values)(folder)
    with pytest.raises(InputError, match=re.escape(said)):
        load(folder).pictures([4])
    if "empty" in said:
        assert not load(folder).pictures([4], empty_ok=True).any()


CONFIG = {
    "recipe": "base_only",
    "dataset": {"kind": "mindeye_prepared", "folder": "files"},
    "subjects": {"subj01": {}},
    "spaces": {
        "vdvae": {
            "weights": "resources/demo_models/vdvae/model.safetensors",
            "hparams": "resources/demo_models/vdvae/hparams.json",
            "layers": 2,
        }
    },
    "features": {"chunk": 8},
    "decoder": {"alpha": {"vdvae": 100}},
    "generator": {"size": 64},
    "evaluation": {
        "preset": "native", "control_images": 2, "repairings": 100, "draws": 1, "shuffled_refits": 2
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("prepared") / "project")
    prepared.write(folder / "files")
    return folder


@pytest.fixture
def inside(project, monkeypatch) -> Path:
    monkeypatch.chdir(project)
    return project


def planned(**changes) -> Plan:
    return Plan(Config.model_validate(resolve({**CONFIG, **changes}, Path())))


@pytest.mark.usefixtures("inside")
def test_what_the_plan_asks_of_it():
    plan = planned()
    assert plan.test_ids("subj01").tolist() == list(range(prepared.TEST))
    assert [chunk.name for chunk in plan.feature_chunks("subj01")] == ["subj01_000", "subj01_001"]
    of_features = plan.read_for(["lists", "pictures"], {"stimuli": "subj01"})
    assert {path.name for path in of_features} == {"0.tar", "1.tar", prepared.PICTURES}
    plan.check_files()
    plan.check()


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": "pixart"}, "reads captions, and this data set has none; recipes without text are"),
        ({"split": {"name": "published"}}, "this data set has no published split"),
        ({"responses": {"noise_ceiling": "ncsnr"}}, "no signal-to-noise ratios of its own"),
        ({"subjects": {"subj01": {"sessions": 3}}}, "subj01 has the sessions 1 to 2, not 3"),
    ],
)
def test_what_it_lacks_is_one_sentence(changes, said):
    own = {"spaces": {}, "decoder": {}, "generator": {}} if "recipe" in changes else {}
    with pytest.raises(InputError, match=re.escape(said)):
        planned(**changes, **own)


@pytest.mark.usefixtures("inside")
def test_the_example_is_a_configuration():
    config = read_config(Path("config/mindeye_prepared.yaml"), Path())
    assert config.dataset.kind == "mindeye_prepared"
    assert config.sessions("subj01") == list(range(1, 41))


@pytest.mark.usefixtures("inside")
def test_a_missing_file_is_named_with_the_terms():
    plan = planned(dataset={"kind": "mindeye_prepared", "folder": "elsewhere"})
    with pytest.raises(InputError, match=r"elsewhere/.*no such file; is dataset.folder right\? Or to fetch"):
        plan.check_files()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rewritten(BETAS, np.zeros((40, 20), np.float32)), "found 40, and a trial of row 40"),
        (rewritten(BETAS, np.full((ROWS, 20), np.nan, np.float32)), "expected finite betas"),
        (rewritten(prepared.PICTURES, np.ones((12, 64, 64, 3), np.float16)), "expected images (images, 3"),
        (tar_of(np.zeros((1, 4))), "the row of the betas in 5"),
    ],
)  # fmt: skip
def test_doctor_says_each_mistake_once(whole, folder, inside, change, said):
    config = inside / "config/prepared.yaml"
    for place, wrong in ((whole, 0), (folder, 1)):
        if wrong:
            change(folder)
        raw = {**CONFIG, "dataset": {"kind": "mindeye_prepared", "folder": str(place)}}
        config.write_text(yaml.safe_dump(raw), encoding="utf-8")
        findings, _ = doctor.examine(config, Path(), thorough=True)
        texts = [one.text for one in findings if one.state == "wrong"]
        assert len(texts) == wrong, texts
    assert said in texts[0]


@pytest.mark.slow
def test_it_runs_to_scores_page_and_new_scans(project, monkeypatch):
    config = {**CONFIG, "decoder": {**CONFIG["decoder"], "keep": "kernel"}}
    names = (
        "report/subj01.html",
        "quality/subj01.html",
        "scores/subj01/summary.tsv",
        "decoders/subj01/vdvae.h5",
    )
    targets = [f"results/{name}" for name in names]
    done = snakemake(project, *targets, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = read_table(project / targets[2])
    assert np.isfinite(summary.query("variant == 'decoded' and metric == 'pixcorr'")["mean"]).all()
    assert "subj01" in (project / targets[0]).read_text(encoding="utf-8")
    assert stale(project, config, *targets) == {}
    # voxels without places are taken in their order
    monkeypatch.chdir(project)
    (project / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    np.save(project / "new.npy", np.random.default_rng(0).standard_normal((3, prepared.VOXELS), np.float32))
    arguments = ["--subject", "subj01", "--betas", "new.npy", "--output", "new", "--configfile", "mine.yaml"]
    called = CliRunner().invoke(command_line.app, ["decode", *arguments])
    assert called.exit_code == 0, called.output
    assert len(list((project / "new").rglob("*.png"))) >= 3


@pytest.mark.slow
def test_a_file_that_is_missing_is_fetched_by_a_job_of_its_own(tmp_path):
    folder = make_project(tmp_path / "project")
    prepared.write(folder / "files", "other")  # nobody of NSD's, whose sessions are those that are there
    (folder / "files" / prepared.PICTURES).unlink()
    willing = {"dataset": {**CONFIG["dataset"], "accept_terms": True}, "subjects": {"other": {}}}
    planned = snakemake(folder, "--dry-run", config={**CONFIG, **willing})
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert jobs(planned.stdout)["fetch_prepared"] == 1
