"""Numbers that are none: what is not measured says so, on every page, in every table and log."""

import dataclasses
import re
import types
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers.made_up_results import (
    CONFIGURATION,
    SPACES,
    add_distances,
    draw,
    write_benchmarks,
    write_regions,
    write_single_stage,
    write_stimuli,
    write_subject,
)
from helpers.made_up_strata import person as write_strata
from matplotlib.figure import Figure
from matplotlib.text import Text
from pydantic import ValidationError

from neural_recon.cli.evaluate import as_text
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.decoding import target_scores
from neural_recon.decoding.decoders.ridge import Ridge
from neural_recon.decoding.kernel import Kernel
from neural_recon.evaluation import comparison, networks, regions, strata
from neural_recon.evaluation.controls import baselines, leaks
from neural_recon.features import clusters, feature_files
from neural_recon.generation.generator import GENERATORS
from neural_recon.report import paper_figure, published
from neural_recon.report import quality as quality_report
from neural_recon.report.page import build, render
from neural_recon.responses import preparation, quality
from neural_recon.workflow import decode_scans

IDS = list(range(3, 43, 4))
# statistics of each table; ids, counts and sizes are never missing
SUMMARY = ["mean", "ci_low", "ci_high", "shuffled", "shuffled_sd", "p"]
SCORED = ["score", "low", "high", "chance", "chance_sd"]
TARGETS = ["r", "r_q25", "r_q75", "ceiling", "r2", "r2_ridge", "above", "above_re_paired"]
TESTED = ["first", "second", "p"]
STRATUM = ["mean", "ci_low", "ci_high", "chance"]


def bare(text: str) -> list[str]:
    """What a reader would stumble over, with its surroundings."""
    text = re.sub(r"data:[\w/+;-]*base64,[\w+/=]*", "", text)
    text = re.sub(r'<script type="application/json" class="sheet".*?</script>', "", text, flags=re.S)
    word = re.finditer(r"(?<![A-Za-z_])(?:nan|inf|infinity)(?![A-Za-z_])", text, re.I)
    return [text[max(0, found.start() - 60) : found.end() + 20] for found in word]


@pytest.fixture
def drawn(monkeypatch):
    """The texts of all figures, ticks included, as they are saved."""
    found = []
    save = Figure.savefig

    def spy(figure, *arguments, **settings):
        save(figure, *arguments, **settings)
        found.extend(text.get_text() for text in figure.findobj(Text) if text.get_visible())

    monkeypatch.setattr(Figure, "savefig", spy)
    return found


