"""Traces of the test set: none in what the package makes, and each planted one is found."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from neural_recon.core.errors import InputError
from neural_recon.core.random_streams import shuffled_images
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.penalty_table import cross_validated_curve, fixed_curve
from neural_recon.decoding.ridge import predict
from neural_recon.evaluation.controls import leaks
from neural_recon.responses.preparation import prepare

SESSIONS, PER_SESSION, IMAGES, TEST = 3, 80, 80, 20
CV = {"alphas": [3.0, 30.0, 300.0], "folds": 3, "targets": 30, "groups": "parts", "contiguous": False}
PARTS = np.array([20, 20])


@pytest.fixture
def betas(rng):
    return [
        (3 + session + 2 * rng.standard_normal((PER_SESSION, 60))).astype(np.float32)
        for session in range(SESSIONS)
    ]


@pytest.fixture
def trials(rng):
    ids = np.concatenate([rng.permutation(IMAGES) for _ in range(SESSIONS)])
    return pd.DataFrame(
        {
            "session": np.repeat(np.arange(1, SESSIONS + 1), PER_SESSION),
            "image_id": ids,
            "split": np.where(ids < TEST, "test", "train"),
        }
    )


VOXELS = pd.DataFrame({"x": np.arange(60), "y": 0, "z": 0})


@pytest.mark.parametrize("zscore", ["train", "session"])
@pytest.mark.parametrize("average", [True, False])
def test_responses_know_no_test_trial(betas, trials, zscore, average):
    betas[1][:, 7] = 4.0  # dropped: constant in a session
    written = prepare(betas, trials, VOXELS, zscore, average)
    for check in (
        leaks.check_images(trials, written.train_ids, written.test_ids),
        leaks.check_zscores(lambda: iter(betas), trials, written, zscore, average),
        leaks.check_test_responses(lambda: iter(betas), trials, VOXELS, written, zscore, average),
    ):
        assert check.difference <= check.tolerance, check


@pytest.mark.parametrize("average", [True, False])
def test_images_shown_once_are_told_apart_from_averages(betas, trials, average):
    """Ids are unique either way; rows of single trials are in the order they were shown."""
    once = trials.copy()
    once.loc[once["split"] == "train", "image_id"] = 1000 - np.flatnonzero(once["split"] == "train")
    written = prepare(betas, once, VOXELS, "train", average)
    assert len(np.unique(written.train_ids)) == len(written.train_ids)
    check = leaks.check_test_responses(lambda: iter(betas), once, VOXELS, written, "train", average)
    assert check.difference <= check.tolerance


def test_image_in_both_is_found(betas, trials):
    written = prepare(betas, trials, VOXELS)
    assert leaks.check_images(trials, np.r_[written.train_ids, 3], written.test_ids).difference == 1
    mixed = trials.copy()
    mixed.loc[mixed.index[mixed["image_id"] == 5][0], "split"] = "train"
    assert leaks.check_images(mixed, written.train_ids, written.test_ids).difference == 1


def test_statistics_of_all_trials_are_found(betas, trials):
    """z-scores by training and test images together."""
    written = prepare(betas, trials, VOXELS)
    raw = np.concatenate([written.train, written.test]) * written.std + written.mean
    mean, std = raw.mean(axis=0), raw.std(axis=0, ddof=1)
    training = (written.train * written.std + written.mean - mean) / std
    planted = dataclasses.replace(written, mean=mean, std=std, train=training)
    zscores = leaks.check_zscores(lambda: iter(betas), trials, planted, "train", True)
    assert zscores.difference > 100 * zscores.tolerance
    changed = leaks.check_test_responses(lambda: iter(betas), trials, VOXELS, planted, "train", True)
    assert changed.difference > 100 * changed.tolerance
    fewer = dataclasses.replace(written, voxel=written.voxel[1:], train=written.train[:, 1:])
    assert (
        leaks.check_test_responses(lambda: iter(betas), trials, VOXELS, fewer, "train", True).difference
        == np.inf
    )


@pytest.fixture
def decoded(rng):
    """Responses (60 training, 21 test rows) and features of two related parts."""
    X = rng.standard_normal((81, 100)).astype(np.float32)
    Y = (X[:, :4] @ rng.standard_normal((4, 40)) + rng.standard_normal((81, 40)) + 5).astype(np.float16)
    Y[:, 3] = 1.5  # does not vary
    return X[:60], X[60:], Y


@pytest.mark.parametrize("calibration", ["train", "none", "published"])
def test_predictions_of_other_test_images(decoded, calibration):
    train, test, Y = decoded
    halves, alpha = leaks.Halves.of(train, test, np.arange(60)), np.repeat([10.0, 200.0], 20)
    written = predict(train, test, Y[:60], alpha, calibration, seed=4)
    checks = leaks.check_predictions(halves, Y[:60], alpha, written, calibration, 4)
    table = leaks.table_of(checks, calibration)
    others = ["predictions, others removed", "predictions, others replaced"]
    assert table["check"].tolist() == [*others, *(["predictions, all"] if calibration == "published" else [])]
    if calibration == "published":
        assert table["verdict"].tolist() == ["looks at the test set"] * 2 + ["holds"]
        leaks.require(table, "subj01")  # said, and no error
    else:
        assert table["verdict"].tolist() == ["holds"] * 2
        # a run that says it is free of leaks and is not
        planted = predict(train, test, Y[:60], alpha, "published")
        checks = leaks.check_predictions(halves, Y[:60], alpha, planted, calibration, 4)
        with pytest.raises(InputError, match=r"subj01: expected no trace.*predictions, others removed"):
            leaks.require(leaks.table_of(checks, calibration), "subj01")


def test_fit_on_test_images_is_found(decoded):
    """Half of the test images were among the training images."""
    train, test, Y = decoded
    planted = predict(np.concatenate([train, test]), test, Y, 10.0, "none")
    checks = leaks.check_predictions(
        leaks.Halves.of(train, test, np.arange(60)), Y[:60], 10.0, planted, "none", 0
    )
    assert set(leaks.table_of(checks, "none")["verdict"]) == {"fails"}


def test_published_calibration_hides_no_other_leak(decoded):
    """It looks at the test set and may; a fit on test images under it may not."""
    train, test, Y = decoded
    planted = predict(np.concatenate([train, test]), test, Y, 10.0, "published")
    halves = leaks.Halves.of(train, test, np.arange(60))
    table = leaks.table_of(
        leaks.check_predictions(halves, Y[:60], 10.0, planted, "published", 0), "published"
    )
    assert table.set_index("check")["verdict"]["predictions, all"] == "fails"
    with pytest.raises(InputError, match=r"check “predictions, all”"):
        leaks.require(table, "subj01")


@pytest.mark.parametrize("calibration", ["train", "published"])
def test_what_is_no_number_fails(decoded, calibration):
    train, test, Y = decoded
    halves = leaks.Halves.of(train, test, np.arange(60))
    written = predict(train, test, Y[:60], 10.0, calibration)
    written[4] = np.nan
    checks = leaks.check_predictions(halves, Y[:60], 10.0, written, calibration, 0)
    table = leaks.table_of(checks, calibration)
    assert set(table["verdict"]) == {"fails"}
    with pytest.raises(InputError, match="expected no trace"):
        leaks.require(table, "subj01")


def test_constant_features_say_so(decoded):
    train, test, _ = decoded
    halves, constant = leaks.Halves.of(train, test, np.arange(60)), np.ones((60, 3))
    checks = leaks.check_predictions(halves, constant, 10.0, np.ones((21, 3)), "train", 0)
    assert {check.compared for check in checks} == {"none of the sampled features varies"}
    assert set(leaks.table_of(checks, "train")["verdict"]) == {"nothing to check"}


def test_two_test_images_are_too_few(decoded):
    train, test, Y = decoded
    written = predict(train, test[:2], Y[:60], 10.0, "train")
    checks = leaks.check_predictions(
        leaks.Halves.of(train, test[:2], np.arange(60)), Y[:60], 10.0, written, "train", 0
    )
    assert set(leaks.table_of(checks, "train")["verdict"]) == {"nothing to check"}


@pytest.mark.parametrize("groups", ["space", "parts"])
def test_alpha_knows_training_images_only(decoded, groups):
    train, test, Y = decoded
    settings = {**CV, "groups": groups}

    def curve(rows, features):
        return cross_validated_curve(Kernel.of(rows, test), features, PARTS, **settings, seed=2)

    def check(table):
        return leaks.check_alpha(Kernel.of(train, test), Y[:60], PARTS, table, settings, 2)

    honest = check(curve(train, Y[:60]))
    assert honest.difference <= honest.tolerance
    planted = check(curve(np.concatenate([train, test]), Y))  # test images in the folds
    assert planted.difference > 10 * planted.tolerance
    broken = curve(train, Y[:60]).assign(score=np.nan)
    assert leaks.table_of([check(broken)], "train")["verdict"].tolist() == ["fails"]
    fixed = check(fixed_curve(10.0))
    assert leaks.table_of([fixed], "train")["verdict"].tolist() == ["nothing to check"]


def test_controls_take_training_images():
    train_ids, test_ids = np.repeat(np.arange(10, 30), 2), np.arange(10)
    others = shuffled_images(train_ids, 0)
    assert leaks.check_shuffled(train_ids, others, test_ids).difference == 0
    others[3], others[7] = train_ids[3], 4
    assert leaks.check_shuffled(train_ids, others, test_ids).difference == 2
    assert leaks.check_shuffled(train_ids, others[1:], test_ids).difference == np.inf
    sources = {"random": np.array([10, 11]), "nearest": np.array([12, 5])}
    assert leaks.check_baselines(sources, test_ids).difference == 1
    assert leaks.check_baselines(sources, np.arange(5)).difference == 0


def test_worst_space_stands_for_a_check():
    checks = [leaks.Check("a", f"{k}", value, 0.5) for k, value in enumerate((0.1, 0.7))]
    checks.append(leaks.Check("a", "2", np.nan, 0.5, nothing=True))
    table = leaks.table_of([*checks, leaks.Check("b", "", 0.0, 0.0)], "train")
    assert table["check"].tolist() == ["a", "b"]
    assert table["difference"].tolist() == [0.7, 0.0]
    assert table["verdict"].tolist() == ["fails", "holds"]
    unknown = [leaks.Check("a", "", value, 0.5) for value in (0.1, np.nan, 0.2)]
    assert leaks.table_of(unknown, "train")["verdict"].tolist() == ["fails"]
