"""Single regions: which voxels they are, their decoders, and synthetic responses of one region alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from helpers.labelled_voxels import SHAPE, labelled
from helpers.made_up_results import CONFIGURATION, IDS, draw, write_regions, write_stimuli, write_subject
from helpers.pages import Page, draw_no_figures
from helpers.ridge_problems import ridge_problem, scikit_ridge

from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd.voxels import in_regions
from neural_recon.decoding import sources
from neural_recon.decoding.kernel import Kernel
from neural_recon.demo import brain, scenes
from neural_recon.evaluation import networks, region_tests, regions
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.features.feature_files import FeatureTable, write_chunk
from neural_recon.report import regions as report_regions
from neural_recon.report.page import build

SPACES = ("vdvae", "vision", "text")


@pytest.fixture
def voxels(rng) -> pd.DataFrame:
    return labelled(rng)


def test_columns_are_those_of_voxels_with_data(voxels):
    inside = in_regions(voxels, ["V1", "V2"], {}, SHAPE)
    kept = np.arange(3, len(voxels), 2)
    columns = sources.columns_of("regions.sets.early", ["V1", "V2"], inside, kept)
    names = voxels["prf-visualrois"].to_numpy()
    assert set(names[kept[columns]]) <= {"V1v", "V1d", "V2v", "V2d"}
    assert len(columns) == np.isin(names[kept], ["V1v", "V1d", "V2v", "V2d"]).sum() > 0
    elsewhere = np.flatnonzero(names == "hV4")
    with pytest.raises(InputError, match=r"regions.sets.early: expected voxels of V1, V2 among the"):
        sources.columns_of("regions.sets.early", ["V1", "V2"], inside, elsewhere)


def test_smaller_random_draws_are_parts_of_larger_ones():
    small, large = regions.random_columns(100, 10, 3), regions.random_columns(100, 30, 3)
    assert len(set(small)) == 10
    assert set(small) < set(large)
    assert set(small) != set(regions.random_columns(100, 10, 4))


@pytest.fixture
def problem(rng, tmp_path):
    """Responses of 60 voxels of which the first 12 carry the features: (responses, chunk files, ridge)."""
    n, n_test, p = 80, 30, 60
    hidden = rng.standard_normal((n + n_test, 12)).astype(np.float32)
    x = rng.standard_normal((n + n_test, p)).astype(np.float32)
    x[:, :12] = hidden + 0.3 * x[:, :12]
    x = (x - x[:n].mean(0)) / x[:n].std(0, ddof=1)
    ids = np.arange(100, 100 + n + n_test)
    features = {}
    for space in SPACES:
        values = hidden @ rng.standard_normal((12, 40)) + 5
        features[space] = [tmp_path / f"{space}.h5"]
        write_chunk(features[space][0], values, np.zeros(len(ids), bool), ids, {})
    responses = {"train": x[:n], "test": x[n:], "train_ids": ids[:n], "test_ids": ids[n:]}
    ridge = {
        "alpha": {"vdvae": 30.0, "vision": "cv", "text": 60.0},
        "cross_validation": {"alphas": [10.0, 100.0], "folds": 2, "targets": 16, "groups": "space"},
        "calibration": "train",
    }
    return responses, features, ridge


class Eye:
    """Stands for VDVAE and CLIP: latents become pictures become embeddings."""

    name = "vdvae"

    def pictures(self, latents):
        bright = (40 * latents[:, :27] + 20).clip(0, 255).astype(np.uint8)
        return bright.reshape(-1, 3, 3, 3)

    def embedding(self, images):
        return images.reshape(len(images), -1).astype(np.float32)


def test_region_beats_random_voxels_where_it_has_the_signal(problem, monkeypatch):
    responses, features, ridge = problem
    seen = np.random.default_rng(1).integers(0, 255, (30, 3, 3, 3), np.uint8)
    monkeypatch.setattr(networks, "load_clip", lambda *_, **__: Eye())
    clip = networks.PresetNetworks("native", {"clip": "its folder"})
    args = (responses, features, ridge, seen, Eye(), clip, 100, 0)
    columns = {"own": np.arange(12), "empty": np.arange(30, 42)}
    scored = dict(regions.score_regions(columns, *args))
    assert list(scored) == list(columns)
    table, single, images = scored["own"]
    assert set(table["decoder"]) == {regions.REGION, regions.RANDOM}
    assert (table["voxels"] == 12).all()
    assert images[regions.REGION].shape == (30, 3, 3, 3)
    means = single.groupby(["variant", "picture"])["value"].mean()
    for row in table.itertuples():
        assert means[row.decoder, row.space] == pytest.approx(row.score)
    wide = table[table["space"] != "base"].pivot(index="space", columns="decoder", values="score")
    assert (wide[regions.REGION] > 0.95).all()
    assert (wide[regions.REGION] > wide[regions.RANDOM] + 0.1).all()
    everything = single[single["variant"] == regions.REGION].assign(variant="decoded")
    tests = region_tests.paired("subj01", region_tests.joined({"own": single}, everything), 0)
    own = tests[(tests["against"] == regions.RANDOM) & (tests["space"] != "base")]
    assert len(own) == len(wide)
    assert (own["p"] < 0.01).all()
    np.testing.assert_allclose(table["chance"], 0.5, atol=0.05)
    # the other way round: voxels that carry nothing are at chance, and lose
    empty = scored["empty"].table
    own = empty[(empty["decoder"] == regions.REGION) & (empty["space"] != "base")]
    np.testing.assert_allclose(own["score"], 0.5, atol=4 / np.sqrt(12 * 30))


def test_fixed_penalty_stays_the_same_a_voxel(problem):
    responses, features, ridge = problem
    kernel = Kernel.of(responses["train"][:, :12], responses["test"][:, :12])
    table = FeatureTable(features["vdvae"], responses["train_ids"])
    settings = (kernel, table, ridge["cross_validation"], 0)
    assert regions.share_alpha(50000, 0.2, *settings) == pytest.approx(10000)
    assert regions.share_alpha("cv", 0.2, *settings) in (2.0, 20.0)


def test_all_voxels_stand_first():
    scores = Scores("subj01", 0, 100)
    rng = np.random.default_rng(0)
    for variant, picture, metric in (
        ("decoded", "vdvae", "two_way"), ("shuffled", "vdvae", "two_way"),
        ("decoded", "base", "clip_two_way"), ("decoded", "final", "clip_two_way"),
        ("decoded", "base", "pixcorr"),
    ):  # fmt: skip
        scores.add(variant, picture, metric, np.arange(9), rng.random((9, 9)))
    of_v1 = pd.DataFrame({"decoder": ["region"], "voxels": [7], "space": ["vdvae"], "score": [0.7]})
    table = regions.collect(scores.summary_table(), 50, {"V1": of_v1})
    assert list(table.columns) == regions.SCORES
    assert table[["region", "voxels", "space"]].to_numpy().tolist() == [
        [regions.ALL, 50, "vdvae"], [regions.ALL, 50, "base"], ["V1", 7, "vdvae"],
    ]  # fmt: skip


@pytest.mark.parametrize(("n", "p"), [(40, 15), (15, 40)])
def test_synthetic_responses_are_decoded_as_any_other(rng, n, p):
    train, test, y = ridge_problem(rng, n, p)
    kernel = Kernel.of(train, test)
    columns = {"a": np.arange(3), "b": np.arange(4, p)}
    synthetic = regions.synthetic_responses(columns, p, 1.5)
    assert synthetic[0].tolist() == [0] * p
    assert synthetic[1].tolist() == [1.5] * 3 + [0] * (p - 3)
    found = regions.decode_synthetic(kernel, train, synthetic, y, 3.0, 0, calibration="none")
    np.testing.assert_allclose(found, scikit_ridge(train, synthetic, y, 3.0), rtol=1e-4)
    with pytest.raises(ValueError, match="kernel's"):
        kernel.of_others(train[1:], synthetic)


def test_nothing_is_standardised_across_regions(rng):
    """A region's prediction is the same alone, with others, and alongside one of a thousandfold amplitude."""
    train, test, y = ridge_problem(rng, 60, 20)
    train = (train - train.mean(0)) / np.maximum(train.std(0, ddof=1), 0.1)
    kernel = Kernel.of(train, test)
    synthetic = regions.synthetic_responses({"a": np.arange(5), "b": np.arange(5, 20)}, 20, 1.0)
    together = regions.decode_synthetic(kernel, train, synthetic, y, 3.0, 0)
    synthetic[2] *= 1000
    beside = regions.decode_synthetic(kernel, train, synthetic, y, 3.0, 0)
    np.testing.assert_allclose(beside[:2], together[:2], rtol=1e-5)
    alone = regions.decode_synthetic(kernel, train, synthetic[1:2], y, 3.0, 0)
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-5)
    with pytest.raises(ValueError, match="across the responses"):
        regions.decode_synthetic(kernel, train, synthetic, y, 3.0, 0, calibration="published")
    # no region: the mean of the training features, but for the mean of the held-out predictions
    assert np.abs(together[0] - y.mean(0)).max() < 0.2 * y.std(0).min()


