"""Versatile Diffusion from pure noise: all steps, under both guides, without a base image."""

import numpy as np
from pydantic import Field

from neural_recon.generation.generator import Inputs
from neural_recon.generation.generators.versatile_diffusion import DualGuided


class GuidesOnly(DualGuided):
    """The second stage of Brain-Diffuser alone."""

    class Settings(DualGuided.Settings):
        """Versatile Diffusion from noise."""

        base: None = Field(None, description="Nothing: it starts from noise.")

    def pictures(self, inputs: Inputs) -> np.ndarray:
        return super().pictures(inputs._replace(base=None))
