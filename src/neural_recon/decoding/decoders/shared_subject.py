"""One network for several subjects, fine-tuned on one (MindEye1, MindEye2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from neural_recon.core.kinds import Section
from neural_recon.decoding.decoder import Decoder, Holding

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
# prior: tokens, drawn by a diffusion prior; projector: the same tokens as the contrastive loss compares them;
# low_level: latents of an autoencoder; teacher: maps that a branch of the low-level head predicts;
# regression: any other features, by a linear map
Head = Literal["prior", "projector", "low_level", "teacher", "regression"]
ONCE: tuple[Head, ...] = ("prior", "projector", "low_level", "teacher")
Training = Literal["pretrain", "finetune", "shuffled"]
# settings that no weights depend on, and those that only later trainings look at
NOT_TRAINED_BY = {"checkpoint_every", "keep", "published", "test_trials"}
LATER: dict[Training, set[str]] = {
    "pretrain": {"calibration", "finetune", "shuffled_epochs"},
    "finetune": {"shuffled_epochs"},
    "shuffled": set(),
}


class Prior(Section):
    """The diffusion prior of the tokens."""

    depth: Positive = Field(6, description="Layers of its transformer.")
    head_width: Positive = Field(52, description="Width of an attention head (MindEye1: 64).")
    heads: Positive = Field(32, description="Attention heads (MindEye1: 12).")
    scaled: bool = Field(
        False, description="Its loss is on embeddings times the root of their width (MindEye1)."
    )
    steps: Positive = Field(20, description="Steps that are asked for when tokens are drawn (of 100).")


class LowLevel(Section):
    """The head of an autoencoder's latents."""

    decoder: Annotated[list[Positive], Field(min_length=1)] = Field(
        [32, 64, 128], description="Widths of its decoder, the last first (MindEye1: 64, 128, 256)."
    )
    blocks: Annotated[int, Field(ge=0)] = Field(
        0, description="Residual blocks of its own; 0: it reads the backbone's output (MindEye1: 4)."
    )


class Pretraining(Section):
    """What the network learns from other subjects before it sees its own."""

    subjects: Literal["all", "none"] | list[str] = Field(
        "all", description="Those of the configuration; the subject that is decoded is left out of them."
    )
    epochs: Positive = 150
    batch: Positive = Field(42, description="Trials a step, of all subjects together.")


class Finetuning(Section):
    """What it learns from the subject that is decoded."""

    sessions: Literal["all"] | Positive = Field(
        "all", description="The first sessions that it learns from (1: the hour of MindEye2)."
    )
    epochs: Positive = 150
    batch: Positive = 24


class Validation(Section):
    """Training images that are held out, never test images."""

    share: Share = Field(0.0, description="Of each subject's training images; 0 (published): none.")
    stop: Literal["last", "early"] = Field(
        "last",
        description="Keep the weights of the last epoch (published), or of the one with the least loss on "
        "these images.",
    )
    patience: Positive = Field(10, description="With early: epochs without a smaller loss that end training.")

    @model_validator(mode="after")
    def _has_images(self) -> Validation:
        if self.stop == "early" and not self.share:
            raise ValueError("stop early needs held-out training images: set share, such as 0.1")
        return self


class Losses(Section):
    """The weights of the losses, as published."""

    prior: float = Field(30, ge=0)
    contrastive: float = Field(1, ge=0, description="Of the projector's tokens with the true ones.")
    low_level: float = Field(0.5, ge=0)
    teacher: float = Field(
        0.05, ge=0, description="Soft contrastive, of the low-level head's branch with the teacher's maps."
    )
    regression: float = Field(1, ge=0, description="Of each such head: squared error of z-scored features.")