@pytest.fixture(autouse=True)
def strict():
    """A warning of numpy in a job's log is a number that was not looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def test_the_helper_finds_what_it_is_for():
    assert bare("median ceiling nan over") == ["median ceiling nan over"]
    assert len(bare('left: inf%; class="x">NaN<b>-inf</b>')) == 3
    assert bare("Nanjing, infinite, banana, dominant, data:image/png;base64,nan/inf=") == []


def plant(path, columns, how):
    """NaN in a row of each column, or in all rows, or infinities in all."""
    table = read_table(path)
    for k, name in enumerate(columns):
        values = table[name].to_numpy(float).copy()
        if how == "some":
            values[k % len(values)] = np.nan
        else:
            values[:] = np.nan if how == "all" else (-np.inf if k % 2 else np.inf)
        table[name] = values
    write_table(path, table)


def amount_table():
    """Scores as `data_amount.learning_curves` gives them."""
    sizes = pd.DataFrame(
        {"sessions": [1, 4, 4, 4], "training_images": [30, 120, 120, 120], "voxels": [400, 400, 200, 200],
         "share": [1.0, 1.0, 0.5, 0.5], "draw": [0, 0, 1, 2]}
    )  # fmt: skip
    scores = dict(zip(SCORED, (0.8, 0.7, 0.9, 0.5, 0.03), strict=True))
    return sizes.assign(targets=64, n=10, **scores).merge(pd.DataFrame({"space": SPACES}), how="cross")


@pytest.fixture
def whole(tmp_path, rng):
    """A subject with every section of the page, and the function that plants in all of its tables."""
    files = write_subject(tmp_path, rng, "subj01", IDS)
    add_distances(files)
    files = write_single_stage(tmp_path, rng, files, IDS)
    amount = tmp_path / "amount.tsv"
    write_table(amount, amount_table())
    regions = write_regions(tmp_path / "regions", rng, IDS)
    strata = write_strata(tmp_path, rng, "subj01", regions=True).files
    files = dataclasses.replace(
        files, data_amount=amount, **regions, region_strata=strata.region_strata,
        strata=strata.strata, trends=strata.trends,
    )  # fmt: skip
    stimuli = write_stimuli(tmp_path / "stimuli.h5", IDS, draw(rng, len(IDS), 425, 9))

    def spoil(how):
        plant(files.summary, SUMMARY, how)
        plant(files.tests, TESTED, how)
        plant(files.images, ["value"], how)
        for path in files.targets.values():
            plant(path, TARGETS, how)
        for path in files.alphas.values():
            plant(path, ["score"], how)
        plant(amount, SCORED, how)
        plant(files.controls["clusters"], [*SCORED, "p_difference"], how)
        plant(files.controls["leaks"], ["difference"], how)
        plant(files.controls["seeds"], ["seed0", "seed1", "mean", "sd"], how)
        plant(files.controls["single_stage"], [*STRATUM, "difference", "p"], how)
        plant(files.region_scores, SCORED, how)
        plant(files.region_tests, [*TESTED, "p_holm"], how)
        plant(files.region_strata, [*STRATUM, "all_voxels", "p", "p_holm"], how)
        plant(files.synthetic_table, ["norm", "norm_ratio", "mean_sd"], how)
        plant(files.strata, STRATUM, how)
        plant(files.trends, ["effect", "p"], how)
        with h5py.File(files.responses, "r+") as file:
            ceiling = file["noise_ceiling"][()]
            ceiling[: 7 if how == "some" else None] = np.nan
            file["noise_ceiling"][...] = ceiling

    return files, stimuli, spoil


@pytest.mark.parametrize("how", ["some", "all", "infinite"])
def test_no_page_shows_a_number_that_is_none(whole, drawn, tmp_path, caplog, how):
    files, stimuli, spoil = whole
    spoil(how)
    caplog.set_level("INFO")
    folder = write_benchmarks(tmp_path / "benchmarks")
    (folder / "scores/subj01.tsv").write_text("s\th:m:s\tmax_rss\n-\t-\t-\n")
    build(tmp_path / "page.html", [files], stimuli, folder, CONFIGURATION)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert bare(page) == []
    assert bare("\n".join(drawn)) == []
    assert bare(caplog.text) == []
    assert len(drawn) > 200
    assert "voxels kept, without a noise ceiling" in page
    if how != "some":
        assert "no CLIP two-way identification was computed" in page


def trial_plan(sessions=3, images=80):
    """Every image in every session; the first ten test."""
    table = pd.DataFrame(
        {
            "session": np.repeat(np.arange(1, sessions + 1), images),
            "image_id": np.tile(np.arange(images), sessions),
        }
    )
    table["trial"] = table.groupby("session").cumcount() + 1
    return table.assign(split=np.where(table["image_id"] < 10, "test", "train"))


def betas_of(rng, table, n_voxels=24):
    signal = rng.standard_normal((table["image_id"].max() + 1, n_voxels))
    return [
        (signal[part["image_id"]] + rng.standard_normal((len(part), n_voxels))).astype(np.float32)
        for _, part in table.groupby("session")
    ]


def cortex(n_voxels=24):
    x, y, z = np.unravel_index(np.arange(n_voxels), (4, 3, 2))
    areas = np.where(np.arange(n_voxels) < n_voxels // 2, "V1v", "hV4")
    return pd.DataFrame({"x": x, "y": y, "z": z, "prf-visualrois": areas})


def test_voxels_without_a_finite_ncsnr_are_counted_and_the_median_is_over_the_others(rng, caplog):
    table, ncsnr = trial_plan(), np.full(24, 0.5)
    ncsnr[[2, 5]], ncsnr[7] = np.nan, np.inf
    betas = betas_of(rng, table)
    betas[0][:, 5] = np.nan  # dropped, and no voxel any more
    caplog.set_level("INFO")
    found = preparation.prepare(betas, table, cortex(), ncsnr=ncsnr)
    assert np.flatnonzero(np.isnan(found.noise_ceiling)).tolist() == [2, 6]
    ceiling = 0.25 / (0.25 + 1 / 3)
    assert f"23 voxels, median noise ceiling {ceiling:.3f} over the 21 voxels that have one" in caplog.text
    assert "2 of 23 voxels without a noise ceiling: ncsnr.nii.gz has no finite number there" in caplog.text
    assert bare(caplog.text) == []
    caplog.clear()
    found = preparation.prepare(betas, table, cortex(), ncsnr=np.full(24, np.nan))
    assert "23 voxels, no noise ceiling" in caplog.text
    assert "23 of 23 voxels without a noise ceiling" in caplog.text
    assert bare(caplog.text) == []


@pytest.mark.parametrize("wrong", [-0.1, -np.inf])
def test_a_negative_ncsnr_is_refused(rng, wrong):
    table, ncsnr = trial_plan(), np.full(24, 0.5)
    ncsnr[3], ncsnr[4] = wrong, np.nan
    with pytest.raises(
        InputError, match=r"ncsnr.nii.gz: expected ratios .*found 1 of 24 voxels below, the low"
    ):
        preparation.prepare(betas_of(rng, table), table, cortex(), ncsnr=ncsnr)


def test_without_repetitions_the_log_says_that_there_is_no_ceiling(rng, caplog):
    caplog.set_level("INFO")
    table = trial_plan(sessions=1)
    preparation.prepare(betas_of(rng, table), table, cortex())
    assert "24 voxels, no noise ceiling" in caplog.text
    assert bare(caplog.text) == []


def test_without_test_images_there_is_no_ceiling(rng, caplog):
    """Of a subject who only trains others' networks."""
    caplog.set_level("INFO")
    table = trial_plan().assign(split="train")
    betas = list(betas_of(rng, table))
    found = preparation.prepare(betas, table, cortex(), zscore="session", average=False)
    assert len(found.train) == len(table)
    assert found.test.shape == found.trials.shape == (0, 24)
    assert np.isnan(found.noise_ceiling).all()
    assert np.isnan(quality.examine(betas, table, cortex()).voxels["noise_ceiling"]).all()
    assert bare(caplog.text) == []