def test_how_unusual(rng):
    train, test = rng.standard_normal((200, 50)), rng.standard_normal((30, 50))
    columns = {"a": np.arange(16)}
    synthetic = regions.synthetic_responses(columns, 50, 2.0)
    none, a = regions.how_unusual(synthetic, columns, train, test).to_dict("records")
    assert none["region"] == regions.ZERO
    assert none["norm"] == 0
    assert a["norm"] == pytest.approx(8)
    assert a["norm_ratio"] == pytest.approx(8 / np.median(np.linalg.norm(test, axis=1)))
    assert a["mean_sd"] == pytest.approx(2 / (1 / 4), rel=0.15)  # the mean of 16 independent voxels


def test_random_voxels_of_median_size_are_the_control():
    columns = {"a": np.arange(4), "b": np.arange(8), "c": np.arange(90)}
    found = regions.with_control(columns, 100, 0)
    assert list(found) == [regions.RANDOM, "a", "b", "c"]
    assert len(found[regions.RANDOM]) == 8


def test_synthetic_response_of_a_category_region_decodes_to_its_category():
    """Where the truth is known: simulated regions that prefer some kinds of objects, decoded into kinds."""
    subject = brain.grow(20, "subj01")
    shown = [scenes.sample(20, k) for k in range(500)]
    pictures = np.stack([scenes.render(scene, brain.PIXELS) for scene in shown])
    signal = brain.signals(subject, pictures, shown)
    rng = np.random.default_rng(0)
    x = signal * subject.ncsnr.astype(np.float32) + rng.standard_normal(signal.shape, np.float32) / 3**0.5
    labels = subject.cortex.labels
    general = labels["nsdgeneral"] == 1
    x = x[:, general]
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    kinds = np.array([[any(o.kind == k for o in scene.objects) for k in scenes.KINDS] for scene in shown])
    columns = {atlas: np.flatnonzero(labels[atlas][general] > 0) for atlas in brain._PREFERRED}
    synthetic = regions.synthetic_responses(columns, x.shape[1], 1.0)
    kernel = Kernel.of(x, x[:1])
    found = regions.decode_synthetic(kernel, x, synthetic, kinds.astype(np.float32), 1000.0, 0)
    change = (found[1:] - found[0]) / kinds.std(0)
    for (atlas, preferred), row in zip(brain._PREFERRED.items(), change, strict=True):
        own = np.isin(scenes.KINDS, preferred)
        assert row[own].mean() > row[~own].mean() + 0.1, atlas
        assert row[own].mean() > 0 > row[~own].mean(), atlas


