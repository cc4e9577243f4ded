"""The estimate of the disk a run fills, counted by hand."""

import pytest
import yaml
from helpers.places import ROOT

from neural_recon.config.configuration import Config, resolve
from neural_recon.models import weights
from neural_recon.workflow import disk_estimate
from neural_recon.workflow.plan import Plan

TABLE = weights.read_table(ROOT / weights.TABLE)


def plan(name: str, **sections) -> Plan:
    raw = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    return Plan(Config.model_validate(resolve({**raw, **sections}, ROOT)))


@pytest.fixture(autouse=True)
def in_project(monkeypatch, tmp_path):
    """The current folder has what comes along, and no weights that were fetched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources/demo_models").symlink_to(ROOT / "resources/demo_models")


def test_published_sizes_before_anything_is_there():
    # 31 layers, 257 x 768 and 77 x 768
    assert plan("nsd").feature_sizes(TABLE) == (91_168 + 197_376 + 59_136, 64)


def test_sizes_of_models_that_are_there():
    values, base = plan("demo").feature_sizes(TABLE)
    assert base == 64
    # eight channels in 1, 3, 4 and 4 layers at 1, 4, 8 and 16 pixels; 65 and 32 tokens of 96
    assert values == 8 * (1 + 3 * 4**2 + 4 * 8**2 + 4 * 16**2) + 65 * 96 + 32 * 96


def test_one_subject_before_its_data_are_there():
    found = disk_estimate.estimate(plan("nsd", subjects={"subj01": {"sessions": 40}}), TABLE)
    assert found["betas"] == 4 * 16_000 * (30_000 + 10_000 + 3_000)
    assert found["features"] == 2 * 10_000 * 347_680
    # three fits of the test images; the generator's prior alone of those that are painted
    assert found["predictions"] == 4 * (3 * 1_000 + 100) * 347_680
    assert found["kernels"] == 8 * 9_000 * 10_000
    # true features, the shuffled decoder, two more draws, swapped, guides only and the prior of 100 images;
    # two training images per test image, and their mean
    others = 7 * 100 + 2 * 1_000 + 1
    assert found["pictures"] == 3 * ((5 * 1_000 + 100) * 64**2 + (3 * 1_000 + others) * 512**2)


def test_kept_decoders():
    nsd = plan("nsd", subjects={"subj01": {"sessions": 40}}, decoder={"keep": "kernel"})
    assert disk_estimate.estimate(nsd, TABLE)["decoders"] == 2 * 9_000 * (347_680 + 16_000)


def test_networks_take_the_place_of_kernels():
    nsd = plan("nsd", recipe="mindeye2", subjects={"subj01": {"sessions": 40}})
    found = disk_estimate.estimate(nsd, TABLE)
    assert found["kernels"] == 0
    # the published network has 2.2e9 parameters; three of them, and a checkpoint of three times as much
    assert found["networks"] == pytest.approx(4 * 2.2e9 * 6, rel=0.1)


def test_subjects_share_the_shared_images():
    nsd = plan("nsd", subjects={f"subj0{n}": {"sessions": 40} for n in (1, 2)})
    assert disk_estimate.estimate(nsd, TABLE)["features"] == 2 * 19_000 * 347_680
