"""The shared network against MindEye2's released one."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints
from neural_recon.models.low_level import LowLevelSizes
from neural_recon.models.prior_transformer import PriorSizes
from neural_recon.models.published_checkpoints import from_published, own_name, renamed
from neural_recon.models.shared_subject import MINDEYE2, NetworkSizes, SharedSubjectNetwork

VOXELS = {"first": 37, "second": 29}
TINY = NetworkSizes(
    hidden=32, tokens=5, width=12, projector=12, blocks=2, first_mixers=True, low_level=None, prior=None
)
TOY = NetworkSizes(
    hidden=64,
    tokens=8,
    width=16,
    projector=16,
    backbone="residual",
    low_level=LowLevelSizes(maps=8, side=2, decoder=(8, 8), groups=4, teacher=16),
    prior=PriorSizes(tokens=8, width=16, depth=2, heads=2, head_width=8),
)


def arrays(path) -> dict[str, torch.Tensor]:
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files if file[name].dtype.kind != "U"}


def loaded(sizes: NetworkSizes, tensors) -> SharedSubjectNetwork:
    network = SharedSubjectNetwork(VOXELS, sizes).eval()
    checkpoints.load_tensors(network, renamed(tensors, list(VOXELS), sizes), "the arrays")
    return network


def voxels_of(numbers) -> dict[str, torch.Tensor]:
    return {name: numbers[f"in.voxels_subj{k}"] for k, name in enumerate(VOXELS)}


def weights_of(numbers) -> dict[str, torch.Tensor]:
    return {name[2:]: value for name, value in numbers.items() if name.startswith("w.")}


def by_rule(path) -> dict[str, torch.Tensor]:
    """Weights too large to be kept, drawn again; the file has each one's first value and sum."""
    with np.load(path) as file:
        tensors = {}
        for k, name in enumerate(file["param_names"]):
            shape = json.loads(str(file["param_shapes"][k]))
            drawn = np.random.RandomState(int(file["seed"]) + k).standard_normal(shape)
            drawn = drawn.astype(np.float32)
            if len(shape) > 1:
                drawn /= np.float32(np.sqrt(np.prod(shape[1:])))
            else:
                drawn = np.float32(0.1) * drawn + (0 if name.endswith("bias") else 1)
            assert drawn.flat[0] == file["param_first_value"][k]
            tensors[str(name)] = torch.from_numpy(drawn.astype(np.float32))
    return tensors


@pytest.mark.parametrize(("name", "sequence"), [("seq1", 1), ("seq5", 5)])
def test_the_released_backbone_is_reproduced(reference, name, sequence):
    numbers = arrays(reference / "mindeye2" / f"me2_backbone_{name}.npz")
    network = loaded(replace(TINY, sequence=sequence), weights_of(numbers))
    with torch.no_grad():
        rows = network.ridge(voxels_of(numbers))
        found = network(voxels_of(numbers))
        mixed = network.backbone.trunk(rows)
    assert torch.allclose(rows, numbers["out.ridge"], atol=1e-6)
    assert torch.allclose(mixed, numbers["mid.after_block1_2"], atol=3e-6)
    assert torch.allclose(found.tokens, numbers["out.backbone"], atol=3e-6)
    assert torch.allclose(found.projected, numbers["out.clip_voxels"], atol=3e-6)


def test_the_low_level_head_is_reproduced(reference):
    path = reference / "mindeye2" / "me2_backbone_blurry.npz"
    numbers, sizes = arrays(path), replace(TINY, low_level=MINDEYE2.low_level)
    with torch.no_grad():
        found = loaded(sizes, by_rule(path))(voxels_of(numbers))
    auxiliary = found.auxiliary
    assert torch.allclose(found.tokens, numbers["out.backbone"], atol=3e-6)
    assert torch.allclose(found.projected, numbers["out.clip_voxels"], atol=3e-6)
    assert torch.allclose(found.low_level, numbers["out.b"], atol=2e-5)
    assert torch.allclose(auxiliary[..., :16], numbers["out.b_aux_first16"], atol=5e-6)
    assert torch.allclose(auxiliary.mean(-1), numbers["out.b_aux_mean"], atol=5e-6)
    assert torch.allclose(auxiliary.std(-1), numbers["out.b_aux_std"], atol=5e-6)