def quality_page(tmp_path, found):
    labels = np.full((6, 5, 4), 1)
    quality_report.build(tmp_path / "page.html", "subj01", found, labels, demo=False)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_quality_counts_voxels_that_do_not_vary_over_repeated_images(rng, tmp_path, caplog, drawn):
    """Images 0 to 39 come in every session, the others once: only these move two of the voxels."""
    table = trial_plan()
    once = table["image_id"] >= 40
    table.loc[once, "image_id"] += 1000 * table.loc[once, "session"]
    betas = betas_of(rng, table.assign(image_id=table["image_id"] % 1000))
    repeated = (table[table["session"] == 1]["image_id"] < 1000).to_numpy()
    for session in betas:
        session[np.ix_(repeated, [1, 20])] = session[~repeated][:, [1, 20]].mean(0)
    # z-scored, the repeated trials are equal within a session and 0 in all of them
    betas[2][:, 4] = np.nan
    caplog.set_level("INFO")
    found = quality.examine(betas, table, cortex())
    kept = found.voxels["dropped"] == ""
    without = int((kept & found.voxels["reliability"].isna()).sum())
    assert without == 2
    first = found.regions.iloc[0]
    assert (first["voxels"], first["kept"], first["measured"]) == (24, 23, 23 - without)
    assert f"{without} of 23 voxels without a reliability" in caplog.text
    page = quality_page(tmp_path, found)
    assert f"Of 23 voxels with data {without} have no reliability" in page
    assert f"<small>{23 - without} measured</small>" in page
    assert bare(page) == bare(caplog.text) == bare("\n".join(drawn)) == []


