"""The simulated cortex and its voxels: geometry, what drives them, noise."""

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from neural_recon.datasets.nsd.nsd_tree import REGIONS
from neural_recon.demo import brain, cortex
from neural_recon.demo.scenes import Object, Scene, render, sample

EARLY = ["V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"]


@pytest.fixture(scope="module")
def subject():
    return brain.grow(0, "subj01")


@pytest.fixture(scope="module")
def scenes():
    return [sample(5, index) for index in range(120)]


@pytest.fixture(scope="module")
def pictures(scenes):
    return np.stack([render(one, brain.PIXELS) for one in scenes])


@pytest.fixture(scope="module")
def signals(subject, pictures, scenes):
    return brain.signals(subject, pictures, scenes)


@pytest.mark.parametrize("name", ["subj01", "subj02"])
def test_regions_are_one_piece_a_hemisphere(name):
    grown = cortex.build(0, name)
    assert 2000 < grown.region("nsdgeneral", "nsdgeneral").sum() < 4000
    middle = grown.shape[0] // 2
    for atlas in ("prf-visualrois", "floc-faces", "floc-bodies", "floc-places", "floc-words"):
        for region, label in REGIONS[atlas].items():
            volume = grown.volume(grown.labels[atlas]) == label
            for half in (volume[:middle], volume[middle:]):
                pieces, n_pieces = scipy.ndimage.label(half, np.ones((3, 3, 3)))
                sizes = np.bincount(pieces.ravel())[1:]
                assert n_pieces >= 1, region
                assert sizes.max() > 0.9 * sizes.sum(), region
    early = grown.labels["prf-visualrois"] > 0
    assert (grown.labels["nsdgeneral"][early] == 1).all()
    assert ((grown.labels["prf-eccrois"] > 0) == early).all()


def test_receptive_fields_lie_where_the_region_says(subject):
    grown = subject.cortex
    x, y, size = grown.prf.T
    left = grown.voxels[:, 0] < grown.shape[0] / 2
    early = grown.labels["prf-visualrois"] > 0
    assert (x[early & left] > 0).mean() > 0.95  # contralateral
    assert (x[early & ~left] < 0).mean() > 0.95
    for name in EARLY[:6]:
        inside = grown.region("prf-visualrois", name)
        assert (np.sign(y[inside]) == (1 if name.endswith("v") else -1)).mean() > 0.9, name
    median = [np.median(size[grown.region("prf-visualrois", n)]) for n in ("V1v", "V2v", "V3v", "hV4")]
    assert median == sorted(median)
    v1 = grown.region("prf-visualrois", "V1v")
    assert np.corrcoef(np.hypot(x, y)[v1], size[v1])[0, 1] > 0.5


def test_energy_has_the_orientation_and_frequency_of_a_grating():
    positions = np.arange(brain.PIXELS) / brain.PIXELS
    phases = np.linspace(0, 2 * np.pi, 4, endpoint=False)
    gratings = np.stack([np.cos(2 * np.pi * 10 * positions + phase) for phase in phases])
    pictures = np.broadcast_to(
        (127 + 100 * gratings)[:, None, :, None], (4, brain.PIXELS, brain.PIXELS, 3)
    ).astype(np.uint8)  # vertical stripes
    energy = brain.contrast_energy(pictures).reshape(4, 6, 3, 20, 20)[..., 5:15, 5:15].mean((3, 4))
    assert np.unravel_index(energy[0].argmax(), (6, 3)) == (0, 1)
    assert energy[0, 0, 1] > 20 * energy[0, 3, 1]
    np.testing.assert_allclose(energy[:, 0, 1], energy[0, 0, 1], rtol=0.02)  # whatever the phase
    turned = brain.contrast_energy(pictures.transpose(0, 2, 1, 3)).reshape(4, 6, 3, -1).mean(-1)
    assert np.unravel_index(turned[0].argmax(), (6, 3)) == (3, 1)


def test_early_voxels_see_their_part_of_the_picture(subject, scenes, pictures):
    grown = subject.cortex
    changed = pictures.copy()
    noise = np.random.default_rng(0).integers(0, 255, changed[:20, :30].shape, np.uint8)
    changed[:20, :30, :40] = noise[:, :, :40]  # the upper left part of twenty pictures
    before = brain.signals(subject, pictures, scenes)
    after = brain.signals(subject, changed, scenes)
    shift = np.abs(after - before)[:20].mean(0)
    upper, lower = (grown.region("prf-visualrois", name) for name in ("V1v", "V1d"))
    far = np.hypot(*grown.prf[:, :2].T) > 2
    left = grown.voxels[:, 0] < grown.shape[0] / 2
    here = shift[upper & far & ~left].mean()  # the right hemisphere sees the left half
    for elsewhere in (upper & left, lower & left, lower & ~left):
        assert here > 1.5 * shift[elsewhere & far].mean()


def test_colour_channels_tell_colours_apart():
    plain = np.zeros((4, brain.PIXELS, brain.PIXELS, 3), np.uint8)
    for picture, colour in zip(
        plain, [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40)], strict=True
    ):
        picture[:] = colour
    sides = brain.opponent_colours(plain).mean(-1)[:, 2:]  # red, green, blue, yellow
    assert (sides >= 0).all()
    assert sides[0].argmax() == 0
    assert sides[1].argmax() == 1
    assert sides[2].argmax() == 2
    assert sides[3].argmax() == 3


