"""Which files a target needs, counted by hand."""

import copy

import numpy as np
import pytest
import yaml
from helpers.places import ROOT

from neural_recon.config.configuration import Config, resolve
from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.demo import design
from neural_recon.workflow.plan import Chunk, Plan

RAW = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))


def plan(**sections) -> Plan:
    """The plan of two sessions with 120 shared pictures and 380 own ones a subject, 500 in all."""
    raw = copy.deepcopy(RAW)
    raw["subjects"] = {"subj01": {"sessions": 2}, "subj02": {"sessions": 2}}
    raw["demo"] = {"seed": 5, "sessions": 2, "shared_images": 120, "own_images": 380}
    raw["features"] = {"chunk": 50}
    raw["generator"] = {"chunk": 30}
    raw["evaluation"] = {**raw.get("evaluation", {}), "control_images": 7}
    if "recipe" in sections:
        del raw["decoder"]  # of the demo's kind
    for name, section in sections.items():
        raw[name] = {**raw.get(name, {}), **section} if isinstance(section, dict) else section
    return Plan(Config.model_validate(resolve(raw, ROOT)))


def names(chunks: list[Chunk]) -> list[str]:
    return [chunk.name for chunk in chunks]


def test_feature_chunks_are_those_with_shown_pictures():
    # shared positions 1 to 120 lie in chunks 0, 1, 2 of 50; own positions 1 to 380 in chunks 0 to 7
    shared, own = [f"shared_00{k}" for k in range(3)], [f"_00{k}" for k in range(8)]
    assert names(plan().feature_chunks("subj01")) == [*shared, *(f"subj01{k}" for k in own)]
    assert names(plan().feature_chunks("subj02")) == [*shared, *(f"subj02{k}" for k in own)]
    # a picture on the edge belongs to the chunk before it
    assert len(plan(features={"chunk": 60}).feature_chunks("subj01")) == 2 + 7
    assert names(plan(features={"chunk": 1000}).feature_chunks("subj01")) == ["shared_000", "subj01_000"]


def test_more_sessions_only_add_chunks():
    two = plan(demo={"sessions": 4, "shared_images": 120, "own_images": 880})
    four = plan(
        demo={"sessions": 4, "shared_images": 120, "own_images": 880}, subjects={"subj01": {"sessions": 4}}
    )
    assert set(two.feature_chunks("subj01")) <= set(four.feature_chunks("subj01"))
    assert two.feature_chunks("subj02") == four.feature_chunks("subj02")


def test_unused_images_need_no_features(tmp_path):
    images = design.make(5, 2, 120, 380).subjectim[0] - 1
    # positions 3, 60 and 1001 train, 110, 111 and 1101 test (1-based): three chunks of the shared, two own
    (tmp_path / "train.txt").write_text("".join(f"{images[k - 1]}\n" for k in (3, 60, 1001)))
    (tmp_path / "test.txt").write_text("".join(f"{images[k - 1]}\n" for k in (1101, 110, 111)))
    lists = {name: str(tmp_path / f"{name}.txt") for name in ("train", "test")}
    listed = plan(split=lists)
    assert names(listed.feature_chunks("subj01")) == [
        "shared_000",
        "shared_001",
        "shared_002",
        "subj01_000",
        "subj01_002",
    ]
    assert listed.test_ids("subj01").tolist() == sorted([images[1100], images[109], images[110]])


def test_test_images_are_the_shared_ones():
    shared = np.sort(design.make(5, 2, 120, 380).subjectim[0, :120] - 1)
    assert plan().test_ids("subj01").tolist() == shared.tolist()
    assert plan().test_ids("subj02").tolist() == shared.tolist()


def test_control_images_are_spread_over_the_test_images():
    one = plan()
    ids = one.test_ids("subj01")
    # 7 of 120: 119 / 6 = 19.83 apart
    assert one.control_ids("subj01").tolist() == ids[[0, 20, 40, 60, 79, 99, 119]].tolist()


@pytest.mark.parametrize("count", [2, 3, 59, 60, 61, 119, 120, 500])
def test_control_images_are_different_ones(count):
    one = plan(evaluation={"control_images": count})
    ids = one.control_ids("subj01")
    assert len(ids) == len(set(ids)) == min(count, 120)
    assert set(ids) <= set(one.test_ids("subj01"))


