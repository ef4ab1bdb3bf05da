"""The divergence between levels by plain loops."""

import math

import pytest
import torch
from torch import Tensor
from tvr.heads.layers.losses import ranking_divergence


def softmax(row: Tensor) -> list[float]:
    exponentials = [math.exp(value) for value in row.tolist()]
    return [value / sum(exponentials) for value in exponentials]


def test_by_loops() -> None:
    torch.manual_seed(0)
    similarity, reference = torch.randn(2, 4, 5, dtype=torch.float64)
    wanted = 0.0
    for one, other in ((similarity, reference), (similarity.T, reference.T)):
        for row, target in zip(one, other, strict=True):
            p, q = softmax(row), softmax(target)
            wanted += sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)) / 20
    assert ranking_divergence(similarity, reference).item() == pytest.approx(wanted)
    assert ranking_divergence(similarity, similarity).item() == 0
