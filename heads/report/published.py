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

from ...data.annotation_files.splits import OWN_LIST
from ...data.base import Protocol
from ...data.contracts.errors import counted
from ..evaluation.evaluate_runs import Scored

TEST_SPLIT = "test"
"""What the split that the field reports on is called here, whatever the field calls it."""

METRICS = ("R@1", "R@5", "R@10", "MdR", "MnR")
Trained = Literal["frozen", "adapters inside", "fine-tuned"]


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One system in one direction on one test split."""

    dataset: str
    """Name of the data set here."""
    split: str
    """Name of the test split in the field."""
    protocol: Protocol
    """What a query is: one caption a video, each of its captions, or all its sentences at once."""
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What may stand beside an evaluation."""

    rows: tuple[PublishedRow, ...]
    remark: str
    """Why there is no row, or what the evaluation lacks that they have; empty where like stands beside like."""


def published_for(scored: Scored) -> Comparison:
    """The rows of the same data set, protocol and test split; of anything else none, and the reason.

    An evaluation that lacks some videos of the split stands beside the rows, with a remark: so do most of the field's,
    for videos vanish from where they were published. A store that was limited to some is of no published split.
    """
    evaluation, facts = scored.evaluation, scored.facts
    rows = tuple(row for row in published() if row.dataset == facts["dataset"])
    if not rows:
        return Comparison((), f"no published figures of {facts['dataset']} are known here")
    if why := _why_unlike(scored, rows[0]):
        return Comparison((), f"not beside published figures of {facts['dataset']}, {why}")
    missing = evaluation.expected_videos - evaluation.videos
    if missing > 0:
        return Comparison(
            rows,
            f"published figures are of all videos of the split: without {missing:,} of "
            f"{evaluation.expected_videos:,} the task is easier",
        )
    return Comparison(rows, "")


def _why_unlike(scored: Scored, row: PublishedRow) -> str:
    """What is not as in the rows of a data set, which share one split; empty where nothing is."""
    evaluation, facts = scored.evaluation, scored.facts
    if evaluation.split != TEST_SPLIT:
        return f"which are of {row.split}, the {TEST_SPLIT} split: these are of {evaluation.split}"
    if evaluation.protocol != row.protocol:
        return f"which follow the protocol {row.protocol}: these follow {evaluation.protocol}"
    if facts["limit"] is not None:
        return f"which are of {counted(row.videos, 'video')}: the store was limited to {facts['limit']:,} (--limit)"
    if OWN_LIST in facts["split_source"]:
        return f"which are of {row.split}: these are of {facts['split_source']}"
    # DiDeMo is reported on 1,003 and on 1,004 videos: one more or less counts as the same split.
    if abs(row.videos - evaluation.expected_videos) > 1:
        videos = counted(row.videos, "video")
        return f"which are of {row.split}, {videos}: this split has {evaluation.expected_videos:,}"
    return ""


def _row(values: Mapping[str, str]) -> PublishedRow:
    return PublishedRow(
        dataset=values["dataset"],
        split=values["split"],
        protocol=values["protocol"],  # pyright: ignore[reportArgumentType]  # a test reads every row
        videos=int(values["videos"]),
        model=values["model"],
        direction=values["direction"],  # pyright: ignore[reportArgumentType]  # a test reads every row
        figures={name: float(values[name]) for name in METRICS if values.get(name)},
        encoder=values["encoder"],  # pyright: ignore[reportArgumentType]  # a test reads every row
        backbone=values["backbone"],
        normalisation=values["normalisation"],
        source=values["source"],
    )
