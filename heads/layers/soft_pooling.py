"""Attention over similarities: many scores become one, the highest counting most."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def soft_pool(
    scores: Float[Tensor, "..."],
    mask: Bool[Tensor, "..."] | None,
    mix: Float[Tensor, "part part"] | None,
    *,
    axis: int,
    temperature: float = 0.01,
) -> Float[Tensor, "..."]:
    """Mean of the scores along one axis, weighted by their own softmax.

    Holds three tensors of the size of ``scores``, itself included (four where a gradient is wanted).

    Args:
        axis: not the first.
        scores: 0 wherever the mask is False.
        mask: True where a score takes part; may have size 1 along other axes. None: all take part.
        mix: learned matrix that recombines the softmax weights before they are used; None: the identity.

    Source: X-CLIP (arXiv 2207.07285) section 3.4; without ``mix`` it is Mug-STAN's (arXiv 2311.15075).
    """
    if mask is None:
        logits = scores / temperature
    else:
        barred = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, float("-inf"))
        logits = torch.add(barred, scores, alpha=1 / temperature)
    weights = logits.softmax(dim=axis)
    del logits
    mixed = scores if mix is None else _along(mix, scores, axis)
    product = weights * mixed if torch.is_grad_enabled() else weights.mul_(mixed)
    return product.sum(dim=axis)


def _along(mix: Tensor, scores: Tensor, axis: int) -> Tensor:
    """Sum over t of ``mix[j, t] * scores[..., t, ...]``: one matrix product without moving an axis."""
    axis %= scores.ndim
    if axis == scores.ndim - 1:
        return scores @ mix.T
    # The expanded left side keeps matmul from transposing a copy of the scores.
    stacked = scores.flatten(axis + 1).flatten(0, axis - 1)
    return (mix.expand(len(stacked), *mix.shape) @ stacked).view(scores.shape)
