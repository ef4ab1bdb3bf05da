"""The hinge on the hardest negatives by plain loops."""

import pytest
import torch
from tvr.heads.layers.losses import hardest_negative_hinge


def test_by_loops() -> None:
    torch.manual_seed(0)
    similarity = torch.rand(5, 5, dtype=torch.float64)
    excluded = torch.eye(5, dtype=torch.bool)
    excluded[0, 1] = excluded[1, 0] = excluded[2, 4] = True
    wanted = 0.0
    for i in range(5):
        own = float(similarity[i, i])
        texts = [float(similarity[j, i]) for j in range(5) if not excluded[j, i]]
        videos = [float(similarity[i, j]) for j in range(5) if not excluded[i, j]]
        wanted += sum(max(max(side) - own + 0.2, 0) for side in (texts, videos)) / 2 / 5
    assert hardest_negative_hinge(similarity, excluded, 0.2).item() == pytest.approx(wanted)


def test_nothing_left_is_nothing_lost() -> None:
    similarity = torch.rand(3, 3, requires_grad=True)
    loss = hardest_negative_hinge(similarity, torch.ones(3, 3, dtype=torch.bool), 0.2)
    loss.backward()
    assert loss.item() == 0 and similarity.grad is not None and (similarity.grad == 0).all()
