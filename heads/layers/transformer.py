"""The pre-norm transformer that CLIP's text tower uses, over frames or words, with padding left out."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ...data.contracts.errors import UsageError
from .padding import zero_padding

LAYER_NORM_EPS = 1e-12
"""CLIP4Clip and its descendants; CLIP itself has 1e-5."""

Start = Literal["zero", "random"]


def attention_heads(dim: int, heads: int | None) -> int:
    """The number of attention heads: ``heads``, or where that is None one per 64 dims as in CLIP.

    Where ``dim`` is no multiple of 64, the largest number below that divides it.

    Raises:
        UsageError: ``heads`` does not divide ``dim``.
    """
    if heads is None:
        return next(count for count in range(max(1, dim // 64), 0, -1) if dim % count == 0)
    if heads < 1 or dim % heads:
        allowed = ", ".join(str(count) for count in range(1, dim + 1) if dim % count == 0)
        raise UsageError(f"heads must divide the feature width {dim}, got {heads = }. Allowed: {allowed}.")
    return heads


class Attention(nn.Module):
    """Multi-head self-attention whose keys are the real parts only."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item part dim"]:
        items, count, dim = parts.shape
        split = self.qkv(parts).view(items, count, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        return self.out(mixed.transpose(1, 2).reshape(items, count, dim))


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a layer norm and added to its input."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attention = Attention(dim, heads)
        self.norm_2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.wide = nn.Linear(dim, 4 * dim)
        self.narrow = nn.Linear(4 * dim, dim)

    def forward(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item part dim"]:
        parts = parts + self.attention(self.norm_1(parts), mask)
        hidden = self.wide(self.norm_2(parts))
        return parts + self.narrow(hidden * torch.sigmoid(1.702 * hidden))

    def start(self, start: Start, layers: int) -> None:
        """Initialise as CLIP's text tower does; ``zero`` sets what is added to the input to 0."""
        dim = self.narrow.out_features
        out_deviation = dim**-0.5 * (2 * layers) ** -0.5 if start == "random" else 0.0
        for linear, deviation in (
            (self.attention.qkv, dim**-0.5),
            (self.attention.out, out_deviation),
            (self.wide, (2 * dim) ** -0.5),
            (self.narrow, out_deviation),
        ):
            nn.init.normal_(linear.weight, std=deviation)
            nn.init.zeros_(linear.bias)


class Transformer(nn.Module):
    """Learned positions and ``layers`` blocks; optionally added to the untouched input (``around=True``).

    Source: CLIP4Clip (arXiv 2104.08860) section 3.3, "sequential type". There the weights start as the lowest
    layers of CLIP's text tower (``tvr import-checkpoint`` can do that); ``random`` draws from what that tower
    itself started from; ``zero`` makes the module the identity (times 2 with ``around``).

    Args:
        dim: width of a part.
        positions: the most parts an item may have.
    """

    def __init__(
        self,
        dim: int,
        positions: int,
        *,
        layers: int,
        heads: int | None = None,
        start: Start = "zero",
        around: bool = True,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise UsageError(f"layers must be at least 1, got {layers = }.")
        self.around = around
        self.positions = nn.Parameter(torch.zeros(positions, dim))
        if start == "random":
            nn.init.normal_(self.positions, std=0.01)
        blocks = [Block(dim, attention_heads(dim, heads)) for _ in range(layers)]
        for block in blocks:
            block.start(start, layers)
        self.blocks = nn.ModuleList(blocks)

    def forward(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item part dim"]:
        """The parts after looking at each other; padding comes out as zeros.

        Raises:
            UsageError: more parts than there are positions.
        """
        count = parts.shape[1]
        if count > len(self.positions):
            raise UsageError(
                f"this head was built for at most {len(self.positions)} parts an item, got {count}. "
                "Sub-sample the features, or build the head with more frames or words."
            )
        parts = zero_padding(parts, mask)
        mixed = parts + self.positions[:count]
        for block in self.blocks:
            mixed = block(mixed, mask)
        return zero_padding(mixed + parts if self.around else mixed, mask)


def released_names(released: str, ours: str) -> dict[str, str]:
    """Rules from the names of CLIP's blocks (and of everything built from them) to the names used here.

    Args:
        released: what stands before ``resblocks`` there, as a regular expression without groups.
        ours: what stands before ``blocks`` here.
    """
    block = rf"{released}\.resblocks\.(\d+)"
    return {
        rf"{block}\.attn\.in_proj_(weight|bias)": rf"{ours}.blocks.\1.attention.qkv.\2",
        rf"{block}\.attn\.out_proj\.(weight|bias)": rf"{ours}.blocks.\1.attention.out.\2",
        rf"{block}\.ln_(\d)\.(weight|bias)": rf"{ours}.blocks.\1.norm_\2.\3",
        rf"{block}\.mlp\.c_fc\.(weight|bias)": rf"{ours}.blocks.\1.wide.\2",
        rf"{block}\.mlp\.c_proj\.(weight|bias)": rf"{ours}.blocks.\1.narrow.\2",
    }
