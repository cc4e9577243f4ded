"""The UNet of Versatile Diffusion (Xu et al. 2023) under two contexts: a picture's and a caption's.

The published weights are an image UNet and the attention blocks of a text UNet. The counterpart in
diffusers, `DualTransformer2DModel`, fails in 0.42: it does not take what the UNet's blocks pass.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from neural_recon import checkpoints, model_folders


class DualAttention(nn.Module):
    """Two transformer blocks on the same hidden states: one attends to vision, one to text.

    Stands in the place of a `Transformer2DModel`, and so takes what the blocks of the UNet pass. The
    hidden states (B, C, h, w) come out as `(1 - mixing) * vision + mixing * text`.
    """

    def __init__(self, vision: Transformer2DModel):
        super().__init__()
        self.vision = vision
        # not from_config: it forgets the arguments that the blocks gave by position
        arguments = {name: value for name, value in vision.config.items() if not name.startswith("_")}
        self.text = Transformer2DModel(**arguments)

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        cross_attention_kwargs: Mapping[str, Any],
        attention_mask: None = None,
        encoder_attention_mask: None = None,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        if attention_mask is not None or encoder_attention_mask is not None or return_dict:
            raise ValueError("DualAttention: expected no masks and return_dict=False")
        vision = self.vision(hidden_states, encoder_hidden_states, return_dict=False)[0]
        text = self.text(hidden_states, cross_attention_kwargs["text"], return_dict=False)[0]
        return (vision + cross_attention_kwargs["mixing"] * (text - vision),)


class DualUNet(nn.Module):
    """A UNet that attends to two contexts.

    Args:
        config: the configuration of a diffusers `UNet2DConditionModel` (the image UNet).
    """

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.image_unet = UNet2DConditionModel.from_config(dict(config))
        for name, module in list(self.image_unet.named_modules()):
            if isinstance(module, Transformer2DModel):
                parent, child = name.rsplit(".", 1)
                setattr(self.image_unet.get_submodule(parent), child, DualAttention(module))

    def forward(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        vision: torch.Tensor,
        text: torch.Tensor,
        mixing: float | torch.Tensor,
    ) -> torch.Tensor:
        """Predict the noise in latents.

        Args:
            latents: (B, 4, h, w).
            timesteps: (B,), or one for all.
            vision: (B, tokens, C) context; weighs `1 - mixing`.
            text: (B, tokens, C) context; weighs `mixing`.
            mixing: in [0, 1], one for all or (B,).

        Returns:
            (B, 4, h, w).
        """
        if isinstance(mixing, torch.Tensor):
            mixing = mixing.to(latents).view(-1, 1, 1, 1)
        # the blocks hand cross_attention_kwargs through to the attention unread
        return self.image_unet(
            latents,
            timesteps,
            encoder_hidden_states=vision,
            cross_attention_kwargs={"text": text, "mixing": mixing},
            return_dict=False,
        )[0]

    def image_unet_state(self) -> dict[str, torch.Tensor]:
        """The image UNet's tensors under their published names."""
        state = self.image_unet.state_dict()
        return {
            name.replace(".vision.", "."): tensor for name, tensor in state.items() if ".text." not in name
        }

    def text_unet_state(self) -> dict[str, torch.Tensor]:
        """The tensors of the text UNet's attention blocks under their published names."""
        state = self.image_unet.state_dict()
        return {name.replace(".text.", "."): tensor for name, tensor in state.items() if ".text." in name}

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Take the weights of `folder`/image_unet and `folder`/text_unet (of the latter only the attention).

        Raises:
            InputError: a file is missing, or its tensors have other names or shapes.
        """
        state = self.image_unet.state_dict()
        for branch, kind, containing in (
            ("image_unet", ".vision.", ""),
            ("text_unet", ".text.", "attentions."),
        ):
            path = model_folders.find_weights(Path(folder) / branch)
            tensors = checkpoints.read_tensors(path, containing)
            # the published name of each of the module's tensors that come from this file
            published = {
                name.replace(kind, "."): name
                for name in state
                if (".text." in name) == (branch == "text_unet")
            }
            expected = {name: state[mine].shape for name, mine in published.items()}
            checkpoints.check_shapes(expected, {name: tensor.shape for name, tensor in tensors.items()}, path)
            state.update({mine: tensors[name] for name, mine in published.items()})
        self.image_unet.load_state_dict(state)
