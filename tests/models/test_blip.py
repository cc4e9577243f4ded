"""BLIP in the published layout, tiny and with random weights."""

import json

import numpy as np
import pytest
import torch
from helpers import published_layouts
from PIL import Image
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor

from neural_recon.core.errors import InputError
from neural_recon.models.blip import LONGEST, SHORTEST, TWICE, Blip

CPU = torch.device("cpu")
SIDE, WORDS = 32, 60
MARKS = {"bos_token_id": 58, "sep_token_id": 3, "pad_token_id": 0, "eos_token_id": 2}


@pytest.fixture(scope="module")
def model() -> BlipForConditionalGeneration:
    text = {
        "vocab_size": WORDS, "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32, **MARKS,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": SIDE, "patch_size": 16,
    }  # fmt: skip
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.5 * torch.randn(parameter.shape)
    return model


@pytest.fixture
def folder(tmp_path, model):
    """As it is published: tied parameters once, positions of an older version alongside them."""
    tensors = {name: value for name, value in model.state_dict().items() if name not in TWICE}
    tensors["text_decoder.bert.embeddings.position_ids"] = torch.arange(32)[None]
    published_layouts.write_tensors(tmp_path, {name: value.contiguous() for name, value in tensors.items()})
    (tmp_path / "config.json").write_text(json.dumps(model.config.to_dict()))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"word{k}" for k in range(4, WORDS - 2))]
    about = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {w: k for k, w in enumerate(words)}, "unk_token": "[UNK]"},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(about))
    return tmp_path


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
