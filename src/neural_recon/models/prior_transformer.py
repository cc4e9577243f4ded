"""The transformer of the diffusion prior of MindEye1 and MindEye2.

It is told a brain's tokens, the time and noisy image tokens, and predicts the image tokens. After
dalle2-pytorch 1.15.6 (Ramesh et al. 2022) as MedARC-AI/MindEyeV2 uses it; its parameters have the same names,
but for the time's (`published_checkpoints`). What is computed from sizes alone is no buffer here: models are
built without storage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

ROTARY_WIDTH = 32  # at most so many values of a head are rotated
ATTENTION_SCALE = 16.0  # of the cosines of queries and keys
BUCKETS, FARTHEST = 32, 128  # of T5's biases by distance
FEED_FORWARD = 4


@dataclass(frozen=True)
class PriorSizes:
    """Sizes of a prior; as they are here, MindEye2's.

    With `scaled` targets are multiplied by sqrt(width) before noise is added, as in MindEye1; predictions
    and samples are in the targets' units in any case.
    """

    tokens: int = 256
    width: int = 1664
    depth: int = 6
    heads: int = 32
    head_width: int = 52
    timesteps: int = 100
    drop: float = 0.2  # of the condition, and of the noisy image, in training
    scaled: bool = False


MINDEYE2_PRIOR = PriorSizes()


class Norm(nn.Module):
    """Layer normalisation with a gain alone; `stable` divides by each row's largest value first."""

    def __init__(self, width: int, stable: bool = False):
        super().__init__()
        self.g = nn.Parameter(torch.ones(width))
        self.stable = stable

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        epsilon = 1e-5 if rows.dtype == torch.float32 else 1e-3
        if self.stable:
            rows = rows / rows.amax(dim=-1, keepdim=True).detach()
        return functional.layer_norm(rows, self.g.shape, self.g, eps=epsilon)


class DistanceBias(nn.Module):
    """T5's bias of attention by distance to what comes before; all that comes after shares distance 0."""

    def __init__(self, heads: int):
        super().__init__()
        self.relative_attention_bias = nn.Embedding(BUCKETS, heads)

    def forward(self, n: int) -> torch.Tensor:
        """Of n tokens that attend to themselves and a null token in front: (heads, n, n + 1)."""
        device = self.relative_attention_bias.weight.device
        places = torch.arange(n + 1, device=device)
        distances = (places[:n, None] - places).clamp(min=0)
        exact = BUCKETS // 2
        far = torch.log(distances.clamp(min=1) / exact) / math.log(FARTHEST / exact) * (BUCKETS - exact)
        buckets = torch.where(distances < exact, distances, (exact + far.long()).clamp(max=BUCKETS - 1))
        return self.relative_attention_bias(buckets).permute(2, 0, 1)


