"""The one list of metrics, and the weights that they need."""

import numpy as np
import pytest
from helpers.places import ROOT

from neural_recon.evaluation import metrics, network_weights, registry, statistics
from neural_recon.evaluation.registry import METRICS, NETWORKS
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.models import weights
from neural_recon.report import words

PRESETS = set(metrics.PRESETS)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_all_that_others_need_of_it(name):
    metric = METRICS[name]
    assert metric.title
    assert metric.source
    assert metric.caption or metric.of == "guides"  # whose section of the page has its own text
    assert (metric.of == "network") == (metric.network in NETWORKS)
    assert set(metric.presets) <= PRESETS
    assert words.metric_title(name) == metric.title
    assert ("lower is better" in words.heading(name)) == (metric.better == "lower")


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.matrix])
def test_its_diagonal_is_best_where_pictures_are_what_was_seen(name, rng):
    """And its chance, where it claims one, is what re-pairing gives."""
    metric = METRICS[name]
    seen = rng.permutation(30) if metric.matrix is metrics.named_matrix else rng.random((30, 6, 6, 3))
    matrix = metric.matrix(seen, seen)
    worst, best = sorted((0.0, 1.0), reverse=metric.better == "lower")
    np.testing.assert_allclose(np.diagonal(matrix), best, atol=1e-9)
    found = statistics.repairings(matrix, 0, 200, metric.better)
    assert found.p < 0.01
    assert abs(found.mean - worst) < abs(found.mean - best) + 0.1
    if metric.chance is not None:
        assert found.mean == pytest.approx(metric.chance, abs=0.03)


def test_controls_of_some_images_have_all_rivals_where_a_metric_has_rivals(rng):
    truth = rng.random((20, 50))
    some, scores = np.array([3, 7, 11]), Scores("subj01", 0, 100)
    for name in ("clip_two_way", "swav_distance"):
        scores.compare("swapped", "final", name, some, truth, truth[some] + 0.8, some)
    table = scores.summary_table().set_index("metric")
    assert table.loc["clip_two_way", "shuffled"] == pytest.approx(0.5, abs=0.35)
    assert table.loc["clip_two_way", "n"] == table.loc["swav_distance", "n"] == 3
    assert table.loc["swav_distance", "mean"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="ssim has a method of its own"):
        scores.compare("swapped", "final", "ssim", some, truth, truth[some], some)


def test_which_metrics_are_measured():
    def found(*given):
        return registry.measured(*given)

    assert found("native", [], False) == ["pixcorr", "ssim"]
    assert found("native", ["clip", "alexnet"], True) == [
        "pixcorr", "ssim", "clip_two_way", "object", "background"
    ]  # fmt: skip
    published = list(registry.PUBLISHED_TITLES)
    assert found("mindeye2", NETWORKS, False) == [*published, "lpips_two_way", "lpips_distance"]
    assert registry.better("of_another_version") == "higher"


def test_every_network_has_its_weights_in_the_table():
    table = weights.read_table(ROOT / weights.TABLE)
    files = {file.path for entry in table.values() for file in entry.files}
    for preset in ("brain_diffuser", "mindeye2"):
        assert network_weights.wanted(preset) == list(NETWORKS)
        assert set(network_weights.published(preset).values()) <= files
    assert network_weights.wanted("native") == ["clip"]
    assert network_weights.published("native") == {}


def test_of_an_entry_named_for_clip_only_its_encoder_is_fetched(tmp_path, monkeypatch):
    """So that a recipe without Versatile Diffusion does not fetch its 12 GB."""
    monkeypatch.chdir(tmp_path)
    table = weights.read_table(ROOT / weights.TABLE)
    named = {"clip": weights.GENERATOR, "swav": "swav-resnet50"}
    located = network_weights.locate(named, "brain_diffuser", table)
    read = network_weights.files_read(named, located, table)
    found = weights.missing(read, table)
    large = {place: file.gigabytes for place, file in found.items() if file.gigabytes}
    assert {place.split("/")[-2] for place in large} == {"image_encoder", "swav-resnet50"}
    assert sum(large.values()) < 1.5
    assert "shi-labs--versatile-diffusion/image_feature_extractor/preprocessor_config.json" in found
    assert {path.removeprefix("resources/models/").split("/")[0] for path in read} == {
        "shi-labs--versatile-diffusion", "swav-resnet50"
    }  # fmt: skip
    assert {path.removeprefix("resources/models/") for path in read} <= set(found)


def test_networks_in_a_folder_of_weights(tmp_path):
    (tmp_path / "alexnet").mkdir()
    (tmp_path / "alexnet/alexnet-owt-7be5be79.pth").touch()
    (tmp_path / "shi-labs--versatile-diffusion/image_encoder").mkdir(parents=True)
    (tmp_path / "shi-labs--versatile-diffusion/image_encoder/config.json").touch()
    found = network_weights.in_folder("mindeye2", tmp_path)
    assert list(found) == ["alexnet", "clip"]
    names = [path.name for path in map(type(tmp_path), network_weights.model_files(found))]
    assert names[0] == "alexnet-owt-7be5be79.pth"
    assert "config.json" in names
    assert network_weights.in_folder("native", tmp_path, tmp_path / "mine") == {"clip": tmp_path / "mine"}
    absent = network_weights.why_not_there("mindeye2", tmp_path)
    assert "has no swav_800ep_pretrain.pth.tar" in absent["swav"]
    assert "no CLIP" in absent["clip"]
