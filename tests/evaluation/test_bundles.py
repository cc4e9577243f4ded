"""Results to hand in: their schema, and which of them compare."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import made_up_bundles
from helpers.made_up_bundles import CHECKED, IDS, bundle, others

from neural_recon.core.errors import InputError
from neural_recon.evaluation import bundles, recipe_scores, statistics
from neural_recon.evaluation.bundles import Bundle
from neural_recon.evaluation.controls.leaks import FAILS, HOLDS, LOOKS, NOTHING
from neural_recon.evaluation.leak_statement import LeakStatement


def of(*ones):
    return bundles.groups({Path(f"{k}.json"): one for k, one in enumerate(ones)})


def test_a_file_says_the_same_when_it_is_read(tmp_path):
    for k, one in enumerate(made_up_bundles.five()):
        bundles.write(tmp_path / f"{k}.json", one)
        assert bundles.read(tmp_path / f"{k}.json") == one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "expected a result of version 1, found version 2; update"),
        ({"format": "other"}, "format: "),
        ({"more": 1}, "unknown key more"),
        ({"preset": "mine"}, "preset: "),
        ({"image_ids": IDS[::-1]}, "image_ids: expected ascending numbers"),
        ({"image_ids": IDS[:-1]}, r"expected 59, one per image, found 60"),
        ({"repetitions": [3]}, "repetitions: expected 60, one per image, found 1"),
        ({"scores": {"charm": {"values": [1.0] * 60, "chance": 0}}}, "unknown metric 'charm'"),
        ({"scores": {"ssim": {"values": [1.0], "chance": 0}}}, "scores.ssim: expected 60 values, found 1"),
        ({"scores": {}}, "scores: "),
        ({"name": "two\nlines"}, "name: expected one line"),
        ({"pictures_sha256": "no hash"}, "pictures_sha256: "),
    ],
)
def test_another_content_is_one_sentence(tmp_path, change, message):
    path = tmp_path / "one.json"
    path.write_text(json.dumps({**bundle("one", "subj01").model_dump(), **change}), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        bundles.read(path)
    assert str(caught.value).startswith(str(path))


def test_other_files_are_one_sentence(tmp_path):
    for name, text in (("list", "[]"), ("text", "no JSON"), ("nan", '{"version": NaN}')):
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="expected a result"):
            bundles.read(tmp_path / f"{name}.json")


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "mindeye2"},
        {"pictures_sha256": "d" * 64},
        {"repetitions": [3] * (len(IDS) - 1) + [2]},
        {"repetitions": 1.0},
        {"repetitions": None},
        {"simulated": True},
        {"image_ids": [i + 1 for i in IDS]},
    ],
)
def test_only_results_of_the_same_conditions_are_in_one_group(change):
    first, second = bundle("one", "subj01"), bundle("two", "subj01", 0.4)
    assert len(of(first, second)) == 1
    assert len(of(first, bundle("two", "subj01", 0.4, **change))) == 2


def test_repetitions_as_a_number_are_those_of_each_image():
    (group,) = of(bundle("one", "subj01"), others("pictures", "subj01", 0.6))
    assert group.key.repeated == "3"
    unequal = bundle("one", "subj01", repetitions=[3, 2] * (len(IDS) // 2))
    assert of(unequal)[0].key.repeated == "2.50 on average"


def test_scores_and_tests_are_those_of_a_comparison_of_recipes():
    five = made_up_bundles.five()
    (group,) = of(*five)
    values = {(one.name, one.subject): np.array(one.scores["pixcorr"].values) for one in five}
    rows = group.scores[group.scores["metric"] == "pixcorr"].set_index(["recipe", "subject"])
    for who, mine in values.items():
        assert rows.loc[who, "mean"] == pytest.approx(mine.mean())
        interval = statistics.bootstrap_interval(mine, bundles.SEED)
        assert tuple(rows.loc[who, ["ci_low", "ci_high"]]) == pytest.approx(interval)
        assert rows.loc[who, "chance"] == 0.02
    # the pictures are of one subject alone, and have no mean
    with_mean = {name for name, subject in rows.index if subject == recipe_scores.MEAN}
    assert with_mean == {"brain_diffuser", "takagi"}
    tests = group.tests[group.tests["metric"] == "pixcorr"].set_index(["subject", "first", "second"])
    assert len(tests) == 3 + 1  # of subjects with each other none
    a, b = values["takagi", "subj01"], values["a lab's pictures", "subj01"]
    row = tests.loc[("subj01", "takagi", "a lab's pictures")]
    assert row["difference"] == pytest.approx((a - b).mean())
    assert row["p"] < row["p_holm"] <= 1


def test_images_without_a_number_are_left_out_of_means_and_tests():
    first = bundle("one", "subj01")
    values = [None, *first.scores["ssim"].values[1:]]
    holed = {**first.scores, "ssim": bundles.Scored(values=values, chance=None)}
    empty = {**holed, "pixcorr": bundles.Scored(values=[None] * len(IDS), chance=None)}
    (group,) = of(bundle("two", "subj01", 0.4), Bundle(**{**dict(first), "scores": empty}))
    tests = group.tests.set_index("metric")
    assert tests.loc["ssim", "n"] == len(IDS) - 1
    assert "pixcorr" not in tests.index
    rows = group.scores.set_index(["recipe", "metric"])
    assert rows.loc[("one", "ssim"), "mean"] == pytest.approx(np.mean(values[1:]))
    assert np.isnan(rows.loc[("one", "pixcorr"), "mean"])


def test_one_name_and_subject_twice_in_a_group_is_refused():
    with pytest.raises(InputError, match=r"1.json: expected another name or subject than in 0.json"):
        of(bundle("one", "subj01"), bundle("one", "subj01", 0.4))
    assert len(of(bundle("one", "subj01"), bundle("one", "subj02"))[0].bundles) == 2


@pytest.mark.parametrize(
    ("changed", "badge"),
    [
        ({}, "leak-free"),
        ({"calibration": "none"}, "leak-free"),
        ({"calibration": "published"}, "looks at the test set"),
        ({"checks": {"predictions, others": LOOKS}}, "looks at the test set"),
        ({"checks": {"images": HOLDS, "alpha": FAILS}}, "checks fail"),
        ({"checks": {"alpha": NOTHING}}, "nothing was checked"),
        ({"checks": None}, "not checked"),
        ({"tuned": "betas_fithrf_GLMdenoise_RR"}, "checks hold, betas tuned"),
        ({"tuned": "betas", "checks": None}, "not checked"),
    ],
)
def test_only_what_all_checks_hold_for_is_called_free_of_leaks(changed, badge):
    statement = LeakStatement(**{**CHECKED.model_dump(), **changed})
    assert statement.badge == badge
    assert statement.free == (badge == "leak-free")


def test_pictures_are_told_apart_by_their_content_and_size(rng):
    pictures = rng.integers(0, 255, (120, 8, 8, 3), dtype=np.uint8)

    def digest(values, ids):
        return bundles.digest_of(lambda wanted: values[np.asarray(wanted)], ids)

    ids = list(range(120))
    assert digest(pictures, ids) == digest(pictures.copy(), ids)
    changed = pictures.copy()
    changed[100, 0, 0, 0] ^= 1
    same_bytes = pictures.reshape(120, 4, 16, 3)
    assert (
        len(
            {digest(pictures, ids), digest(changed, ids), digest(same_bytes, ids), digest(pictures, ids[:-1])}
        )
        == 4
    )


def test_scores_are_taken_in_the_order_of_the_images():
    table = pd.DataFrame({"metric": "ssim", "image_id": [5, 3, 9], "value": [0.5, 0.3, np.nan]})
    found = bundles.scored(table, {"ssim": 0.1}, [3, 5, 9])
    assert found == {"ssim": bundles.Scored(values=[0.3, 0.5, None], chance=0.1)}
