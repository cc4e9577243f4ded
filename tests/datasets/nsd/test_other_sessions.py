"""NSD-synthetic and NSD-Imagery as test data: what is read of their trees, and the order of betas."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import nsd_sessions
from helpers.nsd_sessions import CUES, INSIDE, TARGETS
from helpers.workflow import make_project
from typer.testing import CliRunner

from neural_recon import datasets
from neural_recon.cli import command_line
from neural_recon.config.configuration import Config, resolve
from neural_recon.core.errors import InputError
from neural_recon.datasets.dataset import Found
from neural_recon.datasets.importer import IMPORTERS, import_into
from neural_recon.datasets.nsd import trial_order


def imported(kind: str, folder: Path) -> tuple[datasets.DataSet, Found]:
    found = import_into(IMPORTERS.load(kind)(folder / "nsd"), folder / "out")
    return datasets.load({"dataset": found.settings}), found


def of_trials(values: np.ndarray, labels: list) -> float:
    """How much more trials of one label correlate than trials of two."""
    r, labels = np.corrcoef(values), np.asarray(labels)
    same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    return float(r[same].mean() - r[labels[:, None] != labels].mean())


@pytest.mark.parametrize("ending", ["hdf5", "nii.gz"])
def test_synthetic_trials_are_those_of_the_design(tmp_path, ending):
    shown = nsd_sessions.nsd_synthetic(tmp_path / "nsd", ending=ending)
    data, found = imported("nsd_synthetic", tmp_path)
    assert data.subjects == ["subj01", "subj02"]
    trials = data.trials("subj02", [1])
    expected = [f"{'shared' if k <= 6 else 'subj02'}_{k:03d}" for k in shown]
    assert list(trials["image"]) == expected
    assert list(trials["kind"]) == ["grey" if k <= 6 else "colour" for k in shown]
    assert sorted(trials["run_number"].unique()) == list(range(1, 9))
    values = data.betas("subj02", 1, data.voxels("subj02")).values
    expected = np.round(nsd_sessions.responses(shown, seed=1) * 300) / 300
    np.testing.assert_allclose(values, expected, atol=1e-6)
    # the square in the middle, of a subject's own stimuli too
    assert data.pictures([0]).shape == (1, 32, 32, 3)
    assert data.n_images == 6 + 2 * 2
    assert "betas_fithrf_GLMdenoise_RR" in found.notes["dataset.betas"]


def test_synthetic_stimuli_that_the_design_does_not_have_are_refused(tmp_path):
    nsd_sessions.nsd_synthetic(tmp_path / "nsd")
    (tmp_path / "nsd/nsddata_stimuli/stimuli/nsdsynthetic/nsdsynthetic_colorstimuli_subj02.hdf5").unlink()
    with pytest.raises(InputError, match=r"colorstimuli_subj02.hdf5: expected stimuli, found none; .*bucket"):
        imported("nsd_synthetic", tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("drift", [0, 1.5])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_order_within_a_run_is_decided_by_the_data(tmp_path, grouped, drift):
    nsd_sessions.nsd_imagery(tmp_path / "nsd", grouped=grouped, drift=drift)
    data, found = imported("nsd_imagery", tmp_path)
    taken = "grouped by item" if grouped else "in the order of its trials"
    assert f"taken to be {taken}" in found.notes["dataset.trials"]
    assert "the order of the items is that of their numbers" not in found.notes["dataset.trials"]
    trials = data.trials("subj01", [1])
    values = data.betas("subj01", 1, data.voxels("subj01")).values
    for _, rows in trials.groupby("run_number"):
        assert of_trials(values[rows.index], list(rows["image"])) > 0.02
    # and the pictures are those of these responses, not of others in a consistent order
    expected = [f"{cue}" for cue in trials["cue"]]
    patterns = {letter: np.random.default_rng([9, k]).normal(size=int(INSIDE.sum()))
                for name in "AB" for k, letter in enumerate(sorted(CUES[name]))}  # fmt: skip
    if not drift:
        means = {cue: values[[one == cue for one in expected]].mean(axis=0) for cue in set(expected)}
        assert all(np.corrcoef(mean, patterns[cue])[0, 1] > 0.7 for cue, mean in means.items())


def test_imagery_is_named_by_what_was_seen_or_cued(tmp_path):
    nsd_sessions.nsd_imagery(tmp_path / "nsd", ["subj01", "subj02"])
    data, found = imported("nsd_imagery", tmp_path)
    trials = data.trials("subj02", [1])
    assert trials.groupby("task").size().to_dict() == {"vision": 2 * 48, "imagery": 4 * 48}
    counts = trials.groupby(["task", "image"]).size().unstack(level=0)
    assert (counts["vision"] == 8).all()
    assert (counts["imagery"] == 16).all()
    named = {letter: target.removesuffix(".png") for name in "AB"
             for letter, target in zip(CUES[name], TARGETS[name], strict=True)}  # fmt: skip
    stems = trials["image"].str.removesuffix(".png")
    assert list(stems) == [named[cue] for cue in trials["cue"]]
    assert sorted(data.image_names(range(data.n_images))) == sorted(named.values())
    # attention has two betas per trial, and conceptual items no picture: they keep their places
    assert trials["run_number"].nunique() == 6
    assert trials["trial"].max() == 576 + 48 + 48
    assert found.subjects == ["subj01", "subj02"]


def test_data_that_tell_no_order_are_refused(tmp_path):
    nsd_sessions.nsd_imagery(tmp_path / "nsd", gain=0)
    with pytest.raises(InputError, match=r"expected responses that tell in which order .* found .*\(p 0"):
        imported("nsd_imagery", tmp_path)


@pytest.mark.parametrize("grouped", [False, True])
def test_drift_does_not_pass_for_an_order(rng, grouped):
    patterns = rng.normal(size=(6, 200))
    runs = []
    for _ in range(3):
        labels = rng.permutation(np.repeat(np.arange(6), 8))
        order = np.sort(labels) if grouped else labels
        walk = np.cumsum(rng.normal(size=(48, 200)), axis=0)
        runs.append((0.8 * patterns[order] + rng.normal(size=(48, 200)) + walk, labels))
    found = {
        "trials": trial_order.evidence(runs),
        "items": trial_order.evidence([(values, np.sort(labels)) for values, labels in runs]),
    }
    assert found["items"].identified > 0.5  # it looks right either way
    assert trial_order.decided(found) == ("items" if grouped else "trials")
    alone = [(np.cumsum(rng.normal(size=(48, 200)), axis=0), labels) for _, labels in runs]
    drifting = trial_order.evidence([(walk, np.sort(labels)) for walk, labels in alone])
    assert trial_order.decided({"items": drifting, "trials": trial_order.evidence(alone)}) is None


def test_an_import_gives_what_tests_the_decoders_of_the_main_experiment(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    nsd_sessions.nsd_imagery(folder / "nsd")
    written = CliRunner().invoke(command_line.app, ["import", "nsd_imagery", "nsd", "imagery", "--small"])
    assert written.exit_code == 0, written.output
    assert "generalisation.yaml" in written.output
    text = (folder / "imagery/generalisation.yaml").read_text(encoding="utf-8")
    assert "# dataset.trials: a run's betas are taken to be in the order of its trials" in text
    extra = yaml.safe_load(text)
    main = {"recipe": "brain_diffuser_small", "dataset": {"kind": "nsd", "root": "nsd"},
            "subjects": {"subj01": {"sessions": 1}}}  # fmt: skip
    config = Config.model_validate(resolve({**main, **extra}, Path.cwd()))
    assert config.people("nsd_imagery") == {"subj01": "subj01"}
    assert config.generalisation["nsd_imagery"].zscore == "run"
