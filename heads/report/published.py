"""Published figures that a run is compared with. They ship as ``published.csv``, each row with its source.

Rows whose source is called second-hand were taken from another paper's table. A row without figures for a metric
leaves it empty; nothing is filled in.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

METRICS = ("R@1", "R@5", "R@10", "MdR", "MnR")
Trained = Literal["frozen", "adapters inside", "fine-tuned"]


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One system in one direction on one test split."""

    dataset: str
    """Name of the data set here."""
    split: str
    """Name of the test split in the field."""
    videos: int
    """How many videos that split has."""
    model: str
    direction: Literal["t2v", "v2t"]
    figures: Mapping[str, float]
    """By name of the metric; only those that were published."""
    encoder: Trained
    """Whether CLIP stayed as it was, as it does here."""
    backbone: str
    normalisation: str
    """none, ``none stated``, DSL or unknown."""
    source: str


@cache
def published() -> tuple[PublishedRow, ...]:
    """Every published row."""
    text = files(__package__ or "").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_row(values) for values in csv.DictReader(text.splitlines()))


def published_for(dataset: str, videos: int) -> list[PublishedRow]:
    """The rows of a data set whose test split has this many videos, so that nothing else is put beside them.

    DiDeMo is reported on 1,003 and on 1,004 videos; one video more or less counts as the same split.
    """
    return [row for row in published() if row.dataset == dataset and abs(row.videos - videos) <= 1]


def _row(values: Mapping[str, str]) -> PublishedRow:
    return PublishedRow(
        dataset=values["dataset"],
        split=values["split"],
        videos=int(values["videos"]),
        model=values["model"],
        direction=values["direction"],  # pyright: ignore[reportArgumentType]  # a test reads every row
        figures={name: float(values[name]) for name in METRICS if values.get(name)},
        encoder=values["encoder"],  # pyright: ignore[reportArgumentType]  # a test reads every row
        backbone=values["backbone"],
        normalisation=values["normalisation"],
        source=values["source"],
    )
