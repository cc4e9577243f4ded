"""Quality of responses: reliability, noise ceilings, voxels without data."""

import nibabel
import numpy as np
import pandas as pd
import pytest
from helpers.made_up_sessions import cortex, measure, plan, verdict

from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.datasets import trials
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import brain, design
from neural_recon.demo.scenes import render, sample
from neural_recon.responses import preparation, session_verdicts
from neural_recon.responses.quality import CONSTANT, NAN, Repetitions, dropped, examine


def test_sums_over_repetitions_are_neither_read_half_full_nor_filled_twice(rng):
    images, counts = np.repeat(np.arange(4), 2), pd.Series(2, index=range(4))
    trials = rng.standard_normal((8, 5)).astype(np.float32)
    sums = Repetitions(counts, 5)
    sums.add(images[:5], trials[:5])
    with pytest.raises(ValueError, match="1 images lack trials"):
        sums.table(0.5)
    sums.add(images[5:], trials[5:])
    assert sums.table(0.5)["noise_ceiling"].notna().all()
    with pytest.raises(ValueError, match="image 0 has more than 2 trials"):
        sums.add(images, trials)


@pytest.mark.parametrize("repeats", [2, 3, 5])
def test_reliability_is_the_correlation_of_halves(rng, repeats):
    table = plan(rng, 3, repeats)
    betas = measure(rng, table)
    found = examine(betas, table, cortex())
    z = np.concatenate([(b - b.mean(0)) / b.std(0, ddof=1) for b in betas]).astype(float)
    half, ids = repeats // 2, table["image_id"].to_numpy()
    halves = np.array(
        [[z[ids == i][k * half : (k + 1) * half].mean(0) for i in np.unique(ids)] for k in (0, 1)]
    )
    expected = np.array([np.corrcoef(*halves[:, :, voxel])[0, 1] for voxel in range(z.shape[1])])
    np.testing.assert_allclose(found.voxels["r_halves"], expected, atol=1e-5)
    corrected = 2 * expected / (1 + abs(expected))
    np.testing.assert_allclose(found.voxels["reliability"], corrected, atol=1e-5)
    early = halves[:, :, :30].mean(2)
    row = found.regions.set_index("region").loc["V1v"]
    assert row["mean_response_r_halves"] == pytest.approx(np.corrcoef(*early)[0, 1], abs=1e-5)
    assert row["reliability"] == pytest.approx(
        np.median(2 * expected[:30] / (1 + abs(expected[:30]))), abs=1e-5
    )
    assert row["voxels"] == row["kept"] == 30


def test_noise_ceiling_is_that_of_the_responses(rng):
    """On responses that are z-scored by session already it is the one that `preparation.prepare` computes."""
    table = plan(rng, 3).iloc[:-1]  # one image is left with two trials
    betas = measure(rng, table)
    betas = [((b - b.mean(0)) / b.std(0, ddof=1)).astype(np.float32) for b in betas]
    expected = preparation.prepare(betas, table, cortex()).noise_ceiling
    np.testing.assert_allclose(examine(betas, table, cortex()).voxels["noise_ceiling"], expected, atol=1e-4)
    assert 0.3 < np.median(expected) < 0.6


def test_voxels_without_data_are_counted_and_do_no_harm(rng):
    table = plan(rng, 4)
    betas = measure(rng, table)
    betas[1][5, :7] = np.nan
    betas[2][:, 7:10] = 0.5
    betas[3][0, 0] = np.inf
    found = examine(betas, table, cortex())
    assert dropped(found.voxels) == {NAN: 7, CONSTANT: 3}
    assert found.voxels["reliability"].isna().tolist() == [True] * 10 + [False] * 50
    assert found.sessions["unusable"].round(4).tolist() == [0, 0.1167, 0.05, 0.0167]
    assert found.sessions["verdict"].tolist() == ["ok"] * 4
    assert found.regions["kept"].tolist() == [50, 20, 30]
    assert np.isfinite(found.regions.select_dtypes(float)).to_numpy().all()
    betas[1][:] = np.nan  # nothing left of one session
    assert verdict(betas, table)[1] == "agrees with no other session"


def test_outliers_stand_out_and_do_not_stop(rng, caplog, tmp_path):
    table = plan(rng, 12)
    betas = measure(rng, table)
    betas[4] = betas[4] * 3 + 20
    found = examine(betas, table, cortex()).sessions
    assert found["outlier"].tolist()[4] == "mean, spread"
    assert set(found["verdict"]) == {"ok"}
    assert (np.isnan(session_verdicts.robust_z([*range(8), 50]))).all()  # too few
    assert (np.isnan(session_verdicts.robust_z([1] * 9 + [50]))).all()  # no spread to measure by
    write_table(tmp_path / "sessions.tsv", found)
    said = session_verdicts.require_agreement(tmp_path / "sessions.tsv", "subj01")
    assert "session 5" in said
    assert "session 5: stands out by its mean, spread" in caplog.text