@pytest.mark.parametrize(
    ("sessions", "nothing", "said"),
    [
        (1, [], "not measured: fewer than 3 images were shown at least twice"),
        (3, [0, 1, 2], "not measured: no voxel has data in every session"),
        (3, [1], "not measured: no voxel has data in every session"),
    ],
)
def test_quality_of_nothing_says_why(rng, tmp_path, caplog, drawn, sessions, nothing, said):
    table = trial_plan(sessions)
    betas = betas_of(rng, table)
    for session in nothing:
        betas[session][:] = np.nan if session else 0
    caplog.set_level("INFO")
    page = quality_page(tmp_path, quality.examine(betas, table, cortex()))
    assert said in page
    assert "A dash: not measured, as fewer than 50 trials can be compared, or no voxel has data" in page
    assert bare(page) == bare(caplog.text) == bare("\n".join(drawn)) == []


def test_an_agreement_of_nothing_has_no_bar(rng, tmp_path, drawn):
    """r = 0 with z = 0 has no standard deviation that could be computed back from them."""
    table = trial_plan()
    found = quality.examine(betas_of(rng, table), table, cortex())
    found.sessions.loc[1, ["agreement", "agreement_z"]] = 0.0
    found.sessions.loc[2, ["mean", "spread", "reading_r", "reading_z"]] = np.nan
    assert bare(quality_page(tmp_path, found)) == bare("\n".join(drawn)) == []


def test_a_score_without_a_number_is_not_measured_on_the_terminal():
    row = {
        "method": "x",
        "preset": "native",
        "metric": "ssim",
        "n": 5,
        "repairings": None,
        "better": "higher",
        "questioned": "",
    }
    row |= dict.fromkeys(SUMMARY, np.nan) | {"not_measured": "", "version": "0"}
    text = as_text(pd.DataFrame([row, {**row, "not_measured": "no weights"}]))
    assert text.count("not measured: ") == 2
    assert bare(text) == []


