"""The diffusion prior against MindEye2's, on dalle2-pytorch."""

import numpy as np
import pytest
import torch

from neural_recon.core import random_streams
from neural_recon.models.diffusion_prior import DiffusionPrior, Draws, schedule
from neural_recon.models.prior_transformer import PriorSizes
from neural_recon.models.published_checkpoints import renamed
from neural_recon.models.shared_subject import NetworkSizes

SIZES = {
    "tiny12": PriorSizes(tokens=5, width=12, depth=2, heads=2, head_width=6),
    "rot40": PriorSizes(tokens=5, width=80, depth=1, heads=2, head_width=40),
}
# the chains amplify rounding, the tiny one's more
CHAINS = {"tiny12": 1.4e-4, "rot40": 1.2e-5}


@pytest.fixture(params=SIZES)
def case(reference, request):
    with np.load(reference / "mindeye2" / f"me2_prior_{request.param}.npz") as file:
        numbers = {name: torch.from_numpy(file[name]) for name in file.files}
    prior = DiffusionPrior(SIZES[request.param]).eval()
    tensors = {f"diffusion_prior.{name[2:]}": v for name, v in numbers.items() if name.startswith("w.")}
    own = renamed(tensors, [], NetworkSizes())
    prior.load_state_dict({name.removeprefix("diffusion_prior."): v for name, v in own.items()})
    return request.param, prior, numbers


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    return bool((found - expected).abs().max() <= tolerance)


def test_the_schedule_is_reproduced(case):
    _, _, numbers = case
    found = schedule(100)
    names = ("betas", "alphas_cumprod", "alphas_cumprod_prev")
    for mine, name in zip(found, names, strict=True):
        assert torch.equal(mine.float(), numbers[f"w.noise_scheduler.{name}"])


def test_the_parts_of_the_transformer_are_reproduced(case):
    _, prior, numbers = case
    with torch.no_grad():
        assert close(prior.net.time_token(numbers["fwd.t"]), numbers["fwd.time_embed"], 1e-6)
        bias = prior.net.causal_transformer.rel_pos_bias(11)
    assert torch.equal(bias, numbers["fwd.rel_pos_bias"])


def test_the_prediction_is_reproduced_with_and_without_its_conditions(case):
    _, prior, numbers = case
    inputs = numbers["fwd.noisy"], numbers["fwd.t"], numbers["fwd.cond"]
    nothing = torch.zeros(4, dtype=torch.bool)
    with torch.no_grad():
        found = prior.net(*inputs)
        null = prior.net(*inputs, keep_brain=nothing, keep_image=nothing)
    assert close(found, numbers["fwd.out"], 3e-6)
    assert close(null, numbers["fwd.out_all_null"], 3e-6)
    assert close(null + 3 * (found - null), numbers["fwd.out_cond_scale3"], 1e-5)


def test_the_loss_and_its_gradients_are_reproduced(case):
    _, prior, numbers = case
    names = ("times", "noise", "keep_brain", "keep_image")
    draws = Draws(*(numbers[f"loss.{name}"] for name in names))
    noisy = schedule(100).noisy(numbers["loss.image_embed"], draws.times, draws.noise)
    value, predicted = prior.loss(numbers["loss.image_embed"], numbers["loss.cond"], draws)
    value.backward()
    assert close(noisy, numbers["loss.noisy"], 5e-7)
    assert close(predicted, numbers["loss.pred"], 3e-6)
    assert value.item() == pytest.approx(numbers["loss.value"].item(), abs=3e-7)
    net = prior.net
    gradients = {
        "learned_query": net.learned_query,
        "null_brain_embeds": net.null_brain_embeds,
        "null_kv_layer0": net.causal_transformer.layers[0][0].null_kv,
    }
    for name, parameter in gradients.items():
        assert close(parameter.grad, numbers[f"loss.grad_{name}"], 5e-7)


def test_every_evaluation_of_the_ddim_chain_is_reproduced(case):
    _, prior, numbers = case
    assert numbers["ddim20.times"].tolist() == list(range(94, 0, -5))
    for k, time in enumerate(numbers["ddim20.times"]):
        with torch.no_grad():
            found = prior.net(numbers["ddim20.x_in"][k], time.expand(2), numbers["ddim20.cond"])
        assert close(found, numbers["ddim20.x0_pred"][k], 5e-6)


@pytest.mark.parametrize(("name", "steps"), [("ddim20", 20), ("ddpm100", 100)])
def test_the_samplers_are_reproduced(case, name, steps):
    which, prior, numbers = case
    draws = iter([numbers[f"{name}.init"], *numbers[f"{name}.noises"]])
    found = prior.sample_with(numbers["ddim20.cond"], lambda: next(draws), steps)
    assert next(draws, None) is None
    assert close(found, numbers[f"{name}.out"], CHAINS[which])


def small(**changes) -> DiffusionPrior:
    torch.manual_seed(0)
    sizes = PriorSizes(**{"tokens": 4, "width": 16, "depth": 1, "heads": 2, "head_width": 8} | changes)
    return DiffusionPrior(sizes).eval()


@pytest.mark.parametrize("steps", [5, 20])
def test_an_images_sample_depends_on_no_other_image(steps):
    prior = small(timesteps=20)
    condition = torch.randn(3, 4, 16)

    def generators(images):
        return [random_streams.generator(1, image, "prior") for image in images]

    whole = prior.sample(condition, generators([7, 8, 9]), steps)
    turned = prior.sample(condition[[2, 0]], generators([9, 7]), steps)
    assert torch.allclose(whole[[2, 0]], turned, atol=1e-4)
    assert not torch.allclose(whole[0], prior.sample(condition[:1], generators([8]), steps)[0], atol=1e-2)


@pytest.mark.parametrize("steps", [1, 101])
def test_more_steps_than_the_schedule_has_are_refused(steps):
    with pytest.raises(ValueError, match="steps: expected 2 to 100"):
        small().sample(torch.zeros(1, 4, 16), [torch.Generator()], steps)


def test_the_same_generator_draws_the_same():
    prior = small()
    first, second = (prior.draws(4000, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first.times.min() == 0
    assert first.times.max() == 99
    for kept in (first.keep_brain, first.keep_image):
        assert kept.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert not torch.equal(first.keep_brain, first.keep_image)


def test_a_scaled_prior_is_trained_on_scaled_targets_and_gives_targets():
    prior, plain = small(scaled=True), small()
    targets, condition = torch.randn(3, 4, 16), torch.randn(3, 4, 16)
    draws = prior.draws(3, torch.Generator().manual_seed(0))
    value, predicted = prior.loss(targets, condition, draws)
    expected, scaled = plain.loss(4 * targets, condition, draws)  # the square root of 16
    assert value.item() == pytest.approx(expected.item())
    assert torch.allclose(4 * predicted, scaled, atol=1e-5)
    generators = [[torch.Generator().manual_seed(k) for k in range(3)] for _ in range(2)]
    samples, plain_samples = (
        one.sample(condition, own) for one, own in zip((prior, plain), generators, strict=True)
    )
    assert torch.allclose(4 * samples, plain_samples, atol=1e-4)


def test_mindeye1s_prior_takes_its_tokens():
    with torch.device("meta"):
        prior = DiffusionPrior(PriorSizes(tokens=257, width=768, heads=12, head_width=64, scaled=True))
        rows = torch.empty(2, 257, 768)
        assert prior.net(rows, torch.zeros(2, dtype=torch.int64), rows).shape == (2, 257, 768)
