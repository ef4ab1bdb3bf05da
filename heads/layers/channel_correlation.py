"""DRL's channel decorrelation: matched words and frames should vary together, channel by channel."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .padding import repeat_first, zero_padding
from .token_interaction import WeightedTokens

STILL = 100
"""A channel that deviates by fewer roundings of its size than this does not change: of what is left after its mean is
taken off, most is rounding, and divided by its deviation that would be noise as large as any other channel."""


def channel_correlation_loss(
    words: WeightedTokens,
    frames: WeightedTokens,
    *,
    diagonal: float,
    off_diagonal: float,
    masked: bool = True,
) -> Float[Tensor, ""]:
    """How far the channel correlation of words with their best frames, and the reverse, is from the identity.

    Text i belongs to video i. The dim x dim correlation is one matrix product over all tokens, never a
    token x dim x dim tensor. A channel that never changes (real sentence encoders have some) correlates with nothing.

    Args:
        diagonal: weight of the squared distance of each channel's own correlation from 1.
        off_diagonal: weight of the squared correlations between different channels.
        masked: as in ``token_interaction``.

    Source: DRL (arXiv 2203.07111) section 3.3, in the weighted form of its released code (``--cdcr 3``).
    """
    fill = repeat_first if masked else zero_padding
    left, right = fill(words.vectors, words.mask), fill(frames.vectors, frames.mask)
    scores = left @ right.transpose(1, 2)
    # Masked, the best part may be a padded copy of the first: only the filled vectors hold it.
    of_words = _correlation(words, _picked(right if masked else frames.vectors, scores.argmax(dim=2)))
    of_frames = _correlation(frames, _picked(left if masked else words.vectors, scores.argmax(dim=1)))
    correlation = (of_words + of_frames) / 2
    own = torch.diagonal(correlation)
    others = correlation.square().sum() - own.square().sum()
    return diagonal * (own - 1).square().sum() + off_diagonal * others


def _picked(parts: Float[Tensor, "item part dim"], index: Tensor) -> Float[Tensor, "item picked dim"]:
    return parts.gather(1, index[..., None].expand(-1, -1, parts.shape[2]))


def _correlation(
    tokens: WeightedTokens, partners: Float[Tensor, "item part dim"]
) -> Float[Tensor, "dim dim"]:
    """Weighted channel correlation of the real tokens with their partners, per item."""
    own = _standardised(tokens.vectors, tokens.mask) * tokens.weights[..., None]
    theirs = _standardised(partners, tokens.mask)
    return own.flatten(0, 1).T @ theirs.flatten(0, 1) / len(tokens.mask)


def _standardised(
    parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
) -> Float[Tensor, "item part dim"]:
    """Each channel at mean 0 and deviation 1 (unbiased) over all real parts of the batch; padding at 0.

    So is a channel that is the same in all of them, but for rounding: it has no correlation with anything.
    """
    count = mask.sum()
    real = zero_padding(parts, mask)
    centred = zero_padding(parts - real.sum(dim=(0, 1)) / count, mask)
    variance = centred.square().sum(dim=(0, 1)) / (count - 1).clamp_min(1)
    numbers = torch.finfo(parts.dtype)
    changes = variance > (STILL * numbers.eps) ** 2 * real.square().sum(dim=(0, 1)) / count + numbers.tiny
    # Replaced before the root, whose gradient at 0 is infinite.
    return (centred / torch.where(changes, variance, 1.0).sqrt()).masked_fill(~changes, 0.0)
