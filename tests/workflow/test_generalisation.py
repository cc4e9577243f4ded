"""Other sessions of a person, decoded by kept decoders: whose voxels, how averaged, z-scored and scored."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import made_up_lab, made_up_surfaces
from helpers.pages import of_other_sessions
from helpers.places import ROOT
from helpers.workflow import BASE_ONLY, make_project
from PIL import Image

from neural_recon import datasets
from neural_recon.config.configuration import Config, resolve
from neural_recon.config.sections import Generalisation
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import read_table
from neural_recon.datasets.table.look import look_at
from neural_recon.decoding import kept_voxels
from neural_recon.decoding.decoder import Decoder
from neural_recon.evaluation import metrics
from neural_recon.evaluation.controls import training_pictures
from neural_recon.evaluation.generalisation import score_groups
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.evaluation.statistics import repairings
from neural_recon.report.generalisation import section as section_of_page
from neural_recon.workflow import generalisation
from neural_recon.workflow.decode_scans import prepare
from neural_recon.workflow.generalisation import Others

WHO = "P-07"


@pytest.fixture
def lab(tmp_path) -> Path:
    made_up_lab.write(tmp_path / "lab")
    return tmp_path / "lab"


def section(folder: Path, **more) -> dict:
    return {"dataset": {**made_up_lab.SETTINGS, "folder": str(folder)}, **more}


def others(folder: Path, person: str = WHO, **more) -> Others:
    return Others.of("later", Generalisation.model_validate(section(folder, **more)), WHO, person)


def kept(folder: Path, subject: str = WHO) -> tuple[Path, pd.DataFrame]:
    """What a run on the lab's data keeps of where a subject's voxels lie, and the table of these."""
    data = datasets.load({"dataset": section(folder)["dataset"]})
    voxels = data.voxels(subject)
    responses = {"mean": np.zeros(len(voxels)), "std": np.ones(len(voxels)), "voxel": np.arange(len(voxels))}
    path = folder.parent / f"decoders/{subject}/responses.h5"
    write_hdf5(path, kept_voxels.of_subject(data, subject, voxels, responses), {"zscore": "train"})
    return path, voxels


NO_TRAINING = np.zeros((0, 3 * training_pictures.SIDE**2), np.float32)


class Sums(Decoder):
    """Predicts the sum over voxels, and for the control its negative."""

    def predict(self, *_):
        raise NotImplementedError

    def predict_kept(self, _voxels, decoders, rows, numbers):
        assert len(numbers) == len(rows)
        return {space: rows.sum(axis=1, keepdims=True) * (-1 if "shuffled" in str(path) else 1)
                for space, path in decoders.items()}  # fmt: skip


def predicted(lab: Path, there: Others, training: np.ndarray = NO_TRAINING) -> tuple:
    """What decoders of the lab's data predict from other sessions."""
    path, voxels = kept(lab)
    files = {"space": [path, Path("space.h5"), Path("shuffled/space.h5")]}
    return generalisation.predict(there, Sums({}), files, voxels, training)


def test_rows_are_averages_of_a_picture_in_a_group(lab):
    there = others(lab, groups="session")
    rows, fits, about = predicted(lab, there)
    assert list(rows["group"].unique()) == ["1", "2"]
    table, voxels = there.data.trials(WHO, [1, 2]), there.data.voxels(WHO)
    betas = np.concatenate([there.data.betas(WHO, session, voxels).values for session in (1, 2)])
    for n, row in enumerate(rows.itertuples()):
        mine = (table["session"].astype(str) == row.group) & (table["image_id"] == row.image_id)
        assert row.trials == mine.sum()
        assert row.image == there.data.image_names([row.image_id])[0]
        expected = betas[mine].mean(axis=0).sum()
        np.testing.assert_allclose(fits["decoded"]["space"][n, 0], expected, rtol=1e-4)
    np.testing.assert_array_equal(fits["shuffled"]["space"], -fits["decoded"]["space"])
    assert about["zscore"] == "train"


def test_pictures_that_trained_the_decoder_are_left_out(lab, caplog):
    there, left_out = others(lab), ["Zebra", "dog (1)"]
    with_all = predicted(lab, there)
    # the run's data set has two of them under other numbers, smaller, and as JPEG
    names, stored = there.data.image_names(range(there.data.n_images)), []
    for picture in there.data.pictures([names.index(name) for name in left_out]):
        Image.fromarray(picture).resize((100, 100)).save(lab / "stored.jpg")
        stored.append(np.asarray(Image.open(lab / "stored.jpg")))
    training = training_pictures.small(lambda ids: [stored[n] for n in ids], np.arange(2))
    rows, fits, about = predicted(lab, there, training)
    assert about["left_out"] == left_out
    assert "2 pictures that the decoder was trained on are left out: Zebra, dog (1)" in caplog.text
    new = ~with_all[0]["image"].isin(left_out)
    pd.testing.assert_frame_equal(rows, with_all[0][new].reset_index(drop=True))
    np.testing.assert_array_equal(fits["decoded"]["space"], with_all[1]["decoded"]["space"][new])


