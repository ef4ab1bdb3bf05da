"""Learned shares of several similarities."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

SPEED = 10.0
"""A head trains for some hundred steps of 1e-4 to 1e-3, in which AdamW moves a scalar by about 0.1. A share
must be able to move by more."""


class TermWeights(nn.Module):
    """Positive weights that sum to 1 and start at given shares.

    Args:
        shares: where they start; positive, summing to 1.
        learned: False keeps them there.
    """

    logits: Float[Tensor, " term"]

    def __init__(self, shares: Sequence[float], *, learned: bool) -> None:
        super().__init__()
        logits = torch.tensor([math.log(share) / SPEED for share in shares])
        if learned:
            self.logits = nn.Parameter(logits)
        else:
            self.register_buffer("logits", logits)

    def forward(self) -> Float[Tensor, " term"]:
        return (SPEED * self.logits).softmax(dim=0)