def test_category_drive_follows_content_position_and_neighbours(subject):
    def drive(*objects, background="beach"):
        extra = [sample(9, k) for k in range(50)]
        return brain.category_drive(subject, [Scene(background, objects, 0), *extra])[0]

    cat = Object("cat", "red", 0.5, 0.55, 0.6, False)
    alone = drive(cat)
    for other in (
        drive(dataclasses.replace(cat, kind="house")),
        drive(dataclasses.replace(cat, x=0.2)),
        drive(dataclasses.replace(cat, size=0.3)),
        drive(cat, Object("house", "red", 0.9, 0.6, 0.3, False)),
        drive(cat, background="night"),
    ):
        assert np.abs(other - alone).mean() > 0.02
    # colour is no business of these populations
    assert np.allclose(drive(dataclasses.replace(cat, colour="blue")), alone)
    # faces prefer a cat to a house, places the other way round
    difference = alone - drive(dataclasses.replace(cat, kind="house"))
    assert difference[subject.cortex.labels["floc-faces"] > 0].mean() > 0
    assert difference[subject.cortex.labels["floc-places"] > 0].mean() < 0


def test_no_voxel_carries_one_thing_alone(subject):
    share = subject.kinds / subject.kinds.sum(1, keepdims=True)
    assert share.max(1).mean() < 0.5
    assert subject.background_share.max() < 1


def test_signals_have_unit_variance(signals):
    assert signals.dtype == np.float32
    np.testing.assert_allclose(signals.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(signals.std(0), 1, atol=1e-3)


def test_signals_check_their_pictures(subject, scenes):
    with pytest.raises(ValueError, match="pictures: expected"):
        brain.signals(subject, np.zeros((3, 64, 64, 3), np.uint8), scenes[:3])


def test_betas_have_the_ncsnr_of_the_subject(subject, signals):
    rows = np.tile(np.arange(100), 6)
    betas = brain.betas(subject, signals[rows], 0, "subj01", 1)
    z = (betas - betas.mean(0)) / np.where(betas.std(0) > 0, betas.std(0), 1)
    repeated = z.reshape(6, 100, -1)
    noise = repeated.var(0, ddof=1).mean(0)
    signal = np.maximum(1 - noise, 0)
    measured, true = np.sqrt(signal / np.where(noise > 0, noise, 1)), subject.ncsnr
    alive = ~subject.dead
    assert np.corrcoef(measured[alive], true[alive])[0, 1] > 0.9
    assert abs(np.median(measured[alive & (true > 0.3)] / true[alive & (true > 0.3)]) - 1) < 0.1


def test_noise_is_its_own_in_every_session_and_shared_by_neighbours(subject, signals):
    rows = np.arange(120)
    one, again, two = (brain.betas(subject, signals[rows], 0, "subj01", s) for s in (1, 1, 2))
    assert (one == again).all()
    assert np.abs(one - two)[:, ~subject.dead].mean() > 0.5
    drift = (one.mean(0) - two.mean(0)) / subject.scale
    assert 0.1 < drift[~subject.dead].std() < 0.6
    blank = brain.betas(subject, np.zeros((400, signals.shape[1]), np.float32), 0, "subj01", 1)
    voxels = subject.cortex.voxels
    start = np.flatnonzero(~subject.dead)[::40]
    near = [np.argsort(np.abs(voxels - voxels[v]).sum(1))[1] for v in start]
    pairs = [(a, b) for a, b in zip(start, near, strict=True) if not subject.dead[b]]
    correlation = [np.corrcoef(blank[:, a], blank[:, b])[0, 1] for a, b in pairs]
    assert 0.03 < np.mean(correlation) < 0.15


def test_dead_voxels_are_zero_in_some_sessions(subject, signals):
    silent = np.stack([(brain.betas(subject, signals[:5], 0, "subj01", s) == 0).all(0) for s in range(1, 7)])
    assert not silent[:, ~subject.dead].any()
    assert 0.3 < silent[:, subject.dead].mean() < 0.7


def test_noise_ceilings_are_like_those_of_the_real_experiment(subject):
    table = brain.noise_ceilings(subject).set_index(["atlas", "region"])["ceiling"]
    early = table["prf-visualrois"][EARLY[:6]].mean()
    assert 0.28 < early < 0.42
    assert 0.12 < table["floc-places"]["PPA"] < early
    assert 0.15 < table["nsdgeneral"]["nsdgeneral"] < 0.35


def test_subjects_differ(subject):
    other = brain.grow(0, "subj02")
    assert len(other.ncsnr) != len(subject.ncsnr)
    assert other.cortex.shape != subject.cortex.shape
    again = brain.grow(0, "subj01")
    assert (again.kinds == subject.kinds).all()
    assert (again.cortex.prf == subject.cortex.prf).all()


def test_objects_can_be_decoded(subject, signals, scenes):
    """Nearest class mean of the noise-free signals: what a picture shows is in the voxels."""
    general = subject.cortex.region("nsdgeneral", "nsdgeneral")
    backgrounds = np.array([one.background for one in scenes])
    names = np.unique(backgrounds)
    means = np.stack([signals[:90][backgrounds[:90] == name][:, general].mean(0) for name in names])
    guessed = names[(signals[90:][:, general] @ means.T).argmax(1)]
    assert (guessed == backgrounds[90:]).mean() > 0.7


def test_pictures_shrink_alike(pictures):
    """The voxels' picture is a small one: a larger rendering, shrunk, is nearly the same."""
    large = np.asarray(Image.fromarray(render(sample(5, 0), 400)).resize((80, 80), Image.Resampling.BOX))
    assert np.abs(large.astype(int) - pictures[0]).mean() < 6
