"""Shares of several similarities."""

import pytest
import torch
from tvr.heads.layers.term_weights import TermWeights


@pytest.mark.parametrize("learned", [True, False])
def test_start_where_they_are_told(learned: bool) -> None:
    weights = TermWeights((2.0, 1.0, 1.0), learned=learned)
    torch.testing.assert_close(weights(), torch.tensor([0.5, 0.25, 0.25]))
    assert [name for name, _ in weights.named_parameters()] == ["logits"] * learned


def test_a_few_hundred_small_steps_move_them_far() -> None:
    weights = TermWeights((0.5, 0.5), learned=True)
    optimiser = torch.optim.AdamW(weights.parameters(), lr=5e-4)
    for _ in range(300):
        optimiser.zero_grad()
        (-weights()[0]).backward()
        optimiser.step()
    assert weights()[0] > 0.9
