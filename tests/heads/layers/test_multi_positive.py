"""The contrastive loss of several positives by plain loops."""

import math

import pytest
import torch
from tvr.heads.layers.losses import multi_positive_info_nce, symmetric_info_nce


def test_by_loops() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 4, dtype=torch.float64)
    positive = torch.eye(4, dtype=torch.bool)
    positive[0, 2] = positive[2, 0] = positive[1, 3] = True
    wanted = 0.0
    for i in range(4):
        for own, row in ((logits[i], positive[i]), (logits[:, i], positive[:, i])):
            below = sum(math.exp(float(value)) for value in own)
            of_positives = [math.log(math.exp(own[j]) / below) for j in range(4) if row[j]]
            wanted -= sum(of_positives) / len(of_positives) / 8
    assert multi_positive_info_nce(logits, positive).item() == pytest.approx(wanted)


def test_one_positive_each_is_the_plain_loss() -> None:
    logits, diagonal = torch.randn(6, 6), torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(
        multi_positive_info_nce(logits, diagonal), symmetric_info_nce(logits, diagonal)
    )