def test_sessions_of_training_pictures_alone_are_no_test(lab):
    there = others(lab)
    every = np.arange(there.data.n_images)
    training = training_pictures.small(there.data.pictures, every[1:])
    # all but one; another is in no trial
    message = r"later: expected at least 2 pictures .* found 1 in all, as 18 are training pictures"
    with pytest.raises(InputError, match=message):
        predicted(lab, there, training)


def test_as_many_trials_as_asked_are_averaged_the_first(lab):
    there = others(lab, trials=2)
    table = there.trials()
    rows, which = generalisation.rows_of(table, 2)
    assert set(rows["trials"]) == {2} | ({1} if (rows["trials"] == 1).any() else set())
    for n, row in enumerate(rows.itertuples()):
        first = table.index[table["image_id"] == row.image_id][:2]
        assert list(which.index[which == n]) == list(first)


def test_runs_are_z_scored_by_all_of_their_trials():
    rng = np.random.default_rng(0)
    runs = np.repeat(["a", "b"], 12)
    betas = rng.normal(size=(24, 5)) * np.repeat([1, 4], 12)[:, None] + np.repeat([0, 9], 12)[:, None]
    conditions = pd.Series(np.tile(np.arange(4), 6))
    shared = {"mean": np.full(5, 3.0), "std": np.full(5, 2.0)}
    ready = prepare(betas, shared, "train", "run", conditions, runs)
    z = np.concatenate([(part - part.mean(0)) / part.std(0, ddof=1) for part in (betas[:12], betas[12:])])
    expected = np.stack([z[conditions == n].mean(axis=0) for n in range(4)])
    np.testing.assert_allclose(ready.rows, expected, rtol=1e-5)
    by_sessions = prepare(betas, shared, "session", "run", conditions, runs)
    np.testing.assert_allclose(by_sessions.rows, (expected - 3) / 2, rtol=1e-5)
    with pytest.raises(InputError, match="at least 10 rows"):
        prepare(betas[:16], shared, "train", "run", conditions[:16], runs[:16])


def test_turned_volumes_are_read_at_the_decoders_voxels(lab):
    path, voxels = kept(lab)
    turned = lab.parent / "turned"
    shutil.copytree(lab, turned)
    back = made_up_lab.AFFINE @ np.diag([-1.0, 1, 1, 1])
    back[:3, 3] = made_up_lab.AFFINE[:3, 3] + made_up_lab.AFFINE[:3, 0] * (made_up_lab.SHAPE[0] - 1)
    for one in turned.rglob("*.nii.gz"):
        image = nibabel.load(one)
        if nibabel.aff2axcodes(image.affine)[0] == "R":
            nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1], back), one)
    here, there = others(lab), others(turned)
    table = here.trials()
    expected = here.read(table, here.places(voxels, path))
    np.testing.assert_array_equal(there.read(table, there.places(voxels, path)), expected)


def test_vertices_are_read_by_their_places(tmp_path):
    values = made_up_surfaces.on_surfaces(tmp_path / "lab", masked=True)
    settings = look_at(tmp_path / "lab").settings
    data = datasets.load({"dataset": settings})
    voxels = data.voxels("anna")
    chosen = np.arange(0, len(voxels), 2)  # the run left some out
    responses = {"mean": np.zeros(len(chosen)), "std": np.ones(len(chosen)), "voxel": chosen}
    path = tmp_path / "decoders/anna/responses.h5"
    write_hdf5(path, kept_voxels.of_subject(data, "anna", voxels, responses), {"zscore": "train"})
    there = Others.of("later", Generalisation.model_validate({"dataset": settings}), "anna", "anna")
    table = there.trials()
    rows, vertices = table["trial"].to_numpy() - 1, voxels["x"].to_numpy()[chosen]
    expected = values["anna", "ses-01"][np.ix_(rows, vertices)]
    np.testing.assert_allclose(there.read(table, there.places(voxels, path)), expected, rtol=1e-6)
    with pytest.raises(InputError, match="found no volume where its own lie in one"):
        there.places(voxels.assign(y=0, z=0), path)


