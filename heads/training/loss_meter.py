"""The loss terms of an epoch, watched for the moment they stop being numbers."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...data.contracts.errors import TrainingError
from ..base import DENOISED

STEPS_BETWEEN_CHECKS = 20
"""How often the loss is read from the device: reading it every step would make a GPU wait."""


class Losses:
    """Collects the loss terms of an epoch's steps."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._terms: list[dict[str, Tensor]] = []
        self._checked = 0

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """One step's terms.

        Raises:
            TrainingError: a total of the last steps is not a finite number.
        """
        self._terms.append({name: term.detach() for name, term in terms.items()})
        if len(self._terms) - self._checked >= STEPS_BETWEEN_CHECKS:
            self.check()

    def means(self) -> dict[str, float]:
        """The mean of each term over the epoch.

        Raises:
            TrainingError: a total is not a finite number.
        """
        self.check()
        return {
            name: float(torch.stack([terms[name] for terms in self._terms]).mean())
            for name in self._terms[0]
            if name != DENOISED
        }

    def denoised_pairs(self) -> int | None:
        """How many pairs of videos the epoch's steps took for no negatives; None: the head does not look for such."""
        found = [terms[DENOISED] for terms in self._terms if DENOISED in terms]
        return int(torch.stack(found).sum()) if found else None

    def check(self) -> None:
        """Look at the steps since the last look.

        Raises:
            TrainingError: a total of them is not a finite number.
        """
        if self._checked == len(self._terms):
            return
        finite = torch.stack([terms["total"] for terms in self._terms[self._checked :]]).isfinite()
        if not bool(finite.all()):
            step = self._checked + int((~finite).nonzero()[0]) + 1
            raise TrainingError(
                f"the loss was no longer a finite number at step {step} of epoch {self.epoch + 1}. "
                "The best finished epoch is kept in the run folder. Train with a smaller lr, a longer warmup "
                "or precision=fp32; if it happens at step 1, check the features with `tvr verify`."
            )
        self._checked = len(self._terms)
