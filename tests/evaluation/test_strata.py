"""Scores by stratum, trends, and single regions' tests: by hand, with planted effects and without any."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from helpers.made_up_strata import images_of

from neural_recon.core.errors import InputError
from neural_recon.evaluation import region_tests, statistics, strata
from neural_recon.evaluation.regions import RANDOM, REGION
from neural_recon.evaluation.subject_scores import Scores


def table(ids, values, variant="decoded", picture="final", metric="clip_two_way", chance=0.5):
    return pd.DataFrame({"variant": variant, "picture": picture, "metric": metric, "image_id": ids,
                         "value": values, "chance": chance})  # fmt: skip


def series(values):
    return pd.Series(values, np.arange(100, 100 + len(values)))


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ({1: 60, 2: 40}, {"1": 60, "2": 40}),
        ({0: 3, 1: 20, 2: 21, 3: 9, 4: 9, 7: 2, 12: 1}, {"0 to 1": 23, "2": 21, "3 or more": 21}),
        ({1: 5, 2: 2}, {"1 or more": 7}),
        ({0: 10, 1: 12, 2: 4}, {"0": 10, "1 or more": 16}),
        (dict.fromkeys(range(10), 100), {"0 to 1": 200, "2 to 3": 200, "4 to 5": 200, "6 to 7": 200,
                                       "8 or more": 200}),
    ],
)  # fmt: skip
def test_numbers_are_pooled(numbers, wanted, rng):
    drawn = series(rng.permutation([number for number, count in numbers.items() for _ in range(count)]))
    found = strata.by_number(drawn)
    assert found.value_counts(sort=False).to_dict() == wanted
    assert (found.index == drawn.index).all()
    for name in wanted:
        inside = drawn[found == name]
        assert str(inside.min()) == name.split()[0]


def test_categories_are_pooled():
    names = ["dog"] * 9 + ["cat"] * 8 + ["car"] * 7 + [""] * 8 + ["bus"]
    found = strata.by_category(series(names))
    assert found.value_counts(sort=False).to_dict() == {"dog": 9, "cat": 8, "no object": 8, "others": 8}
    assert found.cat.categories[-1] == "others"


@pytest.mark.parametrize(("n", "count"), [(100, 4), (31, 3), (16, 2), (9, 1), (3, 1)])
def test_quantiles_are_even(rng, n, count):
    values = series(rng.random(n))
    found = strata.by_quantile(values)
    sizes = found.value_counts(sort=False)
    assert len(sizes) == count
    assert sizes.max() - sizes.min() <= 1
    for lower, upper in zip(found.cat.categories[:-1], found.cat.categories[1:], strict=True):
        assert values[found == lower].max() < values[found == upper].min()
    assert strata.by_quantile(series([0.5] * 20)).nunique() == 1


@pytest.mark.parametrize("spread", [1e-4, 1e-3, 2e-3, 0.5])
def test_close_similarities_have_names_of_their_own(rng, spread):
    values = series(0.9 + spread * rng.random(60))
    found = strata.by_quantile(values)
    names = list(found.cat.categories)
    assert len(set(names)) == len(names) == found.nunique()
    if spread == 0.5:
        assert len(names) == 4
    assert found.notna().all()


def test_nearest_is_brute_force(rng):
    test, train = rng.standard_normal((6, 5)), rng.standard_normal((9, 5)) * 7
    similarity, row = strata.nearest(test, train)
    for k, vector in enumerate(test):
        cosines = [vector @ other / np.linalg.norm(vector) / np.linalg.norm(other) for other in train]
        assert row[k] == np.argmax(cosines)
        assert similarity[k] == pytest.approx(max(cosines))


def test_per_image_joins_by_id(rng):
    tokens = rng.standard_normal((5, 4))
    content = pd.DataFrame(
        {"image_id": [9, 7, 8, 5], "n_objects": [1, 2, 3, 4], "main_category": list("abcd")}
    )
    images = strata.per_image(np.array([7, 9]), tokens[:2], np.array([40, 50, 60]), tokens[2:], content)
    assert images["n_objects"].tolist() == [2, 1]
    assert set(images["nearest_id"]) <= {40, 50, 60}
    assert list(strata.strata_of(images)) == [strata.OBJECTS, strata.CATEGORY, strata.SIMILARITY]
    without = strata.per_image(np.array([7, 9]), tokens[:2], np.array([40, 50, 60]), tokens[2:], None)
    assert list(strata.strata_of(without)) == [strata.SIMILARITY]
    with pytest.raises(InputError, match="row for each test image, found none for image 3"):
        strata.per_image(np.array([3, 9]), tokens[:2], np.array([40, 50, 60]), tokens[2:], content)


def test_scores_of_strata_are_brute_force(rng):
    """Against means taken by hand; chance against re-pairing the stratum's truths with all pictures."""
    ids = np.arange(100, 130)
    matrix = rng.random((30, 30)) + np.eye(30)
    scores = Scores("subj01", 0, 100)
    scores.add("decoded", "final", "pixcorr", ids, matrix)
    images = scores.image_table()
    images.loc[images["image_id"] == 103, "value"] = np.nan  # not measured
    members = pd.Series(pd.Categorical(["a"] * 12 + ["b"] * 11 + ["c"] * 7), ids)
    found = strata.score_strata("subj01", images, {"kind": members}, 0)
    found = found.set_index("stratum")
    assert list(found.index) == [strata.ALL, "a", "b", "c"]
    rows = np.setdiff1d(np.arange(12), [3])
    assert found.loc["a", "n"] == 11
    assert found.loc["a", "mean"] == pytest.approx(np.diagonal(matrix)[rows].mean())
    drawn = [matrix[rows, rng.permutation(30)[:11]].mean() for _ in range(4000)]
    assert found.loc["a", "chance"] == pytest.approx(np.mean(drawn), abs=0.01)
    assert found.loc["a", "ci_low"] < found.loc["a", "mean"] < found.loc["a", "ci_high"]
    assert found.loc["c", "n"] == 7
    assert found.loc["c", ["mean", "ci_low", "ci_high", "chance"]].isna().all()
    assert found.loc["c", "not_measured"] == "fewer than 8 images"
    assert (found.loc[[strata.ALL, "a", "b"], "not_measured"] == "").all()


