"""Captions as answers: which caption is nearest, and its two scores with their controls."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from neural_recon import features
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.evaluation import captions
from neural_recon.evaluation.captions import content_words, nearest_captions, score_captions, words_matrix
from neural_recon.evaluation.registry import NEAREST, WRITTEN
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.features.feature_files import write_chunk

# counts of letters: a text encoder that anybody can check
LETTERS = """
import numpy as np
from neural_recon.features.space import Space, averaged

class Letters(Space):
    class Settings(Space.Settings):
        first: str = "a"
    title, reads = "letters", "captions"
    def encode(self, batch, image_ids):
        start = ord(self.settings.first)
        def count(texts):
            return np.array([[[text.count(chr(k)) for k in range(start, 123)]] for text in texts], np.float32)
        means = averaged(batch, count)
        self.parts = [means.shape[2]]
        return means[:, 0]
"""
THINGS = ["cat", "dog", "red bus", "zebra", "pizza", "kite", "boat", "clock", "girl", "vase"]
PLACES = ["in a field", "on a street", "near the sea", "at home"]
TRAIN, TEST = np.arange(10, 30), np.arange(10)


def sentences(image_id: int) -> list[str]:
    """Five captions of an image; no two images share one."""
    thing, place = THINGS[image_id % 10], PLACES[image_id // 8]
    return [f"{many} {thing} number {image_id} {place}" for many in ("a", "the", "one", "some", "this")]


def test_content_words_are_those_that_say_what_is_to_be_seen():
    assert content_words("Two dogs and the GLASS of a bus are on top of it.") == {"dog", "glass", "bus"}
    assert content_words("A man's dog; 3 people, trees") == {"man", "dog", "people", "tree"}
    assert content_words("Un été à la plage") == {"un", "été", "la", "plage"}
    assert content_words("a picture of the") == frozenset()


def test_words_in_common_counted_by_hand():
    truth = [["A cat on a mat.", "Cats sleeping"], ["A red bus"], ["the"]]
    said = ["two cats on a bus", "a sleeping red cat", "of the"]
    expected = [[1 / 2, 2 / 3, 0], [1 / 2, 1 / 3, 0], [0, 0, 0]]
    np.testing.assert_allclose(words_matrix(truth, said), expected)
    assert words_matrix([["the"]], ["of"]).tolist() == [[0]]


def test_the_nearest_caption_is_that_of_the_highest_correlation(rng):
    table = {f"caption {k}": rng.standard_normal(40) for k in range(23)}
    table["again"] = table["caption 3"]  # of equally near ones the first
    predicted = {"decoded": rng.standard_normal((6, 40)), "shuffled": rng.standard_normal((4, 40))}
    predicted["decoded"][0] = 3 * table["caption 3"] + 1

    def encode(texts):
        return np.array([table[text] for text in texts], np.float32)

    for block in (4, 500):
        found = nearest_captions(predicted, list(table), encode, block)
        for fit, rows in predicted.items():
            r = np.corrcoef(rows, np.array(list(table.values())))[: len(rows), len(rows) :]
            assert found[fit] == [list(table)[k] for k in r.round(6).argmax(1)]
        assert found["decoded"][0] == "caption 3"


class Data:
    """A data set with captions."""

    offers = frozenset({"captions"})

    def captions(self, image_ids, empty_ok=False):
        return [[] if int(i) == self.bare and empty_ok else sentences(int(i)) for i in image_ids]

    def __init__(self, bare: int = -1):
        self.bare = bare


@pytest.fixture
def space(tmp_path):
    (tmp_path / "letters.py").write_text(LETTERS)
    return "text", {"kind": str(tmp_path / "letters.py")}


@pytest.fixture
def files(tmp_path, rng, space):
    """A decoder that knows the test images' captions but for noise, and one on shuffled pairs."""
    trials = pd.DataFrame({"image_id": np.r_[TEST, TRAIN], "split": ["test"] * 10 + ["train"] * 20})
    trials.to_parquet(tmp_path / "trials.parquet")
    loaded = features.load(*space)
    ids = np.r_[TRAIN, TEST]
    values = loaded.encode([sentences(int(i)) for i in ids], ids)
    write_chunk(tmp_path / "features/text/all_000.h5", values, np.zeros(30, bool), ids, {})
    decoded = values[20:] + 0.05 * rng.standard_normal((10, values.shape[1]))
    for fit, rows in (("decoded", decoded), ("shuffled", decoded[rng.permutation(10)])):
        write_hdf5(tmp_path / f"predictions/text/{fit}.h5", {"predictions": rows, "image_id": TEST}, {})
    for variant in ("decoded", "shuffled", "swapped"):
        arrays = {"images": np.zeros((10, 2, 2, 3), np.uint8), "image_id": TEST}
        write_hdf5(tmp_path / f"final/{variant}.h5", arrays, {})
    return SimpleNamespace(
        trials=tmp_path / "trials.parquet",
        features=[str(tmp_path / "features/text/all_000.h5")],
        predictions=[str(tmp_path / f"predictions/text/{fit}.h5") for fit in ("decoded", "shuffled")],
        final=[str(tmp_path / f"final/{variant}.h5") for variant in ("decoded", "shuffled", "swapped")],
    )