def randomised(module, generator):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize(("sequence", "changes"), [(1, False), (2, True)])
def test_the_first_mixers_change_nothing_at_the_published_sequence(sequence, changes):
    torch.manual_seed(0)
    network = SharedSubjectNetwork(VOXELS, replace(TINY, sequence=sequence)).eval()
    voxels = {"first": torch.randn(3, sequence, 37)}
    with torch.no_grad():
        before = network(voxels).tokens
        randomised(network.backbone.trunk.mixer_blocks1, torch.Generator().manual_seed(1))
        difference = (network(voxels).tokens - before).abs().max().item()
    assert difference > 0.1 if changes else difference == 0


def test_the_network_without_first_mixers_gives_what_the_released_one_gives(reference):
    numbers = arrays(reference / "mindeye2" / "me2_backbone_seq1.npz")
    with torch.no_grad():
        whole, lean = (
            loaded(replace(TINY, first_mixers=first), weights_of(numbers))(voxels_of(numbers))
            for first in (True, False)
        )
    assert torch.equal(whole.tokens, lean.tokens)
    assert torch.equal(whole.projected, lean.projected)


def test_a_longer_sequence_needs_the_first_mixers():
    with pytest.raises(ValueError, match="first_mixers"):
        SharedSubjectNetwork(VOXELS, replace(TINY, sequence=2, first_mixers=False))


def test_every_residual_block_changes_the_tokens():
    torch.manual_seed(0)
    network = SharedSubjectNetwork(VOXELS, TOY).eval()
    voxels = {"first": torch.randn(3, 37)}
    with torch.no_grad():
        for block in network.backbone.trunk.blocks:
            before = network(voxels).tokens
            randomised(block, torch.Generator().manual_seed(1))
            assert (network(voxels).tokens - before).abs().max() > 0.1


def test_a_batch_of_several_subjects_is_their_rows_in_order():
    torch.manual_seed(0)
    network = SharedSubjectNetwork(VOXELS, TOY).eval()
    voxels = {"second": torch.randn(2, 29), "first": torch.randn(3, 37)}
    with torch.no_grad():
        together = network(voxels)
        apart = [network({name: values}) for name, values in voxels.items()]
    shapes = {
        "tokens": (5, 8, 16),
        "projected": (5, 8, 16),
        "low_level": (5, 4, 4, 4),
        "auxiliary": (5, 4, 16),
    }
    for field, shape in shapes.items():
        whole = getattr(together, field)
        parts = torch.cat([getattr(part, field) for part in apart])
        assert whole.shape == shape
        assert torch.allclose(whole, parts, atol=1e-5)


@pytest.mark.parametrize("backbone", ["residual", "published"])
def test_half_precision_gives_nearly_the_same_and_has_gradients(backbone):
    torch.manual_seed(0)
    network = SharedSubjectNetwork(VOXELS, replace(TOY, backbone=backbone)).eval()
    voxels = {"first": torch.randn(2, 37), "second": torch.randn(1, 29)}
    draws = network.diffusion_prior.draws(3, torch.Generator().manual_seed(0))
    values = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = network(voxels)
            loss, _ = network.diffusion_prior.loss(torch.ones(3, 8, 16), outputs.tokens, draws)
            loss = loss + outputs.low_level.float().abs().mean() + outputs.projected.float().square().mean()
        values.append(loss.item())
    loss.backward()
    assert values[1] == pytest.approx(values[0], rel=0.02)
    for name, parameter in network.named_parameters():
        if "b_maps_projector" not in name:  # of a loss that is not here
            assert torch.isfinite(parameter.grad).all(), name


def test_published_sizes_have_the_published_numbers_of_parameters():
    network = checkpoints.empty(
        lambda: SharedSubjectNetwork({"subj01": 15724}, replace(MINDEYE2, first_mixers=True))
    )
    counts = [
        sum(parameter.numel() for parameter in part.parameters())
        for part in (network.ridge, network.backbone, network.diffusion_prior)
    ]
    rotations = 16  # rotary frequencies that the released code lists as a parameter, though none is learnt
    assert counts == [64_409_600, 1_903_020_028, 259_865_216 - rotations]


def test_published_names_and_shapes_are_the_networks(reference):
    path = reference / "mindeye2" / "me2_model_names_subj01_4096.json"
    shapes = json.loads(path.read_text(encoding="utf-8"))
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    for first_mixers in (True, False):
        sizes = replace(MINDEYE2, first_mixers=first_mixers)
        network = checkpoints.empty(lambda sizes=sizes: SharedSubjectNetwork({"subj01": 15724}, sizes))
        found = renamed(tensors, ["subj01"], sizes)
        checkpoints.check_shapes(
            {name: tensor.shape for name, tensor in network.state_dict().items()},
            {name: tensor.shape for name, tensor in found.items()},
            path,
        )


