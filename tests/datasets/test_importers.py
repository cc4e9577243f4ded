"""Published data sets become folders that `dataset.kind: table` reads, with their quirks."""

from pathlib import Path

import numpy as np
import pytest
from helpers import nsd_sessions
from helpers import published_data_sets as published
from helpers.s3 import serving
from helpers.workflow import make_project
from typer.testing import CliRunner

from neural_recon import datasets
from neural_recon.cli import command_line
from neural_recon.config.configuration import read_config
from neural_recon.core.errors import InputError
from neural_recon.datasets.dataset import DataSet
from neural_recon.datasets.imported_folder import ImportedFolder, Regions, Space
from neural_recon.datasets.importer import IMPORTERS, import_into
from neural_recon.datasets.splits import with_split
from neural_recon.datasets.trials import trial_table
from neural_recon.workflow import doctor
from neural_recon.workflow.plan import Plan

DRAWN = {
    "name": "repeated", "repetitions": None, "share": 0.1, "category": "category", "held_out": [], "seed": 0,
}  # fmt: skip


def imported(kind: str, folder: Path, split: str | None = None) -> DataSet:
    """The data set that an import makes of `folder / "published"`."""
    found = import_into(IMPORTERS.load(kind)(folder / "published", split), folder / "out")
    subjects = {name: {} for name in found.subjects}
    return datasets.load({"dataset": found.settings, "subjects": subjects})


def made(kind: str, folder: Path, **quirks: object) -> DataSet:
    """The same of a small data set in its layout, without copies of responses."""
    getattr(published, kind)(folder / "published", **quirks)
    data = imported(kind, folder)
    no_copies(folder / "out")
    return data


def sessions(data: DataSet, subject: str) -> tuple[np.ndarray, list[str]]:
    """All responses of a subject, and the names of the pictures."""
    table, voxels = data.trials(subject, data.sessions(subject)), data.voxels(subject)
    values = [data.betas(subject, session, voxels).values for session in data.sessions(subject)]
    return np.concatenate(values), list(table["image"])


def no_copies(folder: Path) -> None:
    """What is larger than labels is a link."""
    large = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.parent.name for path in large} <= {"out", "masks", "atlases"}


@pytest.mark.parametrize("brain_mask", [False, True])
def test_things_fmri(tmp_path, brain_mask):
    data = made("things_fmri", tmp_path, brain_mask=brain_mask)
    assert data.subjects == ["sub-01", "sub-02"]
    assert data.sessions("sub-01") == [1, 2]
    values, names = sessions(data, "sub-02")
    np.testing.assert_array_equal(values, published.responses(names, len(published.INSIDE), 2))
    split = trial_table(data.trials("sub-01", [1, 2]), data.n_images)
    assert split.groupby("split")["image"].nunique().to_dict() == {"test": 4, "train": 16}
    voxels = data.voxels("sub-01")
    regions = ["V1", "LO1 (prf)", "lLOC"]
    found = [data.in_regions("sub-01", voxels, [name]) for name in regions]
    expected = [voxels["x"] < 2, voxels["x"] == 3, voxels["x"] > 2]
    np.testing.assert_array_equal(found, expected)
    assert (data.cortex("sub-01") is not None) == brain_mask
    assert data.n_images == 20  # of those that were shown
    assert data.tuned == "of THINGS-fMRI"


