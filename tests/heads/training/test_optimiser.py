import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.optimiser import adamw, learning_rate


def test_only_matrices_decay() -> None:
    head = nn.ModuleDict(
        {"linear": nn.Linear(3, 3), "norm": nn.LayerNorm(3), "positions": nn.Embedding(4, 3)}
    )
    head["linear"].bias.requires_grad_(False)
    groups = adamw(head, TrainingConfig(weight_decay=0.2)).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(head["linear"].weight), id(head["positions"].weight)}
    assert sum(len(group["params"]) for group in groups) == 4


def test_warm_up_then_cosine() -> None:
    config = TrainingConfig(lr=0.1, warmup=0.1)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.01 * k for k in range(1, 11)])
    assert rates[10] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.05)
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[99] == pytest.approx(0.05 * (1 + math.cos(math.pi * 89 / 90)))


def test_no_warm_up() -> None:
    assert learning_rate(TrainingConfig(lr=0.1, warmup=0.0), 0, 10) == pytest.approx(0.1)


def test_a_step_goes_down() -> None:
    weight = nn.Linear(2, 2, bias=False)
    before = weight.weight.detach().clone()
    optimiser = adamw(weight, TrainingConfig(lr=0.01, weight_decay=0.0))
    weight.weight.sum().backward()
    optimiser.step()
    torch.testing.assert_close(before - weight.weight, torch.full((2, 2), 0.01))
