"""Training as MindEye2's notebook does it: groups, rates, and eight steps of the whole network."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from neural_recon.models import contrastive
from neural_recon.models.contrastive import Mixing
from neural_recon.models.diffusion_prior import Draws
from neural_recon.models.one_cycle import OneCycle, optimizer_and_schedule, parameter_groups
from neural_recon.models.prior_transformer import PriorSizes
from neural_recon.models.published_checkpoints import own_name, renamed
from neural_recon.models.shared_subject import NetworkSizes, SharedSubjectNetwork

VOXELS = {"first": 37, "second": 29}
SIZES = NetworkSizes(
    hidden=16,
    tokens=5,
    width=12,
    projector=12,
    blocks=2,
    first_mixers=True,
    low_level=None,
    prior=PriorSizes(tokens=5, width=12, depth=1, heads=2, head_width=6),
)
EPOCHS, STEPS = 4, 2  # steps per epoch


@pytest.fixture(scope="module")
def steps(reference):
    with np.load(reference / "mindeye2" / "me2_train_steps.npz") as file:
        groups = json.loads(str(file["groups.json"]))
        return groups, {name: torch.from_numpy(file[name]) for name in file.files if name != "groups.json"}


@pytest.fixture(scope="module")
def rates(reference):
    with np.load(reference / "mindeye2" / "me2_losses.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("onecycle")}


def started(numbers, prefix: str = "w0.", first_mixers: bool = True) -> SharedSubjectNetwork:
    tensors = {name[len(prefix) :]: value for name, value in numbers.items() if name.startswith(prefix)}
    sizes = replace(SIZES, first_mixers=first_mixers)
    network = SharedSubjectNetwork(VOXELS, sizes).eval()
    network.load_state_dict(renamed(tensors, list(VOXELS), sizes))
    return network


def loss_of(network, numbers, step: int, temperatures) -> tuple[torch.Tensor, list[float]]:
    def drawn(name):
        return numbers[f"s{step}.{name}"]

    voxels = {name: drawn(f"vox{k}") for k, name in enumerate(VOXELS)}
    epoch = step // STEPS
    mixes = epoch < contrastive.mixing_epochs(EPOCHS)
    if mixes:
        mixings = [
            Mixing(*pair) for pair in zip(drawn("perm").split(3), drawn("betas").split(3), strict=True)
        ]
        voxels = {
            name: contrastive.mixed(values, how)
            for (name, values), how in zip(voxels.items(), mixings, strict=True)
        }
        for k, values in enumerate(voxels.values()):
            assert torch.allclose(values, drawn(f"vox{k}_mixed"), atol=1e-6)
    outputs = network(voxels)
    draws = Draws(*(drawn(name) for name in ("times", "noise", "keep_brain", "keep_image")))
    prior, _ = network.diffusion_prior.loss(drawn("target"), outputs.tokens, draws)
    predicted, targets = (
        nn.functional.normalize(rows.flatten(1), dim=-1) for rows in (outputs.projected, drawn("target"))
    )
    if mixes:
        how = contrastive.joined(mixings, "published")
        contrast = contrastive.mixco_nce(predicted, targets, how, "published")
    else:
        temperature = temperatures[epoch - contrastive.mixing_epochs(EPOCHS)]
        contrast = contrastive.soft_clip(predicted, targets, temperature)
    loss = 30 * prior + contrast
    return loss, [loss.item(), prior.item(), contrast.item()]


def dead(name: str) -> bool:
    """Weights that change nothing: their gradients are rounding, of which Adam makes whole steps."""
    return re.search(r"mixer_blocks(1|2\.\d+\.0\.weight)", name) is not None


@pytest.mark.parametrize("first_mixers", [True, False])
def test_eight_training_steps_are_reproduced(steps, first_mixers):
    _, numbers = steps
    network = started(numbers, first_mixers=first_mixers)
    optimizer, schedule = optimizer_and_schedule(network, EPOCHS, STEPS)
    temperatures = contrastive.soft_temperatures(EPOCHS)
    assert temperatures == pytest.approx(numbers["temps"].tolist(), abs=1e-8)
    for step, expected in enumerate(numbers["trace(loss,prior,clip,lr,beta1)"].tolist()):
        optimizer.zero_grad()
        loss, parts = loss_of(network, numbers, step, temperatures)
        loss.backward()
        if step == 0:
            gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
            for name, value in numbers.items():
                own = own_name(name.removeprefix("grad0."), list(VOXELS))
                if name.startswith("grad0.") and not dead(own):
                    assert torch.allclose(gradients[own], value, rtol=1e-4, atol=1e-5), name
        group = optimizer.param_groups[0]
        assert [*parts, group["lr"], group["betas"][0]] == pytest.approx(expected, rel=2e-6)
        optimizer.step()
        if step < EPOCHS * STEPS - 1:
            schedule.step()
    end = started(numbers, "wN.").state_dict()
    for name, value in network.state_dict().items():
        if not dead(name):
            assert torch.allclose(value, end[name], rtol=0, atol=2e-6), name


def test_weight_decay_goes_to_the_published_parameters(steps):
    groups, numbers = steps
    network = started(numbers)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = {
        group["weight_decay"]: {names[id(parameter)] for parameter in group["params"]}
        for group in parameter_groups(network, 0.01)
    }
    for decay in (0.01, 0.0):
        published = {
            own_name(name, list(VOXELS))
            for group in groups
            if group["weight_decay"] == decay
            for name in group["names"]
            if not name.endswith("rotary_emb.freqs")  # listed, but never learnt
        }
        assert found[decay] == published


def test_frozen_parameters_are_in_no_group():
    network = nn.Linear(3, 2)
    network.weight.requires_grad_(False)
    groups = parameter_groups(network, 0.1)
    assert [len(group["params"]) for group in groups] == [0, 1]


@pytest.mark.parametrize(("name", "epochs", "steps"), [("10ep_x7", 10, 7), ("150ep_x31", 150, 31)])
def test_the_cycle_of_rates_is_reproduced(rates, name, epochs, steps):
    optimizer, schedule = optimizer_and_schedule(nn.Linear(1, 1), epochs, steps)
    found = []
    for step in range(epochs * steps):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["betas"][0]))
        optimizer.step()
        if step < epochs * steps - 1:
            schedule.step()
    found = np.array(found)
    assert np.allclose(found[:, 0], rates[f"onecycle.{name}.lr"], rtol=1e-9)
    assert np.allclose(found[:, 1], rates[f"onecycle.{name}.beta1"], rtol=1e-9)


def test_a_single_epoch_only_warms_up():
    optimizer, schedule = optimizer_and_schedule(nn.Linear(1, 1), 1, 5, OneCycle(rate=0.1))
    rates = []
    for _ in range(4):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.1)
