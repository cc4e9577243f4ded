"""A look at a lab's folder: which files are what, and what is left for a person to check."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers import made_up_lab as lab

from neural_recon.core.errors import InputError
from neural_recon.datasets.kinds.table import Table
from neural_recon.datasets.table import look, path_patterns
from neural_recon.datasets.table.trial_rows import filled_in


def empty(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


@pytest.fixture
def folder(tmp_path) -> Path:
    lab.write(tmp_path)
    return tmp_path


def test_everything_that_lies_there_is_found(folder):
    found = Table.found_in(folder)
    assert found.subjects == list(lab.SESSIONS)
    assert found.settings == {**lab.SETTINGS, "folder": str(folder), "trials": "trials.tsv"}
    assert found.split == {"name": "repeated"}
    assert set(found.notes) == {"dataset.leave_out", "dataset.size", "dataset.units", "split.name"}
    data = Table(Table.Settings.model_validate(found.settings))
    assert data.betas("anna", 1, data.voxels("anna")).values.shape == (38, 40)
    assert data.tuned == ""


def test_glmsingles_fourth_model_is_taken_with_its_units(folder):
    empty(folder, "derivatives/*/*betas*")
    for subject, sessions in lab.SESSIONS.items():
        for name in ("TYPEB_FITHRF", "TYPED_FITHRF_GLMDENOISE_RR"):
            (folder / f"glm/{subject}").mkdir(parents=True, exist_ok=True)
            with h5py.File(folder / f"glm/{subject}/{name}.hdf5", "w") as file:
                file["betasmd"] = np.random.default_rng(0).normal(size=(*lab.SHAPE, 42 * len(sessions)))
    found = Table.found_in(folder)
    assert found.settings["betas"] == "glm/{subject}/TYPED_FITHRF_GLMDENOISE_RR.hdf5"
    assert found.settings["units"] == "percent"
    assert "dataset.units" not in found.notes
    assert found.notes["dataset.betas"] == "also there: glm/{subject}/TYPEB_FITHRF.hdf5"
    assert Table(Table.Settings.model_validate(found.settings)).tuned == "TYPED_FITHRF_GLMDENOISE_RR.hdf5"


@pytest.mark.parametrize(
    ("subjects", "sessions", "name"),
    [
        (["01", "02"], ["1", "2", "10"], "sub-{0}/ses-{1:02d}/sub-{0}_ses-{1:02d}_betas.nii.gz"),
        (["CSI1", "CSI2"], ["ses-01", "ses-02"], "{0}_GLMbetas-TYPED_ses-{1:02d}.nii.gz"),
        (["sub-01", "sub-02"], ["things01", "things02"], "betas_vol/{0}/ses-things{1:02d}/{0}_betas.nii.gz"),
        (["1", "2"], ["1", "2"], "subj{0}_session{1}.h5"),
    ],
)
def test_names_of_files_become_a_pattern(subjects, sessions, name):
    pairs = [
        SimpleNamespace(subject=subject, session_name=session, session=n)
        for subject in subjects
        for n, session in enumerate(sessions, start=1)
    ]
    number = {session: int("".join(filter(str.isdigit, session))) for session in sessions}
    there = {name.format(pair.subject, number[pair.session_name]) for pair in pairs}
    found = path_patterns.patterns(sorted(there), pairs)
    assert there in [
        {filled_in(pattern, pair.subject, pair.session_name) for pair in pairs} for pattern in found
    ]


@pytest.mark.parametrize(
    ("values", "units"),
    [
        (lambda x: 2 * x, "percent"),
        (lambda x: np.round(600 * x).astype(np.int16), "percent_x300"),
        (lambda x: (x - x.mean(0)) / x.std(0), "zscored"),
        (lambda x: 900 * x, "arbitrary"),
    ],
)
def test_units_are_concluded_from_size_and_spread(rng, values, units):
    made = values(rng.normal(0.3, rng.uniform(0.5, 2, 30), (400, 30)))
    assert look.units_of(made.astype(np.float32), made.dtype)[0] == units


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "trials.tsv").unlink(), "expected a table of trials, with the columns"),
        (lambda folder: empty(folder, "stimuli/*"), "expected the pictures that trials.tsv names"),
        (lambda folder: empty(folder, "derivatives/*/*betas*"), "expected files of betas"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(folder, spoil, said):
    spoil(folder)
    with pytest.raises(InputError, match=said):
        Table.found_in(folder)


def test_a_session_that_is_cut_short_is_left_to_doctor(folder):
    """One file of betas says what they are called; whether all of them are whole a look does not say."""
    table = pd.read_csv(folder / "trials.tsv", sep="\t", keep_default_na=False)
    table.iloc[:-3].to_csv(folder / "trials.tsv", sep="\t", index=False)
    assert Table.found_in(folder).settings["betas"] == lab.SETTINGS["betas"]


def test_subjects_without_betas_are_left_out_and_named(folder):
    empty(folder, "derivatives/anna/*betas*")
    empty(folder, "derivatives/sub_3x/*ses-03*")
    found = Table.found_in(folder)
    # whose labels are no atlas of the others
    assert found.settings["regions"] == lab.SETTINGS["regions"]
    assert found.subjects == ["P-07", "sub_3x"]
    assert found.notes["dataset.betas"] == (
        "2 of 6 sessions of the trials have no such file; subjects left out, as they have none: anna"
    )
    assert found.settings["mask"] == lab.SETTINGS["mask"]  # of all that are left


def test_pickled_betas_are_named_and_not_opened(tmp_path):
    folder = tmp_path / "pickle"  # whose name says nothing
    lab.write(folder)
    assert Table.found_in(folder).settings["betas"] == lab.SETTINGS["betas"]
    empty(folder, "derivatives/*/*betas*")
    for subject in lab.SESSIONS:
        np.save(folder / f"{subject}.npy", {"betasmd": np.zeros(3)}, allow_pickle=True)
    found = Table.found_in(folder)
    assert found.settings["betas"] == "{subject}.npy"
    assert "set pickles to true if these files are your own" in found.notes["dataset.betas"]
    assert "pickles" not in found.settings


def test_names_of_bids_are_no_part_of_an_atlas_name(folder):
    for subject in lab.SESSIONS:
        place = folder / f"derivatives/{subject}"
        (place / f"{subject}_visual.nii.gz").rename(place / f"sub-{subject}_visual.nii.gz")
    found = Table.found_in(folder)
    assert found.settings["regions"] == {"visual": "derivatives/{subject}/sub-{subject}_visual.nii.gz"}
    assert found.settings["names"] == lab.SETTINGS["names"]


def test_pictures_that_are_not_there_are_to_be_checked(folder):
    (folder / "stimuli/sun.png").unlink()
    found = Table.found_in(folder)
    assert found.notes["dataset.pictures"].startswith(
        "images of the trials that are not there: 1, such as 'sun.png'"
    )
