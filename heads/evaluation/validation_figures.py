"""What the validation split gave after an epoch of a run, and what of it has few candidates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runs.run_folder import read_metrics
from ..runs.training_config import Selection
from .ranks import is_among_few

SHOWN = (1, 5, 10)
"""The K of the R@K that are summed, and shown of trials."""
_WAYS = ("t2v", "v2t")


def validation_of(folder: Path, epoch: int) -> dict[str, Any]:
    """The record of the validation split after an epoch, by direction; nothing where there is no such split.

    Raises:
        TrainingError: ``metrics.jsonl`` is damaged.
    """
    return next((line["val"] for line in read_metrics(folder) if line["epoch"] == epoch), None) or {}


def figures_of(validation: Mapping[str, Any]) -> dict[str, float]:
    """Its figures by name, such as ``t2v R@1``, in percent."""
    return {f"{way} R@{k}": validation[way][f"R@{k}"] for way in _WAYS if way in validation for k in SHOWN}


def few_candidates_of(validation: Mapping[str, Any]) -> list[str]:
    """The names of figures of fewer than 2K candidates; none where an earlier version did not keep how many."""
    counts = {way: validation[way].get("candidates") for way in _WAYS if way in validation}
    return [
        f"{way} R@{k}"
        for way, candidates in counts.items()
        for k in SHOWN
        if isinstance(candidates, int) and is_among_few(k, candidates)
    ]


def summed_figures(select_by: Selection) -> list[str]:
    """The names of the figures that a validation score is the sum of."""
    if select_by == "recall_sum":
        return [f"{way} R@{k}" for way in _WAYS for k in SHOWN]
    return [f"{select_by.removesuffix('_r1')} R@1"]


def few_candidates_of_score(folder: Path, epoch: int, select_by: Selection) -> list[str]:
    """Of the figures in a run's validation score those that have fewer than 2K candidates.

    Raises:
        TrainingError: ``metrics.jsonl`` is damaged.
    """
    summed = summed_figures(select_by)
    return [name for name in few_candidates_of(validation_of(folder, epoch)) if name in summed]