def another(lab: Path, how: str) -> None:
    """Make the lab's folder that of another person."""
    masks = list(lab.rglob("*mask.nii.gz"))
    inside, affine = made_up_lab.mask(), made_up_lab.AFFINE.copy()
    match how:
        case "mask":
            inside = 1 - inside
        case "fewer voxels":
            inside[0] = 0
        case "affine":
            affine[0, 3] += 1
        case "volume":
            inside = np.pad(inside, ((0, 1), (0, 0), (0, 0)))
    for mask in masks:
        nibabel.save(nibabel.Nifti1Image(inside, affine), mask)


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("mask", "expected the 40 voxels of the decoder of P-07 among the 20 of P-07, found 40 that are not"),
        ("fewer voxels", "found 8 that are not"),
        ("affine", "expected a volume on the grid of the decoder .*found the first voxel at"),
        ("volume", r"expected the volume of P-07 \(5, 4, 3\), found \(6, 4, 3\)"),
    ],
)
def test_a_decoder_is_refused_on_another_persons_voxels(lab, how, found):
    path, voxels = kept(lab)
    another(lab, how)
    with pytest.raises(InputError, match=rf"generalisation\.later: .*{found}.*its own subject alone"):
        others(lab).places(voxels, path)


def test_a_few_voxels_without_signal_are_told(lab, caplog):
    path, voxels = kept(lab)
    for mask in lab.rglob("*mask.nii.gz"):
        inside = made_up_lab.mask()
        inside[0, 0, 0] = 0
        nibabel.save(nibabel.Nifti1Image(inside, made_up_lab.AFFINE), mask)
    places = others(lab).places(voxels, path)
    assert len(places) == 40
    assert "1 of 40 voxels of the decoder are none of P-07" in caplog.text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"groups": "task"}, "expected the column task in the trials"),
        ({"zscore": "run"}, "expected the column run in the trials"),
        ({"groups": "image"}, r"expected names of letters.*found 'Café"),
        ({"groups": "trial"}, "expected at least 2 pictures in every group"),
        ({"sessions": [7]}, r"sessions: expected some of 1, 2, found 7"),
    ],
)
def test_what_the_trials_do_not_have_is_one_sentence(lab, more, message):
    with pytest.raises(InputError, match=rf"generalisation\.later.*{message}"):
        others(lab, **more).trials()


def configured(lab: Path, **more) -> dict:
    raw = {
        "recipe": "brain_diffuser_small",
        "dataset": section(lab)["dataset"],
        "subjects": {"P-07": {}, "anna": {}},
        "split": {"name": "repeated"},
        "decoder": {"keep": "kernel"},
        "generalisation": {"later": section(lab, **more)},
    }
    return resolve(raw, ROOT)


def test_people_of_one_name_are_the_same(lab):
    config = Config.model_validate(configured(lab))
    assert config.people("later") == {"P-07": "P-07", "anna": "anna"}
    assert Config.model_validate(configured(lab, subjects={"anna": "sub_3x"})).people("later") == {
        "anna": "sub_3x"
    }


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        ({"P-07": "anna"}, "expected the same person, found anna, another subject of this configuration"),
        ({"P-07": "nobody"}, "expected one of P-07, anna, sub_3x, found 'nobody'"),
        ({"sub_3x": "sub_3x"}, "unknown subject; known are P-07, anna"),
    ],
)
def test_another_subject_is_refused_by_name(lab, subjects, message):
    with pytest.raises(InputError, match=rf"generalisation\.later\.subjects\.\S+: {message}"):
        configured(lab, subjects=subjects)


def test_decoders_must_be_kept(lab):
    raw = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    with pytest.raises(InputError, match=r"generalisation: .*set decoder\.keep"):
        resolve({**raw, "generalisation": {"later": section(lab)}}, ROOT)