def test_rare_successes_get_no_verdict(rng):
    """Sign flips of 0 or 1 less chance call a guesser better (or worse) than chance far too often."""
    flips = [statistics.paired_permutation(1.0 * (rng.random(8) < 0.1), np.full(8, 0.1), k, 1000)
             for k in range(60)]  # fmt: skip
    assert np.mean(np.array(flips) < 0.05) > 0.2
    scores = table(np.arange(40), 1.0 * (rng.random(40) < 0.1), metric="object", chance=0.1)
    found = strata.score_strata("subj01", scores, {}, 0)
    assert found["mean"].notna().all()
    assert "p" not in found


def test_only_decoder_and_controls_are_scored():
    kinds = [("decoded", "final"), ("swapped", "final"), ("seed1", "final"), ("mean_image", "baseline")]
    scores = pd.concat([table([1], [0.5], *kind) for kind in kinds])
    found = strata.scored(scores)
    assert list(zip(found["variant"], found["picture"], strict=True)) == [kinds[0], kinds[3]]


def p_of(rng, seed, effect, by):
    images = images_of(rng)
    size = {strata.OBJECTS: -images["n_objects"] / 5, strata.SIMILARITY: images["similarity"],
            strata.CATEGORY: (images["main_category"] == "cat").astype(float)}[by]  # fmt: skip
    value = rng.normal(0.8, 0.1, len(images)) + effect * size
    found = strata.trends("subj01", table(images["image_id"], value), images, seed)
    return found.set_index("by").loc[by, ["effect", "p"]]


