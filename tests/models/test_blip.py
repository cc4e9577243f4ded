"""BLIP in the published layout, tiny and with random weights."""

import json

import numpy as np
import pytest
import torch
from helpers import tiny_blip
from helpers.tiny_blip import MARKS, SIDE, WORDS
from PIL import Image
from transformers import BlipImageProcessor

from neural_recon.core.errors import InputError
from neural_recon.models.blip import LONGEST, SHORTEST, Blip

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    return tiny_blip.model()


@pytest.fixture
def folder(tmp_path, model):
    return tiny_blip.write(tmp_path, model)


@pytest.fixture
def pictures(rng) -> np.ndarray:
    return rng.integers(0, 256, (7, 48, 40, 3), np.uint8)


@pytest.mark.parametrize("beams", [1, 3])
def test_captions_are_those_of_transformers_whatever_the_batch(folder, model, pictures, beams):
    blip = Blip.from_folder(folder, CPU)
    found = blip.captions(pictures, beams)
    processor = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    inputs = processor([Image.fromarray(one) for one in pictures], return_tensors="pt").pixel_values
    np.testing.assert_allclose(blip._prepared(pictures), inputs, atol=0.02)  # torch's bicubic is not PIL's
    expected = model.generate(
        pixel_values=blip._prepared(pictures), num_beams=beams, min_length=SHORTEST, max_length=LONGEST
    )
    marks = set(MARKS.values())
    for caption, row in zip(found, expected.tolist(), strict=True):
        assert caption.split() == [
            "[UNK]" if one == 1 else f"word{one}" for one in row if one not in marks and one < WORDS - 2
        ]
        assert caption
    assert len(set(found)) > 1
    assert [blip.captions(one[None], beams)[0] for one in pictures] == found
    assert blip.captions(pictures, beams, batch=3) == found


def test_another_folder_is_refused(folder, model):
    Blip.from_folder(folder, torch.device("meta"))  # as the doctor looks at it
    (folder / "tokenizer.json").rename(folder / "gone.json")
    with pytest.raises(InputError, match=r"tokenizer\.json: expected BLIP's tokenizer, found none"):
        Blip.from_folder(folder, CPU)
    (folder / "config.json").write_text(
        json.dumps({**model.config.to_dict(), "vision_config": {"hidden_size": 8}})
    )
    with pytest.raises(InputError, match="expected"):
        Blip.from_folder(folder, CPU)
