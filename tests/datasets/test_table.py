"""A lab's own data, read from its table of trials, betas in any format, and pictures."""

import logging
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers import made_up_lab as lab
from PIL import Image

from neural_recon.core.errors import InputError
from neural_recon.datasets.kinds.table import Table


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a lab")
    lab.write(folder)
    return folder


def opened(folder: Path, **changes) -> Table:
    settings = {name: value for name, value in {**lab.SETTINGS, **changes}.items() if value is not None}
    return Table(Table.Settings.model_validate({**settings, "folder": str(folder)}))


def rows_of(folder: Path, subject: str, session: str) -> pd.DataFrame:
    table = pd.read_csv(folder / "trials.tsv", sep="\t", keep_default_na=False)
    return table[(table["subject"] == subject) & (table["session"] == session)].reset_index(drop=True)


def expected(folder: Path, subject: str = "P-07", session: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Names of the images of the trials that are used, and responses of all voxels."""
    rows = rows_of(folder, subject, f"ses-{session:02d}")
    seed = 10 * list(lab.SESSIONS).index(subject) + session - 1
    used = ~rows["image"].isin(["n/a", "catch.png", f"{lab.NO_CAPTION}.png"]).to_numpy()
    return rows["image"][used].to_numpy(), lab.responses(rows, seed)[used]


def test_trials_have_the_labs_names_and_lack_what_has_no_picture(folder, caplog):
    caplog.set_level(logging.INFO)
    data = opened(folder)
    assert data.subjects == ["P-07", "anna", "sub_3x"]
    assert [data.sessions(subject) for subject in data.subjects] == [[1, 2], [1], [1, 2, 3]]
    trials = data.trials("P-07", [1])
    names, _ = expected(folder)
    assert trials["image"].tolist() == names.tolist()
    assert [f"{name}.png" for name in data.image_names(trials["image_id"])] == names.tolist()
    assert lab.CATCH + 1 not in trials["trial"].tolist()
    assert lab.BLANK + 1 not in trials["trial"].tolist()
    assert trials["rt"].eq(0.5).all()
    assert not trials["shared"].any()
    assert (
        "42 trials, 2 of them without a picture, 2 of pictures without a caption ('boat.png'): left out"
        in (caplog.text)
    )
    assert "boat.png" in opened(folder, captions=None).trials("P-07", [1])["image"].tolist()


@pytest.mark.parametrize("session", [1, 2])  # the second lies the other way round
def test_betas_are_those_of_the_trials_at_the_masks_voxels(folder, session):
    data = opened(folder)
    table = data.voxels("P-07")
    assert len(table) == lab.mask().sum()
    assert table["visual"].value_counts().to_dict() == {"V1": 20, "V2": 10, "elsewhere": 10}
    _, responses = expected(folder, session=session)
    inside = lab.mask().astype(bool).ravel()
    found = data.betas("P-07", session, table)
    np.testing.assert_allclose(found.values, responses[:, inside], rtol=1e-6)
    assert found.parameters["unit"] == "% signal change"


def write_arrays(folder: Path, kind: str) -> dict:
    """The betas of all subjects in another format; what the configuration says of it."""
    table = pd.read_csv(folder / "trials.tsv", sep="\t", keep_default_na=False)
    for n, (subject, sessions) in enumerate(lab.SESSIONS.items()):
        every = [
            lab.responses(rows_of(folder, subject, session), 10 * n + m) for m, session in enumerate(sessions)
        ]
        mine = table["subject"] == subject
        # GLMsingle has no betas of blank trials, and one file of all sessions
        values = np.concatenate(every)[(table.loc[mine, "image"] != "n/a").to_numpy()]
        volume = lab.volume(values)  # (x, y, z, trials)
        path = folder / f"glm_{subject}"
        if kind == "hdf5":
            with h5py.File(path.with_suffix(".hdf5"), "w") as file:
                file["betasmd"] = volume
                file["R2"] = volume[..., 0]
        elif kind == "mat":
            with h5py.File(path.with_suffix(".mat"), "w") as file:
                file.create_dataset("modelmd", data=volume.T, chunks=(len(values), 1, 2, 2))
        elif kind == "pickle":
            np.save(path.with_suffix(".npy"), {"betasmd": volume, "R2": volume[..., 0]}, allow_pickle=True)
        elif kind == "nsd":
            with h5py.File(path.with_suffix(".h5"), "w") as file:
                file["betas"] = np.round(volume.T * 300).astype(np.int16)
        elif kind == "masked":
            with h5py.File(path.with_suffix(".h5"), "w") as file:
                file["z"] = values[:, lab.mask().astype(bool).ravel()]
    return {
        "hdf5": {"betas": "glm_{subject}.hdf5", "units": None},
        "mat": {"betas": "glm_{subject}.mat", "units": None},
        "pickle": {"betas": "glm_{subject}.npy", "pickles": True, "units": None},
        "nsd": {"betas": "glm_{subject}.h5", "units": "percent_x300"},
        "masked": {"betas": "glm_{subject}.h5", "units": "zscored"},
    }[kind]


@pytest.mark.parametrize("kind", ["hdf5", "mat", "pickle", "nsd", "masked"])
@pytest.mark.parametrize("masked", [True, False])
def test_every_format_gives_the_same_responses(tmp_path, kind, masked):
    lab.write(tmp_path)
    changes = write_arrays(tmp_path, kind) | ({} if masked else {"mask": None})
    # blank trials are to be left out by name: the files have none for them
    data = opened(tmp_path, **changes)
    if kind == "masked" and not masked:
        data = opened(tmp_path, **changes, regions={}, names={})
    table = data.voxels("sub_3x")
    inside = lab.mask().astype(bool).ravel() if masked or kind == "masked" else np.ones(60, bool)
    assert len(table) == inside.sum()
    for session in (1, 3):
        _, responses = expected(tmp_path, "sub_3x", session)
        found = data.betas("sub_3x", session, table).values
        np.testing.assert_allclose(found, responses[:, inside], atol=0.004 if kind == "nsd" else 1e-6)
    assert (data.grid("sub_3x") is None) == (kind == "masked" and not masked)


def test_no_pickle_is_opened_without_a_yes(tmp_path):
    lab.write(tmp_path)
    changes = write_arrays(tmp_path, "pickle")
    with pytest.raises(InputError, match=r"found Python objects .* set dataset.pickles: true"):
        opened(tmp_path, **changes | {"pickles": False})._open("anna", 1)


def test_an_array_cut_short_is_no_pickle(tmp_path, rng):
    lab.write(tmp_path)
    np.save(tmp_path / "anna.npy", rng.normal(size=(42, 60)).astype(np.float32))
    (tmp_path / "anna.npy").write_bytes((tmp_path / "anna.npy").read_bytes()[:-40])
    with pytest.raises(InputError, match=r"anna.npy: expected a whole array as numpy.save writes it"):
        opened(tmp_path, betas="anna.npy", mask=None)._open("anna", 1)


def test_units_are_never_guessed(folder):
    with pytest.raises(InputError, match=r"expected dataset.units, as these betas .float32. do not say"):
        opened(folder, units=None)._open("anna", 1)


def test_vertices_lie_in_no_volume(tmp_path, rng):
    lab.write(tmp_path)
    values = rng.normal(size=(42, 30)).astype(np.float32)
    values[:, 4] = 1.5  # constant
    np.save(tmp_path / "anna.npy", values)
    np.save(tmp_path / "areas.npy", np.repeat([0, 1, 2], 10))
    data = opened(
        tmp_path, betas="anna.npy", mask=None, regions={"area": "areas.npy"}, names={}, captions=None
    )
    table = data.voxels("anna")
    assert table["x"].tolist() == [n for n in range(30) if n != 4]
    assert set(table) == {"x", "area"}
    assert table["area"].value_counts().to_dict() == {"": 9, "1": 10, "2": 10}
    assert data.grid("anna") is None
    assert data.cortex("anna") is None
    used = data.trials("anna", [1])["trial"].to_numpy() - 1
    np.testing.assert_array_equal(data.betas("anna", 1, table).values, values[used][:, table["x"]])
    assert data.in_regions("anna", table, ["area/2"]).sum() == 10


def vertices(folder: Path) -> np.ndarray:
    """A lab of one session on a surface: responses (trials, vertices), of which no file is written."""
    rows = rows_of(folder, "anna", "ses-01")
    return lab.responses(rows, 10)[:, :31]


ON_A_SURFACE = {"mask": None, "regions": {}, "names": {}, "captions": None}


@pytest.mark.parametrize("axes", ["voxels,trials", "trials,voxels"])
def test_hemispheres_lie_in_files_of_their_own(tmp_path, folder, axes):
    lab.write(tmp_path)
    values = vertices(folder)
    for side, part in (("lh", values[:, :17]), ("rh", values[:, 17:])):
        np.save(tmp_path / f"anna.{side}.npy", part.T if axes.startswith("voxels") else part)
    sides = [f"{{subject}}.{side}.npy" for side in ("lh", "rh")]
    data = opened(tmp_path, betas=sides, axes=axes, **ON_A_SURFACE)
    table = data.voxels("anna")
    assert len(table) == 31
    numbers = data.trials("anna", [1])["trial"].to_numpy()
    some = table.iloc[[3, 16, 17, 30]]
    found = data.betas("anna", 1, some).values
    np.testing.assert_array_equal(found, values[numbers - 1][:, [3, 16, 17, 30]])
    assert {"anna.lh.npy", "anna.rh.npy"} <= {path.name for path in data.files("betas", "anna", 1)}
    np.save(tmp_path / "anna.rh.npy", np.zeros((7, 9)))
    with pytest.raises(InputError, match=r"anna.lh.npy: expected arrays that differ in length along axis"):
        opened(tmp_path, betas=sides, axes=axes, **ON_A_SURFACE).voxels("anna")
    (tmp_path / "anna.rh.npy").unlink()
    with pytest.raises(InputError, match=r"anna.rh.npy: expected a session's betas, found no such file"):
        opened(tmp_path, betas=sides, axes=axes, **ON_A_SURFACE).voxels("anna")


def test_hemispheres_need_axes():
    with pytest.raises(ValueError, match="several paths need axes, voxels,trials or trials,voxels"):
        opened(Path("nowhere"), betas=["lh.npy", "rh.npy"])


def test_runs_of_a_session_are_datasets_of_a_file(tmp_path, folder):
    lab.write(tmp_path)
    values = vertices(folder)
    with h5py.File(tmp_path / "anna.h5", "w") as file:
        parts = np.split(values, [5, 12, 20])
        for run, part in zip((1, 2, 10, 11), parts, strict=True):  # as text 10 would come before 2
            file[f"01/{run}/betas"] = part
    inside = {"axes": "trials,voxels", **ON_A_SURFACE}
    data = opened(tmp_path, betas="{subject}.h5", dataset="{session:02}/*/betas", **inside)
    numbers = data.trials("anna", [1])["trial"].to_numpy()
    np.testing.assert_array_equal(data.betas("anna", 1, data.voxels("anna")).values, values[numbers - 1])
    with pytest.raises(InputError, match=r"expected datasets called '7/\*/betas', found none; correct"):
        opened(tmp_path, betas="{subject}.h5", dataset="7/*/betas", **inside).voxels("anna")


def test_pictures_are_squares_of_one_size(folder):
    data = opened(folder)
    assert data.n_images == len(lab.NAMES)
    [image_id] = [n for n, name in enumerate(data.image_names(range(data.n_images))) if name == "dog (1)"]
    found = data.pictures([image_id, image_id])
    assert found.shape == (2, 64, 64, 3)
    whole = np.asarray(Image.open(folder / "stimuli/dog (1).png"))
    np.testing.assert_array_equal(found[0], whole[:, 4:68])
    assert data.captions([image_id]) == [["a picture of dog (1)"]]


def test_pictures_of_hdf5_go_by_name_or_number(tmp_path, folder, rng):
    pictures = rng.integers(0, 256, (len(lab.NAMES), 64, 64, 3), np.uint8)
    with h5py.File(tmp_path / "named.h5", "w") as file:
        file["stim"], file["labels"] = pictures, np.array([f"{name}.png" for name in lab.NAMES], object)
    data = opened(folder, pictures=str(tmp_path / "named.h5"))
    trials = data.trials("anna", [1])
    assert [f"{lab.NAMES[n]}.png" for n in trials["image_id"]] == trials["image"].tolist()
    np.testing.assert_array_equal(data.pictures([3]), pictures[[3]])
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["stim"] = pictures
    with pytest.raises(InputError, match="found 19 that are not, such as 'Caf"):  # but for the picture "3"
        opened(folder, pictures=str(tmp_path / "bare.h5"), captions=None).trials("anna", [1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"leave_out": {}}, "found 1 that are not, such as 'catch.png'; put them there, correct the names"),
        ({"leave_out": {"kind": ["catch"]}}, "expected the column kind of dataset.leave_out, found subject"),
        ({"pictures": "derivatives"}, "derivatives: expected pictures (.png, .jpg"),
        (
            {"trials": "captions.tsv"},
            "captions.tsv: expected the columns subject, session, found image, caption",
        ),
        ({"betas": "captions.tsv"}, "expected betas in NIfTI (.nii, .nii.gz), HDF5"),
        ({"betas": "{subject}.nii.gz"}, "P-07.nii.gz: expected a session's betas, found no such file"),
        ({"mask": "derivatives/visual.tsv"}, "expected a mask or labels in NIfTI"),
        (
            {"names": {"visual": "captions.tsv"}},
            "expected the columns label (whole numbers) and name, found image",
        ),
        (
            {"betas": "derivatives/{subject}/{subject}_ses-01_betas.nii.gz"},
            "expected 80 or 82 or 84 trials, found 42; the table of trials must have a row for each",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(folder, changes, said):
    data = opened(folder, **changes)
    with pytest.raises(InputError, match=re.escape(said)):
        data.betas("P-07", 1, data.voxels("P-07") if data.trials("P-07", [1]) is not None else None)


def test_a_shape_that_says_nothing_is_asked_about(tmp_path, rng):
    """As many trials as voxels: either axis may be either."""
    lab.write(tmp_path)
    np.save(tmp_path / "anna.npy", rng.normal(size=(42, 42)).astype(np.float32))
    changes = {"betas": "anna.npy", "mask": None, "regions": {}, "names": {}}
    with pytest.raises(InputError, match=r"it may be voxels,trials or trials,voxels; set dataset.axes"):
        opened(tmp_path, **changes)._open("anna", 1)
    assert opened(tmp_path, **changes, axes="trials,voxels")._open("anna", 1).n_trials == 42


def test_sessions_by_other_names_are_numbered(tmp_path):
    table = lab.write(tmp_path)
    names = {"ses-01": "before", "ses-02": "after", "ses-03": "a year later"}
    table.assign(session=table["session"].map(names)).to_csv(tmp_path / "trials.tsv", sep="\t", index=False)
    data = opened(tmp_path, betas="{session}/{subject}.nii.gz")
    assert data.sessions("sub_3x") == [1, 2, 3]
    assert list(data.files("betas", "sub_3x", 3))[-1] == tmp_path / "a year later/sub_3x.nii.gz"


def test_numbers_too_long_for_a_session_are_none(tmp_path):
    table = lab.write(tmp_path)
    names = table["session"].str.replace("ses-", "ses-20240101120000000000")
    table.assign(session=names).to_csv(tmp_path / "trials.tsv", sep="\t", index=False)
    assert opened(tmp_path).sessions("sub_3x") == [1, 2, 3]


def test_an_atlas_by_another_name_makes_the_voxels_again(folder):
    """Of the same files: they say nothing of what the configuration calls them."""
    renamed = opened(folder, regions={"areas": lab.SETTINGS["regions"]["visual"]}, names={})
    assert renamed.decisive("voxels") != opened(folder).decisive("voxels")


def test_trials_without_any_picture_are_one_sentence(tmp_path):
    lab.write(tmp_path).assign(image="n/a").to_csv(tmp_path / "trials.tsv", sep="\t", index=False)
    with pytest.raises(
        InputError, match=r"trials.tsv: expected names of pictures in the column image, found"
    ):
        opened(tmp_path).trials("anna", [1])


def test_session_numbers_have_as_many_digits_as_asked(folder):
    data = opened(folder, betas="{subject}_{session:02}_{session:03}_{session}.h5")
    assert list(data.files("betas", "anna", 1))[-1].name == "anna_01_001_ses-01.h5"


def test_whose_responses_may_be_passed_on_is_the_labs_to_say(folder):
    assert not opened(folder).terms.responses
    assert opened(folder, share_responses=True).terms.responses
