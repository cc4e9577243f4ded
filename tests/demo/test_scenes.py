"""The demo's little pictures and their captions."""

import itertools
from collections import Counter

import numpy as np
import pytest
import yaml
from helpers.places import ROOT

from neural_recon.config.sections import Demo
from neural_recon.demo import captions, scenes
from neural_recon.demo.objects import COLOURS
from neural_recon.demo.scenes import BACKGROUNDS, KINDS, Object, Scene, render, sample
from neural_recon.demo.training.pictures import TRAINING_STREAM


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    return [sample(20, index) for index in range(1000)]


def test_scene_belongs_to_seed_and_index():
    assert sample(20, 5) == sample(20, 5)
    assert render(sample(20, 5), 64).tobytes() == render(sample(20, 5), 64).tobytes()
    different = {render(sample(seed, index), 32).tobytes() for seed in (20, 21) for index in range(40)}
    assert len(different) == 80
    # neither the order of drawing nor the global generator matters
    np.random.seed(0)  # noqa: NPY002
    first = sample(20, 6)
    sample(3, 3)
    np.random.seed(1)  # noqa: NPY002
    assert sample(20, 6) == first


@pytest.mark.parametrize("side", [1, 64, 850])
def test_the_sky_runs_from_top_to_bottom_alone(side):
    for stops in scenes._SKIES.values():
        sky = np.asarray(scenes._gradient(side, stops))
        heights, colours = zip(*stops, strict=True)
        rows = np.linspace(0, 1, side)
        channels = [np.interp(rows, heights, channel) for channel in zip(*colours, strict=True)]
        column = np.stack(channels, -1).astype(np.uint8)
        np.testing.assert_array_equal(sky, np.broadcast_to(column[:, None], (side, side, 3)))


def test_training_sees_other_scenes_than_the_demo(drawn):
    seeds = {Demo().seed}
    for path in (ROOT / "config").glob("*.yaml"):
        demo = yaml.safe_load(path.read_text(encoding="utf-8")).get("demo") or {}
        seeds.add(demo.get("seed", Demo().seed))
    assert TRAINING_STREAM not in seeds
    trained = {sample(TRAINING_STREAM, index) for index in range(1000)}
    assert len(trained) == 1000
    assert not trained & set(drawn)
    # nor is one scene the other but for its details
    assert not {s.objects for s in trained} & {s.objects for s in drawn}


def test_every_kind_colour_and_background_is_about_as_frequent(drawn):
    assert len(set(KINDS)) == len(KINDS) >= 12
    assert len(set(BACKGROUNDS)) == len(BACKGROUNDS) >= 6
    for names, found in (
        (KINDS, Counter(scene.objects[0].kind for scene in drawn)),
        (COLOURS, Counter(scene.objects[0].colour for scene in drawn)),
        (BACKGROUNDS, Counter(scene.background for scene in drawn)),
    ):
        assert set(found) == set(names)
        share = 1000 / len(names)
        assert all(0.6 * share < count < 1.5 * share for count in found.values()), found


def test_the_main_object_is_the_largest_and_lies_within(drawn):
    two = [scene for scene in drawn if len(scene.objects) == 2]
    assert {len(scene.objects) for scene in drawn} == {1, 2}
    assert len(two) / 1000 == pytest.approx(scenes.SECOND_OBJECT, abs=0.05)
    for scene in two:
        assert scene.objects[0].size > scene.objects[1].size
        second = scene.objects[1]
        assert second.size / 2 <= second.x <= 1 - second.size / 2
        # it is not hidden behind the main one
        assert abs(scene.objects[0].x - second.x) > 0.15


