"""What VDVAE is built of (Child 2021): its hyper-parameters, blocks, encoder and decoder, as published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

# (layer, hidden state before the layer, prior mean, prior log std) -> latent
ChooseLatent = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Hparams:
    """The published hyper-parameters that shape the model.

    Layer strings list the blocks: `64x11` is eleven at 64 x 64, `64d2` one that pools by 2 (encoder),
    `8m4` one at 8 x 8 that takes in the upsampled state of 4 x 4 (decoder). `custom_width_str`, such as
    `1:64,4:64`, widens single resolutions.
    """

    image_size: int
    width: int
    zdim: int
    enc_blocks: str
    dec_blocks: str
    bottleneck_multiple: float = 0.25
    no_bias_above: int = 64
    num_mixtures: int = 10
    image_channels: int = 3
    custom_width_str: str = ""

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Hparams:
        """Pick the shaping ones out of a mapping with the published names (it may hold others)."""
        names = {field.name for field in fields(cls)}
        missing = {"image_size", "width", "zdim", "enc_blocks", "dec_blocks"} - set(mapping)
        if missing:
            raise ValueError(f"hparams: expected the keys {sorted(missing)}, found {sorted(mapping)}")
        return cls(**{name: value for name, value in mapping.items() if name in names})

    def width_at(self, resolution: int) -> int:
        pairs = (pair.split(":") for pair in self.custom_width_str.split(",") if pair)
        return {int(key): int(value) for key, value in pairs}.get(resolution, self.width)


MOST_BLOCKS = 1000


def parse_blocks(text: str) -> list[tuple[int, int | None]]:
    """`16x2,16d2,8m4` -> [(16, None), (16, None), (16, 2), (8, 4)]: resolution; pooling or mixed-in one."""
    blocks: list[tuple[int, int | None]] = []
    for part in text.split(","):
        if len(blocks) > MOST_BLOCKS:
            raise ValueError(f"blocks: expected at most {MOST_BLOCKS}, found more")
        for sign in "xdm":
            if sign in part:
                resolution, number = map(int, part.split(sign))
                count = min(number, MOST_BLOCKS + 1)
                blocks += [(resolution, None)] * count if sign == "x" else [(resolution, number)]
                break
        else:
            blocks.append((int(part), None))
    return blocks


def convolution(inner: int, outer: int, size: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(inner, outer, size, padding=size // 2)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """Four convolutions, each behind a GELU, through a bottleneck; 1 x 1 throughout at up to 2 x 2 pixels."""

    def __init__(
        self,
        inner: int,
        middle: int,
        outer: int,
        resolution: int,
        residual: bool = False,
        pool: int | None = None,
    ):
        super().__init__()
        size = 3 if resolution > 2 else 1
        self.c1 = convolution(inner, middle)
        self.c2 = convolution(middle, middle, size)
        self.c3 = convolution(middle, middle, size)
        self.c4 = convolution(middle, outer)
        self.residual = residual
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = x
        for layer in (self.c1, self.c2, self.c3, self.c4):
            hidden = layer(F.gelu(hidden))
        if self.residual:
            hidden += x  # in place: on a CPU the widest layers cost as much to move as to compute
        return hidden if self.pool is None else F.avg_pool2d(hidden, self.pool)


class Encoder(nn.Module):
    def __init__(self, hparams: Hparams):
        super().__init__()
        self.hparams = hparams
        self.in_conv = convolution(hparams.image_channels, hparams.width, 3)
        blocks = parse_blocks(hparams.enc_blocks)
        self.enc_blocks = nn.ModuleList()
        for resolution, pool in blocks:
            width = hparams.width_at(resolution)
            middle = int(width * hparams.bottleneck_multiple)
            block = Block(width, middle, width, resolution, residual=True, pool=pool)
            block.c4.weight.data *= len(blocks) ** -0.5
            self.enc_blocks.append(block)

    def forward(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        """(B, 3, H, W) -> the last activation (B, width, r, r) of each resolution r."""
        x = self.in_conv(x)
        activations = {x.shape[2]: x}
        for block in self.enc_blocks:
            x = block(x)
            missing = self.hparams.width_at(x.shape[2]) - x.shape[1]
            x = F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x
            activations[x.shape[2]] = x
        return activations


class DecoderBlock(nn.Module):
    def __init__(self, hparams: Hparams, resolution: int, mixin: int | None, n_blocks: int):
        super().__init__()
        self.resolution, self.mixin, self.zdim = resolution, mixin, hparams.zdim
        self.width = width = hparams.width_at(resolution)
        middle = int(width * hparams.bottleneck_multiple)
        self.enc = Block(2 * width, middle, 2 * hparams.zdim, resolution)
        self.prior = Block(width, middle, 2 * hparams.zdim + width, resolution)
        self.z_proj = convolution(hparams.zdim, width)
        self.resnet = Block(width, middle, width, resolution, residual=True)
        nn.init.zeros_(self.prior.c4.weight)
        self.z_proj.weight.data *= n_blocks**-0.5
        self.resnet.c4.weight.data *= n_blocks**-0.5

    def posterior(self, x: torch.Tensor, activation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log standard deviation, each (B, zdim, r, r)."""
        return self.enc(torch.cat([x, activation], dim=1)).chunk(2, dim=1)

    def forward(self, states: dict[int, torch.Tensor], layer: int, choose: ChooseLatent) -> None:
        """Bring the state of this block's resolution one latent further."""
        x = states[self.resolution]
        if self.mixin is not None:
            coarse = states[self.mixin][:, : self.width]
            x = F.interpolate(coarse, scale_factor=self.resolution // self.mixin).add_(x)
        mean, log_std, shift = self.prior(x).split([self.zdim, self.zdim, self.width], dim=1)
        z = choose(layer, x, mean, log_std)
        states[self.resolution] = self.resnet((x + shift).add_(self.z_proj(z)))


class OutputNet(nn.Module):
    def __init__(self, hparams: Hparams):
        super().__init__()
        self.out_conv = convolution(hparams.width, hparams.num_mixtures * 10)


class Decoder(nn.Module):
    def __init__(self, hparams: Hparams):
        super().__init__()
        self.hparams = hparams
        blocks = parse_blocks(hparams.dec_blocks)
        self.resolutions = sorted({resolution for resolution, _ in blocks})
        self.dec_blocks = nn.ModuleList(DecoderBlock(hparams, *block, len(blocks)) for block in blocks)
        self.bias_xs = nn.ParameterList(
            nn.Parameter(torch.zeros(1, hparams.width_at(r), r, r))
            for r in self.resolutions
            if r <= hparams.no_bias_above
        )
        self.out_net = OutputNet(hparams)
        self.gain = nn.Parameter(torch.ones(1, hparams.width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, hparams.width, 1, 1))

    def forward(self, n: int, choose: ChooseLatent, n_layers: int | None = None) -> torch.Tensor | None:
        """Run the first `n_layers` blocks for n pictures; after all of them, the mixture's parameters.

        Returns:
            (n, H, W, 10 * num_mixtures), or None if blocks are left out.
        """
        states = {bias.shape[2]: bias.expand(n, -1, -1, -1) for bias in self.bias_xs} | {
            r: self.gain.new_zeros(n, self.hparams.width_at(r), r, r)
            for r in self.resolutions
            if r > self.hparams.no_bias_above
        }
        for layer, block in enumerate(self.dec_blocks[:n_layers]):
            block(states, layer, choose)
        if n_layers is not None and n_layers < len(self.dec_blocks):
            return None
        x = states[self.hparams.image_size] * self.gain + self.bias
        return self.out_net.out_conv(x).permute(0, 2, 3, 1)

    def posterior(
        self, layer: int, x: torch.Tensor, activations: Mapping[int, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log std of a layer's posterior, from the state before it and the encoder's activations."""
        block = cast(DecoderBlock, self.dec_blocks[layer])  # a ModuleList forgets what it holds
        return block.posterior(x, activations[block.resolution])
