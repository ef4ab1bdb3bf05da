"""Attention over similarities against plain loops."""

import math

import pytest
import torch
from torch import Tensor
from tvr.heads.layers.soft_pooling import soft_pool


def by_loops(scores: list[float], mix: Tensor, real: list[bool], temperature: float) -> float:
    exponentials = [math.exp(s / temperature) if r else 0.0 for s, r in zip(scores, real, strict=True)]
    weights = [e / sum(exponentials) for e in exponentials]
    count = range(len(scores))
    return sum(scores[t] * sum(weights[j] * float(mix[j, t]) for j in count) for t in count if real[t])


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_by_loops(axis: int, grad: bool) -> None:
    torch.manual_seed(0)
    length = (4, 5, 6)[axis]
    mask = torch.arange(length) < 3
    shape = [1, 1, 1]
    shape[axis] = length
    mask_here = mask.view(shape)
    scores = torch.randn(4, 5, 6, dtype=torch.float64).masked_fill(~mask_here, 0) / 10
    mix = torch.randn(length, length, dtype=torch.float64)
    before = scores.clone()
    with torch.set_grad_enabled(grad):
        found = soft_pool(scores, mask_here, mix, axis=axis, temperature=0.1)
    assert torch.equal(scores, before)
    rows = scores.movedim(axis, -1)
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            wanted = by_loops(rows[i, j].tolist(), mix, mask.tolist(), 0.1)
            assert found[i, j].item() == pytest.approx(wanted, abs=1e-12)


def test_without_mask_or_mix() -> None:
    scores = torch.tensor([[0.3, 0.1, 0.1]], dtype=torch.float64)
    everything = by_loops([0.3, 0.1, 0.1], torch.eye(3), [True] * 3, 0.01)
    assert soft_pool(scores, None, None, axis=-1).item() == pytest.approx(everything)
