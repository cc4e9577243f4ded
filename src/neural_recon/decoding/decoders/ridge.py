"""Ridge regression, one per subject and space, in the kernel (Brain-Diffuser; `docs/method.md`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from neural_recon.core.kinds import Section
from neural_recon.decoding.decoder import Decoder, Holding, Targets
from neural_recon.decoding.sources import Source, Taken, UnitTokens, unit_blocks

# of any linear decoder: docs/sharing.md has the algebra and the figures
RECOVERABLE = (
    "With more features than training images, whoever also has the training pictures can compute their "
    "features and solve for the responses to them, as they were trained on; so pass the decoder on only to "
    "those who may have the responses."
)


class CrossValidation(Section):
    """How alpha is chosen within the training set."""

    alphas: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2)] | None = Field(
        None,
        description="The penalties to try, these and no others; null: from a tenth to a hundred times the "
        "kernel's mean eigenvalue, two per decade, and further while the best lies at an edge.",
    )
    folds: Annotated[int, Field(ge=2)] = Field(5, description="Folds, over images.")
    targets: Annotated[int, Field(ge=1)] = Field(1024, description="Features scored, a seeded sample.")
    groups: Literal["space", "parts", "targets"] = Field(
        "space",
        description="One alpha per feature space; or (parts) one per VDVAE layer and run of neighbouring "
        "CLIP tokens, at most 32 per space; or (targets) one per feature, by its squared error.",
        json_schema_extra={"released": "targets"},
    )
    contiguous: bool = Field(
        False,
        description="Cut folds from the training rows as they come (published by Takagi & Nishimoto: "
        "repetitions of an image fall into several folds); false: draw whole images.",
        json_schema_extra={"released": True},
    )


class Ridge(Decoder):
    """All fits of a subject share the kernel of its responses, so it brings rules of its own.

    `predict` takes responses of a space's own regions, single trials or averages: the rules choose them.
    """

    class Settings(Decoder.Settings):
        """Ridge regression from voxels to features."""

        alpha: dict[str, Annotated[float, Field(gt=0)] | Literal["cv"]] = Field(
            description='The penalty of each space, or "cv": cross-validated within the training images.'
        )
        cross_validation: CrossValidation = CrossValidation()
        regions: dict[str, Annotated[list[str], Field(min_length=1)] | None] = Field(
            {},
            description="Space -> the regions it is predicted from, as the data set calls them; a space that "
            "is not named, or null: all voxels.",
        )
        intercept: dict[str, bool] = Field(
            {},
            description="Space -> false: no intercept (published by Takagi & Nishimoto), so predictions "
            "carry no mean unless calibration gives it back; default: true.",
            json_schema_extra={"released": False},
        )
        responses: dict[str, Literal["single"] | None] = Field(
            {},
            description="Space -> single: trained on single trials; a space that is not named, or null: as "
            "responses.average says. Test images are averaged either way.",
            json_schema_extra={"released": "single"},
        )
        normalise: dict[str, Literal["rows"] | None] = Field(
            {},
            description="Space -> rows (MIRAGE's retrieval): each row of voxels, and each token of the "
            "features and of their predictions, is divided by its length.",
        )
        calibration: Literal["train", "published", "none"] = Field(
            "train",
            description="Mean and spread of predictions: from held-out training predictions, or (published) "
            "from the test set itself.",
            json_schema_extra={"released": "published"},
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
            for name in ("regions", "intercept", "responses", "normalise"):
                if unknown := [space for space in getattr(self, name) if space not in spaces]:
                    raise ValueError(f"{name}.{unknown[0]}: no such space; spaces are {', '.join(spaces)}")
            if missing := [space for space in spaces if space not in self.alpha]:
                raise ValueError(f"alpha needs a value for {', '.join(missing)}")
            if unknown := [space for space in self.alpha if space not in spaces]:
                raise ValueError(f"alpha.{unknown[0]}: no such space; spaces are {', '.join(spaces)}")

        def regions_of(self, space: str) -> Sequence[str]:
            return self.regions.get(space) or ()

        def owners(self, spaces: Sequence[str], average: bool) -> dict[str, str]:
            first: dict[Source, str] = {Source(): ""}
            return {space: first.setdefault(self.source(space, average), space) for space in spaces}

        def responses_of(self, space: str, average: bool) -> str:
            return "single_trials" if self.source(space, average).single else "responses"

        def source(self, space: str, average: bool = True) -> Source:
            """What a space is predicted from, where other spaces are trained on averages or not."""
            return Source(
                tuple(self.regions_of(space)),
                self.intercept.get(space, True),
                average and self.responses.get(space) == "single",
                self.normalise.get(space) == "rows",
            )

    settings: Settings
    sentence = "One ridge regression per subject and feature space, from voxels to features."
    fits = ("decoded", "shuffled", "recalibrated")
    offers = frozenset(
        {
            "penalties",
            "refits",
            "targets",
            "data_amount",
            "clusters",
            "leaks",
            "regions",
            "kept",
            "bottleneck",
        }
    )

    def predict(
        self, space: str, train: np.ndarray, targets: Targets, test: np.ndarray, images: np.ndarray
    ) -> np.ndarray:
        from neural_recon.decoding.kernel import Kernel
        from neural_recon.decoding.penalty_table import chosen_alpha, cross_validated_curve
        from neural_recon.decoding.ridge import predict_blocks, together

        how = self.settings
        source = how.source(space)
        take = Taken(unit=source.unit)
        kernel = Kernel.of(take(train), take(test), images=images, intercept=source.intercept)
        targets = UnitTokens(targets) if source.unit else targets
        given = how.alpha[space]
        if given == "cv":
            tried = how.cross_validation.model_dump()
            curve = cross_validated_curve(kernel, targets, targets.parts, **tried, seed=self.seed)
        alpha = chosen_alpha(curve) if given == "cv" else given
        blocks = predict_blocks(kernel, targets, alpha, how.calibration, self.seed)
        return together(unit_blocks(blocks, targets.parts) if source.unit else blocks)

    def predict_kept(
        self,
        voxels: Path,
        decoders: Mapping[str, Path],
        rows: np.ndarray,
        numbers: np.ndarray,  # noqa: ARG002
    ) -> dict[str, np.ndarray]:
        from neural_recon.decoding import kept_decoders

        scores = kept_decoders.project(voxels, rows)
        return {space: kept_decoders.predict(path, voxels, scores) for space, path in decoders.items()}

    def held(self, voxels: Path, decoders: Mapping[str, Path]) -> Holding:  # noqa: ARG002
        from neural_recon.decoding.kept_decoders import holds_responses

        responses = holds_responses(voxels)
        first = (
            "Ridge regression kept as a kernel: its file of voxels has the z-scored response to every "
            "training image, as it is."
            if responses
            else "Ridge regression without its training rows: voxels' directions and what they predict. No "
            "response is in the files by itself."
        )
        return Holding(responses, f"{first} {RECOVERABLE}", recoverable=True)
