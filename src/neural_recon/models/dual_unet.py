"""The UNet of Versatile Diffusion (Xu et al. 2023) under two contexts: a picture's and a caption's.

The published weights are an image UNet and the attention blocks of a text UNet. The counterpart in
diffusers, `DualTransformer2DModel`, fails in 0.42: it does not take what the UNet's blocks pass.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from neural_recon.models import checkpoints, model_folders

# Keys and values, each (B, heads, tokens, channels / heads), of every cross-attention, by its name.
Contexts = dict[str, tuple[torch.Tensor, torch.Tensor]]


class ContextAttention:
    """Cross-attention to keys and values that were computed before (`DualUNet.contexts`).

    A context does not change from step to step of the denoising, and so neither do they. Takes the place of
    a diffusers attention processor.
    """

    def __init__(self, name: str):
        self.name = name

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: Contexts,
        attention_mask: None = None,  # noqa: ARG002 - it is passed, and None
    ) -> torch.Tensor:
        key, value = encoder_hidden_states[self.name]
        attended = F.scaled_dot_product_attention(_heads(attn.to_q(hidden_states), attn.heads), key, value)
        return attn.to_out[0](attended.transpose(1, 2).flatten(2))


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
        encoder_hidden_states: Contexts,
        cross_attention_kwargs: Mapping[str, Any],
        attention_mask: None = None,
        encoder_attention_mask: None = None,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        if attention_mask is not None or encoder_attention_mask is not None or return_dict:
            raise ValueError("DualAttention: expected no masks and return_dict=False")
        vision = self.vision(hidden_states, encoder_hidden_states, return_dict=False)[0]
        text = self.text(hidden_states, encoder_hidden_states, return_dict=False)[0]
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
        for name, module in self._cross_attentions():
            module.set_processor(ContextAttention(name))

    def contexts(self, vision: torch.Tensor, text: torch.Tensor) -> Contexts:
        """The keys and values of contexts, for `forward`.

        Args:
            vision: (B, tokens, C).
            text: (B, tokens, C).
        """
        found = {}
        for name, attn in self._cross_attentions():
            context = text if ".text." in name else vision
            found[name] = (_heads(attn.to_k(context), attn.heads), _heads(attn.to_v(context), attn.heads))
        return found

    def forward(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        contexts: Contexts,
        mixing: float | torch.Tensor,
    ) -> torch.Tensor:
        """Predict the noise in latents.

        Args:
            latents: (B, 4, h, w).
            timesteps: (B,), or one for all.
            contexts: from `contexts`; vision weighs `1 - mixing`, text `mixing`.
            mixing: in [0, 1], one for all or (B,).

        Returns:
            (B, 4, h, w).
        """
        if isinstance(mixing, torch.Tensor):
            mixing = mixing.to(latents).view(-1, 1, 1, 1)
        # the blocks hand both through to the attention unread
        return self.image_unet(
            latents,
            timesteps,
            encoder_hidden_states=contexts,
            cross_attention_kwargs={"mixing": mixing},
            return_dict=False,
        )[0]

    def _cross_attentions(self) -> list[tuple[str, Attention]]:
        modules = self.image_unet.named_modules()
        return [(name, m) for name, m in modules if isinstance(m, Attention) and name.endswith(".attn2")]

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

    def load(
        self,
        folder: str | os.PathLike[str],
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        """Take the weights of `folder`/image_unet and `folder`/text_unet (of the latter only the attention).

        Raises:
            InputError: a file is missing, or its tensors have other names or shapes.
        """
        shapes = {name: tensor.shape for name, tensor in self.image_unet.state_dict().items()}
        state = {}
        for branch, kind, containing in (
            ("image_unet", ".vision.", ""),
            ("text_unet", ".text.", "attentions."),
        ):
            path = model_folders.find_weights(Path(folder) / branch)
            tensors = checkpoints.read_tensors(path, containing)
            # the published name of each of the module's tensors that come from this file
            published = {
                name.replace(kind, "."): name
                for name in shapes
                if (".text." in name) == (branch == "text_unet")
            }
            expected = {name: shapes[mine] for name, mine in published.items()}
            checkpoints.check_shapes(expected, {name: tensor.shape for name, tensor in tensors.items()}, path)
            state.update({mine: tensors[name].to(device, dtype) for name, mine in published.items()})
        self.image_unet.load_state_dict(state, assign=True)


def _heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, tokens, channels) -> (B, heads, tokens, channels / heads)."""
    return states.unflatten(2, (heads, -1)).transpose(1, 2)