class SharedSubject(Decoder):
    """A map per subject, a backbone and heads that all share."""

    class Settings(Decoder.Settings):
        """One network for several subjects."""

        heads: dict[str, Head] = Field(
            {},
            description="Space -> prior (tokens, drawn by the diffusion prior), projector (the same tokens, "
            "as the contrastive loss compares them), low_level (an autoencoder's latents), teacher (maps of "
            "convnext_maps, from which the low-level head learns, too) or regression (spaces that are not "
            "named).",
        )
        backbone: Literal["residual", "published"] = Field(
            "residual",
            description="MindEye1's residual blocks, or MindEye2's as released, which in effect do nothing.",
            json_schema_extra={"released": "published"},
        )
        hidden: Positive = Field(4096, description="Width of the space that subjects share.")
        blocks: Positive = 4
        prior: Prior = Prior()
        projector: Positive = Field(1664, description="Hidden width of the projector (MindEye1: 2048).")
        low_level: LowLevel = LowLevel()
        pretrain: Pretraining = Pretraining()
        finetune: Finetuning = Finetuning()
        shuffled_epochs: Positive | None = Field(
            None, description="Fine-tuning of the control on shuffled pairs; null: as long as the decoder's."
        )
        learning_rate: float = Field(3e-4, gt=0, description="The largest of the one-cycle schedule.")
        weight_decay: float = Field(0.01, ge=0, description="Of all parameters but biases.")
        mixing: Share = Field(
            0.33, description="Share of the epochs in which trials are mixed in pairs (MixCo)."
        )
        permutations: Literal["offset", "published"] = Field(
            "offset",
            description="Partners of mixed trials within each subject; published: those of later subjects "
            "point at the first, as released.",
            json_schema_extra={"released": "published"},
        )
        losses: Losses = Losses()
        validation: Validation = Validation()
        calibration: Literal["train", "none"] = Field(
            "none",
            description="Mean and spread of regression heads' predictions: those of the training images' "
            "features, by held-out training images (validation.share).",
        )
        test_trials: Literal["outputs", "average"] = Field(
            "outputs",
            description="The network sees each repetition of a test image and its outputs are averaged "
            "(published), or it sees their average.",
        )
        precision: Literal["auto", "float32"] = Field(
            "auto", description="auto: float16 on a GPU (published), float32 on the CPU."
        )
        accumulate: Positive = Field(
            1, description="Parts of a batch that are computed one after the other: less memory on the GPU."
        )
        checkpoint_every: Positive = Field(
            5, description="Epochs between checkpoints, from which a killed training resumes."
        )
        published: str | None = Field(
            None,
            description="A fitted model of MindEye2's authors (last.pth; {subject} in its path is filled "
            "in), taken instead of training one; the control on shuffled pairs starts from it.",
        )
        keep: bool = Field(False, description="Keep what new scans need (`neural-recon decode`).")

        @model_validator(mode="after")
        def _heads_fit(self) -> SharedSubject.Settings:
            for head in ONCE:
                if sum(one == head for one in self.heads.values()) > 1:
                    raise ValueError(f"heads: expected {head} for one space at most, found several")
            if "projector" in self.heads.values() and "prior" not in self.heads.values():
                raise ValueError("heads: projector needs a space whose head is prior: they share tokens")
            if "teacher" in self.heads.values() and "low_level" not in self.heads.values():
                raise ValueError("heads: teacher needs a space whose head is low_level, which learns from it")
            if self.calibration == "train" and not self.validation.share:
                raise ValueError('calibration "train" needs validation.share, such as 0.1')
            return self

        def check_spaces(self, spaces: Sequence[str]) -> None:
            if unknown := [space for space in self.heads if space not in spaces]:
                raise ValueError(f"heads.{unknown[0]}: no such space; spaces are {', '.join(spaces)}")

        def kept_files(self, spaces: Sequence[str], average: bool) -> dict[str, tuple[str, str]]:  # noqa: ARG002
            return dict.fromkeys(spaces, ("scans.h5", "network.safetensors"))

        def kept_control(self, spaces: Sequence[str]) -> dict[str, str]:
            return dict.fromkeys(spaces, "shared_subject/{subject}/shuffled.safetensors")

        def responses_of(self, space: str, average: bool) -> str:  # noqa: ARG002
            return "session_trials"

        def check_subjects(self, subjects: Collection[str]) -> None:
            asked = self.pretrain.subjects
            if not isinstance(asked, str) and (unknown := [one for one in asked if one not in subjects]):
                raise ValueError(
                    f"pretrain.subjects: {unknown[0]} is not among the subjects of the configuration, "
                    f"{', '.join(subjects)}; add it there"
                )

        def network_bytes(self, n_voxels: int, width: int) -> int:
            from neural_recon.decoding.shared_subject.sizes import shared_parameters

            one = shared_parameters(self, width) + self.hidden * n_voxels
            # of the others, the decoder and the control, float32; and the checkpoint of one in training
            return 4 * one * (3 + 3)

        def trained_by(self, training: Training) -> dict[str, Any]:
            """The settings that the weights of a training depend on, as plain values."""
            return self.model_dump(mode="json", exclude=NOT_TRAINED_BY | LATER[training])

        def head(self, space: str) -> Head:
            """How a space is predicted."""
            return self.heads.get(space, "regression")

        def others(self, subject: str, subjects: Collection[str]) -> list[str]:
            if self.published:
                return []
            asked = self.pretrain.subjects
            listed = list(subjects) if asked == "all" else [] if asked == "none" else asked
            return [one for one in listed if one != subject]

        def pretrained(self, decoded: Collection[str], subjects: Collection[str]) -> dict[str, list[str]]:
            """The networks of other subjects that are trained: decoded subject -> those whose network its own
            starts from; a subject that starts from new weights is left out."""
            found = {subject: self.others(subject, subjects) for subject in decoded}
            return {subject: others for subject, others in found.items() if others}

    settings: Settings
    sentence = (
        "One network per subject, from voxels to all feature spaces: trained on other subjects, where there "
        "are any, then fine-tuned on the subject's own trials."
    )
    offers = frozenset({"kept", "losses"})

    def predict(self, *_: object, **__: object) -> np.ndarray:
        """Not by space: the rules train one network for all (`decoding.shared_subject.runs`)."""
        raise NotImplementedError(f"{type(self).__name__} trains one network for all spaces, by its rules")

    def predict_kept(
        self,
        voxels: Path,  # noqa: ARG002
        decoders: Mapping[str, Path],
        rows: np.ndarray,
        numbers: np.ndarray,
    ) -> dict[str, np.ndarray]:
        from neural_recon.decoding.shared_subject.prediction import predict_rows

        path = next(iter(decoders.values()))
        return predict_rows(path, rows, numbers, list(decoders), self.seed)

    def held(self, voxels: Path, decoders: Mapping[str, Path]) -> Holding:  # noqa: ARG002
        return Holding(
            False,
            "Weights of a network trained step by step. No response is in the files by itself; what networks "
            "remember of single training trials is not measured here.",
        )
