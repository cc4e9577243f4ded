"""The base image itself, enlarged as the image-to-image generator would start from it."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from neural_recon.generation.generator import Generator


class BaseOnly(Generator):
    """The first stage of Brain-Diffuser alone."""

    class Settings(Generator.Settings):
        """Base images as final pictures."""

        base: str = Field(description="The feature space whose pictures it starts from.")
        size: Annotated[int, Field(ge=1)] | None = Field(
            None, description="Side of the pictures in pixels; null: that of the base images."
        )

    settings: Settings
    base_is_final = True

    def paint(
        self,
        base: np.ndarray | None,
        guides: Mapping[str, np.ndarray],
        image_ids: np.ndarray,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        draw: int = 0,  # noqa: ARG002
    ) -> np.ndarray:
        from neural_recon.generation.sampling import resized

        self.check(base, guides)
        assert base is not None  # checked
        return resized(base, self.settings.size or base.shape[1])
