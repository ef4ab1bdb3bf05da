"""What is done over the real parts of an item (frames of a video, words of a text), blind to its padding."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad


def zero_padding(
    parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
) -> Float[Tensor, "item part dim"]:
    """The parts with padding set to 0, whatever it held: NaN times 0 would still be NaN."""
    return parts.masked_fill(~mask[..., None], 0.0)


def padded_to(
    parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"], count: int
) -> tuple[Float[Tensor, "item count dim"], Bool[Tensor, "item count"]]:
    """The parts and their mask with zeros behind them, as many parts an item whatever batch it comes in.

    Code that lets padding take part gives the same score to an item only where its padding is always as long.
    """
    missing = max(0, count - parts.shape[1])
    return pad(parts, (0, 0, 0, missing)), pad(mask, (0, missing))


def repeat_first(
    parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
) -> Float[Tensor, "item part dim"]:
    """The parts with padding replaced by the item's first real part.

    A maximum over the parts then needs no mask: repeating a candidate never changes a maximum. This spares
    the masked copy of a text x video x word x frame block.
    """
    first = mask.int().argmax(dim=1)
    return torch.where(
        mask[..., None], parts, parts[torch.arange(len(parts), device=mask.device), first][:, None]
    )


def l2_normalise(vectors: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
    """The vectors at length 1; a zero vector stays zero, in half precision too, and its gradient finite."""
    return vectors / divisors(torch.linalg.vector_norm(vectors, dim=-1, keepdim=True))


def divisors(lengths: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The lengths, or deviations, but 1 where one is 0 or next to it: what it divides is 0 then, and stays 0.

    Raised to the smallest number instead, it would leave the value right and make the gradient infinite.
    """
    return torch.where(lengths > torch.finfo(lengths.dtype).tiny, lengths, 1.0)


def masked_mean(
    parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
) -> Float[Tensor, "item dim"]:
    """Mean over the real parts of each item."""
    return zero_padding(parts, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def masked_softmax(
    logits: Float[Tensor, "... part"], mask: Bool[Tensor, "... part"]
) -> Float[Tensor, "... part"]:
    """Softmax over the real parts (last axis); padding weighs exactly 0."""
    return logits.masked_fill(~mask, float("-inf")).softmax(dim=-1)


def last_real(mask: Bool[Tensor, "item part"]) -> Int[Tensor, " item"]:
    """Position of the last real part of each item, such as the end token of a text."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, positions, -1).amax(dim=1)


def without_start(mask: Bool[Tensor, "item part"]) -> Bool[Tensor, "item part"]:
    """The mask without each item's first part, unless that is its only one.

    CLIP's text tower is causal: its start token is one and the same vector for every text and says nothing.
    """
    rest = mask.clone()
    rest[:, 0] &= mask.sum(dim=1) == 1
    return rest
