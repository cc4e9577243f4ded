"""The contrastive losses against MindEye2's, and the published bug of its permutations."""

import numpy as np
import pytest
import torch

from neural_recon.models import contrastive
from neural_recon.models.contrastive import Mixing


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference / "mindeye2" / "me2_losses.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def mixing_of(numbers, name, perm="perm", betas="betas_returned"):
    return Mixing(numbers[f"{name}.{perm}"], numbers[f"{name}.{betas}"])


def value_and_gradient(numbers, loss, *arguments):
    predicted = numbers["preds"].clone().requires_grad_()
    value = loss(predicted, numbers["targs"], *arguments)
    value.backward()
    return value.item(), predicted.grad


def agrees(found, value, gradient) -> bool:
    near = torch.allclose(found[1], gradient, rtol=1e-5, atol=1e-6)
    return near and found[0] == pytest.approx(value.item(), abs=1e-6)


def test_drawn_numbers_mix_the_selected_samples(numbers):
    names = ("perm", "betas_drawn", "u_drawn")
    how = contrastive.mixing(*(numbers[f"mixco.{name}"] for name in names))
    assert torch.equal(how.shares, numbers["mixco.betas_returned"])
    assert torch.equal(contrastive.mixed(numbers["mixco.in"], how), numbers["mixco.out"])


def test_given_numbers_mix_responses_and_targets(numbers):
    how = mixing_of(numbers, "mixco2")
    assert torch.equal(contrastive.mixed(numbers["mixco.in"], how), numbers["mixco2.out"])


def test_a_single_subjects_mixed_responses_mix_targets_alike(numbers):
    how = mixing_of(numbers, "mixco")
    assert torch.equal(contrastive.mixed(numbers["targs"], how), numbers["mixco_clip_target.out"])


@pytest.mark.parametrize(
    ("name", "mix", "temperature"),
    [
        ("mixco_nce", "mixco", 0.006),
        ("mixco_nce_t0.1", "mixco", 0.1),
        ("mixco_nce_fixedpoint", "mixco2", 0.006),
    ],
)
def test_mixco_nce_is_reproduced(numbers, name, mix, temperature):
    how = mixing_of(numbers, mix)
    found = value_and_gradient(numbers, contrastive.mixco_nce, how, "published", temperature)
    assert agrees(found, numbers[f"{name}.loss"], numbers[f"{name}.grad"])


def test_without_mixing_it_is_infonce(numbers):
    found = value_and_gradient(numbers, contrastive.mixco_nce)
    assert agrees(found, numbers["mixco_nce_plain.loss"], numbers["mixco_nce_plain.grad"])
    rows = torch.arange(6)
    unmixed = contrastive.mixco_nce(numbers["preds"], numbers["targs"], Mixing(rows, torch.ones(6)))
    assert unmixed.item() == pytest.approx(found[0], abs=1e-6)


@pytest.mark.parametrize("temperature", [0.004, 0.006, 0.0075, 0.125])
def test_soft_clip_is_reproduced(numbers, temperature):
    found = value_and_gradient(numbers, contrastive.soft_clip, temperature)
    name = f"soft_clip.{temperature}"
    assert agrees(found, numbers[f"{name}.loss"], numbers[f"{name}.grad"])


def test_the_soft_contrast_with_a_teacher_is_reproduced(numbers):
    rows = (numbers[f"soft_cont.{name}"] for name in ("student", "teacher", "teacher_aug"))
    found = contrastive.soft_contrast(*rows)
    assert found.item() == pytest.approx(numbers["soft_cont.loss_t0.2"].item(), abs=1e-6)


@pytest.mark.parametrize(
    ("permutations", "perm", "ending"),
    [("published", "perm", "published"), ("offset", "perm_offset", "offset")],
)
def test_two_subjects_permutations_are_joined_as_asked(numbers, permutations, perm, ending):
    own = numbers["ms.perm"].split(3)
    shares = numbers["ms.betas"].split(3)
    how = contrastive.joined([Mixing(*pair) for pair in zip(own, shares, strict=True)], permutations)
    assert torch.equal(how.partners, numbers[f"ms.{perm}"])
    found = value_and_gradient(numbers, contrastive.mixco_nce, how, permutations)
    assert agrees(found, numbers[f"ms.loss_{ending}"], numbers[f"ms.grad_{ending}"])


def test_a_sample_that_is_its_own_partner_keeps_its_target_unless_as_published(numbers):
    rows = torch.arange(6)
    how = Mixing(rows, torch.full((6,), 0.3))
    plain = contrastive.mixco_nce(numbers["preds"], numbers["targs"])
    for permutations, share in (("offset", 1.0), ("published", 0.7)):
        found = contrastive.mixco_nce(numbers["preds"], numbers["targs"], how, permutations)
        assert found.item() == pytest.approx(share * plain.item(), abs=1e-5)


def test_draws_have_the_published_distribution_and_follow_their_generator():
    first, second = (contrastive.draw_mixing(4000, torch.Generator().manual_seed(2)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(first.partners.sort().values, torch.arange(4000))
    shares = first.shares[first.shares < 1]
    assert len(shares) / 4000 == pytest.approx(0.5, abs=0.04)
    # of Beta(a, a): mean 1/2, variance 1 / (8 a + 4)
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (8 * 0.15 + 4), abs=0.02)


@pytest.mark.parametrize("epochs", [150, 300])
def test_the_temperatures_are_reproduced(numbers, epochs):
    expected = numbers[f"anneal.{epochs}ep"].numpy()
    assert contrastive.soft_temperatures(epochs) == pytest.approx(expected, abs=1e-8)
    assert contrastive.mixing_epochs(150) == numbers["anneal.n_mixco_epochs_150"].item()
    assert contrastive.soft_temperatures(1) == [0.004]
