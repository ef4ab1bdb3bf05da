"""The contrastive loss against plain loops."""

import math

import pytest
import torch
from tvr.heads.layers.losses import symmetric_info_nce


def test_by_loops() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 5, dtype=torch.float64)
    same = torch.eye(5, dtype=torch.bool)
    same[1, 3] = same[3, 1] = same[0, 4] = True
    wanted = 0.0
    for i in range(5):
        for own, row in ((logits[i], same[i]), (logits[:, i], same[:, i])):
            below = sum(math.exp(own[j]) for j in range(5) if j == i or not row[j])
            wanted -= math.log(math.exp(own[i]) / below) / 10
    assert symmetric_info_nce(logits, same).item() == pytest.approx(wanted)
