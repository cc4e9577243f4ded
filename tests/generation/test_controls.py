"""Painted controls: which there are of a generator, and what each is painted from."""

import numpy as np
import pytest

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.generation import controls
from neural_recon.generation.generator import Generator

IDS = np.array([4, 31, 200])


class Seen(Generator):
    """Keeps what it was given, and paints grey."""

    class Settings(Generator.Settings):
        roles = ("hint",)
        hint: str = "colour"

    draws = True

    def paint(self, base, guides, image_ids, seed, draw=0):
        self.given = base, guides["hint"], image_ids, seed, draw
        return np.full((len(image_ids), 2, 2, 3), 128, np.uint8)


@pytest.fixture
def files(tmp_path) -> dict:
    """Base images and guides of each fit: an image's numbers are its id, and the fit's thousands."""
    found = {}
    for k, fit in enumerate(("decoded", "shuffled", "true_features")):
        ids = IDS[::-1]
        numbers = ids + 1000 * k
        base, hint = tmp_path / f"base_{fit}.h5", tmp_path / f"hint_{fit}.h5"
        pictures = np.broadcast_to((numbers % 251).astype(np.uint8)[:, None, None, None], (3, 2, 2, 3))
        write_hdf5(base, {"images": pictures, "image_id": ids}, {})
        write_hdf5(hint, {"predictions": numbers[:, None].astype(np.float32), "image_id": ids}, {})
        found |= {f"base_{fit}": base, f"hint_{fit}": hint}
    return found


def settings(**changes) -> Generator.Settings:
    return Seen.Settings(kind="seen", **{"base": "vdvae", **changes})


@pytest.mark.parametrize(("draws", "more"), [(1, []), (2, ["seed1"]), (4, ["seed1", "seed2", "seed3"])])
def test_the_first_draw_is_the_run_itself(draws, more):
    names = [one.name for one in controls.controls(Seen, settings(), draws)]
    assert names == ["true_features", "shuffled", *more, "guides_only", "swapped"]


def test_controls_are_those_that_tell_something_of_the_kind(monkeypatch):
    # without a base image another image's guides paint that image
    names = [one.name for one in controls.controls(Seen, settings(base=None), 2)]
    assert names == ["true_features", "shuffled", "seed1"]
    monkeypatch.setattr(Seen, "draws", False)
    names = [one.name for one in controls.controls(Seen, settings(base=None), 2)]
    assert names == ["true_features", "shuffled"]


def test_a_kind_adds_controls_of_its_own(files, monkeypatch):
    mine = controls.Painted("hue_turned", "hue turned", fit="shuffled", settings={"hint": "turned"})
    monkeypatch.setattr(Seen, "own_controls", (mine,))
    assert controls.controls(Seen, settings(), 1)[-1] == mine
    assert controls.painted("hue_turned", Seen.own_controls) == mine
    generator, painted_with = Seen(settings()), []
    monkeypatch.setattr(Seen, "paint", lambda self, *given: painted_with.append(self.settings) or given[0])
    files = {**files, "turned_shuffled": files["hint_shuffled"]}
    arrays, made_of = controls.paint(generator, mine, files, IDS, seed=5)
    np.testing.assert_array_equal(arrays["images"][:, 0, 0, 0], (IDS + 1000) % 251)
    assert made_of["hint"] == painted_with[0].hint == "turned"
    assert generator.settings.hint == "colour"  # the run's own stays as it is
    monkeypatch.setattr(Seen, "own_controls", (controls.Painted("seed3", "mine"),))
    with pytest.raises(InputError, match="has, found seed3; rename"):
        controls.controls(Seen, settings(), 1)


def test_every_control_is_found_by_its_name():
    for one in (controls.RUN, *controls.controls(Seen, settings(), 3)):
        assert controls.by_name(one.name) == one
    assert controls.by_name("mean") is None
    with pytest.raises(ValueError, match="mean_image is no way to paint"):
        controls.painted("mean_image")
    assert controls.by_name("seed2").title == "draw 3"


