"""One of several draws of a picture, chosen by how well it agrees with a predicted feature space."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from neural_recon.core.kinds import Section
from neural_recon.generation.diffusion import Diffusion
from neural_recon.generation.generator import Inputs


class FromDraws(Section):
    """Settings of kinds that choose among draws, alongside those of `Diffusion`; `retrieval` is a role."""

    retrieval: str | None = Field(
        None, description="The feature space, CLIP's image tokens, by whose prediction a draw is chosen."
    )
    choose_from: Annotated[int, Field(ge=1)] = Field(
        1,
        description="Draws per picture, of which the one is kept whose tokens agree best with the "
        "predicted retrieval space; 1: no choice; published: 16.",
    )

    @model_validator(mode="after")
    def _chosen_by_something(self) -> Self:
        if (self.choose_from > 1) != (self.retrieval is not None):
            raise ValueError(
                f"choose_from {self.choose_from} with retrieval {self.retrieval}: a choice takes two "
                "draws or more and the space retrieval; set both, or neither"
            )
        return self


class Choosing(Diffusion):
    """A diffusion model that paints each picture several times and keeps one; no truth enters the choice."""

    settings: Any  # those of `Diffusion` and `FromDraws`

    @abstractmethod
    def agreement(self, pictures: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """How well pictures agree with predicted features, (n,): the larger, the better.

        Args:
            pictures: uint8 (n, S, S, 3).
            predicted: of the space `retrieval`, (n, tokens * width).
        """

    def pictures(self, inputs: Inputs) -> np.ndarray:
        """Of each picture's `choose_from` draws the one that agrees best with its guide."""
        among = self.settings.choose_from
        first = inputs.draw * among
        kept = super().pictures(inputs._replace(draw=first))
        if among == 1:
            return kept
        wanted = inputs.guides["retrieval"]
        best = self.agreement(kept, wanted)
        for draw in range(first + 1, first + among):
            pictures = super().pictures(inputs._replace(draw=draw))
            found = self.agreement(pictures, wanted)
            better = found > best
            kept[better], best[better] = pictures[better], found[better]
        return kept
