"""CLIP contexts against the original implementation's numbers."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from neural_recon.core.errors import InputError
from neural_recon.models.clip import ClipContexts
from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference / "vd_tiny.npz") as file:
        names = ("token_ids", "pixel_values", "text_context", "vision_context")
        return {name: torch.from_numpy(file[name]) for name in names}


@pytest.fixture(scope="module")
def published(reference):
    return ClipContexts.from_pretrained(reference / "vd_tiny", device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small pair of another image size, with a tokenizer of single letters and a processor."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    letters = [letter + end for end in ("", "</w>") for letter in "abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    vocabulary |= {"<|startoftext|>": 52, "<|endoftext|>": 53}
    text = CLIPTextConfig(
        **size,
        vocab_size=54,
        max_position_embeddings=8,
        projection_dim=12,
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )
    vision = CLIPVisionConfig(**size, image_size=16, patch_size=8, projection_dim=12)
    CLIPTextModelWithProjection(text).save_pretrained(folder / "text_encoder")
    CLIPVisionModelWithProjection(vision).save_pretrained(folder / "image_encoder")
    for name, content in (
        ("tokenizer/vocab.json", json.dumps(vocabulary)),
        ("tokenizer/merges.txt", "#version: 0.2\n"),
        ("tokenizer/tokenizer_config.json", json.dumps({"tokenizer_class": "CLIPTokenizer"})),
        (
            "image_processor/preprocessor_config.json",
            json.dumps(
                {
                    "size": {"shortest_edge": 16},
                    "crop_size": 16,
                    "image_mean": [0.5] * 3,
                    "image_std": [0.25] * 3,
                }
            ),
        ),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture(scope="module")
def small(folder):
    return ClipContexts.from_pretrained(folder, device="cpu")


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)


def assert_close(found, expected, tolerance=1e-4):
    difference = np.abs(np.asarray(found) - np.asarray(expected)).max()
    assert difference <= tolerance * np.abs(np.asarray(expected)).max()


def test_contexts_are_the_reference_ones(published, numbers):
    assert_close(published.vision_tokens(numbers["pixel_values"]), numbers["vision_context"])
    assert_close(published.text_tokens(numbers["token_ids"]), numbers["text_context"])


def test_old_end_of_text_rule_pools_at_the_highest_id(reference, tmp_path, numbers):
    copy = copied(reference / "vd_tiny", tmp_path)
    path = copy / "text_encoder/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": 2}))
    assert_close(
        ClipContexts.from_pretrained(copy).text_tokens(numbers["token_ids"]), numbers["text_context"]
    )


def test_rows_without_end_of_text_are_refused(published):
    with pytest.raises(ValueError, match="token_ids: expected the end of text 511"):
        published.text_tokens(torch.zeros(1, 77, dtype=torch.long))


def test_published_size_goes_by_way_of_512(published, rng):
    image = rng.integers(0, 256, (1, 425, 425, 3), dtype=np.uint8)
    assert published.resize == 512
    by_hand = Image.fromarray(image[0]).resize((512, 512), Image.Resampling.BILINEAR)
    by_hand = np.asarray(by_hand.resize((224, 224), Image.Resampling.BICUBIC))
    found = published.pixels(image).numpy()[0].transpose(1, 2, 0) * CLIP_STD + CLIP_MEAN
    np.testing.assert_allclose(found * 255, by_hand, atol=1e-3)
    vision = published.vision(image)
    assert vision.dtype == np.float32
    assert vision.shape == (1, 257, 16)


def test_pixels_are_those_of_transformers_processor(small, rng):
    processor = pytest.importorskip("transformers").CLIPImageProcessorPil(
        size={"shortest_edge": 16},
        crop_size={"height": 16, "width": 16},
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
    )
    images = rng.integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    assert small.resize is None
    expected = processor(images=[Image.fromarray(image) for image in images], return_tensors="np")[
        "pixel_values"
    ]
    assert_close(small.pixels(images), expected, 1e-5)


def test_batches_change_nothing(small, rng):
    images = rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    assert_close(small.vision(images, batch=2), small.vision(images), 1e-5)
    captions = ["a", "cat", "bed", "", "zoo"]
    assert_close(small.text(captions, batch=2), small.text(captions), 1e-5)


def test_captions_are_padded_or_cut_to_the_models_tokens(small):
    ids = small.token_ids(["cab", "abcdefghijk", ""])
    assert ids.tolist() == [
        [52, 2, 0, 27, 53, 53, 53, 53],
        [52, 0, 1, 2, 3, 4, 5, 53],
        [52, 53, 53, 53, 53, 53, 53, 53],
    ]
    assert_close(small.text(["cab", ""]), small.text_tokens(ids[[0, 2]]), 1e-6)


def test_unconditional_is_grey_and_empty(small):
    vision, text = small.unconditional()
    assert vision.shape == (1, 5, 12)
    assert text.shape == (1, 8, 12)
    grey = torch.full((1, 3, 16, 16), (127 / 255 - 0.5) / 0.25)
    assert_close(vision, small.vision_tokens(grey), 1e-5)
    assert_close(text, small.text([""]), 1e-6)


def test_embedding_points_where_the_first_token_does(small, rng):
    images = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    embedding = small.embedding(images)
    assert embedding.shape == (2, 12)
    norms = np.linalg.norm(embedding, axis=1, keepdims=True)
    assert_close(small.vision(images)[:, 0], embedding / norms, 1e-5)
    assert np.abs(norms - 1).max() > 1e-3


def test_half_precision_configurations_compute_in_float32(folder, tmp_path, small, rng):
    copy = copied(folder, tmp_path)
    for name in ("image_encoder", "text_encoder"):
        path = copy / name / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": "float16"}))
    half = ClipContexts.from_pretrained(copy, device="cpu")
    images = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert_close(half.vision(images), small.vision(images), 1e-6)
    assert_close(half.text(["cab"]), small.text(["cab"]), 1e-6)


def test_buffers_of_older_versions_are_ignored_and_wrong_tensors_named(folder, tmp_path, small):
    copy = copied(folder, tmp_path)
    path = copy / "text_encoder/model.safetensors"
    tensors = safetensors.torch.load_file(path)
    old = tensors | {"text_model.embeddings.position_ids": torch.arange(8)[None]}
    safetensors.torch.save_file(old, path)
    assert_close(ClipContexts.from_pretrained(copy, device="cpu").text(["cab"]), small.text(["cab"]), 1e-6)
    safetensors.torch.save_file(tensors | {"text_projection.weight": torch.zeros(3, 4)}, path)
    with pytest.raises(
        InputError, match=r"text_projection.weight of shape \(12, 16\), found \(3, 4\); this is not"
    ):
        ClipContexts.from_pretrained(copy)


def test_processor_of_another_size_is_refused(folder, tmp_path):
    copy = copied(folder, tmp_path)
    (copy / "image_processor").rename(copy / "image_feature_extractor")
    ClipContexts.from_pretrained(copy)
    path = copy / "image_feature_extractor/preprocessor_config.json"
    path.write_text(json.dumps({"size": 224}))
    with pytest.raises(InputError, match="expected the size of the image encoder, 16, found 224"):
        ClipContexts.from_pretrained(copy)


def test_missing_parts_are_named(folder, tmp_path, published):
    copy = copied(folder, tmp_path)
    (copy / "tokenizer/vocab.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer: expected tokenizer.json or vocab.json"):
        ClipContexts.from_pretrained(copy)
    shutil.rmtree(copy / "image_encoder")
    with pytest.raises(InputError, match=r"image_encoder/config.json: expected"):
        ClipContexts.from_pretrained(copy)
    with pytest.raises(ValueError, match="expected a tokenizer"):
        published.text(["cab"])


def test_images_must_be_square_8_bit(small):
    for images in (np.zeros((1, 16, 16, 3), np.float32), np.zeros((1, 16, 20, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"images: expected uint8 \(n, H, H, 3\), found"):
            small.pixels(images)
