"""The pre-norm transformer that CLIP's text tower uses, over frames or words, with padding left out."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from ...data.contracts.errors import UsageError
from .padding import masked_softmax, zero_padding

LAYER_NORM_EPS = 1e-12
"""CLIP4Clip and its descendants; CLIP itself has 1e-5."""

DIMS_PER_HEAD, USUAL_HEADS, LEAST_DIMS_PER_HEAD = 64, 8, 16

Start = Literal["zero", "random"]


def attention_heads(dim: int, heads: int | None) -> int:
    """The number of attention heads: ``heads``, or where that is None one per 64 dims as in most CLIPs, but eight if
    there are 16 dims for each.

    That is CLIP4Clip's number at the widths of OpenAI's models; others differ, so it is a choice for weights that are
    yet to be trained, and does not tell how others were (``FeatureShape.attention_heads`` does). With fewer, narrow
    features lose: at a width of 128 hcmi tells order twins better with eight heads than with two. Where the number
    does not divide ``dim``, it is the largest below that does.

    Raises:
        UsageError: ``heads`` does not divide ``dim``.
    """
    if heads is None:
        most = max(1, dim // DIMS_PER_HEAD, min(USUAL_HEADS, dim // LEAST_DIMS_PER_HEAD))
        return next(count for count in range(most, 0, -1) if dim % count == 0)
    if heads < 1 or dim % heads:
        allowed = ", ".join(str(count) for count in range(1, dim + 1) if dim % count == 0)
        raise UsageError(f"heads must divide the feature width {dim}, got {heads = }. Allowed: {allowed}.")
    return heads


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor
) -> Float[Tensor, "item head query dim"]:
    """What each query finds among the keys.

    On a CPU in three steps: PyTorch's fused kernel is made for long sequences, and for some tens of frames or
    words its backward pass is several times slower there.

    Args:
        mask: bool, True where a query may look; or float, added to the logits. Expandable to item x head x
            query x key.
    """
    if query.device.type != "cpu":
        return scaled_dot_product_attention(query, key, value, attn_mask=mask)
    logits = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    logits = masked_softmax(logits, mask) if mask.dtype == torch.bool else (logits + mask).softmax(dim=-1)
    return logits @ value


class SelfAttention(nn.Module):
    """Every part adds what it finds in the real parts of its item; at a zero start, nothing.

    Args:
        out_deviation: initial deviation of the output weights; 0 is the zero start.
    """

    def __init__(self, dim: int, heads: int | None, out_deviation: float = 0.0) -> None:
        super().__init__()
        self.heads = attention_heads(dim, heads)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.qkv = _linear(dim, 3 * dim, dim**-0.5)
        self.out = _linear(dim, dim, out_deviation)

    def forward(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item part dim"]:
        items, count, dim = parts.shape
        split = self.qkv(self.norm(parts)).view(items, count, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = attention(query, key, value, mask[:, None, None, :])
        return parts + self.out(mixed.transpose(1, 2).reshape(items, count, dim))


class FeedForward(nn.Module):
    """Every part adds what two layers four times as wide make of it; at a zero start, nothing."""

    def __init__(self, dim: int, out_deviation: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.wide = _linear(dim, 4 * dim, (2 * dim) ** -0.5)
        self.narrow = _linear(4 * dim, dim, out_deviation)

    def forward(self, parts: Float[Tensor, "item part dim"]) -> Float[Tensor, "item part dim"]:
        return parts + self.narrow(quick_gelu(self.wide(self.norm(parts))))


class Block(nn.Module):
    """Self-attention, then a feed-forward layer."""

    def __init__(self, dim: int, heads: int | None, out_deviation: float = 0.0) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads, out_deviation)
        self.feed_forward = FeedForward(dim, out_deviation)

    def forward(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item part dim"]:
        return self.feed_forward(self.attention(parts, mask))


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
        self.around = around
        self.positions = nn.Parameter(torch.zeros(positions, dim))
        if start == "random":
            nn.init.normal_(self.positions, std=0.01)
        self.blocks = stacked_blocks(dim, layers=layers, heads=heads, start=start)

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


def stacked_blocks(dim: int, *, layers: int, heads: int | None, start: Start) -> nn.ModuleList:
    """Blocks to be run one after the other.

    Raises:
        UsageError: less than one layer.
    """
    if layers < 1:
        raise UsageError(f"layers must be at least 1, got {layers = }.")
    deviation = dim**-0.5 * (2 * layers) ** -0.5 if start == "random" else 0.0
    return nn.ModuleList(Block(dim, heads, deviation) for _ in range(layers))


def quick_gelu(hidden: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
    """OpenAI CLIP's approximation of GELU, ``hidden * sigmoid(1.702 * hidden)``, with a backward pass of one piece."""
    return silu(1.702 * hidden) / 1.702


def _linear(inputs: int, outputs: int, deviation: float) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, std=deviation)
    nn.init.zeros_(linear.bias)
    return linear


def released_names(released: str, ours: str) -> dict[str, str]:
    """Rules from the names of CLIP's blocks (and of everything built from them) to the names used here.

    Args:
        released: what stands before ``resblocks`` there, as a regular expression without groups.
        ours: what stands before ``blocks`` here; nothing where they are the head's own.
    """
    there, here = rf"{released}\.resblocks\.(\d+)", rf"{ours}.blocks.\1".lstrip(".")
    return {
        rf"{there}\.ln_1\.(weight|bias)": rf"{here}.attention.norm.\2",
        rf"{there}\.attn\.in_proj_(weight|bias)": rf"{here}.attention.qkv.\2",
        rf"{there}\.attn\.out_proj\.(weight|bias)": rf"{here}.attention.out.\2",
        rf"{there}\.ln_2\.(weight|bias)": rf"{here}.feed_forward.norm.\2",
        rf"{there}\.mlp\.c_fc\.(weight|bias)": rf"{here}.feed_forward.wide.\2",
        rf"{there}\.mlp\.c_proj\.(weight|bias)": rf"{here}.feed_forward.narrow.\2",
    }