@pytest.mark.parametrize(("by", "sign"), [(strata.OBJECTS, -1), (strata.SIMILARITY, 1), (strata.CATEGORY, 1)])
def test_planted_trend_is_found_and_none_is_not(rng, by, sign):
    effect, p = p_of(rng, 0, 0.3, by)
    assert sign * effect > 0.2
    assert p < 0.01
    none = [p_of(rng, seed, 0, by)["p"] for seed in range(12)]
    assert np.mean(np.array(none) > 0.05) >= 0.75


def test_statistics_agree_with_scipy(rng):
    x, y = rng.integers(0, 4, 40), rng.random(40)
    rho, p = statistics.trend_permutation(x, y, 0)
    wanted = scipy.stats.spearmanr(x, y)
    assert rho == pytest.approx(wanted.statistic)
    assert p == pytest.approx(wanted.pvalue, abs=0.05)
    eta, p = statistics.groups_permutation(x, y, 0)
    f, wanted = scipy.stats.f_oneway(*(y[x == k] for k in range(4)))
    assert eta == pytest.approx(3 * f / (3 * f + 36))
    assert p == pytest.approx(wanted, abs=0.05)
    for degenerate in (np.zeros(40), np.ones(40)):
        assert np.isnan(statistics.trend_permutation(degenerate, y, 0)).all()
        assert np.isnan(statistics.groups_permutation(degenerate, y, 0)).all()


