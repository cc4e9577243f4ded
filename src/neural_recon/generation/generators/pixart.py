"""PixArt from the base image, guided by T5's states of captions: diffusion by a transformer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from neural_recon.core.errors import InputError
from neural_recon.generation.diffusion import FromBase, LatentDiffusion

if TYPE_CHECKING:
    import torch

# Of the published model, where a folder's scheduler configuration leaves them open.
PUBLISHED_SCHEDULE = {
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
}
# DDIM's own, over the same noise: the spacing of the folder's configuration is that of DPM-Solver++.
DDIM = {"timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}


class PixArt(LatentDiffusion):
    """PixArt-Sigma (Chen et al. 2024): a diffusion transformer under the states of a caption's tokens.

    All tokens of a guide are attended to, as the space `t5_states` predicts none of padding: the published
    mask would be all ones. Where nothing guides, that mask leaves the empty caption's one token, its end; to
    attend to copies of it is the same, as the transformer does not know where in a caption a token is.
    """

    class Settings(FromBase, LatentDiffusion.Settings):
        """PixArt from the base image."""

        roles: ClassVar[tuple[str, ...]] = ("text",)

        text: str = Field(description="The feature space that guides it as T5's states, of any number.")
        solver: Literal["dpm++", "ddim"] = Field(
            "dpm++", description="DPM-Solver++ of second order (published), or DDIM."
        )

    settings: Settings
    network = "transformer"
    network_class = "PixArtTransformer2DModel"
    any_tokens = True
    published_side = 1024
    files: ClassVar = {"weights": ("transformer", "vae", "scheduler")}
    encoders: ClassVar = {"weights": ("text_encoder", "tokenizer")}

    def load(self, home: torch.device, dtype: torch.dtype) -> Mapping[str, torch.nn.Module]:
        from diffusers import PixArtTransformer2DModel

        parts = super().load(home, dtype)
        transformer: Any = parts[self.network]
        if transformer.use_additional_conditions:
            raise InputError(
                f"{self.settings.weights}/{self.network}: expected a transformer that is told no size of "
                "pictures (use_additional_conditions false, PixArt-Sigma), found one that is; name another."
            )
        # the table of positions is in no file, but computed where a model is built
        built = PixArtTransformer2DModel.from_config({**self.config(self.network), "num_layers": 0})
        transformer.pos_embed.pos_embed = built.pos_embed.pos_embed.to(home)
        return parts

    def scheduler(self) -> Any:
        from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

        from neural_recon.models.device_memory import load_scheduler

        folder = Path(self.settings.weights) / "scheduler"
        found = load_scheduler(DPMSolverMultistepScheduler, folder, PUBLISHED_SCHEDULE)
        ddim = self.settings.solver == "ddim"
        return DDIMScheduler.from_config({**found.config, **DDIM}) if ddim else found

    def widths(self) -> Mapping[str, int]:
        return {"text": self.parts[self.network].config.caption_channels}

    def unconditional(self) -> dict[str, np.ndarray]:
        """The state (1, 1, width) of the empty caption's end."""
        from neural_recon.models.loading import choose_device
        from neural_recon.models.text_states import T5States

        where = choose_device(self.device)
        return {"text": T5States.from_folder(Path(self.settings.weights), where, tokens=1).states([""])}

    def condition(self, guides: Mapping[str, torch.Tensor], unguided: Mapping[str, torch.Tensor]) -> Any:
        return self.both(guides["text"], unguided.get("text"))

    def predict(self, rows: torch.Tensor, timestep: torch.Tensor, condition: Any) -> torch.Tensor:
        transformer = self.parts[self.network]
        output = transformer(
            rows.to(transformer.dtype),
            encoder_hidden_states=condition.to(transformer.dtype),
            timestep=timestep.to(rows.device).expand(len(rows)),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
        return output[:, : rows.shape[1]]  # the others are the variance, which neither solver takes
