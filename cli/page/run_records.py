"""What the page's API answers of trained heads and of the store, field by field."""

from dataclasses import dataclass
from typing import Any

from .records import CautionRecord


@dataclass(frozen=True, slots=True)
class ValidationRecord:
    """The best epoch."""

    epoch: int
    score: float
    """Of 600: R@1, R@5 and R@10 of both directions, added."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch of a training."""

    epoch: int
    train_loss: float | None
    terms: dict[str, float]
    """Of the loss."""
    validation: dict[str, float]
    """By figure."""


@dataclass(frozen=True, slots=True)
class ListedRunRecord:
    """A run of this store's features."""

    name: str
    head: str
    trained: str | None
    finished: bool
    state: str
    seconds: float | None
    validation: ValidationRecord | None


@dataclass(frozen=True, slots=True)
class RunList:
    """Every run, the newest first."""

    runs: list[ListedRunRecord]


@dataclass(frozen=True, slots=True)
class TableRecord:
    """Figures under one heading."""

    title: str
    unlike: str
    """Why nothing else may stand in that table; empty where the whole split was scored."""
    columns: list[str]
    rows: list[list[str]]
    """Own figures, then what others published."""


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """One run: settings, curves, tables."""

    name: str
    head: str
    trained: str | None
    config: dict[str, Any]
    notes: list[str]
    caution: CautionRecord | None
    history: list[EpochRecord]
    tables: list[TableRecord]
    remarks: list[str]
    """What must be known of the tables, or why there are none."""


@dataclass(frozen=True, slots=True)
class FirstRecord:
    """What came first instead."""

    video: int
    score: float


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """A query whose video does not come first."""

    text: str
    video: int
    rank: float
    first: FirstRecord


@dataclass(frozen=True, slots=True)
class FailureList:
    """Queries that a run gets wrong, in the order of the split."""

    run: str
    split: str
    queries: int
    wrong: int
    offset: int
    failures: list[FailureRecord]


@dataclass(frozen=True, slots=True)
class FailedVideo:
    """A video that is not wholly there."""

    video: int
    id: str
    status: str
    reason: str
    frames: int


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """The store: what it is of, and what failed."""

    name: str
    dataset: str
    encoder: dict[str, Any]
    sampling: dict[str, Any]
    videos: int
    with_frames: int
    captions: int
    frames: int
    bytes: int
    splits: dict[str, int]
    caution: CautionRecord | None
    failed: list[FailedVideo]
    """Those that failed first, at most 1,000."""
    num_failed: int