def test_holm_is_step_down():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(statistics.holm(p), [0.03, np.nan, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(statistics.holm(np.array([0.9, 0.8])), [1, 1])
    assert len(statistics.holm(np.array([]))) == 0


@pytest.mark.parametrize("family", [1, 36, 468, 5000])
def test_a_clear_difference_can_pass_the_correction(family, monkeypatch):
    assert family / (1 + region_tests.permutations(family)) < 0.05
    asked = []
    monkeypatch.setattr(statistics, "paired_permutation", lambda *given: asked.append(given[3]) or 1)
    ids = np.arange(16)
    rows = pd.DataFrame({"region": np.repeat(np.arange(family), 16), "space": "base", "metric": "two_way",
                         "image_id": np.tile(ids, family), region_tests.OWN: 0.5, "chance": 0.5,
                         RANDOM: 0.5, region_tests.ALL: 0.5})  # fmt: skip
    if family < 100:
        region_tests.paired("subj01", rows, 0)
        strata_of = {"kind": pd.Series(pd.Categorical(["a"] * 9 + ["b"] * 7), ids)}  # b is too small
        region_tests.by_strata("subj01", rows, strata_of, 0)
        assert asked == [region_tests.permutations(family)] * 3 * family


@pytest.fixture
def by_region(rng):
    """Regions good and poor: the first beats random voxels by 0.1, and all voxels on three objects."""
    ids = np.arange(60)
    images = pd.DataFrame({"image_id": ids, "similarity": rng.random(60),
        "n_objects": np.repeat([1, 2, 3], 20),
                           "main_category": np.tile(["dog", "cat", "bus"], 20)})  # fmt: skip
    crowded = (images["n_objects"] == 3).to_numpy()
    every = rng.normal(0.8, 0.02, 60)
    values = {"good": every + 0.1 * crowded, "poor": every.copy()}
    tables = {}
    for name, value in values.items():
        noise = rng.normal(0, 0.02, (2, 60))
        tables[name] = pd.concat(
            [
                table(ids, value + noise[0], REGION, "base"),
                table(ids, value - 0.1 * (name == "good") + noise[1], RANDOM, "base"),
            ]
        )
    everything = pd.concat([table(ids[::-1], every[::-1], picture="base"), table(ids, every)])
    return region_tests.joined(tables, everything), images


def test_regions_are_compared_image_by_image(by_region):
    scores, images = by_region
    assert len(scores) == 2 * 60
    tests = region_tests.paired("subj01", scores, 0).set_index(["region", "against"])
    assert list(tests.reset_index().columns) == [
        "region", "against", *(c for c in region_tests.TESTS if c not in ("region", "against"))
    ]  # fmt: skip
    good = tests.loc["good", RANDOM]
    mine = scores[scores["region"] == "good"]
    assert good["first"] - good["second"] == pytest.approx((mine[region_tests.OWN] - mine[RANDOM]).mean())
    assert good["p"] < 0.001
    assert good["p_holm"] == pytest.approx(2 * good["p"])  # two regions against random voxels
    assert tests.loc["poor", "p"].min() > 0.01
    assert set(tests["n"]) == {60}

    found = region_tests.by_strata("subj01", scores, strata.strata_of(images), 0)
    assert tuple(found.columns) == tuple(region_tests.BY_STRATUM)
    crowds = found[(found["by"] == strata.OBJECTS) & (found["region"] == "good")].set_index("stratum")
    assert crowds["p_holm"].lt(0.05).to_dict() == {"1": False, "2": False, "3": True}
    assert crowds.loc["3", "mean"] - crowds.loc["3", "all_voxels"] == pytest.approx(0.1, abs=0.02)
    assert (crowds["p_holm"] >= crowds["p"]).all()
    assert set(crowds["chance"]) == {0.5}
    assert (found[found["region"] == "poor"]["p_holm"] > 0.05).all()


def test_small_strata_of_regions_have_no_figure(by_region):
    scores, _ = by_region
    few = pd.Series(pd.Categorical(["few"] * 7 + ["many"] * 53), np.arange(60))
    found = region_tests.by_strata("subj01", scores, {"kind": few}, 0)
    small = found[found["stratum"] == "few"]
    assert small[["mean", "all_voxels", "p", "p_holm"]].isna().all().all()
    assert (small["not_measured"] == "fewer than 8 images").all()
    assert found[found["stratum"] == "many"]["p_holm"].notna().all()


def test_scores_against_ceilings_are_those_of_scipy_and_of_final_images_alone(rng):
    ids = np.arange(100, 160)
    ceilings = pd.DataFrame({"image_id": ids, "repetitions": 3, "noise_ceiling": rng.random(60)})
    ceilings.loc[:4, "noise_ceiling"] = np.nan  # shown once
    values = ceilings["noise_ceiling"].fillna(0) + rng.normal(0, 0.2, 60)
    scores = pd.concat([
        table(ids, values), table(ids, -values, picture="base"), table(ids, 1.0, metric="object"),
        table(ids[:9], values[:9], metric="pixcorr"),
    ])  # fmt: skip
    found = strata.by_ceiling("subj01", scores, ceilings, 0)
    assert list(found) == strata.CEILING_TRENDS
    assert list(found["metric"]) == ["clip_two_way", "object"]  # too few have a pixcorr and a ceiling
    first, constant = found.to_dict("records")
    expected = scipy.stats.spearmanr(ceilings["noise_ceiling"][5:], values[5:])
    assert first["rho"] == pytest.approx(expected.statistic)
    assert (first["n"], first["p"]) == (55, pytest.approx(1 / 2001))
    assert first["ci_low"] < first["rho"] < first["ci_high"]
    assert np.isnan(constant["rho"])
    assert np.isnan(constant["ci_low"])


def test_the_interval_of_a_rank_correlation_is_scipy_s_bootstrap(rng):
    x = rng.random(80)
    y = x + rng.normal(0, 0.4, 80)
    low, high = statistics.rank_interval(x, y, 0, resamples=4000)
    other = scipy.stats.bootstrap(
        (x, y), lambda a, b: scipy.stats.spearmanr(a, b).statistic, paired=True, vectorized=False,
        n_resamples=4000, method="percentile", rng=1,
    ).confidence_interval  # fmt: skip
    assert (low, high) == (pytest.approx(other.low, abs=0.015), pytest.approx(other.high, abs=0.015))
