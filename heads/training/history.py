"""What a training tells: of every epoch when it ends, and of the whole run."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..base import Head
from ..evaluation.evaluate import Evaluation
from ..runs.denoising import Denoising


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch came to."""

    epoch: int
    """From 1."""
    epochs: int
    loss: Mapping[str, float]
    """Mean of each loss term over the epoch."""
    validation: Evaluation | None
    is_best: bool
    denoised_pairs: int | None
    """Pairs of different videos that its batches took for no negatives; None where the head looks for none."""
    training_seconds: float
    """Without validation and writing."""
    seconds: float

    def record(self) -> dict[str, Any]:
        """One line of ``metrics.jsonl``."""
        validation = None if self.validation is None else self.validation.record()
        return {
            "epoch": self.epoch,
            "loss": dict(self.loss),
            "val": validation,
            "is_best": self.is_best,
            "denoised_pairs": self.denoised_pairs,
            "training_seconds": self.training_seconds,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class TrainingResult:
    """A finished run."""

    head: Head
    """With the weights of the best epoch, in evaluation mode."""
    folder: Path
    best_epoch: int
    """From 1; the last epoch where there is no validation split."""
    epochs: int
    """How many were trained."""
    best_score: float | None
    """The validation score of the best epoch, None without a validation split."""
    seconds: float
    denoising: Denoising | None
    """None where the head looks for no wrong negatives."""

    def record(self) -> dict[str, Any]:
        """``result.json``."""
        return {
            "denoising": None if self.denoising is None else asdict(self.denoising),
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "best_score": self.best_score,
            "seconds": self.seconds,
        }


OnEpoch = Callable[[EpochReport], None]
"""Told of every epoch that ends."""
