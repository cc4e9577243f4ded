"""The low-level head's teacher against the published code, and its checkpoint's names."""

import json

import numpy as np
import pytest
import torch

from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints, convnext_teacher
from neural_recon.models.convnext_teacher import ConvNextTeacher

TINY = {"depths": (1, 1, 2, 1), "widths": (8, 16, 24, 32), "maps": (16, 16, 16)}


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference / "mindeye2" / "convnext_tiny.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files if name != "param_names"}


def tensors(numbers) -> dict[str, torch.Tensor]:
    parts = {"w.": "backbone.", "w_maps.": "maps_projector."}
    return {
        own + name.removeprefix(prefix): value
        for name, value in numbers.items()
        for prefix, own in parts.items()
        if name.startswith(prefix)
    }


def denormalised(images: torch.Tensor) -> torch.Tensor:
    mean, deviation = (
        torch.tensor(values)[:, None, None] for values in (convnext_teacher.MEAN, convnext_teacher.DEVIATION)
    )
    return images * deviation + mean


def test_tokens_and_maps_are_reproduced(numbers):
    teacher = ConvNextTeacher(**TINY)
    checkpoints.load_tensors(teacher, tensors(numbers), "the arrays")
    with torch.no_grad():
        tokens = teacher.backbone(numbers["x"])
        maps = teacher(denormalised(numbers["x"]))
    assert torch.allclose(tokens, numbers["tokens"], atol=2e-5)
    assert torch.allclose(tokens.mean(1), numbers["avg"], atol=2e-5)
    assert torch.allclose(maps, numbers["maps"], atol=2e-5)


def test_the_published_names_and_shapes_are_the_teachers(reference):
    path = reference / "mindeye2" / "convnext_xl_names.json"
    shapes = json.loads(path.read_text(encoding="utf-8"))
    found = {name: tensor.shape for name, tensor in checkpoints.empty(ConvNextTeacher).state_dict().items()}
    checkpoints.check_shapes(found, {name: tuple(shape) for name, shape in shapes.items()}, path)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(ConvNextTeacher.__init__, "__defaults__", tuple(TINY.values()))


@pytest.mark.usefixtures("tiny")
def test_a_training_checkpoint_loads_frozen(numbers, tmp_path):
    model = {f"module.{name}": value for name, value in tensors(numbers).items()}
    model["module.representation_projector.0.weight"] = torch.ones(3)
    torch.save({"epoch": 1, "model": model, "optimizer": {"state": {}}}, tmp_path / "teacher.pth")
    teacher = ConvNextTeacher.from_checkpoint(tmp_path / "teacher.pth")
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    maps = teacher(denormalised(numbers["x"]))
    assert torch.allclose(maps, numbers["maps"], atol=2e-5)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("change", ["missing", "gamma", "shape"])
def test_another_file_is_refused(numbers, tmp_path, change):
    model = tensors(numbers)
    name = "backbone.stages.2.1.pwconv1.weight"
    if change == "missing":
        del model[name]
    elif change == "gamma":
        name = "backbone.stages.0.0.gamma"
        model[name] = torch.ones(8)
    else:
        model[name] = model[name][:, :-1].clone()
    torch.save({"model": model}, tmp_path / "teacher.pth")
    with pytest.raises(InputError, match=f"expected the tensor {name}"):
        ConvNextTeacher.from_checkpoint(tmp_path / "teacher.pth")