@pytest.mark.parametrize(
    ("name", "thousands", "draw"),
    [
        ("decoded", 0, 0),
        ("shuffled", 1, 0),
        ("true_features", 2, 0),
        ("seed3", 0, 3),
        ("guides_only", 0, 0),
    ],
)
def test_what_each_is_painted_from(files, name, thousands, draw):
    generator = Seen(settings())
    arrays, made_of = controls.paint(generator, controls.by_name(name), files, IDS, seed=5)
    base, hint, ids, *rest = generator.given
    assert rest == [5, draw]
    np.testing.assert_array_equal(ids, IDS)
    np.testing.assert_array_equal(hint[:, 0], IDS + 1000 * thousands)
    if name == "guides_only":
        assert base is None
    else:
        np.testing.assert_array_equal(base[:, 0, 0, 0], (IDS + 1000 * thousands) % 251)
    np.testing.assert_array_equal(arrays["guide_id"], IDS)
    np.testing.assert_array_equal(arrays["image_id"], IDS)
    assert arrays["images"].shape == (3, 2, 2, 3)
    assert made_of["base_image"] == (name != "guides_only")
    assert (made_of["kind"], made_of["hint"], made_of["seed"], made_of["draw"]) == ("seen", "colour", 5, draw)


def test_swapped_guides_are_another_image_s(files):
    generator = Seen(settings())
    arrays, _ = controls.paint(generator, controls.by_name("swapped"), files, IDS, seed=5)
    base, hint, *_ = generator.given
    np.testing.assert_array_equal(base[:, 0, 0, 0], IDS % 251)
    np.testing.assert_array_equal(hint[:, 0], arrays["guide_id"])
    np.testing.assert_array_equal(arrays["guide_id"], controls.swapped_ids(IDS, 5))


def test_a_generator_without_base_images_reads_none(files):
    generator = Seen(settings(base=None))
    del files["base_decoded"]
    controls.paint(generator, controls.RUN, files, IDS, seed=5)
    assert generator.given[0] is None


def test_an_image_that_is_not_there_is_named(files):
    with pytest.raises(InputError, match=r"hint_decoded\.h5: expected a row for image 5, found none"):
        controls.paint(Seen(settings()), controls.RUN, files, np.array([4, 31, 5]), seed=5)


@pytest.mark.parametrize("n", [2, 3, 20, 101])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_swapped_guides_are_never_an_image_s_own(n, seed):
    rng = np.random.default_rng(5)
    ids = np.sort(rng.permutation(73_000)[:n])
    partners = controls.swapped_ids(ids, seed)
    assert (partners != ids).all()
    # each is used once
    assert sorted(partners) == ids.tolist()


def test_swapped_guides_depend_on_the_seed():
    ids = np.arange(50)
    assert (controls.swapped_ids(ids, 0) != controls.swapped_ids(ids, 1)).sum() > 25


def test_fits_that_the_configuration_asks_for_are_painted_from_their_own_files(files, tmp_path):
    for fit in ("prior", "components_5"):
        assert controls.by_name(fit).fit == fit
        write_hdf5(
            tmp_path / f"{fit}.h5", {"predictions": np.full((3, 1), 7, np.float32), "image_id": IDS}, {}
        )
        mine = {**files, f"hint_{fit}": tmp_path / f"{fit}.h5", f"base_{fit}": files["base_decoded"]}
        generator = Seen(settings())
        controls.paint(generator, controls.by_name(fit), mine, IDS, seed=1)
        base, hint, ids, seed, draw = generator.given
        assert (hint.ravel().tolist(), ids.tolist(), seed, draw) == ([7, 7, 7], IDS.tolist(), 1, 0)
        assert base[:, 0, 0, 0].tolist() == (IDS % 251).tolist()
    assert controls.of_components(5) == "components_5"
