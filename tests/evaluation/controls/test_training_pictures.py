"""Training pictures are recognised in other sessions however they were stored, and no other picture is."""

import io

import numpy as np
import pytest
from PIL import Image

from neural_recon.evaluation.controls.training_pictures import among, small


def reduced(images: list[Image.Image]) -> np.ndarray:
    return small(lambda ids: [np.asarray(images[n]) for n in ids], np.arange(len(images)))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


STORED = {
    "as it is": lambda image: image,
    "JPEG": lambda image: as_jpeg(image, 30),
    "smaller": lambda image: image.resize((64, 64), Image.Resampling.BICUBIC),
    "smaller, in JPEG": lambda image: as_jpeg(image.resize((100, 100), Image.Resampling.LANCZOS), 50),
    "larger": lambda image: image.resize((512, 512), Image.Resampling.BILINEAR),
}


@pytest.fixture(scope="module")
def photographs(nsd_mini) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted((nsd_mini / "images").glob("*.jpg"))]


@pytest.mark.parametrize("how", STORED)
def test_a_photograph_is_recognised_however_it_is_stored(photographs, how):
    some = photographs[::8]
    assert among(reduced([STORED[how](image) for image in some]), reduced(some)).all()


def test_no_photograph_is_taken_for_another(photographs):
    every, number = reduced(photographs), np.arange(len(photographs))
    for bit in range(len(photographs).bit_length()):  # the numbers of any two differ in one
        first = (number >> bit) % 2 == 0
        assert not among(every[first], every[~first]).any()


CHANGED = {
    "cropped": lambda image: image.crop((42, 42, image.width - 42, image.height - 42)),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


@pytest.mark.parametrize("how", CHANGED)
def test_most_photographs_in_another_crop_or_other_colours_are_missed(photographs, how):
    some = photographs[::8]
    assert among(reduced([CHANGED[how](image) for image in some]), reduced(some)).mean() < 0.5


def test_pictures_of_little_contrast_are_told_apart():
    """Gratings of another orientation, and plain colours, are other pictures."""
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    waves = [127 + 6 * np.sin(2 * np.pi * wave / 32) for wave in (x, y, x + y)]
    images = [Image.fromarray(np.stack([one] * 3, axis=-1).astype(np.uint8)) for one in waves]
    images += [Image.new("RGB", (64, 64), (level, 127, 127)) for level in (120, 127)]
    found = reduced(images)
    for n in range(len(found)):
        assert not among(found[[n]], np.delete(found, n, axis=0)).any()
        assert among(found[[n]], found).all()