def test_other_methods_tables_with_holes_show_none(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("method\tpreset\tmetric\tmean\tn\n\t\tssim\t\t\n\t\tpixcorr\t0.25\t\n")
    table = comparison.for_people(comparison.other_lines([path]))
    assert table.loc[0, ["line", "preset", "test_images"]].tolist() == ["unknown"] * 3
    assert table.loc[0, ["pixcorr", "ssim", "swav_distance"]].tolist() == ["0.25", *["not measured"] * 2]
    write_table(tmp_path / "all.tsv", table)
    assert bare((tmp_path / "all.tsv").read_text()) == []
    page = types.SimpleNamespace(files=types.SimpleNamespace(comparison=tmp_path / "all.parquet"))
    write_table(tmp_path / "all.parquet", comparison.other_lines([path]))
    assert bare(render("published.html", {"published": published.section([page])})) == []


@pytest.mark.parametrize("wrong", ["inf", "-inf", "much"])
def test_other_methods_tables_with_no_numbers_are_refused(tmp_path, wrong):
    path = tmp_path / "x.tsv"
    path.write_text(f"method\tpreset\tmetric\tmean\tn\nx\tnative\tssim\t{wrong}\t5\n")
    with pytest.raises(InputError, match="expected numbers, or nothing, in the column mean, found"):
        comparison.other_lines([path])


def test_means_over_subjects_of_nothing_are_empty(tmp_path):
    row = {
        "variant": "decoded",
        "picture": "final",
        "metric": "ssim",
        "n": 5,
        "mean": np.nan,
        "shuffled": np.nan,
    }
    write_table(tmp_path / "s.tsv", comparison.over_subjects(pd.DataFrame([row, row])))
    assert bare((tmp_path / "s.tsv").read_text()) == []


def test_predictions_that_are_no_numbers_are_refused(tmp_path, rng):
    predicted = rng.standard_normal((4, 6)).astype(np.float32)
    predicted[2, 3] = np.nan
    path = tmp_path / "p.h5"
    write_hdf5(path, {"predictions": predicted, "image_id": np.arange(4)}, {})
    with pytest.raises(InputError, match=r"p\.h5: .*finite numbers, found others for 1 of 4 images"):
        feature_files.read_rows(path, [0, 1, 2, 3])
    assert len(feature_files.read_rows(path, [0, 1])) == 2
    for sides in ((predicted, predicted[:2]), (predicted[:2], predicted)):
        with pytest.raises(InputError, match=r"features: expected finite numbers, found others for 1 of 4"):
            baselines.nearest_images(*sides)


def test_networks_that_give_no_numbers_are_refused(monkeypatch):
    judges = networks.PresetNetworks("native", {})
    bad = {"clip_two_way": np.array([[1.0, 2.0], [np.nan, 1.0]], np.float32)}
    monkeypatch.setattr(judges, "_batch", lambda *_: bad)
    with pytest.raises(
        InputError, match="clip: expected features of finite numbers, found others for 1 of 2"
    ):
        judges.features(np.zeros((2, 8, 8, 3), np.uint8), "truth")


def test_class_tokens_without_a_direction(rng, caplog):
    tokens = rng.standard_normal((6, 4)).astype(np.float32)
    tokens[2] = 0
    similarity, _ = strata.nearest(tokens, tokens[[0, 1]])
    assert similarity[2] == 0
    assert "1 of 6 truth rows are constant" in caplog.text
    with pytest.raises(InputError, match="found 1 of 6 that are zero or no numbers"):
        clusters.cluster_labels(tokens, 2, 0)


def test_scores_of_features_that_cannot_be_scored(rng, caplog):
    """One trial an image gives no ceiling, a feature that does not vary no r."""
    train, test = (
        rng.standard_normal((30, 5)).astype(np.float32),
        rng.standard_normal((6, 5)).astype(np.float32),
    )
    targets, true = rng.standard_normal((30, 3)), rng.standard_normal((6, 3))
    kernel = Kernel.of(train, test)
    caplog.set_level("INFO")
    arguments = (kernel, np.arange(6), targets, true)
    table = target_scores.score_targets(*arguments, true, 10.0, [3], 0)
    assert "median r 1.0000, ceiling not measured" in caplog.text
    caplog.clear()
    table = target_scores.score_targets(kernel, np.arange(6), targets, np.ones((6, 3)), true, 10.0, [3], 0)
    assert "r not measured, ceiling not measured" in caplog.text
    assert "3 of 3 targets do not vary" in caplog.text
    target_scores.by_part(table, 6)
    with pytest.raises(InputError, match="predictions: expected finite numbers, found others in 1 of 3"):
        target_scores.score_targets(*arguments, np.where(np.eye(6, 3, 2), np.nan, true), 10.0, [3], 0)
    with pytest.raises(InputError, match="expected at least 3 to correlate predictions over, found 2"):
        target_scores.score_targets(kernel, np.arange(2), targets, true[:2], true[:2], 10.0, [3], 0)


def test_a_check_without_a_number_fails_in_words():
    check = leaks.table_of([leaks.Check("x", "y", np.nan, 1e-4)], "train")
    with pytest.raises(InputError, match=r"found one in the check “x” \(y: not comparable, at most"):
        leaks.require(check, "subj01")


def test_synthetic_responses_beside_nothing():
    table = regions.how_unusual(np.zeros((2, 4)), {"V1": np.arange(2)}, np.zeros((3, 4)), np.zeros((2, 4)))
    assert table.loc[1, ["norm_ratio", "mean_sd"]].isna().all()


def test_features_beyond_half_precision_are_counted(caplog):
    features = decode_scans._half(np.array([[1.0, 1e9], [-1e9, 3.0]], np.float32), "vdvae")
    assert np.isfinite(features).all()
    assert "vdvae: 2 of 4 features lie beyond 65504 and end there" in caplog.text


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_setting_that_is_no_number_is_refused(number):
    with pytest.raises(ValidationError):
        GENERATORS.settings({"kind": "guides_only", "weights": "w", "vision": "v", "text": "t",
                             "guidance_scale": number})  # fmt: skip
    spaces = dict.fromkeys(SPACES, 100.0)
    with pytest.raises(ValidationError):
        Ridge.Settings(kind="ridge", alpha={**spaces, "vdvae": number})
    Ridge.Settings(kind="ridge", alpha=spaces)


def test_figures_for_papers_count_images_without_a_score(tmp_path, caplog):
    rows = {"variant": "decoded", "picture": "final", "metric": "ssim", "image_id": [1, 2, 3]}
    write_table(tmp_path / "s.parquet", pd.DataFrame({**rows, "value": [0.5, np.nan, np.inf], "margin": 0}))
    assert paper_figure.read_scores(tmp_path / "s.parquet", "subj01", "ssim")[0].index.tolist() == [1]
    assert "subj01: 2 test images without a finite ssim are left out" in caplog.text
