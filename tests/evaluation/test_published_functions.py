"""The metrics against the functions of MindEye2's evaluation, and by how much 8-bit pictures differ."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from neural_recon.evaluation import metrics


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference / "mindeye2" / "me2_eval.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def pictures(numbers):
    """The truth and what is scored against it, (4, 3, 256, 256) in [0, 1]."""

    def enlarged(name):
        seeds = torch.from_numpy(numbers[f"img.seed_{name}"])
        values = functional.interpolate(seeds, size=256, mode="bicubic", align_corners=False)
        return (values - values.min()) / (values.max() - values.min())

    truth = enlarged("real")
    return truth, 0.75 * (0.6 * truth + 0.4 * enlarged("a")) + 0.25 * enlarged("blur")


def at_425(pictures: torch.Tensor) -> np.ndarray:
    values = functional.interpolate(pictures, size=425, mode="bilinear", align_corners=False)
    return values.permute(0, 2, 3, 1).numpy()


def test_cosines_and_correlations_of_all_pairs(numbers):
    brain, image = numbers["brain"], numbers["image"]
    cosines = metrics.cosine_matrix(image, brain)
    for name in ("fwd_sim_fn(brain,image)", "prenormed(brain,image)"):
        assert np.allclose(cosines, numbers[name], atol=3e-7)
    assert np.allclose(cosines.T, numbers["bwd_sim_fn(image,brain)"], atol=3e-7)
    assert np.allclose(metrics.correlation_matrix(brain, image), numbers["pearson(brain,image)"], atol=3e-7)


def test_retrieval_is_the_published_one_with_its_two_directions_exchanged(numbers):
    """Published "forward" scores look down the other axis than its name says."""
    cosines = metrics.cosine_matrix(numbers["image"], numbers["brain"])
    found = [np.diag(metrics.retrieval_matrix(one, seed=0)).mean() for one in (cosines, cosines.T)]
    assert found == pytest.approx([float(numbers["bwd_top1"]), float(numbers["fwd_top1"])], abs=1e-6)


def test_two_way_identification_and_correlation_distance(numbers):
    pair = numbers["tw.real_feat"], numbers["tw.recon_feat"]
    shares = metrics.two_way_identification(*pair)
    assert (shares * 9).round().astype(int).tolist() == numbers["tw.success_cnt"].tolist()
    assert shares.mean() == pytest.approx(numbers["tw.perf"].item(), abs=1e-12)
    distance = metrics.correlation_distance(*pair).mean()
    assert distance == pytest.approx(numbers["dist.correlation_mean"].item(), abs=5e-8)


def test_pixcorr_and_ssim_of_the_same_pixels(numbers, pictures):
    truth, scored = (at_425(one) for one in pictures)
    assert np.allclose(metrics.pixcorr(truth, scored), numbers["pixcorr.per_image"], atol=1e-8)
    assert np.allclose(metrics.ssim(truth, scored, "2d"), numbers["ssim.per_image"], atol=1e-6)


def test_pictures_of_8_bits_score_almost_as_published_floats_do(numbers, pictures):
    stored = ((one.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy() for one in pictures)
    truth, scored = (metrics.resize(one, 425, "bilinear") for one in stored)
    pixcorr = metrics.pixcorr(truth, scored) - numbers["pixcorr.per_image"]
    ssim = metrics.ssim(truth, scored, "2d") - numbers["ssim.per_image"]
    assert np.abs(pixcorr).max() == pytest.approx(0.00035, abs=0.00005)
    assert np.abs(ssim).max() == pytest.approx(0.0022, abs=0.0002)