def test_catch_trials_of_things_fmri_are_left_out(tmp_path):
    published.things_fmri(tmp_path / "published", catch=True)
    data = imported("things_fmri", tmp_path)
    values, names = sessions(data, "sub-01")
    assert len(names) == 2 * (published.N_TRAIN // 2 + 2 * published.N_TEST)
    with_catch = published.tables(tmp_path / "published")
    everything = published.responses(with_catch, len(published.INSIDE), 1)
    np.testing.assert_array_equal(values, everything[[not name.startswith("catch") for name in with_catch]])


def test_folders_of_the_source_may_be_links(tmp_path):
    published.things_fmri(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/betas_csv/._sub-01_ResponseData.h5").write_bytes(b"of the system's own")
    source = tmp_path / "published"
    source.mkdir()
    (source / "responses").symlink_to(tmp_path / "elsewhere/betas_csv")
    (source / "pictures").symlink_to(tmp_path / "elsewhere/images")
    (source / "again").symlink_to(source)
    assert len(imported("things_fmri", tmp_path).trials("sub-01", [1, 2])) == 32
    importer = IMPORTERS.load("things_fmri")(source)
    with pytest.raises(InputError, match=r"expected a folder outside of .*published, found one in it"):
        import_into(importer, source / "out")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return make_project(tmp_path_factory.mktemp("imports") / "project")


@pytest.mark.parametrize("kind", IMPORTERS.names)
def test_every_import_passes_the_checks_of_doctor(project, monkeypatch, kind):
    monkeypatch.chdir(project)
    layouts = nsd_sessions if kind.startswith("nsd_") else published
    getattr(layouts, kind)(project / f"published_{kind}")
    line = ["import", kind, f"published_{kind}", f"data/{kind}", "--small"]
    written = CliRunner().invoke(command_line.app, line)
    assert written.exit_code == 0, written.output
    assert "EDIT" not in (project / f"data/{kind}/config.yaml").read_text(encoding="utf-8")
    config = read_config(Path(f"data/{kind}/config.yaml"), project)
    chosen = IMPORTERS.load(kind)
    assert written.output.startswith(f"{chosen.terms.name}: responses {chosen.terms.licence}")
    assert config.terms == chosen.terms
    assert config.results.name == kind
    plan = Plan(config)
    findings = [*doctor.check_data(plan, thorough=True), *doctor.check_tables(plan)]
    assert [one.text for one in findings if one.state == "wrong"] == []


def test_bold5000_is_read_by_session_and_on_the_betas_own_grid(tmp_path):
    data = made("bold5000", tmp_path)
    assert data.subjects == ["CSI1", "CSI2"]
    table = data.trials("CSI2", [1, 2])
    assert table.groupby("session").size().to_dict() == {1: 14, 2: 18}
    voxels = data.voxels("CSI2")
    for session in (1, 2):
        names = list(table.loc[table["session"] == session, "image"])
        expected = published.responses(names, len(published.INSIDE), 20 + session)
        np.testing.assert_array_equal(data.betas("CSI2", session, voxels).values, expected)
    # called by its name in both, though misspelt in one
    found = [data.in_regions(one, data.voxels(one), ["LHLOC"]).sum() for one in data.subjects]
    assert found == [8, 8]
    assert data.tuned == "of BOLD5000 (TYPED-FITHRF-GLMDENOISE-RR)"
    assert data.pictures([0]).shape == (1, 64, 64, 3)  # as they were presented
    design = with_split(table, data.n_images, drawn=DRAWN)
    assert design.loc[design["split"] == "test", "image"].nunique() == 4


@pytest.mark.parametrize("model", ["TYBEB-FITHRF", "TYPEA-ASSUMEHRF"])
def test_bold5000_of_another_model_is_not_called_tuned(tmp_path, model):
    published.bold5000(tmp_path / "published", model)
    data = imported("bold5000", tmp_path)
    assert data.tuned == ""
    assert len(data.betas("CSI1", 1, data.voxels("CSI1")).values) == 14


def test_sessions_of_bold5000_must_be_the_first(tmp_path):
    published.bold5000(tmp_path / "published")
    for path in (tmp_path / "published").glob("*_ses-01.nii.gz"):
        path.unlink()
    with pytest.raises(InputError, match=r"from the first on without a gap.*found the sessions 2"):
        imported("bold5000", tmp_path)
    assert not (tmp_path / "out").exists()


def test_god_takes_the_voxels_of_one_matrix(tmp_path):
    data = made("god", tmp_path)
    assert data.subjects == ["Subject1", "Subject2"]
    values, names = sessions(data, "Subject2")
    assert values.shape == (16 + 20, 30)
    stored = published.responses([f"{name}.JPEG" for name in names] + [""] * 4, 30, 2)
    np.testing.assert_array_equal(values, stored[:-4])
    table = data.trials("Subject2", data.sessions("Subject2"))
    assert table.groupby("session").size().to_list() == [8, 8, 10, 10]
    assert data.sessions("Subject2") == [1, 2, 3, 4]  # and not that of imagery alone
    assert set(table.loc[table["shared"], "image"]) == set(names[16:])
    voxels = data.voxels("Subject1")
    regions = [data.in_regions("Subject1", voxels, [name]).sum() for name in ("V1", "LOC", "VC")]
    assert regions == [10, 10, 30]
    assert data.grid("Subject1") is None


@pytest.mark.parametrize("newer", [True, False])
def test_laion_fmri_and_its_splits(tmp_path, newer):
    published.laion_fmri(tmp_path / "published", newer)
    data = imported("laion_fmri", tmp_path)
    if newer:
        assert data.captions([0]) == [[f"human says {data.image_names([0])[0]}.jpg"]]
    else:
        no_copies(tmp_path / "out")
    values, names = sessions(data, "sub-03")
    expected = [published.responses(part, len(published.INSIDE), 30 + session)
                for session, part in ((1, names[:24]), (2, names[24:]))]  # fmt: skip
    np.testing.assert_array_equal(values, np.concatenate(expected))
    for subject, test in (("sub-01", "unique"), ("sub-03", "shared_12rep|unique")):
        table = data.trials(subject, [1, 2])
        tested = table.loc[table["split"] == "test", "image"]
        assert tested.str.contains(test).all()
        assert set(table["split_ood"]) == (
            {"train", "test"} if subject == "sub-01" else {"train", "test", ""}
        )
        # what a split has in neither part is not used
        used = trial_table(table, data.n_images)
        assert (used.loc[used["image"].str.contains("OOD"), "split"] == "unused").all()
    voxels = data.voxels("sub-01")
    assert [data.in_regions("sub-01", voxels, [name]).sum() for name in ("V1v", "EVC")] == [16, 40]
    assert "TYPED" in data.tuned


def test_another_split_of_laion_fmri(tmp_path):
    published.laion_fmri(tmp_path / "published", newer=False)
    data = imported("laion_fmri", tmp_path, "ood")
    table = data.trials("sub-01", [1])
    assert table["image"].str.contains("OOD").equals(table["shared"])
    with pytest.raises(InputError, match=r"cluster_k5_3\.json for the subjects"):
        IMPORTERS.load("laion_fmri")(tmp_path / "published", "cluster_k5_3").fill(
            ImportedFolder(tmp_path / "other")
        )
    with pytest.raises(InputError, match=r"expected one of the published splits \(tau, ood.*found 'best'"):
        IMPORTERS.load("laion_fmri")(tmp_path / "published", "best")


def test_cneuromod_things_joins_the_runs_of_a_session(tmp_path):
    data = made("cneuromod_things", tmp_path)
    assert data.subjects == ["sub-03", "sub-06"]
    assert data.sessions("sub-06") == [1, 2, 10]
    table, voxels = data.trials("sub-06", [1, 2, 10]), data.voxels("sub-06")
    assert table.groupby("session").size().to_dict() == {1: 24, 2: 24, 10: 12}
    for session, runs in ((1, (1, 2)), (2, (1, 2)), (10, (1,))):
        names = list(table.loc[table["session"] == session, "image"])
        parts = [published.responses(names[12 * n : 12 * n + 12], len(published.INSIDE), 100 * session + run)
                 for n, run in enumerate(runs)]  # fmt: skip
        np.testing.assert_array_equal(data.betas("sub-06", session, voxels).values, np.concatenate(parts))
    assert set(table.loc[table["exclude_session"] == "True", "session"]) == {2}
    assert data.cortex("sub-06") is not None


def test_links_to_what_was_not_fetched_are_named(tmp_path):
    published.cneuromod_things(tmp_path / "published")
    [path] = (tmp_path / "published").rglob("sub-06*trialBetas*.h5")
    path.unlink()
    path.symlink_to(tmp_path / ".git/annex/objects/not-here")
    with pytest.raises(InputError, match=r"git-annex leaves; fetch it first; responses .* come by datalad"):
        imported("cneuromod_things", tmp_path)


def test_algonauts2023_joins_hemispheres(tmp_path):
    data = made("algonauts2023", tmp_path)
    assert data.subjects == ["subj01", "subj06"]
    values, names = sessions(data, "subj06")
    both = [published.responses(names, n, 2) for n in (14, 14)]
    np.testing.assert_array_equal(values, np.concatenate(both, axis=1))
    assert sessions(data, "subj01")[0].shape == (39, 27)
    assert data.n_images == 39 + 39 - 19  # pictures that both saw are one
    voxels = data.voxels("subj01")
    np.testing.assert_array_equal(
        np.flatnonzero(data.in_regions("subj01", voxels, ["V1v"])), [*range(5), *range(14, 19)]
    )
    assert data.in_regions("subj01", voxels, ["FFA-1"]).sum() == 10
    assert data.grid("subj01") is None
    assert not data.terms.responses


def test_regions_that_overlap_go_to_another_atlas(tmp_path):
    regions = Regions(tmp_path)
    space = Space((4,))
    one, two = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)
    regions.add("a", space, {"one": one, "two": two, "three": ~one & ~two, "none": np.zeros(4, bool)})
    regions.add("b", space, {"two": one})
    assert regions.write()["names"] == {
        "regions": "atlases/regions.tsv",
        "regions_2": "atlases/regions_2.tsv",
    }
    assert np.load(tmp_path / "atlases/a_regions.npy").tolist() == [1, 1, 0, 2]
    assert np.load(tmp_path / "atlases/b_regions_2.npy").tolist() == [1, 1, 0, 0]


OWN = """
import numpy as np
import pandas as pd

from neural_recon.datasets.dataset import Found, Terms
from neural_recon.datasets.importer import Importer


class Ours(Importer):
    terms = Terms("our old experiment", "CC BY 4.0", "https://example.org")
    pictures_terms = "ours"
    where = "on the shelf"

    def fill(self, out):
        [betas] = self.files("betas.npy", "the responses")
        out.link(betas, "betas/ann.npy")
        names = [f"dog{n}.png" for n in range(6)]
        shown = {"session": 1, "trial": range(6), "image": names}
        out.trials(pd.DataFrame({"subject": "ann", **shown}))
        out.pictures(names, self)
        settings = {"betas": "betas/{subject}.npy", "units": "zscored", "pictures": "pictures"}
        return Found(settings, ["ann"], {"name": "share"}, {})
"""


def test_a_converter_of_ones_own(project, monkeypatch):
    monkeypatch.chdir(project)
    Path("ours.py").write_text(OWN, encoding="utf-8")
    for n in range(6):
        published.picture(project / f"shelf/dog{n}.png", n)
    line = ["import", "ours.py", "shelf", "data/ours", "--small"]
    refused = CliRunner().invoke(command_line.app, line)
    assert "expected the responses, found none; on the shelf." in str(refused.exception)
    assert not Path("data/ours").exists()
    np.save("shelf/betas.npy", np.random.default_rng(0).normal(size=(6, 31)))
    written = CliRunner().invoke(command_line.app, line)
    assert written.exit_code == 0, written.output
    config = read_config(Path("data/ours/config.yaml"), project)
    assert config.terms.licence == "CC BY 4.0"
    assert config.data.betas("ann", 1, config.data.voxels("ann")).values.shape == (6, 31)
    refused = CliRunner().invoke(command_line.app, line)
    assert "data/ours: expected a name that nothing has yet, found one" in str(refused.exception)


def test_a_recipe_that_does_not_go_leaves_no_folder(project, monkeypatch):
    monkeypatch.chdir(project)
    published.algonauts2023(project / "algonauts")
    line = ["import", "algonauts2023", "algonauts", "data/none", "--recipe", "brain_diffuser"]
    refused = CliRunner().invoke(command_line.app, line)
    assert "recipes without text are" in str(refused.exception)
    assert not Path("data/none").exists()


def test_terms_come_before_files(tmp_path, monkeypatch):
    files = {
        f"derivatives/glmsingle-tedana/sub-03/{name}": b"x"
        for name in ("ses-01/func/sub-03_ses-01_task-images_desc-SingletrialBetas_trials.tsv", "other.json")
    }
    line = [
        "import",
        "laion_fmri",
        str(tmp_path / "raw"),
        str(tmp_path / "out"),
        "--fetch",
        "--subject",
        "sub-03",
    ]
    with serving(files, bucket="laion-fmri") as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.address)
        refused = CliRunner().invoke(command_line.app, line)
        assert "read them (https://laion-fmri.hebartlab.com/terms) and add --accept-terms" in str(
            refused.exception
        )
        assert not store.asked
        CliRunner().invoke(command_line.app, [*line, "--accept-terms"])
    found = [path.relative_to(tmp_path / "raw").as_posix() for path in (tmp_path / "raw").rglob("*.*")]
    assert found == [next(iter(files))]


def test_what_cannot_be_fetched_says_where_it_is(tmp_path):
    line = ["import", "bold5000", str(tmp_path / "raw"), str(tmp_path / "out"), "--fetch", "--accept-terms"]
    refused = CliRunner().invoke(command_line.app, line)
    assert "https://doi.org/10.1184/R1/14456124" in str(refused.exception)