def test_betas_must_fit_the_table(rng):
    table = plan(rng, 2)
    betas = measure(rng, table)
    with pytest.raises(InputError, match="session 2: expected betas of 240 trials and 60 voxels"):
        examine([betas[0], betas[1][:-1]], table, cortex())


def test_simulated_subject(rng):
    """The demo's voxels: noise that neighbours share, drifts and gains of sessions, dead voxels."""
    subject = brain.grow(0, "subj01")
    scenes = [sample(5, index) for index in range(120)]
    signals = brain.signals(subject, np.stack([render(one, brain.PIXELS) for one in scenes]), scenes)
    order = rng.permutation(np.repeat(np.arange(120), 3))
    table = pd.DataFrame({"session": np.repeat([1, 2, 3], 120), "image_id": order})
    table["split"] = np.where(table["image_id"] < 20, "test", "train")
    inside = subject.cortex.region("nsdgeneral", "nsdgeneral")
    voxels = pd.DataFrame(subject.cortex.voxels[inside], columns=list("xyz"))
    betas = [
        brain.betas(subject, signals[part["image_id"]], 0, "subj01", session)[:, inside]
        for session, part in table.groupby("session")
    ]
    found = examine(betas, table, voxels)
    assert found.sessions["verdict"].tolist() == ["ok"] * 3
    assert sum(dropped(found.voxels).values()) > 0
    assert subject.dead[inside][found.voxels["dropped"] != ""].all()
    true = subject.ncsnr[inside] ** 2 / (subject.ncsnr[inside] ** 2 + 1 / 3)
    alive = found.voxels["dropped"] == ""
    assert np.corrcoef(true[alive], found.voxels["noise_ceiling"][alive])[0, 1] > 0.8
    for by in (-1, 1):
        shifted = [betas[0], np.roll(betas[1], by, axis=0), betas[2]]
        found = examine(shifted, table, voxels).sessions["verdict"].tolist()
        assert found == ["ok", f"shifted by {by} trial", "ok"]
    betas[0], betas[2] = betas[2], betas[0]
    found = examine(betas, table, voxels).sessions["verdict"].tolist()
    assert found[0] == "holds the trials of session 3"
    assert found[2] == "holds the trials of session 1"


@pytest.mark.slow
def test_a_shifted_session_stops_the_workflow(rng, tmp_path):
    from helpers.workflow import make_project, snakemake

    project = make_project(tmp_path / "run")
    tree = Tree(project / "nsd")
    shape, n = (4, 3, 3), 20
    made = design.make(5, 3, 150, 600)
    labels = np.full(shape, -1, np.int16)
    labels.reshape(-1)[:n] = 1

    def save(path, volume):
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)

    for name in ("nsdgeneral", "prf-visualrois"):
        save(tree.roi("subj01", name), labels)
    tree.expdesign.parent.mkdir(parents=True)
    design.write(tree.expdesign, made)
    for path in (tree.stimuli, tree.captions):
        path.parent.mkdir(parents=True)
        path.touch()
    table = trials.trial_table(made.trials("subj01", [1, 2, 3]), 73_000)
    signal = rng.standard_normal((table["position"].max() + 1, n))
    for session, part in table.groupby("session"):
        betas = np.zeros((*shape, len(part)), np.int16)
        values = 200 * (signal[part["position"]] + 2 * rng.standard_normal((len(part), n)))
        betas.reshape(-1, len(part))[:n] = np.roll(values, session == 2, axis=0).T
        save(tree.betas("subj01", session), betas)
    config = {
        "recipe": "brain_diffuser_small",
        "dataset": {"kind": "nsd", "root": "nsd", "atlases": ["prf-visualrois"]},
    }
    target = "results/responses/subj01.h5"
    # all ordinary targets (all, subj01, the report) ask for the page, which comes before the responses
    page = "results/quality/subj01.html"
    done = snakemake(project, target, page, config={**config, "subjects": {"subj01": {"sessions": 3}}})
    assert done.returncode != 0
    said = (
        "error in responses: results/quality/subj01/sessions.tsv: expected sessions that agree with each "
        "other, found session 2 shifted by 1 trial; fetch it again or leave it out "
        "(subjects.subj01.sessions); the page results/quality/subj01.html shows it."
    )
    assert said in done.stdout + done.stderr
    assert (project / "results/quality/subj01.html").is_file()
    assert not (project / target).exists()
    done = snakemake(project, target, config={**config, "subjects": {"subj01": {"sessions": [1, 3]}}})
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / target).is_file()
