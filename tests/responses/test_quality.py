"""Reliability, and sessions whose trials are not what the design says: on simulated and on real responses."""

import html.parser
import re

import nibabel
import numpy as np
import pandas as pd
import pytest

from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.datasets import trials
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import brain, design
from neural_recon.demo.scenes import render, sample
from neural_recon.report.quality import build
from neural_recon.responses import preparation, session_agreement, session_verdicts
from neural_recon.responses.quality import CONSTANT, NAN, Repetitions, dropped, examine
from neural_recon.workflow import doctor

TRIALS = 240


def plan(rng, sessions: int, repeats: int = 3) -> pd.DataFrame:
    """A trial table: every image so often, in random order; a tenth of the images test."""
    n = sessions * TRIALS // repeats
    order = rng.permutation(np.repeat(np.arange(n), repeats))
    table = pd.DataFrame({"session": np.repeat(np.arange(1, sessions + 1), TRIALS), "image_id": order})
    table["trial"] = table.groupby("session").cumcount() + 1
    return table.assign(split=np.where(order < n / 10, "test", "train"))


def measure(rng, table, n_voxels=60, ncsnr=0.6) -> list[np.ndarray]:
    """Betas of each session: image signal, noise of which a fifth is common to all voxels, drift and gain."""
    signal = ncsnr * rng.standard_normal((table["image_id"].max() + 1, n_voxels))
    found = []
    for _, part in table.groupby("session"):
        noise = np.sqrt(4 / 5) * rng.standard_normal((len(part), n_voxels))
        noise += np.sqrt(1 / 5) * rng.standard_normal((len(part), 1))
        drift = np.linspace(-0.5, 0.5, len(part))[:, None] + rng.normal(1, 0.3, n_voxels)
        found.append((1.3 * (signal[part["image_id"]] + noise + drift)).astype(np.float32))
    return found