@pytest.mark.parametrize("index", range(8))
def test_sizes_show_the_same_scene(index):
    scene = sample(7, index)
    small, large = render(scene, 64), render(scene, 425)
    assert small.shape == (64, 64, 3)
    assert large.shape == (425, 425, 3)
    assert small.dtype == large.dtype == np.uint8
    # fields of a sixteenth of the side, by hand: 425 is no multiple
    edges = np.linspace(0, 425, 17).round().astype(int)
    fields = np.array(
        [
            [large[a:b, c:d].mean((0, 1)) for c, d in itertools.pairwise(edges)]
            for a, b in itertools.pairwise(edges)
        ]
    )
    difference = np.abs(small.reshape(16, 4, 16, 4, 3).mean((1, 3)) - fields)
    assert difference.mean() < 3
    assert difference.max() < 40
    other = render(sample(7, index + 100), 64).reshape(16, 4, 16, 4, 3).mean((1, 3))
    assert np.abs(other - fields).mean() > 20


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_shows_its_colour_and_its_side(kind):
    def picture(colour, mirrored=False):
        return render(Scene("room", (Object(kind, colour, 0.5, 0.5, 0.6, mirrored),), 1), 64).astype(int)

    # the object's square, without the background around it
    inside = (slice(12, 52), slice(12, 52))
    red, blue = picture("red")[inside], picture("blue")[inside]
    changed = np.abs(red - blue).sum(-1) > 60
    assert changed.mean() > 0.03
    assert (red[changed][:, 0] > blue[changed][:, 0]).mean() > 0.9
    pictures = [picture(colour).tobytes() for colour in COLOURS]
    assert len(set(pictures)) == len(COLOURS)


def test_backgrounds_and_kinds_all_look_different():
    places = [render(Scene(name, (), 1), 32).astype(int) for name in BACKGROUNDS]
    things = [
        render(Scene("snow", (Object(k, "red", 0.5, 0.5, 0.7, False),), 1), 32).astype(int) for k in KINDS
    ]
    for pictures in (places, things):
        for a in range(len(pictures)):
            assert min(np.abs(pictures[a] - p).mean() for p in pictures[:a] + pictures[a + 1 :]) > 4


def test_details_differ_from_scene_to_scene():
    for name in BACKGROUNDS:
        assert (render(Scene(name, (), 1), 32) != render(Scene(name, (), 2), 32)).any(), name


def test_five_captions_name_what_is_there(drawn):
    for scene in drawn:
        texts = captions.captions(scene, 20)
        assert len(set(texts)) == 5
        main = scene.objects[0]
        for text in texts:
            assert text[0].isupper()
            assert text.endswith(".")
            assert "{" not in text
            assert "  " not in text
            low = text.lower()
            assert any(name.format(main.colour) in low for name in captions.NAMES[main.kind]), text
            assert main.colour in low
            assert sum(any(p in low for p in places) for places in captions.PLACES.values()) >= 1
            assert any(place in low for place in captions.PLACES[scene.background]), text
        if len(scene.objects) == 2:
            second = scene.objects[1]
            named = [
                any(n.format(second.colour) in t.lower() for n in captions.NAMES[second.kind]) for t in texts
            ]
            assert sum(named) >= 4


def test_captions_belong_to_seed_and_scene():
    scene = sample(20, 3)
    assert captions.captions(scene, 1) == captions.captions(scene, 1)
    assert len({tuple(captions.captions(scene, seed)) for seed in range(5)}) > 1


def test_articles_and_sides():
    orange = Scene("beach", (Object("car", "orange", 0.2, 0.5, 0.55, False),), 4)
    texts = [text for seed in range(5) for text in captions.captions(orange, seed)]
    assert any("on the left" in text for text in texts)
    assert not any(" a orange" in text.lower() or text.startswith("A orange") for text in texts)
    assert any("n orange" in text for text in texts)
    pair = Scene("beach", (orange.objects[0], Object("cat", "red", 0.7, 0.7, 0.3, False)), 4)
    assert "to its right" in " ".join(captions.captions(pair, 0))


def test_every_word_list_is_complete():
    assert set(captions.NAMES) == set(KINDS)
    assert set(captions.PLACES) == set(BACKGROUNDS)