STEPS = NetworkSizes(
    hidden=16,
    tokens=5,
    width=12,
    projector=12,
    blocks=2,
    low_level=None,
    prior=PriorSizes(tokens=5, width=12, depth=1, heads=2, head_width=6),
)


@pytest.fixture
def checkpoint(reference, tmp_path):
    """A checkpoint as training writes it, and its tensors."""
    numbers = arrays(reference / "mindeye2" / "me2_train_steps.npz")
    tensors = {name[3:]: value for name, value in numbers.items() if name.startswith("w0.")}
    path = tmp_path / "last.pth"

    def saved(**changes):
        others = {
            "epoch": 149,
            "optimizer_state_dict": {"state": {0: {"step": torch.ones(1)}}},
            # as OneCycleLR's state was until torch 2.4: it asks for getattr
            "lr_scheduler": {"anneal_func": OneCycleLR._annealing_cos},
            "lrs": [np.float64(0.1)],
        }
        torch.save(others | {"model_state_dict": tensors | changes}, path)
        return path

    return saved


def test_a_published_checkpoint_loads_without_its_dead_weights(checkpoint):
    network = from_published(checkpoint(), VOXELS, STEPS)
    assert not network.training
    assert not any("mixer_blocks1" in name for name in network.state_dict())
    outputs = network({name: torch.zeros(1, n) for name, n in VOXELS.items()})
    generators = [torch.Generator().manual_seed(k) for k in range(2)]
    assert torch.isfinite(network.diffusion_prior.sample(outputs.tokens, generators)).all()


def test_a_checkpoints_heads_that_are_not_wanted_are_passed_over(checkpoint):
    path = checkpoint(**{"backbone.blin1.weight": torch.ones(3, 16)})
    network = from_published(path, VOXELS, replace(STEPS, prior=None))
    assert {name.split(".")[0] for name in network.state_dict()} == {"ridge", "backbone"}


class Writes:
    """What writes a file where a pickle is executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


@pytest.mark.parametrize("where", ["beside", "among"])
def test_code_in_a_checkpoint_is_not_run(checkpoint, tmp_path, where):
    content = torch.load(checkpoint(), weights_only=False)
    written = tmp_path / "written"
    if where == "beside":
        content["lrs"] = Writes(written)
    else:
        content["model_state_dict"]["backbone.backbone_linear.bias"] = Writes(written)
    torch.save(content, tmp_path / "last.pth")
    if where == "beside":
        from_published(tmp_path / "last.pth", VOXELS, STEPS)
    else:
        with pytest.raises(InputError, match="expected a state dict"):
            from_published(tmp_path / "last.pth", VOXELS, STEPS)
    assert not written.exists()


@pytest.mark.parametrize(
    ("voxels", "sizes", "says"),
    [
        ({"first": 38, "second": 29}, STEPS, "expected a map of the 38 voxels of first, found 37"),
        ({"first": 37}, STEPS, "fitted to 1 subjects (first), found 2"),
        (VOXELS, replace(STEPS, hidden=32), "expected a hidden width of 32, found 16"),
        (VOXELS, replace(STEPS, backbone="residual"), "backbone.trunk.entry"),
        (VOXELS, replace(STEPS, tokens=6), "backbone.backbone_linear.weight of shape (72, 16)"),
        (
            VOXELS,
            replace(STEPS, prior=replace(STEPS.prior, timesteps=50)),
            "expected a prior with the cosine schedule of 50 steps",
        ),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(checkpoint, voxels, sizes, says):
    with pytest.raises(InputError, match=re.escape(says)):
        from_published(checkpoint(), voxels, sizes)


def test_a_checkpoint_with_a_name_missing_is_refused(checkpoint, tmp_path):
    path = checkpoint()
    tensors = checkpoints.read_tensors(path, within="model_state_dict")
    del tensors["backbone.clip_proj.5.weight"]
    torch.save(tensors, tmp_path / "alone.pth")
    with pytest.raises(InputError, match=r"backbone\.clip_proj\.5\.weight .* found none"):
        from_published(tmp_path / "alone.pth", VOXELS, STEPS)


def test_a_subject_that_is_not_there_keeps_its_released_name():
    assert own_name("ridge.linears.2.bias", ["first"]) == "ridge.linears.2.bias"