def cortex(n_voxels=60) -> pd.DataFrame:
    """A table of voxels in two regions."""
    x, y, z = np.unravel_index(np.arange(n_voxels), (5, 4, -(-n_voxels // 20)))
    areas = np.where(np.arange(n_voxels) < n_voxels // 2, "V1v", "hV4")
    return pd.DataFrame({"x": x, "y": y, "z": z, "prf-visualrois": areas})


def verdict(betas, table, seed=0) -> list[str]:
    """The verdict on each session."""
    return examine(betas, table, cortex(betas[0].shape[1]), seed).sessions["verdict"].tolist()


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


def test_correct_sessions_agree(rng):
    table = plan(rng, 5)
    found = examine(measure(rng, table), table, cortex()).sessions
    assert found["verdict"].tolist() == ["ok"] * 5
    assert (found["agreement_z"] > 5).all()
    assert found["trials"].tolist() == [TRIALS] * 5
    assert session_verdicts.sentence(found) == "All 5 sessions agree with each other."


def test_z_is_standard_normal_without_signal():
    """The re-pairings' standard deviation is right though voxels share noise that drifts."""
    z = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        table = plan(rng, 3)
        z += examine(measure(rng, table, 20, 0), table, cortex(20)).sessions["agreement_z"].tolist()
    assert abs(np.mean(z)) < 0.3
    assert 0.8 < np.std(z) < 1.2


@pytest.mark.parametrize("ncsnr", [0, 0.03, 0.1])
def test_no_false_alarm_where_there_is_hardly_a_signal(ncsnr):
    for seed in range(15):
        rng = np.random.default_rng(seed)
        table = plan(rng, 4)
        assert set(verdict(measure(rng, table, 20, ncsnr), table)) <= {"ok", "not checked"}


@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_one_shifted_session_is_named(rng, by):
    table = plan(rng, 4)
    betas = measure(rng, table)
    betas[2] = np.roll(betas[2], by, axis=0)
    name = f"shifted by {by} trial{'s' * (abs(by) > 1)}"
    assert verdict(betas, table) == ["ok", "ok", name, "ok"]


@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_a_shift_of_all_sessions_is_named(rng, by):
    table = plan(rng, 3)
    betas = [np.roll(session, by, axis=0) for session in measure(rng, table)]
    found = examine(betas, table, cortex()).sessions
    assert set(found["verdict"]) == {f"shifted by {by} trial{'s' * (abs(by) > 1)}"}
    assert (found["agreement_z"].abs() < 4).all()
    assert (found["reading_z"] > 5).all()


def test_the_one_right_session_among_shifted_ones_is_right(rng):
    table = plan(rng, 6)
    betas = [np.roll(b, 1 if k != 3 else 0, axis=0) for k, b in enumerate(measure(rng, table))]
    expected = ["shifted by 1 trial"] * 6
    expected[3] = "ok"
    assert verdict(betas, table) == expected


def test_swapped_sessions_are_named(rng):
    table = plan(rng, 5)
    betas = measure(rng, table)
    betas[1], betas[3] = betas[3], betas[1]
    swapped = ["ok", "holds the trials of session 4", "ok", "holds the trials of session 2", "ok"]
    assert verdict(betas, table) == swapped
    betas[1] = betas[3]  # the same file twice, once under the wrong name
    assert verdict(betas, table)[3] == "holds the trials of session 2"


def test_a_session_of_another_subject_is_named(rng):
    table = plan(rng, 5)
    betas, other = measure(rng, table), measure(rng, table)
    betas[0] = other[0]
    assert verdict(betas, table) == ["agrees with no other session", *["ok"] * 4]


def test_overlapping_trials_are_no_shift(rng):
    """A third of each response leaks into the next trial, as slow responses do."""
    table = plan(rng, 4)
    betas = [b + 0.33 * np.roll(b, 1, axis=0) for b in measure(rng, table)]
    assert verdict(betas, table) == ["ok"] * 4
    # and does not hide one
    assert set(verdict([np.roll(b, -1, axis=0) for b in betas], table)) == {"shifted by -1 trial"}


def test_two_sessions_suffice(rng):
    table = plan(rng, 2)
    betas = measure(rng, table)
    assert verdict(betas, table) == ["ok", "ok"]
    betas[1] = np.roll(betas[1], 1, axis=0)
    assert verdict(betas, table) == ["ok", "shifted by 1 trial"]


@pytest.mark.parametrize(("sessions", "repeats"), [(1, 3), (3, 1)])
def test_without_repetitions_nothing_is_checked(rng, sessions, repeats):
    table = plan(rng, sessions, repeats)
    found = examine(measure(rng, table), table, cortex())
    assert set(found.sessions["verdict"]) == {"not checked"}
    assert set(found.sessions["remark"]) == {"only 0 trials of images that other sessions repeat"}
    assert found.voxels["reliability"].isna().all() == (repeats == 1)
    assert "could not be checked" in session_verdicts.sentence(found.sessions)


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


def test_the_sample_of_voxels_is_seeded(rng, monkeypatch):
    monkeypatch.setattr("neural_recon.responses.quality.SAMPLE", 20)
    table = plan(rng, 3)
    betas = measure(rng, table)
    first, again, other = (examine(betas, table, cortex(), seed).sessions for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["agreement"] != other["agreement"]).all()


def test_betas_must_fit_the_table(rng):
    table = plan(rng, 2)
    betas = measure(rng, table)
    with pytest.raises(InputError, match="session 2: expected betas of 240 trials and 60 voxels"):
        examine([betas[0], betas[1][:-1]], table, cortex())


def test_agreement_of_a_pairing_is_that_of_all_permutations(rng):
    """Mean and standard deviation over re-pairings, against drawn ones."""
    a, b = rng.standard_normal((2, 60, 7))
    b = b + a + rng.standard_normal((60, 1))
    found = session_agreement.agreement(a, b)
    a, b = a - a.mean(0), b - b.mean(0)
    size = np.sqrt((a**2).sum() * (b**2).sum())
    drawn = [(a * b[rng.permutation(60)]).sum() / size for _ in range(4000)]
    assert found.r == pytest.approx((a * b).sum() / size)
    assert found.sd == pytest.approx(np.std(drawn), rel=0.05)
    assert abs(np.mean(drawn)) < 0.1 * found.sd


def sessions_table(**words) -> pd.DataFrame:
    """A table of four sessions, with some verdicts: session_2="..."."""
    names = [words.get(f"session_{k}", "ok") for k in range(1, 5)]
    remarks = ["agreement too weak to tell" if name == "not checked" else "" for name in names]
    return pd.DataFrame({"session": range(1, 5), "verdict": names, "remark": remarks, "outlier": ""})


def test_a_fault_is_one_sentence(tmp_path, caplog):
    path = tmp_path / "quality/subj01/sessions.tsv"
    write_table(path, sessions_table(session_2="shifted by 1 trial"))
    with pytest.raises(InputError) as error:
        session_verdicts.require_agreement(path, "subj01")
    assert str(error.value) == (
        f"{path}: expected sessions that agree with each other, found session 2 shifted by 1 trial; fetch it "
        f"again or leave it out (subjects.subj01.sessions); the page {path.parent}.html shows it."
    )
    # without the session there is nothing wrong
    left = "All 3 sessions agree with each other."
    assert session_verdicts.require_agreement(path, "subj01", only=[1, 3, 4]) == left
    both = {"session_1": "holds the trials of session 3", "session_3": "holds the trials of session 1"}
    write_table(path, sessions_table(**both))
    with pytest.raises(
        InputError, match=r"session 1 holds the trials of session 3, session 3 holds .* fetch them"
    ):
        session_verdicts.require_agreement(path, "subj01")
    write_table(path, sessions_table(**{f"session_{k}": "shifted by 1 trial" for k in range(1, 5)}))
    with pytest.raises(InputError, match=r"all 4 sessions shifted by 1 trial; betas and the table of who"):
        session_verdicts.require_agreement(path, "subj01")
    write_table(path, sessions_table(session_4="not checked"))
    said = session_verdicts.require_agreement(path, "subj01")
    assert said == "3 of 4 sessions agree with each other; session 4 could not be checked."
    assert "session 4: not checked: agreement too weak to tell" in caplog.text
    path.write_text("session\n1\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected the columns verdict"):
        session_verdicts.require_agreement(path, "subj01")
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="expected a table of sessions"):
        session_verdicts.require_agreement(path, "subj01")


def test_doctor_names_the_fault(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config.model_construct(
        pathvars={"results": "out"}, subjects={"subj01": NSD.Subject(sessions=[1, 2, 3, 4])}
    )
    assert list(doctor.check_quality(config, "subj01")) == []
    write_table("out/quality/subj01/sessions.tsv", sessions_table(session_2="shifted by 1 trial"))
    (finding,) = doctor.check_quality(config, "subj01")
    assert finding.state == "wrong"
    assert "session 2 shifted by 1 trial" in finding.text


class Page(html.parser.HTMLParser):
    """Checks that tags are closed in order; collects sources and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_says_what_is_wrong(rng, tmp_path):
    table = plan(rng, 6)
    betas = measure(rng, table)
    betas[1] = np.roll(betas[1], 1, axis=0)
    betas[3][2, 4] = np.nan
    labels = np.full((7, 6, 5), -1)
    labels[:5, :4, :3] = 1
    labels[5] = 0
    build(tmp_path / "page.html", "subj01", examine(betas, table, cortex()), labels, demo=True)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Session 2 is shifted by 1 trial" in page.text
    assert "What to do: fetch it again or leave it out" in page.text
    assert "its betas come 1 trial late" in page.text
    assert "1 that are not a number in a session" in page.text
    assert "simulated data" in page.text
    assert sum(link.startswith("data:image/svg+xml") for link in page.links) == 3
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "nan" not in page.text.lower().replace("dominant", "")


def test_page_of_a_single_session(rng, tmp_path):
    """No agreement, one voxel, no region: nothing to plot is no error."""
    table = plan(rng, 1, 1)
    voxels = cortex(1)[["x", "y", "z"]]
    build(
        tmp_path / "page.html",
        "subj01",
        examine(measure(rng, table, 1), table, voxels),
        np.ones((1, 1, 1)),
        False,
    )
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Session 1 could not be checked." in page.text


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


@pytest.fixture(scope="module", params=["subj01", "subj02"])
def real(nsd_mini, request):
    """Real responses of the cortical regions, 12 sessions, one value per region."""
    data = np.load(nsd_mini / "roi_betas.npz")
    values = data[request.param].astype(np.float32)[: 12 * 750]
    cortical = [not re.search("amygdala|hippocampus", name) and np.isfinite(values[:, k]).all()
                for k, name in enumerate(data["rois"])]  # fmt: skip
    ids = data["masterordering0"][: len(values)].astype(int)
    table = pd.DataFrame({"session": np.repeat(np.arange(1, 13), 750), "image_id": ids})
    table["split"] = np.where(ids < 1000, "test", "train")
    names = data["rois"][cortical]
    voxels = pd.DataFrame({"x": np.arange(len(names)), "y": 0, "z": 0})
    voxels["floc-bodies"] = np.where(names == "EBA", "EBA", "")
    return np.split(values[:, cortical], 12), table, voxels


@pytest.fixture(scope="module")
def expected(real):
    """EBA's correlation between first and second presentation, and its reliability, image by image."""
    betas, table, voxels = real
    values = np.concatenate([(b - b.mean(0)) / b.std(0) for b in betas])
    shown = (
        table.assign(value=values[:, voxels["floc-bodies"] == "EBA"][:, 0])
        .groupby("image_id")["value"]
        .apply(list)
    )
    pairs = np.array([values[:2] for values in shown if len(values) > 1])
    r = np.corrcoef(pairs.T)[0, 1]
    return r, 2 * r / (1 + r)


def eba(found) -> pd.Series:
    return found.regions.set_index("region").loc["EBA"]


def test_real_sessions_agree(real, expected):
    betas, table, voxels = real
    found = examine(betas, table, voxels)
    print(found.sessions.to_string(), eba(found).to_string(), sep="\n")
    assert found.sessions["verdict"].tolist() == ["ok"] * 12
    assert not found.sessions["outlier"].str.contains("mean").any()  # they were z-scored before
    r, reliability = expected
    assert 0.25 < r < 0.45
    assert eba(found)["r_halves"] == pytest.approx(r, abs=0.01)
    assert eba(found)["reliability"] == pytest.approx(reliability, abs=0.01)


def test_real_shifts_are_named(real):
    betas, table, voxels = real
    found = examine([np.roll(session, 1, axis=0) for session in betas], table, voxels)
    assert set(found.sessions["verdict"]) == {"shifted by 1 trial"}
    print(eba(found).to_string())
    assert abs(eba(found)["r_halves"]) < 0.1
    for by in (-1, 1):
        one = [np.roll(session, by, axis=0) if k == 4 else session for k, session in enumerate(betas)]
        expected = ["ok"] * 12
        expected[4] = f"shifted by {by} trial"
        sessions = examine(one, table, voxels).sessions
        assert sessions["verdict"].tolist() == expected
        assert f"Session 5 is shifted by {by} trial" in session_verdicts.sentence(sessions)


def test_real_swaps_are_named(real):
    betas, table, voxels = real
    betas = list(betas)
    betas[2], betas[7] = betas[7], betas[2]
    found = examine(betas, table, voxels).sessions["verdict"].tolist()
    assert found[2] == "holds the trials of session 8"
    assert found[7] == "holds the trials of session 3"
    assert found.count("ok") == 10


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
