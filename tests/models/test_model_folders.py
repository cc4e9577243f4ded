"""Weights of one part of a model's folder: in one file, or in several with their index."""

import json

import pytest
import torch
from helpers.published_layouts import write_tensors

from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints, model_folders

TENSORS = {name: torch.full((2, 3), float(k)) for k, name in enumerate("abcde")}
INDEX = "model.safetensors.index.json"
FILES = [f"model-0000{k}-of-00003.safetensors" for k in (1, 2, 3)]


@pytest.fixture
def folder(tmp_path):
    """Five tensors in three files."""
    write_tensors(tmp_path / "text_encoder", TENSORS, files=3)
    (tmp_path / "text_encoder/config.json").write_text("{}")
    return tmp_path / "text_encoder"


def test_tensors_of_several_files_are_read_as_of_one(folder):
    found = checkpoints.read_tensors(model_folders.find_weights(folder))
    assert set(found) == set(TENSORS)
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)
    assert set(checkpoints.read_tensors(folder / INDEX, "a")) == {"a"}


def test_a_run_depends_on_every_file_and_on_the_index(folder):
    assert model_folders.part_files(folder) == [
        *(str(folder / name) for name in FILES),
        str(folder / "config.json"),
        str(folder / INDEX),
    ]


def test_one_file_comes_before_several_and_full_precision_before_half(folder):
    for name in ("model.bf16.safetensors", "model.fp16.safetensors", "model.safetensors"):
        assert model_folders.find_weights(folder).name in (INDEX, "model.bf16.safetensors", name)
        (folder / name).touch()
    assert model_folders.find_weights(folder).name == "model.safetensors"
    for name in ("model.safetensors", INDEX, "model.fp16.safetensors"):
        (folder / name).unlink()
    assert model_folders.find_weights(folder).name == "model.bf16.safetensors"


def test_a_missing_file_is_named(folder):
    (folder / FILES[1]).unlink()
    with pytest.raises(InputError, match=f"{FILES[1]}: expected a file of weights, found none"):
        checkpoints.read_tensors(folder / INDEX)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([], "None"),
        ({}, "None"),
        ({"weight_map": {}}, "None"),
        ({"weight_map": {"a": 3}}, "3"),
        ({"weight_map": {"a": "../other/model.safetensors"}}, "'../other/model.safetensors'"),
        ({"weight_map": {"a": "model.pkl"}}, "'model.pkl'"),
    ],
    ids=str,
)
def test_an_index_names_weights_beside_it(folder, content, found):
    (folder / INDEX).write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"{INDEX}: expected a weight_map .*, found {found}; get the file"):
        checkpoints.read_tensors(folder / INDEX)
