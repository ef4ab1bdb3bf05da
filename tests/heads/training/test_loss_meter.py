"""Loss terms of an epoch: their means, and the step at which they stop being numbers."""

import pytest
import torch
from tvr.data.contracts.errors import TrainingError
from tvr.heads.training.loss_meter import STEPS_BETWEEN_CHECKS, Losses


def _after(totals: list[float]) -> Losses:
    losses = Losses(epoch=2)
    for total in totals:
        losses.add({"total": torch.tensor(total), "hinge": torch.tensor(2 * total)})
    return losses


@pytest.mark.parametrize(
    "steps", [1, STEPS_BETWEEN_CHECKS, STEPS_BETWEEN_CHECKS + 1, 3 * STEPS_BETWEEN_CHECKS]
)
def test_means_over_an_epoch_of_any_length(steps: int) -> None:
    """Also where the last step has just been checked."""
    means = _after([float(step) for step in range(steps)]).means()
    assert means == pytest.approx({"total": (steps - 1) / 2, "hinge": steps - 1})


@pytest.mark.parametrize("bad", [0, 7, STEPS_BETWEEN_CHECKS - 1, STEPS_BETWEEN_CHECKS + 3])
def test_a_loss_that_is_no_number_fails_with_its_step(bad: int) -> None:
    """Steps are counted from 1 over the whole epoch."""
    totals = [1.0] * (STEPS_BETWEEN_CHECKS + 5)
    totals[bad] = float("nan")
    with pytest.raises(TrainingError, match=rf"step {bad + 1} of epoch 3"):
        _after(totals).means()
