"""Weighted token-wise interaction: every word looks for its best frame, every frame for its best word."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import relu

from .best_matches import Padding, best_matches
from .padding import last_real, masked_softmax, zero_padding


@dataclass(frozen=True, slots=True)
class WeightedTokens:
    """Unit-length words or frames of some items, and how much each of them counts."""

    vectors: Float[Tensor, "item part dim"]
    """Padding may hold any finite number."""
    weights: Float[Tensor, "item part"]
    """Sum to 1 over the real parts of an item; padding weighs 0."""
    mask: Bool[Tensor, "item part"]


class TokenWeights(nn.Module):
    """How much each word or frame counts: a softmax over a two-layer perceptron's score of it.

    Source: DRL (arXiv 2203.07111) section 3.2. The last layer has no bias: a softmax does not see one.

    Args:
        favour_last: start with nearly all weight on the last real part, the end token of a text, which is
            the only one that CLIP's training has aligned with pictures. Else all start (almost) alike.
    """

    def __init__(self, dim: int, hidden: int, *, favour_last: bool = False) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        nn.init.normal_(self.hidden.weight, std=0.02)
        nn.init.zeros_(self.hidden.bias)
        nn.init.normal_(self.score.weight, std=0.02)
        self.last_bonus = nn.Parameter(torch.tensor(4.0)) if favour_last else None

    def forward(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item part"]:
        scores = self.score(relu(self.hidden(zero_padding(parts, mask)))).squeeze(-1)
        if self.last_bonus is not None:
            last = torch.arange(parts.shape[1], device=parts.device) == last_real(mask)[:, None]
            scores = scores + self.last_bonus * last
        return masked_softmax(scores, mask)


def uniform_weights(mask: Bool[Tensor, "item part"], like: Tensor) -> Float[Tensor, "item part"]:
    """All real parts of an item count the same."""
    return mask.to(like.dtype) / mask.sum(dim=1, keepdim=True)


def token_interaction(
    words: WeightedTokens, frames: WeightedTokens, *, masked: bool = True
) -> Float[Tensor, "text video"]:
    """Half the weighted mean over words of their best frame, plus half the same over frames.

    Args:
        masked: padding takes no part. False: it takes part with a similarity of 0, which beats every negative
            one, as in the released code.

    Source: DRL (arXiv 2203.07111) equations 5 and 6.
    """
    if masked:
        best = best_matches(words.vectors, frames.vectors, Padding(words.mask, frames.mask))
    else:
        best = best_matches(
            zero_padding(words.vectors, words.mask), zero_padding(frames.vectors, frames.mask)
        )
    by_frame = torch.einsum("bv,bva->ab", frames.weights, best.of_frames)
    return (by_frame + torch.einsum("at,bat->ab", words.weights, best.of_words)) / 2
