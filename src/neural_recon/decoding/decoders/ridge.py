"""Ridge regression, one per subject and space, in the kernel (Brain-Diffuser; `docs/method.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from neural_recon.core.kinds import Section
from neural_recon.decoding.decoder import Decoder, Targets


class CrossValidation(Section):
    """How alpha is chosen within the training set."""

    alphas: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2)] | None = Field(
        None,
        description="The penalties to try, these and no others; null: from a tenth to a hundred times the "
        "kernel's mean eigenvalue, two per decade, and further while the best lies at an edge.",
    )
    folds: Annotated[int, Field(ge=2)] = Field(5, description="Folds, over images.")
    targets: Annotated[int, Field(ge=1)] = Field(1024, description="Features scored, a seeded sample.")
    groups: Literal["space", "parts"] = Field(
        "space",
        description="One alpha per feature space; or (parts) one per VDVAE layer and run of neighbouring "
        "CLIP tokens, at most 32 per space.",
    )


class Ridge(Decoder):
    """All fits of a subject share the kernel of its responses, so it brings rules of its own."""

    class Settings(Decoder.Settings):
        """Ridge regression from voxels to features."""

        alpha: dict[str, Annotated[float, Field(gt=0)] | Literal["cv"]] = Field(
            description='The penalty of each space, or "cv": cross-validated within the training images.'
        )
        cross_validation: CrossValidation = CrossValidation()
        calibration: Literal["train", "published", "none"] = Field(
            "train",
            description="Mean and spread of predictions: from held-out training predictions, or (published) "
            "from the test set itself.",
        )
        keep: Literal["kernel", "components"] | None = Field(
            None,
            description="Keep decoders for new scans (`neural-recon decode`): whole, or leading components.",
        )
        keep_error: float = Field(
            0.01,
            gt=0,
            lt=1,
            description="What leaving out components may change, relative to the predictions.",
        )

        @model_validator(mode="after")
        def _keeps_no_test_set(self) -> Ridge.Settings:
            if self.keep and self.calibration == "published":
                raise ValueError(
                    'keep needs calibration "train" or "none": "published" takes its statistics from all '
                    "test images at once, which a new scan does not have"
                )
            return self

        def check_spaces(self, spaces: Sequence[str]) -> None:
            if missing := [space for space in spaces if space not in self.alpha]:
                raise ValueError(f"alpha needs a value for {', '.join(missing)}")
            if unknown := [space for space in self.alpha if space not in spaces]:
                raise ValueError(f"alpha.{unknown[0]}: no such space; spaces are {', '.join(spaces)}")

    settings: Settings
    fits = ("decoded", "shuffled", "recalibrated")
    offers = frozenset(
        {"penalties", "refits", "targets", "data_amount", "clusters", "leaks", "regions", "kept"}
    )

    def predict(
        self, space: str, train: np.ndarray, targets: Targets, test: np.ndarray, images: np.ndarray
    ) -> np.ndarray:
        from neural_recon.decoding.kernel import Kernel
        from neural_recon.decoding.penalty_table import chosen_alpha, cross_validated_curve
        from neural_recon.decoding.ridge import predict_blocks, together

        kernel, how = Kernel.of(train, test, images=images), self.settings
        given = how.alpha[space]
        if given == "cv":
            tried = how.cross_validation.model_dump()
            curve = cross_validated_curve(kernel, targets, targets.parts, **tried, seed=self.seed)
        alpha = chosen_alpha(curve) if given == "cv" else given
        return together(predict_blocks(kernel, targets, alpha, how.calibration, self.seed))