def test_an_answer_is_a_training_caption_and_scored_beside_chance_ceiling_and_shuffled(files, space):
    scores = Scores("subj01", 0, 200)
    answers = score_captions(scores, files, Data(), space, None)
    table = scores.summary_table().set_index(["variant", "picture", "metric"])["mean"]
    decoded, ceiling, shuffled = (table[fit, NEAREST] for fit in ("decoded", "true_features", "shuffled"))
    for metric in ("caption_two_way", "caption_words"):
        assert min(ceiling[metric], decoded[metric]) > shuffled[metric]
    assert decoded["caption_two_way"] > 0.8
    # by hand: the things are the same in training, the number never is
    told = answers[answers["picture"] == NEAREST]
    training = {text for i in TRAIN for text in sentences(int(i))}
    assert set(told["caption"]) <= training
    assert not {text for i in TEST for text in sentences(int(i))} & training
    mine = told[told["variant"] == "decoded"].set_index("image_id")["caption"]
    shares = [
        np.mean([word in set().union(*map(content_words, sentences(i))) for word in content_words(mine[i])])
        for i in TEST
    ]
    assert decoded["caption_words"] == pytest.approx(np.mean(shares))
    encoder = features.load(*space)
    true = encoder.encode([sentences(int(i)) for i in TEST], TEST)
    said = encoder.encode([[mine[i]] for i in TEST], TEST)
    r = np.corrcoef(true, said)[:10, 10:]
    wins = [(r[j, j] > np.delete(r[:, j], j)).mean() for j in range(10)]
    assert decoded["caption_two_way"] == pytest.approx(np.mean(wins))
    summary = scores.summary_table()
    assert np.isfinite(summary[["ci_low", "ci_high", "shuffled", "p"]]).all(axis=None)
    chance = summary.set_index(["variant", "metric"])["shuffled"]
    assert chance["decoded", "caption_two_way"] == pytest.approx(0.5, abs=0.05)
    # what was seen comes along, for pages
    seen = answers[answers["picture"] == captions.SEEN]
    assert seen.loc[seen["image_id"] == 4, "caption"].tolist() == sentences(4)
    tests = scores.comparisons().set_index(["comparison", "metric"])
    assert tests.loc[("nearest caption against the shuffled decoder", "caption_words"), "p"] < 0.05


def write_pictures(files, captions, ids=TEST, variant="decoded"):
    """Pictures with the captions that their generator decoded."""
    path = next(path for path in files.final if Path(path).stem == variant)
    arrays = {"images": np.zeros((len(ids), 2, 2, 3), np.uint8), "image_id": np.array(ids)}
    write_hdf5(path, {**arrays, "caption": np.array(captions)}, {})


def test_what_a_generator_writes_is_scored_by_the_same(files, space):
    write_pictures(files, [sentences(int(i))[0] for i in TEST[::-1]], TEST[::-1])
    write_pictures(files, ["", "the", *sentences(9)[:2]], [3, 2, 1, 0], "shuffled")
    write_pictures(files, [sentences(9)[0]] * 10, variant="swapped")  # another's guides: no answer of its own
    scores = Scores("subj01", 0, 200)
    answers = score_captions(scores, files, Data(), space, None)
    found = scores.summary_table().set_index(["variant", "picture", "metric"])
    assert found.loc[("decoded", WRITTEN, "caption_two_way"), "mean"] == 1
    assert found.loc[("decoded", WRITTEN, "caption_words"), "mean"] == 1
    assert found.loc[("shuffled", WRITTEN, "caption_words"), "n"] == 4
    assert found.loc[("shuffled", WRITTEN, "caption_words"), "mean"] < 0.2
    assert (answers["picture"] == WRITTEN).sum() == 14
    # a recipe without text has these alone, and no encoder unless the configuration names one
    alone = Scores("subj01", 0, 200)
    score_captions(alone, files, Data(), None, None)
    reasons = alone.summary_table().set_index(["variant", "metric"])["not_measured"]
    assert reasons["decoded", "caption_two_way"].startswith("the recipe has no text encoder")
    assert reasons["decoded", "caption_words"] == ""
    named = Scores("subj01", 0, 200)
    score_captions(named, files, Data(), None, space[1])
    assert named.summary_table()["not_measured"].eq("").all()


def test_another_encoder_scores_what_the_recipes_own_chose(files, space):
    own, other = Scores("subj01", 0, 200), Scores("subj01", 0, 200)
    first = score_captions(own, files, Data(), space, None)
    second = score_captions(other, files, Data(), space, {**space[1], "first": "p"})
    pd.testing.assert_frame_equal(first, second)
    by_metric = [scores.summary_table().set_index(["variant", "metric"])["mean"] for scores in (own, other)]
    words, two_way = (
        [table["decoded", metric] for table in by_metric] for metric in ("caption_words", "caption_two_way")
    )
    assert words[0] == words[1]
    assert two_way[0] != two_way[1]


def test_without_captions_there_is_no_answer_and_no_score(files, space):
    scores = Scores("subj01", 0, 200)
    bare = SimpleNamespace(offers=frozenset())
    assert score_captions(scores, files, bare, space, None).empty
    assert score_captions(scores, files, Data(), None, None).empty
    assert not scores.summary
    # an image without one is left out where nothing is predicted from captions
    write_pictures(files, ["a cat"] * 10)
    score_captions(scores, files, Data(bare=3), None, space[1])
    assert set(scores.summary_table()["n"]) == {9}