def test_stars_of_the_map_are_those_of_the_corrected_tests(tmp_path, rng, monkeypatch):
    """Against random voxels; what is significant before correction only, or against all voxels, has none."""
    drawn = []
    monkeypatch.setattr(report_regions.plots, "uri", drawn.append)
    files = write_regions(tmp_path, rng, IDS["subj01"])
    tests = pd.read_csv(files["region_tests"], sep="\t").assign(p=0.01, p_holm=0.06)
    tests.loc[tests["against"] == regions.ALL, "p_holm"] = 0.01
    chosen = (tests["against"] == regions.RANDOM) & (tests["region"] == "faces") & (tests["space"] == "base")
    tests.loc[chosen, "p_holm"] = 0.04
    report_regions.heat_map(pd.read_csv(files["region_scores"], sep="\t"), tests)
    starred = [text for axes in drawn[0].axes for text in axes.texts if text.get_text().endswith("*")]
    assert [text.get_position() for text in starred] == [(0, 1)]  # base, the second region


def test_report_shows_regions_with_their_controls(tmp_path, rng, monkeypatch):
    draw_no_figures(monkeypatch)  # test_not_numbers.py looks at what they show
    ids = IDS["subj01"]
    stimuli = write_stimuli(tmp_path / "stimuli.h5", ids, draw(rng, len(ids), 425, 9))
    files = write_subject(tmp_path, rng, "subj01", ids)
    with_regions = dataclasses.replace(files, **write_regions(tmp_path / "regions", rng, ids))
    for subject in (files, with_regions):
        build(tmp_path / "page.html", [subject], stimuli, None, CONFIGURATION)
        page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert ("No brain produced these patterns" in page.text) == (subject is with_regions)
    assert "A response that is 1.25 in every voxel" in page.text
    assert page.text.count("40, random") == 2
    assert "no region" in page.text
    assert all(link.startswith(("data:", "#")) for link in page.links)