def rotated(values: torch.Tensor) -> torch.Tensor:
    """Queries or keys (..., n, head_width), their first values rotated by place in neighbouring pairs."""
    width = min(ROTARY_WIDTH, values.shape[-1])
    exponents = torch.arange(0, width, 2, device=values.device) / width
    places = torch.arange(values.shape[-2], device=values.device, dtype=torch.float32)
    angles = places[:, None] * (1 / 10000**exponents)
    first, second = values[..., :width].unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = angles.cos(), angles.sin()
    pairs = torch.stack([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return torch.cat([pairs.flatten(-2), values[..., width:]], dim=-1)


class Attention(nn.Module):
    """Attention by cosine; all heads share one key and value, a learned null one in front."""

    def __init__(self, sizes: PriorSizes):
        super().__init__()
        width, head = sizes.width, sizes.head_width
        self.heads = sizes.heads
        self.norm = Norm(width)
        self.null_kv = nn.Parameter(torch.randn(2, head))
        self.to_q = nn.Linear(width, sizes.heads * head, bias=False)
        self.to_kv = nn.Linear(width, 2 * head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(sizes.heads * head, width, bias=False), Norm(width))

    def forward(self, rows: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """(n, t, width) and bias (heads, t, t + 1) -> (n, t, width)."""
        rows = self.norm(rows)
        queries = rotated(self.to_q(rows).unflatten(-1, (self.heads, -1)).transpose(1, 2))
        keys, values = self.to_kv(rows).chunk(2, dim=-1)
        null_key, null_value = self.null_kv.to(keys.dtype)[:, None, None].expand(-1, len(rows), 1, -1)
        keys = torch.cat([null_key, rotated(keys)], dim=1)
        values = torch.cat([null_value, values], dim=1)
        queries, keys = (functional.normalize(part, dim=-1) for part in (queries, keys))
        out = functional.scaled_dot_product_attention(
            queries,
            keys[:, None].expand(-1, self.heads, -1, -1),
            values[:, None].expand(-1, self.heads, -1, -1),
            attn_mask=bias.to(queries.dtype)[None],
            scale=ATTENTION_SCALE,
        )
        return self.to_out(out.transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        values, gate = rows.chunk(2, dim=-1)
        return values * functional.silu(gate)


def _feed_forward(width: int) -> nn.Sequential:
    inner = FEED_FORWARD * width
    return nn.Sequential(
        Norm(width),
        nn.Linear(width, 2 * inner, bias=False),
        SwiGLU(),
        nn.Identity(),  # two of the released code that do nothing, for its names
        nn.Identity(),
        nn.Linear(inner, width, bias=False),
    )


class Layer(nn.ModuleList):
    """Attention and a feed-forward part, each added to its input."""

    def forward(self, rows: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        attention, feed_forward = self
        rows = rows + attention(rows, bias)
        return rows + feed_forward(rows)


class Transformer(nn.Module):
    """Attention and feed-forward layers; no token is hidden from another."""

    def __init__(self, sizes: PriorSizes):
        super().__init__()
        self.rel_pos_bias = DistanceBias(sizes.heads)
        self.layers = nn.ModuleList(
            Layer([Attention(sizes), _feed_forward(sizes.width)]) for _ in range(sizes.depth)
        )
        self.norm = Norm(sizes.width, stable=True)
        self.project_out = nn.Linear(sizes.width, sizes.width, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, t, width) -> (n, t, width)."""
        bias = self.rel_pos_bias(rows.shape[1])
        for layer in self.layers:
            rows = layer(rows, bias)
        return self.project_out(self.norm(rows))


class PriorNetwork(nn.Module):
    """Image tokens from noisy ones, the time and the brain's tokens."""

    def __init__(self, sizes: PriorSizes):
        super().__init__()
        tokens, width = sizes.tokens, sizes.width
        self.learned_query = nn.Parameter(torch.randn(tokens, width) * width**-0.5)
        self.null_brain_embeds = nn.Parameter(torch.randn(tokens, width))
        self.null_image_embed = nn.Parameter(torch.randn(tokens, width))
        self.time = nn.Sequential(
            *(nn.Linear(width, 2 * width), nn.SiLU()),
            *(nn.Linear(2 * width, 2 * width), nn.SiLU()),
            nn.Linear(2 * width, width),
        )
        self.causal_transformer = Transformer(sizes)

    def time_token(self, times: torch.Tensor) -> torch.Tensor:
        """The token (n, 1, width) of times (n,)."""
        half = self.learned_query.shape[1] // 2
        rates = torch.exp(torch.arange(half, device=times.device) * (-math.log(10000) / (half - 1)))
        angles = times.float()[:, None] * rates
        return self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))[:, None]

    def forward(
        self,
        noisy: torch.Tensor,
        times: torch.Tensor,
        condition: torch.Tensor,
        keep_brain: torch.Tensor | None = None,
        keep_image: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicted image tokens (n, tokens, width).

        Args:
            noisy: image tokens (n, tokens, width).
            times: int64 (n,).
            condition: the brain's tokens (n, tokens, width).
            keep_brain, keep_image: bool (n,), False where learned null tokens stand for the condition or for
                the noisy tokens; None: kept.
        """
        if keep_brain is not None:
            condition = torch.where(keep_brain[:, None, None], condition, self.null_brain_embeds)
        if keep_image is not None:
            noisy = torch.where(keep_image[:, None, None], noisy, self.null_image_embed)
        rows = torch.cat([condition, self.time_token(times), noisy + self.learned_query], dim=1)
        return self.causal_transformer(rows)[:, -noisy.shape[1] :]