def test_picture_chunks():
    one = plan()
    assert one.picture_chunks("subj01") == [0, 1, 2, 3]  # 120 in thirties
    assert plan(generator={"chunk": 119}).picture_chunks("subj01") == [0, 1]
    for size in (30, 119, 120, 500):
        one = plan(generator={"chunk": size})
        ids = [i for chunk in one.picture_chunks("subj01") for i in one.picture_ids("subj01", chunk)]
        assert ids == one.test_ids("subj01").tolist()


def test_single_test_image_is_named(tmp_path):
    (tmp_path / "test.txt").write_text(f"{plan().test_ids('subj01')[0]}\n")
    with pytest.raises(InputError, match=r"subj01: expected at least 3 test images.*found 1.*choose more"):
        plan(split={"test": str(tmp_path / "test.txt")}).trials("subj01")


def test_a_subject_that_is_not_decoded_needs_no_test_images(tmp_path):
    own = np.setdiff1d(plan().trials("subj01")["image_id"], plan().trials("subj02")["image_id"])
    (tmp_path / "test.txt").write_text("".join(f"{image}\n" for image in own[:60]))
    split, subjects = {"test": str(tmp_path / "test.txt")}, {"subj02": {"sessions": 2, "decoded": False}}
    with pytest.raises(InputError, match="test images: expected at least one shown"):
        plan(recipe="shared_subject_small", split=split).check()
    found = plan(recipe="shared_subject_small", split=split, subjects=subjects)
    found.check()
    assert (found.config.decoded, len(found.test_ids("subj01"))) == (["subj01"], 60)
    assert set(found.trials("subj02")["split"]) == {"train", "unused"}
    assert found.feature_chunks("subj02")
    with pytest.raises(InputError, match=r"subj02: expected a subject whose pictures are decoded \(subj01\)"):
        found.picture_chunks("subj02")
    with pytest.raises(InputError, match=r"subjects\.subj02\.decoded: .* learns nothing from it"):
        plan(split=split, subjects=subjects)
    with pytest.raises(InputError, match=r"subjects\.subj02\.decoded: .* name it in decoder\.pretrain"):
        plan(
            recipe="shared_subject_small",
            subjects=subjects,
            decoder={"pretrain": {"subjects": "none"}},
        )
    none = {name: {"sessions": 2, "decoded": False} for name in ("subj01", "subj02")}
    with pytest.raises(InputError, match="expected one at least that is decoded"):
        plan(recipe="shared_subject_small", subjects=none)


def test_real_tree_is_read_where_there_is_no_demo(tmp_path):
    raw = {**copy.deepcopy(RAW), "dataset": {"kind": "nsd", "root": str(tmp_path)}}
    del raw["demo"]
    raw["subjects"] = {"subj01": {"sessions": 2}}
    real = Plan(Config.model_validate(resolve(raw, ROOT)))
    with pytest.raises(InputError, match=r"nsd_expdesign\.mat"):
        real.trials("subj01")
    written = design.make(5, 2, 120, 380)
    design.write(real.config.data.tree.expdesign, written)
    assert real.test_ids("subj01").tolist() == np.sort(written.subjectim[0, :120] - 1).tolist()


def test_design_is_read_once_for_all_subjects_and_jobs(tmp_path, monkeypatch):
    raw = {**copy.deepcopy(RAW), "dataset": {"kind": "nsd", "root": str(tmp_path)}}
    del raw["demo"]
    raw["subjects"] = {subject: {"sessions": 2} for subject in ("subj01", "subj02")}
    real = Plan(Config.model_validate(resolve(raw, ROOT)))
    design.write(real.config.data.tree.expdesign, design.make(5, 2, 120, 380))
    path = real.config.data.tree.expdesign
    expected = {
        subject: nsd_tree.design_table(*nsd_tree.read_experiment(path), subject, [1, 2])
        for subject in raw["subjects"]
    }
    read, reading = [], nsd_tree.read_experiment
    monkeypatch.setattr(nsd_tree, "read_experiment", lambda path: read.append(path) or reading(path))
    for subject, frame in expected.items():
        assert real.data.trials(subject, [1, 2]).equals(frame)
        assert real.feature_chunks(subject) is real.feature_chunks(subject)
    assert read == [path]


def test_ids_that_all_jobs_share_refuse_to_be_changed():
    one = plan()
    for ids in (one.test_ids("subj01"), one.control_ids("subj01")):
        with pytest.raises(ValueError, match="read-only"):
            ids[0] = 0