def test_groups_are_scored_apart_with_their_own_chance(rng, tmp_path):
    n, seen = 6, rng.integers(0, 256, (6, 16, 16, 3), np.uint8)
    noise = rng.integers(0, 256, (6, 16, 16, 3), np.uint8)
    ids = {"image_id": np.tile(np.arange(n), 2), "group": np.repeat(["vision", "imagery"], n)}
    true = rng.normal(size=(n, 8)).astype(np.float16)
    wrong = rng.normal(size=(n, 8)).astype(np.float16)
    fits = {
        "decoded": {"final": np.concatenate([seen, noise]), "features_a": np.concatenate([true, wrong])},
        "shuffled": {"final": np.tile(noise[::-1], (2, 1, 1, 1)), "features_a": np.tile(wrong[::-1], (2, 1))},
        "true_features": {"features_a": np.tile(true, (2, 1))},
    }
    files = {fit: tmp_path / f"{fit}.h5" for fit in fits}
    for fit, arrays in fits.items():
        write_hdf5(files[fit], {**ids, **arrays}, {})
    networks, how = PresetNetworks("native", {}), {"repairings": 100, "preset": "native"}
    summary, tests, images = score_groups(
        "anna", files, lambda wanted: seen[wanted], networks, how, 0, ["a", "b"]
    )
    assert list(summary["group"].unique()) == ["vision", "imagery"]
    score = summary.set_index(["group", "variant", "picture", "metric"])["mean"]
    assert score["vision", "decoded", "final", "pixcorr"] == pytest.approx(1)
    assert score["imagery", "decoded", "final", "pixcorr"] < 0.3
    assert score["vision", "decoded", "a", "two_way"] == 1
    assert score["imagery", "decoded", "a", "two_way"] < 0.9
    assert not (summary["picture"] == "b").any()  # there is nothing true to compare with
    assert (summary.loc[summary["mean"].notna(), "n"] == n).all()
    assert set(tests["comparison"]) == {"final against the shuffled decoder"}
    assert len(images[images["metric"] == "pixcorr"]) == 4 * n


def test_chance_of_twelve_pictures_is_anything_from_a_third_to_two_thirds(rng):
    shares = metrics.two_way_matrix(metrics.correlation_matrix(*rng.normal(size=(2, 12, 100))))
    chance = repairings(shares, seed=0)
    interval = [chance.mean - 1.96 * chance.sd, chance.mean + 1.96 * chance.sd]
    np.testing.assert_allclose(interval, [1 / 3, 2 / 3], atol=0.04)


@pytest.mark.slow
def test_other_sessions_are_scored(tmp_path, monkeypatch):
    """A run on the lab's first subject; the same person's sessions again, under another name."""
    from helpers.loaded_snakemake import run

    folder = make_project(tmp_path / "project", BASE_ONLY)
    made_up_lab.write(folder / "lab")
    again = folder / "again"
    shutil.copytree(folder / "lab", again)
    for path in sorted(again.rglob("*anna*"), reverse=True):
        path.rename(path.with_name(path.name.replace("anna", "same")))
    table = read_table(again / "trials.tsv")
    table = table[table["subject"] == "anna"].assign(subject="same")
    table["task"] = np.where(np.arange(len(table)) % 2, "vision", "imagery")
    table.to_csv(again / "trials.tsv", sep="\t", index=False)
    config = {
        "recipe": "recipe.yaml",
        "dataset": {**made_up_lab.SETTINGS, "folder": "lab"},
        "subjects": {"anna": {}},
        "split": {"name": "repeated"},
        "decoder": {"keep": "kernel"},
        "evaluation": {"preset": "native", "networks": {"clip": "resources/demo_models/versatile"},
                       "control_images": 2, "repairings": 100, "draws": 1, "shuffled_refits": 2},
        "generalisation": {
            "later": {"dataset": {**made_up_lab.SETTINGS, "folder": "again"}, "subjects": {"anna": "same"},
                      "groups": "task"}
        },
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = run(
        ["--snakefile", str(folder / "Snakefile"), "--configfile", "config.yaml", "--cores", "1",
         "--resources", "gpu=1", "--", "other_sessions"],
        folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    scores = read_table(folder / "results/generalisation/later/anna/scores.tsv")
    assert set(scores["group"]) == {"vision", "imagery"}
    assert {"decoded", "shuffled", "true_features"} <= set(scores["variant"])
    # the same pictures in both: those that test are no training pictures
    rows = read_table(folder / "results/generalisation/later/anna/rows.tsv")
    assert set(rows["image"]) == set(made_up_lab.REPEATED)
    assert (scores.loc[scores["mean"].notna(), "n"] == len(made_up_lab.REPEATED)).all()
    pictures = folder / "results/generalisation/later/anna/pictures"
    shown = {path.stem for path in (pictures / "vision/final").glob("*.png")}
    assert len(shown) == len(made_up_lab.REPEATED)
    # and shown
    monkeypatch.chdir(folder)
    (entry,) = section_of_page([of_other_sessions(folder / "results", "later", "anna")], config)
    trained = set(made_up_lab.NAMES) - {*made_up_lab.REPEATED, made_up_lab.NO_CAPTION}
    assert set(entry["people"][0]["left_out"]) == trained
    groups = {group["name"]: group for group in entry["people"][0]["groups"]}
    assert set(groups) == {"vision", "imagery"}
    cards = groups["imagery"]["cards"]
    assert len(cards) == min(6, groups["imagery"]["n"])
    assert [picture.label for picture in cards[0].pictures][:1] == ["seen or imagined"]
