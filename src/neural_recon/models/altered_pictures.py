"""Altered copies of pictures: what a picture shows stays, colours and frame change.

With the probabilities and ranges that MindEye2's training gives kornia (MedARC-AI/MindEyeV2, src/Train.py);
here with torchvision's functions and draws that belong to the image.
"""

from __future__ import annotations

import torch
from torchvision.transforms.v2 import functional

COLOURS = 0.8  # probability that colours change: each by a factor up to so far from 1, the hue by a shift
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.4, 0.4, 0.2, 0.1
GREY, SOLARISED = 0.1, 0.1  # probabilities
SOLARISING = 0.1  # how far the threshold lies from 1/2 at most, and what is added before from 0
AREA = 0.9  # of the crop, which is enlarged to the size of the picture


def altered(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One altered copy of a picture (3, side, side) in [0, 1]; the next draws of the generator."""
    draw = torch.rand(11, generator=generator).tolist()
    order = torch.randperm(4, generator=generator).tolist()

    def about(middle: float, spread: float, k: int) -> float:
        return middle + spread * (2 * draw[k] - 1)

    if draw[0] < COLOURS:
        changes = (
            lambda rows: functional.adjust_brightness(rows, about(1, BRIGHTNESS, 1)),
            lambda rows: functional.adjust_contrast(rows, about(1, CONTRAST, 2)),
            lambda rows: functional.adjust_saturation(rows, about(1, SATURATION, 3)),
            lambda rows: functional.adjust_hue(rows, about(0, HUE, 4)),
        )
        for k in order:
            image = changes[k](image)
    if draw[5] < GREY:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    if draw[6] < SOLARISED:
        image = (image + about(0, SOLARISING, 7)).clamp(0, 1)
        image = functional.solarize(image, about(0.5, SOLARISING, 8))
    side = image.shape[-1]
    crop = round(AREA**0.5 * side)
    top, left = (int((side - crop + 1) * draw[k]) for k in (9, 10))
    return functional.resized_crop(image, top, left, crop, crop, [side, side], antialias=True)
