"""The contrastive losses of MindEye1 and MindEye2: BiMixCo on mixed responses, then SoftCLIP.

As in MedARC-AI/MindEyeV2 (src/utils.py, Train). The released training concatenates the permutations of
several subjects without offset, so that every partner points into the first subject's rows; and a sample that
is its own partner loses its target. `permutations: published` does the same, `offset` does neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

Permutations = Literal["offset", "published"]

BETA = 0.15  # both parameters of the distribution of shares
MIXED = 0.5  # of the samples
MIXING_SHARE = 0.33  # of the epochs
MIXING_TEMPERATURE = 0.006
TEMPERATURES = (0.004, 0.0075)  # of SoftCLIP, at first and at last
TEACHER_TEMPERATURE = 0.2  # of the loss on a teacher's maps


class Mixing(NamedTuple):
    """How the samples of a batch are mixed."""

    partners: torch.Tensor  # int64 (n,), rows
    shares: torch.Tensor  # float32 (n,), of the sample itself: 1 where it is not mixed


def mixing(partners: torch.Tensor, shares: torch.Tensor, uniform: torch.Tensor) -> Mixing:
    """The mixing of a permutation, shares and uniform draws in [0, 1), each (n,)."""
    return Mixing(partners, torch.where(uniform <= MIXED, shares, 1.0))


def draw_mixing(n: int, generator: torch.Generator) -> Mixing:
    """A mixing of n samples, on the CPU, from a CPU generator."""
    # torch draws no beta from a generator
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    shares = torch.from_numpy(rng.beta(BETA, BETA, n)).float()
    partners = torch.from_numpy(rng.permutation(n))
    return mixing(partners, shares, torch.from_numpy(rng.random(n)))


def mixed(values: torch.Tensor, how: Mixing) -> torch.Tensor:
    """Rows (n, ...) mixed with their partners'."""
    partners, shares = how.partners.to(values.device), how.shares.to(values)
    shares = shares.reshape(-1, *[1] * (values.dim() - 1))
    return values * shares + values[partners] * (1 - shares)


def joined(mixings: Sequence[Mixing], permutations: Permutations) -> Mixing:
    """The mixings of several subjects' samples, for their concatenated rows."""
    partners, start = [], 0
    for one in mixings:
        partners.append(one.partners + (start if permutations == "offset" else 0))
        start += len(one.partners)
    return Mixing(torch.cat(partners), torch.cat([one.shares for one in mixings]))


def mixco_nce(
    predicted: torch.Tensor,
    targets: torch.Tensor,
    how: Mixing | None = None,
    permutations: Permutations = "offset",
    temperature: float = MIXING_TEMPERATURE,
) -> torch.Tensor:
    """BiMixCo: cross entropy in both directions, a sample's target shared between its own and its partner's.

    Args:
        predicted, targets: (n, d), rows of norm 1.
        how: the mixing of the samples' responses; None: not mixed, InfoNCE.
        permutations: "published": a sample that is its own partner has no target.
        temperature: divides the cosines.

    Returns:
        A scalar.
    """
    wanted = torch.eye(len(predicted), device=predicted.device)
    if how is not None:
        partners, shares = (part.to(predicted.device) for part in how)
        rows = torch.arange(len(predicted), device=predicted.device)
        wanted = torch.diag(shares)
        wanted.index_put_((rows, partners), 1 - shares, accumulate=permutations == "offset")
    logits = predicted @ targets.T / temperature
    return (_cross_entropy(logits, wanted) + _cross_entropy(logits.T, wanted.T)) / 2


def soft_clip(predicted: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    """SoftCLIP: the targets' likeness among themselves is what predictions' likeness to them shall be.

    Args:
        predicted, targets: (n, d), rows of norm 1.
        temperature: divides the cosines.

    Returns:
        A scalar.
    """
    return soft_contrast(predicted, targets, targets, temperature)


def soft_contrast(
    student: torch.Tensor,
    teacher: torch.Tensor,
    augmented: torch.Tensor,
    temperature: float = TEACHER_TEMPERATURE,
) -> torch.Tensor:
    """A student's likeness to a teacher's maps of augmented pictures, as the teacher's own; both directions.

    Args:
        student, teacher, augmented: (n, d), rows of norm 1.
        temperature: divides the cosines.

    Returns:
        A scalar.
    """
    logits, wanted = student @ augmented.T / temperature, teacher @ augmented.T / temperature
    return (_cross_entropy(logits, wanted.softmax(-1)) + _cross_entropy(logits.T, wanted.T.softmax(-1))) / 2


def _cross_entropy(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return -(logits.log_softmax(-1) * wanted).sum(-1).mean()


def mixing_epochs(epochs: int, share: float = MIXING_SHARE) -> int:
    """How many epochs mix, before SoftCLIP takes over."""
    return int(share * epochs)


def soft_temperatures(epochs: int, share: float = MIXING_SHARE) -> list[float]:
    """SoftCLIP's temperature in each epoch after those that mix, on half a cosine."""
    n = epochs - mixing_epochs(epochs, share)
    first, last = TEMPERATURES
    places = (math.cos(math.pi * k / max(n - 1, 1)) for k in range(n))
    return [last + (first - last) / 2 * (1 + place) for place in places]
